"""What of the results a figure shows: facet, best learning rate, everything else fixed, said in words."""

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final, TypeVar

import numpy as np
import xarray as xr

from sweep import labels, stats
from sweep.errors import SweepError
from sweep.plots import style
from sweep.plots.scale import in_order

_Labelled = TypeVar("_Labelled", xr.DataArray, xr.Dataset)
MOST_PANELS: Final = 6
_MOST_WORDED: Final = 40  # combinations of knobs whose values are written out along an axis


@dataclass(frozen=True)
class View:
    """A selection of results.

    Args:
        data: results whose swept dimensions are `seed`, those that the figure draws itself, and `facet`.
        whole: the results it was taken from.
        facet: the dimension with one panel per value, or None.
        rules: how the rest was chosen, a sentence each, for the caption.
    """

    data: xr.Dataset
    whole: xr.Dataset
    facet: str | None
    rules: tuple[str, ...]

    @property
    def seeds(self) -> str:
        """How many seeds each median is over, in words."""
        return style.counted(self.data.sizes.get("seed", 1), "seed")

    def ended(self, *codes: int) -> str:
        """Name those of some statuses that lanes shown here have: "diverged or cut"."""
        present = np.unique(self.data["status"])
        return " or ".join(style.words(labels.STATUS[code]) for code in codes if code in present)

    @property
    def lost(self) -> str:
        """What +inf stands for here."""
        return self.ended(labels.DIVERGED, labels.FAILED, labels.CUT) or "infinite"

    @property
    def unseen(self) -> str:
        """What NaN stands for here."""
        return self.ended(labels.NOT_RUN, labels.RUNNING) or "not measured"

    @property
    def nothing(self) -> str:
        """The title where no median is finite."""
        unseen = self.data["status"].isin((labels.NOT_RUN, labels.RUNNING)).all()
        return "Nothing has run to its end yet" if unseen else f"Every median lane {self.lost}"

    def panels(self) -> Iterator[xr.Dataset]:
        """Give the results of one panel after the other; each keeps its facet's value as a coordinate."""
        return self.split(self.data)

    def split(self, array: _Labelled) -> Iterator[_Labelled]:
        """Give one panel's part after the other of something that was made of `data`."""
        if self.facet is None:
            yield array
            return
        for index in range(array.sizes[self.facet]):
            yield array.isel({self.facet: index})

    def title(self, panel: xr.Dataset) -> str:
        """Say which panel this is: "width 64, learning rate 0.001"."""
        rate = panel["learning_rate"] if "learning_rate" in self.whole.dims else None
        taken = rate is not None and rate.ndim == 0  # else each row or column of the panel has its own
        names = [] if self.facet is None else [self.facet]
        names += ["learning_rate"] * taken
        return ", ".join(dict.fromkeys(said(panel, self.whole, name) for name in names))

    def ordered(self, *dims: str) -> "View":
        """Sort numeric dimensions and leave out padding."""
        return replace(self, data=in_order(self.data, *dims))

    def numbered(self, dim: str) -> bool:
        """Say whether a dimension's own values are mere numbers of combinations of knobs."""
        return _numbered(self.whole, dim)

    def worded(self, cells: xr.DataArray, dim: str) -> xr.DataArray:
        """Put words in place of a dimension's numbers where these are of combinations: "adam, width 64".

        Args:
            cells: over that dimension, with the knobs along it as coordinates.
            dim: the dimension; it stays as it is where its values say something, or are too many to write out.
        """
        if not self.numbered(dim) or cells.sizes[dim] > _MOST_WORDED:
            return cells
        knobs = [name for name in _along(cells, dim) if name != dim and len(set(map(str, cells[name].values))) > 1]
        texts = [_put(cells.isel({dim: index}), knobs) for index in range(cells.sizes[dim])]
        width = 24 if len(texts) <= 10 else 80  # of many there is no room for a second line
        words = xr.DataArray([textwrap.fill(text, width) for text in texts], dims=dim, attrs=self.whole[dim].attrs)
        return cells.drop_vars(_along(cells, dim)).assign_coords({dim: words})

    def thinned(self, dim: str | None, most: int) -> "View":
        """Keep at most so many values of a dimension, evenly spread, and say so."""
        size = 0 if dim is None else self.data.sizes[dim]
        if size <= most:
            return self
        kept = np.unique(np.linspace(0, size - 1, most).round().astype(int))
        rule = f"{len(kept)} of {size} values of {style.words(dim)} are shown"
        return replace(self, data=self.data.isel({dim: kept}), rules=(*self.rules, rule))


def view(ds: xr.Dataset, *axes: str, most: int = MOST_PANELS) -> View:
    """Choose what a figure shows.

    The facet is `width`, else the first other swept dimension of 2 to 6 values. Every remaining swept
    dimension is fixed at the combination with the lowest median final loss anywhere; the learning rate is
    then each panel's best.

    Args:
        ds: results.
        axes: swept dimensions that the figure draws itself.
        most: most panels; of more values of the facet so many are kept, evenly spread.

    Raises:
        SweepError: when something must be chosen by loss and the results have none.
    """
    swept = [str(dim) for dim in ds["status"].dims if dim != "seed"]
    free = [dim for dim in swept if dim not in axes]
    facet = _facet(ds, [dim for dim in free if dim != "learning_rate"])
    fixed = [dim for dim in free if dim not in (facet, "learning_rate")]
    if any(ds.sizes[dim] > 1 for dim in free if dim != facet) and "loss" not in ds.data_vars:
        raise SweepError(f"cannot choose among {' and '.join(free)} without 'loss', which these results lack")
    data, rules = _fix(in_order(ds, *swept), fixed)
    if "learning_rate" not in free:
        return View(data, ds, facet, rules).thinned(facet, most)
    best = stats.at_best_learning_rate(data, data)  # before thinning, which copies what it keeps
    chosen = View(best, ds, facet, rules).thinned(facet, most)
    whose = _whose([name for name in (facet, *axes) if name in swept])
    how = "lowest median final loss over seeds, diverged as +inf"
    if "stop_epoch" in data:
        how = "median over seeds: soonest at the target, else lowest final loss, else last to be cut"
    rule = f"At {whose} best learning rate ({how})"
    return replace(chosen, rules=(*chosen.rules, rule))


def said(panel: xr.Dataset | xr.DataArray, whole: xr.Dataset, dim: str) -> str:
    """Say where on a dimension a selection lies, by the knobs along it: "optimizer adam, width 64"."""
    knobs = [name for name in _along(whole, dim) if name != dim or not _numbered(whole, dim)]
    return ", ".join(f"{style.words(name)} {text}" for name, text in _values(panel, knobs).items())


def _values(panel: xr.Dataset | xr.DataArray, knobs: list[str]) -> dict[str, str]:
    """Write the values of those knobs that apply to a selection."""
    values = {name: panel[name].item() for name in knobs if name in panel.coords}
    apply = {name: value for name, value in values.items() if not (isinstance(value, float) and np.isnan(value))}
    return {name: style.number(value) for name, value in apply.items()}


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


def _along(ds: xr.Dataset | xr.DataArray, dim: str) -> list[str]:
    return [str(name) for name, coordinate in ds.coords.items() if coordinate.dims == (dim,)]


def _numbered(ds: xr.Dataset, dim: str) -> bool:
    return len(_along(ds, dim)) > 1 and re.fullmatch(r"point(_\d+)?", dim) is not None


def _facet(ds: xr.Dataset, free: list[str]) -> str | None:
    if "width" in free:
        return "width"
    return next((dim for dim in free if 1 < ds.sizes[dim] <= MOST_PANELS), None)


def _fix(ds: xr.Dataset, dims: list[str]) -> tuple[xr.Dataset, tuple[str, ...]]:
    """Take results at the best combination of some swept dimensions."""
    if not dims:
        return ds, ()
    if all(ds.sizes[dim] == 1 for dim in dims):
        taken = ds.isel(dict.fromkeys(dims, 0))
        why = ""
    else:
        taken = ds.isel(_lowest_place(stats.median(stats.final(ds, "loss")), dims))
        why = " (lowest median final loss)"
    return taken, (f"At {style.listed(said(taken, ds, dim) for dim in dims)}{why}",)


def _lowest_place(score: xr.DataArray, dims: list[str]) -> dict[str, int]:
    """Give the position along some dimensions of the lowest score anywhere."""
    flat = score.variable.stack(all=score.dims)
    place = int(stats.lowest(xr.DataArray(flat), "all"))
    where = np.unravel_index(place, score.shape)
    places = {str(dim): int(index) for dim, index in zip(score.dims, where, strict=True)}
    return {dim: places[dim] for dim in dims}
