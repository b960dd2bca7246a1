"""The result of training for each combination of two knobs: the last value, or the share of seeds within a bound."""

from collections.abc import Sequence

import numpy as np
import xarray as xr
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from sweep import stats
from sweep.base import labels
from sweep.plots.drawing import style
from sweep.plots.drawing.cells import merge_cells, norm_of
from sweep.plots.drawing.given import AxesLike
from sweep.plots.drawing.maps import draw_maps, lay_out_table, legend_entries, sheet_of_maps, write_numbers
from sweep.plots.drawing.metric import (
    check_metric,
    colours,
    describe_best,
    describe_lost,
    describe_place,
    highest_shown,
    varying_names,
)
from sweep.plots.drawing.view import View, view
from sweep.results import schema


@style.with_style
def outcome(
    ds: xr.Dataset,
    metric: str = "loss",
    rows: str | None = None,
    columns: str | None = None,
    *,
    ax: AxesLike | None = None,
) -> Figure:
    """Draw the median over seeds of a metric at the last record, one swept dimension against another.

    Args:
        ds: results with the metric.
        metric: a metric with a single number per record.
        rows: a swept dimension; by default the first that varies, and none if only one varies.
        columns: another; by default the next one.
        ax: axes to draw on, one for each panel; by default a new figure is made.

    Returns:
        A heatmap with the number in each cell, one panel per value of a third dimension.
    """
    chosen, dims = _choose_view(ds, metric, rows, columns)
    what, better = f"final {style.name(ds[metric])}", schema.better(ds[metric])
    medians = stats.median(stats.final(chosen.data, metric)).assign_attrs(long_name=what)
    cells = _cells(chosen, medians, dims)
    norm = norm_of(cells, highest=highest_shown(chosen, metric))
    sheet = sheet_of_maps(ax, "outcome", chosen, cells)
    kinds = draw_maps(sheet, chosen, cells, norm, colours(better))
    write_numbers(sheet, cells)
    rule = f"Median over {chosen.seeds} of the {what}{describe_lost(chosen, better)}"
    title = describe_best(chosen, metric, (*dims[::-1], chosen.facet))
    return sheet.finish(chosen, title, rule, legend_entries(kinds, chosen))


@style.with_style
def share(
    ds: xr.Dataset,
    metric: str = "loss",
    at_most: float | None = None,
    at_least: float | None = None,
    rows: str | None = None,
    columns: str | None = None,
    *,
    ax: AxesLike | None = None,
) -> Figure:
    """Draw the share of seeds whose last value of a metric is at most, or at least, some number.

    Args:
        ds: results with the metric.
        metric: a metric with a single number per record.
        at_most: the number, or None if `at_least` is given.
        at_least: the number, or None if `at_most` is given.
        rows: a swept dimension; by default the first that varies, and none if only one varies.
        columns: another; by default the next one.
        ax: axes to draw on, one for each panel; by default a new figure is made.

    Returns:
        A heatmap from 0 to 1, one panel per value of a third dimension. A lost lane has the worst possible value: it
        counts as a high error and as a low accuracy. For a metric without a best it has no value, and does not count
        as within the bound.
    """
    chosen, dims = _choose_view(ds, metric, rows, columns)
    last, better = stats.final(chosen.data, metric), schema.better(ds[metric])
    low, high = (-np.inf if at_least is None else at_least), (np.inf if at_most is None else at_most)
    bound = f"at most {high:g}" if at_least is None else f"at least {low:g}"
    reached = (last >= low) & (last <= high)
    reached = reached if better else reached & stats.finite(last)
    shares = stats.seeded(reached.astype(float).where(last.notnull())).mean("seed")
    what = f"a final {style.words(metric)} of {bound}"
    cells = _cells(chosen, shares.assign_attrs(long_name=f"share of seeds with {what}"), dims)
    sheet = sheet_of_maps(ax, "share", chosen, cells)
    cmap = colours(_direction_of_share(better, at_least is None))
    kinds = draw_maps(sheet, chosen, cells, Normalize(0, 1), cmap)
    write_numbers(sheet, cells)
    rule = f"Share of {chosen.seeds} with {what}" + (describe_lost(chosen, better) if better else _lost_words(chosen))
    title = _describe_shares(chosen, shares, what, (*dims[::-1], chosen.facet))
    return sheet.finish(chosen, title, rule, legend_entries(kinds, chosen))


def _direction_of_share(better: labels.Better, at_most: bool) -> labels.Better:
    """Tell which shares are better: high ones if the bound selects good values, low ones if it selects bad values."""
    return better and ("higher" if at_most == (better == "lower") else "lower")


def _lost_words(chosen: View) -> str:
    lost = chosen.ending_words(*labels.LOST)
    return f"; a lane that {lost} has no value and counts as not there" * bool(lost)


def _choose_view(
    ds: xr.Dataset, metric: str, rows: str | None, columns: str | None
) -> tuple[View, tuple[str | None, str | None]]:
    """Choose what is shown, and the dimensions of rows and columns."""
    check_metric(ds, metric, rows, columns)
    free = varying_names(ds, rows, columns)
    if rows is None and len(free) > (columns is None):
        rows = free.pop(0)
    columns = columns or next(iter(free), None)
    return view(ds, *filter(None, (rows, columns))), (rows, columns)


def _cells(chosen: View, values: xr.DataArray, dims: tuple[str | None, str | None]) -> list[xr.DataArray]:
    return [merge_cells(lay_out_table(chosen, each, *dims)) for each in chosen.split(values)]


def _describe_shares(chosen: View, shares: xr.DataArray, what: str, dims: Sequence[str | None]) -> str:
    """Say in a title the highest and the lowest share of seeds, and where they occur."""
    if shares.isnull().all():
        return chosen.empty_title
    low, high = shares.min(), shares.max()
    most = f"{high.item():.0%} of seeds end with {what} {describe_place(chosen, shares == high, dims)}".strip()
    return most if low == high else f"{most}, {low.item():.0%} {describe_place(chosen, shares == low, dims)}"
