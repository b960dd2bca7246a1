"""The style of all figures: colours, hatches, fonts, and how numbers are written."""

import functools
import inspect
import textwrap
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

import matplotlib
import numpy as np
import xarray as xr
from matplotlib.colors import Colormap

from sweep.base import labels
from sweep.base.errors import SweepError
from sweep.base.labels import words as words  # figures use it with the other functions for texts
from sweep.base.text import make_visible
from sweep.page.specs import figure as specs
from sweep.results import schema

_P = ParamSpec("_P")
_Drawn = TypeVar("_Drawn")  # a figure or an animation
_OF_ROWS: Final = ("sample_target", "sample_input")
# Variables that figures use although they do not name them among their needs.
_ALWAYS_USED: Final = (
    "status", "stop_epoch", "loss", schema.VALIDATION, "target", "is_validation", "target_mean", "target_deviation",
)  # fmt: skip

# Text in an SVG stays text: small, searchable, and shown in a font of the same metrics if DejaVu is missing.
RC: Final[Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Verdana", "sans-serif"],
    "font.size": 9,
    "figure.figsize": (6.6, 3.9),  # of a sheet with one panel; more of them make it wider and higher
    "figure.titlesize": 11,
    "figure.labelsize": 7.5,  # of the caption
    "axes.titlesize": 9,
    "axes.labelsize": 9,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "axes.linewidth": 0.7,
    "hatch.linewidth": 0.6,
    "svg.fonttype": "none",
    "svg.hashsalt": "sweep",  # the same figure gives the same file
    "savefig.dpi": 150,
}

# What differs in print: one column of a printed page, 3.3 inches wide, with a title of 8 points and all else of 7.
COLUMN: Final[Any] = {
    "figure.figsize": (3.3, 2.2),
    "figure.titlesize": 8,
    "figure.labelsize": 7,
    "font.size": 7,
    "axes.titlesize": 7,
    "axes.labelsize": 7,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "legend.title_fontsize": 7,
    "pdf.fonttype": 42,  # text stays text, in a font format that every reader and every printer supports
}
_AXES: Final = "ax"  # the argument for a caller's axes, which is no option of a page
_GIVEN_AXES_RC: Final[Any] = {"hatch.linewidth": RC["hatch.linewidth"]}
_IN_PRINT: ContextVar[bool] = ContextVar("_IN_PRINT", default=False)


@contextmanager
def use_print_settings() -> Iterator[None]:
    """Draw and save figures that fit one column of a printed page, within a `with` block."""
    token = _IN_PRINT.set(True)
    try:
        yield
    finally:
        _IN_PRINT.reset(token)


def settings() -> Any:
    """Give matplotlib's settings for what is drawn now, for the screen or within `use_print_settings`."""
    return _defaults() | (RC | COLUMN if _IN_PRINT.get() else RC)


def drawing_settings(ax: object) -> AbstractContextManager[None]:
    """Draw in the style of all figures, or on a caller's axes in the caller's style, within a `with` block."""
    return matplotlib.rc_context(settings() if ax is None else _GIVEN_AXES_RC)


@functools.cache
def _defaults() -> Any:
    """Give matplotlib's defaults, so that the same figure gives the same file whatever a user's matplotlibrc says."""
    return {name: value for name, value in matplotlib.rcParamsDefault.items() if not name.startswith("backend")}


NETWORK: Final = "#0072b2"  # blue and vermilion of Okabe and Ito, distinct for every kind of colour vision
MARK: Final = "#d55e00"
QUIET: Final = "#666666"

# How cells without a number are drawn: face colour, hatch colour, pattern (dots make a large SVG).
HATCHES: Final = {
    "diverged": ("#f2c4a8", "#8a3200", "xxxx"),
    "censored": ("#e3e3e3", "#555555", "////"),
    "cut": ("#dbe7f0", "#3f6b8a", "\\\\\\\\"),
    "not_run": ("#ffffff", "#b5b5b5", "----"),
}

# How differences that are not significant are covered: the same, with a translucent face.
COVERS: Final = {
    "noise": ("#ffffffa0", "#9a9a9a", "\\\\\\"),
    "few": ("#ffffffa0", "#9a9a9a", "|||"),
    "one_lost": ("#ffffff78", "#222222", "xxxx"),
}
PATTERNS: Final = HATCHES | COVERS


def with_style(draw: Callable[Concatenate[xr.Dataset, _P], _Drawn]) -> Callable[Concatenate[xr.Dataset, _P], _Drawn]:
    """Decorate the function of a figure: it checks that the figure fits the results, and draws it in our style.

    Args:
        draw: takes results, options and, unless it makes a film, `ax`; its name is one of `specs.figure.KINDS`.
    """

    @functools.wraps(draw)
    def drawn(ds: xr.Dataset, *args: _P.args, **kwargs: _P.kwargs) -> _Drawn:
        if _AXES in kwargs and specs.KINDS[draw.__name__].is_film:
            raise SweepError(f"figure {draw.__name__!r} is a film, which takes no axes: leave out ax")
        _, *given = inspect.signature(draw).bind(ds, *args, **kwargs).arguments.items()
        figure = specs.Figure(
            draw.__name__, {name: value for name, value in given if value is not None and name != _AXES}
        )
        specs.check(figure, available(ds))
        # Selections copy, so all other variables, which may be gigabytes, are left out.
        used = {*_ALWAYS_USED, *specs.KINDS[figure.name].needs, *specs.references_of(figure)}
        with drawing_settings(kwargs.get(_AXES)):
            kept = ds[[name for name in ds.data_vars if name in used]]
            # The rows of data are coordinates, which a selection without other variables along them drops.
            of_rows = {name: ds[name] for name in _OF_ROWS if name in ds.coords}
            return draw(kept.assign_coords(of_rows) if "sample" in kept.dims else kept, *args, **kwargs)

    return drawn


def available(ds: xr.Dataset) -> frozenset[str]:
    """Name what figures of these results may show: variables, dimensions, and the knobs along a union's `point`."""
    return frozenset(map(str, (*ds.data_vars, *ds.dims, *schema.union_knobs(ds))))


def lower_better_colours() -> Colormap:
    """Give the colour map of most heatmaps: yellow is low error or few epochs, dark violet is high.

    Viridis is perceptually uniform and safe for colour-blind readers. Values beyond an end are still darker, or still
    paler; the arrow of the colour bar shows this.
    """
    return matplotlib.colormaps["viridis_r"].with_extremes(over="#22002b", under="#fff7a8")


def higher_better_colours() -> Colormap:
    """Give the same map reversed, for metrics of which higher values are better."""
    return matplotlib.colormaps["viridis"].with_extremes(over="#fff7a8", under="#22002b")


def neutral_colours() -> Colormap:
    """Give another map, for metrics without a best: from dark blue for low to yellow for high."""
    return matplotlib.colormaps["cividis"].with_extremes(over="#fffbd0", under="#000f26")


def line_colours(count: int) -> np.ndarray:
    """Give colours for ordered lines, dark to light; the palest fifth of the map is unreadable on white."""
    return matplotlib.colormaps["viridis"](np.linspace(0, 0.82, max(count, 1)))


def escape_formulas(text: str) -> str:
    """Escape a text so that matplotlib writes it literally: it would read text between dollars as a formula."""
    return make_visible(text).replace("$", r"\$")


def format_number(value: object) -> str:
    """Write a coordinate or a result in short form: 64, 0.001, 1e-05, 1250; text stays as it is."""
    if isinstance(value, (str, bytes, bool, np.bool_)):
        return str(value)
    value = float(value) + 0.0  # removes the sign of -0  # pyright: ignore[reportArgumentType]
    if value.is_integer() and abs(value) < 1e6:
        return f"{value:.0f}"
    return f"{value:.0f}" if 1e3 <= abs(value) < 1e6 else f"{value:.3g}"


def format_count(count: int | str, word: str) -> str:
    """Write a number of things: "1 lane", "20 lanes"."""
    return f"{count} {word}" if str(count) == "1" else f"{count} {word}s"


def join_words(words: Iterable[str]) -> str:
    """Join words as in a sentence: "a, b and c"."""
    *most, last = list(words) or [""]
    return f"{', '.join(most)} and {last}" if most else last


def format_range(values: Sequence[float] | np.ndarray) -> str:
    """Write one number, or the range that several span: "0.98", "0.71 to 1"."""
    low, high = format_number(np.min(values)), format_number(np.max(values))
    return low if low == high else f"{low} to {high}"


def name(array: xr.DataArray) -> str:
    """Give the words for a variable or a coordinate: its long name if it has one."""
    return labels.long_name(array.name, array.attrs)


def label(array: xr.DataArray) -> str:
    """Write an axis label: the long name, with its units unless these are 1 or "epochs"."""
    long_name = name(array)
    units = str(array.attrs.get("units", "1"))
    text = long_name if units in ("", "1", "epochs") else f"{long_name} ({units})"
    return text if len(text) <= 36 else textwrap.fill(text, len(text) // 2 + 4)
