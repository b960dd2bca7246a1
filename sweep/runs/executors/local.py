"""Running waves one after another in this process, on its devices."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from sweep.base.signals import Terminated
from sweep.engine.plan import Plan
from sweep.engine.prepare import prepare
from sweep.engine.walk import walk_wave
from sweep.page.experiment import Experiment
from sweep.results.store import Store
from sweep.runs.events import Compiled, Event
from sweep.runs.executors import Job
from sweep.runs.planning import plan_sweep
from sweep.runs.provenance import fixed_by
from sweep.runs.wave_writer import WaveWriter


class LocalExecutor:
    """Runs waves in this process.

    Args:
        plan: the plan.
        store: the store to write to.
    """

    def __init__(self, plan: Plan, store: Store) -> None:
        self._plan, self._store = plan, store

    def run(self, jobs: Sequence[Job], obey: Callable[[], None]) -> Iterator[Event]:
        """Run some waves: see `Executor`."""
        begin = time.perf_counter()
        try:
            prepare(self._plan, obey)
        finally:  # also counts compiling for a wave that proves too large
            yield Compiled(time.perf_counter() - begin)
        for job in jobs:
            yield from run_wave(self._plan, job.wave, self._store, obey)


def run_job(job: Job, experiment: Experiment, obey: Callable[[], None] = lambda: None) -> Iterator[Event]:
    """Run a wave that another process has sent; the plan is made again, with the same result.

    The sender holds the store's lock.

    Args:
        job: the wave.
        experiment: the experiment that its page and arguments give.
        obey: raises an exception if a signal has come.
    """
    store = Store(Path(job.store))
    fixed = replace(fixed_by(store.attributes()), wave_lanes=job.wave_lanes)
    plan = plan_sweep(experiment, job.memory, fixed)
    yield from LocalExecutor(plan, store).run([job], obey)


def run_wave(plan: Plan, number: int, store: Store, obey: Callable[[], None]) -> Iterator[Event]:
    """Run one wave to its end, starting from its checkpoint if there is one.

    Args:
        plan: the plan.
        number: number of the wave in the plan.
        store: the store to write to.
        obey: raises an exception if a signal has come.
    """
    writer = WaveWriter(plan, number, store)
    for segment in walk_wave(plan, number, writer.position):
        yield writer.add(segment)
        last = writer.is_last(segment)
        if last:
            yield writer.close(segment)
        elif writer.is_due():
            yield writer.save(segment)
        yield writer.report_position(segment)
        try:
            obey()
        except (KeyboardInterrupt, Terminated):
            if not last:
                yield writer.save(segment)
            raise
