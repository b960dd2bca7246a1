"""Panels of heatmaps with one norm and one colour bar."""

from collections.abc import Sequence
from itertools import repeat

import numpy as np
import xarray as xr
from matplotlib.colors import Colormap, Normalize
from matplotlib.patches import Patch

from sweep.plots.drawing import style
from sweep.plots.drawing.cells import add_colour_bar, draw_cells, draw_missing, draw_numbers, last_mesh, legend_patch
from sweep.plots.drawing.given import AxesLike, given_sheet
from sweep.plots.drawing.scale import scale_of, sort_along
from sweep.plots.drawing.sheet import Sheet, figure_sheet
from sweep.plots.drawing.view import View

_SINGLE_ROW, _SINGLE_COLUMN = "single row", "single column"  # no identifiers: no dimension of a page has these names


def lay_out_table(chosen: View, values: xr.DataArray, rows: str | None, columns: str | None) -> xr.DataArray:
    """Arrange values as rows and columns in drawing order, with combinations of knobs named in words.

    Args:
        chosen: what the figure shows.
        values: over these dimensions.
        rows: a dimension, or None for a single row.
        columns: a dimension, or None for a single column.
    """
    for dim in (rows, columns):
        values = values if dim is None else chosen.name_combinations(sort_along(values, dim), dim)
    missing = [name for name, dim in ((_SINGLE_ROW, rows), (_SINGLE_COLUMN, columns)) if dim is None]
    unnamed = {name: xr.DataArray([""], dims=name, attrs={"long_name": " "}) for name in missing}
    return values.expand_dims(missing).assign_coords(unnamed).transpose(rows or _SINGLE_ROW, columns or _SINGLE_COLUMN)


def sheet_of_maps(ax: AxesLike | None, figure: str, chosen: View, cells: Sequence[xr.DataArray]) -> Sheet:
    """Make a sheet with a panel for each heatmap, of a caller's axes or else of a new figure.

    Panels of a new figure share rows, or columns, if these are the same in all. Arguments and errors are those of
    `given_sheet`.
    """
    return given_sheet(ax, figure, chosen, len(cells)) or figure_sheet(
        len(cells), sharey=_have_same(cells, 0), sharex=_have_same(cells, 1)
    )


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
        sheet: a sheet with a panel for each.
        chosen: what the figure shows.
        cells: the cells of each panel, two-dimensional; their label is the colour bar's.
        norm: the norm of all panels.
        cmap: the colour map.
        cut: for each panel, the lost cells in which lanes were cut; by default all lost cells are hatched the same way.
        notes: a line below each panel's title.

    Returns:
        The kinds of hatches that occur.
    """
    kinds: set[str] = set()
    parts = zip(sheet.panels, cells, chosen.panels(), strict=True)
    for (axes, each, part), where, note in zip(parts, cut or repeat(None), notes or repeat(""), strict=False):
        down, across = (scale_of(each[dim]) for dim in each.dims)
        draw_cells(axes, each, down, across, norm=norm, cmap=cmap)
        kinds |= draw_missing(axes, each, down, across, where)
        sheet.set_title(axes, sheet.name(chosen, part), note)
    add_colour_bar(sheet.panels, cells, style.label(cells[0]))
    return kinds


def _have_same(cells: Sequence[xr.DataArray], axis: int) -> bool:
    """Tell whether all panels have the same rows, or columns; the parts of a union may differ in them."""
    values = [each[each.dims[axis]].values for each in cells]
    return all(np.array_equal(values[0], other) for other in values[1:])


def write_numbers(sheet: Sheet, cells: Sequence[xr.DataArray]) -> None:
    """Print the number of each cell in it if there is space, in panels that `draw_maps` drew."""
    for axes, each in zip(sheet.panels, cells, strict=True):
        down, across = (scale_of(each[dim]) for dim in each.dims)
        draw_numbers(axes, each, down, across, last_mesh(axes), sheet.width(axes))


def legend_entries(kinds: set[str], chosen: View) -> list[Patch]:
    """Give the legend's entries for hatches, which say how lanes of these results were lost."""
    texts = {"diverged": f"median lane {chosen.lost}", "not_run": chosen.unseen}
    return [legend_patch(kind, texts[kind]) for kind in sorted(kinds)]
