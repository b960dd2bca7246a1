"""The network against its target at a few epochs, and how all figures draw networks over x."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import xarray as xr
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from sweep import stats
from sweep.base import labels
from sweep.plots.drawing import style
from sweep.plots.drawing.given import AxesLike, given_sheet
from sweep.plots.drawing.metric import describe_best
from sweep.plots.drawing.sheet import figure_sheet, is_narrow, write_message
from sweep.plots.drawing.training_range import is_inside, mark_ends
from sweep.plots.drawing.view import View, view
from sweep.plots.figures.outputs import OUTPUT, class_names, class_of, in_units, loss_of, output_panels, row_targets
from sweep.results import schema

_MOMENTS, _MOMENTS_IN_PRINT = 5, 3
_MOST_POINTS = 256  # of a line that is drawn as a shape in the SVG
_MOST_ROWS = 4
_FARTHEST = 1e300  # largest end of an axis, so that the difference of two is finite
_BAND: Final = (0.05, 0.95)
_TARGET: Final[dict[str, Any]] = {"color": "black", "linewidth": 2.6, "alpha": 0.35}
_ROWS: Final[dict[str, Any]] = {"color": "black", "linestyle": "", "marker": "o", "markersize": 2.2, "alpha": 0.35}
_NETWORK: Final[dict[str, Any]] = {"color": style.NETWORK, "linewidth": 1.3}
_SEEDS: Final[dict[str, Any]] = {"color": style.NETWORK, "linewidth": 0, "alpha": 0.2}


@style.with_style
def fits(ds: xr.Dataset, *, ax: AxesLike | None = None) -> Figure:
    """Draw the network's output over the target: a column per snapshot, a row per width.

    Args:
        ds: results with `prediction` over `x`, and `target` over `x`, or rows of data, which are drawn as dots.
        ax: axes to draw on, one for each panel, row by row; by default a new figure is made.

    Returns:
        Rows at each width's best learning rate, or a row for each output if there are several. The first seed is drawn
        as a line; the band contains nine tenths of all seeds with the same target. Of classes the one that is assigned
        is drawn.
    """
    most = _MOMENTS_IN_PRINT if is_narrow() else _MOMENTS
    chosen = view(ds, facet=output_panels(ds), most=_MOST_ROWS).sort("x", "snapshot_epoch")
    chosen = start_with_run_seed(chosen.thin("snapshot_epoch", most))
    data = chosen.data
    moments = data["snapshot_epoch"].values
    rows = [networks(part) for part in chosen.panels()]
    alike = "all" if _can_share_axis(rows) else "row"
    count = len(rows) * len(moments)
    sheet = given_sheet(ax, "fits", chosen, count, "snapshot_epoch") or figure_sheet(
        count, columns=len(moments), size=(2.1, 1.75), sharey=alike
    )
    panels = sheet.panels
    grid = [panels[start : start + len(moments)] for start in range(0, len(panels), len(moments))]
    for line, row, part in zip(grid, rows, chosen.panels(), strict=True):
        for moment, axes in enumerate(line):
            axes.set_rasterization_zorder(2 if row.x.size <= _MOST_POINTS else 4)  # long lines make a large SVG
            row.draw_target(axes)
            row.draw(axes, moment)
        line[0].set_ylabel(sheet.name(chosen, part).replace(", ", "\n"))
    for axes, moment in zip(grid[0], moments, strict=True):
        axes.set_title(f"epoch {style.format_number(moment)}")
    handles = finish_panels(panels, chosen, rows)
    for line, row in zip(grid, rows, strict=True):
        for moment, axes in enumerate(line):
            row.mark_hidden(axes, moment)
    return sheet.finish(chosen, describe_fit(chosen), rule(chosen, rows), handles)


@dataclass(frozen=True)
class Networks:
    """The networks of one panel, at all snapshots: the first seed's, and those of all seeds with the same target.

    Args:
        x: the points of the outputs.
        places: those of the target: the same, or those of rows of data.
        target: the first seed's.
        outputs: (snapshot, seed, x), the first seed first, then those with the same target.
        status: how the first seed ended.
    """

    x: np.ndarray
    places: np.ndarray
    target: np.ndarray
    outputs: np.ndarray
    status: int

    @property
    def has_band(self) -> bool:
        """Whether there are other seeds with the same target."""
        return self.outputs.shape[1] > 1

    def draw_target(self, axes: Axes) -> None:
        """Draw the target, which is the same at all snapshots."""
        axes.plot(self.places, self.target, **(_TARGET if self.places is self.x else _ROWS))

    def draw(self, axes: Axes, moment: int) -> list[Artist]:
        """Draw network and band at one snapshot, and return them."""
        first, drawn = self.outputs[moment, 0], list[Artist]()
        finite = self.outputs[moment][np.isfinite(self.outputs[moment]).all(axis=-1)]
        if self.has_band and len(finite):
            low, high = np.quantile(finite, _BAND, axis=0)
            drawn.append(axes.fill_between(self.x, low, high, zorder=1, **_SEEDS))
        if np.isfinite(first).any():
            return [*drawn, *axes.plot(self.x, first, zorder=3, **_NETWORK)]
        return [*drawn, write_message(axes, end_words(self.status))]

    def mark_hidden(self, axes: Axes, moment: int) -> None:
        """If a network lies outside the limits of the axes, say on which side."""
        low, high = axes.get_ylim()
        known = self.outputs[moment, 0][np.isfinite(self.outputs[moment, 0])]
        if known.size and (known.max() < low or known.min() > high):
            place, where = (0.04, "below") if known.max() < low else (0.96, "above")
            look = {"ha": "center", "va": "bottom" if where == "below" else "top", "color": style.NETWORK, "size": 8}
            axes.text(0.5, place, f"network {where}", transform=axes.transAxes, zorder=5, **look)


def networks(part: xr.Dataset) -> Networks:
    """Select the networks to draw from one panel's results."""
    lanes, x = stats.seeded(part), part["x"].values
    if "target" not in lanes:
        output = class_of(lanes["prediction"], loss_of(part)) if class_names(part) else in_units(lanes, "prediction")
        outputs, places = output.transpose("snapshot_epoch", "seed", "x").values, part["sample_input"].values[:, 0]
        return Networks(x, places, row_targets(part), outputs, int(lanes["status"].values[0]))
    target = lanes["target"].broadcast_like(lanes["status"]).transpose("seed", "x").values
    same = np.flatnonzero([np.allclose(target[0], each, equal_nan=True) for each in target])
    kept = np.union1d([0], same)  # always with the first
    outputs = lanes["prediction"].transpose("snapshot_epoch", "seed", "x").values[:, kept]
    return Networks(x, x, target[0], outputs, int(lanes["status"].values[0]))


def start_with_run_seed(chosen: View) -> View:
    """Move the first seed that has run in every panel to the front; without such a seed the order is kept."""
    data = chosen.data
    if "seed" not in data.dims:
        return chosen
    ran = ~data["status"].isin(labels.WITHOUT_DATA)
    first = int(ran.all([dim for dim in ran.dims if dim != "seed"]).argmax("seed"))
    order = [first, *(seed for seed in range(data.sizes["seed"]) if seed != first)]
    return chosen if first == 0 else replace(chosen, data=data.isel(seed=order))


def finish_panels(panels: Sequence[Axes], chosen: View, rows: Sequence[Networks]) -> list[Artist]:
    """Label panels of networks, limit their axes, mark the training range; return the legend's entries."""
    for axes in panels:
        axes.set_xlabel(style.label(chosen.data["x"]))
    alike, beside = _can_share_axis(rows), len(panels) // len(rows)
    for place, part in enumerate(chosen.panels()):
        for axes in panels[place * beside : (place + 1) * beside]:  # a caller's axes may not be shared
            _limit(axes, _targets(chosen.data if alike else part))
            if names := class_names(part):
                axes.set_yticks(range(len(names)), names)
    kind = ("target", _TARGET) if "target" in chosen.data else ("row of data", _ROWS)
    lines = [Line2D([], [], label=text, **look) for text, look in (kind, ("network", _NETWORK))]
    band = Patch(label=f"{_BAND[0]:.0%} to {_BAND[1]:.0%} of the seeds", **_SEEDS)
    return [*lines, *[band] * any(row.has_band for row in rows), *mark_ends(panels, chosen.data["x"], "x")]


def _targets(part: xr.Dataset) -> np.ndarray:
    return part["target"].values if "target" in part else row_targets(part)


def _can_share_axis(rows: Sequence[Networks]) -> bool:
    """Tell whether all rows can share one axis: each target is at least half as high as all targets together."""
    spans = np.array([_span(row.target) for row in rows])
    low, high = spans[:, 0].min(), spans[:, 1].max()
    return bool((spans[:, 1] - spans[:, 0] >= (high - low) / 2).all())


def _span(target: np.ndarray) -> tuple[float, float]:
    """Give the lowest and the highest finite number of a target; two zeros if there is none."""
    finite = target[np.isfinite(target)].astype(float).clip(-_FARTHEST, _FARTHEST)
    return (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)


def rule(chosen: View, rows: Sequence[Networks]) -> str:
    """Give the caption's first sentence."""
    data = chosen.data
    seed = chosen.of_first_seed + ", the first that ran" * ("seed" in data.dims)
    band = "; band: where 5% to 95% of the seeds with this target lie, lost ones left out"
    against = "the noiseless target" if "target" in data else f"{data.sizes['sample']} rows of data"
    return f"The network{seed}, against {against}" + band * any(row.has_band for row in rows)


def end_words(code: int) -> str:
    """Say how a lane ended, for the place where its network would be drawn."""
    return "not run" if code in labels.WITHOUT_DATA else style.words(labels.STATUS[code])


def _limit(axes: Axes, target: np.ndarray) -> None:
    """Set the value axis by the target, so that one extreme network does not flatten the others."""
    if np.isfinite(target).any():
        low, high = _span(target)
        middle, half = (high + low) / 2, max((high - low) / 2, 1e-6, 1e-6 * max(abs(low), abs(high)))
        axes.set_ylim(middle - 1.5 * half, middle + 1.5 * half)


def describe_fit(chosen: View) -> str:
    """Say in a title the error of the best panel's first seed inside the training range, and beyond it.

    If the targets differ in size their errors can't be compared; then the title also has the worst panel's error.
    """
    if "target" not in chosen.data:
        names = (chosen.facet,) if chosen.facet != OUTPUT else ()
        return describe_best(chosen, schema.deciding(chosen.data), names)
    rows = list(chosen.panels())
    trained = is_inside(chosen.data["x"])
    errors = [_root_mean_square(part, trained) for part in rows]
    if not any(np.isfinite(error[-1]) for error in errors):
        unseen = chosen.data["status"].isin(labels.WITHOUT_DATA).all()
        return chosen.empty_title if unseen else "No drawn network has a finite output at the end"
    best = int(np.nanargmin([error[-1] for error in errors]))
    moments = [style.format_number(moment) for moment in rows[best]["snapshot_epoch"].values[[0, -1]]]
    first, last = (_short(error) for error in errors[best][[0, -1]])
    place = chosen.title(rows[best])
    where = f", at {place}" if place else ""
    fall = f": {first} at epoch {moments[0]}, {last} at epoch {moments[1]}{where}"
    if not _can_share_axis([networks(part) for part in rows]):
        worst = int(np.argmax([np.nan_to_num(error[-1], nan=np.inf) for error in errors]))
        far = errors[worst][-1]
        other = f"{_short(far)} at" if np.isfinite(far) else "not finite at"
        fall = f" at epoch {moments[1]}: {last}{where.replace(',', '', 1)}, {other} {chosen.title(rows[worst])}"
    error = f"Root mean square error of the fit{fall}"
    if trained.all():
        return error
    return f"{error}; beyond the training range {_short(_root_mean_square(rows[best], ~trained)[-1])}"


def _short(error: float) -> str:
    return style.format_number(float(f"{error:.2g}"))


def _root_mean_square(part: xr.Dataset, where: np.ndarray) -> np.ndarray:
    lane = stats.seeded(part).isel(seed=0, x=np.flatnonzero(where))
    gap = abs(lane["prediction"].astype(float) - lane["target"])
    most = gap.max("x").where(lambda height: (height > 0) & np.isfinite(height), 1.0)  # so that squares are finite
    return (((gap / most) ** 2).mean("x", skipna=False) ** 0.5 * most).values
