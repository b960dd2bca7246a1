"""Waves one after another in this process, on its own devices."""

import time
from collections.abc import Callable, Iterator, Sequence
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
from sweep.runs.wave_writer import WaveWriter


class LocalExecutor:
    """Runs waves here.

    Args:
        plan: the plan.
        store: where the waves belong.
    """

    def __init__(self, plan: Plan, store: Store) -> None:
        self._plan, self._store = plan, store

    def run(self, jobs: Sequence[Job], obey: Callable[[], None]) -> Iterator[Event]:
        """Run some waves: see `Executor`."""
        begun = time.perf_counter()
        try:
            prepare(self._plan, obey)
        finally:  # what was compiled for a wave that proved too large counts too
            yield Compiled(time.perf_counter() - begun)
        for job in jobs:
            yield from run_wave(self._plan, job.wave, self._store, obey)


def run_job(job: Job, experiment: Experiment, obey: Callable[[], None] = lambda: None) -> Iterator[Event]:
    """Run a wave that was sent here, with a plan made anew: it is the same wherever it is made.

    Whoever sends it holds the store's lock.

    Args:
        job: the wave.
        experiment: what its page and arguments mean.
        obey: raises what a signal asks for.
    """
    plan = plan_sweep(experiment, job.memory, job.wave_lanes, job.chunk_lanes)
    yield from LocalExecutor(plan, Store(Path(job.store))).run([job], obey)


def run_wave(plan: Plan, number: int, store: Store, obey: Callable[[], None]) -> Iterator[Event]:
    """Run one wave to its end, from where its checkpoint has it.

    Args:
        plan: the plan.
        number: the wave's place in it.
        store: where it belongs.
        obey: raises what a signal asks for.
    """
    writer = WaveWriter(plan, number, store)
    for segment in walk_wave(plan, number, writer.position):
        yield writer.take(segment)
        last = writer.is_last(segment)
        if last:
            yield writer.close(segment)
        elif writer.is_due():
            yield writer.save(segment)
        yield writer.stand(segment)
        try:
            obey()
        except (KeyboardInterrupt, Terminated):
            if not last:
                yield writer.save(segment)
            raise
