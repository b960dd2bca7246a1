"""Results as experiment trackers know them: runs, each with settings, curves over steps, and final numbers.

A run is a cell: one combination of knobs, with medians over seeds as its curves. Trackers show some hundred curves well
but not ten thousand, so the number of runs is limited to the best ones.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import xarray as xr

from sweep import stats
from sweep.base import labels
from sweep.base.errors import SweepError
from sweep.results import schema

MOST_RUNS: Final = 500
_MOST_CURVES: Final = 32  # of one metric: enough for frequencies and layers, too few for points of x
_LONGEST: Final = 120  # characters of a name, which becomes that of a folder


@dataclass(frozen=True)
class Cell:
    """One combination of knobs, summarised over its seeds.

    Args:
        name: its number and knobs, in characters that a folder's name may have.
        knobs: the values of the knobs that apply to it.
        epochs: the epochs of its records.
        steps: integers to draw its curves over: optimiser steps, or record numbers if lanes differ in their steps.
        curves: medians over seeds, +inf where half of the lanes or more were lost.
        final: the last value of each curve that has one, as `final/...`; the numbers of `seeds` and of `lost` ones.
    """

    name: str
    knobs: dict[str, Any]
    epochs: np.ndarray
    steps: np.ndarray
    curves: dict[str, np.ndarray]
    final: dict[str, float]


def cells(ds: xr.Dataset, metrics: Sequence[str], say: Callable[[str], object]) -> Iterator[Cell]:
    """Give the cells of results, at most `MOST_RUNS`, in the order of the axes.

    Args:
        ds: results.
        metrics: their names; a metric over `epoch` and another dimension gives one curve for each value, unless there
            are too many.
        say: called with notes on how many cells there are, and what is left out.

    Raises:
        SweepError: if no metric gives curves.
    """
    curves = _curves(ds, metrics)
    if not curves:
        raise SweepError(
            f"none of {', '.join(metrics)} gives at most {_MOST_CURVES} curves over epochs: choose others with --metric"
        )
    dims = schema.swept_dims(ds)
    chosen, sizes = _choose_best(ds, curves, dims, say), tuple(ds.sizes[dim] for dim in dims)
    if skipped := [name for name in metrics if name not in {curve.split("/")[0] for curve in curves}]:
        say(f"left out, since they give no or too many curves over epochs: {', '.join(skipped)}")
    status = stats.seeded(ds["status"]).transpose("seed", *dims)
    epochs = ds["epoch"].values
    steps = ds["step"].values if "step" in ds.coords else np.arange(len(epochs))
    for number in chosen:
        place = dict(zip(dims, np.unravel_index(number, sizes), strict=True)) if dims else {}
        values = {name: curve.isel(place).values for name, curve in curves.items()}
        ended = status.isel(place).values
        counts = {"seeds": ended.size, "lost": int(np.isin(ended, labels.LOST).sum())}
        final = {f"final/{name}": float(curve[-1]) for name, curve in values.items() if curve[-1] == curve[-1]}
        known = _knobs(ds, dims, place)
        yield Cell(_name(number, known), known, epochs, steps, values, final | counts)


def _curves(ds: xr.Dataset, metrics: Sequence[str]) -> dict[str, xr.DataArray]:
    """Give medians over seeds as curves over epochs, by name."""
    found = {}
    for name in metrics:
        extra = [dim for dim in schema.own_dims(ds, name) if dim != "epoch"]
        if "epoch" not in ds[name].dims or len(extra) > 1 or any(ds.sizes[dim] > _MOST_CURVES for dim in extra):
            continue
        median = stats.median(stats.measured(ds, name)).transpose(..., "epoch")
        if not extra:
            found[name] = median
        for place, value in enumerate(ds[extra[0]].values if extra else ()):
            found[f"{name}/{extra[0]}_{str(value).removesuffix('.0')}"] = median.isel({extra[0]: place})
    return found


def _choose_best(
    ds: xr.Dataset, curves: dict[str, xr.DataArray], dims: Sequence[str], say: Callable[[str], object]
) -> np.ndarray:
    """Choose the best cells by the last median of the loss, or of the first curve of which one direction is better.

    The loss decides if it is exported, or if no curve has a better direction.
    """
    known = [name for name, curve in curves.items() if schema.better(curve)]
    name = next((name for name in ("loss", *known) if name in known), "loss")
    curve = curves[name].isel(epoch=-1) if name in curves else stats.median(stats.final(ds, name))
    last = curve.transpose(*dims).values.ravel()
    order = np.argsort(
        -last if schema.better(curve) == "higher" else last, kind="stable"
    )  # lost ones after these, unknown ones last
    few = f"those with the best {name} at the end, " if last.size > MOST_RUNS else ""
    say(f"runs: {min(last.size, MOST_RUNS):,} of {last.size:,} combinations of knobs, {few}medians over seeds")
    return np.sort(order[:MOST_RUNS])


def _knobs(ds: xr.Dataset, dims: Sequence[str], place: dict[str, Any]) -> dict[str, Any]:
    """Give the knobs of a cell that apply to it, as plain Python values."""
    columns = {name: ds[name] for name in schema.knobs(ds, dims)}
    values = {
        name: column.isel({dim: place[str(dim)] for dim in column.dims}).item() for name, column in columns.items()
    }
    return {name: value for name, value in values.items() if value == value and value != ""}


def _name(number: int, knobs: dict[str, Any]) -> str:
    words = {name: f"{value:g}" if isinstance(value, int | float) else value for name, value in knobs.items()}
    joined = "_".join([f"{number:04d}", *(f"{name}={word}" for name, word in words.items())])
    return "".join(letter if letter.isalnum() or letter in "._=+-" else "-" for letter in joined)[:_LONGEST]
