"""How many epochs each combination of learning rate and width needs."""

import json
from collections.abc import Sequence

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from sweep import labels, stats
from sweep.plots import style
from sweep.plots.heatmap import colour_bar, hatch, heatmap, legend_patch, log_norm, merged, numbers
from sweep.plots.scale import scale_of
from sweep.plots.sheet import entitle, finish, sheet
from sweep.plots.view import view

_SHARE = 0.05  # of the median initial loss: the threshold where a page states none


@style.styled
def epochs_to_converge(ds: xr.Dataset, threshold: float | None = None) -> Figure:
    """Draw the median epochs until the loss is at most a threshold, learning rate against width.

    Args:
        ds: results with `loss` and the dimensions `learning_rate` and `width`.
        threshold: in units of the loss; by default that at which the page ended lanes, or else 5% of the median
            initial loss.

    Returns:
        A heatmap with the number in each cell; cells whose median lane never gets there are hatched, by
        what became of most lanes that did not.
    """
    chosen = view(ds, "learning_rate", "width")
    threshold = _target(ds) if threshold is None else threshold
    level = _SHARE * stats.initial(ds, "loss") if threshold is None else threshold
    found = [_cells(panel, level) for panel in chosen.panels()]
    title = _title([epochs for epochs, _ in found], level) if np.isfinite(level) else chosen.nothing
    found = [_merged(*each) for each in found]
    cells = [epochs for epochs, _ in found]
    figure, panels = sheet(len(cells))
    norm, kinds = log_norm(cells), set[str]()
    for axes, panel, (epochs, reason) in zip(panels, chosen.panels(), found, strict=True):
        down, across = (scale_of(epochs[dim]) for dim in epochs.dims)
        mesh = heatmap(axes, epochs, down, across, norm=norm, cmap=style.bright_is_good())
        for kind in style.HATCHES:
            if hatch(axes, reason == stats.REASONS.index(kind), down, across, kind) is not None:
                kinds.add(kind)
        numbers(axes, epochs, down, across, mesh)
        entitle(axes, chosen.title(panel))
    colour_bar(figure, panels, cells, "median epochs to the threshold")
    why = f"{_SHARE:.0%} of the median initial loss" if threshold is None else "given by the page"
    rule = (
        f"Median over {chosen.seeds} of the first recorded epoch with training loss at most "
        f"{style.number(level)} ({why}); a lane that diverges, be it later, counts as +inf"
    )
    texts = {
        "diverged": f"median lane {chosen.ended(labels.DIVERGED, labels.FAILED)}",
        "censored": f"median lane {'cut' if chosen.ended(labels.CUT) else 'not there'} by the end",
        "not_run": chosen.unseen,
    }
    handles = [legend_patch(kind, texts[kind]) for kind in style.HATCHES if kind in kinds]
    return finish(figure, chosen, title, rule, handles)


def _target(ds: xr.Dataset) -> float | None:
    """Give the loss at which the page ended its lanes, if it did."""
    stop = json.loads(ds.attrs.get("experiment", "{}")).get("stop") or {}
    return stop["value"] if stop.get("kind") == "Target" and stop["metric"] == "loss" else None


def _cells(panel: xr.Dataset, level: float) -> tuple[xr.DataArray, xr.DataArray]:
    """Give median epochs and, for cells without, the reason of most of the seeds that did not get there."""
    found = stats.epochs_to(stats.measured(panel, "loss"), level, panel["status"])
    lost = panel["status"].isin((labels.DIVERGED, labels.FAILED))
    lanes = found["epoch"].where(~lost, np.inf)
    epochs = stats.median(lanes).transpose("learning_rate", "width")
    censored = (found["reason"] == stats.WAS_CENSORED) & ~lost
    diverged, censored = (each.sum("seed") if "seed" in each.dims else each for each in (lost, censored))
    reason = xr.where(diverged >= censored, stats.HAS_DIVERGED, stats.WAS_CENSORED)
    reason = reason.where(~stats.finite(epochs), stats.WAS_REACHED).where(epochs.notnull(), stats.NOT_RUN)
    return epochs, reason.transpose(*epochs.dims)


def _merged(epochs: xr.DataArray, reason: xr.DataArray) -> tuple[xr.DataArray, xr.DataArray]:
    """Put cells together where they are too many; the reason is that of most of those that did not get there."""
    missed = merged(reason.where(reason.isin((stats.WAS_CENSORED, stats.HAS_DIVERGED))))
    few = merged(epochs)
    halfway = (stats.WAS_CENSORED + stats.HAS_DIVERGED) / 2
    why = xr.where(missed >= halfway, stats.HAS_DIVERGED, stats.WAS_CENSORED)
    return few, why.where(~stats.finite(few), stats.WAS_REACHED).where(few.notnull(), stats.NOT_RUN)


def _title(cells: Sequence[xr.DataArray], level: float) -> str:
    """Say how many combinations converge and which is fastest."""
    reached = sum(int(stats.finite(each).sum()) for each in cells)
    total = sum(each.size for each in cells)
    if not reached:
        return f"No combination of learning rate and width reaches a loss of {style.number(level)}"
    quickest = min(cells, key=lambda each: float(each.min()))
    place = quickest.fillna(np.inf).argmin(("learning_rate", "width"))
    best = quickest.isel(place)
    rate, width = (style.number(best[name].item()) for name in ("learning_rate", "width"))
    return (
        f"{reached} of {total} combinations reach a loss of {style.number(level)}; the fastest, "
        f"learning rate {rate} at width {width}, takes {style.counted(style.number(best.item()), 'epoch')}"
    )
