"""Results side by side with one colour scale, and their differences from the first with another, centred on zero."""

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

import matplotlib
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from sweep import stats
from sweep.base.errors import SweepError, unknown_name
from sweep.base.labels import Better
from sweep.compare.permutation import ALPHA, CONTROL
from sweep.compare.summary import Comparison
from sweep.plots.drawing import style
from sweep.plots.drawing.cells import (
    add_colour_bar,
    draw_cells,
    draw_hatch,
    draw_numbers,
    legend_patch,
    merge_cells,
    norm_of,
)
from sweep.plots.drawing.maps import lay_out_table
from sweep.plots.drawing.metric import colours
from sweep.plots.drawing.scale import scale_of
from sweep.plots.drawing.sheet import FigureSheet, figure_sheet
from sweep.plots.drawing.view import View, place_words
from sweep.stats.intervals import FEWEST

_MOST_PARTS: Final = 6
_MOST_FACETS: Final = 4
_ENDS: Final = (1.25, 1000.0)  # the smallest and the largest ratio at the end of a scale
_SHORT: Final = 5.0  # a scale that ends below this ratio has too few round numbers for its ticks
_LABEL: Final = 34  # letters in a line beside a colour bar
_WIDTH, _TALL, _FLAT = 2.7, 2.5, 1.5  # inches: width of a panel, height of a panel with rows, and of one without
_PART, _OTHER, _COVER = "compared results", "other results", "kind of cover"  # no dimension of a page has these names
Dims = tuple[str | None, str | None]


def comparison(compared: Comparison, rows: str | None = None, columns: str | None = None) -> Figure:
    """Draw heatmaps of all parts of a comparison, and of the differences from the first.

    Args:
        compared: the comparison.
        rows: a dimension of its cells; by default the first along which something varies.
        columns: another; by default the next one, or epochs if all of them are compared.

    Returns:
        A row of panels for two parts and their difference; with more parts the differences are in a row below. There is
        a row, or a pair of rows, for each value of a third dimension. Differences within seed noise are covered.

    Raises:
        SweepError: for a dimension that the cells do not have, and for the same dimension twice.
    """
    with matplotlib.rc_context(style.settings()):
        chosen, dims = _choose_view(compared, rows, columns)
        what = _Content(compared, chosen, dims)
        sheet, upper, lower = _sheet(chosen.data.sizes[_PART], len(what.panels), _TALL if dims[0] else _FLAT)
        kinds = _draw_values(what, sheet, upper) | _draw_gaps(what, sheet, lower)
        figure = sheet.finish(chosen, compared.finding, _rule(compared, _seeds(compared)), _legend(chosen, kinds))
        _label_leftmost(upper, lower)
        return figure


# What is shown.


def _choose_view(compared: Comparison, rows: str | None, columns: str | None) -> tuple[View, Dims]:
    """Choose what is shown, and the dimensions of rows and columns."""
    data = _gather(compared)
    free = [str(dim) for dim in data["difference"].dims if dim != _OTHER]
    for dim in (rows, columns):
        if dim is not None and dim not in free:
            raise unknown_name("dimension of what is compared", dim, free)
    if rows is not None and rows == columns:
        raise SweepError(f"rows and columns can't both be {rows!r}: name two of {style.join_words(free)}")
    columns = columns or next((dim for dim in free if dim == "epoch" != rows), None)
    free = [dim for dim in free if dim not in (rows, columns)]
    if rows is None and len(free) > (columns is None):
        rows = free.pop(0)
    columns = columns or (free.pop(0) if free else None)
    facet = free[0] if free else None
    drawn, parts = data.sizes[_PART], len(compared.parts)
    rules = (f"{drawn} of {parts} parts are drawn",) * (drawn < parts)
    chosen = _fix(View(data, data, facet, rules), free[1:], compared.better).thin(facet, _MOST_FACETS)
    return chosen, (rows, columns)


def _gather(compared: Comparison) -> xr.Dataset:
    """Collect what is drawn in one Dataset: medians along `_PART`, differences along `_OTHER`, the status of lanes."""
    names = list(compared.parts)
    if len(names) > _MOST_PARTS:  # the first, and others evenly spread
        names = [names[place] for place in np.linspace(0, len(names) - 1, _MOST_PARTS).round().astype(int)]
    medians = [stats.median(compared.values[name]) for name in names]
    gaps = [compared.found[name][["difference", "p", "seeds"]] for name in names[1:]]
    data = xr.concat(gaps, _OTHER, join="override", combine_attrs="drop")
    data = data.assign(median=xr.concat(medians, _PART, join="override"))
    status = np.concatenate([part["status"].values.ravel() for part in compared.parts.values()])
    data = data.assign(status=("lane", status)).assign_coords({_PART: names, _OTHER: names[1:]})
    attributes = {key: _common(compared, key) for key in ("question", "name")}
    return data.assign_attrs({key: value for key, value in attributes.items() if value})


def _common(compared: Comparison, key: str) -> str:
    """Give an attribute if it is the same in all parts, else ""."""
    values = {str(part.attrs.get(key, "")) for part in compared.parts.values()}
    return values.pop() if len(values) == 1 else ""


def _fix(chosen: View, dims: Sequence[str], better: Better) -> View:
    """Fix further dimensions where the first part has its best median; for a metric without a best, its lowest."""
    if not dims:
        return chosen
    score = chosen.data["median"].isel({_PART: 0})
    score, which = (-score, "highest") if better == "higher" else (score, "lowest")
    score = score.fillna(np.inf)
    places = {dim: int(place) for dim, place in score.argmin(score.dims).items() if dim in dims}
    data = chosen.data.isel(places)
    where = style.join_words(place_words(data, chosen.source, dim) for dim in dims)
    return replace(chosen, data=data, rules=(*chosen.rules, f"At {where}, where the first has its {which} median"))


@dataclass(frozen=True)
class _Content:
    """A comparison, the part of it that is shown, and the dimensions of rows and columns."""

    compared: Comparison
    chosen: View
    dims: Dims

    @cached_property
    def panels(self) -> list[xr.Dataset]:
        return list(self.chosen.panels())

    def cells(self, values: xr.DataArray) -> xr.DataArray:
        return merge_cells(lay_out_table(self.chosen, values.reset_coords(drop=True), *self.dims))


# Where it is drawn.


def _sheet(parts: int, facets: int, height: float) -> tuple[FigureSheet, list[list[Axes]], list[list[Axes]]]:
    """For each facet, give the panels of the parts, and those of differences: beside two parts, below more."""
    across = 3 if parts == 2 else parts
    rows = facets if parts == 2 else 2 * facets
    sheet = figure_sheet(rows * across, columns=across, size=(_WIDTH, height))
    grid = [sheet.panels[row * across : (row + 1) * across] for row in range(rows)]
    if parts == 2:
        return sheet, [row[:2] for row in grid], [row[2:] for row in grid]
    for row in grid[1::2]:
        row[0].remove()
    return sheet, grid[::2], [row[1:] for row in grid[1::2]]


def _label_leftmost(upper: list[list[Axes]], lower: list[list[Axes]]) -> None:
    """Label the first panel in each row of differences below the parts, which has no panel to its left."""
    for row in lower if len(upper[0]) > 2 else ():
        row[0].yaxis.set_tick_params(labelleft=True)


def _draw_values(what: _Content, sheet: FigureSheet, places: list[list[Axes]]) -> set[str]:
    """Draw all parts' medians with one norm and one colour bar; return the kinds of hatches that occur."""
    compared = what.compared
    cells = [[what.cells(each) for each in panel["median"]] for panel in what.panels]
    flat = [each for row in cells for each in row]
    start = stats.initial(compared.parts[compared.first], compared.metric)
    norm = norm_of(flat, highest=10 * start if start > 0 else np.inf)
    kinds: set[str] = set()
    for panel, axes_row, row in zip(what.panels, places, cells, strict=True):
        for name, axes, each in zip(panel[_PART].values, axes_row, row, strict=True):
            covers = {"diverged": np.isinf(each), "not_run": each.isnull()}
            kinds |= _panel(sheet, axes, each, each, norm, colours(compared.better), covers)
            sheet.set_title(axes, _title(what.chosen, panel, str(name)))
    add_colour_bar([axes for row in places for axes in row], flat, _wrap(compared.words))
    return kinds


def _draw_gaps(what: _Content, sheet: FigureSheet, places: list[list[Axes]]) -> set[str]:
    """Draw all differences with one norm and one colour bar, covered where they are within seed noise."""
    compared = what.compared
    norm, drawn = _symmetric_norm(what.chosen.data["difference"], compared.ratio), []
    kinds: set[str] = set()
    for panel, axes_row in zip(what.panels, places, strict=True):
        for place, axes in enumerate(axes_row):
            gaps, p = (what.cells(panel[name].isel({_OTHER: place})) for name in ("difference", "p"))
            first, second = (what.cells(panel["median"].isel({_PART: part})) for part in (0, place + 1))
            covers = _covers(gaps, p, first, second)
            shown = _for_colour_bar(gaps.where(~covers["diverged"]), compared.ratio)
            bare = shown.where(~xr.concat(covers.values(), _COVER).any(_COVER))
            kinds |= _panel(sheet, axes, shown, bare, norm, _symmetric_colours(compared.better), covers)
            sheet.set_title(
                axes, _title(what.chosen, panel, compared.name_difference(str(panel[_OTHER].values[place])))
            )
            drawn.append(shown)
    add_colour_bar([axes for row in places for axes in row], drawn, _wrap(compared.gap_words))
    if isinstance(norm, LogNorm) and norm.vmax is not None and norm.vmax < _SHORT:
        ticks = norm.vmax ** np.linspace(-1, 1, 5)
        bar = sheet.figure.axes[-1]
        bar.minorticks_off()
        bar.set_yticks(ticks, [style.format_number(each) for each in ticks])
    return kinds


def _panel(
    sheet: FigureSheet,
    axes: Axes,
    cells: xr.DataArray,
    printed: xr.DataArray,
    norm: Normalize,
    cmap: Colormap,
    covers: Mapping[str, xr.DataArray],
) -> set[str]:
    """Draw one heatmap, its hatches, and numbers if there is space; return the kinds of hatches."""
    down, across = (scale_of(cells[dim]) for dim in cells.dims)
    mesh = draw_cells(axes, cells, down, across, norm=norm, cmap=cmap)
    kinds = {kind for kind, where in covers.items() if draw_hatch(axes, where, down, across, kind) is not None}
    draw_numbers(axes, printed, down, across, mesh, sheet.width(axes))
    return kinds


def _title(chosen: View, panel: xr.Dataset, words: str) -> str:
    return words if chosen.facet is None else f"{words}, {place_words(panel, chosen.source, chosen.facet)}"


# How differences are drawn.


def _covers(gaps: xr.DataArray, p: xr.DataArray, first: xr.DataArray, second: xr.DataArray) -> dict[str, xr.DataArray]:
    """For each kind of hatch, tell which differences it covers; those beyond seed noise are not covered."""
    lost = (abs(first) == np.inf) & (first == second)
    known = gaps.notnull() & ~lost
    return {
        "diverged": lost,
        "not_run": gaps.isnull() & ~lost,
        "noise": known & (p > ALPHA),
        "few": known & p.isnull(),
        "one_lost": known & (abs(gaps) == np.inf),  # last, so that it is drawn over the other two
    }


def _symmetric_norm(gaps: xr.DataArray, ratio: bool) -> Normalize:
    """Give a norm that is symmetric about no difference; its ends are those of `cells.norm_of`."""
    sizes = abs(gaps).where(stats.finite(gaps))
    most = float(norm_of([sizes, -sizes]).vmax or 0) if sizes.max() > 0 else 0.0
    if ratio:
        end = float(np.exp(np.clip(most, *np.log(_ENDS))))
        return LogNorm(1 / end, end)
    return Normalize(-most or -1, most or 1)


def _for_colour_bar(gaps: xr.DataArray, ratio: bool) -> xr.DataArray:
    """Give differences as the colour bar shows them: those of logarithms as ratios, infinite ones beyond its ends."""
    most = 300.0 if ratio else 1e300  # a finite number, or one with a finite exponential, so that it has a colour
    beyond = gaps.clip(-most, most)
    return xr.apply_ufunc(np.exp, beyond, keep_attrs=True) if ratio else beyond


def _symmetric_colours(better: Better) -> Colormap:
    """Give a colour map in which blue is better and red is worse; another if neither side is better."""
    return matplotlib.colormaps[{"higher": "RdBu", "lower": "RdBu_r", None: "PuOr"}[better]]


# Words.


def _wrap(text: str) -> str:
    """Break the label of a colour bar into lines."""
    return textwrap.fill(text, _LABEL)


def _rule(compared: Comparison, seeds: str) -> str:
    """Say what the panels show, and what covers a difference."""
    found = [each.attrs for each in compared.found.values()]
    what = f"Median over {seeds} of the {compared.words.replace(chr(10), ' ')}"
    hows = {"over pairs of a seed" if each["paired"] else "over all pairs of a lane of each": None for each in found}
    of = " of the ratio" if compared.ratio else ""
    sides = "blue is better than the first" if compared.better else "neither side is better"
    gap = f"Differences: median {' or '.join(hows)}{of}; {sides}"
    tested = [each for each in found if each["tested"]]
    if not tested:
        return f"{what}. {gap}"
    cells, exchanges = (style.format_range([each[key] for each in tested]) for key in ("tested", "exchanges"))
    mean = "mean ratio (geometric)" if compared.ratio else "mean difference"
    alone = " of each panel alone" * (len(found) > 1)
    control = f"{CONTROL}{alone}, {style.format_count(cells, 'cell')}, {exchanges} exchanges"
    return f"{what}. {gap}. Covered where the {mean} is within seed noise ({control})"


def _seeds(compared: Comparison) -> str:
    counts = [each.sizes["seed"] for each in compared.values.values()]
    return f"{style.format_range(counts)} seeds" if max(counts) > 1 else "1 seed"


def _legend(chosen: View, kinds: set[str]) -> list[Patch]:
    texts = {
        "noise": "within seed noise",
        "few": f"fewer than {FEWEST} independent seeds: can't be judged",
        "one_lost": f"the median lane of one alone {chosen.lost}",
        "diverged": f"median lane {chosen.lost}",
        "not_run": chosen.unseen,
    }
    return [legend_patch(kind, text) for kind, text in texts.items() if kind in kinds]
