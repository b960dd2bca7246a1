"""What of the results a figure shows: facet, best learning rate, everything else fixed, said in words."""

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
from sweep.plots.drawing.scale import in_order
from sweep.results import schema

_Labelled = TypeVar("_Labelled", xr.DataArray, xr.Dataset)
MOST_PANELS: Final = 6
# How combinations are ranked (`stats.standing`), where lanes may end early and where they don't.
_ENDED: Final = "median over seeds: soonest at the target, else lowest final loss, else last to be cut"
_LOWEST: Final = "lowest median final loss"
_MOST_WORDED: Final = 40  # combinations of knobs whose values are written out along an axis


@dataclass(frozen=True)
class View:
    """A selection of results.

    Args:
        data: results whose swept dimensions are `seed`, those that the figure draws itself, and `facet`; where
            some of these are knobs of a union, the dimension `point` along which they lie.
        whole: the results it was taken from.
        facet: the dimension, or the knob of a union, with one panel per value; or None.
        rules: how the rest was chosen, a sentence each, for the caption.
        drawn: those knobs of a union that the figure draws itself.
    """

    data: xr.Dataset
    whole: xr.Dataset
    facet: str | None
    rules: tuple[str, ...]
    drawn: tuple[str, ...] = ()

    @property
    def seeds(self) -> str:
        """How many seeds each median is over, in words."""
        return style.format_count(self.data.sizes.get("seed", 1), "seed")

    def ended(self, *codes: int) -> str:
        """Name those of some statuses that lanes shown here have: "diverged or cut"."""
        present = np.unique(self.data["status"]) if "status" in self.data else ()
        return " or ".join(style.words(labels.STATUS[code]) for code in codes if code in present)

    @property
    def lost(self) -> str:
        """What +inf stands for here."""
        return self.ended(*labels.LOST) or "infinite"

    @property
    def unseen(self) -> str:
        """What NaN stands for here."""
        return self.ended(*labels.WITHOUT_DATA) or "not measured"

    @property
    def nothing(self) -> str:
        """The title where no median is finite; that may also be of numbers which no lane has, lost or not."""
        status = self.data["status"]
        seen = ~status.isin(labels.WITHOUT_DATA)
        if not seen.any():
            return "Nothing has run to its end yet"
        lost = status.isin(labels.LOST).where(seen)
        share = lost.mean("seed") if "seed" in lost.dims else lost
        return "There is no finite number to draw" if (share < 0.5).any() else f"Every median lane {self.lost}"

    def panels(self) -> Iterator[xr.Dataset]:
        """Give the results of one panel after the other; each keeps its facet's value as a coordinate."""
        return self.split(self.data)

    def split(self, array: _Labelled) -> Iterator[_Labelled]:
        """Give one panel's part after the other of something that was made of `data`."""
        if self.facet is None:
            yield unions.unfold_knobs(array, self.drawn)
        elif self.facet in array.dims:
            for index in range(array.sizes[self.facet]):
                yield unions.unfold_knobs(array.isel({self.facet: index}), self.drawn)
        else:
            for value in unions.values_of(array, self.facet):
                yield unions.unfold_knobs(unions.part(array, self.facet, value), self.drawn)

    def title(self, panel: xr.Dataset) -> str:
        """Say which panel this is: "width 64, learning rate 0.001"."""
        rate = panel["learning_rate"] if "learning_rate" in self.whole.dims else None
        taken = rate is not None and rate.ndim == 0  # else each row or column of the panel has its own
        names = [] if self.facet is None else [self.facet]
        names += ["learning_rate"] * taken
        return ", ".join(dict.fromkeys(place_words(panel, self.whole, name) for name in names))

    def ordered(self, *dims: str) -> "View":
        """Sort numeric dimensions and leave out padding."""
        return replace(self, data=in_order(self.data, *dims))

    def numbered(self, dim: str) -> bool:
        """Say whether a dimension's own values are mere numbers of combinations of knobs."""
        return schema.is_numbered(self.whole, dim)

    def worded(self, cells: xr.DataArray, dim: str) -> xr.DataArray:
        """Put words in place of a dimension's numbers where these are of combinations: "adam, width 64".

        Args:
            cells: over that dimension, with the knobs along it as coordinates.
            dim: the dimension; it stays as it is where its values say something, or are too many to write out.
        """
        if not self.numbered(dim) or cells.sizes[dim] > _MOST_WORDED:
            return cells
        knobs = [
            name
            for name in schema.coords_along(cells, dim)
            if name != dim and len(set(map(str, cells[name].values))) > 1
        ]
        texts = [_put(cells.isel({dim: index}), knobs) for index in range(cells.sizes[dim])]
        width = 24 if len(texts) <= 10 else 80  # of many there is no room for a second line
        words = xr.DataArray([textwrap.fill(text, width) for text in texts], dims=dim, attrs=self.whole[dim].attrs)
        return cells.drop_vars(schema.coords_along(cells, dim)).assign_coords({dim: words})

    def thinned(self, dim: str | None, most: int) -> "View":
        """Keep at most so many values of a dimension, evenly spread, and say so."""
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
        return replace(self, data=data, rules=(*self.rules, rule))


def view(ds: xr.Dataset, *axes: str, facet: str | None = None, most: int = MOST_PANELS) -> View:
    """Choose what a figure shows.

    The facet is the knob that tells the parts of a union apart, as an optimiser may; else a dimension of 2 to 6
    words, else `width`, else the first other swept dimension of 2 to 6 values. Every remaining swept dimension is
    fixed at the combination with the lowest median final loss anywhere; of a union's part its best combination is
    shown, and the learning rate is each panel's best.

    Args:
        ds: results.
        axes: swept dimensions, and knobs of a union, that the figure draws itself.
        facet: the dimension or knob with one panel per value, where it is asked for.
        most: most panels; of more values of the facet so many are kept, evenly spread.

    Raises:
        SweepError: when something must be chosen by loss and the results have none, and for a knob of a union to be
            drawn against the dimension along which it lies.
    """
    unions.check_apart(ds, axes, facet)
    swept = schema.swept_dims(ds)
    drawn = tuple(name for name in axes if name in schema.union_knobs(ds))
    free = [dim for dim in swept if dim not in axes]
    facet = facet or _part(ds, free, drawn) or _facet(ds, [dim for dim in free if dim != "learning_rate"], drawn)
    parted = {name: unions.dimension(ds, name) for name in (facet, *drawn) if name in schema.union_knobs(ds)}
    parted = {name: dim for name, dim in parted.items() if dim not in axes}  # whose lanes are drawn each
    fixed = [dim for dim in free if dim not in (facet, "learning_rate", *parted.values())]
    if any(ds.sizes[dim] > 1 for dim in free if dim != facet) and "loss" not in ds.data_vars:
        raise SweepError(f"cannot choose among {' and '.join(free)} without 'loss', which these results lack")
    data, rules = _fix(in_order(ds, *swept), fixed)
    for dim in dict.fromkeys(parted.values()):
        data, rule = _part_by_part(data, dim, [name for name, other in parted.items() if other == dim])
        rules += rule
    whose = _whose([name for name in (facet, *axes) if name in (*swept, *parted)])
    if facet in parted and parted[facet] not in [parted[name] for name in drawn]:
        facet = parted[facet]  # a panel each: named by all its knobs
    if "learning_rate" not in free or "learning_rate" in (facet, *parted.values()):
        return View(data, ds, facet, rules, drawn).thinned(facet, most)
    best = stats.at_best_learning_rate(data, data)  # before thinning, which copies what it keeps
    chosen = View(best, ds, facet, rules, drawn).thinned(facet, most)
    how = _ENDED if "stop_epoch" in data else "lowest median final loss over seeds, diverged as +inf"
    rule = f"At {whose} best learning rate ({how})"
    return replace(chosen, rules=(*chosen.rules, rule))


def _part(ds: xr.Dataset, free: list[str], drawn: tuple[str, ...]) -> str | None:
    """Name the knob with a panel for each part of a union, where the union's own points do not make the panels."""
    knob = unions.telling_knob(ds, MOST_PANELS)
    dim = None if knob is None or knob in drawn else unions.dimension(ds, knob)
    every = _facet(ds, [each for each in free if each != "learning_rate"], drawn)
    return knob if dim in free and dim != every else None


def _part_by_part(ds: xr.Dataset, dim: str, keys: list[str]) -> tuple[xr.Dataset, tuple[str, ...]]:
    """Take the best combination of each part of a union, and say so where there was a choice."""
    groups = unions.groups(ds, dim, keys)
    left_out = ds.sizes[dim] - sum(map(len, groups))
    lacking = [style.words(name) for name in keys if len(unions.groups(ds, dim, [name])) < len(set(ds[name].values))]
    told = f"Left out: {style.format_count(left_out, 'combination')} without {style.join_words(lacking)}"
    rules = (told,) * bool(left_out)
    if all(len(group) == 1 for group in groups):
        return ds.isel({dim: [group[0] for group in groups]}), rules
    score = stats.median(stats.standing(ds))
    score = score.min([each for each in score.dims if each != dim])
    best = [group[int(stats.lowest(score.isel({dim: group}), dim))] for group in groups]
    whose = " and ".join(map(style.words, keys))
    return ds.isel({dim: best}), (f"At each {whose}'s best combination ({_how(ds)})", *rules)


def place_words(panel: xr.Dataset | xr.DataArray, whole: xr.Dataset, dim: str) -> str:
    """Say where on a dimension a selection lies, by the knobs along it: "optimizer adam, width 64"."""
    knobs = [name for name in schema.coords_along(whole, dim) if name != dim or not schema.is_numbered(whole, dim)] or [
        dim
    ]
    told = ", ".join(f"{style.words(name)} {text}" for name, text in _values(panel, knobs).items())
    return told or f"no {style.words(dim)}"


def selection_words(array: xr.DataArray | xr.Dataset) -> list[str]:
    """Say at which values results were taken, as `.sel(learning_rate=0.01)` leaves them: "learning rate 0.01"."""
    left = [each for name, each in array.coords.items() if each.ndim == 0 and name not in ("step", "data_seed")]
    return [f"{style.words(each.name)} {style.format_number(each.item())}" for each in left]


def _values(panel: xr.Dataset | xr.DataArray, knobs: list[str]) -> dict[str, str]:
    """Write the values of those knobs that apply to a selection."""
    values = {name: panel[name].item() for name in knobs if name in panel.coords}
    apply = {name: value for name, value in values.items() if value == value and value != ""}
    return {name: style.format_number(value) for name, value in apply.items()}


def _put(panel: xr.DataArray, knobs: list[str]) -> str:
    """Say shortly where a selection lies: with the knobs' names, save that of the only one whose values are words."""
    words = [name for name in knobs if panel[name].dtype.kind in "UO"]
    bare = words if len(words) == 1 else []
    texts = _values(panel, knobs)
    return ", ".join(text if name in bare else f"{style.words(name)} {text}" for name, text in texts.items())


def _whose(dims: list[str]) -> str:
    if len(dims) > 1:
        return "each combination's"
    return f"each {style.words(dims[0])}'s" if dims else "the"


def _facet(ds: xr.Dataset, free: list[str], drawn: tuple[str, ...]) -> str | None:
    """Choose the dimension with a panel per value: words, which people compare; the width; any of few values."""
    free = [dim for dim in free if not any(name in schema.coords_along(ds, dim) for name in drawn)]
    few = [dim for dim in free if 1 < ds.sizes[dim] <= MOST_PANELS]
    worded = [dim for dim in few if dim in ds.coords and ds[dim].dtype.kind in "UO"]
    return next(iter((*worded, *(dim for dim in free if dim == "width"), *few)), None)


def _fix(ds: xr.Dataset, dims: list[str]) -> tuple[xr.Dataset, tuple[str, ...]]:
    """Take results at the best combination of some swept dimensions."""
    if not dims:
        return ds, ()
    if all(ds.sizes[dim] == 1 for dim in dims):
        taken = ds.isel(dict.fromkeys(dims, 0))
        why = ""
    else:
        taken = ds.isel(stats.best_place(ds, dims))
        why = f" ({_how(ds)})"
    return taken, (f"At {style.join_words(place_words(taken, ds, dim) for dim in dims)}{why}",)


def _how(ds: xr.Dataset) -> str:
    return _ENDED if "stop_epoch" in ds else _LOWEST
