"""Waves one after another in this process, on its own devices."""

import time
from collections.abc import Callable, Iterator, Sequence

from sweep.base.signals import Terminated
from sweep.engine.plan import Plan
from sweep.engine.prepare import prepare
from sweep.engine.walk import walk_wave
from sweep.results.store import Store
from sweep.runs.events import Compiled, Event
from sweep.runs.wave_writer import WaveWriter


class LocalExecutor:
    """Runs waves here.

    Args:
        plan: the plan.
        store: where the waves belong.
    """

    def __init__(self, plan: Plan, store: Store) -> None:
        self._plan, self._store = plan, store

    def run(self, waves: Sequence[int], obey: Callable[[], None]) -> Iterator[Event]:
        """Run some waves: see `Executor`."""
        begun = time.perf_counter()
        try:
            prepare(self._plan, obey)
        finally:  # what was compiled for a wave that proved too large counts too
            yield Compiled(time.perf_counter() - begun)
        for number in waves:
            yield from run_wave(self._plan, number, self._store, obey)


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
        event = writer.take(segment)
        yield event
        if not event.finished and writer.is_due():
            yield writer.save(segment)
        try:
            obey()
        except (KeyboardInterrupt, Terminated):
            if not event.finished:
                yield writer.save(segment)
            raise
