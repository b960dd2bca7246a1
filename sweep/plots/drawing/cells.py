"""One heatmap panel: cells with true edges, hatches where there is no number, the line where an error halves."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.colors import Colormap, LogNorm, Normalize
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, PathPatch
from matplotlib.path import Path
from matplotlib.patheffects import withStroke

from sweep import stats
from sweep.plots.drawing import style
from sweep.plots.drawing.scale import Scale, scale_of, spans_decades
from sweep.plots.drawing.sheet import set_log_ticks, write_plainly

_MOST_CORNERS = 2000  # of hatched boxes; up to this number an SVG is smaller with shapes than with pixels
_LETTER = 0.066  # inches: width of a digit of 7.5 points
_QUANTILE = 0.05  # of the cells, at which a scale may end at either side
_FEW = 4  # of fewer cells none is left out of a scale
_FAR_APART, _FAR_ABOVE = 10.0, 1e3  # a scale ends at a quantile if its cells go further: in spans if linear, as a ratio
_DECADES = 10  # at most, of a logarithmic scale
_FARTHEST = 1e250  # largest end of a scale, with space for its ticks and arrows
_MOST_CELLS = 256  # in a row or a column: of more, neighbours can't be distinguished


def merge_cells(cells: xr.DataArray) -> xr.DataArray:
    """Replace groups of neighbouring cells by their median if there are too many cells to be distinguished.

    Args:
        cells: two-dimensional, in the order of their scales; +inf counts, NaN does not. A zero on a log axis
            is not merged.

    Returns:
        The same cells if there are few; else at most `_MOST_CELLS` along each dimension, and the labels of the
        coordinates say so. A merged cell has the middle one of its coordinate's values.
    """
    kept, padding = {}, []
    for dim in cells.dims:
        starts = _block_starts(cells[dim])
        stops = np.append(starts[1:], cells.sizes[dim])
        most = int((stops - starts).max())
        kept[dim] = cells[dim].isel({dim: (starts + stops - 1) // 2})
        if most > 1:
            text = f"{style.label(cells[dim])}, each cell the median of {most}".replace("\n", " ")
            kept[dim] = kept[dim].assign_attrs(long_name=text, units="1")
        padding.append((most - int(stops[0]), len(starts) * most - most + int(stops[0]) - cells.sizes[dim]))
    if all(coordinate.size == size for coordinate, size in zip(kept.values(), cells.shape, strict=True)):
        return cells
    values = np.pad(cells.values, padding, constant_values=np.nan)
    rows, columns = (coordinate.size for coordinate in kept.values())
    values = values.reshape(rows, values.shape[0] // rows, columns, -1).swapaxes(1, 2).reshape(rows, columns, -1)
    alone = {name: each for name, each in cells.coords.items() if not each.dims}  # such as the value of a panel
    array = xr.DataArray(values, kept | alone, (*cells.dims, "seed"), cells.name, cells.attrs)
    return stats.median(array)


def _block_starts(coordinate: xr.DataArray) -> np.ndarray:
    """Give the index at which each group of merged cells begins."""
    if coordinate.size <= _MOST_CELLS or coordinate.dtype.kind not in "iuf":
        return np.arange(coordinate.size)
    alone = int(scale_of(coordinate).has_zero_cell)
    step = -(-(coordinate.size - alone) // (_MOST_CELLS - alone))
    return np.concatenate([np.arange(alone), np.arange(alone, coordinate.size, step)])


def draw_cells(
    axes: Axes, cells: xr.DataArray, down: Scale, across: Scale, *, norm: Normalize, cmap: Colormap
) -> QuadMesh:
    """Draw cells with their true edges, and set limits, ticks and labels of the axes.

    Args:
        axes: the panel.
        cells: two-dimensional, rows then columns, in the order of the scales. Cells that are not finite stay
            empty: see `draw_hatch`.
        down: layout of the rows.
        across: layout of the columns.
        norm: from values to [0, 1], the same for every panel of a figure.
        cmap: the colour map.
    """
    down.apply(axes.yaxis)
    across.apply(axes.xaxis)
    return draw_mesh(axes, cells, down, across, norm=norm, cmap=cmap)


def draw_mesh(
    axes: Axes, cells: xr.DataArray, down: Scale, across: Scale, *, norm: Normalize, cmap: Colormap
) -> QuadMesh:
    """Draw only the cells, as a film does in each frame; the arguments are those of `draw_cells`."""
    values = np.ma.masked_invalid(np.asarray(cells.values, dtype=float))
    if isinstance(norm, LogNorm):  # it would leave a cell of zero error blank
        values = np.ma.maximum(values, np.finfo(float).tiny)
    return axes.pcolormesh(across.edges, down.edges, values, norm=norm, cmap=cmap, rasterized=True)


def draw_hatch(axes: Axes, where: xr.DataArray, down: Scale, across: Scale, kind: str) -> PathPatch | None:
    """Hatch the cells where a condition is true.

    Args:
        axes: the panel.
        where: booleans, of the shape of the cells.
        down: layout of the rows.
        across: layout of the columns.
        kind: one of `style.PATTERNS`.

    Returns:
        One patch for all these cells, or None if there are none.
    """
    if not where.any():
        return None
    face, line, pattern = style.PATTERNS[kind]
    boxes = _boxes(where.values, down.edges, across.edges)
    patch = PathPatch(boxes, facecolor=face, edgecolor=line, hatch=pattern, linewidth=0)
    patch.set_rasterized(np.size(boxes.vertices) > 2 * _MOST_CORNERS)
    axes.add_patch(patch)
    return patch


def draw_missing(
    axes: Axes, cells: xr.DataArray, down: Scale, across: Scale, cut: xr.DataArray | None = None
) -> set[str]:
    """Hatch infinite cells as diverged, or as cut where `cut` is true, and NaN as not run; return the kinds drawn."""
    lost = np.isinf(cells)
    kinds = {"diverged": lost, "not_run": cells.isnull()}
    if cut is not None:
        kinds |= {"diverged": lost & ~cut, "cut": lost & cut}
    return {kind for kind, where in kinds.items() if draw_hatch(axes, where, down, across, kind) is not None}


def draw_step_line(axes: Axes, epochs: xr.DataArray, down: Scale, across: Scale) -> None:
    """Draw a line through the rows; in each row it is at the left edge of the cell of the given epoch.

    Args:
        axes: the panel.
        epochs: one for each row, a value of the columns, or not finite for no line in that row.
        down: layout of the rows.
        across: layout of the columns.
    """
    column = np.searchsorted(across.values, epochs.values)
    place = np.where(np.isfinite(epochs.values), across.edges[np.minimum(column, len(across.values) - 1)], np.nan)
    x, y = np.repeat(place, 2), np.repeat(down.edges, 2)[1:-1]
    axes.add_line(_outlined(x, y))


def last_mesh(axes: Axes) -> QuadMesh:
    """Give the cells that were drawn last; axes that a caller gave may have others."""
    return next(artist for artist in reversed(axes.collections) if isinstance(artist, QuadMesh))


def draw_numbers(axes: Axes, cells: xr.DataArray, down: Scale, across: Scale, mesh: QuadMesh, width: float) -> None:
    """Print the number of each finite cell in it if there is space, light on dark and dark on light.

    Args:
        axes: the panel.
        cells: the cells that it shows.
        down: layout of the rows.
        across: layout of the columns.
        mesh: the cells as they were drawn.
        width: of the panel in inches, once it is laid out.
    """
    box = axes.get_window_extent().transformed(axes.figure.dpi_scale_trans.inverted())
    texts = {
        place: style.format_number(float(value)) for place, value in np.ndenumerate(cells.values) if np.isfinite(value)
    }
    longest = max(map(len, texts.values()), default=0)
    wide, high = (np.diff(scale.share(scale.edges)).min() for scale in (across, down))  # of the smallest cell
    if width * wide < _LETTER * longest or box.width * wide < 0.42 or box.height * high < 0.17:
        return
    y, x = (scale.share(_middle(scale)) for scale in (down, across))
    drawn = np.ma.asarray(mesh.get_array())  # on a logarithmic scale a zero was replaced
    for (row, column), text in texts.items():
        red, green, blue, _ = mesh.cmap(mesh.norm(drawn[row, column]))
        ink = "black" if 0.3 * red + 0.59 * green + 0.11 * blue > 0.5 else "white"
        place = (float(x[column]), float(y[row]))
        axes.text(*place, text, transform=axes.transAxes, color=ink, size=7.5, ha="center", va="center")


def norm_of(values: Sequence[xr.DataArray], *, highest: float = np.inf) -> Normalize:
    """Give a norm that spans the finite values of all panels, logarithmic if they span more than a decade.

    A linear scale ends at the 5% or 95% quantile of the cells (`quantiles`), and not at the extreme cell, if the
    extreme cell is further from this quantile than ten times the distance of the two. So a few cells do not give all
    others the same colour.

    Args:
        values: the panels' cells.
        highest: values above it are drawn as beyond the scale.
    """
    flat = _finite(values)
    if spans_decades(flat):
        return log_norm(values, highest=highest)
    if not flat.size:
        return Normalize(0.0, 1.0)
    low, _, high = quantiles(flat)
    far, top = _FAR_APART * (high - low), min(flat.max(), highest)
    low = low if 0 < far < low - flat.min() else flat.min()
    high = max(high if 0 < far < top - high else top, low)
    if high > low:
        return Normalize(low, high)
    return Normalize(min(low, 0.0), max(low, 0.0)) if low else Normalize(0.0, 1.0)  # for a single value: from zero


def log_norm(values: Sequence[xr.DataArray], *, highest: float = np.inf, decades: float | None = None) -> LogNorm:
    """Give a logarithmic norm that spans the positive finite values of all panels, over ten decades at most.

    If the highest cell is more than three decades above the 95% quantile of the cells (`quantiles`), the scale ends at
    this quantile. If ten decades below its top would leave out more than half of the cells, it begins at the 5%
    quantile.

    Args:
        values: the panels' cells.
        highest: values above it are drawn as beyond the scale.
        decades: another number of decades, however many cells this leaves out.
    """
    flat = _finite(values)
    flat = flat[flat > 0]
    if flat.size == 0:
        return LogNorm(0.1, 1.0)
    low, middle, high = quantiles(flat)
    top = max(min(flat.max(), highest), flat.min())
    top = high if top / high > _FAR_ABOVE else top
    bottom = max(flat.min(), top * 10.0 ** -(decades or _DECADES))
    if decades is None and bottom > middle:
        bottom = low
    return LogNorm(bottom, top) if top > bottom else LogNorm(bottom / 2, top * 2)


def quantiles(values: np.ndarray) -> tuple[float, float, float]:
    """Give the 5% quantile, the median and the 95% quantile of cells; each is the value of a cell.

    Args:
        values: finite, at least one. With four or more cells at least one lies beyond each quantile, with fewer none.
    """
    rising = np.sort(values)
    last = rising.size - 1
    apart = math.ceil(_QUANTILE * last) if last >= _FEW - 1 else 0
    places = (apart, (last + 1) // 2, last - apart)
    low, middle, high = (float(rising[place]) for place in places)
    return low, middle, high


def _finite(values: Sequence[xr.DataArray]) -> np.ndarray:
    """Give the finite values of all panels, clipped so that they can be subtracted, with tiny ones as zero."""
    flat = np.concatenate([np.asarray(each.values, dtype=float).ravel() for each in values])
    flat = flat[np.isfinite(flat)].clip(-_FARTHEST, _FARTHEST)
    return np.where(np.abs(flat) < 1 / _FARTHEST, 0.0, flat)


def add_colour_bar(panels: Sequence[Axes], values: Sequence[xr.DataArray], text: str) -> None:
    """Add one colour bar beside some panels.

    Args:
        panels: axes in which `draw_cells` drew, with one norm.
        values: all values that they show. An arrow at an end says that some lie beyond it; if none is finite
            there is no bar.
        text: what the colours stand for; if the scale ends at a quantile of the cells, a line below says so.
    """
    figure, mesh = panels[0].figure, last_mesh(panels[0])
    finite = [each.values[np.isfinite(each.values)] for each in values]
    if not any(each.size for each in finite):
        return
    over = any((each > mesh.norm.vmax).any() for each in finite)
    under = any((each < mesh.norm.vmin).any() for each in finite)
    extend = {(False, False): "neither", (True, False): "max", (False, True): "min", (True, True): "both"}
    text = "\n".join([text, *_describe_ends(mesh, values)])
    look: dict[str, Any] = {"pad": 0.015, "aspect": 28, "shrink": 0.97}
    if not isinstance(figure.get_layout_engine(), ConstrainedLayoutEngine):  # other engines may let it touch the panels
        look = {"pad": 0.05, "aspect": 28}
    beside = panels[0] if len(panels) == 1 else panels  # with a single panel any layout engine finds the space
    with np.errstate(over="ignore"):  # an arrow reaches as far out as the other end of the scale, which may overflow
        bar = figure.colorbar(mesh, ax=beside, label=text, extend=extend[over, under], **look)
    write_plainly([bar.ax.yaxis.label])
    if isinstance(mesh.norm, LogNorm):
        set_log_ticks(bar.ax.yaxis, *mesh.get_clim())


def _describe_ends(mesh: QuadMesh, values: Sequence[xr.DataArray]) -> list[str]:
    """Say which ends of a scale are quantiles of the cells, with cells beyond them."""
    flat = _finite(values)
    flat = flat[flat > 0] if isinstance(mesh.norm, LogNorm) else flat
    bottom, top = mesh.get_clim()
    low, _, high = quantiles(flat) if flat.size else (np.nan,) * 3
    ends = [f"{_QUANTILE:.0%}"] * bool(bottom == low > flat.min(initial=np.inf))
    ends += [f"{1 - _QUANTILE:.0%}"] * bool(top == high < flat.max(initial=-np.inf))
    return [f"ends at {' and '.join(ends)} of the cells"] if ends else []


def legend_patch(kind: str, text: str) -> Patch:
    """Give the legend's entry for a hatch."""
    face, line, pattern = style.PATTERNS[kind]
    return Patch(facecolor=face, edgecolor=line, hatch=pattern, linewidth=0.4, label=text)


def legend_step(text: str) -> Line2D:
    """Give the legend's entry for `draw_step_line`."""
    line = _outlined([], [])
    line.set_label(text)
    return line


def _outlined(x: Sequence[float] | np.ndarray, y: Sequence[float] | np.ndarray) -> Line2D:
    outline = [withStroke(linewidth=3.8, foreground="white")]
    return Line2D(x, y, color=style.MARK, linewidth=2.0, path_effects=outline, zorder=4, solid_capstyle="butt")


def _middle(scale: Scale) -> np.ndarray:
    if scale.kind == "log":
        return np.sqrt(scale.edges[1:] * scale.edges[:-1])
    return (scale.edges[1:] + scale.edges[:-1]) / 2


def _boxes(where: np.ndarray, down: np.ndarray, across: np.ndarray) -> Path:
    """Outline the true cells, with one box for consecutive cells of a row: few shapes make a small file."""
    padded = np.pad(where.astype(np.int8), ((0, 0), (1, 1)))
    row, start = np.nonzero(np.diff(padded, axis=1) == 1)
    _, stop = np.nonzero(np.diff(padded, axis=1) == -1)
    left, right, low, high = across[start], across[stop], down[row], down[row + 1]
    corners = [(left, low), (right, low), (right, high), (left, high), (left, low)]
    vertices = np.stack([np.stack(corner, axis=-1) for corner in corners], axis=1).reshape(-1, 2)
    codes = [Path.MOVETO, Path.LINETO, Path.LINETO, Path.LINETO, Path.CLOSEPOLY]
    return Path(vertices, np.tile(np.array(codes, dtype=Path.code_type), len(left)))
