"""The host's buffer of one wave: it collects the curves and writes them to the wave's chunks of the store."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from sweep.base.labels import DIVERGED, FINISHED, NOT_RUN, RUNNING, STOPPED
from sweep.engine.plan import Plan
from sweep.engine.walk import Segment, ended_epochs
from sweep.results.dataset import TIME
from sweep.results.store import Store

# Variables that hold the epoch at which a lane ended early, and the statuses of such lanes.
END_DATES: Final = {"first_bad_epoch": (DIVERGED,), "stop_epoch": STOPPED}


class Curves:
    """All arrays that a store will hold of one wave; their first axis is the lane, in stored order.

    Args:
        plan: the plan.
        wave: number of the wave in the plan.
        store: the store to write to; what it already holds of the wave is loaded.
    """

    def __init__(self, plan: Plan, wave: int, store: Store) -> None:
        self._plan, self._wave, self._store = plan, plan.waves[wave], store
        trainings = [block.training for block in plan.programs[self._wave.program].blocks]
        names = {each.name for training in trainings for each in (*training.quantities(), *training.constants())}
        names |= {*END_DATES}
        names &= set(store.names())  # without snapshots there are no predictions
        self._status = np.full(len(self._wave.lanes), RUNNING, np.int8)
        self._begins = store.count_records(self._wave.start, self._wave.start + self._wave.places) == 0
        self._arrays = {name: self._load(name) for name in sorted(names)}

    def _load(self, name: str) -> np.ndarray:
        if name in END_DATES:  # every segment has them
            return np.full(self._wave.places, np.nan)
        if self._begins:  # there is nothing to read, which takes longer than to know it
            (_, *shape), _ = self._store.layout(name)
            return np.full((self._wave.places, *shape), np.nan, self._plan.experiment.precision)
        return self._store.read(name, self._wave.start, self._wave.start + self._wave.places)

    def names(self) -> tuple[str, ...]:
        """Name the variables that it collects, beside the status."""
        return tuple(self._arrays)

    def take_over(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Take over what other stores hold of the wave: values of its variables, for its lanes, in stored order.

        Args:
            arrays: by name, `status` among them; none is longer along any dimension than the wave's own.
        """
        self._status[:] = arrays["status"]
        for name in self._arrays.keys() & arrays.keys():
            values = arrays[name]
            self._arrays[name][tuple(slice(size) for size in values.shape)] = values

    def add(self, segment: Segment) -> None:
        """Add the values of one segment."""
        for name in END_DATES.keys() & self._arrays.keys():
            self._arrays[name][: len(self._wave.lanes)] = ended_epochs(self._plan, segment, *END_DATES[name])
        for rows, status in zip(self._wave.rows, segment.status, strict=True):
            self._status[rows] = status
        if segment.record is not None:
            for rows, values in zip(self._wave.rows, segment.values, strict=True):
                for name, value in values.items():
                    self._put(name, rows, value, segment.record)
        for rows, constants in zip(self._wave.rows, segment.constants, strict=False):
            for name, values in constants.items():
                self._arrays[name][rows] = values

    def _put(self, name: str, rows: np.ndarray, value: np.ndarray, record: int) -> None:
        if name not in self._arrays:  # predictions without snapshots, or a metric that the store does not have
            return
        moment: Any = record
        if name in TIME:  # kept only at some records
            moment = np.flatnonzero(self._plan.snapshots == record)
            if len(moment) == 0:
                return
            moment = moment[0]
        place = self._arrays[name][:, moment]
        place[(rows, *(slice(size) for size in value.shape[1:]))] = value  # the rest of shorter values remains NaN

    def count_ended(self) -> dict[int, int]:
        """Count the lanes that have ended early, by status."""
        return {status: int(np.count_nonzero(self._status == status)) for status in (DIVERGED, *STOPPED)}

    def write(self, record: int) -> None:
        """Write the values so far; all lanes count as running, even those that have ended early.

        Args:
            record: the number of complete records.
        """
        curves = {name: values for name, values in self._arrays.items() if name not in END_DATES}
        self._write(curves, np.full(len(self._wave.lanes), RUNNING))
        self._store.mark_running(self._wave.start, self._wave.start + self._wave.places, record, curves)

    def close(self) -> None:
        """Write everything, including how and when the lanes have ended."""
        self._write(self._arrays, np.where(self._status == RUNNING, FINISHED, self._status))
        self._store.mark_stored(self._wave.start, self._wave.start + self._wave.places)

    def _write(self, arrays: Mapping[str, np.ndarray], status: np.ndarray) -> None:
        for name, values in arrays.items():
            self._store.write(name, self._wave.start, values)
        self._write_status(status)

    def _write_status(self, status: np.ndarray) -> None:
        padded = np.full(self._wave.places, NOT_RUN, np.int8)  # padding is never run
        padded[: len(status)] = status
        self._store.write("status", self._wave.start, padded)
