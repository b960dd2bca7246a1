"""The development of the fit as a film: one frame for each snapshot."""

from typing import Any, Final

import xarray as xr
from matplotlib.artist import Artist

from sweep.plots.drawing import style
from sweep.plots.drawing.film import Film
from sweep.plots.drawing.sheet import figure_sheet
from sweep.plots.drawing.view import view
from sweep.plots.figures.networks import describe_fit, finish_panels, networks, rule, start_with_run_seed
from sweep.plots.figures.outputs import output_panels

_MOST_PANELS: Final = 3
_MOST_FRAMES: Final = 60
_BOX: Final[dict[str, Any]] = {"facecolor": "white", "edgecolor": "none", "pad": 1.5}


@style.with_style
def growth(ds: xr.Dataset) -> Film:
    """Draw the network's output over the target, a frame per snapshot and a panel per width.

    Args:
        ds: results with `prediction` and `target` over `x`.

    Returns:
        Panels at each width's best learning rate, as in `fits`.
    """
    chosen = (
        view(ds, facet=output_panels(ds), most=_MOST_PANELS)
        .sort("x", "snapshot_epoch")
        .thin("snapshot_epoch", _MOST_FRAMES)
    )
    chosen = start_with_run_seed(chosen)
    epochs = chosen.data["snapshot_epoch"].values
    rows = [networks(part) for part in chosen.panels()]
    sheet = figure_sheet(len(rows), columns=len(rows), size=(3.0, 2.2))
    panels = sheet.panels
    for axes, row, part in zip(panels, rows, chosen.panels(), strict=True):
        row.draw_target(axes)
        sheet.set_title(axes, sheet.name(chosen, part))
    handles = finish_panels(panels, chosen, rows)

    def draw(frame: int) -> list[Artist]:
        place = {"transform": panels[0].transAxes, "va": "top", "bbox": _BOX}
        corner = panels[0].text(0.02, 0.97, f"epoch {style.format_number(epochs[frame])}", **place)
        moving = [artist for axes, row in zip(panels, rows, strict=True) for artist in row.draw(axes, frame)]
        return [*moving, corner]

    figure = sheet.finish(chosen, describe_fit(chosen), rule(chosen, rows), handles)
    return Film(figure, len(epochs), draw)
