"""Results side by side under one colour scale, and their differences from the first under another, centred on zero."""

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
from sweep.plots.drawing.cells import colour_bar, draw_cells, hatch, legend_patch, merge_cells, norm_of, numbers
from sweep.plots.drawing.maps import table
from sweep.plots.drawing.metric import colours
from sweep.plots.drawing.scale import scale_of
from sweep.plots.drawing.sheet import WholeSheet, whole_sheet
from sweep.plots.drawing.view import View, place_words
from sweep.stats.intervals import FEWEST

_MOST_PARTS: Final = 6
_MOST_FACETS: Final = 4
_ENDS: Final = (1.25, 1000.0)  # ratios: the scale reaches at least so far, and at most
_SHORT: Final = 5.0  # ratio at the ends of a scale that has too few round numbers for its ticks
_LABEL: Final = 34  # letters beside a colour bar
_WIDTH, _TALL, _FLAT = 2.7, 2.5, 1.5  # inches of a panel, of one that has rows and of one that has none
Dims = tuple[str | None, str | None]


def comparison(compared: Comparison, rows: str | None = None, columns: str | None = None) -> Figure:
    """Draw heatmaps of all parts of a comparison, and of the differences from the first.

    Args:
        compared: what is drawn.
        rows: a dimension of its cells; by default the first along which something varies.
        columns: another; by default the next one, or epochs where all of them are compared.

    Returns:
        A row of panels, those of two parts and of their difference; of more parts the differences stand in a row below.
        One row, or pair of rows, for each value of a third dimension. Differences within seed noise are covered.

    Raises:
        SweepError: for a dimension that the cells have not, and for the same one twice.
    """
    with matplotlib.rc_context(style.settings()):
        chosen, dims = _chosen(compared, rows, columns)
        what = _Content(compared, chosen, dims)
        sheet, upper, lower = _sheet(chosen.data.sizes["part"], len(what.panels), _TALL if dims[0] else _FLAT)
        kinds = _draw_values(what, sheet, upper) | _draw_gaps(what, sheet, lower)
        figure = sheet.finish(chosen, compared.finding, _rule(compared, _seeds(compared)), _legend(chosen, kinds))
        _label_leftmost(upper, lower)
        return figure


# What is shown.


def _chosen(compared: Comparison, rows: str | None, columns: str | None) -> tuple[View, Dims]:
    """Choose what is shown, over which rows and columns."""
    data = _gather(compared)
    free = [str(dim) for dim in data["difference"].dims if dim != "other"]
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
    drawn, parts = data.sizes["part"], len(compared.parts)
    rules = (f"{drawn} of {parts} parts are drawn",) * (drawn < parts)
    chosen = _fix(View(data, data, facet, rules), free[1:], compared.better).thinned(facet, _MOST_FACETS)
    return chosen, (rows, columns)


def _gather(compared: Comparison) -> xr.Dataset:
    """Put what is drawn into one Dataset: medians along `part`, differences along `other`; and all lanes' status."""
    names = list(compared.parts)
    if len(names) > _MOST_PARTS:  # the first, and others evenly spread
        names = [names[place] for place in np.linspace(0, len(names) - 1, _MOST_PARTS).round().astype(int)]
    medians = [stats.median(compared.values[name]) for name in names]
    gaps = [compared.found[name][["difference", "p", "seeds"]] for name in names[1:]]
    data = xr.concat(gaps, "other", join="override", combine_attrs="drop")
    data = data.assign(median=xr.concat(medians, "part", join="override"))
    status = np.concatenate([part["status"].values.ravel() for part in compared.parts.values()])
    data = data.assign(status=("lane", status)).assign_coords(part=names, other=names[1:])
    attributes = {key: _common(compared, key) for key in ("question", "name")}
    return data.assign_attrs({key: value for key, value in attributes.items() if value})


def _common(compared: Comparison, key: str) -> str:
    """Give an attribute that all parts have alike."""
    values = {str(part.attrs.get(key, "")) for part in compared.parts.values()}
    return values.pop() if len(values) == 1 else ""


def _fix(chosen: View, dims: Sequence[str], better: Better) -> View:
    """Take what else varies where the first part is best anywhere; of a metric without a best, where it is lowest."""
    if not dims:
        return chosen
    score = chosen.data["median"].isel(part=0)
    score, which = (-score, "highest") if better == "higher" else (score, "lowest")
    score = score.fillna(np.inf)
    places = {dim: int(place) for dim, place in score.argmin(score.dims).items() if dim in dims}
    data = chosen.data.isel(places)
    where = style.join_words(place_words(data, chosen.whole, dim) for dim in dims)
    return replace(chosen, data=data, rules=(*chosen.rules, f"At {where}, where the first has its {which} median"))


@dataclass(frozen=True)
class _Content:
    """A comparison, and what of it is shown over which rows and columns."""

    compared: Comparison
    chosen: View
    dims: Dims

    @cached_property
    def panels(self) -> list[xr.Dataset]:
        return list(self.chosen.panels())

    def cells(self, values: xr.DataArray) -> xr.DataArray:
        return merge_cells(table(self.chosen, values.reset_coords(drop=True), *self.dims))


# Where it is drawn.


def _sheet(parts: int, facets: int, height: float) -> tuple[WholeSheet, list[list[Axes]], list[list[Axes]]]:
    """Give for each facet the panels of the parts, and those of the differences: beside two parts, below more."""
    across = 3 if parts == 2 else parts
    rows = facets if parts == 2 else 2 * facets
    sheet = whole_sheet(rows * across, columns=across, size=(_WIDTH, height))
    grid = [sheet.panels[row * across : (row + 1) * across] for row in range(rows)]
    if parts == 2:
        return sheet, [row[:2] for row in grid], [row[2:] for row in grid]
    for row in grid[1::2]:
        row[0].remove()
    return sheet, grid[::2], [row[1:] for row in grid[1::2]]


def _label_leftmost(upper: list[list[Axes]], lower: list[list[Axes]]) -> None:
    """Label the rows of differences that stand below the parts, with nothing to their left."""
    for row in lower if len(upper[0]) > 2 else ():
        row[0].yaxis.set_tick_params(labelleft=True)


def _draw_values(what: _Content, sheet: WholeSheet, places: list[list[Axes]]) -> set[str]:
    """Draw all parts' medians with one norm and one colour bar; gives the kinds of hatches that occur."""
    compared = what.compared
    cells = [[what.cells(each) for each in panel["median"]] for panel in what.panels]
    flat = [each for row in cells for each in row]
    start = stats.initial(compared.parts[compared.first], compared.metric)
    norm = norm_of(flat, highest=10 * start if start > 0 else np.inf)
    kinds: set[str] = set()
    for panel, axes_row, row in zip(what.panels, places, cells, strict=True):
        for name, axes, each in zip(panel["part"].values, axes_row, row, strict=True):
            covers = {"diverged": np.isinf(each), "not_run": each.isnull()}
            kinds |= _panel(sheet, axes, each, each, norm, colours(compared.better), covers)
            sheet.entitle(axes, _title(what.chosen, panel, str(name)))
    colour_bar([axes for row in places for axes in row], flat, _wrap(compared.words))
    return kinds


def _draw_gaps(what: _Content, sheet: WholeSheet, places: list[list[Axes]]) -> set[str]:
    """Draw all differences with one norm and one colour bar, covered where seeds alone would make them."""
    compared = what.compared
    norm, drawn = _symmetric_norm(what.chosen.data["difference"], compared.ratio), []
    kinds: set[str] = set()
    for panel, axes_row in zip(what.panels, places, strict=True):
        for place, axes in enumerate(axes_row):
            gaps, p = (what.cells(panel[name].isel(other=place)) for name in ("difference", "p"))
            first, second = (what.cells(panel["median"].isel(part=part)) for part in (0, place + 1))
            covers = _covers(gaps, p, first, second)
            shown = _for_colour_bar(gaps.where(~covers["diverged"]), compared.ratio)
            bare = shown.where(~xr.concat(covers.values(), "cover").any("cover"))
            kinds |= _panel(sheet, axes, shown, bare, norm, _symmetric_colours(compared.better), covers)
            sheet.entitle(axes, _title(what.chosen, panel, compared.name_difference(str(panel["other"].values[place]))))
            drawn.append(shown)
    colour_bar([axes for row in places for axes in row], drawn, _wrap(compared.gap_words))
    if isinstance(norm, LogNorm) and norm.vmax is not None and norm.vmax < _SHORT:
        ticks = norm.vmax ** np.linspace(-1, 1, 5)
        bar = sheet.figure.axes[-1]
        bar.minorticks_off()
        bar.set_yticks(ticks, [style.format_number(each) for each in ticks])
    return kinds


def _panel(
    sheet: WholeSheet,
    axes: Axes,
    cells: xr.DataArray,
    printed: xr.DataArray,
    norm: Normalize,
    cmap: Colormap,
    covers: Mapping[str, xr.DataArray],
) -> set[str]:
    """Draw one heatmap, what covers it, and numbers where there is room; gives the kinds of hatches."""
    down, across = (scale_of(cells[dim]) for dim in cells.dims)
    mesh = draw_cells(axes, cells, down, across, norm=norm, cmap=cmap)
    kinds = {kind for kind, where in covers.items() if hatch(axes, where, down, across, kind) is not None}
    numbers(axes, printed, down, across, mesh, sheet.width(axes))
    return kinds


def _title(chosen: View, panel: xr.Dataset, words: str) -> str:
    return words if chosen.facet is None else f"{words}, {place_words(panel, chosen.whole, chosen.facet)}"


# Differences as they are drawn.


def _covers(gaps: xr.DataArray, p: xr.DataArray, first: xr.DataArray, second: xr.DataArray) -> dict[str, xr.DataArray]:
    """Say by what kind of hatch each difference is covered; by none where seeds alone would not make it."""
    lost = (abs(first) == np.inf) & (first == second)
    known = gaps.notnull() & ~lost
    return {
        "diverged": lost,
        "not_run": gaps.isnull() & ~lost,
        "noise": known & (p > ALPHA),
        "few": known & p.isnull(),
        "one_lost": known & (abs(gaps) == np.inf),  # last, as it says something with the other two as well
    }


def _symmetric_norm(gaps: xr.DataArray, ratio: bool) -> Normalize:
    """Give a norm whose middle is no difference and which reaches as far to both sides, by `cells.norm_of`."""
    sizes = abs(gaps).where(stats.finite(gaps))
    most = float(norm_of([sizes, -sizes]).vmax or 0) if sizes.max() > 0 else 0.0
    if ratio:
        end = float(np.exp(np.clip(most, *np.log(_ENDS))))
        return LogNorm(1 / end, end)
    return Normalize(-most or -1, most or 1)


def _for_colour_bar(gaps: xr.DataArray, ratio: bool) -> xr.DataArray:
    """Give differences as the colour bar has them: those of logarithms as ratios, infinite ones beyond its ends."""
    most = 300.0 if ratio else 1e300  # whose exponential is finite, or itself is, so that it has a colour
    beyond = gaps.clip(-most, most)
    return xr.apply_ufunc(np.exp, beyond, keep_attrs=True) if ratio else beyond


def _symmetric_colours(better: Better) -> Colormap:
    """Give colours in which blue is better and red is worse; others where neither side is."""
    return matplotlib.colormaps[{"higher": "RdBu", "lower": "RdBu_r", None: "PuOr"}[better]]


# Words.


def _wrap(text: str) -> str:
    """Break the label of a colour bar."""
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
