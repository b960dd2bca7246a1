"""Lanes as a table of their knobs, used to match the lanes of several results."""

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
_SPECS: Final = ("task", "model", "optimizer", "training", "loss")  # the parts of a page that can have knobs
Scalar = str | int | float
Frame = Any  # a pandas.DataFrame or one of its columns; pandas' own types are too wide to be of use


@dataclass(frozen=True)
class Part:
    """Results with all lanes along one dimension.

    Args:
        name: the name under which the results are shown.
        data: a Dataset over `lane`.
        table: a row for each lane, a column for each knob; NaN or None where a knob does not apply.
        attributes: for each knob the attributes of its coordinate.
    """

    name: str
    data: xr.Dataset
    table: Frame
    attributes: Mapping[str, Mapping[str, Any]]

    @property
    def knobs(self) -> list[str]:
        """Name the knobs in which combinations may differ: all that apply to some lane, seeds aside."""
        return [name for name in self.table if name not in SEEDS and self.table[name].notna().any()]

    def page_value(self, knob: str) -> Scalar | None:
        """Give the page's value of a knob that is not swept, None if it has none."""
        page = json.loads(self.data.attrs.get("experiment", "{}"))
        specs = [page, *(each for name in _SPECS if isinstance(each := page.get(name), dict))]
        numbers = [spec.get("numbers") or {} for spec in specs]  # those whose names the page chose
        found = [spec[knob] for spec in (*specs, *numbers) if knob in spec]
        return next((each for each in found if isinstance(each, Scalar)), None)


def stack_lanes(ds: xr.Dataset) -> xr.Dataset:
    """Arrange all lanes along one dimension `lane`; every knob becomes a coordinate along it."""
    dims = schema.lane_dims(ds)
    if dims == (LANE,):
        return ds
    if not dims:  # a page without axes has one lane, without a dimension
        return ds.expand_dims(LANE)
    knobs = schema.knobs(ds)
    columns = {name: ds[name].broadcast_like(ds["status"]).transpose(*dims).values.ravel() for name in knobs}
    attributes = {name: ds[name].attrs for name in knobs}
    along_lanes = [name for name, each in ds.coords.items() if set(each.dims) & set(dims)]
    flat = ds.drop_vars(along_lanes).stack({LANE: dims}, create_index=False)
    return flat.assign_coords({name: (LANE, column, attributes[name]) for name, column in columns.items()})


def count_without(ds: xr.Dataset, knob: str) -> int:
    """Count the lanes to which a knob does not apply, such as momentum to lanes of Adam in a union with SGD."""
    return int(_column(stack_lanes(ds)[knob].values).isna().sum())


def part_of(name: str, ds: xr.Dataset, metric: str) -> Part:
    """Arrange the lanes of results along one dimension, with a metric and how each lane ended.

    Args:
        name: the name under which the results are shown.
        ds: results as `open_results` gives them, or a slice of them.
        metric: one of their variables.

    Returns:
        The part. Its table has both seeds; one that is not swept has the page's value.
    """
    used = [each for each in (metric, "status", "stop_epoch", "first_bad_epoch") if each in ds.data_vars]
    flat = stack_lanes(ds[used].drop_vars("step", errors="ignore"))
    table = pd.DataFrame(
        {knob: _column(flat[knob].values) for knob in schema.knobs(flat)}, index=range(flat.sizes[LANE])
    )
    part = Part(name, flat, table, {knob: flat[knob].attrs for knob in table})
    for seed in SEEDS:
        if seed not in table:
            table[seed] = float(part.page_value(seed) or 0)
    return part


def _column(values: np.ndarray) -> Frame:
    """Give a knob's values in the form used for matching: numbers as float64, words as text, None if not set."""
    if values.dtype.kind in "iuf":
        return pd.Series(values.astype(float))
    return pd.Series(values.astype(str), dtype=object).replace("", None)
