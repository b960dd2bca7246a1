"""Heatmaps over the epochs: when each frequency, learning rate or point is learned."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import xarray as xr
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from sweep import stats
from sweep.plots.drawing import style
from sweep.plots.drawing.cells import draw_step_line, legend_step, log_norm, merge_cells, norm_of
from sweep.plots.drawing.given import AxesLike
from sweep.plots.drawing.maps import draw_maps, lay_out_table, legend_entries, sheet_of_maps
from sweep.plots.drawing.metric import check_metric, colours, describe_best, describe_lost, highest_shown, varying_names
from sweep.plots.drawing.scale import scale_of
from sweep.plots.drawing.training_range import mark_ends
from sweep.plots.drawing.view import View, place_words, view
from sweep.results import schema

_FEW: Final = 2  # frequencies of which a rank correlation says no more than which comes first


@style.with_style
def frequency_epoch(ds: xr.Dataset, *, ax: AxesLike | None = None) -> Figure:
    """Draw when each frequency is learned: median spectral error over seeds, frequency against epoch.

    Args:
        ds: results with `spectral_error`.
        ax: axes to draw on, one for each panel; by default a new figure is made.

    Returns:
        One panel per width at its best learning rate; a line marks where each frequency's error halves.
    """
    chosen, cells = _medians(ds, "spectral_error", "frequency")
    drawn = [merge_cells(each) for each in cells]
    halving = [stats.halving_epoch(each) for each in cells]
    order = [float(stats.order_of_convergence(each)) for each in halving]
    known = halving[0].size > _FEW
    notes = [f"rank correlation {rho:.2f}" if known and np.isfinite(rho) else "" for rho in order]
    sheet = sheet_of_maps(ax, "frequency_epoch", chosen, drawn)
    kinds = draw_maps(sheet, chosen, drawn, Normalize(0.0, 1.0), style.lower_better_colours(), notes=notes)
    for axes, each in zip(sheet.panels, drawn, strict=True):
        draw_step_line(axes, stats.halving_epoch(each), scale_of(each["frequency"]), scale_of(each["epoch"]))
    halved = any(np.isfinite(each).any() for each in halving)
    handles = [legend_step("median error first at most 0.5")] * halved + legend_entries(kinds, chosen)
    rule = f"Median over {chosen.seeds} of the relative spectral error; 0 is fitted, 1 no better than nothing"
    return sheet.finish(chosen, describe_order(chosen, order, halving), rule, handles)


@style.with_style
def learning_rate_epoch(ds: xr.Dataset, *, ax: AxesLike | None = None) -> Figure:
    """Draw how fast each learning rate is: median loss over seeds, learning rate against epoch.

    Where there is validation, it is the validation loss.

    Args:
        ds: results with `loss` and the dimension `learning_rate`.
        ax: axes to draw on, one for each panel; by default a new figure is made.

    Returns:
        One panel per width.
    """
    metric = schema.deciding(ds)
    chosen, cells = _medians(ds, metric, "learning_rate")
    ends = [each.isel(epoch=-1) for each in cells]
    cells = [merge_cells(each) for each in cells]
    norm = log_norm(cells, highest=highest_shown(chosen, metric))
    sheet = sheet_of_maps(ax, "learning_rate_epoch", chosen, cells)
    kinds = draw_maps(sheet, chosen, cells, norm, style.lower_better_colours())
    best = [float(stats.best_learning_rate(panel)) for panel in chosen.panels()]
    known = [rate for rate in best if np.isfinite(rate)]
    what = f"final {style.words(metric)}"
    title = f"The {what} is lowest at learning rate {style.format_range(known)}" if known else chosen.empty_title
    title += f", depending on {style.words(chosen.facet)}" if len(set(known)) > 1 else ""
    if known and any(int((end == end.min()).sum()) > 1 for end in ends if np.isfinite(end.min())):
        title = f"Several learning rates share the lowest {what}"
    rule = f"Median over {chosen.seeds} of the {style.name(ds[metric])}, diverged as +inf"
    return sheet.finish(chosen, title, rule, legend_entries(kinds, chosen))


@style.with_style
def metric_epoch(
    ds: xr.Dataset, metric: str = "loss", rows: str | None = None, *, ax: AxesLike | None = None
) -> Figure:
    """Draw a metric's median over seeds, a swept dimension against epoch.

    Args:
        ds: results with the metric.
        metric: a metric with a single number per record.
        rows: a swept dimension; by default the first that varies.
        ax: axes to draw on, one for each panel; by default a new figure is made.

    Returns:
        One panel per width, or per value of another dimension.
    """
    check_metric(ds, metric, rows)
    rows, better = rows or next(iter(varying_names(ds)), None), schema.better(ds[metric])
    chosen, cells = _medians(ds, metric, rows)
    cells = [merge_cells(each) for each in cells]
    norm = norm_of(cells, highest=highest_shown(chosen, metric))
    sheet = sheet_of_maps(ax, "metric_epoch", chosen, cells)
    kinds = draw_maps(sheet, chosen, cells, norm, colours(better))
    title = describe_best(chosen, metric, (rows, chosen.facet))
    rule = f"Median over {chosen.seeds} of the {style.name(ds[metric])}{describe_lost(chosen, better)}"
    return sheet.finish(chosen, title, rule, legend_entries(kinds, chosen))


@style.with_style
def space_epoch(ds: xr.Dataset, *, ax: AxesLike | None = None) -> Figure:
    """Draw where and when the network is wrong: median absolute error over seeds, x against epoch.

    Args:
        ds: results with `spatial_error`.
        ax: axes to draw on, one for each panel; by default a new figure is made.

    Returns:
        One panel per width at its best learning rate.
    """
    chosen, cells = _medians(ds, "spatial_error", "x")
    # Two decades: with more, the lines along which the error changes sign would be too prominent.
    drawn = [merge_cells(each) for each in cells]
    sheet = sheet_of_maps(ax, "space_epoch", chosen, drawn)
    kinds = draw_maps(sheet, chosen, drawn, log_norm(drawn, decades=2), style.lower_better_colours())
    handles = mark_ends(sheet.panels, ds["x"], "y")
    ends = [each.isel(epoch=-1) for each in cells if np.isfinite(each.isel(epoch=-1)).all()]
    title = chosen.empty_title
    if ends:
        worst = max(ends, key=lambda end: float(end.max()))
        peak = worst.isel(x=worst.argmax("x"))
        place, height = style.format_number(peak["x"].item()), style.format_number(peak.item())
        title = f"At the end the median error is largest at x = {place}: {height}"
        title += f" ({place_words(peak, chosen.source, chosen.facet)})" if chosen.facet else ""
        title = title if peak.item() else "At the end the median error is 0 everywhere"
    rule = f"Median over {chosen.seeds} of the absolute error"
    return sheet.finish(chosen, title, rule, handles + legend_entries(kinds, chosen))


def describe_order(chosen: View, order: Sequence[float], halving: Sequence[xr.DataArray]) -> str:
    """Say in a title what the rank correlations of frequency and halving epoch mean.

    Args:
        chosen: what the figure shows.
        order: one correlation per panel, NaN for none.
        halving: the panels' halving epochs.
    """
    known = [rho for rho in order if np.isfinite(rho)]
    if all(each.isnull().all() for each in halving):
        return chosen.empty_title
    if not any(np.isfinite(each).any() for each in halving):
        return "No frequency's error was halved"
    if halving[0].size == 1:
        return _describe_single_frequency(chosen, halving)
    if not known:
        same = sum(bool(np.isfinite(each).all()) for each in halving)  # all at one record, as there is no correlation
        some = f", in {same} of {len(halving)} panels" * (same < len(halving))
        return f"All frequencies halved their error at the same record{some}"
    span = f" (rank correlation of frequency and halving epoch: {_span(known)})" * (halving[0].size > _FEW)
    # Frequencies whose error is never halved are tied, which lowers the correlation of a perfect order.
    if min(known) >= 0.8 or all(np.all(each.values[1:] >= each.values[:-1]) for each in halving):
        return f"Low frequencies are fitted first{span}"
    if max(known) <= -0.8:
        return f"High frequencies are fitted first{span}"
    if max(np.abs(known)) < 0.5:
        return f"Frequencies are fitted in no order from low to high{span}"
    return f"Low frequencies do not always come first{span}"


def _describe_single_frequency(chosen: View, halving: Sequence[xr.DataArray]) -> str:
    """Say when the only frequency halved its error, and in which panels it never did."""
    reached = [each.item() for each in halving if np.isfinite(each).all()]
    never = [chosen.title(panel) for panel, each in zip(chosen.panels(), halving, strict=True) if np.isinf(each).all()]
    frequency = style.format_number(halving[0]["frequency"].item())
    halved = f"Frequency {frequency} halved its error at epoch {style.format_range(reached)}"
    if not never:
        return halved
    return f"{halved}, and never {f'at {never[0]}' if len(never) == 1 else f'in {len(never)} of {len(halving)} panels'}"


def _span(values: Sequence[float]) -> str:
    low, high = f"{min(values):.2f}", f"{max(values):.2f}"
    return low if low == high else f"{low} to {high}"


def _medians(ds: xr.Dataset, name: str, rows: str | None) -> tuple[View, list[xr.DataArray]]:
    """Give each panel's median over seeds, rows by epochs."""
    chosen = view(ds, *filter(None, (rows,)))
    medians = (stats.median(stats.measured(panel, name)) for panel in chosen.panels())
    return chosen, [lay_out_table(chosen, each, rows, "epoch") for each in medians]
