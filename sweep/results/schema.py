"""What results hold: the dimensions and knobs by which lanes differ, a variable's own dimensions, and its direction.

All code that reads results uses this module. Results are what `open_results` gives, a selection of it, or a Dataset
with all lanes along one dimension. Their `status` has the dimensions of the lanes and no others. Units, words and
status codes are defined in `base.labels`.
"""

import re
from collections.abc import Sequence
from typing import Any

import xarray as xr

from sweep.base import labels
from sweep.page.axes import POINT

SEED = "seed"
VALIDATION = "validation_loss"
_NUMBERED = re.compile(rf"{POINT}(_\d+)?")
Labelled = xr.DataArray | xr.Dataset


def lane_dims(ds: xr.Dataset) -> tuple[str, ...]:
    """Name the dimensions along which lanes lie. `seed` is one of them if seeds are swept as a dimension."""
    return tuple(map(str, ds["status"].dims))


def swept_dims(ds: xr.Dataset) -> list[str]:
    """Name the dimensions of lanes except `seed`: their combinations are cells."""
    return [dim for dim in lane_dims(ds) if dim != SEED]


def deciding(ds: xr.Dataset) -> str:
    """Name the metric by which the best lanes are chosen: the validation loss, or the loss if there is none."""
    return VALIDATION if VALIDATION in ds.data_vars and better(ds[VALIDATION]) == "lower" else "loss"


def own_dims(ds: xr.Dataset, name: Any) -> tuple[str, ...]:
    """Name the dimensions of a variable that are not dimensions of lanes, such as `epoch` and `frequency`."""
    return tuple(str(dim) for dim in ds[name].dims if dim not in ds["status"].dims)


def metrics(ds: xr.Dataset) -> list[str]:
    """Name the variables that have a value for each lane and record, in the order of the store."""
    lanes = {*lane_dims(ds)}
    return [str(name) for name, each in ds.data_vars.items() if lanes <= {*each.dims} and "epoch" in each.dims]


def coords_along(array: Labelled, dim: str) -> list[str]:
    """Name the coordinates along a dimension, including the one that has its name."""
    return [str(name) for name, coordinate in array.coords.items() if coordinate.dims == (dim,)]


def is_numbered(array: Labelled, dim: str) -> bool:
    """Tell whether the values of a dimension only number combinations of knobs, as those of a union do."""
    return _NUMBERED.fullmatch(dim) is not None and len(coords_along(array, dim)) > 1


def knobs(ds: xr.Dataset, dims: Sequence[str] | None = None) -> list[str]:
    """Name the swept knobs, in the order of the dimensions along which they lie.

    These are the coordinates along lanes, except those that only number combinations. A knob whose value depends on
    several others, as a default may, has several dimensions; its place in the order is that of the first of them.

    Args:
        ds: results.
        dims: only knobs that have no other dimensions are named; None for the dimensions of lanes.
    """
    dims = lane_dims(ds) if dims is None else dims
    names = [name for name, each in ds.coords.items() if each.dims and {*each.dims} <= {*dims}]
    places = {str(name): min(dims.index(str(dim)) for dim in ds[name].dims) for name in names}
    return [name for name in sorted(places, key=places.__getitem__) if not (name in dims and is_numbered(ds, name))]


def union_knobs(ds: Labelled) -> list[str]:
    """Name the knobs in which the combinations along numbered dimensions differ."""
    dims = [str(dim) for dim in ds.dims if is_numbered(ds, str(dim))]
    return [name for dim in dims for name in coords_along(ds, dim) if name != dim]


def better(array: xr.DataArray) -> labels.Better:
    """Tell which values of a variable are better, by its attribute `better`; without this attribute, by its name."""
    return labels.better(array.name, array.attrs)


def count_unseen(ds: xr.Dataset) -> int:
    """Count the lanes that have not run, or are still running."""
    return int(ds["status"].isin(labels.WITHOUT_DATA).sum())
