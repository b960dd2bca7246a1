"""Networks of two features, and their errors, as maps at a few epochs."""

from collections.abc import Sequence
from typing import Final

import matplotlib
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm, Colormap, ListedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from sweep import stats
from sweep.plots.drawing import style
from sweep.plots.drawing.cells import add_colour_bar, draw_cells, draw_missing, log_norm, norm_of
from sweep.plots.drawing.given import AxesLike, given_sheet
from sweep.plots.drawing.maps import legend_entries
from sweep.plots.drawing.metric import describe_best
from sweep.plots.drawing.scale import scale_of
from sweep.plots.drawing.sheet import Sheet, figure_sheet
from sweep.plots.drawing.view import View, view
from sweep.plots.figures.networks import start_with_run_seed
from sweep.plots.figures.outputs import class_names, class_of, in_units, loss_of, output_panels, row_targets
from sweep.results import schema

_MOMENTS: Final = 4
_MOST_ROWS: Final = 3
_SIZE: Final = (2.5, 2.1)


@style.with_style
def surface(ds: xr.Dataset, *, ax: AxesLike | None = None) -> Figure:
    """Draw the network's output over two features: a column per snapshot, a row per width, the target first.

    Args:
        ds: results with `prediction` over `x1` and `x2`.
        ax: axes to draw on, one for each panel, row by row; by default a new figure is made.

    Returns:
        Rows at each width's best learning rate, of the first seed that has run. Of classes the one with the largest
        output is drawn. Dots are rows of the data.
    """
    chosen = _choose(ds)
    names = class_names(ds)
    moments = chosen.data["snapshot_epoch"].values
    rows = [_surfaces(part, moments, names) for part in chosen.panels()]
    cells = [each for row in rows for _, each in row]
    norm, cmap = _classes_norm(names) if names else (norm_of(cells), style.neutral_colours())
    sheet = _draw(ax, "surface", chosen, rows, norm, cmap)
    for axes, part in zip(_first_of_rows(sheet, rows), chosen.panels(), strict=True):
        _draw_rows(axes, part, norm, cmap)
    handles = [Patch(facecolor=cmap(norm(place)), label=name) for place, name in enumerate(names)]
    if not names:
        add_colour_bar(sheet.panels, cells, "output")
    rule = f"The network{chosen.of_first_seed} over two features"
    title = describe_best(chosen, schema.deciding(ds), (chosen.facet if chosen.facet != "output" else None,))
    return sheet.finish(chosen, title, rule, handles)


@style.with_style
def surface_error(ds: xr.Dataset, *, ax: AxesLike | None = None) -> Figure:
    """Draw where a network of two features is wrong: median absolute error over seeds, a column per epoch.

    Args:
        ds: results with `spatial_error` over `x1` and `x2`.
        ax: axes to draw on, one for each panel, row by row; by default a new figure is made.

    Returns:
        A row per width at its best learning rate.
    """
    chosen = view(ds, most=_MOST_ROWS).sort("x1", "x2")
    records = np.unique(np.linspace(0, ds.sizes["epoch"] - 1, _MOMENTS).round().astype(int))
    rows = []
    for part in chosen.panels():
        median = stats.median(stats.measured(part.isel(epoch=records), "spatial_error")).transpose("epoch", "x2", "x1")
        rows.append([(f"epoch {style.format_number(each['epoch'].item())}", each) for each in median])
    cells = [each for row in rows for _, each in row]
    sheet = _draw(ax, "surface_error", chosen, rows, log_norm(cells, decades=3), style.lower_better_colours())
    add_colour_bar(sheet.panels, cells, style.label(ds["spatial_error"]))
    kinds = {kind for axes, each in zip(sheet.panels, cells, strict=True) for kind in _hatch(axes, each)}
    rule = f"Median over {chosen.seeds} of the absolute error at each place"
    title = _describe_worst([row[-1][1] for row in rows], chosen)
    return sheet.finish(chosen, title, rule, legend_entries(kinds, chosen))


def _describe_worst(ends: Sequence[xr.DataArray], chosen: View) -> str:
    """Say in a title how large the error is at the end, and where, in the panel where it is largest."""
    known = [(each, part) for each, part in zip(ends, chosen.panels(), strict=True) if np.isfinite(each).all()]
    if not known:
        return chosen.empty_title
    worst, part = max(known, key=lambda pair: float(pair[0].max()))
    place = worst.isel(worst.argmax(worst.dims))
    where = [f"{style.words(dim)} {style.format_number(place[dim].item())}" for dim in ("x1", "x2")]
    where += [chosen.title(part)] * (len(ends) > 1)
    height = style.format_number(float(f"{worst.max():.2g}"))
    return f"At the end the largest median error is {height}, at {', '.join(where)}"


def _choose(ds: xr.Dataset) -> View:
    """Select a snapshot per column and a width, or an output, per row."""
    facet = output_panels(ds)
    chosen = view(ds, facet=facet, most=_MOST_ROWS).sort("x1", "x2", "snapshot_epoch")
    return start_with_run_seed(chosen.thin("snapshot_epoch", _MOMENTS))


def _surfaces(part: xr.Dataset, moments: np.ndarray, names: Sequence[str]) -> list[tuple[str, xr.DataArray]]:
    """Give the maps of one row, with their titles."""
    lane = stats.seeded(part).isel(seed=0)
    output = class_of(lane["prediction"], loss_of(part)) if names else in_units(lane, "prediction")
    found = [("target", lane["target"].transpose("x2", "x1"))] if "target" in lane else []
    for place, epoch in enumerate(moments):
        each = output.isel(snapshot_epoch=place).transpose("x2", "x1").astype(float)
        found.append((f"epoch {style.format_number(epoch)}", each))
    return found


def _draw(
    ax: AxesLike | None,
    figure: str,
    chosen: View,
    rows: Sequence[Sequence[tuple[str, xr.DataArray]]],
    norm: Normalize,
    cmap: Colormap,
) -> Sheet:
    """Draw rows of maps."""
    count, columns = sum(map(len, rows)), len(rows[0])
    sheet = given_sheet(ax, figure, chosen, count) or figure_sheet(count, columns=columns, size=_SIZE)
    panels = iter(sheet.panels)
    for row, part in zip(rows, chosen.panels(), strict=True):
        name = sheet.name(chosen, part)
        for place, (title, cells) in enumerate(row):
            axes = next(panels)
            down, across = (scale_of(cells[dim]) for dim in cells.dims)
            draw_cells(axes, cells, down, across, norm=norm, cmap=cmap)
            sheet.set_title(axes, f"{name}, {title}" if name and place == 0 else title)
    return sheet


def _hatch(axes: Axes, cells: xr.DataArray) -> set[str]:
    down, across = (scale_of(cells[dim]) for dim in cells.dims)
    return draw_missing(axes, cells, down, across)


def _first_of_rows(sheet: Sheet, rows: Sequence[Sequence[object]]) -> list[Axes]:
    """Give the last panel of each row, on which the rows of the data are drawn."""
    width = len(rows[0])
    return sheet.panels[width - 1 :: width]


def _draw_rows(axes: Axes, part: xr.Dataset, norm: Normalize, cmap: Colormap) -> None:
    """Draw the rows of the data as dots of their targets' colours."""
    if "sample_input" not in part.coords:
        return
    places, colours = part["sample_input"].values, row_targets(part)
    look = {"norm": norm, "cmap": cmap, "s": 9, "edgecolors": "white", "linewidths": 0.5, "zorder": 4}
    axes.scatter(*places.T, c=colours, **look)


def _classes_norm(names: Sequence[str]) -> tuple[Normalize, Colormap]:
    """Give a colour for each class, distinguishable by colour-blind readers for up to ten classes."""
    colours = matplotlib.colormaps["cividis"](np.linspace(0.05, 0.95, len(names)))
    return BoundaryNorm(np.arange(len(names) + 1) - 0.5, len(names)), ListedColormap(list(map(tuple, colours)))
