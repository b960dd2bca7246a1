"""The values of a store that are used to find others: codes, records, coordinates and the numbers of lanes."""

from collections.abc import Sequence
from math import prod

import numpy as np
import xarray as xr

from sweep.base.labels import SEEDS, STATUS
from sweep.files.bounded_json import parse
from sweep.page.specs.knobs import LARGEST_SEED
from sweep.results.checks.arrays import INNER, LANE, MOMENTS, words_of
from sweep.results.checks.scalars import require
from sweep.results.checks.structured import page_dimensions


def check_values(flat: xr.Dataset) -> xr.Dataset:
    """Check the values of a store that are used to find others.

    Args:
        flat: a store as it is laid out; its arrays have passed `hierarchy.check_store`.

    Returns:
        The same, with its coordinates marked as such.

    Raises:
        ValueError: for codes, records or coordinates that are impossible.
    """
    knobs = [knob for *_, dim_knobs in parse(flat.attrs["dimensions"]) for knob in dim_knobs]
    flat = flat.set_coords([name for name in ("step", *knobs, *flat.dims) if name in flat.variables])
    if "network" in flat.variables and flat["network"].dims == (LANE,):
        flat = flat.set_coords("network")
    _check_codes("status", flat["status"].values, len(STATUS))
    for knob in knobs:
        _check_knob(flat[knob][flat[LANE].values >= 0])
    if "network" in flat.coords and "networks" in flat.attrs:
        _check_network_numbers(flat["network"].values, flat[LANE].values >= 0, len(parse(flat.attrs["networks"])))
    _check_records(flat)
    own = page_dimensions(flat.attrs)
    for name in {*INNER, *own} & {*flat.coords}:
        require(bool(np.isfinite(flat[name].values).all()), f"its {name} is not finite")
    for name in {"frequency", *own} & {*flat.coords}:
        require(np.unique(flat[name]).size == flat[name].size, f"its {name} has a value twice")
    return flat


def check_lanes(lane: np.ndarray, sizes: Sequence[int]) -> None:
    """Make sure that each lane of the axes is stored exactly once; empty places have the number -1.

    Args:
        lane: the numbers of the lanes, in stored order.
        sizes: the sizes of the dimensions of the axes.

    Raises:
        ValueError: if not.
    """
    numbers = np.sort(lane[lane >= 0])
    complete = numbers.size == prod(sizes) and np.array_equal(numbers, np.arange(numbers.size))
    right = complete and bool((lane >= -1).all())
    require(right, f"its lanes are not the {prod(sizes):,} of its dimensions, once each")


def _check_records(flat: xr.Dataset) -> None:
    for name in MOMENTS:
        if name in flat.coords:
            _check_rising(name, flat[name].values)
    if "snapshot_epoch" in flat.coords and "epoch" in flat.coords:
        at_records = bool(np.isin(flat["snapshot_epoch"], flat["epoch"]).all())
        require(at_records, "its snapshot_epoch has a value that is not one of epoch")


def _check_rising(name: str, values: np.ndarray) -> None:
    rising = bool(np.isfinite(values).all() and values[0] >= 0 and (np.diff(values) > 0).all())
    require(rising, f"its {name} does not rise from record to record")


def _check_knob(column: xr.DataArray) -> None:
    name = str(column.name)
    if "flag_meanings" in column.attrs:
        _check_codes(name, column.values, len(words_of(dict(column.attrs))))
    elif column.dtype.kind == "f":
        require(not bool(np.isinf(column.values).any()), f"its {name} is infinite in a lane")
        applies = column.size == 1 or not bool(np.isnan(column.values).all())  # a lane alone may lack the knob
        require(applies, f"its {name} is not a number in any lane")
    if name in SEEDS:
        inside = bool(((column >= 0) & (column <= LARGEST_SEED)).all())
        require(inside, f"its {name} is not from 0 to {LARGEST_SEED:,} in every lane")


def _check_network_numbers(numbers: np.ndarray, is_lane: np.ndarray, count: int) -> None:
    known = bool(((numbers[is_lane] >= 0) & (numbers[is_lane] < count)).all())
    require(known, f"its network has numbers that none of its {count:,} networks has")


def _check_codes(name: str, codes: np.ndarray, count: int) -> None:
    require(bool(((codes >= 0) & (codes < count)).all()), f"its {name} has codes that none of its {count} words has")
