"""One metric with a single number per record: the meaning of its colours, and its best values in words."""

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


def check_metric(ds: xr.Dataset, metric: str, *dims: str | None) -> None:
    """Refuse a metric that is not a single number per record, and dimensions that were not swept.

    Args:
        ds: results.
        metric: the metric.
        dims: the dimensions over which a page wants it drawn, None for one that the page does not name.

    Raises:
        SweepError: naming the metric, or the dimension.
    """
    if (dims_of_metric := schema.own_dims(ds, metric)) != ("epoch",):
        over = style.join_words(dims_of_metric)
        raise SweepError(
            f"metric {metric!r} is over {over or 'no epochs'}: name one that is a single number per record"
        )
    known = [*schema.swept_dims(ds), *schema.union_knobs(ds)]
    for dim in dims:
        if dim is not None and dim not in known:
            raise unknown_name("swept dimension", dim, known)


def varying_names(ds: xr.Dataset, *taken: str | None) -> list[str]:
    """Name the swept dimensions with several values, seeds aside; if there are none, those with one value.

    If the parts of a union make the panels, its dimension is replaced by the numeric knobs along it that vary and that
    all lanes have.

    Args:
        ds: results.
        taken: dimensions and knobs that are already drawn: neither they nor knobs along them are named.
    """
    varying = [dim for dim in schema.swept_dims(ds) if ds.sizes[dim] > 1] or schema.swept_dims(ds)
    names = [name for dim in varying for name in _names_along(ds, dim)]
    return [name for name in names if name not in taken and unions.dimension(ds, name) not in taken]


def _names_along(ds: xr.Dataset, dim: str) -> list[str]:
    knob = unions.part_knob(ds, MOST_PANELS)
    if knob is None or unions.dimension(ds, knob) != dim or ds.sizes[dim] <= MOST_PANELS:
        return [dim]
    numbers = [name for name in schema.coords_along(ds, dim) if name != dim and ds[name].dtype.kind in "iuf"]
    return [name for name in numbers if len(unions.values_of(ds, name)) > 1 and ds[name].notnull().all()] or [dim]


def colours(better: labels.Better) -> Colormap:
    """Give the colour map in which good values are bright; another if no values are better."""
    maps = {"higher": style.higher_better_colours, "lower": style.lower_better_colours, None: style.neutral_colours}
    return maps[better]()


def highest_shown(chosen: View, metric: str) -> float:
    """Give the value above which a metric is drawn as beyond the scale, so that a few lanes do not stretch it."""
    start = stats.initial(chosen.data, metric)
    rises = schema.better(chosen.data[metric]) == "higher"  # so that what is far above the beginning is good
    return 10 * start if start > 0 and not rises else np.inf


def describe_lost(chosen: View, better: labels.Better) -> str:
    """Say in a caption what lost lanes count as, if there are any."""
    lost = chosen.ending_words(*labels.LOST)
    counts = "has the worst value there is" if better else "counts as infinite"
    return f"; a lane that {lost} {counts}" * bool(lost)


def describe_best(chosen: View, metric: str, dims: Sequence[str | None]) -> str:
    """Say in a title the metric's best value, and where it is; for a metric without a best, its range.

    Args:
        chosen: what the figure shows.
        metric: the metric.
        dims: the dimensions of its final medians, in the order in which a place is named.
    """
    chosen = chosen.complete()
    last = stats.median(stats.final(chosen.data, metric))
    if not np.isfinite(last).any():
        return chosen.empty_title
    last = last.where(np.isfinite(last))
    better, what = schema.better(chosen.data[metric]), f"median final {style.words(metric)}"
    if better is None and last.min() < last.max():
        low, high = (_value_words(chosen, last, end, dims) for end in (last.min(), last.max()))
        return f"The {what} goes from {low}, to {high}"
    best = last.max() if better == "higher" else last.min()
    which = {"higher": "highest ", "lower": "lowest ", None: ""}[better]
    return f"The {which}{what} is {_value_words(chosen, last, best, dims)}"


def _value_words(chosen: View, last: xr.DataArray, value: xr.DataArray, dims: Sequence[str | None]) -> str:
    """Write a value, and where it occurs."""
    place = describe_place(chosen, last == value, dims)
    return f"{style.format_number(value.item())}, {place}" if place else style.format_number(value.item())


def describe_place(chosen: View, where: xr.DataArray, dims: Sequence[str | None]) -> str:
    """Say where a condition is true: "at depth 2 and width 64", or at how many combinations.

    Args:
        chosen: what the figure shows.
        where: the condition, true somewhere.
        dims: its dimensions, in the order in which they are named.
    """
    count = int(where.sum())
    if count > 1:
        has_values = where.ndim == 1 and not chosen.is_numbered(str(where.dims[0]))
        of = f"values of {style.words(where.dims[0])}" if has_values else "combinations"
        return f"at {'all' if count == where.size else f'{count} of'} {where.size} {of}"
    place = where.isel(where.argmax(where.dims)) if where.dims else where
    words = style.join_words(place_words(place, chosen.source, dim) for dim in dims if dim is not None)
    return f"at {words}" if words else ""
