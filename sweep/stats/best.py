"""The best combinations of swept values as a table: medians over seeds, with their intervals."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from sweep.base import labels
from sweep.base.errors import SweepError, unknown_name
from sweep.results import schema
from sweep.results.dataset import open_results
from sweep.results.lane_tables import LANE, stack_lanes
from sweep.stats.lanes import final, median, standing
from sweep.stats.seed_statistics import with_interval


def best(store: str | Path | xr.Dataset, n: int = 10, *, metric: str | None = None) -> pd.DataFrame:
    """List the best combinations of swept values, the best first.

    A combination is a set of values of all knobs except the seeds. Without `metric` the order is that by which figures
    and the closing table choose (`stats.standing`): the median over seeds of the final validation loss, or of the loss
    where there is no validation, with lost lanes as +inf; if lanes may end early, those that reached the target soonest
    come first, and those that were cut last. With a metric it is the median over seeds of its final value. Combinations
    of which no lane has run to its end come last.

    Args:
        store: a store, or results as `open_results` gives them, or a selection of them.
        n: number of combinations.
        metric: a metric with one value for each record and a direction that is better.

    Returns:
        A row for each combination. Columns: every knob, None or NaN where it does not apply; `median` of the metric's
        last value over seeds; `low` and `high`, its 95% interval (-inf and +inf with fewer than six seeds, see
        `sweep.seeds`); `seeds`, the number of lanes that have run; `lost`, how many of these diverged, failed or were
        cut. `attrs` has the metric and its units.

    Raises:
        SweepError: if the store can't be read, for an n below 1, an unknown metric, or one that has no order.
    """
    if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 1:
        raise SweepError(f"n must be a whole number of at least 1, got {n!r}")
    ds = store if isinstance(store, xr.Dataset) else open_results(store)
    name = _check_metric(ds, metric)
    flat = stack_lanes(ds[["status", *dict.fromkeys((name, schema.deciding(ds))), *_stops(ds)]])
    columns = {knob: _column(flat[knob].values) for knob in schema.knobs(flat) if knob not in _seeds(ds)}
    table = pd.DataFrame(columns, index=range(flat.sizes[LANE]))
    score = standing(flat) if metric is None else _lower_is_better(final(flat, name))
    cell, places = _cells(table)
    order = np.argsort(median(_over_seeds(score, cell)).values, kind="stable")[:n]  # NaN last
    chosen = with_interval(_over_seeds(final(flat, name), cell).isel(cell=order))
    lost = _over_seeds(flat["status"].isin(labels.LOST).astype(float), cell).isel(cell=order).sum("seed")
    found = table.loc[places[order]].reset_index(drop=True)
    found["median"] = chosen["value"].values
    for name_ in ("low", "high", "seeds"):
        found[name_] = chosen[name_].values
    found["lost"] = lost.values.astype(int)
    found.attrs = {"metric": name, "units": str(ds[name].attrs.get("units", "1"))}
    return found


def _check_metric(ds: xr.Dataset, metric: str | None) -> str:
    """Give the name of the metric; refuse one by which combinations can't be ordered."""
    if metric is None:
        return schema.deciding(ds)
    known = [name for name in schema.metrics(ds) if schema.own_dims(ds, name) == ("epoch",)]
    if metric not in schema.metrics(ds):
        raise unknown_name("metric", metric, known)
    if metric not in known:
        others = " and ".join(dim for dim in schema.own_dims(ds, metric) if dim != "epoch")
        raise SweepError(f"{metric} has a value for each {others}: choose a metric with one, {', '.join(known)}")
    if schema.better(ds[metric]) is None:
        ordered = ", ".join(name for name in known if schema.better(ds[name]))
        raise SweepError(f"no value of {metric} is better than another: choose a metric that has an order, {ordered}")
    return metric


def _stops(ds: xr.Dataset) -> list[str]:
    return [name for name in ("stop_epoch",) if name in ds.data_vars]


def _seeds(ds: xr.Dataset) -> set[str]:
    """Name the knobs that only repeat a combination: `data_seed` is none where it is a dimension beside `seed`."""
    apart = "data_seed" in ds.dims and "seed" in ds.dims
    return {"seed"} if apart else {*labels.SEEDS}


def _column(values: np.ndarray) -> Any:
    """Give a knob's values: numbers with NaN, and words with None, where it does not apply."""
    if values.dtype.kind in "iuf":
        return pd.Series(values)
    return pd.Series(values.astype(str), dtype=object).replace("", None)


def _lower_is_better(array: xr.DataArray) -> xr.DataArray:
    return -array if schema.better(array) == "higher" else array


def _cells(table: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Number the combinations in the order in which they first occur; give each lane's, and the first lane of each."""
    if not len(table.columns):
        return np.zeros(len(table), int), np.zeros(1, int)
    cell = table.groupby(list(table.columns), dropna=False, sort=False).ngroup().to_numpy()
    return cell, np.unique(cell, return_index=True)[1]


def _over_seeds(array: xr.DataArray, cell: np.ndarray) -> xr.DataArray:
    """Arrange lanes over combinations and seeds; NaN where a combination has fewer seeds than others."""
    order = np.argsort(cell, kind="stable")
    sizes = np.bincount(cell)
    seed = np.empty(len(cell), int)
    seed[order] = np.arange(len(cell)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    values = np.full((len(sizes), sizes.max()), np.nan)
    values[cell, seed] = array.values
    return xr.DataArray(values, dims=("cell", "seed"), attrs=array.attrs)
