"""Unions of axes: their lanes lie along one dimension `point`, and are separated by the knobs along it."""

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
    """Give the dimension along which a name lies: itself, or for a knob of a union `point`.

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
        axes: the dimensions and knobs of the figure's axes.
        facet: the dimension or knob with a panel for each value; a knob may group the lanes of a dimension in `axes`.

    Raises:
        SweepError: if one axis is `point` and another, or the panels, a knob along it, or the reverse.
    """
    for name in axes:
        dim = dimension(array, name)
        if dim != name and dim in (*axes, facet):
            raise SweepError(f"{name!r} lies along {dim!r}, so one can't be drawn against the other: leave one out")


def part_knob(ds: xr.Dataset, most: int) -> str | None:
    """Give the knob by which the parts of a union differ: the first with 2 to `most` values that are words."""
    words = [name for name in schema.union_knobs(ds) if ds[name].dtype.kind in "UO"]
    return next((name for name in words if 1 < len(values_of(ds, name)) <= most), None)


def values_of(array: xr.DataArray | xr.Dataset, name: str) -> list:
    """List the distinct values of a coordinate in order of appearance, without NaN, where a knob does not apply."""
    return list(dict.fromkeys(value for value in array[name].values.tolist() if value == value))


def select_part(array: _Labelled, knob: str, value: object) -> _Labelled:
    """Select the lanes whose knob has a value; the value remains as a scalar coordinate."""
    dim = dimension(array, knob)
    taken = array.isel({dim: np.flatnonzero(array[knob].values == value)})
    return taken.drop_vars(knob).assign_coords({knob: ((), value, array[knob].attrs)})


def unfold_knobs(array: _Labelled, names: Sequence[str]) -> _Labelled:
    """Turn those names that are knobs along another dimension into dimensions.

    Args:
        array: with each combination of these knobs at most once (`select_single`).
        names: dimensions and knobs.

    Returns:
        The array over these names; a combination without a lane in the union counts as not run: NaN.
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
    """Give the values for a combination without a lane."""
    if isinstance(array, xr.DataArray):
        return np.nan
    return {name: np.int8(labels.NOT_RUN) if name == "status" else np.nan for name in array.data_vars}


def select_single(array: _Labelled, dim: str, keys: Sequence[str]) -> _Labelled:
    """Select the lanes to which some knobs apply; no two of these lanes may have the same values.

    Args:
        array: with lanes of a union along `dim`.
        dim: the dimension.
        keys: knobs along it.

    Raises:
        SweepError: if several lanes have the same values, naming the knobs in which these lanes differ.
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
    message = f"{len(twice)} lanes along {dim!r} have {shared}: they differ in {style.join_words(others) or dim}"
    if not others:
        raise SweepError(f"{message}; choose one, as in .isel({dim}=[0])")
    value = same[others[0]].values[0].item()
    raise SweepError(f"{message}; choose one value, as in .isel({dim}=ds.{others[0]} == {value!r})")


def groups(array: xr.DataArray | xr.Dataset, dim: str, keys: Sequence[str]) -> list[list[int]]:
    """Group lanes that have the same values of some knobs.

    Args:
        array: with lanes of a union along `dim`.
        dim: the dimension.
        keys: knobs along it. Lanes to which one of them does not apply are left out.

    Returns:
        For each group, in order of appearance, the indices of its lanes along `dim`.
    """
    found: dict[tuple, list[int]] = {}
    for place, row in enumerate(zip(*(array[name].values.tolist() for name in keys), strict=True)):
        if all(value == value for value in row):
            found.setdefault(row, []).append(place)
    return list(found.values())
