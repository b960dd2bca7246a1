"""Heatmaps that a page names: any two dimensions of any metric, as a figure or as a film over epochs."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import repeat
from typing import Any, Final

import numpy as np
import xarray as xr
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, to_rgb
from matplotlib.figure import Figure

from sweep.base.errors import SweepError, unknown_name
from sweep.plots.drawing import style
from sweep.plots.drawing.cells import draw_mesh, draw_missing, norm_of
from sweep.plots.drawing.film import Film
from sweep.plots.drawing.given import AxesLike
from sweep.plots.drawing.maps import draw_maps, sheet_of_maps
from sweep.plots.drawing.metric import check_metric, colours, varying_names
from sweep.plots.drawing.scale import scale_of
from sweep.plots.drawing.view import view
from sweep.plots.figures import plane
from sweep.plots.figures.plane import Cells
from sweep.results import schema

_MOST_FRAMES: Final = 60
_MOST_FILMED: Final = 3  # panels
_SHADES: Final = (72, 16)  # of the colour map and of grey: as cells have no edges, many colours make no larger file
_BOX: Final[dict[str, Any]] = {"facecolor": "white", "edgecolor": "none", "pad": 1.5, "alpha": 0.85}


@style.with_style
def heatmap(
    ds: xr.Dataset,
    metric: str = "loss",
    x: str = "epoch",
    y: str | None = None,
    facet: str | None = None,
    statistic: str = "median",
    *,
    ax: AxesLike | None = None,
) -> Figure:
    """Draw two dimensions of any metric against each other, as `sweep.plots.heatmap` does for an array.

    Args:
        ds: results with the metric.
        metric: any variable over epochs.
        x: the dimension across: `epoch`, another dimension of the metric, or a swept one.
        y: the dimension upwards; by default another dimension of the metric, else the first swept one, else a single
            row.
        facet: the dimension with a panel per value; by default as in the other figures.
        statistic: over seeds, one of `specs.figure.STATISTICS`.
        ax: axes to draw on, one for each panel; by default a new figure is made.

    Returns:
        Panels for which all other swept dimensions are chosen as in the other figures: the best learning rate, and the
        combination with the lowest loss.
    """
    dims = schema.own_dims(ds, metric)
    known = [*dims, *schema.lane_dims(ds), *schema.union_knobs(ds)]
    for name in (x, y, facet):
        if name is not None and name not in known:
            raise unknown_name("dimension", name, known)
    y = y or next((name for name in (*dims, *varying_names(ds, x, facet)) if name not in (x, facet, "epoch")), None)
    drawn = [name for name in (x, y, facet) if name is not None]
    if len(set(drawn)) < len(drawn):
        names = style.join_words(map(repr, drawn))
        raise SweepError(f"figure 'heatmap' draws {names} as x, y and facet: name different dimensions")
    left = [name for name in dims if name not in (*drawn, "epoch")]
    if left:
        rest = style.join_words(f"{name} ({ds.sizes[name]} values)" for name in left)
        raise SweepError(f"figure 'heatmap' of {metric!r} leaves {rest}: make it x, y or the facet")
    chosen = view(ds, *filter(None, (x, y)), facet=facet)
    if "epoch" in dims and "epoch" not in (x, y, facet):
        last = f"At the last record, epoch {style.format_number(ds['epoch'][-1].item())}"
        chosen = replace(chosen, data=chosen.data.isel(epoch=-1), rules=(last, *chosen.rules))
    return plane.draw(Cells(chosen, metric, x, y, statistic), ax)


@style.with_style
def heatmap_film(
    ds: xr.Dataset, metric: str = "loss", x: str | None = None, y: str | None = None, statistic: str = "median"
) -> Film:
    """Draw two swept dimensions of a metric against each other, a frame per record.

    Args:
        ds: results with the metric.
        metric: a metric with a single number per record.
        x: the dimension across; by default the last swept one that varies.
        y: the dimension upwards; by default the first other one.
        statistic: over seeds, one of `specs.figure.STATISTICS`.

    Returns:
        At most 60 frames, evenly spread over the records, with one colour scale.
    """
    check_metric(ds, metric, x, y)
    across = x or next(reversed(varying_names(ds, y)), None)
    down = y or next(iter(varying_names(ds, across)), None)
    if across is None or down is None:
        single = across or down
        varying = "nothing" if single is None else f"only {single!r}"
        raise SweepError(f"figure 'heatmap_film' needs two swept dimensions; here {varying} varies")
    chosen = view(ds, across, down, most=_MOST_FILMED).thin("epoch", _MOST_FRAMES)
    frames = [
        Cells(replace(chosen, data=chosen.data.isel(epoch=record)), metric, across, down, statistic)
        for record in range(chosen.data.sizes["epoch"])
    ]
    cells = [frame.panels(frame.values) for frame in frames]
    norm = norm_of([each for drawn in cells for each in drawn], highest=plane.highest(frames[0].chosen.data[metric]))
    better = frames[-1].better
    cuts = [frame.cut() for frame in frames]
    sheet = sheet_of_maps(None, "heatmap_film", chosen, cells[-1])
    kinds = draw_maps(sheet, frames[-1].chosen, cells[-1], norm, colours(better), cuts[-1])
    epochs = [style.format_number(frame.chosen.data["epoch"].item()) for frame in frames]
    finding = plane.describe(frames[-1], cells[-1])
    title = f"At epoch {epochs[-1]} {finding[0].lower()}{finding[1:]}"
    figure = sheet.finish(chosen, title, plane.rule(frames[-1]), plane.entries(frames[-1], kinds))
    panels = sheet.panels
    for artist in _moving_artists(panels):
        artist.remove()

    def draw(frame: int) -> list[Artist]:
        for axes, each, cut in zip(panels, cells[frame], cuts[frame] or repeat(None), strict=False):
            rows, columns = (scale_of(each[dim]) for dim in each.dims)
            draw_mesh(axes, each, rows, columns, norm=norm, cmap=colours(better))
            draw_missing(axes, each, rows, columns, cut)
        place: dict[str, Any] = {"transform": panels[0].transAxes, "va": "top", "bbox": _BOX}
        return [*_moving_artists(panels), panels[0].text(0.02, 0.97, f"epoch {epochs[frame]}", **place)]

    return Film(figure, len(frames), draw, _palette(colours(better)))


def _palette(cmap: Colormap) -> np.ndarray:
    """Give the colours of cells, texts and hatches; for hatches also colours between face and line."""
    cells, greys = (np.linspace(0, 1, count) for count in _SHADES)
    ends = cmap([-1.0, 2.0])[:, :3]  # beyond the scale
    pairs = np.array([[to_rgb(face), to_rgb(line)] for face, line, _ in style.HATCHES.values()])
    hatches = [pairs[:, 0] + share * (pairs[:, 1] - pairs[:, 0]) for share in np.linspace(0, 1, 9)]
    return np.concatenate([cmap(cells)[:, :3], ends, greys[:, None].repeat(3, axis=1), *hatches])


def _moving_artists(panels: Sequence[Axes]) -> list[Artist]:
    """List what is drawn again in each frame: cells and hatches."""
    return [artist for axes in panels for artist in (*axes.collections, *axes.patches)]
