"""Lanes as a table of their knobs, in one row however they were laid out: what results are matched by."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
import xarray as xr

from sweep.base.labels import SEEDS
from sweep.results import schema

LANE: Final = "lane"
_SPECS: Final = ("task", "model", "optimizer")  # the parts of a page whose fields can be knobs
Words = str | int | float
Frame = Any  # a pandas.DataFrame or one of its columns, whose declared types are too wide to be of use


@dataclass(frozen=True)
class Part:
    """Results with their lanes in one row.

    Args:
        name: what they are called.
        data: over `lane`.
        table: the lanes' knobs, a column each; NaN or None where a knob does not apply.
        attributes: of the knobs, as of coordinates.
    """

    name: str
    data: xr.Dataset
    table: Frame
    attributes: Mapping[str, Mapping[str, Any]]

    @property
    def knobs(self) -> list[str]:
        """Name the knobs that tell combinations apart, without those that apply to no lane."""
        return [name for name in self.table if name not in SEEDS and self.table[name].notna().any()]

    def fixed(self, knob: str) -> Words | None:
        """Give the value that the page fixes for a knob that it does not sweep, None where it has none."""
        page = json.loads(self.data.attrs.get("experiment", "{}"))
        found = [spec[knob] for spec in (page, *(page.get(name) or {} for name in _SPECS)) if knob in spec]
        return next((each for each in found if isinstance(each, Words)), None)


def stack_lanes(ds: xr.Dataset) -> xr.Dataset:
    """Put all lanes in one row; every knob becomes a coordinate along it."""
    dims = schema.lane_dims(ds)
    if dims == (LANE,):
        return ds
    if not dims:  # of a page without axes, whose one lane has no dimension
        return ds.expand_dims(LANE)
    knobs = schema.knobs(ds)
    columns = {name: ds[name].broadcast_like(ds["status"]).transpose(*dims).values.ravel() for name in knobs}
    attributes = {name: ds[name].attrs for name in knobs}
    alone = [name for name, each in ds.coords.items() if set(each.dims) & set(dims)]
    flat = ds.drop_vars(alone).stack({LANE: dims}, create_index=False)
    return flat.assign_coords({name: (LANE, column, attributes[name]) for name, column in columns.items()})


def count_lacking(ds: xr.Dataset, knob: str) -> int:
    """Count the lanes that have no such knob, as those of Adam in a union with SGD have no momentum."""
    return int(_column(stack_lanes(ds)[knob].values).isna().sum())


def part_of(name: str, ds: xr.Dataset, metric: str) -> Part:
    """Put the lanes of results in one row, with the metric and what became of them.

    Args:
        name: of the results.
        ds: as `open_results` gives them, or a slice of them.
        metric: one of their variables.

    Returns:
        The part; its table has both seeds, at the page's value where they are not swept.
    """
    used = [each for each in (metric, "status", "stop_epoch", "first_bad_epoch") if each in ds.data_vars]
    flat = stack_lanes(ds[used].drop_vars("step", errors="ignore"))
    table = pd.DataFrame(
        {knob: _column(flat[knob].values) for knob in schema.knobs(flat)}, index=range(flat.sizes[LANE])
    )
    part = Part(name, flat, table, {knob: flat[knob].attrs for knob in table})
    for seed in SEEDS:
        if seed not in table:
            table[seed] = float(part.fixed(seed) or 0)
    return part


def _column(values: np.ndarray) -> Frame:
    """Give a knob's values as they are matched: numbers as float64, words as they are, None for "does not apply"."""
    if values.dtype.kind in "iuf":
        return pd.Series(values.astype(float))
    return pd.Series(values.astype(str), dtype=object).replace("", None)
