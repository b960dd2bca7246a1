"""One lane of a store, chosen by the values of its knobs: "seed=3,learning_rate=0.001,width=64"."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np
import xarray as xr

from sweep.base.errors import SweepError, unknown_name
from sweep.base.labels import ENDED, STATUS, words
from sweep.results.dataset import LANE, lane_table
from sweep.results.store.reading import open_flat

TOLERANCE: Final = 1e-6  # relative, so that a sampled value can be given with seven digits
MOST_VALUES: Final = 6  # of a knob that an error lists


def read_lane(path: Path, wanted: Mapping[str, str]) -> tuple[xr.Dataset, dict[str, str]]:
    """Read one lane of a store, without reading the curves of the others.

    Args:
        path: the store, complete or not.
        wanted: for each knob a value as text; exactly one lane must have all of them, see `choose`.

    Returns:
        The lane as stored, without the dimension `lane`, and the values of its knobs as text.

    Raises:
        SweepError: if the store can't be read, if no lane or several lanes have these values, or if the lane has not
            ended.
    """
    with open_flat(path) as flat:
        table = lane_table(flat)
        lane = choose(table, wanted)
        stored = flat.isel({LANE: np.flatnonzero(flat[LANE].values == lane)[0]}).load()
    knobs = configuration(table, lane)
    _refuse_unfinished(stored, f"lane {','.join(f'{name}={value}' for name, value in knobs.items())} of {path}")
    return stored, knobs


def list_ended(path: Path) -> xr.Dataset:
    """List the lanes of a store that have ended, without reading curves.

    Args:
        path: the store, complete or not.

    Returns:
        What `lane_table` gives, of these lanes, with their `status` and the last `loss`, and the store's attributes.

    Raises:
        SweepError: if the store can't be read.
    """
    with open_flat(path) as flat:
        is_lane = flat[LANE].values >= 0
        last = {"status": flat["status"].values[is_lane], "loss": flat["loss"][:, -1].values[is_lane]}
        table = lane_table(flat).assign({name: (LANE, values) for name, values in last.items()})
        return table.isel({LANE: np.isin(table["status"], ENDED)}).assign_attrs(flat.attrs)


def _refuse_unfinished(stored: xr.Dataset, lane: str) -> None:
    """Refuse a lane that has not ended, or whose values are missing."""
    ended = int(stored.status) in ENDED
    if not ended and not stored.attrs["complete"]:
        status = words(STATUS[int(stored.status)])
        raise SweepError(f"{lane} has not ended, it is {status}: continue with --resume first")
    if not ended or (np.isnan(stored.loss[0]) and stored.first_bad_epoch != 0):
        raise SweepError(f"{lane} has no values, the store is truncated: run the page again with --fresh")


def choose(table: xr.Dataset, wanted: Mapping[str, str]) -> int:
    """Find the one lane that has certain values of its knobs.

    Args:
        table: what `lane_table` gives.
        wanted: for each knob a value as text; knobs in which the lanes do not differ may be left out. A number is
            matched with the nearest stored one, which must be equal to within `TOLERANCE`.

    Returns:
        Its number in the axes.

    Raises:
        SweepError: for a knob or a value that no lane has, and if no lane or several lanes have all values.
    """
    matches = np.ones(table.sizes[LANE], bool)
    for name, text in wanted.items():
        if name not in table:
            raise unknown_name("swept knob", name, [str(each) for each in table.data_vars])
        column = table[name].values
        has_value = _has_value(name, text, column)
        if not (matches & has_value).any():
            others = ",".join(f"{other}={wanted[other]}" for other in wanted if other != name)
            raise SweepError(
                f"no lane with {others} has {name}={text}: with {others} it is {_list_values(column[matches])}"
            )
        matches &= has_value
    if np.count_nonzero(matches) > 1:
        raise _ambiguity_error(table.isel({LANE: matches}), wanted)
    return int(table[LANE].values[matches][0])


def configuration(table: xr.Dataset, lane: int) -> dict[str, str]:
    """Give the values of the knobs that apply to a lane, as texts that `choose` reads."""
    row = table.sel({LANE: lane})
    values = {str(name): row[name].item() for name in row.data_vars}
    return {name: _format_value(value) for name, value in values.items() if not _is_missing(value)}


def _has_value(name: str, text: str, column: np.ndarray) -> np.ndarray:
    """Tell which lanes have a value."""
    if column.dtype.kind not in "iuf":
        if text not in column:
            raise unknown_name(name, text, [word for word in np.unique(column).tolist() if word])
        return column == text
    try:
        value = float(text)
    except ValueError:
        raise SweepError(f"{name} must be a number, got {text!r}: its values are {_list_values(column)}") from None
    if np.isnan(value):
        return np.isnan(column.astype(float))
    nearest = _sort_by_distance(column, value)[:1]
    if not np.isclose(nearest, value, rtol=TOLERANCE, atol=0).any():
        raise SweepError(f"no lane has {name}={text}: nearest are {_list_values(_sort_by_distance(column, value)[:2])}")
    return column == nearest


def _sort_by_distance(column: np.ndarray, value: float) -> np.ndarray:
    """List the values of a column, the nearest to a number first."""
    values = np.unique(column[~np.isnan(column.astype(float))])
    return values[np.argsort(np.abs(values - value), kind="stable")]


def _ambiguity_error(table: xr.Dataset, wanted: Mapping[str, str]) -> SweepError:
    """Build the error for values that several lanes have: it names the knobs in which these lanes differ."""
    varying = [str(name) for name in table.data_vars if len(np.unique(table[name].values)) > 1]
    differing = "; ".join(f"{name} is {_list_values(table[name].values)}" for name in varying)
    given = ",".join(f"{name}={text}" for name, text in wanted.items())
    having = f"{table.sizes[LANE]} lanes have {given}" if wanted else f"there are {table.sizes[LANE]} lanes"
    return SweepError(f"{having}: name more knobs; {differing}")


def _list_values(column: np.ndarray) -> str:
    """List the distinct values of a column; if there are many, only the first few."""
    texts = [_format_value(value) for value in np.unique(column).tolist() if not _is_missing(value)]
    rest = f", ... ({len(texts)} values)" if len(texts) > MOST_VALUES else ""
    return ", ".join(texts[:MOST_VALUES]) + rest or "not set"


def _format_value(value: object) -> str:
    """Write a value as it is typed on a command line: words without quotes, whole numbers without a point."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return value if isinstance(value, str) else repr(value)


def _is_missing(value: object) -> bool:
    return value == "" or value != value  # only NaN differs from itself
