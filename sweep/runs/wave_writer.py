"""Writing one wave into its store: its curves, its checkpoint and its digests, independently of other waves."""

import time
from typing import Final

import numpy as np

from sweep.engine.plan import Plan
from sweep.engine.stopping import Cuts
from sweep.engine.walk import Segment, living_steps
from sweep.engine.wave import Position
from sweep.results.store import Store
from sweep.runs.curves import Curves
from sweep.runs.events import Advanced, Ended, Executed, Saved, Waiting
from sweep.runs.networks import write_networks

SAVE_SECONDS: Final = 10.0  # between two saves
MOST_SAVE_SECONDS: Final = 25.0  # the same at most, where saving itself is slow


class WaveWriter:
    """Writes one wave, which no other process may write at the same time.

    Args:
        plan: the plan.
        number: number of the wave in the plan.
        store: the store to write to.
    """

    def __init__(self, plan: Plan, number: int, store: Store) -> None:
        self._plan, self._number, self._store = plan, number, store
        self._wave = plan.waves[number]
        self.position = stored_position(plan, number, store)
        if self.position is None:  # begin again, whatever a killed run has written
            store.remove_checkpoint(self._wave.start)
            store.begin(self._wave.start, self._wave.start + self._wave.places)
        self._curves = Curves(plan, number, store)
        self._due = time.monotonic() + SAVE_SECONDS

    def add(self, segment: Segment) -> Executed:
        """Add the values of a segment."""
        self._curves.add(segment)
        return Executed(self._number, segment.executed, segment.seconds)

    def report_position(self, segment: Segment) -> Advanced:
        """Report how far the wave is after a segment."""
        steps = zip(segment.done, self._wave.rows, strict=True)
        done = sum(int(taken) * len(rows) for taken, rows in steps)
        return Advanced(self._number, done, self._curves.count_ended())

    def is_last(self, segment: Segment) -> bool:
        """Tell whether a segment ends the wave."""
        return segment.record == len(self._plan.epochs) - 1

    def close(self, segment: Segment) -> Ended:
        """End the wave: write its networks and its final values, and remove its checkpoint."""
        if self._plan.keep != "nothing":
            write_networks(self._plan, self._number, self._store, segment.finals())
        self._curves.close()
        self._store.remove_checkpoint(self._wave.start)
        return Ended(self._number, living_steps(segment.done, segment.ended))

    def is_due(self) -> bool:
        """Tell whether it is time to save."""
        return time.monotonic() > self._due

    def save(self, segment: Segment) -> Saved:
        """Write first the curves and then the checkpoint, so that a checkpoint is never ahead of its curves."""
        begin = time.monotonic()
        position = segment.position()
        self._curves.write(position.record)
        self._store.save_checkpoint(self._wave.start, position.arrays())
        now = time.monotonic()
        self._due = now + min(MOST_SAVE_SECONDS, max(SAVE_SECONDS, 10 * (now - begin)))
        told = Waiting if segment.waits else Saved
        return told(self._number, living_steps(segment.done, segment.ended))

    def waits(self, cuts: Cuts) -> Waiting | None:
        """Report that the wave already waits at a rung that has not been judged; None if it does not.

        Args:
            cuts: the rungs that were judged.
        """
        if self.position is None or self.position.record - 1 not in {*self._plan.rungs} - cuts.keys():
            return None
        return Waiting(self._number, trained_until(self.position))


def stored_position(plan: Plan, number: int, store: Store) -> Position | None:
    """Load the checkpoint of a wave, if it fits the plan and the records that the wave's digest covers.

    Args:
        plan: the plan.
        number: number of the wave in the plan.
        store: the store.
    """
    wave = plan.waves[number]
    loaded = store.load_checkpoint(wave.start)
    if loaded is None:
        return None
    try:
        position = Position.of_arrays(loaded)
    except (KeyError, ValueError, TypeError, IndexError):  # it is of another version
        return None
    known = store.count_records(wave.start, wave.start + wave.places)
    return position if position.wave == number and position.fits(plan) and position.record <= known else None


def trained_until(position: Position) -> int:
    """Count the steps that the lanes of a wave have trained up to a position, frozen lanes not counted."""
    return living_steps(position.done, [own.ended for own in position.lane_status])


def stored_waves(plan: Plan, store: Store) -> set[int]:
    """Find the waves that have ended and are stored."""
    stored = store.stored_places()
    return {n for n, wave in enumerate(plan.waves) if stored[wave.start : wave.start + wave.places].all()}


def stored_steps(plan: Plan, number: int, store: Store, ends: tuple[str, ...]) -> int:
    """Count the steps that the lanes of a stored wave have trained, frozen lanes not counted.

    Args:
        plan: the plan.
        number: number of the wave in the plan.
        store: the store that holds it.
        ends: the variables that hold when lanes ended early.
    """
    wave = plan.waves[number]
    dates = [store.read(name, wave.start, wave.start + len(wave.lanes)) for name in ends]
    ended = np.fmin.reduce(dates)  # of a lane at most one is a number
    total = 0
    for block, rows in zip(plan.programs[wave.program].blocks, wave.rows, strict=True):
        steps = np.nan_to_num(ended[rows] * block.training.steps_per_epoch, nan=block.training.steps)
        total += round(steps.sum())
    return total
