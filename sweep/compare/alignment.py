"""Align two or more results on what they share: combinations of knobs, seeds and records.

Lanes are matched by the values of their knobs and not by position, so a grid can be compared with a union, an axis
with a value that a page fixes, and a slice of a store with another slice.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, Final

import numpy as np
import pandas as pd
import xarray as xr

from sweep.base import labels
from sweep.base.errors import SweepError, unknown_name
from sweep.base.labels import SEEDS
from sweep.results import schema
from sweep.results.lane_tables import LANE, Frame, Part, part_of, stack_lanes

_MOST_LISTED: Final = 6
_CELL, _PAIR = "cell", "pair"


@dataclass(frozen=True)
class Aligned:
    """Results aligned on what they share.

    Args:
        parts: by name, each over `seed`, `dims`, `epoch` and the metric's own dimensions; with the metric and
            `status`. A lane that only other parts have counts as not run. Seeds are those that all parts have; if there
            are none, each part keeps its own.
        dims: the dimensions along which combinations of knobs vary.
        notes: what only some parts have, one sentence each.
    """

    parts: Mapping[str, xr.Dataset]
    dims: tuple[str, ...]
    notes: tuple[str, ...]


def align(stores: Mapping[str, xr.Dataset], metric: str) -> Aligned:
    """Lay results out on the combinations of knobs, the epochs and the other coordinates that all of them have.

    Numbers match only if they are exactly equal. If only some parts sweep a knob, they are compared at the value that
    the pages of the others fix. If the others do not have the knob at all, as Adam has no momentum, they are repeated
    along it.

    Args:
        stores: results as `open_results` gives them, or slices of them, by name.
        metric: the metric to compare.

    Returns:
        The parts, in the order given.

    Raises:
        SweepError: if one lacks the metric, or if nothing is shared.
    """
    for name, ds in stores.items():
        _check(name, ds, metric)
    parts = _add_fixed_knobs([part_of(name, ds, metric) for name, ds in stores.items()])
    cells = reduce(_join, parts[1:], _combinations(parts[0]))
    if not len(cells):
        raise SweepError(_disjoint_message(parts))
    cells, dims = _order(cells)
    laid = {part.name: _lay_out(part, cells, dims, parts) for part in parts}
    aligned = xr.align(*_keep_shared_seeds(list(laid.values())), join="inner", exclude=["seed", *dims])
    shared = dict(zip(laid, aligned, strict=True))
    _check_records(shared)
    notes = (*_metric_notes(stores), *_value_notes(parts), *_record_notes(laid, shared))
    return Aligned(shared, tuple(dims), notes)


def slice_by(ds: xr.Dataset, by: str) -> dict[str, xr.Dataset]:
    """Split results into slices, one for each value of a knob.

    Args:
        ds: results.
        by: a swept knob: a dimension itself, or along another dimension, as in a union.

    Returns:
        The slices without the knob, over one dimension of lanes, by names such as "adam" or "learning rate 0.001".
        Lanes of a union that do not have the knob are in no slice.

    Raises:
        SweepError: if the knob is not swept, takes only one value, or is a seed.
    """
    swept = schema.knobs(ds)
    if by in SEEDS:
        others = [name for name in swept if name not in SEEDS]
        instead = (
            f"name another of {_list_values(others)}" if others else "name two stores, as no other knob is swept here"
        )
        raise SweepError(f"--by {by}: differences are judged over seeds; {instead}")
    if not swept:
        raise SweepError(f"--by {by}: the page of this store sweeps no knob; name two stores")
    if by not in swept:
        raise unknown_name("swept knob", by, swept)
    flat = stack_lanes(ds)
    values = flat[by].values
    several = [value for value in pd.unique(values) if value == value and value != ""]
    if len(several) < 2:
        raise SweepError(f"--by {by}: it takes only {_list_values(several)} here; name a knob with two values or more")
    named = {
        _format_value(v) if isinstance(v, str) else f"{by.replace('_', ' ')} {_format_value(v)}": v for v in several
    }
    return {name: flat.isel(lane=values == value).drop_vars(by) for name, value in named.items()}


# Lanes as tables of knobs.


def _check(name: str, ds: xr.Dataset, metric: str) -> None:
    if metric not in ds.data_vars:
        known = [str(each) for each, v in ds.data_vars.items() if "epoch" in v.dims]
        raise SweepError(f"{name} has no metric {metric!r}: name another with --metric; it has {_list_values(known)}")
    if "epoch" not in ds[metric].dims:
        raise SweepError(f"{metric!r} in {name} has no epochs: name a metric with --metric, such as loss")


def _add_fixed_knobs(parts: Sequence[Part]) -> list[Part]:
    """Add to each part a column for every knob that others sweep and its own page fixes."""
    swept = list(dict.fromkeys(knob for part in parts for knob in part.knobs))
    for part in parts:
        for knob in swept:
            value = part.page_value(knob) if knob not in part.table else None
            if value is not None:
                part.table[knob] = value if isinstance(value, str) else float(value)
    return list(parts)


# What all parts have.


def _combinations(part: Part) -> Frame:
    if not part.knobs:
        return pd.DataFrame(index=range(1))
    return part.table[part.knobs].drop_duplicates(ignore_index=True)


def _join(cells: Frame, part: Part) -> Frame:
    """Keep the combinations that a part has too."""
    others = _combinations(part)
    common = [knob for knob in others if knob in cells]
    return cells.merge(others, on=common) if common else cells.merge(others, how="cross")


def _disjoint_message(parts: Sequence[Part]) -> str:
    """Say in which knob results have nothing in common."""
    first = parts[0]
    for other in parts[1:]:
        for knob in [knob for knob in first.knobs if knob in other.knobs]:
            values, others = (pd.unique(part.table[knob].dropna()) for part in (first, other))
            if not set(values) & set(others):
                return (
                    f"{first.name} and {other.name} share no {knob.replace('_', ' ')}: "
                    f"{_list_values(values)} against {_list_values(others)}; name stores that do"
                )
    return f"{_list_values(part.name for part in parts)} share no combination of knobs: name stores that do"


def _order(cells: Frame) -> tuple[Frame, dict[str, list[str]]]:
    """Sort combinations and name the dimensions that they are laid out along, each with its knobs, main knob first.

    A knob whose value is determined by another's lies along that one. If the combinations are then no full grid, they
    are laid out along one dimension, `point`.
    """
    varying = [str(knob) for knob in cells if cells[knob].nunique(dropna=False) > 1]
    dims: dict[str, list[str]] = {}
    for knob in sorted(varying, key=lambda each: -cells[each].nunique(dropna=False)):
        leader = next((dim for dim in dims if _is_determined(cells, dim, knob)), None)
        dims.setdefault(leader or knob, []).append(knob)
    dims = {knob: dims[knob] for knob in varying if knob in dims}
    grid = len(cells) == np.prod([cells[dim].nunique(dropna=False) for dim in dims])
    if not grid or cells[list(dims)].isna().any(axis=None):
        dims = {"point": varying}
        return cells.reset_index(drop=True), dims
    order = [_codes(cells[dim]) for dim in reversed(dims)]
    return (cells.iloc[np.lexsort(order)] if dims else cells).reset_index(drop=True), dims


def _is_determined(cells: Frame, leader: str, knob: str) -> bool:
    """Tell whether a knob's value is determined by another's."""
    return bool((cells.groupby(leader, dropna=False)[knob].nunique(dropna=False) == 1).all())


def _codes(column: Frame) -> np.ndarray:
    """Number values: numbers in rising order, words in order of appearance."""
    return pd.factorize(column, sort=column.dtype.kind == "f")[0]


def _lay_out(part: Part, cells: Frame, dims: Mapping[str, list[str]], parts: Sequence[Part]) -> xr.Dataset:
    """Put a part's lanes in their places along seeds and dimensions."""
    seeds = part.table[list(SEEDS)].drop_duplicates(ignore_index=True).sort_values(list(SEEDS), ignore_index=True)
    lanes = part.table.rename_axis(LANE).reset_index().merge(seeds.rename_axis(_PAIR).reset_index(), on=list(SEEDS))
    wanted = cells.rename_axis(_CELL).reset_index()
    knobs = part.knobs
    found = wanted.merge(lanes[[LANE, _PAIR, *knobs]], **({"on": knobs} if knobs else {"how": "cross"}))
    place = np.full((len(seeds), len(cells)), -1)
    place[found[_PAIR], found[_CELL]] = found[LANE]
    sizes = [len(cells)] if "point" in dims else [cells[dim].nunique() for dim in dims]
    index = xr.DataArray(place.reshape(len(seeds), *sizes), dims=("seed", *dims))
    data = part.data.drop_vars(schema.knobs(part.data)).isel({LANE: index})
    is_there = index >= 0
    data = data.assign({name: v.where(is_there) for name, v in data.data_vars.items() if name != "status"})
    data["status"] = data["status"].where(is_there, np.int8(labels.NOT_RUN))
    data = data.assign_coords({name: ("seed", seeds[name].to_numpy(np.int64)) for name in SEEDS})
    return data.assign_coords(_coordinates(cells, dims, parts))


def _coordinates(cells: Frame, dims: Mapping[str, list[str]], parts: Sequence[Part]) -> dict[str, xr.Variable]:
    """Give the coordinates of the dimensions that combinations are laid out along, with their attributes."""
    found: dict[str, xr.Variable] = {}
    for dim, knobs in dims.items():
        numbers = np.arange(len(cells)) if dim == "point" else np.unique(_codes(cells[dim]), return_index=True)[1]
        if dim == "point":
            found[dim] = xr.Variable(dim, numbers, labels.DIMENSIONS["point"].attributes())
        for knob in knobs:
            attributes = next((part.attributes[knob] for part in parts if knob in part.attributes), {})
            column = cells[knob].iloc[numbers]
            values = column.to_numpy() if column.dtype.kind == "f" else column.fillna("").to_numpy().astype(str)
            found[knob] = xr.Variable(dim, values, dict(attributes))
    return found


def _keep_shared_seeds(parts: Sequence[xr.Dataset]) -> list[xr.Dataset]:
    """Keep the seeds that all parts have; if there are none, each part keeps its own."""
    keys = [list(zip(*(part[name].values for name in SEEDS), strict=True)) for part in parts]
    common = set.intersection(*map(set, keys))
    if not common:
        return list(parts)
    chosen = ([place for place, key in enumerate(seeds) if key in common] for seeds in keys)
    return [part.isel(seed=places) for part, places in zip(parts, chosen, strict=True)]


def _check_records(shared: Mapping[str, xr.Dataset]) -> None:
    """Refuse results that share no record after training has begun."""
    any_part = next(iter(shared.values()))
    for dim, size in any_part.sizes.items():
        if size == 0:
            raise SweepError(f"{_list_values(shared)} share no {dim}: name stores that do")
    if not (any_part["epoch"] > 0).any():
        raise SweepError(
            f"{_list_values(shared)} share no record but that before training: name stores with the same records"
        )


# Notes on what only some parts have.


def _metric_notes(stores: Mapping[str, xr.Dataset]) -> list[str]:
    recorded = {name: {str(each) for each in ds.data_vars if "epoch" in ds[each].dims} for name, ds in stores.items()}
    union = set.union(*recorded.values())
    return [
        f"{each}: only in {_list_values(name for name in recorded if each in recorded[name])}"
        for each in sorted(union)
        if not all(each in names for names in recorded.values())
    ]


def _value_notes(parts: Sequence[Part]) -> list[str]:
    """Note, knob by knob, which values only some parts have."""
    notes = []
    for knob in dict.fromkeys(knob for part in parts for knob in (*part.knobs, *SEEDS)):
        values = {part.name: set(part.table[knob].dropna()) if knob in part.table else set() for part in parts}
        without = [name for name, each in values.items() if not each]
        if without and len(without) < len(parts):
            notes.append(
                f"{knob}: {_list_values(without)} {'has' if len(without) == 1 else 'have'} none, repeated along it"
            )
        with_values = {name: each for name, each in values.items() if each}
        common = set.intersection(*with_values.values()) if with_values else set()
        rest = {name: each - common for name, each in with_values.items() if each - common}
        notes += [f"{knob}: only {name} has {_list_values(sorted(each, key=_sort_key))}" for name, each in rest.items()]
    return notes


def _record_notes(laid: Mapping[str, xr.Dataset], shared: Mapping[str, xr.Dataset]) -> list[str]:
    """Note how many epochs, and values of the metric's own coordinates, are shared of how many in each part."""
    notes = []
    common = next(iter(shared.values()))
    for dim in ("epoch", *(str(dim) for dim in common.dims if dim not in ("epoch", *schema.lane_dims(common)))):
        more = {name: part.sizes[dim] for name, part in laid.items() if part.sizes[dim] > common.sizes[dim]}
        if more:
            of = _list_values(f"{count} of {name}" for name, count in more.items())
            last = f", the last {_format_value(common[dim].values[-1])}"
            notes.append(f"{dim}: {common.sizes[dim]} shared{last}; there are {of}")
    return notes


def _list_values(values: Any) -> str:
    """List values; of many only the first two and the last."""
    texts = [_format_value(value) for value in values]
    if len(texts) > _MOST_LISTED:
        return f"{texts[0]}, {texts[1]}, ..., {texts[-1]} ({len(texts)} values)"
    return ", ".join(texts) or "nothing"


def _format_value(value: Any) -> str:
    """Write a value as it was typed: 16, 0.000268, adam."""
    return f"{value:.10g}" if isinstance(value, (float, np.floating)) else str(value)


def _sort_key(value: Any) -> tuple[int, Any]:
    return (1, value) if isinstance(value, str) else (0, value)
