"""A few figures as pixels, compared with pictures that were inspected before they were committed.

To make them again: `python tests/plots/test_pictures.py`, and look at each. They show the panels alone, side by side
at fixed places: other versions of matplotlib set letters differently, which moves panels. Words are tested elsewhere.
"""

from pathlib import Path

import matplotlib
import numpy as np
import pytest
import xarray as xr
from drawn import axes_of
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.image import imread
from matplotlib.patches import PathPatch
from matplotlib.text import Text
from synthetic import AXES, ended, results, union

from sweep.base import labels
from sweep.plots import heatmap
from sweep.plots.drawing import style
from sweep.plots.registry import FIGURES

PICTURES = Path(__file__).parent / "pictures"
# Root mean square over pixels and colours, from 0 to 255: margin for another smoothing of edges and hatches. The same
# version makes less than 0.001, each broken picture below more than twice the tolerance.
TOLERANCE = 8.0


def lost() -> xr.Dataset:
    ds = results(AXES)
    ds = ended(ds, labels.DIVERGED, (ds.learning_rate == 1e-2) & (ds.width == 64), from_record=9)
    ds = ended(ds, labels.CUT, (ds.learning_rate == 1e-4) & (ds.width == 16), from_record=9)
    return ended(ds, labels.NOT_RUN, (ds.learning_rate == 1e-3) & (ds.width == 16))


def facets() -> Figure:
    ds = union().isel(point=slice(4, 11))
    ds = ended(ds, labels.DIVERGED, ds.learning_rate == 1, from_record=9)
    return heatmap(ds.loss, x="epoch", y="learning_rate", facet="optimizer", status=ds.status)


DRAWN = {
    "heatmap_of_a_union": facets,
    "epochs_to_converge": lambda: FIGURES["epochs_to_converge"](lost(), threshold=1e-3),
    "frequency_epoch": lambda: FIGURES["frequency_epoch"](results(AXES)),
    "curves": lambda: FIGURES["curves"](results(AXES)),
}


def pixels(figure: Figure) -> np.ndarray:
    """Render a figure's panels without letters; (row, column, colour) from 0 to 255."""
    with matplotlib.rc_context(style.RC):
        figure.set_layout_engine("none")
        figure.set(dpi=50, figwidth=6, figheight=3)
        for other in (*figure.findobj(Text), *figure.legends, *set(figure.axes).difference(axes_of(figure))):
            other.set_visible(False)
        for place, axes in enumerate(panels := axes_of(figure)):
            axes.set_position([(place + 0.05) / len(panels), 0.05, 0.9 / len(panels), 0.9])
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].astype(float)


def distance(figure: Figure, name: str) -> float:
    expected = 255 * imread(PICTURES / f"{name}.png")[..., :3].astype(float)
    got = pixels(figure)
    assert got.shape == expected.shape
    return float(np.sqrt(np.mean((got - expected) ** 2)))


@pytest.mark.parametrize("name", DRAWN)
def test_a_figure_looks_as_it_did(name):
    assert (PICTURES / f"{name}.png").stat().st_size < 30_000
    assert distance(DRAWN[name](), name) < TOLERANCE


def without_hatches(figure: Figure) -> None:
    for axes in figure.axes:
        for patch in [each for each in axes.patches if isinstance(each, PathPatch)]:
            patch.remove()


def upside_down(figure: Figure) -> None:
    for axes in figure.axes:
        for mesh in (each for each in axes.collections if hasattr(each, "get_coordinates")):
            mesh.set_array(mesh.get_array()[::-1])


def other_colours(figure: Figure) -> None:
    for axes in figure.axes:
        for mesh in (each for each in axes.collections if hasattr(each, "get_coordinates")):
            mesh.set_cmap(style.higher_better_colours())


def without_lines(figure: Figure) -> None:
    for axes in figure.axes:
        for artist in (*axes.lines, *axes.collections):
            artist.set_visible(False)


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("heatmap_of_a_union", without_hatches),
        ("heatmap_of_a_union", upside_down),
        ("epochs_to_converge", without_hatches),
        ("epochs_to_converge", other_colours),
        ("frequency_epoch", upside_down),
        ("curves", without_lines),
    ],
    ids=lambda each: each if isinstance(each, str) else each.__name__,
)
def test_a_broken_figure_does_not(name, damage):
    figure = DRAWN[name]()
    damage(figure)
    assert distance(figure, name) > 2 * TOLERANCE


if __name__ == "__main__":
    from PIL import Image

    for each, draw in DRAWN.items():
        Image.fromarray(pixels(draw()).astype(np.uint8)).save(PICTURES / f"{each}.png", optimize=True)
