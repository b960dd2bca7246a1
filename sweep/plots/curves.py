"""Curves against epoch: a median line and a band between the quartiles over seeds."""

import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from sweep import stats
from sweep.plots import style
from sweep.plots.epoch_maps import order_in_words
from sweep.plots.scale import Scale, scale_of
from sweep.plots.sheet import entitle, finish, log_ticks, message, sheet
from sweep.plots.view import MOST_PANELS, View, said, view

_MOST_LINES = 10
_MOST_RECORDS = 150  # of curves that stay shapes in an SVG; a thousand would make it large
_MOST_DECADES = 10


@style.styled
def curves(ds: xr.Dataset) -> Figure:
    """Draw spectral error against epoch, a line per frequency.

    Args:
        ds: results with `spectral_error`.

    Returns:
        One panel per width at its best learning rate; medians and quartiles over seeds.
    """
    whole = view(ds).ordered("frequency")
    chosen = whole.thinned("frequency", _MOST_LINES)
    figure, panels, lines = _panels(chosen, "spectral_error", "frequency", decades=4)
    for axes in panels:
        axes.axhline(stats.HALVED, color=style.QUIET, linewidth=0.8, linestyle=":", zorder=1)
    halving = [stats.halving_epoch(stats.median(stats.measured(panel, "spectral_error"))) for panel in whole.panels()]
    order = [float(stats.order_of_convergence(each)) for each in halving]
    key = style.label(ds["frequency"])
    rule = f"Lines: median over {chosen.seeds} of the relative spectral error; bands: quartiles; dotted: 0.5"
    title = order_in_words(chosen, order, halving)
    return finish(figure, chosen, title, rule, lines + _crosses(panels, chosen), key)


@style.styled
def loss_curves(ds: xr.Dataset, reference: str | None = None) -> Figure:
    """Draw loss against epoch, a line per learning rate or per whatever else was swept.

    Args:
        ds: results with `loss`.
        reference: another recorded variable to draw dashed black over the measured loss, such as a closed
            form.

    Returns:
        One panel per width; medians and quartiles over seeds.
    """
    dim = _line_dimension(ds)
    whole = view(ds, *([] if dim is None else [dim]), most=sys.maxsize)
    chosen = whole.thinned(whole.facet, MOST_PANELS)
    if dim is not None:
        chosen = _lines(chosen.ordered(dim), dim)
    figure, panels, lines = _panels(chosen, "loss", dim, decades=_MOST_DECADES)
    rule = f"Lines: median over {chosen.seeds} of the training loss; bands: quartiles"
    key = "" if dim is None else style.label(ds[dim])
    if reference is not None:
        lines.append(_draw_reference(panels, chosen, reference))
        rule += f"; dashed: median of {style.words(reference)}"
    return finish(figure, chosen, _finding(whole, dim), rule, lines + _crosses(panels, chosen), key)


def _lines(chosen: View, dim: str) -> View:
    """Keep as many lines as can be told apart; of combinations in no order, the lowest loss to the highest."""
    if chosen.data.sizes[dim] <= _MOST_LINES or not chosen.numbered(dim):
        return chosen.thinned(dim, _MOST_LINES)
    last = stats.median(stats.final(chosen.data, "loss"))
    rank = np.argsort(last.min([each for each in last.dims if each != dim]).values)
    kept = replace(chosen, data=chosen.data.isel({dim: rank})).thinned(dim, _MOST_LINES)
    return replace(kept, rules=(*kept.rules, "They go from the lowest median final loss to the highest"))


def draw_band(axes: Axes, summary: xr.Dataset, across: Scale, colour: object) -> None:
    """Draw one median with its quartiles; a cross marks where the median lane is lost.

    Args:
        axes: where.
        summary: `median`, `lower` and `upper` over `epoch`, as `stats.over_seeds` gives them.
        across: layout of the epochs. An epoch zero on a log axis stands apart, as a dot.
        colour: of line and band.
    """
    centre, low, high = (summary[name].values for name in ("median", "lower", "upper"))
    rest = slice(int(across.zero_apart), None)
    top = np.where(np.isposinf(high), np.finfo(np.float32).max, high)
    axes.fill_between(
        across.centres[rest],
        low[rest],
        top[rest],
        where=np.isfinite(low[rest]),
        color=colour,
        alpha=0.18,
        lw=0,
    )
    drawn = np.where(np.isfinite(centre), centre, np.nan)
    axes.plot(across.centres[rest], drawn[rest], color=colour, linewidth=1.5, solid_capstyle="round")
    if across.zero_apart or len(drawn) == 1:
        axes.plot(across.centres[:1], drawn[:1], ".", color=colour, markersize=5)
    alive = np.flatnonzero(np.isfinite(drawn))
    if alive.size and np.isposinf(centre[-1]):
        axes.plot(across.centres[alive[-1]], drawn[alive[-1]], "x", color=colour, markersize=6, mew=1.8)


def _panels(chosen: View, name: str, dim: str | None, decades: float) -> tuple[Figure, list[Axes], list[Line2D]]:
    """Draw a panel per facet and a line per value of a dimension; give the legend's lines."""
    parts = list(chosen.panels())
    figure, panels = sheet(len(parts))
    summaries = [stats.over_seeds(stats.measured(part, name)) for part in parts]
    across = scale_of(summaries[0]["epoch"])
    colours = style.line_colours(1 if dim is None else chosen.data.sizes[dim])
    for axes, part, summary in zip(panels, parts, summaries, strict=True):
        across.apply(axes.xaxis)
        axes.set_rasterization_zorder(0 if len(across.values) <= _MOST_RECORDS else 4)
        axes.set(yscale="log", ylim=(0.1, 1.0), ylabel=style.label(part[name]))
        entitle(axes, chosen.title(part))
        for index, colour in enumerate(colours):
            draw_band(axes, summary if dim is None else summary.isel({dim: index}), across, colour)
        message(axes, _why_empty(summary["median"], chosen))
    _limit(panels, summaries, decades)
    if dim is None:
        return figure, panels, []
    return figure, panels, _legend_lines(chosen, dim, colours)


def _legend_lines(chosen: View, dim: str, colours: np.ndarray) -> list[Line2D]:
    texts = [said(chosen.data.isel({dim: index}), chosen.whole, dim) for index in range(len(colours))]
    texts = [text.removeprefix(f"{style.words(dim)} ") for text in texts]
    return [Line2D([], [], color=colour, label=text) for colour, text in zip(colours, texts, strict=True)]


def _why_empty(median: xr.DataArray, chosen: View) -> str:
    """Say why a logarithmic panel shows no line; nothing where it shows one."""
    if (np.isfinite(median) & (median > 0)).any():
        return ""
    if np.isfinite(median).any():
        return "zero throughout"
    return f"every median lane {chosen.lost}" if np.isposinf(median).any() else chosen.unseen


def _limit(panels: Sequence[Axes], summaries: Sequence[xr.Dataset], decades: float) -> None:
    """Set the value axis by the medians, so that neither a wild quartile nor an exact zero flattens them."""
    medians = np.concatenate([each["median"].values.ravel() for each in summaries])
    medians = medians[np.isfinite(medians) & (medians > 0)]
    if not medians.size:
        panels[0].set_yticks([], [], minor=False)
        panels[0].set_yticks([], [], minor=True)
    else:
        start = np.concatenate([each["median"].isel(epoch=0).values.ravel() for each in summaries])
        start = start[np.isfinite(start) & (start > 0)]
        top = min(medians.max(), 1e3 * start.max()) if start.size else medians.max()
        low, high = max(medians.min(), top * 10.0**-decades) / 1.6, top * 1.6
        panels[0].set_ylim(low, high)
        log_ticks(panels[0].yaxis, low, high)


def _line_dimension(ds: xr.Dataset) -> str | None:
    """Choose the swept dimension with a line per value: learning rate, else the first that is no panel's."""
    swept = [str(dim) for dim in ds["status"].dims if dim not in ("seed", "width")]
    return "learning_rate" if "learning_rate" in swept else next((dim for dim in swept if ds.sizes[dim] > 1), None)


def _draw_reference(panels: Sequence[Axes], chosen: View, reference: str) -> Line2D:
    """Draw another variable's medians over the measured ones, with gaps that show the line beneath."""
    look: dict[str, Any] = {"color": "black", "linewidth": 0.9, "linestyle": (0, (2.5, 3.5))}
    for axes, part in zip(panels, chosen.panels(), strict=True):
        values = stats.measured(part, reference).broadcast_like(part["epoch"])
        centre = stats.median(values).transpose(..., "epoch")
        across = scale_of(centre["epoch"])
        rest = slice(int(across.zero_apart), None)
        lines = centre.where(stats.finite(centre)).values.reshape(-1, centre.sizes["epoch"])
        axes.plot(across.centres[rest], lines[:, rest].T, **look)
    return Line2D([], [], label=style.words(reference), **look)


def _finding(chosen: View, dim: str | None) -> str:
    """Say in a title how low the loss gets, and where."""
    last = stats.median(stats.final(chosen.data, "loss"))
    if not np.isfinite(last).any():
        return chosen.nothing
    flat = last.where(np.isfinite(last), np.inf)
    best = last.isel(flat.argmin(flat.dims)) if flat.dims else last
    places = [said(best, chosen.whole, name) for name in (dim, chosen.facet) if name is not None]
    where = f", at {' and '.join(places)}" if places else ""
    return f"The lowest median final loss is {style.number(best.item())}{where}"


def _crosses(panels: Sequence[Axes], chosen: View) -> list[Line2D]:
    """Give the legend's entry for lost medians, where there are some."""
    some = any(line.get_marker() == "x" for axes in panels for line in axes.lines)
    text = f"median lane {chosen.lost}"
    return [Line2D([], [], color=style.QUIET, marker="x", linestyle="", label=text)] * some
