"""Axes that a caller gives: which will do, and drawing a figure's panels on them instead of on a sheet of its own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
import xarray as xr
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.text import Text

from sweep.base.errors import SweepError
from sweep.base.text import make_visible
from sweep.plots.drawing import style, unions
from sweep.plots.drawing.sheet import Sheet, words_of, wrap, write_plainly
from sweep.plots.drawing.view import View, selection_words

AxesLike: TypeAlias = Axes | Sequence[Axes] | np.ndarray

_LEGEND: Final = {"fontsize": "small", "title_fontsize": "small", "frameon": True, "framealpha": 0.85}
_SHARE: Final = 0.4  # of the panel's width: how long lines of a legend may be
_LONG: Final = 5  # entries of a legend, more of which stand side by side


@dataclass(frozen=True)
class GivenSheet(Sheet):
    """A caller's axes, whose figure keeps its size, its layout engine, its other axes and its words.

    Args:
        before: what the panels' words were before anything was drawn.
    """

    before: Mapping[Text, str]

    def name(self, chosen: View, part: xr.Dataset) -> str:
        """Say which panel it is, and what was selected before: no caption says it."""
        return ", ".join(filter(None, (*selection_words(chosen.whole), chosen.title(part))))

    def entitle(self, axes: Axes, text: str, note: str = "") -> None:
        """Set a panel's title, in lines no longer than the panel is wide; one without words keeps the caller's."""
        if text or note:
            axes.set_title(text)
            lines = wrap(text, float(axes.title.get_fontsize()), self.width(axes))
            axes.set_title(f"{lines}\n{note}".strip())

    def width(self, axes: Axes) -> float:
        """Give a panel's width as it is."""
        return axes.get_window_extent().width / axes.figure.dpi

    def finish(self, chosen: View, title: str, rule: str, handles: Sequence[Artist] = (), key: str = "") -> Figure:
        """Add the legend within the last panel; question, title and caption are left to the caller."""
        if handles:
            self._add_legend(handles, key)
        written = [text for axes in self.panels for text in words_of(axes) if text.get_text() != self.before.get(text)]
        # Only what would be drawn otherwise: a text that is written plainly has no formulas, the caller's next neither.
        write_plainly(text for text in written if _is_odd(text.get_text()))
        for axis in (axis for axes in self.panels for axis in (axes.xaxis, axes.yaxis)):
            if axis.label in written and _numbers_hidden(axis):
                axis.label.set_text("")
        return self.figure

    def _add_legend(self, handles: Sequence[Artist], key: str) -> None:
        """Explain the panels in the last one, in short lines, so that little is covered."""
        axes, columns = self.panels[-1], 2 if len(handles) > _LONG else 1
        legend = axes.legend(handles=handles, title=key or None, ncols=columns, **_LEGEND)
        for text in (*legend.get_texts(), legend.get_title()):
            text.set_text(wrap(text.get_text(), float(text.get_fontsize()), _SHARE * self.width(axes)))


def given(ax: AxesLike | None, figure: str, chosen: View, panels: int, *others: str) -> GivenSheet | None:
    """Take a caller's axes to draw on.

    Args:
        ax: axes of one figure, in an array of any shape or a list; None where the figure is to have a sheet of its own.
        figure: its name.
        chosen: what it shows.
        panels: how many it draws.
        others: dimensions whose values have a panel each, beside the facet.

    Raises:
        SweepError: for what is no axes, for axes of several figures or twice the same, and for another number of them
            than there are panels, with the way to have fewer panels.
    """
    if ax is None:
        return None
    flat = list(np.asarray(ax, dtype=object).ravel())
    for each in flat:
        if not isinstance(each, Axes):
            got = type(each).__name__
            raise SweepError(f"figure {figure!r} draws on matplotlib's axes, got {got}: give those of plt.subplots()")
    if len(flat) != panels:
        raise SweepError(f"figure {figure!r} {_mismatch(chosen, panels, len(flat), others)}")
    if len(set(flat)) < panels or len({each.figure for each in flat}) > 1:
        wrong = "the same axes twice" if len(set(flat)) < panels else "axes of several figures"
        raise SweepError(f"figure {figure!r} got {wrong}: give {panels} different ones of one figure")
    before = {text: text.get_text() for axes in flat for text in words_of(axes)}
    return GivenSheet(flat[0].figure.figure, flat, before)


def _mismatch(chosen: View, panels: int, got: int, others: Sequence[str]) -> str:
    """Say how many panels there are and of what, how many axes came, and how to have one panel."""
    dims = [name for name in (chosen.facet, *others) if name is not None]
    several = [name for name in dims if len(unions.values_of(chosen.data, name)) > 1]
    count = style.format_count(panels, "panel")
    what = f"{count}, one for each {style.join_words(map(style.words, several))}" if several else count
    told = f"draws {what}, and got {got} axes: give {panels}"
    if not several or got == 0:
        return told
    return f"{told}, or choose one, as in {' or '.join(_choice(chosen, name) for name in several)}"


def _choice(chosen: View, name: str) -> str:
    """Write the selection that leaves one value of a dimension, or of a knob of a union."""
    value = unions.values_of(chosen.data, name)[0]
    dim = unions.dimension(chosen.data, name)
    if dim != name:
        return f".isel({dim}=ds.{name} == {value!r})"
    return (
        f".isel({name}=[0])"
        if chosen.numbered(name) or name not in chosen.whole.xindexes
        else f".sel({name}=[{value!r}])"
    )


def _is_odd(text: str) -> bool:
    """Tell whether matplotlib would take a text for a formula, or can't write it as it is."""
    return "$" in text or make_visible(text) != text


def _numbers_hidden(axis: Axis) -> bool:
    """Tell whether the caller has an axis without numbers, as `sharex=True` makes the inner ones of several panels."""
    shown = axis.get_tick_params()
    return not any(shown.get(f"label{side}", False) for side in ("left", "right", "top", "bottom"))
