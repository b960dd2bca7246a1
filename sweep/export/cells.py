"""Results as a tracker of experiments knows them: runs, each with settings, curves against steps, and final numbers.

A run is a cell: one combination of knobs, its curves the medians over seeds. A tracker that shows some hundred curves
well shows no ten thousand, so there are only so many, the best ones.
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
_MOST_CURVES: Final = 32  # of one metric: a curve for each frequency or layer, but none for each x
_MOST_LETTERS: Final = 120  # of a name, which becomes a folder's


@dataclass(frozen=True)
class Cell:
    """One combination of knobs, its seeds taken together.

    Args:
        name: its number and knobs, fit for a folder's name.
        knobs: values of those that apply.
        epochs: of its records.
        steps: whole numbers to draw its curves against: optimiser steps, or records where lanes differ in these.
        curves: medians over seeds, +inf where half of the lanes or more were lost.
        final: the last value of each curve that has one, as `final/...`; how many `seeds` there are, and how many of
            them were `lost`.
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
        metrics: which; of those over more than `epoch` one curve for each value, unless there are too many.
        say: is told how many cells there are, and what is left out.

    Raises:
        SweepError: where no metric is a curve.
    """
    curves = _curves(ds, metrics)
    if not curves:
        raise SweepError(f"none of {', '.join(metrics)} is a few curves over epochs: choose others with --metric")
    dims = schema.swept_dims(ds)
    chosen, sizes = _best(ds, curves, dims, say), tuple(ds.sizes[dim] for dim in dims)
    if skipped := [name for name in metrics if name not in {curve.split("/")[0] for curve in curves}]:
        say(f"left out, not being a few curves over epochs: {', '.join(skipped)}")
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
    """Give medians over seeds, a curve over epochs for each name."""
    found = {}
    for name in metrics:
        own = [dim for dim in schema.own_dims(ds, name) if dim != "epoch"]
        if "epoch" not in ds[name].dims or len(own) > 1 or any(ds.sizes[dim] > _MOST_CURVES for dim in own):
            continue
        middle = stats.median(stats.measured(ds, name)).transpose(..., "epoch")
        if not own:
            found[name] = middle
        for place, value in enumerate(ds[own[0]].values if own else ()):
            found[f"{name}/{own[0]}_{str(value).removesuffix('.0')}"] = middle.isel({own[0]: place})
    return found


def _best(
    ds: xr.Dataset, curves: dict[str, xr.DataArray], dims: Sequence[str], say: Callable[[str], object]
) -> np.ndarray:
    """Choose the cells by the last median of the loss; where that is not asked for, of the first curve with a best.

    Where no curve has a best, the loss decides all the same.
    """
    known = [name for name, curve in curves.items() if schema.better(curve)]
    name = next((name for name in ("loss", *known) if name in known), "loss")
    curve = curves[name].isel(epoch=-1) if name in curves else stats.median(stats.final(ds, name))
    last = curve.transpose(*dims).values.ravel()
    order = np.argsort(
        -last if schema.better(curve) == "higher" else last, kind="stable"
    )  # lost, then unknown ones last
    few = f"those with the best {name} at the end, " if last.size > MOST_RUNS else ""
    say(f"runs: {min(last.size, MOST_RUNS):,} of {last.size:,} combinations of knobs, {few}medians over seeds")
    return np.sort(order[:MOST_RUNS])


def _knobs(ds: xr.Dataset, dims: Sequence[str], place: dict[str, Any]) -> dict[str, Any]:
    """Give the knobs of a cell that apply to it, as plain Python values."""
    columns = {name: ds[name] for name in schema.knobs(ds, dims)}
    held = {name: column.isel({dim: place[str(dim)] for dim in column.dims}).item() for name, column in columns.items()}
    return {name: value for name, value in held.items() if value == value and value != ""}


def _name(number: int, knobs: dict[str, Any]) -> str:
    words = {name: f"{value:g}" if isinstance(value, int | float) else value for name, value in knobs.items()}
    safe = "_".join([f"{number:04d}", *(f"{name}={word}" for name, word in words.items())])
    return "".join(sign if sign.isalnum() or sign in "._=+-" else "-" for sign in safe)[:_MOST_LETTERS]
