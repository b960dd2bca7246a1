"""The sheet on which a figure is drawn: panels, and for a new figure a title in words and a caption."""

import textwrap
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Literal, cast

import matplotlib
import numpy as np
import xarray as xr
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.text import Text
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from sweep.base import labels
from sweep.base.text import MAX_LENGTH, make_visible
from sweep.plots.drawing import style
from sweep.plots.drawing.view import View

_NARROW: Final = 5.0  # inches: on a narrower sheet panels are arranged one below the other
_LINE: Final = 1.35  # line height over font size
_LETTER: Final = 0.56  # mean letter width over font size, DejaVu Sans, rounded up
_BOLD: Final = 1.12  # width of bold letters over that of others
_TITLE: Final = (9, 2.8)  # of a panel: size of its letters, least width of its lines in inches
_MARGIN: Final = 1.2  # inches beside the panels, for labels and the colour bar


def is_narrow() -> bool:
    """Tell whether a sheet is one column of a page, for print."""
    return style.settings()["figure.figsize"][0] < _NARROW


@dataclass(frozen=True)
class Sheet(ABC):
    """Panels to draw on, and their figure.

    Args:
        figure: the figure.
        panels: axes in reading order.
    """

    figure: Figure
    panels: list[Axes]

    @abstractmethod
    def name(self, chosen: View, part: xr.Dataset) -> str:
        """Name the panel that shows a part of what is drawn: "width 64, learning rate 0.001"."""

    @abstractmethod
    def set_title(self, axes: Axes, text: str, note: str = "") -> None:
        """Set a panel's title, broken into lines so that it does not overlap the next panel's, and a line below it."""

    @abstractmethod
    def width(self, axes: Axes) -> float:
        """Estimate a panel's width in inches after layout."""

    @abstractmethod
    def finish(self, chosen: View, title: str, rule: str, handles: Sequence[Artist] = (), key: str = "") -> Figure:
        """Add the texts and the legend that explain the panels, after these are drawn.

        Args:
            chosen: what is drawn.
            title: the finding, in words.
            rule: the caption's first sentence, without full stop: which statistic of what.
            handles: the legend's entries.
            key: the legend's title.

        Returns:
            The figure.
        """


class FigureSheet(Sheet):
    """A new figure: above its panels are the page's question and the title, below them the legend and the caption."""

    def name(self, chosen: View, part: xr.Dataset) -> str:
        """Name the panel; the caption says what all panels have in common."""
        return chosen.title(part)

    def set_title(self, axes: Axes, text: str, note: str = "") -> None:
        """Set a panel's title, in lines as long as the panel is wide, or a minimal width."""
        size, least = _TITLE
        lines = wrap(text, size, max(axes.get_window_extent().width / axes.figure.dpi, least))
        axes.set_title(f"{lines}\n{note}".strip())

    def width(self, axes: Axes) -> float:
        """Estimate a panel's width from the number of panels in a row."""
        place = axes.get_subplotspec()
        beside = 1 if place is None else place.get_gridspec().ncols
        return (self.figure.bbox.width / self.figure.dpi - _MARGIN) / beside

    def finish(self, chosen: View, title: str, rule: str, handles: Sequence[Artist] = (), key: str = "") -> Figure:
        """Add the page's question, the title, the legend and the caption, and make the figure higher for them."""
        figure = self.figure
        _label_outer(figure)
        width, height = figure.get_size_inches()
        if width < _NARROW:
            _fold_labels(figure)
        settings: Any = matplotlib.rcParams
        large, medium, small = (settings[name] for name in ("figure.titlesize", "font.size", "figure.labelsize"))
        question = wrap(str(chosen.source.attrs.get("question", "")), medium, width)
        heading = wrap(title, large * _BOLD, width)
        caption = wrap(". ".join((rule, *_small_print(chosen))) + ".", small, width)
        columns = _legend_columns(handles, width)
        lines = -(-len(handles) // max(columns, 1)) + bool(key)
        legend = 0.17 * lines + 0.09 * bool(lines)
        first = 0.06 + _height(question, medium)
        above, below = first + _height(heading, large), _height(caption, small) + legend + 0.05
        total = height + above + below
        figure.set_size_inches(width, total)
        cast(ConstrainedLayoutEngine, figure.get_layout_engine()).set(rect=(0, below / total, 1, height / total))
        write = partial(figure.text, 0.08 / width, linespacing=1.2)
        if question:
            write(1 - 0.06 / total, question, size=medium, va="top", color=style.QUIET)
        write(1 - first / total, heading, size=large, va="top", weight="bold")
        write(0.06 / total, caption, size=small, va="bottom", color=style.QUIET)
        if handles:
            place = (0.5, (below - legend - 0.03) / total)
            look = {"loc": "lower center", "title": key or None, "borderpad": 0.2}
            figure.legend(handles=handles, bbox_to_anchor=place, ncols=columns, **look)
        write_plainly(texts_of(figure))
        return figure


def figure_sheet(
    panels: int,
    *,
    columns: int | None = None,
    size: tuple[float, float] = (3.3, 2.7),
    sharex: bool = True,
    sharey: bool | Literal["all", "row"] = True,
) -> FigureSheet:
    """Make a figure with panels that share their axes.

    Args:
        panels: number of panels.
        columns: number of panels in a row; by default at most three, and one on a sheet for print.
        size: width and height of a panel in inches; a single panel is larger, those on a sheet for print share its
            width.
        sharex: whether all have the same columns; if not, each has its own labels.
        sharey: whether all have the same rows; "row" if only panels of the same row have.

    Returns:
        The figure and its panels, in reading order.
    """
    width, height = matplotlib.rcParams["figure.figsize"]
    across = columns or (1 if is_narrow() else {1: 1, 2: 2, 4: 2}.get(panels, 3))
    down = -(-panels // across)
    if is_narrow():
        height *= (0.7 if across == 1 else 0.5) * down + 0.3
    elif panels > 1:
        width, height = max(width, size[0] * across + 0.9), size[1] * down + 0.4
    figure = Figure(figsize=(width, height), layout="constrained")
    grid = figure.subplots(down, across, sharex=sharex, sharey=sharey, squeeze=False)
    flat = list(grid.flat)
    for spare in flat[panels:]:
        spare.remove()
    return FigureSheet(figure, flat[:panels])


def write_plainly(words: Iterable[Text]) -> None:
    """Write texts literally: matplotlib would read text between two dollars as a formula."""
    for text in words:
        text.set(text=make_visible(text.get_text()), parse_math=False)


def texts_of(drawn: Artist) -> list[Text]:
    """List the texts of a figure or a panel, without those at ticks, for which matplotlib writes formulas itself."""
    if isinstance(drawn, Axis):  # all its other texts are at ticks
        return [drawn.label]
    below = [text for child in drawn.get_children() for text in texts_of(child)]
    return [*below, drawn] if isinstance(drawn, Text) else below


def _small_print(chosen: View) -> list[str]:
    """Give the caption's sentences that say how lanes were chosen, how many were lost, and the page's name."""
    if "status" not in chosen.source:  # an array alone does not say how its lanes ended
        return list(chosen.rules)
    shown, stored = chosen.data["status"], chosen.source["status"]
    sentences = [*chosen.rules, f"Shown: {_losses(shown)}"]
    sentences += [f"In the store: {_losses(stored)}"] if stored.size > shown.size else []
    return [*sentences, f"Page: {chosen.source.attrs['name']}"] if "name" in chosen.source.attrs else sentences


def write_message(axes: Axes, text: str) -> Text:
    """Write in the middle of a panel why nothing is drawn there."""
    box = {"facecolor": "white", "edgecolor": "none", "pad": 2}
    return axes.text(
        0.5,
        0.5,
        text,
        transform=axes.transAxes,
        ha="center",
        va="center",
        color=style.QUIET,
        bbox=box,
        zorder=5,
    )


def set_log_ticks(axis: Axis, low: float, high: float) -> None:
    """Label a logarithmic axis with plain numbers; a short one also at 2 and 5 times the powers of ten.

    Args:
        axis: of a panel or of a colour bar.
        low: one end of it.
        high: the other end.
    """
    short = high / low < 100
    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if short else (1,)))
    if short or (low > 1e-4 and high < 1e5):
        axis.set_major_formatter(FuncFormatter(lambda value, _: style.format_number(value)))
    axis.set_minor_formatter(NullFormatter())


def _label_outer(figure: Figure) -> None:
    """Label only the outer panels, and those above an empty position."""
    for axes in figure.axes:
        label, place = axes.get_xlabel(), axes.get_subplotspec()
        axes.label_outer()
        below = [other.get_subplotspec() for other in figure.axes if other is not axes]
        if place is not None and not any(
            other is not None and other.colspan == place.colspan and other.rowspan.start > place.rowspan.start
            for other in below
        ):
            axes.xaxis.set_tick_params(labelbottom=True)
            axes.set_xlabel(label)
        if place is None or axes.get_label() == "<colorbar>":
            continue
        alone = {axes.xaxis: axes.get_shared_x_axes(), axes.yaxis: axes.get_shared_y_axes()}
        for axis, group in alone.items():
            if len(group.get_siblings(axes)) == 1:
                axis.set_tick_params(labelleft=True, labelbottom=True)


def _fold_labels(figure: Figure) -> None:
    """Break the labels beside panels, which are low on a narrow sheet; a colour bar is as high as all panels."""
    rows = sum(axes.get_subplotspec() is not None for axes in figure.axes)
    for axes in figure.axes:
        most = 20 * (rows if axes.get_label() == "<colorbar>" else 1)  # letters of a line
        if max(map(len, axes.get_ylabel().splitlines()), default=0) > most:
            axes.set_ylabel(textwrap.fill(axes.get_ylabel(), most))


def _legend_columns(handles: Sequence[Artist], width: float) -> int:
    """Compute how many entries fit side by side."""
    beside = 0.65  # the sample and the gap, in inches
    entries = [len(str(handle.get_label())) * 8 * _LETTER / 72 + beside for handle in handles]
    if sum(entries) <= width:
        return len(entries)
    return max(1, int(width / max(entries)))


def _losses(status: xr.DataArray) -> str:
    """Say how many lanes there are, and how many were lost or have not run to their end."""
    counts = np.bincount(np.asarray(status.values, dtype=int).ravel(), minlength=len(labels.STATUS))
    bad = (*labels.LOST, *reversed(labels.WITHOUT_DATA))
    parts = [f"{counts[code]} {style.words(labels.STATUS[code])}" for code in bad if counts[code]]
    if counts[labels.REACHED]:
        parts.append(f"{counts[labels.REACHED]} reached the target, their values carried forward")
    if counts[labels.PLATEAUED]:
        parts.append(f"{counts[labels.PLATEAUED]} stopped improving, their values carried forward")
    return f"{style.format_count(status.size, 'lane')}, {', '.join(parts) or 'none diverged'}"


def wrap(text: str, size: float, width: float) -> str:
    """Break a text, with letters of a size in points, into lines of a width in inches."""
    shown = text if len(text) <= 2 * MAX_LENGTH else f"{text[: 2 * MAX_LENGTH]} ..."
    return textwrap.fill(shown, max(20, int((width - 0.16) * 72 / (size * _LETTER))))


def _height(text: str, size: float) -> float:
    """Give the height of a text in inches, 0 for an empty one."""
    return 0.0 if not text else (text.count("\n") + 1) * size * _LINE / 72
