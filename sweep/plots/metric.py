"""One metric, a single number a record: what colours mean for it, and its best values in words."""

from collections.abc import Sequence

import numpy as np
import xarray as xr
from matplotlib.colors import Colormap

from sweep import labels, stats
from sweep.errors import SweepError, unknown
from sweep.measures import HIGHER_IS_BETTER, final
from sweep.plots import style, unions
from sweep.plots.view import MOST_PANELS, View, said


def check(ds: xr.Dataset, metric: str, *dims: str | None) -> None:
    """Refuse a metric that is no single number a record, and dimensions that were not swept.

    Args:
        ds: results.
        metric: the metric.
        dims: the dimensions that a page wants it drawn over, None for one that it leaves open.
    """
    if {*ds[metric].dims} - {*ds["status"].dims} != {"epoch"}:
        over = style.listed(str(dim) for dim in ds[metric].dims if dim not in ds["status"].dims)
        raise SweepError(f"metric {metric!r} is over {over or 'no epochs'}; here it must be one number a record")
    known = [*stats.swept(ds), *unions.knobs(ds)]
    for dim in dims:
        if dim is not None and dim not in known:
            raise unknown("swept dimension", dim, known)


def swept(ds: xr.Dataset, *taken: str | None) -> list[str]:
    """Name the dimensions along which something varies, seeds aside; where nothing does, those of one value.

    For a union whose parts make the panels, those of its numbers that all lanes have stand in its place.

    Args:
        ds: results.
        taken: dimensions and knobs that are drawn already: neither they nor what lies along them is named.
    """
    varying = [dim for dim in stats.swept(ds) if ds.sizes[dim] > 1] or stats.swept(ds)
    names = [name for dim in varying for name in _within(ds, dim)]
    return [name for name in names if name not in taken and unions.dimension(ds, name) not in taken]


def _within(ds: xr.Dataset, dim: str) -> list[str]:
    knob = unions.telling(ds, MOST_PANELS)
    if knob is None or unions.dimension(ds, knob) != dim or ds.sizes[dim] <= MOST_PANELS:
        return [dim]
    numbers = [name for name in unions.along(ds, dim) if name != dim and ds[name].dtype.kind in "iuf"]
    return [name for name in numbers if len(unions.values_of(ds, name)) > 1 and ds[name].notnull().all()] or [dim]


def colours(metric: str) -> Colormap:
    """Give the colours in which good values are bright."""
    return style.bright_is_high() if metric in HIGHER_IS_BETTER else style.bright_is_good()


def highest(chosen: View, metric: str) -> float:
    """Give the value above which a metric is drawn as beyond the scale, which a few runaway lanes would stretch."""
    start = stats.initial(chosen.data, metric)
    return 10 * start if start > 0 else np.inf


def lost_in_words(chosen: View) -> str:
    """Say in a caption what lost lanes count as, where there are any."""
    lost = chosen.ended(*labels.LOST)
    return f"; a lane that {lost} has the worst value there is" * bool(lost)


def best_in_words(chosen: View, metric: str, dims: Sequence[str | None]) -> str:
    """Say in a title how good the metric gets, and where.

    Args:
        chosen: what the figure shows.
        metric: the metric.
        dims: the dimensions of its final medians, in the order in which a place is named.
    """
    last = stats.median(final(chosen.data, metric))
    if not np.isfinite(last).any():
        return chosen.nothing
    last = last.where(np.isfinite(last))
    which, best = ("highest", last.max()) if metric in HIGHER_IS_BETTER else ("lowest", last.min())
    what = f"The {which} median final {style.words(metric)} is {style.number(best.item())}"
    place = place_in_words(chosen, last == best, dims)
    return f"{what}, {place}" if place else what


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
    told = style.listed(said(place, chosen.whole, dim) for dim in dims if dim is not None)
    return f"at {told}" if told else ""
