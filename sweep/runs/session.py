"""One process's work on one store: what is stored already, what comes in, and when it goes to disk."""

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from sweep.base.errors import UNWRITABLE, SweepError
from sweep.base.signals import Requests, Terminated, deferred
from sweep.engine.plan import Plan
from sweep.engine.prepare import prepare
from sweep.engine.walk import Segment, living_steps, walk
from sweep.engine.wave import Position
from sweep.results.store import Store
from sweep.runs.curves import ENDS, Curves
from sweep.runs.provenance import arithmetic

SAVE_SECONDS: Final = 10.0  # how often what there is goes to disk ...
SAVE_SECONDS_MOST: Final = 25.0  # ... where saving itself is slow


@dataclass
class Tally:
    """Counts of a sweep, stored as its attributes and carried over resumes.

    Args:
        lane_steps: optimiser steps of real, living lanes in the stored result.
        lane_steps_executed: steps executed, those of padding lanes and repeated ones included.
        training_seconds: time inside the program.
        compile_seconds: time compiling.
    """

    lane_steps: int = 0
    lane_steps_executed: int = 0
    training_seconds: float = 0.0
    compile_seconds: float = 0.0


@dataclass(frozen=True)
class Progress:
    """What a watcher is told between segments.

    Args:
        stage: "compiling" or "training".
        plan: the plan.
        lane_steps: steps that the lanes have come so far, frozen lanes counted as if they lived.
        ended: how many lanes of the present wave have ended early, by status.
        tally: counts so far.
    """

    stage: str
    plan: Plan
    lane_steps: int
    ended: dict[int, int]
    tally: Tally


class Session:
    """Trains what a store lacks.

    Args:
        plan: the plan that the store was made for.
        store: the store.
        watch: called between segments.

    Raises:
        SweepError: if this machine computes other bits than the stored ones.
    """

    def __init__(self, plan: Plan, store: Store, watch: Callable[[Progress], None]) -> None:
        self._plan, self._store, self._watch = plan, store, watch
        attributes = self._store.attributes()
        _refuse_other_bits(attributes, plan, store.path)
        counted = attributes | self._store.last_beat()
        self._tally = Tally(**{name: counted[name] for name in asdict(Tally())})
        self._stored = _stored_waves(plan, self._store)
        self._tally.lane_steps = sum(self._steps_of(wave) for wave in self._stored)
        self._curves: tuple[int, Curves] | None = None
        self._due = time.monotonic() + SAVE_SECONDS

    def run(self) -> None:
        """Train to the end, saving every few seconds; a signal or a full disk leaves a store to go on with.

        Raises:
            SweepError: if the store can't be written, as on a full disk.
        """
        try:
            with deferred() as requests:
                self._train(requests)
            self._store.note(**asdict(self._tally), complete=True)
            self._store.clear()
        except OSError as error:
            remedy = UNWRITABLE.get(error.errno or 0, "mend that")
            raise SweepError(
                f"can't write {self._store.path}: {error.strerror or error}; finished lanes are intact: "
                f"{remedy} and go on with --resume"
            ) from error

    def _train(self, requests: Requests) -> None:
        self._tell("compiling", 0)
        begun = time.perf_counter()
        try:
            prepare(self._plan, requests.obey)
        finally:  # what was compiled for a wave that proved too large counts too
            self._tally.compile_seconds += time.perf_counter() - begun
            self._store.beat(asdict(self._tally))
        position = self._position()
        for segment in walk(self._plan, skip=self._stored, resume=position):
            if self._curves is None or self._curves[0] != segment.wave:
                self._curves = segment.wave, self._begun(segment.wave, position)
            self._take(segment)
            try:
                requests.obey()
            except (KeyboardInterrupt, Terminated):
                if segment.wave not in self._stored:
                    self._save(segment)
                raise

    def _begun(self, wave: int, position: Position | None) -> Curves:
        """Take up a wave: where it stands if that is known, else from nothing, whatever a killed run wrote of it."""
        here = self._plan.waves[wave]
        if position is None or position.wave != wave:
            self._store.begin(here.start, here.start + here.places)
        return Curves(self._plan, wave, self._store)

    def _take(self, segment: Segment) -> None:
        assert self._curves is not None
        curves = self._curves[1]
        curves.take(segment)
        self._tally.lane_steps_executed += segment.executed
        self._tally.training_seconds += segment.seconds
        self._store.beat(asdict(self._tally))
        if segment.record == len(self._plan.epochs) - 1:
            curves.close()
            self._stored.add(segment.wave)
            self._tally.lane_steps += living_steps(segment)
            self._store.note(**asdict(self._tally))
        elif time.monotonic() > self._due:
            self._save(segment)
        self._tell("training", self._come(segment))

    def _save(self, segment: Segment) -> None:
        """Write curves first and the checkpoint after them, so that no checkpoint is ahead of its curves."""
        assert self._curves is not None
        begun = time.monotonic()
        position = segment.position()
        self._curves[1].write(position.record)
        self._store.save_checkpoint(position.arrays())
        counts = asdict(self._tally) | {"lane_steps": self._tally.lane_steps + living_steps(segment)}
        self._store.note(**counts)
        now = time.monotonic()
        self._due = now + min(SAVE_SECONDS_MOST, max(SAVE_SECONDS, 10 * (now - begun)))

    def _position(self) -> Position | None:
        """Find where the present wave stands."""
        loaded = self._store.load_checkpoint()
        if loaded is None:
            return None
        try:
            position = Position.of_arrays(loaded)
        except (KeyError, ValueError, TypeError, IndexError):  # not one of this version's
            return None
        return position if position.wave not in self._stored and self._fits(position) else None

    def _fits(self, position: Position) -> bool:
        """Tell whether a position is of a wave as it is planned now, and of records that its digest is of."""
        if not position.fits(self._plan):
            return False
        wave = self._plan.waves[position.wave]
        return position.record <= self._store.recorded(wave.start, wave.start + wave.places)

    def _steps_of(self, wave: int) -> int:
        """Count the steps of the living lanes of a stored wave."""
        here = self._plan.waves[wave]
        names = ENDS.keys() & set(self._store.names())
        dates = [self._store.read(name, here.start, here.start + len(here.lanes)) for name in sorted(names)]
        ended = np.fmin.reduce(dates)  # of a lane at most one is a number
        total = 0
        for block, rows in zip(self._plan.programs[here.program].blocks, here.rows, strict=True):
            steps = np.nan_to_num(ended[rows] * block.training.steps_per_epoch, nan=block.training.steps)
            total += round(steps.sum())
        return total

    def _come(self, segment: Segment) -> int:
        """Count how far the lanes have come, those of stored waves included."""
        whole = sum(self._lane_steps(w) for w in self._stored)
        if segment.wave in self._stored:
            return whole
        return whole + sum(
            int(done) * len(rows) for done, rows in zip(segment.done, self._plan.waves[segment.wave].rows, strict=True)
        )

    def _lane_steps(self, wave: int) -> int:
        here = self._plan.waves[wave]
        blocks = self._plan.programs[here.program].blocks
        return sum(block.training.steps * len(rows) for block, rows in zip(blocks, here.rows, strict=True))

    def _tell(self, stage: str, lane_steps: int) -> None:
        ended = self._curves[1].ended() if self._curves else {}
        self._watch(Progress(stage, self._plan, lane_steps, ended, self._tally))


def _stored_waves(plan: Plan, store: Store) -> set[int]:
    """Find the waves that have ended and are stored."""
    sealed = store.sealed()
    return {n for n, wave in enumerate(plan.waves) if sealed[wave.start : wave.start + wave.places].all()}


def _refuse_other_bits(attributes: dict[str, Any], plan: Plan, path: Path) -> None:
    """Refuse to mix results of different arithmetic in one store."""
    begun = {name: json.loads(attributes["arithmetic"]).get(name) for name in arithmetic(plan)}
    for name, now in arithmetic(plan).items():
        if begun[name] != now:
            raise SweepError(
                f"{path} was begun with {name} {begun[name]}, here it is {now}, which may change bits: "
                f"go on where it was begun, or start anew with --fresh"
            )
