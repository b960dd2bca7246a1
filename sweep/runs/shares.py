"""Shares: which waves of a store a process trains, and how it counts what it has executed."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from sweep.engine.plan import Plan
from sweep.results.store import Part, Store
from sweep.runs.curves import END_DATES
from sweep.runs.planning import follow_cut, halve
from sweep.runs.progress import Tally
from sweep.runs.provenance import provenance
from sweep.runs.wave_writer import stored_steps, stored_waves


class Share:
    """All waves of a store, by a process that holds all of it: counts are attributes of the store.

    Args:
        plan: the plan for which the store was made.
        store: the store.
    """

    again = "continue with --resume"

    def __init__(self, plan: Plan, store: Store) -> None:
        self.plan, self.store = follow_cut(plan, self._of_waves(store)), store

    def _of_waves(self, store: Store) -> list[tuple[int, int]]:
        return store.begun_waves()

    def waves(self) -> list[int]:
        """List the numbers of its waves in the plan."""
        return list(range(len(self.plan.waves)))

    def begin(self) -> Tally:
        """Tidy up, and return what earlier runs have counted."""
        self.store.tidy_checkpoints()
        return _tally(self.store.attributes() | self.store.read_heartbeat())

    def note(self, tally: Tally) -> None:
        """Store what has been counted up to a save."""
        self.store.set_attributes(**asdict(tally))

    def end(self, tally: Tally) -> None:
        """Complete the store: add what parts have counted, and remove what only an incomplete store needs."""
        assert len(stored_waves(self.plan, self.store)) == len(self.plan.waves), "an executor left out waves"
        self.store.set_attributes(**asdict(_with_parts(tally, self.store)), complete=True)
        self.store.clear()

    def halve(self, trouble: str) -> "Share":
        """Return the same waves in smaller ones, also for later runs."""
        plan = halve(self.plan, trouble)
        self.store.set_attributes(plan=provenance(plan)["plan"])
        return Share(plan, self.store)


class PartShare(Share):
    """The waves of a part, by a process that holds this part: counts are in its own heartbeat.

    It writes nothing that other parts write too. So it halves only its own waves, of which the store's attributes say
    nothing; what it has begun of them shows how large they are.

    Args:
        plan: the plan for which the store was made, or one with smaller waves.
        store: the store.
        places: for each place of a lane whether it belongs to the part.
    """

    again = "run the same command again"

    def __init__(self, plan: Plan, store: Store, places: np.ndarray) -> None:
        self._places = places
        super().__init__(plan, store)

    def _of_waves(self, store: Store) -> list[tuple[int, int]]:
        return [wave for wave in store.begun_waves() if self._places[wave[0]]]

    def waves(self) -> list[int]:
        """List the numbers of its waves in the plan."""
        return [number for number, wave in enumerate(self.plan.waves) if self._places[wave.start]]

    def begin(self) -> Tally:
        """Return what earlier runs of this part have counted."""
        return _tally(asdict(Tally()) | self.store.read_heartbeat())

    def note(self, tally: Tally) -> None:
        """Store what has been counted up to a save."""
        self.store.write_heartbeat(asdict(tally))

    def end(self, tally: Tally) -> None:
        """Leave the store as it is: the part that ends last completes it."""

    def halve(self, trouble: str) -> "Share":
        """Return the same waves in smaller ones."""
        return PartShare(halve(self.plan, trouble), self.store, self._places)


def places_of(plan: Plan, part: Part) -> np.ndarray:
    """For each place of a lane, tell whether its wave belongs to a part: wave i to part i mod (number of parts) + 1.

    Args:
        plan: the plan for which the store was made.
        part: the part.
    """
    mine = np.zeros(len(plan.order()), bool)
    for wave in plan.waves[part.number - 1 :: part.of]:
        mine[wave.start : wave.start + wave.places] = True
    return mine


def trained_steps(plan: Plan, store: Store, waves: set[int]) -> int:
    """Count the steps that the lanes of stored waves have trained, frozen lanes not counted.

    Args:
        plan: the plan.
        store: the store.
        waves: numbers of these waves in the plan.
    """
    ends = tuple(sorted(END_DATES.keys() & {*store.names()}))
    return sum(stored_steps(plan, wave, store, ends) for wave in waves)


def counted(store: Store) -> dict[str, Any]:
    """Return the attributes of a store, with what runs and parts have counted since these were written.

    Args:
        store: the store.
    """
    attributes = store.attributes()
    return attributes | asdict(_with_parts(_tally(attributes | store.read_heartbeat()), store))


def _with_parts(tally: Tally, store: Store) -> Tally:
    """Add what parts have counted."""
    for other in store.read_other_heartbeats():
        tally = _add(tally, _tally(asdict(Tally()) | other))
    return tally


def _tally(counts: Mapping[str, Any]) -> Tally:
    return Tally(**{name: counts[name] for name in asdict(Tally())})


def _add(one: Tally, other: Tally) -> Tally:
    """Add what two processes have executed; the steps of the stored result are counted by one of them."""
    return replace(
        one,
        lane_steps_executed=one.lane_steps_executed + other.lane_steps_executed,
        training_seconds=one.training_seconds + other.training_seconds,
        compile_seconds=one.compile_seconds + other.compile_seconds,
    )
