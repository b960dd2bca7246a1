"""What one wave writes into its store: curves, its checkpoint and its digests. It knows no other wave."""

import time
from typing import Final

import numpy as np

from sweep.engine.plan import Plan
from sweep.engine.walk import Segment, living_steps
from sweep.engine.wave import Position
from sweep.results.store import Store
from sweep.runs.curves import Curves
from sweep.runs.events import Advanced, Ended, Executed, Saved

SAVE_SECONDS: Final = 10.0  # how often what there is goes to disk ...
SAVE_SECONDS_MOST: Final = 25.0  # ... where saving itself is slow


class WaveWriter:
    """Writes one wave, which nobody else writes meanwhile.

    Args:
        plan: the plan.
        number: the wave's place in it.
        store: where it belongs.
    """

    def __init__(self, plan: Plan, number: int, store: Store) -> None:
        self._plan, self._number, self._store = plan, number, store
        self._wave = plan.waves[number]
        self.position = self._stored_position()
        if self.position is None:  # from nothing, whatever a killed run wrote of it
            store.drop_checkpoint(self._wave.start)
            store.begin(self._wave.start, self._wave.start + self._wave.places)
        self._curves = Curves(plan, number, store)
        self._due = time.monotonic() + SAVE_SECONDS

    def _stored_position(self) -> Position | None:
        """Find where the wave stands: as it is planned now, and of records that its digest is of."""
        loaded = self._store.load_checkpoint(self._wave.start)
        if loaded is None:
            return None
        try:
            position = Position.of_arrays(loaded)
        except (KeyError, ValueError, TypeError, IndexError):  # not one of this version's
            return None
        known = self._store.count_records(self._wave.start, self._wave.start + self._wave.places)
        fits = position.wave == self._number and position.fits(self._plan) and position.record <= known
        return position if fits else None

    def take(self, segment: Segment) -> Executed:
        """Take what a segment has brought."""
        self._curves.take(segment)
        return Executed(self._number, segment.executed, segment.seconds)

    def stand(self, segment: Segment) -> Advanced:
        """Say where the wave stands after a segment."""
        steps = zip(segment.done, self._wave.rows, strict=True)
        done = sum(int(taken) * len(rows) for taken, rows in steps)
        return Advanced(self._number, done, self._curves.ended())

    def is_last(self, segment: Segment) -> bool:
        """Tell whether a segment ends the wave."""
        return segment.record == len(self._plan.epochs) - 1

    def close(self, segment: Segment) -> Ended:
        """End the wave: from now on it is stored, and its checkpoint of no use."""
        self._curves.close()
        self._store.drop_checkpoint(self._wave.start)
        return Ended(self._number, living_steps(segment))

    def is_due(self) -> bool:
        """Tell whether it is time to save."""
        return time.monotonic() > self._due

    def save(self, segment: Segment) -> Saved:
        """Write curves first and the checkpoint after them, so that no checkpoint is ahead of its curves."""
        begun = time.monotonic()
        position = segment.position()
        self._curves.write(position.record)
        self._store.save_checkpoint(self._wave.start, position.arrays())
        now = time.monotonic()
        self._due = now + min(SAVE_SECONDS_MOST, max(SAVE_SECONDS, 10 * (now - begun)))
        return Saved(self._number, living_steps(segment))


def stored_waves(plan: Plan, store: Store) -> set[int]:
    """Find the waves that have ended and are stored."""
    stored = store.stored_places()
    return {n for n, wave in enumerate(plan.waves) if stored[wave.start : wave.start + wave.places].all()}


def stored_steps(plan: Plan, number: int, store: Store, ends: tuple[str, ...]) -> int:
    """Count the steps that the lanes of a stored wave have taken while they lived.

    Args:
        plan: the plan.
        number: the wave's place in it.
        store: which has it.
        ends: the variables that date the ends of lanes.
    """
    wave = plan.waves[number]
    dates = [store.read(name, wave.start, wave.start + len(wave.lanes)) for name in ends]
    ended = np.fmin.reduce(dates)  # of a lane at most one is a number
    total = 0
    for block, rows in zip(plan.programs[wave.program].blocks, wave.rows, strict=True):
        steps = np.nan_to_num(ended[rows] * block.training.steps_per_epoch, nan=block.training.steps)
        total += round(steps.sum())
    return total
