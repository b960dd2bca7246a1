"""A figure as a page asks for it: a name, what it needs, and its options. Drawing is in `sweep.plots`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from sweep.base.errors import SweepError, name_of, unknown_name
from sweep.base.labels import DIMENSIONS, METRICS, RECORDED
from sweep.base.registry import Entry
from sweep.base.text import check_text
from sweep.page.specs.knobs import check_finite, to_plain


@dataclass(frozen=True)
class Kind:
    """What is known of a figure before it is drawn. To add one is to declare it here and to write its function.

    Args:
        module: of `sweep.plots.figures`, which has a function of the figure's name.
        needs: variables and dimensions that results must have.
        options: that it takes, by name.
        asked: whether only a page, or a person, that names it gets it: it answers a question of theirs.
        moves: whether it is a film.
    """

    module: str
    needs: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    asked: bool = False
    moves: bool = False


# In the order in which they are read.
KINDS: Final[dict[str, Kind]] = {
    "frequency_epoch": Kind("epoch_maps", ("spectral_error", "frequency")),
    "learning_rate_epoch": Kind("epoch_maps", ("loss", "learning_rate")),
    "metric_epoch": Kind("epoch_maps", options=("metric", "rows"), asked=True),
    "epochs_to_converge": Kind("convergence", ("loss", "learning_rate", "width"), ("threshold",)),
    "outcome": Kind("outcomes", options=("metric", "rows", "columns"), asked=True),
    "share": Kind("outcomes", options=("metric", "rows", "columns", "at_most", "at_least"), asked=True),
    "curves": Kind("lines", ("spectral_error", "frequency")),
    "loss_curves": Kind("lines", ("loss",), ("reference",)),
    "metric_curves": Kind("lines", options=("metric", "lines"), asked=True),
    "fits": Kind("networks", ("prediction", "x")),
    "growth": Kind("growing", ("prediction", "x"), asked=True, moves=True),
    "space_epoch": Kind("epoch_maps", ("spatial_error", "x")),
    "heatmap": Kind("heatmaps", options=("metric", "x", "y", "facet", "statistic"), asked=True),
    "heatmap_film": Kind("heatmaps", options=("metric", "x", "y", "statistic"), asked=True, moves=True),
}
# Over seeds, in the cells of a heatmap; a lost lane counts as its metric's worst value.
STATISTICS: Final[dict[str, Entry]] = {
    "median": Entry("sweep.stats.lanes:median"),
    "interquartile mean": Entry("sweep.stats.seed_statistics:interquartile_mean"),
    "lower quartile": Entry("sweep.stats.lanes:lower_quartile"),
    "upper quartile": Entry("sweep.stats.lanes:upper_quartile"),
    "lowest": Entry("sweep.stats.lanes:lowest_seed"),
    "highest": Entry("sweep.stats.lanes:highest_seed"),
}

_MOST_OPTIONS: Final = 20  # of a figure of a page's own, which a store has to hold
_NUMBERS: Final = ("threshold", "at_most", "at_least")
_SWEPT: Final = ("rows", "columns", "lines")
_DRAWN: Final = ("x", "y", "facet")
_ALWAYS: Final = frozenset({"epoch", "seed"})  # dimensions of all results
_MANY: Final = frozenset({*(name for name, metric in METRICS.items() if metric.dims), *RECORDED, *DIMENSIONS})


@dataclass(frozen=True, init=False)
class Figure:
    """A figure of a page.

    Args:
        name: one of `KINDS`; or a function of the page's own, after which the figure is called:
            `function(axes, ds, **options)` draws results on matplotlib's axes, and may return a title.
        options: by name: `threshold` (loss at which a lane counts as converged), `reference` (name of a
            recorded quantity to draw over the measured loss), `metric` (what is drawn, one number a record; the
            loss by default; a heatmap takes any), `rows`, `columns` and `lines` (swept dimensions), `at_most` or
            `at_least` (the metric's last value at which a seed counts), `x`, `y` and `facet` (any dimensions),
            `statistic` (over seeds, one of `STATISTICS`). A function of the page's own gets any.

    Raises:
        SweepError: for a figure or an option that does not exist, or an option's value of the wrong kind.
    """

    name: str
    options: Mapping[str, float | str]
    function: Callable[..., str | None] | None

    def __init__(
        self, name: str | Callable[..., str | None], options: Mapping[str, float | str] = MappingProxyType({})
    ) -> None:
        function = None if isinstance(name, str) else name
        object.__setattr__(self, "name", name if function is None else name_of(function))
        object.__setattr__(self, "options", {name: to_plain(value) for name, value in options.items()})
        object.__setattr__(self, "function", function)
        if function is None:
            self._check()
        else:
            self._check_own()

    def _check_own(self) -> None:
        """Refuse what is no function, and a name under which no file, or another figure, would be saved."""
        if not callable(self.function):
            raise SweepError(f"a figure is a name or a function of axes and results, got {self.function!r}")
        if not self.name.isidentifier():
            raise SweepError(f"a figure's function needs a name of its own, got {self.name!r}: define it with def")
        if self.name in KINDS:
            raise SweepError(f"figure {self.name!r} of the page's own has the name of another figure: rename it")
        if len(self.options) > _MOST_OPTIONS:
            raise SweepError(f"figure {self.name!r} takes at most {_MOST_OPTIONS} options, got {len(self.options)}")
        for option, value in self.options.items():
            label = f"option {option!r} of figure {self.name!r}"
            if not isinstance(option, str) or not option.isidentifier():
                raise SweepError(f"{label} must have the name of an argument")
            if isinstance(value, str):
                check_text(label, value)
            else:
                check_finite(label, value)

    def _check(self) -> None:
        if self.name not in KINDS:
            raise unknown_name("figure", self.name, KINDS)
        takes = KINDS[self.name].options
        for option, value in self.options.items():
            if option not in takes:
                known = ", ".join(takes) or "no options"
                raise SweepError(f"figure {self.name!r} has no option {option!r}: it takes {known}")
            if option in _NUMBERS:
                check_finite(f"{option} of figure {self.name!r}", value)
            elif not isinstance(value, str):
                raise SweepError(f"{option} of figure {self.name!r} must be a name, got {value!r}")
        if self.options.get("statistic", "median") not in STATISTICS:
            raise unknown_name(f"statistic of figure {self.name!r}", str(self.options["statistic"]), STATISTICS)
        self._check_metric()
        self._check_swept()
        if self.name == "share" and len({"at_most", "at_least"} & self.options.keys()) != 1:
            raise SweepError("figure 'share' needs either at_most or at_least: the last value at which a seed counts")

    def _check_metric(self) -> None:
        metric = self.options.get("metric", "loss")
        if metric in DIMENSIONS:
            raise SweepError(f"metric of figure {self.name!r} must be something measured; {metric!r} is a dimension")
        if metric in _MANY and self.name != "heatmap":
            one = f"metric of figure {self.name!r} must be one number a record, as 'loss' is"
            raise SweepError(f"{one}; {metric!r} is not")

    def _check_swept(self) -> None:
        drawn = [self.options[option] for option in _DRAWN if option in self.options]
        if len(set(drawn)) < len(drawn):
            raise SweepError(f"figure {self.name!r} draws {' and '.join(map(repr, drawn))}: name different dimensions")
        options = (*_SWEPT, *(_DRAWN if self.name == "heatmap_film" else ()))
        asked = {option: self.options[option] for option in options if option in self.options}
        for option, name in asked.items():
            if name == "seed":
                raise SweepError(f"{option} of figure {self.name!r} can't be 'seed': it draws statistics over seeds")
            if name in {*METRICS, *RECORDED, *DIMENSIONS} - {"point"}:
                raise SweepError(f"{option} of figure {self.name!r} must be a swept dimension, not {name!r}")
        if self.options.get("rows") == self.options.get("columns", ""):
            raise SweepError(f"figure {self.name!r} has {asked['rows']!r} for both rows and columns: name two")


def needs_of(figure: Figure) -> tuple[str, ...]:
    """Name the variables and dimensions without which a figure can't be drawn, as far as that is known."""
    return KINDS[figure.name].needs if figure.function is None else ()


def references_of(figure: Figure) -> tuple[str, ...]:
    """Name the variables and dimensions that a figure's options, given or by default, refer to.

    What a page's own function makes of its options nobody knows.
    """
    if figure.function is not None:
        return ()
    given = {"metric": "loss", **figure.options} if "metric" in KINDS[figure.name].options else figure.options
    names = {option: str(value) for option, value in given.items() if option not in (*_NUMBERS, "statistic")}
    return tuple(name for option, name in names.items() if option not in _DRAWN or name not in _ALWAYS)


def fitting_figures(available: frozenset[str]) -> tuple[Figure, ...]:
    """Choose the figures that results with these variables and dimensions can show, in reading order.

    Those that answer a question of a page's own are not among them.
    """
    fit = (name for name, kind in KINDS.items() if not kind.asked and available.issuperset(kind.needs))
    return tuple(map(Figure, fit))


def check(figure: Figure, available: frozenset[str]) -> None:
    """Refuse a figure that needs, or refers to, what results do not have.

    Args:
        figure: the figure.
        available: variables and dimensions of the results.

    Raises:
        SweepError: naming what is missing.
    """
    missing = [repr(name) for name in (*needs_of(figure), *references_of(figure)) if name not in available]
    if missing:
        lacking = f"figure {figure.name!r} needs {' and '.join(missing)}, which these results lack"
        raise SweepError(f"{lacking}: they have {', '.join(sorted(available))}")
