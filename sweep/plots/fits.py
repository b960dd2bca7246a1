"""The network against its target at a few moments."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from sweep import labels, stats
from sweep.plots import style
from sweep.plots.sheet import finish, message, sheet
from sweep.plots.view import View, view

_MOMENTS = 5
_MOST_OTHERS = 5
_MOST_POINTS = 256  # of a line that stays a shape in the SVG; text always does
_MOST_ROWS = 4
_TARGET, _NETWORK, _OTHER = (
    {"color": "black", "linewidth": 2.6, "alpha": 0.35},
    {"color": style.NETWORK, "linewidth": 1.3},
    {"color": style.NETWORK, "linewidth": 0.6, "alpha": 0.4},
)


@style.styled
def fits(ds: xr.Dataset) -> Figure:
    """Draw the network's output over the target: a column per moment, a row per width.

    Args:
        ds: results with `prediction` and `target` over `x`.

    Returns:
        Rows at each width's best learning rate. The first seed is drawn; other seeds are faint lines where
        they have the same target.
    """
    chosen = view(ds, most=_MOST_ROWS).ordered("x", "snapshot_epoch").thinned("snapshot_epoch", _MOMENTS)
    chosen = replace(chosen, data=_run_first(chosen.data))
    data = chosen.data
    moments = data["snapshot_epoch"].values
    rows = list(chosen.panels())
    figure, panels = sheet(len(rows) * len(moments), columns=len(moments), size=(2.1, 1.75))
    grid = [panels[start : start + len(moments)] for start in range(0, len(panels), len(moments))]
    others = [_draw_row(line, part) for line, part in zip(grid, rows, strict=True)]
    for line, part in zip(grid, rows, strict=True):
        line[0].set_ylabel(chosen.title(part).replace(", ", "\n"))
    for axes, moment in zip(grid[0], moments, strict=True):
        axes.set_title(f"epoch {style.number(moment)}")
    for axes in panels:
        axes.set_xlabel(style.label(data["x"]))
    _limit(panels[0], data["target"])
    seed = f" of seed {style.number(data['seed'].values[0])}, the first that ran" if "seed" in data.dims else ""
    rule = f"The network{seed}, against the noiseless target" + "; faint: other seeds with this target" * any(others)
    entries = [("target", _TARGET), ("network", _NETWORK)] + [("other seeds", _OTHER)] * any(others)
    handles = [Line2D([], [], label=text, **look) for text, look in entries]
    return finish(figure, chosen, _finding(chosen, rows), rule, handles)


def _run_first(data: xr.Dataset) -> xr.Dataset:
    """Put first the first seed that has run in every row; the order is kept where there is none."""
    if "seed" not in data.dims:
        return data
    ran = ~data["status"].isin((labels.NOT_RUN, labels.RUNNING))
    first = int(ran.all([dim for dim in ran.dims if dim != "seed"]).argmax("seed"))
    order = [first, *(seed for seed in range(data.sizes["seed"]) if seed != first)]
    return data if first == 0 else data.isel(seed=order)


def _draw_row(panels: Sequence[Axes], part: xr.Dataset) -> bool:
    """Draw one row's moments; say whether there were other seeds to draw."""
    lanes = stats.seeded(part)
    target = lanes["target"].broadcast_like(lanes["status"]).transpose("seed", "x").values
    same = np.flatnonzero([np.allclose(target[0], each, equal_nan=True) for each in target])[1 : _MOST_OTHERS + 1]
    outputs = lanes["prediction"].transpose("snapshot_epoch", "seed", "x").values
    x = part["x"].values
    for axes, output in zip(panels, outputs, strict=True):
        axes.set_rasterization_zorder(2 if x.size <= _MOST_POINTS else 4)  # long lines make a large SVG
        axes.plot(x, output[same].T, zorder=1, **_OTHER)
        axes.plot(x, target[0], **_TARGET)
        if np.isfinite(output[0]).any():
            axes.plot(x, output[0], zorder=3, **_NETWORK)
        else:
            message(axes, style.words(_ended(int(lanes["status"].values[0]))))
    return same.size > 0


def _ended(code: int) -> str:
    return "not run" if code in (labels.NOT_RUN, labels.RUNNING) else labels.STATUS[code]


def _limit(axes: Axes, target: xr.DataArray) -> None:
    """Set the value axis by the target, so that one wild network does not flatten the others."""
    finite = target.values[np.isfinite(target.values)]
    if finite.size:
        middle, half = (finite.max() + finite.min()) / 2, max(float(np.ptp(finite)) / 2, 1e-6)
        axes.set_ylim(middle - 1.5 * half, middle + 1.5 * half)


def _finding(chosen: View, rows: Sequence[xr.Dataset]) -> str:
    """Say in a title how far the best row's first seed gets."""
    errors = [_root_mean_square(part) for part in rows]
    if not any(np.isfinite(error[-1]) for error in errors):
        return (
            chosen.nothing
            if chosen.data["status"].isin((labels.NOT_RUN, labels.RUNNING)).all()
            else "No drawn network has a finite output at the end"
        )
    best = int(np.nanargmin([error[-1] for error in errors]))
    moments = [style.number(moment) for moment in rows[best]["snapshot_epoch"].values[[0, -1]]]
    first, last = (style.number(float(f"{error:.2g}")) for error in errors[best][[0, -1]])
    place = chosen.title(rows[best])
    where = f", at {place}" if place else ""
    fall = f"{first} at epoch {moments[0]}, {last} at epoch {moments[1]}"
    return f"Root mean square error of the fit: {fall}{where}"


def _root_mean_square(part: xr.Dataset) -> np.ndarray:
    lane = stats.seeded(part).isel(seed=0)
    return ((lane["prediction"] - lane["target"]) ** 2).mean("x", skipna=False).values ** 0.5
