"""What a figure shows, read from its artists."""

from matplotlib.collections import QuadMesh
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch


def axes_of(figure: Figure):
    """The panels of a figure, without its colour bar."""
    return [axes for axes in figure.axes if axes.get_label() != "<colorbar>"]


def mesh_of(axes) -> QuadMesh:
    return next(artist for artist in axes.collections if isinstance(artist, QuadMesh))


def texts(figure: Figure) -> str:
    return " ".join(text.get_text().replace("\n", " ") for text in figure.texts)


def legend(figure: Figure) -> list[str]:
    return [text.get_text() for each in figure.legends for text in each.get_texts()]


def hatches(axes) -> list[str]:
    return [patch.get_hatch() for patch in axes.patches if isinstance(patch, PathPatch)]


def overlapping(shown) -> bool:
    boxes = [text.get_window_extent() for text in shown if text.get_text()]
    return any(one.overlaps(other) for index, one in enumerate(boxes) for other in boxes[:index])
