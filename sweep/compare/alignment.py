"""Two or more results on what they share: the same combinations of knobs, the same records.

Lanes are matched by their knobs' values and not by their places, so a grid meets a union, an axis meets a value that
a page fixes, and a slice of a store meets another slice of it.
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
    """Results on what they share.

    Args:
        parts: by name, each over `seed`, the dimensions below, `epoch` and the metric's own dimensions; with the
            metric and `status`. A lane that only others have is not run. Seeds are those that all have; where there are
        none, each part's own.
        dims: the dimensions along which combinations of knobs vary.
        notes: what only some of them have, a sentence each.
    """

    parts: Mapping[str, xr.Dataset]
    dims: tuple[str, ...]
    notes: tuple[str, ...]


def align(stores: Mapping[str, xr.Dataset], metric: str) -> Aligned:
    """Lay results out on the combinations of knobs, the epochs and the other coordinates that all of them have.

    Numbers match where they are equal exactly, as typed. A knob that only some sweep is taken at the value that the
    pages of the others fix; one that does not exist for the others at all, such as momentum for Adam, leaves them the
    same along it.

    Args:
        stores: results as `open_results` gives them, or slices of them, by name.
        metric: what will be compared.

    Returns:
        The parts, in the order given.

    Raises:
        SweepError: where one lacks the metric, or where nothing is shared.
    """
    for name, ds in stores.items():
        _check(name, ds, metric)
    parts = _with_fixed([part_of(name, ds, metric) for name, ds in stores.items()])
    cells = reduce(_join, parts[1:], _combinations(parts[0]))
    if not len(cells):
        raise SweepError(_disjoint(parts))
    cells, dims = _order(cells)
    laid = {part.name: _lay_out(part, cells, dims, parts) for part in parts}
    met = xr.align(*_keep_shared_seeds(list(laid.values())), join="inner", exclude=["seed", *dims])
    shared = dict(zip(laid, met, strict=True))
    _check_records(shared)
    notes = (*_metrics(stores), *_only(parts), *_records(laid, shared))
    return Aligned(shared, tuple(dims), notes)


def slice_by(ds: xr.Dataset, by: str) -> dict[str, xr.Dataset]:
    """Cut results into slices, one for each value of a knob.

    Args:
        ds: results.
        by: a swept knob, a dimension of its own or one along another dimension, as in a union.

    Returns:
        The slices without the knob, lanes in one row, by "adam" or "learning rate 0.001". Lanes of a union that have no
        such knob are in none of them.

    Raises:
        SweepError: where the knob is not swept, takes one value, or is a seed.
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
    several = pd.unique(values)
    several = [value for value in several if value == value and value != ""]
    if len(several) < 2:
        raise SweepError(f"--by {by}: it takes only {_list_values(several)} here; name a knob with two values or more")
    named = {
        _format_value(v) if isinstance(v, str) else f"{by.replace('_', ' ')} {_format_value(v)}": v for v in several
    }
    return {name: flat.isel(lane=values == value).drop_vars(by) for name, value in named.items()}


# Lanes in one row.


def _check(name: str, ds: xr.Dataset, metric: str) -> None:
    if metric not in ds.data_vars:
        known = [str(each) for each, v in ds.data_vars.items() if "epoch" in v.dims]
        raise SweepError(f"{name} has no metric {metric!r}: name another with --metric; it has {_list_values(known)}")
    if "epoch" not in ds[metric].dims:
        raise SweepError(f"{metric!r} in {name} is not over epochs: name a metric with --metric, such as loss")


def _with_fixed(parts: Sequence[Part]) -> list[Part]:
    """Give each part a column for every knob that others sweep and its own page fixes."""
    swept = list(dict.fromkeys(knob for part in parts for knob in part.knobs))
    for part in parts:
        for knob in swept:
            value = part.page_value(knob) if knob not in part.table else None
            if value is not None:
                part.table[knob] = value if isinstance(value, str) else float(value)
    return list(parts)


# What all have.


def _combinations(part: Part) -> Frame:
    if not part.knobs:
        return pd.DataFrame(index=range(1))
    return part.table[part.knobs].drop_duplicates(ignore_index=True)


def _join(cells: Frame, part: Part) -> Frame:
    """Keep the combinations that a part has too."""
    own = _combinations(part)
    common = [knob for knob in own if knob in cells]
    return cells.merge(own, on=common) if common else cells.merge(own, how="cross")


def _disjoint(parts: Sequence[Part]) -> str:
    """Say where it is that results have nothing in common."""
    first = parts[0]
    for other in parts[1:]:
        for knob in [knob for knob in first.knobs if knob in other.knobs]:
            mine, theirs = (pd.unique(part.table[knob].dropna()) for part in (first, other))
            if not set(mine) & set(theirs):
                return (
                    f"{first.name} and {other.name} share no {knob.replace('_', ' ')}: "
                    f"{_list_values(mine)} against {_list_values(theirs)}; name stores that do"
                )
    return f"{_list_values(part.name for part in parts)} share no combination of knobs: name stores that do"


def _order(cells: Frame) -> tuple[Frame, dict[str, list[str]]]:
    """Sort combinations and name the dimensions that they are laid out along, each with its knobs, main knob first.

    A knob whose value follows from another's lies along that one; what then is no full grid is one dimension, `point`.
    """
    varying = [str(knob) for knob in cells if cells[knob].nunique(dropna=False) > 1]
    dims: dict[str, list[str]] = {}
    for knob in sorted(varying, key=lambda each: -cells[each].nunique(dropna=False)):
        leader = next((dim for dim in dims if _follows(cells, dim, knob)), None)
        dims.setdefault(leader or knob, []).append(knob)
    dims = {knob: dims[knob] for knob in varying if knob in dims}
    grid = len(cells) == np.prod([cells[dim].nunique(dropna=False) for dim in dims])
    if not grid or cells[list(dims)].isna().any(axis=None):
        dims = {"point": varying}
        return cells.reset_index(drop=True), dims
    order = [_codes(cells[dim]) for dim in reversed(dims)]
    return (cells.iloc[np.lexsort(order)] if dims else cells).reset_index(drop=True), dims


def _follows(cells: Frame, leader: str, knob: str) -> bool:
    """Tell whether a knob's value follows from another's."""
    return bool((cells.groupby(leader, dropna=False)[knob].nunique(dropna=False) == 1).all())


def _codes(column: Frame) -> np.ndarray:
    """Number values: numbers rising, words as they come."""
    return pd.factorize(column, sort=column.dtype.kind == "f")[0]


def _lay_out(part: Part, cells: Frame, dims: Mapping[str, list[str]], parts: Sequence[Part]) -> xr.Dataset:
    """Put a part's lanes in their places."""
    seeds = part.table[list(SEEDS)].drop_duplicates(ignore_index=True).sort_values(list(SEEDS), ignore_index=True)
    lanes = part.table.rename_axis(LANE).reset_index().merge(seeds.rename_axis(_PAIR).reset_index(), on=list(SEEDS))
    wanted = cells.rename_axis(_CELL).reset_index()
    own = part.knobs
    found = wanted.merge(lanes[[LANE, _PAIR, *own]], **({"on": own} if own else {"how": "cross"}))
    place = np.full((len(seeds), len(cells)), -1)
    place[found[_PAIR], found[_CELL]] = found[LANE]
    sizes = [len(cells)] if "point" in dims else [cells[dim].nunique() for dim in dims]
    index = xr.DataArray(place.reshape(len(seeds), *sizes), dims=("seed", *dims))
    data = part.data.drop_vars(schema.knobs(part.data)).isel({LANE: index})
    there = index >= 0
    data = data.assign({name: v.where(there) for name, v in data.data_vars.items() if name != "status"})
    data["status"] = data["status"].where(there, np.int8(labels.NOT_RUN))
    data = data.assign_coords({name: ("seed", seeds[name].to_numpy(np.int64)) for name in SEEDS})
    return data.assign_coords(_coordinates(cells, dims, parts))


def _coordinates(cells: Frame, dims: Mapping[str, list[str]], parts: Sequence[Part]) -> dict[str, xr.Variable]:
    """Give the coordinates of the dimensions that combinations are laid out along, with words and units."""
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
    """Keep the seeds that all have; where there are none, each its own."""
    keys = [list(zip(*(part[name].values for name in SEEDS), strict=True)) for part in parts]
    common = set.intersection(*map(set, keys))
    if not common:
        return list(parts)
    chosen = ([place for place, key in enumerate(own) if key in common] for own in keys)
    return [part.isel(seed=places) for part, places in zip(parts, chosen, strict=True)]


def _check_records(shared: Mapping[str, xr.Dataset]) -> None:
    """Refuse results that meet nowhere but before training."""
    any_part = next(iter(shared.values()))
    for dim, size in any_part.sizes.items():
        if size == 0:
            raise SweepError(f"{_list_values(shared)} share no {dim}: name stores that do")
    if not (any_part["epoch"] > 0).any():
        raise SweepError(
            f"{_list_values(shared)} share no record but that before training: name stores of like records"
        )


# What only some have, in words.


def _metrics(stores: Mapping[str, xr.Dataset]) -> list[str]:
    recorded = {name: {str(each) for each in ds.data_vars if "epoch" in ds[each].dims} for name, ds in stores.items()}
    union = set.union(*recorded.values())
    return [
        f"{each}: only in {_list_values(name for name in recorded if each in recorded[name])}"
        for each in sorted(union)
        if not all(each in names for names in recorded.values())
    ]


def _only(parts: Sequence[Part]) -> list[str]:
    """Say, knob by knob, which values only some have."""
    told = []
    for knob in dict.fromkeys(knob for part in parts for knob in (*part.knobs, *SEEDS)):
        values = {part.name: set(part.table[knob].dropna()) if knob in part.table else set() for part in parts}
        without = [name for name, each in values.items() if not each]
        if without and len(without) < len(parts):
            told.append(
                f"{knob}: {_list_values(without)} {'has' if len(without) == 1 else 'have'} none, the same along it"
            )
        having = {name: each for name, each in values.items() if each}
        common = set.intersection(*having.values()) if having else set()
        rest = {name: each - common for name, each in having.items() if each - common}
        told += [f"{knob}: only {name} has {_list_values(sorted(each, key=_rank))}" for name, each in rest.items()]
    return told


def _records(laid: Mapping[str, xr.Dataset], shared: Mapping[str, xr.Dataset]) -> list[str]:
    """Say of epochs and the metric's own coordinates how many of each part's are shared."""
    told = []
    common = next(iter(shared.values()))
    for dim in ("epoch", *(str(dim) for dim in common.dims if dim not in ("epoch", *schema.lane_dims(common)))):
        more = {name: part.sizes[dim] for name, part in laid.items() if part.sizes[dim] > common.sizes[dim]}
        if more:
            of = _list_values(f"{count} of {name}" for name, count in more.items())
            last = f", the last {_format_value(common[dim].values[-1])}"
            told.append(f"{dim}: {common.sizes[dim]} shared{last}; there are {of}")
    return told


def _list_values(values: Any) -> str:
    """List values shortly: the first and last of many."""
    texts = [_format_value(value) for value in values]
    if len(texts) > _MOST_LISTED:
        return f"{texts[0]}, {texts[1]}, ..., {texts[-1]} ({len(texts)} values)"
    return ", ".join(texts) or "nothing"


def _format_value(value: Any) -> str:
    """Write a value as it was typed: 16, 0.000268, adam."""
    return f"{value:.10g}" if isinstance(value, (float, np.floating)) else str(value)


def _rank(value: Any) -> tuple[int, Any]:
    return (1, value) if isinstance(value, str) else (0, value)
