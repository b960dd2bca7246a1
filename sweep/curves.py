"""The host's buffer of one wave: curves as they come in, and the chunks of the store that they belong in."""

from typing import Any

import numpy as np

from sweep.execute import Finished, first_bad_epoch
from sweep.labels import DIVERGED, FINISHED, NOT_RUN, RUNNING
from sweep.plan import Plan
from sweep.results import TIME
from sweep.store import Store


class Curves:
    """Everything that a store will hold of one wave, lanes first in stored order.

    Args:
        plan: the plan.
        wave: the wave's place in it.
        store: where it belongs; what it holds of the wave already is taken over.
    """

    def __init__(self, plan: Plan, wave: int, store: Store) -> None:
        self._plan, self._wave, self._store = plan, plan.waves[wave], store
        shapes = [block.shape for block in plan.programs[self._wave.program].blocks]
        names = {quantity.name for shape in shapes for quantity in shape.quantities()}
        names = (names | {"target", "first_bad_epoch"}) & set(store.names())  # no snapshots, no predictions
        self._held = {name: self._read(name) for name in sorted(names)}

    def _read(self, name: str) -> np.ndarray:
        return self._store.read(name, self._wave.start, self._wave.start + self._wave.places)

    def take(self, piece: Finished) -> None:
        """Put the values of one segment in their places."""
        self._held["first_bad_epoch"][: len(self._wave.lanes)] = first_bad_epoch(self._plan, piece)
        if piece.record is not None:
            for rows, values in zip(self._wave.rows, piece.values, strict=True):
                for name, value in values.items():
                    self._put(name, rows, value, piece.record)
        for rows, target in zip(self._wave.rows, piece.targets or [], strict=False):
            self._held["target"][rows] = target

    def _put(self, name: str, rows: np.ndarray, value: np.ndarray, record: int) -> None:
        moment: Any = record
        if name in TIME:  # kept at some records only
            moment = np.flatnonzero(self._plan.snapshots == record)
            if len(moment) == 0:
                return
            moment = moment[0]
        place = self._held[name][:, moment]
        place[(rows, *(slice(size) for size in value.shape[1:]))] = value  # shorter ones leave NaN behind them

    def diverged(self) -> int:
        """Count the lanes that are no longer finite."""
        return int((~np.isnan(self._held["first_bad_epoch"])).sum())

    def write(self) -> None:
        """Write what there is; the lanes count as running."""
        for name, values in self._held.items():
            self._store.write(name, self._wave.start, values)
        self._write_status(np.full(len(self._wave.lanes), RUNNING))

    def close(self) -> None:
        """Write everything, and last of all that the lanes have ended."""
        self.write()
        bad = ~np.isnan(self._held["first_bad_epoch"][: len(self._wave.lanes)])
        self._write_status(np.where(bad, DIVERGED, FINISHED))

    def _write_status(self, status: np.ndarray) -> None:
        whole = np.full(self._wave.places, NOT_RUN, np.int8)  # empty places are never run
        whole[: len(status)] = status
        self._store.write("status", self._wave.start, whole)
