"""The ends of the training range, in figures whose x goes beyond it."""

from collections.abc import Sequence
from typing import Any, Final, Literal

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke

_LOOK: Final[dict[str, Any]] = {"color": "black", "linewidth": 0.8, "linestyle": (0, (4, 3))}


def is_inside(x: xr.DataArray) -> np.ndarray:
    """For each point, tell whether it lies in the training range; all do if the results do not state the range."""
    return (x.values >= x.attrs.get("train_low", -np.inf)) & (x.values <= x.attrs.get("train_high", np.inf))


def outer_ends(x: xr.DataArray) -> list[float]:
    """Give those ends of the training range beyond which there are points."""
    low, high = x.attrs.get("train_low", -np.inf), x.attrs.get("train_high", np.inf)
    return [low] * bool((x < low).any()) + [high] * bool((x > high).any())


def mark_ends(panels: Sequence[Axes], x: xr.DataArray, axis: Literal["x", "y"]) -> list[Line2D]:
    """Draw a thin dashed line at each end of the training range beyond which there are points.

    Args:
        panels: the panels.
        x: the coordinate, with the training range among its attributes.
        axis: along which axis of the panels x lies.

    Returns:
        The legend's entry; none if there is nothing to mark.
    """
    places, pale = outer_ends(x), [withStroke(linewidth=2.0, foreground="#ffffffb0")]
    for panel in panels:
        draw = panel.axvline if axis == "x" else panel.axhline
        for place in places:
            draw(place, zorder=3.5, path_effects=pale, **_LOOK)
    return [Line2D([], [], label="end of the training range", **_LOOK)] if places else []
