"""What results hold: the dimensions and knobs that tell lanes apart, a variable's own dimensions, and its direction.

Everything that reads results asks here. Results are what `open_results` gives, a selection of it, or lanes in one row;
their `status` has the dimensions of the lanes and no others. Units, words and status codes are those of `base.labels`.
"""

import re
from collections.abc import Sequence
from typing import Any

import xarray as xr

from sweep.base import labels
from sweep.page.axes import POINT

SEED = "seed"
_NUMBERED = re.compile(rf"{POINT}(_\d+)?")
Labelled = xr.DataArray | xr.Dataset


def lane_dims(ds: xr.Dataset) -> tuple[str, ...]:
    """Name the dimensions along which lanes lie, `seed` among them where it has one of its own."""
    return tuple(map(str, ds["status"].dims))


def swept_dims(ds: xr.Dataset) -> list[str]:
    """Name the swept dimensions, seeds aside: those whose combinations are cells."""
    return [dim for dim in lane_dims(ds) if dim != SEED]


def own_dims(ds: xr.Dataset, name: Any) -> tuple[str, ...]:
    """Name the dimensions that a variable has beside those of lanes: its time and, say, `frequency`."""
    return tuple(str(dim) for dim in ds[name].dims if dim not in ds["status"].dims)


def metrics(ds: xr.Dataset) -> list[str]:
    """Name the variables that lanes have at every record, in the order of the store."""
    lanes = {*lane_dims(ds)}
    return [str(name) for name, each in ds.data_vars.items() if lanes <= {*each.dims} and "epoch" in each.dims]


def along(array: Labelled, dim: str) -> list[str]:
    """Name the coordinates along a dimension, its own among them."""
    return [str(name) for name, coordinate in array.coords.items() if coordinate.dims == (dim,)]


def is_numbered(array: Labelled, dim: str) -> bool:
    """Tell whether a dimension's own values are mere numbers of combinations of knobs, as of a union."""
    return _NUMBERED.fullmatch(dim) is not None and len(along(array, dim)) > 1


def knobs(ds: xr.Dataset, dims: Sequence[str] | None = None) -> list[str]:
    """Name the swept knobs, in the order of the dimensions along which they lie.

    These are the coordinates along lanes, without mere numbers of combinations. One whose value depends on several
    knobs, as a default may, has several dimensions and stands where the first of them does.

    Args:
        ds: results.
        dims: only those that lie along these and no others; by default those of lanes.
    """
    dims = lane_dims(ds) if dims is None else dims
    names = [name for name, each in ds.coords.items() if each.dims and {*each.dims} <= {*dims}]
    places = {str(name): min(dims.index(str(dim)) for dim in ds[name].dims) for name in names}
    return [name for name in sorted(places, key=places.__getitem__) if not (name in dims and is_numbered(ds, name))]


def union_knobs(ds: Labelled) -> list[str]:
    """Name the knobs that tell the combinations of numbered dimensions apart."""
    dims = [str(dim) for dim in ds.dims if is_numbered(ds, str(dim))]
    return [name for dim in dims for name in along(ds, dim) if name != dim]


def better(array: xr.DataArray) -> labels.Better:
    """Tell which values of a variable are better, by its attribute `better`, or else by its name."""
    return labels.better(array.name, array.attrs)


def unseen(ds: xr.Dataset) -> int:
    """Count the lanes that have not run to their end."""
    return int(ds["status"].isin(labels.WITHOUT_DATA).sum())
