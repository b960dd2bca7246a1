"""Running waves one after another in this process, on its devices."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from sweep.base.signals import Terminated
from sweep.engine.plan import Fixed, Plan
from sweep.engine.prepare import prepare
from sweep.engine.walk import walk_wave
from sweep.page.experiment import Experiment
from sweep.results.store import Store
from sweep.runs.events import Compiled, Event
from sweep.runs.planning import plan_sweep
from sweep.runs.rungs import read_cuts
from sweep.runs.wave_writer import WaveWriter


@dataclass(frozen=True)
class LocalExecutor:
    """Runs waves in this process.

    Args:
        memory: budget in bytes; None is half of what is free.
        devices: number of devices of this process to run on; None is all.
        parts: among how many processes the waves of a new store are shared, see `runs.parts`.
    """

    memory: int | None = None
    devices: int | None = None
    parts: int = 1

    def plan(self, experiment: Experiment, fixed: Fixed = Fixed()) -> Plan:
        """Plan a sweep for its devices: see `Executor`."""
        return plan_sweep(experiment, self.memory, fixed, devices=self.devices, parts=self.parts)

    def run(self, plan: Plan, store: Store, waves: Sequence[int], obey: Callable[[], None]) -> Iterator[Event]:
        """Run some waves: see `Executor`."""
        begin = time.perf_counter()
        try:
            prepare(plan, obey)
        finally:  # also counts compiling for a wave that proves too large
            yield Compiled(time.perf_counter() - begin)
        for wave in waves:
            yield from run_wave(plan, wave, store, obey)


def run_wave(plan: Plan, number: int, store: Store, obey: Callable[[], None]) -> Iterator[Event]:
    """Run one wave to its end, or to the first rung that has not been judged, from its checkpoint if there is one.

    Args:
        plan: the plan.
        number: number of the wave in the plan.
        store: the store to write to.
        obey: raises an exception if a signal has come.
    """
    writer, cuts = WaveWriter(plan, number, store), read_cuts(plan, store)
    if waiting := writer.waits(cuts):
        yield waiting
        return
    for segment in walk_wave(plan, number, writer.position, cuts):
        yield writer.add(segment)
        last = writer.is_last(segment)
        if last:
            yield writer.close(segment)
        elif segment.waits or writer.is_due():
            yield writer.save(segment)
        yield writer.report_position(segment)
        try:
            obey()
        except (KeyboardInterrupt, Terminated):
            if not (last or segment.waits):
                yield writer.save(segment)
            raise
