"""Executors plan sweeps for the devices that they have, run waves on them, and report what happens.

A wave depends only on its plan, its number and its store. So waves may be run in any process, in any order and more
than once: the bits are the same, and each writes its own chunks.

Imports no JAX, as a worker's process must be set up before that is loaded.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Protocol

from sweep.runs.events import Event

if TYPE_CHECKING:
    from sweep.engine.plan import Fixed, Plan
    from sweep.page.experiment import Experiment
    from sweep.results.store import Store


class Executor(Protocol):
    """Something that runs waves on devices of its own."""

    def plan(self, experiment: "Experiment", fixed: "Fixed" = ...) -> "Plan":
        """Plan a sweep for its devices.

        Args:
            experiment: what to run.
            fixed: what a store has fixed of the plan.

        Raises:
            SweepError: for a sweep that does not fit, or that can't be run there.
        """
        ...

    def run(self, plan: "Plan", store: "Store", waves: Sequence[int], obey: Callable[[], None]) -> Iterator[Event]:
        """Run some waves, each to its end.

        Where a plan has `rungs`, a wave is saved and left at the first one of which the store does not say which lanes
        are cut, with the event `Waiting` instead of `Ended`, and is given again once it does. So a wave reads from its
        store how far it may go.

        Args:
            plan: a plan for its devices.
            store: the store to write to, which was made for the plan.
            waves: numbers of the waves in the plan.
            obey: raises an exception if a signal has come; the executor then saves what was trained, yields that
                event, and raises the exception again.

        Yields:
            Each event as it happens.

        Raises:
            OutOfMemoryError: if a wave does not fit; waves that have ended are stored.
        """
        ...
