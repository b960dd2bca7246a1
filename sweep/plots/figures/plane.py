"""A heatmap of any two dimensions of an array."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from sweep import stats
from sweep.base import labels
from sweep.base.errors import SweepError, unknown_name
from sweep.page.specs.figure import STATISTICS
from sweep.plots.drawing import style, unions
from sweep.plots.drawing.cells import legend_patch, merge_cells, norm_of
from sweep.plots.drawing.given import AxesLike
from sweep.plots.drawing.maps import draw_maps, lay_out_table, sheet_of_maps, write_numbers
from sweep.plots.drawing.metric import colours
from sweep.plots.drawing.view import MOST_PANELS, View, place_words, selection_words
from sweep.results import schema

_SEED: Final = "seed"


def heatmap(
    array: xr.DataArray,
    *,
    x: str,
    y: str,
    facet: str | None = None,
    statistic: str = "median",
    status: xr.DataArray | None = None,
    ax: AxesLike | None = None,
) -> Figure:
    """Draw two dimensions of an array against each other: `heatmap(ds.loss, x="epoch", y="width")`.

    Args:
        array: labelled values, as from `open_results`: any metric over the swept dimensions, `epoch`, and further
            dimensions (`frequency`, `x`, `layer`). A dimension without labels is counted from 0. All dimensions that
            are not drawn, except `seed`, must have a single value. A lost lane is +inf in
            `stats.measured(ds, "loss")`, and is hatched as lost; NaN is hatched as no number, since the array does not
            say why.
        x: the dimension across, or a knob along the `point` of a union.
        y: the dimension upwards, or such a knob.
        facet: the dimension, or such a knob, with a panel for each value; None for a single panel. For example, the
            optimiser of a union groups its lanes.
        statistic: over seeds, one of `STATISTICS`; +inf counts, NaN does not.
        status: `ds.status`, if available, of the same lanes or more: NaN is then distinguished as diverged, cut and
            not run, and the caption counts lanes.
        ax: axes to draw on, one for each panel; by default a new figure is made.

    Returns:
        A figure, to be shown or saved: `.savefig("loss.pdf")`; with `ax` the figure of these axes.

    Raises:
        SweepError: for a name that is not a dimension; if other dimensions with several values are left, with the way
            to choose; for an array without numbers; and if there are not as many axes as panels.
    """
    if not isinstance(array, xr.DataArray):
        raise SweepError(f"heatmap draws one array, such as ds.loss, got a {type(array).__name__}")
    name = str(array.name or "value")
    if array.dtype.kind not in "biuf" or not array.size:
        held = "nothing" if not array.size else f"no numbers but {array.dtype}"
        raise SweepError(f"a heatmap draws real numbers, {name!r} holds {held}: choose another array or other values")
    array = array.assign_coords({dim: np.arange(size) for dim, size in array.sizes.items() if dim not in array.coords})
    ds = array.rename(name).to_dataset()
    if status is not None:
        ds = ds.assign(status=status.sel({dim: array[dim] for dim in status.dims if dim in array.coords}))
    with style.drawing_settings(ax):
        return draw(Cells(_choose_view(ds, name, x, y, facet, statistic), name, x, y, statistic), ax)


@dataclass(frozen=True)
class Cells:
    """The content of a heatmap's cells.

    Args:
        chosen: the results to draw, over `x`, `y`, the facet and seeds.
        name: the variable.
        x: the dimension across.
        y: the dimension upwards, None for a single row.
        statistic: over seeds.
    """

    chosen: View
    name: str
    x: str
    y: str | None
    statistic: str = "median"

    @property
    def seeded(self) -> bool:
        """Whether each cell is a statistic over seeds; if not, seeds are a dimension of the figure."""
        return _SEED in self.chosen.data.dims and _SEED not in (self.x, self.y, self.chosen.facet)

    @property
    def values(self) -> xr.DataArray:
        """The variable for each lane; a lost lane has the worst possible value."""
        ds = self.chosen.data
        return stats.measured(ds, self.name) if "status" in ds else ds[self.name]

    @property
    def better(self) -> labels.Better:
        """Which values of the variable are better."""
        return schema.better(self.chosen.source[self.name])

    def panels(self, values: xr.DataArray) -> list[xr.DataArray]:
        """Give each panel's cells, rows then columns: the statistic of values that are given for each lane."""
        found = []
        for part in self.chosen.split(values):
            single = STATISTICS[self.statistic].load()(part) if self.seeded else part
            label = values.attrs | {"long_name": style.name(self.chosen.source[self.name])}
            found.append(merge_cells(lay_out_table(self.chosen, single.assign_attrs(label), self.y, self.x)))
        return found

    def cut(self) -> list[xr.DataArray] | None:
        """For each panel, tell in which cells most lost lanes were cut and did not diverge; None if none was cut."""
        if not self.chosen.ending_words(labels.CUT):
            return None
        which = xr.where(self.chosen.data["status"] == labels.CUT, 1.0, -1.0) * np.isinf(self.values)
        most = which.sum(_SEED) if self.seeded else which
        return [merge_cells(lay_out_table(self.chosen, part, self.y, self.x)) > 0 for part in self.chosen.split(most)]


def draw(what: Cells, ax: AxesLike | None) -> Figure:
    """Draw the panels of a heatmap, on a caller's axes if given: cells, hatches, numbers if there is space, texts."""
    chosen, values = what.chosen, what.values
    cells = what.panels(values)
    norm = norm_of(cells, highest=highest(values))
    sheet = sheet_of_maps(ax, "heatmap", chosen, cells)
    kinds = draw_maps(sheet, chosen, cells, norm, colours(what.better), what.cut())
    if "epoch" not in (what.x, what.y):
        write_numbers(sheet, cells)
    return sheet.finish(chosen, describe(what, cells), rule(what), entries(what, kinds))


def rule(what: Cells) -> str:
    """Say in a caption what a cell stands for."""
    name = f"{style.name(what.chosen.source[what.name])}{_selection_words(what)}"
    if not what.seeded:
        return f"Each cell: the {name} of one lane"
    worst = f"{labels.worst(what.better):+}"
    lost = f", a lost lane counted as {worst}" * bool(np.isinf(what.values).any())
    return f"{what.statistic.capitalize()} over {what.chosen.seeds} of the {name}{lost}"


def _selection_words(what: Cells) -> str:
    """Say at which values the array itself was selected, as by `.sel(learning_rate=0.01)`."""
    words = style.join_words(selection_words(what.chosen.source[what.name]))
    return f" at {words}" if words else ""


def describe(what: Cells, cells: Sequence[xr.DataArray]) -> str:
    """Say in a title the value of the best cell, and where it is; for a variable without a best, the range."""
    chosen = what.chosen
    finite = [each.where(np.isfinite(each)) for each in cells]
    if all(each.isnull().all() for each in finite):
        return chosen.empty_title if "status" in chosen.source else "There is no finite number to draw"
    low = float(np.nanmin([each.min() for each in finite]))
    high = float(np.nanmax([each.max() for each in finite]))
    name = f"{what.statistic} " * what.seeded + style.words(what.name)
    if what.better is None and low < high:
        return f"The {name} goes from {_value_words(what, finite, low)}, to {_value_words(what, finite, high)}"
    which = {"higher": "highest ", "lower": "lowest ", None: ""}[what.better]
    return f"The {which}{name} is {_value_words(what, finite, high if what.better == 'higher' else low)}"


def _value_words(what: Cells, cells: Sequence[xr.DataArray], value: float) -> str:
    """Write a value and where it is, or in how many cells."""
    chosen = what.chosen
    count = sum(int((each == value).sum()) for each in cells)
    if count > 1:
        return f"{style.format_number(value)}, in {count} of {sum(each.size for each in cells)} cells"
    panel = next(each for each in cells if (each == value).any())
    place = panel.isel((panel == value).argmax(panel.dims))
    names = dict.fromkeys((chosen.facet, what.y, what.x))
    where = style.join_words(_place(place, chosen, name) for name in names if name is not None)
    return f"{style.format_number(value)}, at {where}"


def _place(cell: xr.DataArray, chosen: View, name: str) -> str:
    if name in cell.coords and cell[name].dtype.kind in "UO" and chosen.is_numbered(name):  # in words already
        return cell[name].item().replace("\n", " ")
    if chosen.is_numbered(name):
        return place_words(cell, chosen.source, name)
    return f"{style.words(name)} {style.format_number(cell[name].item())}"


def entries(what: Cells, kinds: set[str]) -> list[Patch]:
    """Give the legend's entries for hatches."""
    return [legend_patch(kind, text) for kind, text in _words(what).items() if kind in kinds]


def _words(what: Cells) -> dict[str, str]:
    """Say what each hatch stands for."""
    chosen = what.chosen
    if "status" not in chosen.source:
        return {"diverged": "infinite: lost", "not_run": "no number"}
    lane = f"{what.statistic} lane" if what.seeded else "lane"
    lost = chosen.ending_words(labels.DIVERGED, labels.FAILED) or "infinite"
    return {"diverged": f"{lane} {lost}", "cut": f"{lane} cut", "not_run": chosen.unseen}


def highest(values: xr.DataArray) -> float:
    """Give the value above which cells are drawn as beyond the scale, so that a few lanes do not stretch it."""
    if "epoch" not in values.dims or schema.better(values) == "higher":  # good values are far above the beginning
        return np.inf
    start = values.isel(epoch=0).values
    start = start[np.isfinite(start)]
    return 10 * float(np.median(start)) if start.size and np.median(start) > 0 else np.inf


def _choose_view(ds: xr.Dataset, name: str, x: str, y: str, facet: str | None, statistic: str) -> View:
    """Check that two dimensions and a facet leave nothing to choose, and select what they draw."""
    if statistic not in STATISTICS:
        raise unknown_name("statistic over seeds", statistic, STATISTICS)
    array, names = ds[name], [each for each in (x, y, facet) if each is not None]
    if len(set(names)) < len(names):
        raise SweepError(f"heatmap of {name!r} has x {x!r}, y {y!r} and facet {facet!r}: name different dimensions")
    dims = {each: unions.dimension(array, each) for each in names}
    unions.check_apart(array, (x, y), facet)
    _refuse_left(array, dims)
    rest = [str(dim) for dim in array.dims if dim not in (*dims.values(), _SEED)]
    rules = tuple(f"At {place_words(array.isel({dim: 0}), ds, dim)}" for dim in rest)
    ds = ds.isel(dict.fromkeys(rest, 0), missing_dims="ignore")
    for dim in dict.fromkeys(dims.values()):
        keys = [each for each in names if dims[each] == dim and each != dim]
        ds = unions.select_single(ds, dim, keys) if keys and dim not in names else ds
    drawn = tuple(each for each in (x, y) if dims[each] != each)
    if facet is not None and dims[facet] != facet and dims[facet] not in map(dims.get, (x, y)):
        facet = dims[facet]  # each lane has a panel, named by all its knobs
    return View(ds, ds, facet, rules, drawn).thin(facet, MOST_PANELS)


def _refuse_left(array: xr.DataArray, dims: dict[str, str]) -> None:
    left = [str(dim) for dim in array.dims if array.sizes[dim] > 1 and dim not in (*dims.values(), _SEED)]
    if left:
        rest = style.join_words(f"{dim} ({array.sizes[dim]} values)" for dim in left)
        choices = ", ".join(f"{dim}={array[dim].values[0].item()!r}" for dim in left)
        drawn = style.join_words(repr(name) for name in dims)
        raise SweepError(f"heatmap over {drawn} leaves {rest}: choose one value, as in .sel({choices}), or facet by it")
