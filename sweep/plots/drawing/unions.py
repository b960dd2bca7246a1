"""Unions of axes: lanes along one dimension `point`, taken apart again by the knobs that lie along it."""

from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
import xarray as xr

from sweep.base import labels
from sweep.base.errors import SweepError, unknown_name
from sweep.plots.drawing import style
from sweep.results import schema

_Labelled = TypeVar("_Labelled", xr.DataArray, xr.Dataset)


def dimension(array: xr.DataArray | xr.Dataset, name: str) -> str:
    """Give the dimension that a name lies along: itself, or for a knob of a union `point`.

    Raises:
        SweepError: for a name that is neither a dimension nor a coordinate along one.
    """
    if name in array.dims:
        return name
    if name in array.coords and array[name].ndim == 1:
        return str(array[name].dims[0])
    known = [str(other) for other, coordinate in array.coords.items() if coordinate.ndim == 1]
    raise unknown_name("dimension", name, sorted({*map(str, array.dims), *known}))


def check_apart(array: xr.DataArray | xr.Dataset, axes: Sequence[str], facet: str | None) -> None:
    """Refuse to draw a knob of a union against the dimension along which it lies.

    Args:
        array: what is drawn.
        axes: dimensions and knobs that are drawn.
        facet: that with a panel for each value; as a knob it groups the lanes of a dimension that is drawn.

    Raises:
        SweepError: where rows, columns or panels are of `point`, and others of them of a knob along it.
    """
    for name in axes:
        dim = dimension(array, name)
        if dim != name and dim in (*axes, facet):
            raise SweepError(f"{name!r} lies along {dim!r}, so one can't be drawn against the other: leave one out")


def telling_knob(ds: xr.Dataset, most: int) -> str | None:
    """Give the knob that tells the parts of a union apart: the first whose 2 to `most` values are words."""
    words = [name for name in schema.union_knobs(ds) if ds[name].dtype.kind in "UO"]
    return next((name for name in words if 1 < len(values_of(ds, name)) <= most), None)


def values_of(array: xr.DataArray | xr.Dataset, name: str) -> list:
    """List the values of a coordinate, each once, in order of appearance; NaN, which does not apply, is none."""
    return list(dict.fromkeys(value for value in array[name].values.tolist() if value == value))


def part(array: _Labelled, knob: str, value: object) -> _Labelled:
    """Take the lanes whose knob has a value, which stays as a coordinate of its own."""
    dim = dimension(array, knob)
    taken = array.isel({dim: np.flatnonzero(array[knob].values == value)})
    return taken.drop_vars(knob).assign_coords({knob: ((), value, array[knob].attrs)})


def unfold_knobs(array: _Labelled, names: Sequence[str]) -> _Labelled:
    """Make dimensions of those names that are knobs along another dimension.

    Args:
        array: each combination of these knobs at most once (`single`).
        names: dimensions and knobs.

    Returns:
        The array over these names; a combination that the union has no lane of has not run: NaN.
    """
    for dim in {dimension(array, name): None for name in names if name not in array.dims}:
        inner = [name for name in names if name not in array.dims and dimension(array, name) == dim]
        array = array.drop_vars([name for name in schema.coords_along(array, dim) if name not in inner])
        if len(inner) == 1:
            array = array.swap_dims({dim: inner[0]})
            continue
        attributes = {name: array[name].attrs for name in inner}
        array = array.set_index({dim: inner}).unstack(dim, fill_value=_hole(array))
        for name in inner:
            array[name].attrs.update(attributes[name])
    return array


def _hole(array: xr.DataArray | xr.Dataset) -> Any:
    """Give what stands for a lane that there is none of."""
    if isinstance(array, xr.DataArray):
        return np.nan
    return {name: np.int8(labels.NOT_RUN) if name == "status" else np.nan for name in array.data_vars}


def single(array: _Labelled, dim: str, keys: Sequence[str]) -> _Labelled:
    """Take the lanes to which some knobs apply, where these tell all of them apart.

    Args:
        array: with lanes of a union along `dim`.
        dim: the dimension.
        keys: knobs along it.

    Raises:
        SweepError: where several lanes share their knobs, naming those that would tell them apart.
    """
    found = groups(array, dim, keys)
    twice = next((group for group in found if len(group) > 1), None)
    if twice is None:
        return array.isel({dim: [group[0] for group in found]})
    same = array.isel({dim: twice})
    others = [
        name for name in schema.coords_along(array, dim) if name not in (dim, *keys) and len(values_of(same, name)) > 1
    ]
    shared = style.join_words(f"{key} {style.format_number(same[key].values[0])}" for key in keys)
    told = f"{len(twice)} lanes along {dim!r} have {shared}: they differ in {style.join_words(others) or dim}"
    if not others:
        raise SweepError(f"{told}; choose one, as in .isel({dim}=[0])")
    value = same[others[0]].values[0].item()
    raise SweepError(f"{told}; choose one value, as in .isel({dim}=ds.{others[0]} == {value!r})")


def groups(array: xr.DataArray | xr.Dataset, dim: str, keys: Sequence[str]) -> list[list[int]]:
    """Give the places of all lanes that share some knobs, group by group in order of appearance.

    Args:
        array: with lanes of a union along `dim`.
        dim: the dimension.
        keys: knobs along it. Lanes to which one does not apply are left out.
    """
    found: dict[tuple, list[int]] = {}
    for place, row in enumerate(zip(*(array[name].values.tolist() for name in keys), strict=True)):
        if all(value == value for value in row):
            found.setdefault(row, []).append(place)
    return list(found.values())
