"""One heatmap panel: cells with true edges, hatches for what is no number, the line where an error halves."""

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
from sweep.plots.drawing.sheet import log_ticks, write_plainly

_MOST_CORNERS = 2000  # of hatched boxes that are smaller in an SVG as shapes than as pixels
_LETTER = 0.066  # inches: of a digit of 7.5 points
_QUANTILE = 0.05  # of the cells, at which a scale may end at either side
_FEW = 4  # cells, of fewer none is left out of a scale
_FAR_APART, _FAR_ABOVE = 10.0, 1e3  # how far beyond the quantiles it need not reach: spans of a linear scale, ratio
_DECADES = 10  # of a logarithmic scale
_FARTHEST = 1e250  # ends of a scale, with room for its ticks and arrows
_MOST_CELLS = 256  # in a row or a column: more are not told apart, and of a thousand a panel shows but one


def merge_cells(cells: xr.DataArray) -> xr.DataArray:
    """Put neighbouring cells together by their median where there are too many to be told apart.

    Args:
        cells: two-dimensional, in the order of their scales; +inf counts, NaN does not. A zero on a log axis
            stays alone.

    Returns:
        The same cells where there are few; else at most some hundred along each dimension, which the labels of
        its coordinates say. A cell stands at the middle one of its values.
    """
    kept, padding = {}, []
    for dim in cells.dims:
        starts = _starts(cells[dim])
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
    array = xr.DataArray(values, kept, (*cells.dims, "seed"), cells.name, cells.attrs)
    return stats.median(array)


def _starts(coordinate: xr.DataArray) -> np.ndarray:
    """Give where the cells begin that values are put together in."""
    if coordinate.size <= _MOST_CELLS or coordinate.dtype.kind not in "iuf":
        return np.arange(coordinate.size)
    alone = int(scale_of(coordinate).zero_apart)
    step = -(-(coordinate.size - alone) // (_MOST_CELLS - alone))
    return np.concatenate([np.arange(alone), np.arange(alone, coordinate.size, step)])


def draw_cells(
    axes: Axes, cells: xr.DataArray, down: Scale, across: Scale, *, norm: Normalize, cmap: Colormap
) -> QuadMesh:
    """Draw cells with their true edges, and dress the axes to them.

    Args:
        axes: where.
        cells: two-dimensional, rows then columns, in the order of the scales. What is not finite is left
            out: see `hatch`.
        down: layout of the rows.
        across: layout of the columns.
        norm: from values to [0, 1], the same for every panel of a figure.
        cmap: colours.
    """
    down.apply(axes.yaxis)
    across.apply(axes.xaxis)
    return draw_mesh(axes, cells, down, across, norm=norm, cmap=cmap)


def draw_mesh(
    axes: Axes, cells: xr.DataArray, down: Scale, across: Scale, *, norm: Normalize, cmap: Colormap
) -> QuadMesh:
    """Draw the cells alone, as a film does in each frame; the arguments are those of `draw_cells`."""
    values = np.ma.masked_invalid(np.asarray(cells.values, dtype=float))
    if isinstance(norm, LogNorm):  # which would leave a cell of zero error blank
        values = np.ma.maximum(values, np.finfo(float).tiny)
    return axes.pcolormesh(across.edges, down.edges, values, norm=norm, cmap=cmap, rasterized=True)


def hatch(axes: Axes, where: xr.DataArray, down: Scale, across: Scale, kind: str) -> PathPatch | None:
    """Hatch the cells where something is true.

    Args:
        axes: where.
        where: booleans, shaped as the cells.
        down: layout of the rows.
        across: layout of the columns.
        kind: one of `style.PATTERNS`.

    Returns:
        One patch of all cells, or None where there are none.
    """
    if not where.any():
        return None
    face, line, pattern = style.PATTERNS[kind]
    boxes = _boxes(where.values, down.edges, across.edges)
    patch = PathPatch(boxes, facecolor=face, edgecolor=line, hatch=pattern, linewidth=0)
    patch.set_rasterized(np.size(boxes.vertices) > 2 * _MOST_CORNERS)
    axes.add_patch(patch)
    return patch


def hatch_missing(
    axes: Axes, cells: xr.DataArray, down: Scale, across: Scale, cut: xr.DataArray | None = None
) -> set[str]:
    """Hatch what is infinite as diverged, or as cut where that is said, and NaN as not run; give the kinds found."""
    lost = np.isinf(cells)
    kinds = {"diverged": lost, "not_run": cells.isnull()}
    if cut is not None:
        kinds |= {"diverged": lost & ~cut, "cut": lost & cut}
    return {kind for kind, where in kinds.items() if hatch(axes, where, down, across, kind) is not None}


def step_line(axes: Axes, epochs: xr.DataArray, down: Scale, across: Scale) -> None:
    """Draw a line through the rows, at the left edge of each row's cell of that epoch.

    Args:
        axes: where.
        epochs: one per row, each a value of the columns, or not finite for no line in that row.
        down: layout of the rows.
        across: layout of the columns.
    """
    column = np.searchsorted(across.values, epochs.values)
    place = np.where(np.isfinite(epochs.values), across.edges[np.minimum(column, len(across.values) - 1)], np.nan)
    x, y = np.repeat(place, 2), np.repeat(down.edges, 2)[1:-1]
    axes.add_line(_outlined(x, y))


def mesh_of(axes: Axes) -> QuadMesh:
    """Give the cells that were drawn last; on axes that a caller gave there may be others."""
    return next(artist for artist in reversed(axes.collections) if isinstance(artist, QuadMesh))


def numbers(axes: Axes, cells: xr.DataArray, down: Scale, across: Scale, mesh: QuadMesh, width: float) -> None:
    """Print each finite cell's number in it where there is room, light on dark and dark on light.

    Args:
        axes: where.
        cells: drawn there.
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
    wide, high = (np.diff(scale.share(scale.edges)).min() for scale in (across, down))  # of the least cell
    if width * wide < _LETTER * longest or box.width * wide < 0.42 or box.height * high < 0.17:
        return
    y, x = (scale.share(_middle(scale)) for scale in (down, across))
    drawn = np.ma.asarray(mesh.get_array())  # a zero on a logarithmic scale is not zero here
    for (row, column), text in texts.items():
        red, green, blue, _ = mesh.cmap(mesh.norm(drawn[row, column]))
        ink = "black" if 0.3 * red + 0.59 * green + 0.11 * blue > 0.5 else "white"
        place = (float(x[column]), float(y[row]))
        axes.text(*place, text, transform=axes.transAxes, color=ink, size=7.5, ha="center", va="center")


def norm_of(values: Sequence[xr.DataArray], *, highest: float = np.inf) -> Normalize:
    """Give a norm that spans the finite values of all panels, logarithmic where they span over a decade.

    An end on a linear scale that lies more than ten times as far out as 5% to 95% of the cells (`quantiles`) lie apart
    is that quantile in place of the extreme cell, so that a few cells do not make all others one colour.

    Args:
        values: the panels' cells.
        highest: what lies above is drawn as beyond the scale.
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
    return Normalize(min(low, 0.0), max(low, 0.0)) if low else Normalize(0.0, 1.0)  # of one value: from zero


def log_norm(values: Sequence[xr.DataArray], *, highest: float = np.inf, decades: float | None = None) -> LogNorm:
    """Give a logarithmic norm that spans the positive finite values of all panels, over ten decades at most.

    Where the highest cell lies more than three decades above 95% of the cells (`quantiles`) the scale ends at that
    quantile, and where ten decades below its top would leave out more than half of the cells it begins at their 5%.

    Args:
        values: the panels' cells.
        highest: what lies above is drawn as beyond the scale.
        decades: another number of them, whatever part of the cells that leaves out.
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
    """Give the 5% quantile, the median and the 95% quantile of cells, each the value of one.

    Args:
        values: finite, one at least. Of four cells and more at least one lies beyond each quantile, of fewer none.
    """
    rising = np.sort(values)
    last = rising.size - 1
    apart = math.ceil(_QUANTILE * last) if last >= _FEW - 1 else 0
    places = (apart, (last + 1) // 2, last - apart)
    low, middle, high = (float(rising[place]) for place in places)
    return low, middle, high


def _finite(values: Sequence[xr.DataArray]) -> np.ndarray:
    """Give the finite values of all panels, and such as cannot be told apart from zero or subtracted at the ends."""
    flat = np.concatenate([np.asarray(each.values, dtype=float).ravel() for each in values])
    flat = flat[np.isfinite(flat)].clip(-_FARTHEST, _FARTHEST)
    return np.where(np.abs(flat) < 1 / _FARTHEST, 0.0, flat)


def colour_bar(panels: Sequence[Axes], values: Sequence[xr.DataArray], text: str) -> None:
    """Add one colour bar beside some panels.

    Args:
        panels: axes that `draw_cells` drew in, with one norm.
        values: all that they show. An arrow at an end says that some lie beyond it; without a number
            there is no bar, which would be a scale of nothing.
        text: what the colours stand for; where the scale ends at a quantile of the cells this is said below.
    """
    figure, mesh = panels[0].figure, mesh_of(panels[0])
    finite = [each.values[np.isfinite(each.values)] for each in values]
    if not any(each.size for each in finite):
        return
    over = any((each > mesh.norm.vmax).any() for each in finite)
    under = any((each < mesh.norm.vmin).any() for each in finite)
    extend = {(False, False): "neither", (True, False): "max", (False, True): "min", (True, True): "both"}
    text = "\n".join([text, *_ends_in_words(mesh, values)])
    look: dict[str, Any] = {"pad": 0.015, "aspect": 28, "shrink": 0.97}
    if not isinstance(figure.get_layout_engine(), ConstrainedLayoutEngine):  # which keeps it clear of the panels
        look = {"pad": 0.05, "aspect": 28}
    beside = panels[0] if len(panels) == 1 else panels  # of one alone any layout engine can take the room
    with np.errstate(over="ignore"):  # an arrow's end is as far out as the other end of the scale
        bar = figure.colorbar(mesh, ax=beside, label=text, extend=extend[over, under], **look)
    write_plainly([bar.ax.yaxis.label])
    if isinstance(mesh.norm, LogNorm):
        log_ticks(bar.ax.yaxis, *mesh.get_clim())


def _ends_in_words(mesh: QuadMesh, values: Sequence[xr.DataArray]) -> list[str]:
    """Say which ends of a scale are quantiles of the cells, beyond which there are others."""
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
    """Give the legend's entry for `step_line`."""
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
    """Outline the true cells, each run of them along a row as one box: few shapes, so a small file."""
    padded = np.pad(where.astype(np.int8), ((0, 0), (1, 1)))
    row, start = np.nonzero(np.diff(padded, axis=1) == 1)
    _, stop = np.nonzero(np.diff(padded, axis=1) == -1)
    left, right, low, high = across[start], across[stop], down[row], down[row + 1]
    corners = [(left, low), (right, low), (right, high), (left, high), (left, low)]
    vertices = np.stack([np.stack(corner, axis=-1) for corner in corners], axis=1).reshape(-1, 2)
    codes = [Path.MOVETO, Path.LINETO, Path.LINETO, Path.LINETO, Path.CLOSEPOLY]
    return Path(vertices, np.tile(np.array(codes, dtype=Path.code_type), len(left)))
