"""Filling the waves of a new store from other stores that hold results of its lanes, bit by bit as they are there."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from sweep.engine.plan import Plan, Wave
from sweep.page.matching import NOWHERE
from sweep.results.dataset import LANE
from sweep.results.digests.folder import wave_arrays
from sweep.results.store import Store
from sweep.runs.continuing import position_after
from sweep.runs.curves import Curves
from sweep.runs.networks import FILLS, write_rows
from sweep.runs.progress import Tally
from sweep.runs.provenance import origin, provenance


@dataclass(frozen=True)
class Source:
    """A store of which results are taken.

    Args:
        path: the store, which has been verified and does not change meanwhile.
        lanes: for each of its places, the number of its lane in the new sweep; `NOWHERE` if nothing is taken there.
    """

    path: Path
    lanes: np.ndarray

    @classmethod
    def of(cls, path: Path, numbers: np.ndarray) -> "Source":
        """Describe what a store gives: the lanes of its waves that have ended.

        Args:
            path: the store.
            numbers: for each of its lanes the number of that lane in the new sweep.
        """
        store = Store(path)
        lanes = store.read(LANE, 0, store.layout(LANE)[0][0])
        return cls(path, np.where(store.stored_places() & (lanes >= 0), numbers[lanes], NOWHERE))

    @cached_property
    def group(self) -> zarr.Group:
        """The store, opened."""
        return zarr.open_group(self.path, mode="r", use_consolidated=False)

    @property
    def stored(self) -> np.ndarray:
        """The numbers of the lanes that are taken."""
        return self.lanes[self.lanes != NOWHERE]

    @cached_property
    def variables(self) -> tuple[str, ...]:
        """The names of its variables of lanes; without coordinates, which the new sweep has itself."""
        return tuple(wave_arrays(self.path))

    def bytes_a_lane(self, name: str) -> int:
        """Count the bytes that a variable has in each lane."""
        array: Any = self.group[name]
        return array.dtype.itemsize * prod(array.shape[1:])

    def read(self, name: str, places: np.ndarray) -> np.ndarray:
        """Read one variable at some places."""
        array: Any = self.group[name]
        first, last = places[0], places[-1]
        consecutive = last - first == len(places) - 1 and bool((np.diff(places) == 1).all())
        return np.asarray(array[first : last + 1] if consecutive else array.oindex[places])

    def places_of(self, lanes: np.ndarray) -> np.ndarray:
        """Give the places of lanes of the new sweep; `NOWHERE` of lanes that it does not have."""
        taken, order = self._taken
        if not len(taken):
            return np.full(len(lanes), NOWHERE)
        at = order[np.searchsorted(self.lanes[taken], lanes, sorter=order).clip(max=len(taken) - 1)]
        return np.where(self.lanes[taken[at]] == lanes, taken[at], NOWHERE)

    @cached_property
    def _taken(self) -> tuple[np.ndarray, np.ndarray]:
        """The places from which something is taken, and their order by lanes."""
        taken = np.flatnonzero(self.lanes != NOWHERE)
        return taken, np.argsort(self.lanes[taken])


@dataclass(frozen=True)
class _Share:
    """What one source gives of a wave: the places of the lanes in the wave, and in the source."""

    source: Source
    at: np.ndarray
    places: np.ndarray


def carried(attributes: Mapping[str, Any]) -> dict[str, str]:
    """Give the attributes that say from which page and command a store comes, for one that takes its results."""
    return {name: attributes[name] for name in ("page", "arguments", "parent") if name in attributes}


def describe(plan: Plan, sources: Sequence[Mapping[str, Any]], attributes: Mapping[str, str]) -> dict[str, Any]:
    """Give the attributes of a store that is laid out from others: its own, and those that count on.

    Args:
        plan: the plan of the new store.
        sources: the attributes of the others.
        attributes: further ones.
    """
    counts = {name: sum(source[name] for source in sources) for name in asdict(Tally())}
    earlier = [each for source in sources for each in (*json.loads(source.get("sources", "[]")), origin(source))]
    origins = [each for number, each in enumerate(earlier) if each not in earlier[:number]]
    return {
        **attributes,
        **provenance(plan),
        **counts,
        "lane_steps_planned": plan.lane_steps(),
        "sources": json.dumps(origins),
        "complete": False,
    }


def fill(plan: Plan, store: Store, sources: Sequence[Source], records: int) -> None:
    """Write what sources hold into the waves of a store that was laid out with these lanes.

    Args:
        plan: the plan of the store; its `held` lanes are those that the sources have.
        store: the store, in which nothing is written yet.
        sources: of lanes that several have, the first one counts.
        records: number of records that the sources have. If the plan has more, the waves wait at that record, each with
            a checkpoint, to be trained on.
    """
    assert plan.held is not None, "a plan of a store that is filled says with which lanes"
    for number, wave in enumerate(plan.waves):
        if plan.held[wave.lanes].all():
            _fill_wave(plan, number, store, list(_shares(wave, sources)), records)


def _fill_wave(plan: Plan, number: int, store: Store, shares: Sequence[_Share], records: int) -> None:
    wave = plan.waves[number]
    store.begin(wave.start, wave.start + wave.places)
    curves = Curves(plan, number, store)
    held = {name for share in shares for name in share.source.variables}  # others are metrics of other lanes
    names = [name for name in (*curves.names(), "status") if name in held]
    arrays = {name: _gather(name, shares, len(wave.lanes)) for name in names}
    curves.take_over(arrays)
    if records == len(plan.epochs):
        for name in FILLS.keys() & set(store.names()):
            rows = [(share.at, share.source.read(name, share.places)) for share in shares]
            write_rows(store, name, wave.start, wave.places, rows)
        curves.close()
    else:
        states = _gather("training_state", shares, len(wave.lanes))
        curves.write(records)
        store.save_checkpoint(wave.start, position_after(plan, number, records, arrays, states).arrays())


def _shares(wave: Wave, sources: Sequence[Source]) -> Iterator[_Share]:
    """Divide the lanes of a wave among the sources."""
    left = np.arange(len(wave.lanes))
    for source in sources:
        places = source.places_of(wave.lanes[left])
        own = places != NOWHERE
        if own.any():
            yield _Share(source, left[own], places[own])
        left = left[~own]
    assert not len(left), "a lane that the store was laid out with is in no source"


def _gather(name: str, shares: Sequence[_Share], lanes: int) -> np.ndarray:
    """Gather one variable of a wave's lanes; of sources that differ in size, as of layers, the rest is empty."""
    shares = [share for share in shares if name in share.source.variables]
    parts = [share.source.read(name, share.places) for share in shares]
    shape = np.max([part.shape[1:] for part in parts], axis=0).astype(int)
    kind = parts[0].dtype
    found = np.full((lanes, *shape), np.nan if kind.kind == "f" else 0, kind)
    for share, part in zip(shares, parts, strict=True):
        found[(share.at, *(slice(size) for size in part.shape[1:]))] = part
    return found
