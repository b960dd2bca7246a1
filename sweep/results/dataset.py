"""Results as a labelled Dataset: how one is laid out, and how lanes become a grid again.

In a store, lanes are one flat dimension in the order in which waves ran. `open_results` puts them back into
the dimensions of the axes and turns codes into names.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import xarray as xr

from sweep.base.errors import SweepError
from sweep.base.labels import (
    DIMENSIONS,
    NOT_RUN,
    RECORDED,
    SCHEMA,
    STATUS,
    UNDIGESTED,
    WITHOUT_DATA,
    Quantity,
    flag_attributes,
)
from sweep.page.axes import Axes
from sweep.page.experiment import Experiment
from sweep.page.specs.knobs import Knob
from sweep.results.attribute_checks import check_lanes, check_room
from sweep.results.store import reading, without_loss

LANE: Final = "lane"
TIME: Final = {"prediction": "snapshot_epoch"}  # the time dimension of a quantity is "epoch" unless named here
_BLOCK_BYTES: Final = 2**26  # of a variable that are read at a time, so that no variable is held twice


def skeleton(
    experiment: Experiment,
    columns: Mapping[str, np.ndarray],
    *,
    order: np.ndarray,
    epochs: np.ndarray,
    steps: np.ndarray | None,
    snapshots: np.ndarray,
    quantities: Sequence[Quantity],
    constants: Sequence[Quantity],
    sizes: Mapping[str, np.ndarray],
) -> xr.Dataset:
    """Lay out the Dataset of a sweep that has not run: coordinates in full, variables all NaN.

    Args:
        experiment: what will be run.
        columns: for each swept knob its value in each lane, NaN or "" where it does not apply.
        order: the lanes' numbers in stored order.
        epochs: epoch of each record.
        steps: optimiser steps at each record, None where lanes differ in it.
        snapshots: the records at which predictions are kept.
        quantities: what a record holds.
        constants: what is stored once for each lane.
        sizes: coordinate values of the dimensions that quantities have.

    Returns:
        A Dataset over the flat dimension `lane`; the all-NaN variables take no memory.
    """
    coords: dict[str, Any] = {LANE: (LANE, order, DIMENSIONS[LANE].attributes())}
    for name, column in columns.items():
        coords[name] = (LANE, *_encode(name, column[order], experiment))
    coords["epoch"] = ("epoch", epochs, DIMENSIONS["epoch"].attributes())
    if len(snapshots):
        coords["snapshot_epoch"] = (
            "snapshot_epoch",
            epochs[snapshots],
            DIMENSIONS["snapshot_epoch"].attributes(),
        )
    if steps is not None:
        coords["step"] = ("epoch", steps, RECORDED["step"].attributes())
    for dim, values in sizes.items():
        coords[dim] = (dim, values, DIMENSIONS[dim].attributes())
    if "x" in sizes and not {"low", "high"} & set(columns):  # figures mark where the training points end
        coords["x"][2].update(train_low=experiment.task.low, train_high=experiment.task.high)
    length = {LANE: len(order), "epoch": len(epochs), "snapshot_epoch": len(snapshots)}
    length |= {dim: len(values) for dim, values in sizes.items()}

    def empty(quantity: Quantity, dims: tuple[str, ...], fill: Any) -> tuple[tuple[str, ...], np.ndarray, dict]:
        return dims, np.broadcast_to(fill, [length[dim] for dim in dims]), quantity.attributes()

    kept = [q for q in quantities if length[TIME.get(q.name, "epoch")]]  # no snapshots, no predictions
    nan = np.dtype(experiment.precision).type(np.nan)
    variables = {q.name: empty(q, (LANE, TIME.get(q.name, "epoch"), *q.dims), nan) for q in kept}
    variables |= {q.name: empty(q, (LANE, *q.dims), nan) for q in constants}
    for name in ("first_bad_epoch", *(["stop_epoch"] if experiment.stop else [])):
        variables[name] = empty(RECORDED[name], (LANE,), np.float64(np.nan))
    dims, values, attributes = empty(RECORDED["status"], (LANE,), np.int8(NOT_RUN))
    variables["status"] = (dims, values, attributes | flag_attributes(STATUS))
    return xr.Dataset(variables, coords, {"dimensions": json.dumps(_dimensions(experiment.axes)), "schema": SCHEMA})


def _dimensions(axes: Axes) -> list[tuple[str, int, tuple[str, ...]]]:
    """List name, size and knobs of each factor."""
    return [(n, len(f.rows), f.knobs) for n, f in zip(axes.dimensions(), axes.factors, strict=True)]


def _encode(name: str, column: np.ndarray, experiment: Experiment) -> tuple[np.ndarray, dict[str, Any]]:
    """Give a knob's values as they are stored, names as codes, with their attributes."""
    attributes: dict[str, Any] = {
        "long_name": name.replace("_", " "),
        "units": experiment.knobs()[name][1].units,
    }
    if column.dtype != object:
        return column.astype(_stored_type(experiment.knobs()[name][1], column)), attributes
    words = list(dict.fromkeys(column.tolist()))
    codes = np.array([words.index(word) for word in column], np.int16)
    return codes, attributes | {"flag_values": list(range(len(words))), "flag_meanings": json.dumps(words)}


def _stored_type(knob: Knob, column: np.ndarray) -> Any:
    """Choose the type of a knob's coordinate: numbers are float64 however they were typed, seeds int64."""
    if knob.kind is float:
        return np.float64
    return np.int64 if knob.traced else column.dtype  # counts are NaN where they do not apply


def open_results(path: str | Path) -> xr.Dataset:
    """Open a stored sweep as a labelled Dataset over the dimensions of its axes.

    Args:
        path: a store, complete or not.

    Returns:
        Metrics over the swept dimensions, `epoch` and their own dimensions; NaN where nothing was measured,
        and `status` says why. Coordinates are as typed in the page.

    Raises:
        SweepError: for a path that holds no store, a truncated one, or one of another schema.
    """
    with reading(Path(path)) as flat:
        check_room(Path(path), flat.nbytes)
        ds = unfold(flat)
        if ds.attrs["schema"] in UNDIGESTED:
            _check_whole(ds, path)
    return ds


def _check_whole(ds: xr.Dataset, path: str | Path) -> None:
    """Refuse a store without digests that lacks what its attributes and its lanes' status say is there."""
    status = ds.status.values
    if ds.attrs.get("complete") and bool(np.isin(status, WITHOUT_DATA).any()):
        raise SweepError(f"{path} is truncated: lanes of a complete sweep have not run; run it again with --fresh")
    if without_loss(ds).any():
        raise SweepError(f"{path} is truncated: finished lanes have no values of loss; run it again with --fresh")


def unfold(flat: xr.Dataset) -> xr.Dataset:
    """Turn the flat dimension `lane` into the dimensions of the axes.

    Args:
        flat: a Dataset as stored; what is not in memory yet is read.
    """
    factors = json.loads(flat.attrs["dimensions"])
    dims = {name: int(size) for name, size, _ in factors}
    lane = flat[LANE].values
    check_lanes(lane, list(dims.values()))
    place = np.argsort(lane)[np.count_nonzero(lane < 0) :]  # in any order, with empty places of number -1

    number = np.full(len(lane), -1)  # of the lane in the grid
    number[place] = np.arange(len(place))

    def unfolded(array: xr.DataArray) -> xr.Variable:
        values = np.empty((len(place), *array.shape[1:]), array.dtype)
        for part in _blocks(array):
            here = number[part]
            values[here[here >= 0]] = array[part].values[here >= 0]
        return xr.Variable((*dims, *array.dims[1:]), values.reshape((*dims.values(), *array.shape[1:])), array.attrs)

    variables = {name: unfolded(v) if LANE in v.dims else v.variable.load() for name, v in flat.data_vars.items()}
    coords: dict[Any, Any] = {name: c.variable.load() for name, c in flat.coords.items() if LANE not in c.dims}
    for dim, size, knobs in factors:
        coords[dim] = xr.Variable((dim,), np.arange(size), DIMENSIONS["point"].attributes())
        coords |= {knob: _along(_decode(unfolded(flat[knob])), dim) for knob in knobs}
        if coords[dim].ndim > 1:  # whose values name its places, so that they can't differ from place to place
            raise ValueError(f"the values of {dim} are not those of one dimension")
    return xr.Dataset(variables, coords, flat.attrs)


def lane_table(flat: xr.Dataset) -> xr.Dataset:
    """List the lanes of a store with what tells them apart.

    Args:
        flat: a Dataset as stored.

    Returns:
        Over `lane`, without empty places and in stored order: `lane`, the number in the axes; each swept knob, NaN or
        "" where it does not apply; and the place along each dimension that no knob names, such as `point`.
    """
    factors = json.loads(flat.attrs["dimensions"])
    check_lanes(flat[LANE].values, [size for _, size, _ in factors])
    taken = flat[LANE].values >= 0
    knobs = [knob for *_, own in factors for knob in own]
    table = {knob: _decode(flat[knob].variable.load())[taken] for knob in knobs}
    lanes = flat[LANE].values[taken]
    places = np.unravel_index(lanes, [size for _, size, _ in factors]) if factors else ()
    unnamed = {name: (LANE, at) for (name, _, own), at in zip(factors, places, strict=True) if name not in own}
    return xr.Dataset({**table, **unnamed}, {LANE: lanes})


def _blocks(array: xr.DataArray) -> Iterator[slice]:
    """Cut the lanes of a variable into runs of whole stored chunks."""
    chunk = array.encoding.get("chunks", (1,))[0]
    lanes = max(1, _BLOCK_BYTES // max(1, chunk * array[:1].nbytes)) * chunk
    return (slice(start, start + lanes) for start in range(0, len(array), lanes))


def _decode(values: xr.Variable) -> xr.Variable:
    if "flag_meanings" not in values.attrs:
        return values
    attributes = {key: value for key, value in values.attrs.items() if not key.startswith("flag_")}
    words = np.array(json.loads(values.attrs["flag_meanings"]))
    return xr.Variable(values.dims, words[values.values], attributes)


def _along(values: xr.Variable, dim: str) -> xr.Variable:
    """Keep a knob's own dimension only, unless its value also depends on another (as a default may)."""
    alone = values.isel({other: 0 for other in values.dims if other != dim})
    again = alone.set_dims(dict(values.sizes)).transpose(*values.dims).values
    same = (values.values == again) | ((values.values != values.values) & (again != again))
    return alone if bool(np.all(same)) else values
