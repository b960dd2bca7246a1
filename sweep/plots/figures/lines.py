"""Curves against epoch: a median line and a band between the quartiles over seeds."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, TypeAlias

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from sweep import stats
from sweep.plots.drawing import style, unions
from sweep.plots.drawing.given import AxesLike, given_sheet
from sweep.plots.drawing.metric import check_metric, describe_best
from sweep.plots.drawing.scale import Scale, scale_of, spans_decades
from sweep.plots.drawing.sheet import Sheet, figure_sheet, set_log_ticks, write_message
from sweep.plots.drawing.view import View, place_words, view
from sweep.plots.figures.epoch_maps import describe_order
from sweep.results import schema

_MOST_LINES = 10
_MOST_RECORDS = 150  # of curves that are drawn as shapes in an SVG; longer ones would make it large
_MOST_DECADES = 10
_QUARTILES = ("lower", "median", "upper")
_FARTHEST = 1e250  # largest end of an axis, with space beyond it
_FAR = np.finfo(np.float32).max  # the end of a band if a quartile is a lost lane
_Limit: TypeAlias = Callable[[Sequence[Axes], Sequence[xr.Dataset]], None]


@style.with_style
def curves(ds: xr.Dataset, *, ax: AxesLike | None = None) -> Figure:
    """Draw spectral error against epoch, a line per frequency.

    Args:
        ds: results with `spectral_error`.
        ax: axes to draw on, one for each panel; by default a new figure is made.

    Returns:
        One panel per width at its best learning rate; medians and quartiles over seeds.
    """
    full = view(ds).sort("frequency")
    chosen = full.thin("frequency", _MOST_LINES)
    sheet = _sheet(ax, "curves", chosen)
    lines, crosses = _draw(sheet, chosen, "spectral_error", "frequency", partial(_limit_decades, most=4))
    for axes in sheet.panels:
        axes.axhline(stats.HALVED, color=style.QUIET, linewidth=0.8, linestyle=":", zorder=1)
    halving = [stats.halving_epoch(stats.median(stats.measured(panel, "spectral_error"))) for panel in full.panels()]
    order = [float(stats.order_of_convergence(each)) for each in halving]
    key = style.label(ds["frequency"])
    rule = f"Lines: median over {chosen.seeds} of the relative spectral error; bands: quartiles; dotted: 0.5"
    title = describe_order(chosen, order, halving)
    return sheet.finish(chosen, title, rule, [*lines, *crosses], key)


@style.with_style
def loss_curves(ds: xr.Dataset, reference: str | None = None, *, ax: AxesLike | None = None) -> Figure:
    """Draw loss against epoch, with a line per learning rate, or per value of another swept dimension.

    Where there is validation, lines are of the validation loss, and the training loss is drawn dashed beside them.

    Args:
        ds: results with `loss`.
        reference: another recorded variable, such as a closed form, which is drawn dashed and black over the measured
            loss.
        ax: axes to draw on, one for each panel; by default a new figure is made.

    Returns:
        One panel per width; medians and quartiles over seeds.
    """
    dim = _line_dimension(ds)
    metric = schema.deciding(ds)
    chosen = _choose(ds, metric, dim)
    sheet = _sheet(ax, "loss_curves", chosen)
    beside = [] if metric == "loss" else [stats.over_seeds(stats.measured(part, "loss")) for part in chosen.panels()]

    def limit(panels: Sequence[Axes], summaries: Sequence[xr.Dataset]) -> None:
        _limit_decades(panels, [*summaries, *beside], _MOST_DECADES)

    lines, crosses = _draw(sheet, chosen, metric, dim, limit)
    rule = f"Lines: median over {chosen.seeds} of the {style.name(ds[metric])}; bands: quartiles"
    if metric != "loss":
        _draw_beside(sheet.panels, chosen, beside, dim)
        rule += f"; dashed: median of the {style.name(ds['loss'])}"
    key = "" if dim is None else style.label(ds[dim])
    if reference is not None:
        lines.append(_draw_reference(sheet.panels, chosen, reference))
        rule += f"; dashed: median of {style.words(reference)}"
    title = describe_best(chosen, metric, (dim, chosen.facet))
    return sheet.finish(chosen, title, rule, [*lines, *crosses], key)


@style.with_style
def metric_curves(
    ds: xr.Dataset, metric: str = "loss", lines: str | None = None, *, ax: AxesLike | None = None
) -> Figure:
    """Draw a metric against epoch, a line per value of a swept dimension.

    Args:
        ds: results with the metric.
        metric: a metric with a single number per record.
        lines: a swept dimension; by default the learning rate, else the first that makes no panels.
        ax: axes to draw on, one for each panel; by default a new figure is made.

    Returns:
        One panel per width, or per value of another dimension; medians and quartiles over seeds.
    """
    check_metric(ds, metric, lines)
    dim = lines or _line_dimension(ds)
    chosen = _choose(ds, metric, dim)
    sheet = _sheet(ax, "metric_curves", chosen)
    # Where higher is better, a logarithm would crowd the good values together.
    limit = _limit_linearly if schema.better(ds[metric]) == "higher" else _limit_by_span
    entries, crosses = _draw(sheet, chosen, metric, dim, limit)
    rule = f"Lines: median over {chosen.seeds} of the {style.name(ds[metric])}; bands: quartiles"
    key = "" if dim is None else style.label(ds[dim])
    title = describe_best(chosen, metric, (dim, chosen.facet))
    return sheet.finish(chosen, title, rule, [*entries, *crosses], key)


def _choose(ds: xr.Dataset, metric: str, dim: str | None) -> View:
    """Choose the results for a figure with a line per value of a dimension."""
    chosen = view(ds, *([] if dim is None else [dim]))
    if dim in chosen.drawn:  # a knob of a union, each part of which has its own values
        return chosen.thin(dim, _MOST_LINES)
    return chosen if dim is None else _lines(chosen.sort(dim), metric, dim)


def _lines(chosen: View, metric: str, dim: str) -> View:
    """Keep as many lines as can be distinguished; combinations, which have no order, are sorted by their metric."""
    if chosen.data.sizes[dim] <= _MOST_LINES or not chosen.is_numbered(dim):
        return chosen.thin(dim, _MOST_LINES)
    last = stats.median(stats.final(chosen.data, metric))
    rank = np.argsort(last.min([each for each in last.dims if each != dim]).values)
    kept = replace(chosen, data=chosen.data.isel({dim: rank})).thin(dim, _MOST_LINES)
    order = f"They go from the lowest median final {style.words(metric)} to the highest"
    return replace(kept, rules=(*kept.rules, order))


def draw_band(axes: Axes, summary: xr.Dataset, across: Scale, colour: object) -> bool:
    """Draw one median with its quartiles; a cross marks where the median lane is lost.

    Args:
        axes: the panel.
        summary: `median`, `lower` and `upper` over `epoch`, as `stats.over_seeds` gives them.
        across: layout of the epochs. An epoch zero on a log axis is a separate dot.
        colour: of line and band.

    Returns:
        Whether a cross was drawn.
    """
    low, centre, high = (summary[name].values for name in _QUARTILES)
    rest = slice(int(across.has_zero_cell), None)
    bottom, top = (np.where(np.isinf(each), np.copysign(_FAR, each), each) for each in (low, high))
    axes.fill_between(
        across.centres[rest],
        bottom[rest],
        top[rest],
        where=np.isfinite(low[rest]) | np.isfinite(high[rest]),
        color=colour,
        alpha=0.18,
        lw=0,
    )
    drawn = np.where(np.isfinite(centre), centre, np.nan)
    axes.plot(across.centres[rest], drawn[rest], color=colour, linewidth=1.5, solid_capstyle="round")
    if across.has_zero_cell or len(drawn) == 1:
        axes.plot(across.centres[:1], drawn[:1], ".", color=colour, markersize=5)
    alive = np.flatnonzero(np.isfinite(drawn))
    lost = bool(alive.size and np.isinf(centre[-1]))
    if lost:
        axes.plot(across.centres[alive[-1]], drawn[alive[-1]], "x", color=colour, markersize=6, mew=1.8)
    return lost


def _sheet(ax: AxesLike | None, figure: str, chosen: View) -> Sheet:
    """Give a figure's panels, one per value of the facet."""
    panels = sum(1 for _ in chosen.panels())
    return given_sheet(ax, figure, chosen, panels) or figure_sheet(panels)


def _draw(sheet: Sheet, chosen: View, name: str, dim: str | None, limit: _Limit) -> tuple[list[Line2D], list[Line2D]]:
    """Draw a line per value of a dimension in each panel; return the legend's lines, and its cross if there is one."""
    parts = list(chosen.panels())
    summaries = [stats.over_seeds(stats.measured(part, name)) for part in parts]
    across = scale_of(summaries[0]["epoch"])
    limit(sheet.panels, summaries)
    values = [None] if dim is None else _line_values(chosen, dim)
    colours = style.line_colours(len(values))
    lost = False
    for axes, part, summary in zip(sheet.panels, parts, summaries, strict=True):
        across.apply(axes.xaxis)
        axes.set_rasterization_zorder(0 if len(across.values) <= _MOST_RECORDS else 4)
        axes.set_ylabel(style.label(part[name]))
        sheet.set_title(axes, sheet.name(chosen, part))
        here = values if dim is None else part[dim].values.tolist()
        for value, colour in zip(values, colours, strict=True):
            if value in here:
                line = summary if dim is None else summary.isel({dim: here.index(value)})
                lost |= draw_band(axes, line, across, colour)
        write_message(axes, _why_empty(summary["median"], chosen, axes.get_yscale()))
    lines = [] if dim is None else _legend_lines(chosen, dim, colours)
    return lines, [_legend_cross(chosen)] * lost


def _line_values(chosen: View, dim: str) -> list[Any]:
    """List the values that have a line; they may differ between the parts of a union."""
    values = unions.values_of(chosen.data, dim)
    return sorted(values) if dim in chosen.drawn else values


def _legend_lines(chosen: View, dim: str, colours: np.ndarray) -> list[Line2D]:
    if dim in chosen.drawn:
        texts = [style.format_number(value) or "none" for value in _line_values(chosen, dim)]
    else:
        texts = [place_words(chosen.data.isel({dim: index}), chosen.source, dim) for index in range(len(colours))]
    texts = [text.removeprefix(f"{style.words(dim)} ") for text in texts]
    return [Line2D([], [], color=colour, label=text) for colour, text in zip(colours, texts, strict=True)]


def _why_empty(median: xr.DataArray, chosen: View, kind: str) -> str:
    """Say why a panel shows no line; "" if it shows one."""
    if (np.isfinite(median) & ((median > 0) | (kind == "linear"))).any():
        return ""
    if np.isfinite(median).any():
        return "zero throughout"
    if np.isinf(median).any() and median.isnull().any():
        return f"{chosen.lost} or {chosen.unseen}"
    return f"every median lane {chosen.lost}" if np.isinf(median).any() else chosen.unseen


def _limit_by_span(panels: Sequence[Axes], summaries: Sequence[xr.Dataset]) -> None:
    """Set the value axis by the medians: logarithmic if they span more than a decade, else linear."""
    if spans_decades(np.concatenate([each["median"].values.ravel() for each in summaries])):
        _limit_decades(panels, summaries, _MOST_DECADES)
    else:
        _limit_linearly(panels, summaries)


def _limit_linearly(panels: Sequence[Axes], summaries: Sequence[xr.Dataset]) -> None:
    """Set a linear value axis by the medians."""
    low, centre, high = (np.concatenate([each[name].values.ravel() for each in summaries]) for name in _QUARTILES)
    finite = centre[np.isfinite(centre)].astype(float).clip(-_FARTHEST, _FARTHEST)
    if finite.size:
        span = np.ptp(finite) or 1.0
        bottom = max(np.min(low, where=np.isfinite(low), initial=np.inf), finite.min() - span / 2)
        top = min(np.max(high, where=np.isfinite(high), initial=-np.inf), finite.max() + span / 2)
        low, high = min(bottom, finite.min()) - 0.06 * span, max(top, finite.max()) + 0.06 * span
        for axes in panels:
            axes.set_ylim(low, high)
    else:
        for axes in panels:
            axes.set(ylim=(0, 1), yticks=[])


def _limit_decades(panels: Sequence[Axes], summaries: Sequence[xr.Dataset], most: float) -> None:
    """Set a logarithmic axis by the medians, so that neither an extreme quartile nor an exact zero flattens them."""
    for axes in panels:
        axes.set(yscale="log", ylim=(0.1, 1.0))
    medians = np.concatenate([each["median"].values.ravel() for each in summaries])
    medians = medians[np.isfinite(medians) & (medians > 0)].astype(float).clip(max=_FARTHEST)
    if not medians.size:
        for axes in panels:
            axes.set_yticks([], [], minor=False)
            axes.set_yticks([], [], minor=True)
    else:
        start = np.concatenate([each["median"].isel(epoch=0).values.ravel() for each in summaries])
        start = start[np.isfinite(start) & (start > 0)]
        top = min(medians.max(), 1e3 * float(start.max())) if start.size else medians.max()
        low, high = max(medians.min(), top * 10.0**-most) / 1.6, top * 1.6
        for axes in panels:
            axes.set_ylim(low, high)
            set_log_ticks(axes.yaxis, low, high)


def _line_dimension(ds: xr.Dataset) -> str | None:
    """Choose the swept dimension with a line per value: the learning rate, else the first that makes no panels."""
    swept = [dim for dim in schema.swept_dims(ds) if dim != "width"]
    return "learning_rate" if "learning_rate" in swept else next((dim for dim in swept if ds.sizes[dim] > 1), None)


def _draw_reference(panels: Sequence[Axes], chosen: View, reference: str) -> Line2D:
    """Draw another variable's medians, dashed over the measured ones, so that the line beneath remains visible."""
    look: dict[str, Any] = {"color": "black", "linewidth": 0.9, "linestyle": (0, (2.5, 3.5))}
    for axes, part in zip(panels, chosen.panels(), strict=True):
        values = stats.measured(part, reference).broadcast_like(part["epoch"])
        centre = stats.median(values).transpose(..., "epoch")
        across = scale_of(centre["epoch"])
        rest = slice(int(across.has_zero_cell), None)
        lines = centre.where(stats.finite(centre)).values.reshape(-1, centre.sizes["epoch"])
        axes.plot(across.centres[rest], lines[:, rest].T, **look)
    return Line2D([], [], label=style.words(reference), **look)


def _draw_beside(panels: Sequence[Axes], chosen: View, summaries: Sequence[xr.Dataset], dim: str | None) -> None:
    """Draw another variable's medians, dashed, in the colours of the lines."""
    values = [None] if dim is None else _line_values(chosen, dim)
    for axes, summary in zip(panels, summaries, strict=True):
        centre = summary["median"]
        across = scale_of(centre["epoch"])
        rest = slice(int(across.has_zero_cell), None)
        here = values if dim is None else centre[dim].values.tolist()
        for value, colour in zip(values, style.line_colours(len(values)), strict=True):
            if value in here:
                line = (centre if dim is None else centre.isel({dim: here.index(value)})).values
                drawn = np.where(np.isfinite(line), line, np.nan)
                axes.plot(across.centres[rest], drawn[rest], color=colour, linewidth=0.9, linestyle=(0, (3, 2)))


def _legend_cross(chosen: View) -> Line2D:
    """Give the legend's entry for medians that are lost."""
    return Line2D([], [], color=style.QUIET, marker="x", linestyle="", label=f"median lane {chosen.lost}")
