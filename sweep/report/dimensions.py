"""The dimensions of results as a report needs them: names, values as text, positions on an axis, knobs as typed."""

from typing import Any

import numpy as np
import xarray as xr

from sweep.plots.drawing import style
from sweep.plots.drawing.scale import scale_of
from sweep.plots.drawing.view import place_words
from sweep.results import schema


def describe(ds: xr.Dataset, dim: str) -> dict[str, Any]:
    """Describe a dimension for the report's scripts.

    Args:
        ds: results, sorted along the dimension.
        dim: its name.

    Returns:
        `name`; `label` with units; `kind` of its scale (log, linear, category); `texts`, each value as short text;
        `places` on an axis of that kind, as logarithms on a log one; `values`, if they are numbers; `swept`, whether it
        is swept.
    """
    kind, label, places = _scale(ds, dim)
    return {
        "name": dim,
        "label": label,
        "kind": kind,
        "texts": _texts(ds, dim),
        "places": [round(float(place), 9) for place in places],
        "values": [float(value) for value in ds[dim].values] if kind != "category" else [],
        "swept": dim in schema.lane_dims(ds),
    }


def _scale(ds: xr.Dataset, dim: str) -> tuple[str, str, np.ndarray]:
    coordinate = ds[dim]
    if dim in schema.swept_dims(ds) and _has_combinations(ds, dim):
        return "category", style.words(dim), np.arange(coordinate.size)
    scale = scale_of(coordinate)
    places = np.log10(scale.centres) if scale.kind == "log" else np.asarray(scale.centres, float)
    return scale.kind, " ".join(scale.label.split()), places


def _texts(ds: xr.Dataset, dim: str) -> list[str]:
    if dim in schema.swept_dims(ds) and _has_combinations(ds, dim):
        return [place_words(ds.isel({dim: index}), ds, dim) for index in range(ds.sizes[dim])]
    return [style.format_number(value) for value in ds[dim].values]


def _has_combinations(ds: xr.Dataset, dim: str) -> bool:
    """Tell whether each value stands for several knobs, so that one number does not name it."""
    return len(schema.coords_along(ds, dim)) > 1 and ds.sizes[dim] <= 40


def knobs(ds: xr.Dataset) -> list[dict[str, Any]]:
    """List the swept knobs with their values as they are written on a command line.

    Returns:
        For each knob `name`, `dims` (those it varies along), their `shape`, and `values` (row by row; "" where
        the knob does not apply).
    """
    return [
        {
            "name": name,
            "dims": list(ds[name].dims),
            "shape": list(ds[name].shape),
            "values": [_literal(value) for value in ds[name].values.ravel()],
        }
        for name in schema.knobs(ds)
    ]


def _literal(value: Any) -> str:
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, float):
        if np.isnan(value):
            return ""
        return repr(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)
    return str(value)
