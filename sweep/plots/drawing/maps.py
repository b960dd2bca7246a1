"""Panels of heatmaps with one norm and one colour bar."""

from collections.abc import Sequence
from itertools import repeat

import numpy as np
import xarray as xr
from matplotlib.colors import Colormap, Normalize
from matplotlib.patches import Patch

from sweep.plots.drawing import style
from sweep.plots.drawing.cells import colour_bar, draw_cells, hatch_missing, legend_patch, mesh_of, numbers
from sweep.plots.drawing.scale import in_order, scale_of
from sweep.plots.drawing.sheet import Sheet, WholeSheet, whole_sheet
from sweep.plots.drawing.view import View


def table(chosen: View, values: xr.DataArray, rows: str | None, columns: str | None) -> xr.DataArray:
    """Lay values out as rows and columns in drawing order, combinations of knobs named in words.

    Args:
        chosen: what the figure shows.
        values: over the dimensions named.
        rows: a dimension, or None for a single row.
        columns: a dimension, or None for a single column.
    """
    for dim in (rows, columns):
        values = values if dim is None else chosen.worded(in_order(values, dim), dim)
    alone = [name for name, dim in (("row", rows), ("column", columns)) if dim is None]
    unnamed = {name: xr.DataArray([""], dims=name, attrs={"long_name": " "}) for name in alone}
    return values.expand_dims(alone).assign_coords(unnamed).transpose(rows or "row", columns or "column")


def sheet_of_maps(cells: Sequence[xr.DataArray]) -> WholeSheet:
    """Make a figure with a panel for each heatmap; they share rows and columns where all of them have the same."""
    return whole_sheet(len(cells), sharey=_alike(cells, 0), sharex=_alike(cells, 1))


def draw_maps(
    sheet: Sheet,
    chosen: View,
    cells: Sequence[xr.DataArray],
    norm: Normalize,
    cmap: Colormap,
    cut: Sequence[xr.DataArray | None] | None = None,
    notes: Sequence[str] | None = None,
) -> set[str]:
    """Draw a heatmap for each panel, and their colour bar.

    Args:
        sheet: with a panel for each.
        chosen: what the figure shows.
        cells: each panel's, two-dimensional; their label is the colour bar's.
        norm: one for all.
        cmap: colours.
        cut: in which of each panel's lost cells lanes were cut; by default all are hatched alike.
        notes: a line below each panel's title.

    Returns:
        The kinds of hatches that occur.
    """
    kinds: set[str] = set()
    parts = zip(sheet.panels, cells, chosen.panels(), strict=True)
    for (axes, each, part), where, note in zip(parts, cut or repeat(None), notes or repeat(""), strict=False):
        down, across = (scale_of(each[dim]) for dim in each.dims)
        draw_cells(axes, each, down, across, norm=norm, cmap=cmap)
        kinds |= hatch_missing(axes, each, down, across, where)
        sheet.entitle(axes, sheet.name(chosen, part), note)
    colour_bar(sheet.panels, cells, style.label(cells[0]))
    return kinds


def _alike(cells: Sequence[xr.DataArray], axis: int) -> bool:
    """Say whether all panels have the same rows, or columns; the parts of a union may not."""
    values = [each[each.dims[axis]].values for each in cells]
    return all(np.array_equal(values[0], other) for other in values[1:])


def write_numbers(sheet: Sheet, cells: Sequence[xr.DataArray]) -> None:
    """Print each cell's number in it where there is room, in panels that `draw_maps` drew."""
    for axes, each in zip(sheet.panels, cells, strict=True):
        down, across = (scale_of(each[dim]) for dim in each.dims)
        numbers(axes, each, down, across, mesh_of(axes), sheet.width(axes))


def entries(kinds: set[str], chosen: View) -> list[Patch]:
    """Give the legend's entries for hatches, naming how the lanes of these results were lost."""
    texts = {"diverged": f"median lane {chosen.lost}", "not_run": chosen.unseen}
    return [legend_patch(kind, texts[kind]) for kind in sorted(kinds)]
