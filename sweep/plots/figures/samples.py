"""Predictions for the rows of data: against their targets."""

from typing import Any, Final

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from sweep import stats
from sweep.plots.drawing import style
from sweep.plots.drawing.given import AxesLike, given_sheet
from sweep.plots.drawing.maps import draw_maps, write_numbers
from sweep.plots.drawing.sheet import Sheet, figure_sheet, write_message
from sweep.plots.drawing.view import View, view
from sweep.plots.figures.networks import end_words, start_with_run_seed
from sweep.plots.figures.outputs import class_names, class_of, in_units, loss_of, output_panels, row_targets

_DOT: Final[dict[str, Any]] = {"markersize": 3.5, "marker": "o", "linestyle": ""}
_TRAINING: Final[dict[str, Any]] = {**_DOT, "color": style.QUIET, "alpha": 0.6}
_VALIDATION: Final[dict[str, Any]] = {**_DOT, "color": style.NETWORK, "alpha": 0.85}
_PERFECT: Final[dict[str, Any]] = {"color": "black", "linewidth": 0.8, "linestyle": (0, (4, 3))}


@style.with_style
def predicted(ds: xr.Dataset, *, ax: AxesLike | None = None) -> Figure:
    """Draw the network's output against the target of each row; for classes, how often each is recognised.

    Args:
        ds: results of a task with data.
        ax: axes to draw on, one for each panel; by default a new figure is made.

    Returns:
        One panel per width, or per output if there are several, at the best learning rate. Rows on the diagonal are
        fitted; those for validation are drawn over the others. Targets that were standardised have their own units
        again. For classes the cells of a panel are shares of a target's rows, of validation if there is any.
    """
    names = class_names(ds)
    chosen = start_with_run_seed(view(ds, facet=output_panels(ds)))
    lanes = [_lane(part) for part in chosen.panels()]
    held = bool((chosen.data["is_validation"] > 0).any())
    sheet = given_sheet(ax, "predicted", chosen, len(lanes)) or figure_sheet(
        len(lanes), sharex=bool(names), sharey=bool(names)
    )
    for axes, part in zip(sheet.panels, chosen.panels(), strict=True):
        sheet.set_title(axes, sheet.name(chosen, part))
    epoch = style.format_number(chosen.data["snapshot_epoch"].values[-1])
    count = int((lanes[0]["is_validation"] > 0).sum()) if names and held else ds.sizes["sample"]
    of = " of validation" * (bool(names) and held)
    rule = f"The network{chosen.of_first_seed} at epoch {epoch}, for {count} rows{of}"
    if names:
        title = _draw_confusion(sheet, chosen, [_confusion(lane, names, held) for lane in lanes])
        return sheet.finish(chosen, title, rule)
    errors = [_draw(axes, lane) for axes, lane in zip(sheet.panels, lanes, strict=True)]
    kinds = [("row of training", _TRAINING), *[("row of validation", _VALIDATION)] * held]
    handles = [Line2D([], [], label=text, **look) for text, look in (*kinds, ("output is target", _PERFECT))]
    return sheet.finish(chosen, _title(errors, held, chosen), rule, handles)


def _lane(part: xr.Dataset) -> xr.Dataset:
    """Select the first seed's outputs at the last snapshot, in the targets' own units."""
    lane = stats.seeded(part).isel(seed=0)
    return lane.assign(drawn=in_units(lane, "sample_prediction").isel(snapshot_epoch=-1))


def _confusion(lane: xr.Dataset, names: list[str], held: bool) -> xr.DataArray:
    """Count how often each class is taken for each, as shares of the rows of a class."""
    found = class_of(lane["drawn"], loss_of(lane)).values
    rows = (lane["is_validation"].values > 0) | (not held)
    target = row_targets(lane).astype(int)
    kept = rows & np.isfinite(found)
    counts = np.zeros((len(names), len(names)))
    np.add.at(counts, (target[kept], found[kept].astype(int)), 1.0)
    with np.errstate(invalid="ignore"):
        shares = counts / counts.sum(axis=1, keepdims=True)
    axis = {"target class": names[::-1], "assigned class": names}
    return xr.DataArray(shares[::-1], axis, tuple(axis), "share", {"long_name": "share of the class's rows"})


def _draw_confusion(sheet: Sheet, chosen: View, cells: list[xr.DataArray]) -> str:
    """Draw shares of classes; return the title."""
    draw_maps(sheet, chosen, cells, Normalize(0.0, 1.0), style.higher_better_colours())
    write_numbers(sheet, cells)
    right = [float(np.nanmean(np.diag(each.values[::-1]))) for each in cells]
    if not np.isfinite(right).any():
        return chosen.empty_title
    best = int(np.nanargmax(right))
    place = chosen.title(list(chosen.panels())[best])
    return f"On average {right[best]:.0%} of a class's rows are assigned to it" + f", at {place}" * bool(place)


def _draw(axes: Axes, lane: xr.Dataset) -> tuple[float, float]:
    """Draw one panel; return the root mean square errors of training and validation."""
    target, output = lane["sample_target"].values, lane["drawn"].values
    held = lane["is_validation"].values > 0
    axes.set(xlabel="target", ylabel="network output")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(5))
    axes.ticklabel_format(scilimits=(-3, 4), useMathText=True)
    if not np.isfinite(output).all():
        code = int(lane["status"].item())
        write_message(axes, end_words(code))
        return np.nan, np.nan
    low, high = target.min(), target.max()
    margin = 0.06 * (high - low or 1.0)
    axes.plot([low, high], [low, high], zorder=1, **_PERFECT)
    axes.plot(target[~held], output[~held], zorder=2, **_TRAINING)
    axes.plot(target[held], output[held], zorder=3, **_VALIDATION)
    axes.set_xlim(low - margin, high + margin)
    beyond = max(high - low, 1e-12)
    shown = np.clip(output, low - beyond, high + beyond)  # so that one extreme row does not flatten the others
    axes.set_ylim(min(low, shown.min()) - margin, max(high, shown.max()) + margin)
    errors = [np.sqrt(np.mean((output - target)[each] ** 2)) if each.any() else np.nan for each in (~held, held)]
    return float(errors[0]), float(errors[1])


def _title(errors: list[tuple[float, float]], has_validation: bool, chosen: View) -> str:
    judged = [each[int(has_validation)] for each in errors]
    if not np.isfinite(judged).any():
        return chosen.empty_title
    best = int(np.nanargmin(judged))
    words = [style.format_number(float(f"{each:.2g}")) for each in errors[best]]
    place = chosen.title(list(chosen.panels())[best])
    where = f", at {place}" * bool(place)
    if not has_validation:
        return f"Root mean square error: {words[0]}{where}"
    return f"Root mean square error: {words[0]} for rows of training, {words[1]} of validation{where}"
