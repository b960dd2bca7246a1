"""Results as long tables: one row for each lane and each position along other dimensions, one column for each variable.

Metrics over the same dimensions share a table, which is named after them: `epoch` has losses, `epoch_frequency`
spectral errors, `epoch_x` spatial errors, `lanes` single values per lane. Every table repeats the lane's knobs and its
status in words, so that it can be grouped and plotted without the others; `lane` joins rows of different tables.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
import xarray as xr

from sweep.base import labels
from sweep.base.errors import SweepError, unknown_name
from sweep.results import schema

MOST_ROWS: Final = 10**8  # of all tables together: CSV files of some gigabytes
_ROWS_AT_A_TIME: Final = 250_000  # in memory, or those of one lane
_LANE_OUTCOMES: Final = ("status", "first_bad_epoch", "stop_epoch")  # how and when lanes ended; no metrics


@dataclass(frozen=True)
class Table:
    """A long table.

    Args:
        name: its dimensions joined by "_", or "lanes".
        dims: its dimensions, lanes aside.
        values: the variables that it holds.
        rows: the number of its rows.
    """

    name: str
    dims: tuple[str, ...]
    values: tuple[str, ...]
    rows: int


def metrics(ds: xr.Dataset, names: Sequence[str] = ()) -> tuple[str, ...]:
    """Give the metrics to export: all, or those requested.

    Raises:
        SweepError: for a metric that the results do not have.
    """
    known = sorted(str(name) for name in ds.data_vars if name not in _LANE_OUTCOMES)
    for name in names:
        if name not in known:
            raise unknown_name("metric", name, known)
    return tuple(dict.fromkeys(names)) or tuple(known)


def lane_outcomes(ds: xr.Dataset) -> list[str]:
    """List the variables that say how each lane ended, and when."""
    return [name for name in _LANE_OUTCOMES if name in ds.data_vars]


def tables(ds: xr.Dataset, names: Sequence[str]) -> tuple[Table, ...]:
    """Lay out the tables of metrics, and one of the lanes.

    Raises:
        SweepError: if they would have too many rows together.
    """
    lanes = ds["status"].size
    groups: dict[tuple[str, ...], list[str]] = {(): lane_outcomes(ds)}
    for name in names:
        groups.setdefault(schema.own_dims(ds, name), []).append(name)
    found = tuple(
        Table("_".join(dims) or "lanes", dims, tuple(values), lanes * math.prod(ds.sizes[dim] for dim in dims))
        for dims, values in groups.items()
    )
    if sum(table.rows for table in found) > MOST_ROWS:
        sizes = ", ".join(f"{table.rows:,} of {' and '.join(table.values)}" for table in found)
        raise SweepError(f"more than {MOST_ROWS:,} rows, {sizes}: choose fewer with --metric, or use --to netcdf")
    return found


def frames(ds: xr.Dataset, table: Table) -> Iterator[pd.DataFrame]:
    """Give a table in parts of some lanes each, so that it is never in memory as a whole.

    Args:
        ds: results.
        table: one of its tables.

    Yields:
        Frames with the columns that `columns` lists, with lanes in the order of the axes.
    """
    swept = schema.lane_dims(ds)
    selected = ds[list(dict.fromkeys(("status", *table.values)))]
    lanes_at_a_time = max(1, _ROWS_AT_A_TIME * ds["status"].size // max(1, table.rows))
    for start in range(0, ds["status"].size, lanes_at_a_time):
        lane = np.arange(start, min(start + lanes_at_a_time, ds["status"].size))
        places = np.unravel_index(lane, ds["status"].shape) if swept else ()
        part = selected.isel({dim: xr.DataArray(place, dims="lane") for dim, place in zip(swept, places, strict=True)})
        part = part.assign_coords(lane=("lane", lane)) if swept else part.expand_dims(lane=lane)
        status = part["status"].copy(data=np.array(labels.STATUS)[part["status"].values])
        frame = part.assign(status=status).to_dataframe(dim_order=["lane", *table.dims]).reset_index()
        for name in schema.knobs(selected):
            if selected[name].dtype.kind == "U":  # a word that does not apply is missing, as a number is
                frame[name] = frame[name].astype("string").replace("", pd.NA)
        yield frame.reindex(columns=list(columns(ds, table)))


def columns(ds: xr.Dataset, table: Table) -> dict[str, dict[str, str]]:
    """Give the columns of a table in order, each with units, long name and, if one direction is better, which."""
    coordinates = [str(name) for dim in table.dims for name, c in ds.coords.items() if c.dims == (dim,)]
    coordinates.sort(key=lambda name: name not in table.dims)  # the dimensions first
    names = ["lane", *schema.knobs(ds), "status", *coordinates, *table.values]
    attributes = {name: dict(ds[name].attrs) if name in ds.variables else {} for name in names}
    attributes["lane"] = labels.DIMENSIONS["lane"].attributes()
    return {name: _describe(name, attrs) for name, attrs in attributes.items()}


def _describe(name: str, attributes: Mapping[str, Any]) -> dict[str, str]:
    units, better = str(attributes.get("units", "1")), labels.better(name, attributes)
    found = {"units": units, "long_name": str(attributes.get("long_name", name))}
    return found | ({"better": better} if better else {})
