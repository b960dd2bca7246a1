"""The layout of one axis of a figure: the cell of each value, and which values have a tick."""

from dataclasses import dataclass
from typing import Final, Literal, TypeVar

import numpy as np
import xarray as xr
from matplotlib.axis import XAxis, YAxis
from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

from sweep.base.spacing import is_spaced_by_ratios
from sweep.plots.drawing import style
from sweep.plots.drawing.style import escape_formulas

_Labelled = TypeVar("_Labelled", xr.DataArray, xr.Dataset)
# Space for a labelled tick as a share of the axis: between two labels, and per letter.
_TICK_SPACE: Final = {"x": (0.012, 0.024), "y": (0.055, 0.0)}


@dataclass(frozen=True)
class Scale:
    """One axis.

    Args:
        values: the coordinate's values in drawing order; numbers in rising order, text as given.
        kind: "log", "linear", or "category" (equal cells, for text and for numbers so far apart that the borders of
            their cells are not finite or not distinct).
        centres: where each value is drawn. A zero on a log axis has a narrow separate cell at the left.
        edges: the cells' borders, one more than values: geometric midpoints on a log axis, arithmetic ones
            on a linear axis.
        label: the axis label.
    """

    values: np.ndarray
    kind: Literal["log", "linear", "category"]
    centres: np.ndarray
    edges: np.ndarray
    label: str

    @property
    def has_zero_cell(self) -> bool:
        """Whether the first cell stands for zero on a log axis."""
        return self.kind == "log" and self.values[0] == 0

    def apply(self, axis: XAxis | YAxis) -> None:
        """Set scale, limits, ticks and label of a matplotlib axis.

        Args:
            axis: `axes.xaxis` or `axes.yaxis`.
        """
        name = axis.axis_name
        axis.axes.set(**{f"{name}scale": "log" if self.kind == "log" else "linear"})
        axis.axes.set(**{f"{name}lim": (self.edges[0], self.edges[-1]), f"{name}label": self.label})
        places, texts = self._ticks(*_TICK_SPACE[name])
        texts = [escape_formulas(text) for text in texts]
        rotated = name == "x" and self.kind == "category" and 0 < len(places) < len(self.values)
        if rotated:  # a word that is left out, unlike a number, can't be guessed from its neighbours
            places, texts = list(self.centres), [escape_formulas(text) for text in self._texts()]
        axis.set_major_locator(FixedLocator(places))
        axis.set_major_formatter(FixedFormatter(texts))
        for label in axis.get_ticklabels() if rotated else ():
            label.set(rotation=30, ha="right", rotation_mode="anchor")
        axis.set_minor_locator(NullLocator())
        if self.has_zero_cell:
            line = axis.axes.axvline if name == "x" else axis.axes.axhline
            line(self.edges[1], color=axis.axes.get_facecolor(), linewidth=2.5, zorder=3)

    def share(self, places: np.ndarray) -> np.ndarray:
        """Give positions on the axis as shares of its length, from 0 to 1."""
        first, *_, last = self._to_linear(self.edges)
        return (self._to_linear(places) - first) / (last - first)

    def _to_linear(self, places: np.ndarray) -> np.ndarray:
        return np.log(places) if self.kind == "log" else np.asarray(places, dtype=float)

    def _ticks(self, between: float, letter: float) -> tuple[list[float], list[str]]:
        """Label the values themselves if they are few, else round numbers; leave out labels that would overlap."""
        places, texts = self.centres, self._texts()
        if self.kind != "category" and len(places) > 12:
            places, texts = self._round_ticks()
        kept, free = [], -np.inf
        for place, share, text in zip(places, self.share(places), texts, strict=True):
            half = len(text) * letter / 2
            if text and share - half >= free:
                kept.append((float(place), text))
                free = share + half + between
        return [place for place, _ in kept], [text for _, text in kept]

    def _texts(self) -> list[str]:
        """Write the values, with "none" for an empty word, which stands for a knob that does not apply."""
        empty = "none" if len(self.values) > 1 else ""
        return [style.format_number(value) or empty for value in self.values]

    def _round_ticks(self) -> tuple[np.ndarray, list[str]]:
        apart = int(self.has_zero_cell)
        low, high = self.centres[apart], self.centres[-1]
        places = _round_ratios(low, high) if self.kind == "log" else _round_differences(low, high)
        slack = 1e-9 * (high - low)
        places = places[(places >= low - slack) & (places <= high + slack)]
        texts = [style.format_number(value) for value in (*self.values[:apart], *places)]
        return np.concatenate([self.centres[:apart], places]), texts


def scale_of(coordinate: xr.DataArray) -> Scale:
    """Lay out an axis for a coordinate: log if its values are spaced by ratios rather than by differences.

    Args:
        coordinate: one-dimensional; numbers in rising order without NaN (see `sort_along`), or text.
    """
    values, text = coordinate.values, style.label(coordinate)
    if values.dtype.kind in "iuf":
        with np.errstate(over="ignore", invalid="ignore"):  # the edges are checked below
            scale = _of_numbers(values.astype(float), text)
        if np.isfinite(scale.edges).all() and (np.diff(scale.edges) > 0).all() and np.isfinite(np.ptp(scale.edges)):
            return scale
    places = np.arange(len(values), dtype=float)
    return Scale(values, "category", places, np.arange(len(values) + 1) - 0.5, text)


def _of_numbers(values: np.ndarray, text: str) -> Scale:
    """Lay out an axis for numbers; if that is impossible, its edges are not finite or do not rise."""
    if not is_spaced_by_ratios(values):
        return Scale(values, "linear", values, linear_edges(values), text)
    positive = values[values > 0]
    edges = np.exp(linear_edges(np.log(positive)))
    if positive.size == values.size:
        return Scale(values, "log", values, edges, text)
    decades = np.log(edges[-1] / edges[0])
    width = np.clip(np.log(edges[1] / edges[0]), 0.06 * decades, 0.2 * decades)
    edges = np.concatenate([[edges[0] * np.exp(-width)], edges])
    return Scale(values, "log", np.concatenate([[edges[0] * np.exp(width / 2)], positive]), edges, text)


def sort_along(array: _Labelled, *dims: str) -> _Labelled:
    """Sort an array or a Dataset along numeric dimensions, without padding, whose coordinate is NaN."""
    for dim in dims:
        values = np.asarray(array[dim])
        is_sorted = values.dtype.kind not in "iuf" or np.all(np.diff(values) > 0)  # false with NaN
        if not is_sorted:
            array = array.isel({dim: ~np.isnan(values)}).sortby(dim)
    return array


def linear_edges(centres: np.ndarray) -> np.ndarray:
    """Give cell borders halfway between centres; the outer cells are symmetric about theirs.

    Args:
        centres: rising; a single one gets a cell one unit wide.
    """
    if len(centres) == 1:
        return np.array([centres[0] - 0.5, centres[0] + 0.5])
    inner = (centres[1:] + centres[:-1]) / 2
    return np.concatenate([[2 * centres[0] - inner[0]], inner, [2 * centres[-1] - inner[-1]]])


def spans_decades(values: np.ndarray) -> bool:
    """Tell whether results need a logarithmic scale: none is negative, and the positive ones span over a decade."""
    finite = values[np.isfinite(values)]
    positive = finite[finite > 0]
    return bool(positive.size) and finite.min() >= 0 and positive.max() > 10 * positive.min()


def _round_ratios(low: float, high: float) -> np.ndarray:
    """Give powers of ten around a range; for a short range also 2 and 5 times these."""
    powers = 10.0 ** np.arange(np.floor(np.log10(low)), np.ceil(np.log10(high)) + 1)
    factors = [1.0] if high / low > 100 else [1.0, 2.0, 5.0]
    return np.outer(powers, factors).ravel()


def _round_differences(low: float, high: float) -> np.ndarray:
    """Give about six multiples of 1, 2 or 5 times a power of ten within a range."""
    step = (high - low) / 6
    power = 10.0 ** np.floor(np.log10(step))
    step = power * next(factor for factor in (1, 2, 5, 10) if factor * power >= step * (1 - 1e-9))
    return np.arange(np.ceil(low / step), np.floor(high / step) + 1) * step
