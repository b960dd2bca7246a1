"""Results as a labelled Dataset, in which lanes are a grid again.

In a store, lanes lie along one flat dimension, in the order in which waves ran. `open_results` arranges them along
the dimensions of the axes and turns codes into words.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import xarray as xr

from sweep.base.errors import SweepError
from sweep.base.labels import DIMENSIONS, UNDIGESTED, WITHOUT_DATA
from sweep.results.checks.memory import check_memory
from sweep.results.checks.values import check_lanes
from sweep.results.store.older_stores import lanes_without_loss
from sweep.results.store.reading import open_flat
from sweep.results.store.working_copies import in_folder

LANE: Final = "lane"
# The time dimension of a quantity is "epoch" unless named here.
TIME: Final = {"prediction": "snapshot_epoch", "sample_prediction": "snapshot_epoch"}
_BLOCK_BYTES: Final = 2**26  # read at a time, so that no variable is in memory twice


def open_results(path: str | Path) -> xr.Dataset:
    """Open a stored sweep as a labelled Dataset over the dimensions of its axes.

    Args:
        path: a store, complete or not: a folder, or an address such as "s3://bucket/name".

    Returns:
        Metrics over the swept dimensions, `epoch` and their own dimensions; NaN where nothing was measured,
        and `status` says why. Coordinates are as typed in the page.

    Raises:
        SweepError: for a path without a store, a damaged store, or one of another schema.
    """
    with in_folder(path) as folder, open_flat(folder) as flat:
        check_memory(folder, flat.nbytes)
        ds = unfold(flat)
        if ds.attrs["schema"] in UNDIGESTED:
            _check_complete(ds, folder)
    return ds


def lock_values(ds: xr.Dataset) -> xr.Dataset:
    """Return results whose values can't be changed in place, for a function of a page; nothing is copied.

    Assigning to an element raises a ValueError; whole variables of the Dataset that is returned can be replaced.
    """
    locked = ds.copy()
    for name, variable in ds.data_vars.items():
        values = variable.values.view()
        values.flags.writeable = False
        locked[name] = variable.copy(data=values)
    return locked


def _check_complete(ds: xr.Dataset, path: str | Path) -> None:
    """Refuse a store without digests if lanes or losses are missing that it should have by its attributes or status."""
    status = ds.status.values
    if ds.attrs.get("complete") and bool(np.isin(status, WITHOUT_DATA).any()):
        raise SweepError(f"{path} is truncated: lanes of a complete sweep have not run; run it again with --fresh")
    if lanes_without_loss(ds).any():
        raise SweepError(f"{path} is truncated: finished lanes have no values of loss; run it again with --fresh")


def unfold(flat: xr.Dataset) -> xr.Dataset:
    """Turn the flat dimension `lane` into the dimensions of the axes.

    Args:
        flat: a Dataset as stored; what is not in memory yet is read.

    Returns:
        The same variables over the dimensions of the axes, with the words of knobs in place of codes.

    Raises:
        ValueError: if the lanes are not those of the axes, or a knob does not lie along its dimension.
    """
    factors = json.loads(flat.attrs["dimensions"])
    dims = {name: int(size) for name, size, _ in factors}
    rows = _grid_rows(flat[LANE].values, dims)
    variables = {
        name: _unfold(array, rows, dims) if LANE in array.dims else array.variable.load()
        for name, array in flat.data_vars.items()
    }
    coords: dict[Any, Any] = {name: _decode(c.variable.load()) for name, c in flat.coords.items() if LANE not in c.dims}
    for dim, size, knobs in factors:
        coords[dim] = xr.Variable((dim,), np.arange(size), DIMENSIONS["point"].attributes())
        coords |= {knob: _drop_other_dims(_decode(_unfold(flat[knob], rows, dims)), dim) for knob in knobs}
        if coords[dim].ndim > 1:  # the values of this knob label the places along the dimension
            raise ValueError(f"the values of {dim} are not those of one dimension")
    return xr.Dataset(variables, coords, flat.attrs)


def _grid_rows(lane: np.ndarray, dims: Mapping[str, int]) -> np.ndarray:
    """For each place in a store, give the row of its lane in the flattened grid, -1 for an empty place."""
    check_lanes(lane, list(dims.values()))
    place = np.argsort(lane)[np.count_nonzero(lane < 0) :]
    rows = np.full(len(lane), -1)
    rows[place] = np.arange(len(place))
    return rows


def _unfold(array: xr.DataArray, rows: np.ndarray, dims: Mapping[str, int]) -> xr.Variable:
    """Put the lanes of a variable into the grid, reading it block by block so that it is never in memory twice."""
    values = np.empty((np.count_nonzero(rows >= 0), *array.shape[1:]), array.dtype)
    for block in _blocks(array):
        in_block = rows[block]
        values[in_block[in_block >= 0]] = array[block].values[in_block >= 0]
    return xr.Variable((*dims, *array.dims[1:]), values.reshape((*dims.values(), *array.shape[1:])), array.attrs)


def lane_table(flat: xr.Dataset) -> xr.Dataset:
    """List the lanes of a store with the values in which they differ.

    Args:
        flat: a Dataset as stored.

    Returns:
        Over `lane`, without empty places and in stored order: `lane`, the number in the axes; each swept knob, NaN or
        "" where it does not apply; and the index along each dimension that is not named by a knob, such as `point`.
    """
    factors = json.loads(flat.attrs["dimensions"])
    check_lanes(flat[LANE].values, [size for _, size, _ in factors])
    is_lane = flat[LANE].values >= 0
    table = {knob: _decode(flat[knob].variable.load())[is_lane] for *_, knobs in factors for knob in knobs}
    lanes = flat[LANE].values[is_lane]
    indices = np.unravel_index(lanes, [size for _, size, _ in factors]) if factors else ()
    unnamed = {
        name: (LANE, index) for (name, _, knobs), index in zip(factors, indices, strict=True) if name not in knobs
    }
    return xr.Dataset({**table, **unnamed}, {LANE: lanes})


def _blocks(array: xr.DataArray) -> Iterator[slice]:
    """Divide the lanes of a variable into blocks of complete stored chunks."""
    chunk = array.encoding.get("chunks", (1,))[0]
    lanes = max(1, _BLOCK_BYTES // max(1, chunk * array[:1].nbytes)) * chunk
    return (slice(start, start + lanes) for start in range(0, len(array), lanes))


def _decode(values: xr.Variable) -> xr.Variable:
    if "flag_meanings" not in values.attrs:
        return values
    attributes = {key: value for key, value in values.attrs.items() if not key.startswith("flag_")}
    words = np.array(json.loads(values.attrs["flag_meanings"]))
    return xr.Variable(values.dims, words[values.values], attributes)


def _drop_other_dims(values: xr.Variable, dim: str) -> xr.Variable:
    """Drop all dimensions of a knob except its own, unless its value depends on them, as a default may."""
    reduced = values.isel({other: 0 for other in values.dims if other != dim})
    repeated = reduced.set_dims(dict(values.sizes)).transpose(*values.dims).values
    same = (values.values == repeated) | ((values.values != values.values) & (repeated != repeated))
    return reduced if bool(np.all(same)) else values
