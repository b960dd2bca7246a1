"""The Dataset of a sweep that has not run yet: complete coordinates, and variables that are NaN everywhere."""

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from sweep.base.labels import (
    DIMENSIONS,
    NETWORKS,
    NOT_RUN,
    PARAMETER,
    RECORDED,
    SCHEMA,
    STATE_BYTE,
    STATUS,
    Quantity,
    flag_attributes,
)
from sweep.base.trees import count_bytes, count_entries
from sweep.page.axes import Axes
from sweep.page.experiment import Experiment
from sweep.page.specs.dimension import Dimension
from sweep.page.specs.knobs import Knob
from sweep.page.specs.loss import OF_CLASSES, as_loss
from sweep.page.specs.record import own_dimensions
from sweep.results.dataset import LANE, TIME
from sweep.results.networks import Arrays, encode

Entry = tuple[tuple[str, ...], np.ndarray, dict[str, Any]]  # dimensions, values and attributes of a variable


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
    """Lay out the Dataset of a sweep that has not run.

    Args:
        experiment: the experiment.
        columns: for each swept knob its value in each lane; NaN or "" where the knob does not apply.
        order: the lanes' numbers in stored order.
        epochs: epoch of each record.
        steps: optimiser steps at each record, None if lanes differ in them.
        snapshots: the records at which predictions are stored.
        quantities: the quantities of a record.
        constants: the quantities that are stored once for each lane.
        sizes: coordinate values of the dimensions that quantities have.

    Returns:
        A Dataset over the flat dimension `lane`; its variables, all NaN, take no memory.
    """
    coords = _lane_coordinates(experiment, columns, order) | _time_coordinates(epochs, steps, snapshots)
    coords |= _own_coordinates(experiment, columns, sizes)
    length = {LANE: len(order), "epoch": len(epochs), "snapshot_epoch": len(snapshots)}
    length |= {dim: len(values) for dim, values in sizes.items()}
    kept = [q for q in quantities if length[TIME.get(q.name, "epoch")]]  # without snapshots there are no predictions
    fill = np.dtype(experiment.precision).type(np.nan)
    variables = {q.name: _empty(q, (LANE, TIME.get(q.name, "epoch"), *q.dims), length, fill) for q in kept}
    variables |= {q.name: _empty(q, (LANE, *q.dims), length, fill) for q in constants}
    for name in ("first_bad_epoch", *(["stop_epoch"] if experiment.stop else [])):
        variables[name] = _empty(RECORDED[name], (LANE,), length, np.float64(np.nan))
    dims, values, attributes = _empty(RECORDED["status"], (LANE,), length, np.int8(NOT_RUN))
    variables["status"] = dims, values, attributes | flag_attributes(STATUS)
    return xr.Dataset(variables, coords, {"dimensions": json.dumps(_dimensions(experiment.axes)), "schema": SCHEMA})


def with_networks(flat: xr.Dataset, networks: Sequence[tuple[Arrays, np.ndarray]], keep: str) -> xr.Dataset:
    """Add to a Dataset that has not run the arrays in which trained networks are kept; they take no memory.

    Args:
        flat: what `skeleton` gives.
        networks: the arrays of each network, with the numbers of its lanes in the axes.
        keep: "parameters" or "state".
    """
    lanes = flat[LANE].values
    number_of = np.full(lanes.max() + 2, -1, np.int32)  # the last one is that of -1, an empty place
    for number, (_, members) in enumerate(networks):
        number_of[members] = number
    arrays = [each for each, _ in networks]
    length = {
        LANE: len(lanes),
        PARAMETER: max(count_entries(each.parameters) for each in arrays),
        STATE_BYTE: max(count_bytes(each.state) for each in arrays),
    }
    precision = next(leaf.dtype for each in arrays for leaf in each.parameters)
    fills: dict[str, Any] = {"parameters": np.dtype(precision).type(np.nan)}
    if keep == "state":
        fills["training_state"] = np.uint8(0)
    variables = {
        name: _empty(NETWORKS[name], (LANE, *NETWORKS[name].dims), length, fill) for name, fill in fills.items()
    }
    numbers = (LANE, number_of[lanes], NETWORKS["network"].attributes())
    return flat.assign(variables).assign_coords(network=numbers).assign_attrs(networks=encode(arrays))


def _lane_coordinates(experiment: Experiment, columns: Mapping[str, np.ndarray], order: np.ndarray) -> dict[str, Any]:
    """Lay out the lanes' numbers and knobs."""
    coords: dict[str, Any] = {LANE: (LANE, order, DIMENSIONS[LANE].attributes())}
    return coords | {name: (LANE, *_encode(name, column[order], experiment)) for name, column in columns.items()}


def _time_coordinates(epochs: np.ndarray, steps: np.ndarray | None, snapshots: np.ndarray) -> dict[str, Any]:
    """Lay out the records, in epochs and in steps, and those with predictions."""
    coords: dict[str, Any] = {"epoch": ("epoch", epochs, DIMENSIONS["epoch"].attributes())}
    if len(snapshots):
        coords["snapshot_epoch"] = ("snapshot_epoch", epochs[snapshots], DIMENSIONS["snapshot_epoch"].attributes())
    if steps is not None:
        coords["step"] = ("epoch", steps, RECORDED["step"].attributes())
    return coords


def _own_coordinates(experiment: Experiment, swept: Collection[str], sizes: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Lay out the dimensions that quantities have themselves."""
    own = own_dimensions(experiment.own_metrics())
    coords: dict[str, Any] = {
        dim: (dim, *_encode_words(own.get(dim) or DIMENSIONS[dim], values)) for dim, values in sizes.items()
    }
    if "sample" in sizes:
        coords |= _sample_coordinates(experiment, sizes)
    if not {"low", "high"} & set(swept):  # figures mark where the training points end
        shown = [dim for dim in ("x", "x1", "x2") if dim in coords]
        for dim, low, high in zip(shown, *experiment.task.ends(), strict=False):
            coords[dim][2].update(train_low=low, train_high=high)
    return coords


def _empty(quantity: Quantity, dims: tuple[str, ...], length: Mapping[str, int], fill: Any) -> Entry:
    """Make a variable that has one value everywhere and takes no memory."""
    return dims, np.broadcast_to(fill, [length[dim] for dim in dims]), quantity.attributes()


def _dimensions(axes: Axes) -> list[tuple[str, int, tuple[str, ...]]]:
    """List the name, size and knobs of each factor."""
    return [(n, len(f.rows), f.knobs) for n, f in zip(axes.dimensions(), axes.factors, strict=True)]


def _sample_coordinates(experiment: Experiment, sizes: Collection[str]) -> dict[str, Any]:
    """Lay out what is known of the rows of data of which predictions are stored."""
    task, coords = experiment.task, {}
    for name, (dims, values) in task.coordinates().items():
        if "feature" in dims:
            coords["feature"] = "feature", *_encode_words(DIMENSIONS["feature"], np.array(task.feature_names()))
        if "output" in dims and "output" not in sizes:
            continue
        coords[name] = dims, values, RECORDED[name].attributes()
        if name == "sample_target" and _are_classes(experiment):
            classes = list(task.class_names())
            codes = np.searchsorted(task.labels, values).astype(np.int16)  # type: ignore[attr-defined]
            attributes = RECORDED[name].attributes() | {"class_names": json.dumps(classes)}
            coords[name] = dims, codes, attributes | _flags(classes)
    return coords


def _are_classes(experiment: Experiment) -> bool:
    """Tell whether the targets of data are classes."""
    of = as_loss(experiment.loss).of
    return bool(experiment.task.class_names()) and (of in OF_CLASSES or experiment.task.has_only_classes())


def _encode_words(dim: Quantity | Dimension, values: np.ndarray) -> tuple[np.ndarray, dict[str, Any]]:
    """Give the stored values of a dimension of quantities, with codes for words, and its attributes."""
    if values.dtype.kind != "U":
        return values, dict(dim.attributes())
    return np.arange(len(values), dtype=np.int16), dim.attributes() | _flags(values.tolist())


def _flags(words: list[str]) -> dict[str, Any]:
    """Give the attributes of codes that stand for words."""
    return {"flag_values": list(range(len(words))), "flag_meanings": json.dumps(words)}


def _encode(name: str, column: np.ndarray, experiment: Experiment) -> tuple[np.ndarray, dict[str, Any]]:
    """Give the stored values of a knob, with codes for words, and its attributes."""
    knob = experiment.knobs()[name][1]
    attributes: dict[str, Any] = {"long_name": name.replace("_", " "), "units": knob.units}
    if column.dtype != object:
        return column.astype(_stored_type(knob, column)), attributes
    words = list(dict.fromkeys(column.tolist()))
    codes = np.array([words.index(word) for word in column], np.int16)
    return codes, attributes | _flags(words)


def _stored_type(knob: Knob, column: np.ndarray) -> Any:
    """Choose the type of a knob's coordinate: float64 for a number, even a whole one in the page; int64 for a seed."""
    if knob.kind is float:
        return np.float64
    return np.int64 if knob.traced else column.dtype  # counts are NaN where they do not apply
