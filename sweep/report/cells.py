"""Which numbers of a store a page holds: every seed's curve of up to 2,000 cells, else quartiles as 16-bit codes.

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
from sweep.plots.drawing.scale import in_order
from sweep.report import dimensions
from sweep.report.packing import Quantiser, pack
from sweep.results import schema

MOST_CELLS: Final = 2000  # of which every seed's curve is kept
ROOM: Final = 8_500_000  # bytes before base64, which makes four of three; with Bokeh and figures below 15 MB
_CURVES: Final = 5  # times that room is there for every seed's curves of metrics after the first
_LEAST_RECORDS: Final = 2  # a summary keeps its first and its last record, or is left out
_MOST_POINTS: Final = 256  # along x, of a summary


@dataclass
class Embedded:
    """What a page holds of a store's numbers.

    Args:
        room: bytes that are left for summaries, and for what is over x.
        curves: bytes that are left for every seed's curves.
        texts: packed arrays by name.
        variables: what each variable is and where its arrays are.
        notes: what was left out, a sentence each.
    """

    room: int
    curves: int
    texts: dict[str, str] = field(default_factory=dict)
    variables: dict[str, dict[str, Any]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def add(self, name: str, values: np.ndarray) -> dict[str, Any]:
        """Pack an array and give what is needed to read it."""
        text, form = pack(values)
        self.texts[name] = text
        return {"name": name, **form}


def embed(ds: xr.Dataset, room: int = ROOM) -> tuple[dict[str, Any], Embedded]:
    """Choose and pack what a page holds of results.

    Args:
        ds: results, complete or not; of running lanes the records so far count.
        room: bytes for summaries and for what is over x; every seed's curves of few cells come on top.

    Returns:
        What the page's script reads, and the packed arrays.
    """
    ds = _in_order(ds)
    swept, held = schema.swept_dims(ds), Embedded(room, _CURVES * room)
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
    """Name what can be shown as a heatmap, the page's own choice first and what is over x last."""
    order = {name: place for place, name in enumerate(("spectral_error", "loss", "clean_loss"))}
    return sorted(schema.metrics(ds), key=lambda name: ("x" in ds[name].dims, order.get(name, len(order)), name))


def _in_order(ds: xr.Dataset) -> xr.Dataset:
    return in_order(ds, *(str(dim) for dim in ds.dims if dim in ds.coords and ds[dim].ndim == 1))


def _lanes(array: xr.DataArray, swept: list[str]) -> xr.DataArray:
    return stats.seeded(array).transpose(*swept, "seed", ...)


def _counts(ds: xr.Dataset, swept: list[str]) -> np.ndarray:
    """Count each cell's seeds by status: (cells, statuses)."""
    status = _lanes(ds["status"], swept)
    status = status.values.reshape(-1, status.sizes["seed"])
    return np.stack([np.sum(status == code, axis=1) for code in range(len(labels.STATUS))], -1).astype(np.uint16)


def _values(ds: xr.Dataset, name: str) -> xr.DataArray:
    """Give a metric as statistics count it: a lost lane has the worst value there is."""
    values = _lanes(stats.measured(ds[[name, "status"]], name), schema.swept_dims(ds))
    if values.dtype == np.float64:  # what float32 can't hold is not lost
        most = float(np.finfo(np.float32).max)
        values = values.where(np.isinf(values), values.clip(-most, most))
    return values.astype(np.float32)


def _embed_metric(held: Embedded, ds: xr.Dataset, name: str, cells: int) -> None:
    """Keep every seed's curve, or a summary, or say that there was no room."""
    size = ds[name].size * 4
    if cells > MOST_CELLS:
        _summary(held, ds, name, "epoch", _share(held, ds, name))
    elif "x" in ds[name].dims and size <= held.room:
        held.room -= size
        _exact(held, ds, name)
    elif "x" not in ds[name].dims and (size <= held.curves or not held.variables):
        held.curves -= size
        _exact(held, ds, name)
    else:
        _summary(held, ds, name, "epoch", _share(held, ds, name))


def _share(held: Embedded, ds: xr.Dataset, name: str) -> int:
    """Give the bytes that a summary may take: half of what is left, so that later ones have some."""
    others = [each for each in metrics(ds) if each not in held.variables and each != name]
    return held.room // 2 if others else held.room


def _exact(held: Embedded, ds: xr.Dataset, name: str) -> None:
    values = _values(ds, name)
    held.variables[name] = _about(ds, name, values) | {"form": "exact", "values": held.add(name, values.values)}
    if ds[name].dtype == np.float64:
        held.notes.append(f"{style.words(name)} is stored in float64 and kept here in float32")


def _about(ds: xr.Dataset, name: str, kept: xr.DataArray) -> dict[str, Any]:
    attributes = ds[name].attrs
    units = str(attributes.get("units", "1"))
    return {
        "label": style.name(ds[name]) + (f" ({units})" if units not in ("", "1") else ""),
        "better": schema.better(ds[name]),
        "dims": [str(dim) for dim in kept.dims],
    }


def _summary(held: Embedded, ds: xr.Dataset, name: str, time: str, room: int) -> None:
    """Keep median and quartiles of as many records as there is room for, the first and the last among them."""
    thin = {"x": _spread_indices(ds.sizes["x"], _MOST_POINTS)} if "x" in ds[name].dims else {}
    cells = prod(size for dim, size in ds[name].sizes.items() if dim not in ("seed", time, "x"))
    record = cells * len(thin.get("x", [0])) * 3 * 2
    most = room // max(record, 1)
    if most < min(_LEAST_RECORDS, ds.sizes[time]):
        held.notes.append(f"{style.words(name)} is left out: there is no room for it")
        return
    thin |= {time: _spread_indices(ds.sizes[time], most)}
    values = _values(ds[[name, "status"]].isel(thin), name)
    quartiles = stats.over_seeds(values).transpose(time, ...)
    scale = Quantiser.of(np.stack([quartiles[each].values for each in ("lower", "median", "upper")]))
    arrays = {
        each: held.add(f"{name}.{each}", scale.encode(quartiles[each].values)) for each in ("median", "lower", "upper")
    }
    held.room -= 6 * quartiles["median"].size
    scaled = {"low": scale.low, "high": scale.high, "log": scale.log}
    kept = {dim: [int(index) for index in indices] for dim, indices in thin.items()}
    about = _about(ds, name, quartiles["median"])
    held.variables[name] = about | {"form": "summary", "arrays": arrays, "scale": scaled, "kept": kept}
    held.notes.append(_words_of(ds, name, scale, kept))


def _words_of(ds: xr.Dataset, name: str, scale: Quantiser, kept: dict[str, list[int]]) -> str:
    within = f"{scale.error:.2g}" + (" of its value" if scale.log else "")
    thinned = [
        f"{len(indices)} of {ds.sizes[dim]} {'records' if 'epoch' in dim else f'points of {dim}'}"
        for dim, indices in kept.items()
        if len(indices) < ds.sizes[dim]
    ]
    also = f", at {style.join_words(thinned)}" if thinned else ""
    return f"{style.words(name)}: median and quartiles over seeds instead of every seed, each within {within}{also}"


def _spread_indices(size: int, most: int) -> np.ndarray:
    """Choose at most so many of some indices, evenly, with both ends."""
    if most < 2:
        return np.array([size - 1])
    return np.unique(np.linspace(0, size - 1, min(size, most)).round().astype(int))


def _embed_fits(held: Embedded, ds: xr.Dataset, cells: int) -> None:
    """Keep predictions at the snapshots, and their target."""
    if not {"prediction", "target"} <= {*map(str, ds.data_vars)}:
        return
    if cells <= MOST_CELLS and ds["prediction"].size * 4 <= held.room:
        held.room -= ds["prediction"].size * 4
        _exact(held, ds, "prediction")
    else:
        _summary(held, ds, "prediction", "snapshot_epoch", held.room)
    if "prediction" not in held.variables:
        return
    target = _constant_left_out(_lanes(ds["target"], schema.swept_dims(ds)))
    alone = target.size * 4 > held.room and "seed" in target.dims
    if alone:
        target = target.isel(seed=0, drop=True)
        held.notes.append("target: of the first seed only")
    if target.size * 4 > max(held.room, 1_000_000):
        held.notes.append("target is left out: there is no room for it")
        return
    values = target.values.astype(np.float32)
    about = _about(ds, "target", target) | {"form": "exact", "alone": alone}
    held.variables["target"] = about | {"values": held.add("target", values)}


def _constant_left_out(array: xr.DataArray) -> xr.DataArray:
    """Take an array at the first place of each swept dimension along which nothing changes."""
    for dim in [dim for dim in array.dims if dim != "x"]:
        first = array.isel({dim: 0})
        if bool(((array == first) | array.isnull()).all()):
            array = first
    return array


def _first_view(ds: xr.Dataset, swept: list[str], held: Embedded) -> dict[str, Any]:
    """Choose what a page shows first: metric, axes, and the best combination of everything else."""
    names = [name for name in held.variables if name in metrics(ds)]
    if not names:
        return {}
    metric = next(iter(_asked_metrics(ds, names)), names[0])
    own = [dim for dim in held.variables[metric]["dims"] if dim not in (*swept, "seed", "epoch")]
    varied = sorted((dim for dim in swept if ds.sizes[dim] > 1), key=lambda dim: dim != "learning_rate")
    axes = ["epoch", *own] if own else [*varied, "epoch"] if len(varied) > 1 else ["epoch", *varied]
    best = stats.best_place(ds, swept) if "loss" in ds.data_vars else {}
    at = best | {"epoch": _last_record(ds, metric)}
    return {"metric": metric, "x": axes[0], "y": axes[1] if len(axes) > 1 else "", "at": at}


def _last_record(ds: xr.Dataset, metric: str) -> int:
    """Give the last record that any lane has got to."""
    seen = ds[metric].notnull().any([dim for dim in ds[metric].dims if dim != "epoch"]).values
    return int(np.flatnonzero(seen)[-1]) if seen.any() else 0


def _asked_metrics(ds: xr.Dataset, names: list[str]) -> Iterator[str]:
    """Give the metrics that the page's figures name, and before them the one that its first figure is always of."""
    asked = json.loads(ds.attrs.get("figures", "[]"))
    known = [figure["name"] for figure in asked[:1] if figure["name"] in KINDS]
    first = [metric for name in known for metric in KINDS[name].needs]
    named = [figure.get("options", {}).get("metric") for figure in asked]
    yield from (metric for metric in [*first, *named] if metric in names)
