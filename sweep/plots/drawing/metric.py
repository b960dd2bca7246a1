"""One metric, a single number a record: what colours mean for it, and its best values in words."""

from collections.abc import Sequence

import numpy as np
import xarray as xr
from matplotlib.colors import Colormap

from sweep import stats
from sweep.base import labels
from sweep.base.errors import SweepError, unknown_name
from sweep.plots.drawing import style, unions
from sweep.plots.drawing.view import MOST_PANELS, View, place_words
from sweep.results import schema


def check(ds: xr.Dataset, metric: str, *dims: str | None) -> None:
    """Refuse a metric that is no single number a record, and dimensions that were not swept.

    Args:
        ds: results.
        metric: the metric.
        dims: the dimensions that a page wants it drawn over, None for one that it leaves open.
    """
    if (own := schema.own_dims(ds, metric)) != ("epoch",):
        over = style.join_words(own)
        raise SweepError(f"metric {metric!r} is over {over or 'no epochs'}; here it must be one number a record")
    known = [*schema.swept_dims(ds), *schema.union_knobs(ds)]
    for dim in dims:
        if dim is not None and dim not in known:
            raise unknown_name("swept dimension", dim, known)


def swept(ds: xr.Dataset, *taken: str | None) -> list[str]:
    """Name the dimensions along which something varies, seeds aside; where nothing does, those of one value.

    For a union whose parts make the panels, those of its numbers that all lanes have stand in its place.

    Args:
        ds: results.
        taken: dimensions and knobs that are drawn already: neither they nor what lies along them is named.
    """
    varying = [dim for dim in schema.swept_dims(ds) if ds.sizes[dim] > 1] or schema.swept_dims(ds)
    names = [name for dim in varying for name in _within(ds, dim)]
    return [name for name in names if name not in taken and unions.dimension(ds, name) not in taken]


def _within(ds: xr.Dataset, dim: str) -> list[str]:
    knob = unions.telling_knob(ds, MOST_PANELS)
    if knob is None or unions.dimension(ds, knob) != dim or ds.sizes[dim] <= MOST_PANELS:
        return [dim]
    numbers = [name for name in schema.coords_along(ds, dim) if name != dim and ds[name].dtype.kind in "iuf"]
    return [name for name in numbers if len(unions.values_of(ds, name)) > 1 and ds[name].notnull().all()] or [dim]


def colours(better: labels.Better) -> Colormap:
    """Give the colours in which good values are bright; others where no value is better."""
    maps = {"higher": style.bright_is_high, "lower": style.bright_is_good, None: style.bright_is_nothing}
    return maps[better]()


def highest(chosen: View, metric: str) -> float:
    """Give the value above which a metric is drawn as beyond the scale, which a few runaway lanes would stretch."""
    start = stats.initial(chosen.data, metric)
    return 10 * start if start > 0 else np.inf


def lost_in_words(chosen: View, better: labels.Better) -> str:
    """Say in a caption what lost lanes count as, where there are any."""
    lost = chosen.ended(*labels.LOST)
    counts = "has the worst value there is" if better else "counts as infinite"
    return f"; a lane that {lost} {counts}" * bool(lost)


def best_in_words(chosen: View, metric: str, dims: Sequence[str | None]) -> str:
    """Say in a title how good the metric gets, and where; of one without a best from where to where it goes.

    Args:
        chosen: what the figure shows.
        metric: the metric.
        dims: the dimensions of its final medians, in the order in which a place is named.
    """
    last = stats.median(stats.final(chosen.data, metric))
    if not np.isfinite(last).any():
        return chosen.nothing
    last = last.where(np.isfinite(last))
    better, what = schema.better(chosen.data[metric]), f"median final {style.words(metric)}"
    if better is None and last.min() < last.max():
        low, high = (_value_words(chosen, last, end, dims) for end in (last.min(), last.max()))
        return f"The {what} goes from {low}, to {high}"
    best = last.max() if better == "higher" else last.min()
    which = {"higher": "highest ", "lower": "lowest ", None: ""}[better]
    return f"The {which}{what} is {_value_words(chosen, last, best, dims)}"


def _value_words(chosen: View, last: xr.DataArray, value: xr.DataArray, dims: Sequence[str | None]) -> str:
    """Say a value and where it is taken."""
    place = place_in_words(chosen, last == value, dims)
    return f"{style.format_number(value.item())}, {place}" if place else style.format_number(value.item())


def place_in_words(chosen: View, where: xr.DataArray, dims: Sequence[str | None]) -> str:
    """Say where something is true: "at depth 2 and width 64", or at how many combinations.

    Args:
        chosen: what the figure shows.
        where: true somewhere.
        dims: its dimensions, in the order in which they are named.
    """
    count = int(where.sum())
    if count > 1:
        alone = where.ndim == 1 and not chosen.numbered(str(where.dims[0]))
        of = f"values of {style.words(where.dims[0])}" if alone else "combinations"
        return f"at {'all' if count == where.size else f'{count} of'} {where.size} {of}"
    place = where.isel(where.argmax(where.dims)) if where.dims else where
    told = style.join_words(place_words(place, chosen.whole, dim) for dim in dims if dim is not None)
    return f"at {told}" if told else ""
