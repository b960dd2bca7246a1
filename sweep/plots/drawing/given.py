"""Axes that a caller gives: checking them, and drawing a figure's panels on them instead of in a new figure."""

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
from sweep.plots.drawing.sheet import Sheet, texts_of, wrap, write_plainly
from sweep.plots.drawing.view import View, selection_words

AxesLike: TypeAlias = Axes | Sequence[Axes] | np.ndarray

_LEGEND: Final = {"fontsize": "small", "title_fontsize": "small", "frameon": True, "framealpha": 0.85}
_SHARE: Final = 0.4  # of the panel's width: the longest line of a legend
_LONG: Final = 5  # a legend with more entries has two columns


@dataclass(frozen=True)
class GivenSheet(Sheet):
    """A caller's axes; their figure keeps its size, its layout engine, its other axes and its texts.

    Args:
        before: the panels' texts before anything was drawn.
    """

    before: Mapping[Text, str]

    def name(self, chosen: View, part: xr.Dataset) -> str:
        """Name the panel, and say what was selected before, since there is no caption to say it."""
        return ", ".join(filter(None, (*selection_words(chosen.source), chosen.title(part))))

    def set_title(self, axes: Axes, text: str, note: str = "") -> None:
        """Set a panel's title, in lines no longer than the panel is wide; without a text the caller's title is kept."""
        if text or note:
            axes.set_title(text)
            lines = wrap(text, float(axes.title.get_fontsize()), self.width(axes))
            axes.set_title(f"{lines}\n{note}".strip())

    def width(self, axes: Axes) -> float:
        """Give a panel's present width in inches."""
        return axes.get_window_extent().width / axes.figure.dpi

    def finish(self, chosen: View, title: str, rule: str, handles: Sequence[Artist] = (), key: str = "") -> Figure:
        """Add the legend within the last panel; question, title and caption are left to the caller."""
        if handles:
            self._add_legend(handles, key)
        written = [text for axes in self.panels for text in texts_of(axes) if text.get_text() != self.before.get(text)]
        # Only texts that need it: after this the caller, too, could write no formula with the same text object.
        write_plainly(text for text in written if _needs_escaping(text.get_text()))
        for axis in (axis for axes in self.panels for axis in (axes.xaxis, axes.yaxis)):
            if axis.label in written and _has_hidden_numbers(axis):
                axis.label.set_text("")
        return self.figure

    def _add_legend(self, handles: Sequence[Artist], key: str) -> None:
        """Add a legend in the last panel, in short lines, so that it covers little."""
        axes, columns = self.panels[-1], 2 if len(handles) > _LONG else 1
        legend = axes.legend(handles=handles, title=key or None, ncols=columns, **_LEGEND)
        for text in (*legend.get_texts(), legend.get_title()):
            text.set_text(wrap(text.get_text(), float(text.get_fontsize()), _SHARE * self.width(axes)))


def given_sheet(ax: AxesLike | None, figure: str, chosen: View, panels: int, *others: str) -> GivenSheet | None:
    """Make a sheet of a caller's axes.

    Args:
        ax: axes of one figure, in an array of any shape or a list; None to draw in a new figure.
        figure: its name.
        chosen: what it shows.
        panels: number of panels that it draws.
        others: dimensions, besides the facet, with a panel for each value.

    Returns:
        The sheet, None without axes.

    Raises:
        SweepError: for anything but axes, for axes of several figures or the same axes twice, and if there are not as
            many axes as panels; then the error says how to have fewer panels.
    """
    if ax is None:
        return None
    flat = list(np.asarray(ax, dtype=object).ravel())
    for each in flat:
        if not isinstance(each, Axes):
            got = type(each).__name__
            raise SweepError(f"figure {figure!r} draws on matplotlib's axes, got {got}: give those of plt.subplots()")
        if each.figure is None:
            raise SweepError(f"figure {figure!r} got axes that were removed from their figure: give others")
        if each.name != "rectilinear":
            raise SweepError(f"figure {figure!r} draws on plain axes, got {each.name} axes: leave out the projection")
    if len(flat) != panels:
        raise SweepError(f"figure {figure!r} {_mismatch(chosen, panels, len(flat), others)}")
    if len(set(flat)) < panels or len({each.figure for each in flat}) > 1:
        wrong = "the same axes twice" if len(set(flat)) < panels else "axes of several figures"
        raise SweepError(f"figure {figure!r} got {wrong}: give {panels} different ones of one figure")
    before = {text: text.get_text() for axes in flat for text in texts_of(axes)}
    return GivenSheet(flat[0].figure.figure, flat, before)


def _mismatch(chosen: View, panels: int, got: int, others: Sequence[str]) -> str:
    """Say how many panels there are and for what, how many axes were given, and how to have one panel."""
    dims = [name for name in (chosen.facet, *others) if name is not None]
    several = [name for name in dims if len(unions.values_of(chosen.data, name)) > 1]
    count = style.format_count(panels, "panel")
    what = f"{count}, one for {style.join_words(_values_in_words(chosen, name) for name in several)}"
    message = f"draws {what if several else count}, and got {got} axes: give {panels}"
    if not several or got == 0:
        return message
    return f"{message}, or select one value first, with {' or '.join(_choice(chosen, name) for name in several)}"


def _values_in_words(chosen: View, name: str) -> str:
    """Name a dimension with a panel for each value; a figure may show only some of many values."""
    shown, stored = (len(unions.values_of(data, name)) for data in (chosen.data, chosen.source))
    words = style.words(name)
    return f"each {words}" if shown == stored else f"each of {shown} of the {stored} values of {words}"


def _choice(chosen: View, name: str) -> str:
    """Write the code that selects one value of a dimension, or of a knob of a union."""
    value = unions.values_of(chosen.data, name)[0]
    dim = unions.dimension(chosen.data, name)
    if dim != name:
        return f".isel({dim}=ds.{name} == {value!r})"
    return (
        f".isel({name}=[0])"
        if chosen.is_numbered(name) or name not in chosen.source.xindexes
        else f".sel({name}=[{value!r}])"
    )


def _needs_escaping(text: str) -> bool:
    """Tell whether matplotlib would read a text as a formula, or can't write it as it is."""
    return "$" in text or make_visible(text) != text


def _has_hidden_numbers(axis: Axis) -> bool:
    """Tell whether an axis shows no numbers, like the inner axes of several panels with `sharex=True`."""
    shown = axis.get_tick_params()
    return not any(shown.get(f"label{side}", False) for side in ("left", "right", "top", "bottom"))
