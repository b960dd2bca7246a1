"""Which numbers of a store a report holds: every seed's curve of up to 2,000 cells, else quartiles as 16-bit codes.

A cell is one combination of swept values, seeds aside.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import prod
from typing import Any, Final

import numpy as np
import xarray as xr

from sweep import stats
from sweep.base import labels
from sweep.page.specs.figure import KINDS
from sweep.plots.drawing import style
from sweep.plots.drawing.scale import sort_along
from sweep.report import dimensions
from sweep.report.packing import Quantiser, pack
from sweep.results import schema

MOST_CELLS: Final = 2000  # for which every seed's curve is kept
CAPACITY: Final = 8_500_000  # bytes before base64, which adds a third; together with Bokeh and figures below 15 MB
_CURVES: Final = 5  # times this capacity, for every seed's curves of metrics after the first
_LEAST_RECORDS: Final = 2  # a summary keeps its first and its last record, or is left out
_MOST_POINTS: Final = 256  # along x, in a summary


@dataclass
class Embedded:
    """The numbers of a store that a report holds.

    Args:
        capacity: bytes that are left for summaries, and for variables over x.
        curves: bytes that are left for every seed's curves.
        texts: packed arrays by name.
        variables: by name, what each variable is and where its arrays are.
        notes: what was left out, one sentence each.
    """

    capacity: int
    curves: int
    texts: dict[str, str] = field(default_factory=dict)
    variables: dict[str, dict[str, Any]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def add(self, name: str, values: np.ndarray) -> dict[str, Any]:
        """Pack an array; give its name, dtype and shape, which are needed to read it."""
        text, layout = pack(values)
        self.texts[name] = text
        return {"name": name, **layout}


def embed(ds: xr.Dataset, capacity: int = CAPACITY) -> tuple[dict[str, Any], Embedded]:
    """Choose and pack the numbers of results that a report holds.

    Args:
        ds: results, complete or not; for running lanes the records so far count.
        capacity: bytes for summaries and for variables over x; every seed's curves of few cells are added to these.

    Returns:
        The description that the report's scripts read, and the packed arrays.
    """
    ds = _sort(ds)
    swept, held = schema.swept_dims(ds), Embedded(capacity, _CURVES * capacity)
    cells = prod(ds.sizes[dim] for dim in swept)
    seen = ds.assign(status=ds["status"].where(ds["status"] != labels.RUNNING, np.int8(labels.FINISHED)))
    for name in metrics(ds):
        _embed_metric(held, seen, name, cells)
    _embed_fits(held, seen, cells)
    used = {dim for variable in held.variables.values() for dim in variable["dims"]} - {"seed"}
    described = {dim: dimensions.describe(ds, dim) for dim in [*swept, *sorted(used - {*swept})]}
    about = {
        "cells": cells,
        "seeds": [style.format_number(value) for value in np.atleast_1d(stats.seeded(ds)["seed"].values)]
        if "seed" in ds.coords
        else ["0"],
        "swept": swept,
        "dims": described,
        "knobs": dimensions.knobs(ds),
        "statuses": [style.words(word) for word in labels.STATUS],
        "codes": {"cut": labels.CUT, "lost": labels.LOST, "unseen": labels.WITHOUT_DATA},
        "counts": held.add("counts", _counts(ds, swept)),
        "variables": held.variables,
        "first": _first_view(ds, swept, held),
    }
    if cells <= MOST_CELLS:
        about["status"] = held.add("status", _lanes(ds["status"], swept).values.astype(np.int8))
    return about, held


def metrics(ds: xr.Dataset) -> list[str]:
    """List the metrics that a heatmap can show: spectral errors and losses first, those over x last."""
    first = dict.fromkeys(("spectral_error", schema.deciding(ds), "loss", "clean_loss"))
    order = {name: place for place, name in enumerate(first)}
    return sorted(schema.metrics(ds), key=lambda name: (_is_over_x(ds, name), order.get(name, len(order)), name))


def _is_over_x(ds: xr.Dataset, name: str) -> bool:
    return bool({"x", "x1"} & {*ds[name].dims})


def _sort(ds: xr.Dataset) -> xr.Dataset:
    return sort_along(ds, *(str(dim) for dim in ds.dims if dim in ds.coords and ds[dim].ndim == 1))


def _lanes(array: xr.DataArray, swept: list[str]) -> xr.DataArray:
    return stats.seeded(array).transpose(*swept, "seed", ...)


def _counts(ds: xr.Dataset, swept: list[str]) -> np.ndarray:
    """Count each cell's seeds by status: (cells, statuses)."""
    status = _lanes(ds["status"], swept)
    status = status.values.reshape(-1, status.sizes["seed"])
    return np.stack([np.sum(status == code, axis=1) for code in range(len(labels.STATUS))], -1).astype(np.uint16)


def _values(ds: xr.Dataset, name: str) -> xr.DataArray:
    """Give a metric as statistics count it: a lost lane has the worst value."""
    values = _lanes(stats.measured(ds[[name, "status"]], name), schema.swept_dims(ds))
    if values.dtype == np.float64:  # values beyond float32 must not look like lost lanes
        most = float(np.finfo(np.float32).max)
        values = values.where(np.isinf(values), values.clip(-most, most))
    return values.astype(np.float32)


def _embed_metric(held: Embedded, ds: xr.Dataset, name: str, cells: int) -> None:
    """Embed every seed's curve or a summary, or note that there was no space."""
    size = ds[name].size * 4
    if cells > MOST_CELLS:
        _embed_summary(held, ds, name, "epoch", _summary_capacity(held, ds, name))
    elif "x" in ds[name].dims and size <= held.capacity:
        held.capacity -= size
        _embed_exactly(held, ds, name)
    elif "x" not in ds[name].dims and (size <= held.curves or not held.variables):
        held.curves -= size
        _embed_exactly(held, ds, name)
    else:
        _embed_summary(held, ds, name, "epoch", _summary_capacity(held, ds, name))


def _summary_capacity(held: Embedded, ds: xr.Dataset, name: str) -> int:
    """Give the bytes that a summary may take: half of what is left, unless it is the last."""
    others = [each for each in metrics(ds) if each not in held.variables and each != name]
    return held.capacity // 2 if others else held.capacity


def _embed_exactly(held: Embedded, ds: xr.Dataset, name: str) -> None:
    values = _values(ds, name)
    held.variables[name] = _describe(ds, name, values) | {"form": "exact", "values": held.add(name, values.values)}
    if ds[name].dtype == np.float64:
        held.notes.append(f"{style.words(name)} is stored in float64 and kept here in float32")


def _describe(ds: xr.Dataset, name: str, kept: xr.DataArray) -> dict[str, Any]:
    attributes = ds[name].attrs
    units = str(attributes.get("units", "1"))
    return {
        "label": style.name(ds[name]) + (f" ({units})" if units not in ("", "1") else ""),
        "better": schema.better(ds[name]),
        "dims": [str(dim) for dim in kept.dims],
    }


def _embed_summary(held: Embedded, ds: xr.Dataset, name: str, time: str, capacity: int) -> None:
    """Embed median and quartiles at as many records as fit, the first and the last included."""
    indices = {"x": _spread_indices(ds.sizes["x"], _MOST_POINTS)} if "x" in ds[name].dims else {}
    cells = prod(size for dim, size in ds[name].sizes.items() if dim not in ("seed", time, "x"))
    record = cells * len(indices.get("x", [0])) * 3 * 2
    most = capacity // max(record, 1)
    if most < min(_LEAST_RECORDS, ds.sizes[time]):
        held.notes.append(f"{style.words(name)} is left out: there is no space for it")
        return
    indices |= {time: _spread_indices(ds.sizes[time], most)}
    values = _values(ds[[name, "status"]].isel(indices), name)
    quartiles = stats.over_seeds(values).transpose(time, ...)
    scale = Quantiser.of(np.stack([quartiles[each].values for each in ("lower", "median", "upper")]))
    arrays = {
        each: held.add(f"{name}.{each}", scale.encode(quartiles[each].values)) for each in ("median", "lower", "upper")
    }
    held.capacity -= 6 * quartiles["median"].size
    scaled = {"low": scale.low, "high": scale.high, "log": scale.log}
    kept = {dim: [int(place) for place in places] for dim, places in indices.items()}
    about = _describe(ds, name, quartiles["median"])
    held.variables[name] = about | {"form": "summary", "arrays": arrays, "scale": scaled, "kept": kept}
    held.notes.append(_summary_note(ds, name, scale, kept))


def _summary_note(ds: xr.Dataset, name: str, scale: Quantiser, kept: dict[str, list[int]]) -> str:
    within = f"{scale.error:.2g}" + (" of its value" if scale.log else "")
    thinned = [
        f"{len(indices)} of {ds.sizes[dim]} {'records' if 'epoch' in dim else f'points of {dim}'}"
        for dim, indices in kept.items()
        if len(indices) < ds.sizes[dim]
    ]
    records = f", at {style.join_words(thinned)}" if thinned else ""
    return f"{style.words(name)}: median and quartiles over seeds instead of every seed, each within {within}{records}"


def _spread_indices(size: int, most: int) -> np.ndarray:
    """Choose at most `most` of `size` indices, evenly spread, with both ends; the last one if `most` is 1."""
    if most < 2:
        return np.array([size - 1])
    return np.unique(np.linspace(0, size - 1, min(size, most)).round().astype(int))


def _embed_fits(held: Embedded, ds: xr.Dataset, cells: int) -> None:
    """Embed predictions at the snapshots, and their target; of one output over one x, which is what is drawn."""
    if not {"prediction", "target"} <= {*map(str, ds.data_vars)} or "x" not in ds.dims or "output" in ds.dims:
        return
    if cells <= MOST_CELLS and ds["prediction"].size * 4 <= held.capacity:
        held.capacity -= ds["prediction"].size * 4
        _embed_exactly(held, ds, "prediction")
    else:
        _embed_summary(held, ds, "prediction", "snapshot_epoch", held.capacity)
    if "prediction" not in held.variables:
        return
    target = _drop_constant_dims(_lanes(ds["target"], schema.swept_dims(ds)))
    alone = target.size * 4 > held.capacity and "seed" in target.dims
    if alone:
        target = target.isel(seed=0, drop=True)
        held.notes.append("target: of the first seed only")
    if target.size * 4 > max(held.capacity, 1_000_000):
        held.notes.append("target is left out: there is no space for it")
        return
    values = target.values.astype(np.float32)
    about = _describe(ds, "target", target) | {"form": "exact", "alone": alone}
    held.variables["target"] = about | {"values": held.add("target", values)}


def _drop_constant_dims(array: xr.DataArray) -> xr.DataArray:
    """Drop each dimension other than x along which the array is constant."""
    for dim in [dim for dim in array.dims if dim != "x"]:
        first = array.isel({dim: 0})
        if bool(((array == first) | array.isnull()).all()):
            array = first
    return array


def _first_view(ds: xr.Dataset, swept: list[str], held: Embedded) -> dict[str, Any]:
    """Choose what a report shows first: metric, axes, and the best combination of all other dimensions."""
    names = [name for name in held.variables if name in metrics(ds)]
    if not names:
        return {}
    metric = next(iter(_figure_metrics(ds, names)), names[0])
    extra = [dim for dim in held.variables[metric]["dims"] if dim not in (*swept, "seed", "epoch")]
    varied = sorted((dim for dim in swept if ds.sizes[dim] > 1), key=lambda dim: dim != "learning_rate")
    axes = ["epoch", *extra] if extra else [*varied, "epoch"] if len(varied) > 1 else ["epoch", *varied]
    best = stats.best_place(ds, swept) if "loss" in ds.data_vars else {}
    at = best | {"epoch": _last_record(ds, metric)}
    return {"metric": metric, "x": axes[0], "y": axes[1] if len(axes) > 1 else "", "at": at}


def _last_record(ds: xr.Dataset, metric: str) -> int:
    """Give the index of the last record that any lane has reached."""
    seen = ds[metric].notnull().any([dim for dim in ds[metric].dims if dim != "epoch"]).values
    return int(np.flatnonzero(seen)[-1]) if seen.any() else 0


def _figure_metrics(ds: xr.Dataset, names: list[str]) -> Iterator[str]:
    """Give the metrics of the page's figures: first those that its first figure always shows, then those named."""
    figures = json.loads(ds.attrs.get("figures", "[]"))
    known = [figure["name"] for figure in figures[:1] if figure["name"] in KINDS]
    first = [metric for name in known for metric in KINDS[name].needs]
    named = [figure.get("options", {}).get("metric") for figure in figures]
    yield from (metric for metric in [*first, *named] if metric in names)
