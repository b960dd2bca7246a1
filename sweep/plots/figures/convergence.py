"""How many epochs each combination of learning rate and width needs."""

import json
from collections.abc import Sequence

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from sweep import stats
from sweep.base import labels
from sweep.plots.drawing import style
from sweep.plots.drawing.cells import (
    add_colour_bar,
    draw_cells,
    draw_hatch,
    draw_numbers,
    legend_patch,
    log_norm,
    merge_cells,
)
from sweep.plots.drawing.given import AxesLike, given_sheet
from sweep.plots.drawing.scale import scale_of
from sweep.plots.drawing.sheet import figure_sheet
from sweep.plots.drawing.view import view
from sweep.results import schema

_ENDS = ("diverged", "censored", "cut")  # of lanes that do not reach the threshold; the first one if equally frequent
_SHARE = 0.05  # of the median initial loss: the threshold if the page states none
_NEAR = 1.1  # of the lowest median validation loss: the same where there is validation


@style.with_style
def epochs_to_converge(ds: xr.Dataset, threshold: float | None = None, *, ax: AxesLike | None = None) -> Figure:
    """Draw the median epochs until the loss is at most a threshold, learning rate against width.

    Where there is validation, it is the validation loss.

    Args:
        ds: results with `loss` and the dimensions `learning_rate` and `width`.
        threshold: in units of the loss; by default the loss at which the page ended lanes, or else 5% of the median
            initial loss; of a validation loss, which noise keeps from 0, 110% of the lowest median.
        ax: axes to draw on, one for each panel; by default a new figure is made.

    Returns:
        A heatmap with the number in each cell; cells whose median lane never reaches the threshold are hatched, by
        how most of the lanes that did not reach it ended.
    """
    chosen = view(ds, "learning_rate", "width")
    metric = schema.deciding(ds)
    threshold = _target(ds, metric) if threshold is None else threshold
    level, why = _usual_level(ds, metric) if threshold is None else (threshold, "given by the page")
    found = [_cells(panel, metric, level) for panel in chosen.panels()]
    title = (
        _title([epochs for epochs, _ in found], f"a {style.words(metric)} of {style.format_number(level)}")
        if np.isfinite(level)
        else chosen.empty_title
    )
    found = [(merge_cells(epochs), _most(epochs, ends)) for epochs, ends in found]
    cells = [epochs for epochs, _ in found]
    sheet = given_sheet(ax, "epochs_to_converge", chosen, len(cells)) or figure_sheet(len(cells))
    norm, kinds = log_norm(cells), set[str]()
    for axes, panel, (epochs, end) in zip(sheet.panels, chosen.panels(), found, strict=True):
        down, across = (scale_of(epochs[dim]) for dim in epochs.dims)
        mesh = draw_cells(axes, epochs, down, across, norm=norm, cmap=style.lower_better_colours())
        wheres = {kind: (epochs == np.inf) & (end == place) for place, kind in enumerate(_ENDS)}
        for kind, where in (wheres | {"not_run": epochs.isnull()}).items():
            if draw_hatch(axes, where, down, across, kind) is not None:
                kinds.add(kind)
        draw_numbers(axes, epochs, down, across, mesh, sheet.width(axes))
        sheet.set_title(axes, sheet.name(chosen, panel))
    add_colour_bar(sheet.panels, cells, "median epochs to the threshold")
    rule = (
        f"Median over {chosen.seeds} of the first recorded epoch with {labels.METRICS[metric].long_name} at "
        f"most {style.format_number(level)} ({why}); a lane that diverges, be it later, counts as +inf"
    )
    texts = {
        "diverged": f"median lane {chosen.ending_words(labels.DIVERGED, labels.FAILED)}",
        "censored": "median lane not there by the end",
        "cut": "median lane cut before it got there",
        "not_run": chosen.unseen,
    }
    handles = [legend_patch(kind, texts[kind]) for kind in style.HATCHES if kind in kinds]
    return sheet.finish(chosen, title, rule, handles)


def _usual_level(ds: xr.Dataset, metric: str) -> tuple[float, str]:
    """Give the threshold where nobody states one, and what it is in words."""
    if metric == schema.VALIDATION:
        lowest = float(stats.median(stats.seeded(stats.measured(ds, metric))).min())
        return _NEAR * lowest, f"{_NEAR:.0%} of the lowest median"
    return _SHARE * stats.initial(ds, metric), f"{_SHARE:.0%} of the median initial loss"


def _target(ds: xr.Dataset, metric: str) -> float | None:
    """Give the loss at which the page ended its lanes, if it did."""
    stop = json.loads(ds.attrs.get("experiment", "{}")).get("stop") or []
    for rule in stop if isinstance(stop, list) else [stop]:
        if rule.get("kind") == "Target" and rule.get("metric") == metric:
            return rule.get("at_most") if rule.get("value") is None else rule["value"]
    return None


def _cells(panel: xr.Dataset, metric: str, level: float) -> tuple[xr.DataArray, list[xr.DataArray]]:
    """Give median epochs and, for each of `_ENDS`, the number of seeds that ended so without reaching the threshold."""
    found = stats.epochs_to(stats.measured(panel, metric), level, panel["status"])
    lost = panel["status"].isin((labels.DIVERGED, labels.FAILED))
    epochs = stats.median(found["epoch"].where(~lost, np.inf)).transpose("learning_rate", "width")
    missed = (found["reason"] == stats.WAS_CENSORED) & ~lost
    cut = panel["status"] == labels.CUT
    ends = [stats.seeded(each).sum("seed") for each in (lost, missed & ~cut, missed & cut)]
    return epochs, [each.transpose(*epochs.dims) for each in ends]


def _most(epochs: xr.DataArray, ends: Sequence[xr.DataArray]) -> xr.DataArray:
    """Give the index of the most frequent of `_ENDS` in each cell, which may be a merged one."""
    counts = [merge_cells(each.where(np.isinf(epochs))).fillna(-1) for each in ends]
    return xr.concat(counts, "end", coords="minimal", compat="override").argmax("end")


def _title(cells: Sequence[xr.DataArray], goal: str) -> str:
    """Say how many combinations converge and which is fastest."""
    reached = sum(int(stats.finite(each).sum()) for each in cells)
    total = sum(int(each.notnull().sum()) for each in cells)  # others have not run, or are no points of a sample
    if not reached:
        return f"No combination of learning rate and width reaches {goal}"
    quickest = min(cells, key=lambda each: float(each.min()))
    place = quickest.fillna(np.inf).argmin(("learning_rate", "width"))
    best = quickest.isel(place)
    rate, width = (style.format_number(best[name].item()) for name in ("learning_rate", "width"))
    return (
        f"{reached} of {total} combinations reach {goal}; the fastest, "
        f"learning rate {rate} at width {width}, takes {style.format_count(style.format_number(best.item()), 'epoch')}"
    )
