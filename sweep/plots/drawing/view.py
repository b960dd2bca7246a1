"""Which part of the results a figure shows, and this in words: the facet, the best learning rate, all else fixed."""

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final, TypeVar

import numpy as np
import xarray as xr

from sweep import stats
from sweep.base import labels
from sweep.base.errors import SweepError
from sweep.plots.drawing import style, unions
from sweep.plots.drawing.scale import sort_along
from sweep.results import schema

_Labelled = TypeVar("_Labelled", xr.DataArray, xr.Dataset)
MOST_PANELS: Final = 6
# How combinations are ranked (`stats.standing`) if lanes may end early, and if they don't.
_ENDED: Final = "median over seeds: soonest at the target, else lowest final {}, else last to be cut"
_LOWEST: Final = "lowest median final {}"
_MOST_NAMED: Final = 40  # combinations of knobs whose values are written out along an axis


@dataclass(frozen=True)
class View:
    """A selection of results.

    Args:
        data: results whose swept dimensions are `seed`, those of the figure's axes, and `facet`; if some of these
            are knobs of a union, the dimension `point` along which they lie.
        source: the results from which they were selected.
        facet: the dimension, or the knob of a union, with one panel per value; or None.
        rules: sentences for the caption that say how the rest was chosen.
        drawn: those of the figure's axes that are knobs of a union.
        whole: the same as `data` with what `thin` has left out: titles speak of that too.
    """

    data: xr.Dataset
    source: xr.Dataset
    facet: str | None
    rules: tuple[str, ...]
    drawn: tuple[str, ...] = ()
    whole: xr.Dataset | None = None

    @property
    def seeds(self) -> str:
        """The number of seeds of each median, in words."""
        return style.format_count(self.data.sizes.get("seed", 1), "seed")

    @property
    def of_first_seed(self) -> str:
        """The first seed in words that follow a name: " of seed 3", or nothing if there are no seeds."""
        return f" of seed {style.format_number(self.data['seed'].values[0])}" if "seed" in self.data.dims else ""

    def ending_words(self, *codes: int) -> str:
        """Name those of the given statuses that occur here: "diverged or cut"."""
        present = np.unique(self.data["status"]) if "status" in self.data else ()
        return " or ".join(style.words(labels.STATUS[code]) for code in codes if code in present)

    @property
    def lost(self) -> str:
        """The words for +inf here."""
        return self.ending_words(*labels.LOST) or "infinite"

    @property
    def unseen(self) -> str:
        """The words for NaN here."""
        return self.ending_words(*labels.WITHOUT_DATA) or "not measured"

    @property
    def empty_title(self) -> str:
        """The title if no median is finite: nothing has run, most lanes are lost, or the metric has no numbers."""
        status = self.data["status"]
        seen = ~status.isin(labels.WITHOUT_DATA)
        if not seen.any():
            return "Nothing has run to its end yet"
        lost = status.isin(labels.LOST).where(seen)
        share = lost.mean("seed") if "seed" in lost.dims else lost
        return "There is no finite number to draw" if (share < 0.5).any() else f"Every median lane {self.lost}"

    def panels(self) -> Iterator[xr.Dataset]:
        """Yield the results of each panel; they keep the facet's value as a coordinate."""
        return self.split(self.data)

    def split(self, array: _Labelled) -> Iterator[_Labelled]:
        """Yield each panel's part of an array that was computed from `data`."""
        if self.facet is None:
            yield unions.unfold_knobs(array, self.drawn)
        elif self.facet in array.dims:
            for index in range(array.sizes[self.facet]):
                yield unions.unfold_knobs(array.isel({self.facet: index}), self.drawn)
        else:
            for value in unions.values_of(array, self.facet):
                yield unions.unfold_knobs(unions.select_part(array, self.facet, value), self.drawn)

    def title(self, panel: xr.Dataset) -> str:
        """Name a panel: "width 64, learning rate 0.001"."""
        rate = panel["learning_rate"] if "learning_rate" in self.source.dims else None
        is_single = rate is not None and rate.ndim == 0  # else it differs between the panel's rows or columns
        names = [] if self.facet is None else [self.facet]
        names += ["learning_rate"] * is_single
        return ", ".join(dict.fromkeys(place_words(panel, self.source, name) for name in names))

    def sort(self, *dims: str) -> "View":
        """Sort along numeric dimensions, and leave out padding."""
        return replace(self, data=sort_along(self.data, *dims))

    def is_numbered(self, dim: str) -> bool:
        """Tell whether the values of a dimension only number combinations of knobs."""
        return schema.is_numbered(self.source, dim)

    def name_combinations(self, cells: xr.DataArray, dim: str) -> xr.DataArray:
        """Replace the numbers of combinations along a dimension by words: "adam, width 64".

        Args:
            cells: over this dimension, with the knobs along it as coordinates.
            dim: the dimension; it stays as it is if its values are not just numbers, or too many to write out.
        """
        if not self.is_numbered(dim) or cells.sizes[dim] > _MOST_NAMED:
            return cells
        knobs = [
            name
            for name in schema.coords_along(cells, dim)
            if name != dim and len(set(map(str, cells[name].values))) > 1
        ]
        texts = [_short_words(cells.isel({dim: index}), knobs) for index in range(cells.sizes[dim])]
        width = 24 if len(texts) <= 10 else 80  # with many there is no space for a second line
        words = xr.DataArray([textwrap.fill(text, width) for text in texts], dims=dim, attrs=self.source[dim].attrs)
        return cells.drop_vars(schema.coords_along(cells, dim)).assign_coords({dim: words})

    def thin(self, dim: str | None, most: int) -> "View":
        """Keep at most `most` values of a dimension, evenly spread, and say so in the caption."""
        if dim is None:
            return self
        values = range(self.data.sizes[dim]) if dim in self.data.dims else unions.values_of(self.data, dim)
        size = len(values)
        if size <= most:
            return self
        kept = np.unique(np.linspace(0, size - 1, most).round().astype(int))
        rule = f"{len(kept)} of {size} values of {style.words(dim)} are shown"
        if dim in self.data.dims:
            data = self.data.isel({dim: kept})
        else:
            shown = np.isin(self.data[dim].values, [values[place] for place in kept])
            data = self.data.isel({unions.dimension(self.data, dim): shown})
        return replace(
            self, data=data, rules=(*self.rules, rule), whole=self.data if self.whole is None else self.whole
        )

    def complete(self) -> "View":
        """Give the same without anything left out by `thin`."""
        return self if self.whole is None else replace(self, data=self.whole, whole=None)


def view(ds: xr.Dataset, *axes: str, facet: str | None = None, most: int = MOST_PANELS) -> View:
    """Choose what a figure shows.

    The facet is the knob by which the parts of a union differ, such as an optimiser; else a dimension of 2 to 6
    words, else `width`, else the first other swept dimension of 2 to 6 values. All other swept dimensions are fixed
    at the combination with the lowest median final loss (of validation, if there is any); each part of a union is shown
    at its best combination, and each panel at its best learning rate.

    Args:
        ds: results.
        axes: swept dimensions, and knobs of a union, that are the figure's axes.
        facet: the dimension or knob with one panel per value; by default chosen as above.
        most: the largest number of panels; if the facet has more values, so many are kept, evenly spread.

    Raises:
        SweepError: if something must be chosen by loss and the results have none, and if a knob of a union would be
            drawn against the dimension along which it lies.
    """
    unions.check_apart(ds, axes, facet)
    swept = schema.swept_dims(ds)
    drawn = tuple(name for name in axes if name in schema.union_knobs(ds))
    free = [dim for dim in swept if dim not in axes]
    facet = facet or _part(ds, free, drawn) or _facet(ds, [dim for dim in free if dim != "learning_rate"], drawn)
    parted = {name: unions.dimension(ds, name) for name in (facet, *drawn) if name in schema.union_knobs(ds)}
    parted = {name: dim for name, dim in parted.items() if dim not in axes}  # else each lane is drawn
    fixed = [dim for dim in free if dim not in (facet, "learning_rate", *parted.values())]
    deciding = schema.deciding(ds)
    if any(ds.sizes[dim] > 1 for dim in free if dim != facet) and deciding not in ds.data_vars:
        raise SweepError(f"cannot choose among {' and '.join(free)} without 'loss', which these results lack")
    data, rules = _fix(sort_along(ds, *swept), fixed)
    for dim in dict.fromkeys(parted.values()):
        data, rule = _part_by_part(data, dim, [name for name, other in parted.items() if other == dim])
        rules += rule
    owner = _possessive([name for name in (facet, *axes) if name in (*swept, *parted)])
    if facet in parted and parted[facet] not in [parted[name] for name in drawn]:
        facet = parted[facet]  # each panel shows one combination, and is named by all its knobs
    if "learning_rate" not in free or "learning_rate" in (facet, *parted.values()):
        return View(data, ds, facet, rules, drawn).thin(facet, most)
    best = stats.at_best_learning_rate(data, data)  # before `thin`, which copies what it keeps
    chosen = View(best, ds, facet, rules, drawn).thin(facet, most)
    words, ends = style.words(deciding), stats.ranks_ends(data)
    how = _ENDED.format(words) if ends else f"{_LOWEST.format(words)} over seeds, diverged as +inf"
    rule = f"At {owner} best learning rate ({how})"
    return replace(chosen, rules=(*chosen.rules, rule))


def _part(ds: xr.Dataset, free: list[str], drawn: tuple[str, ...]) -> str | None:
    """Name the knob with a panel for each part of a union, unless each of the union's points has a panel."""
    knob = unions.part_knob(ds, MOST_PANELS)
    dim = None if knob is None or knob in drawn else unions.dimension(ds, knob)
    every = _facet(ds, [each for each in free if each != "learning_rate"], drawn)
    return knob if dim in free and dim != every else None


def _part_by_part(ds: xr.Dataset, dim: str, keys: list[str]) -> tuple[xr.Dataset, tuple[str, ...]]:
    """Select the best combination of each part of a union, and say so if there was a choice."""
    groups = unions.groups(ds, dim, keys)
    left_out = ds.sizes[dim] - sum(map(len, groups))
    lacking = [style.words(name) for name in keys if len(unions.groups(ds, dim, [name])) < len(set(ds[name].values))]
    rule = f"Left out: {style.format_count(left_out, 'combination')} without {style.join_words(lacking)}"
    rules = (rule,) * bool(left_out)
    if all(len(group) == 1 for group in groups):
        return ds.isel({dim: [group[0] for group in groups]}), rules
    score = stats.median(stats.standing(ds))
    score = score.min([each for each in score.dims if each != dim])
    best = [group[int(stats.lowest(score.isel({dim: group}), dim))] for group in groups]
    part = " and ".join(map(style.words, keys))
    return ds.isel({dim: best}), (f"At each {part}'s best combination ({_ranking(ds)})", *rules)


def place_words(panel: xr.Dataset | xr.DataArray, source: xr.Dataset, dim: str) -> str:
    """Name the position of a selection along a dimension by the knobs along it: "optimizer adam, width 64"."""
    knobs = [name for name in schema.coords_along(source, dim) if name != dim or not schema.is_numbered(source, dim)]
    place = ", ".join(f"{style.words(name)} {text}" for name, text in _values(panel, knobs or [dim]).items())
    return place or f"no {style.words(dim)}"


def selection_words(array: xr.DataArray | xr.Dataset) -> list[str]:
    """Name the values at which results were selected, as by `.sel(learning_rate=0.01)`: "learning rate 0.01"."""
    left = [each for name, each in array.coords.items() if each.ndim == 0 and name not in ("step", "data_seed")]
    return [f"{style.words(each.name)} {style.format_number(each.item())}" for each in left]


def _values(panel: xr.Dataset | xr.DataArray, knobs: list[str]) -> dict[str, str]:
    """Write the values of those knobs that apply to a selection."""
    values = {name: panel[name].item() for name in knobs if name in panel.coords}
    apply = {name: value for name, value in values.items() if value == value and value != ""}
    return {name: style.format_number(value) for name, value in apply.items()}


def _short_words(panel: xr.DataArray, knobs: list[str]) -> str:
    """Name a selection by its knobs; if only one knob has words as values, its name is left out."""
    words = [name for name in knobs if panel[name].dtype.kind in "UO"]
    bare = words if len(words) == 1 else []
    texts = _values(panel, knobs)
    return ", ".join(text if name in bare else f"{style.words(name)} {text}" for name, text in texts.items())


def _possessive(dims: list[str]) -> str:
    if len(dims) > 1:
        return "each combination's"
    return f"each {style.words(dims[0])}'s" if dims else "the"


def _facet(ds: xr.Dataset, free: list[str], drawn: tuple[str, ...]) -> str | None:
    """Choose the dimension with a panel per value: one with few words, else the width, else one with few values."""
    free = [dim for dim in free if not any(name in schema.coords_along(ds, dim) for name in drawn)]
    few = [dim for dim in free if 1 < ds.sizes[dim] <= MOST_PANELS]
    worded = [dim for dim in few if dim in ds.coords and ds[dim].dtype.kind in "UO"]
    return next(iter((*worded, *(dim for dim in free if dim == "width"), *few)), None)


def _fix(ds: xr.Dataset, dims: list[str]) -> tuple[xr.Dataset, tuple[str, ...]]:
    """Select results at the best combination of some swept dimensions."""
    if not dims:
        return ds, ()
    if all(ds.sizes[dim] == 1 for dim in dims):
        taken = ds.isel(dict.fromkeys(dims, 0))
        why = ""
    else:
        taken = ds.isel(stats.best_place(ds, dims))
        why = f" ({_ranking(ds)})"
    return taken, (f"At {style.join_words(place_words(taken, ds, dim) for dim in dims)}{why}",)


def _ranking(ds: xr.Dataset) -> str:
    return (_ENDED if stats.ranks_ends(ds) else _LOWEST).format(style.words(schema.deciding(ds)))
