"""The host's buffer of one wave: curves as they come in, and the chunks of the store that they belong in."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from sweep.base.labels import CUT, DIVERGED, FINISHED, NOT_RUN, REACHED, RUNNING
from sweep.engine.plan import Plan
from sweep.engine.walk import Segment, ended_epochs
from sweep.results.dataset import TIME
from sweep.results.store import Store

# How lanes may end before their last epoch, and the variable that holds when.
ENDS: Final = {"first_bad_epoch": (DIVERGED,), "stop_epoch": (REACHED, CUT)}


class Curves:
    """Everything that a store will hold of one wave, lanes first in stored order.

    Args:
        plan: the plan.
        wave: the wave's place in it.
        store: where it belongs; what it holds of the wave already is taken over.
    """

    def __init__(self, plan: Plan, wave: int, store: Store) -> None:
        self._plan, self._wave, self._store = plan, plan.waves[wave], store
        trainings = [block.training for block in plan.programs[self._wave.program].blocks]
        names = {each.name for training in trainings for each in (*training.quantities(), *training.constants())}
        names |= {*ENDS}
        names &= set(store.names())  # no snapshots, no predictions
        self._status = np.full(len(self._wave.lanes), RUNNING, np.int8)
        self._held = {name: self._take_over(name) for name in sorted(names)}

    def _take_over(self, name: str) -> np.ndarray:
        if name in ENDS:  # told with every segment
            return np.full(self._wave.places, np.nan)
        return self._store.read(name, self._wave.start, self._wave.start + self._wave.places)

    def take(self, segment: Segment) -> None:
        """Put the values of one segment in their places."""
        for name in ENDS.keys() & self._held.keys():
            self._held[name][: len(self._wave.lanes)] = ended_epochs(self._plan, segment, *ENDS[name])
        for rows, status in zip(self._wave.rows, segment.status, strict=True):
            self._status[rows] = status
        if segment.record is not None:
            for rows, values in zip(self._wave.rows, segment.values, strict=True):
                for name, value in values.items():
                    self._put(name, rows, value, segment.record)
        for rows, constants in zip(self._wave.rows, segment.constants, strict=False):
            for name, values in constants.items():
                self._held[name][rows] = values

    def _put(self, name: str, rows: np.ndarray, value: np.ndarray, record: int) -> None:
        if name not in self._held:  # predictions without snapshots, or a metric that is younger than the store
            return
        moment: Any = record
        if name in TIME:  # kept at some records only
            moment = np.flatnonzero(self._plan.snapshots == record)
            if len(moment) == 0:
                return
            moment = moment[0]
        place = self._held[name][:, moment]
        place[(rows, *(slice(size) for size in value.shape[1:]))] = value  # shorter ones leave NaN behind them

    def ended(self) -> dict[int, int]:
        """Count the lanes that have ended early, by status."""
        return {status: int(np.count_nonzero(self._status == status)) for status in (DIVERGED, REACHED, CUT)}

    def write(self, record: int) -> None:
        """Write what there is; the lanes count as running, those too that have ended early.

        Args:
            record: how many records are whole.
        """
        curves = {name: values for name, values in self._held.items() if name not in ENDS}
        self._write(curves, np.full(len(self._wave.lanes), RUNNING))
        self._store.mark_running(self._wave.start, self._wave.start + self._wave.places, record, curves)

    def close(self) -> None:
        """Write everything, and how and when the lanes have ended."""
        self._write(self._held, np.where(self._status == RUNNING, FINISHED, self._status))
        self._store.mark_stored(self._wave.start, self._wave.start + self._wave.places)

    def _write(self, arrays: Mapping[str, np.ndarray], status: np.ndarray) -> None:
        for name, values in arrays.items():
            self._store.write(name, self._wave.start, values)
        self._write_status(status)

    def _write_status(self, status: np.ndarray) -> None:
        whole = np.full(self._wave.places, NOT_RUN, np.int8)  # empty places are never run
        whole[: len(status)] = status
        self._store.write("status", self._wave.start, whole)
