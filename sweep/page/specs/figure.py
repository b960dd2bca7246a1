"""The figures that a page can name: what they need, and their options. Drawing is in `sweep.plots`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from sweep.base.errors import SweepError, name_of, unknown_name
from sweep.base.labels import DIMENSIONS, METRICS, RECORDED, RESERVED
from sweep.base.registry import Entry
from sweep.base.text import check_text
from sweep.page.specs.knobs import LONGEST_NAME, check_finite, to_plain


@dataclass(frozen=True)
class Kind(Entry):
    """The declaration of a figure. A new figure needs a declaration here, and a function.

    Args:
        function: the function that draws it, as "sweep.plots.figures.<module>:<name>".
        needs: variables and dimensions that results must have.
        options: the names of its options.
        on_request: whether it is drawn only if a page or a user names it.
        is_film: whether it is a film.
    """

    needs: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    on_request: bool = False
    is_film: bool = False


# In the order in which they are read.
KINDS: Final[dict[str, Kind]] = {
    "frequency_epoch": Kind("sweep.plots.figures.epoch_maps:frequency_epoch", ("spectral_error", "frequency")),
    "learning_rate_epoch": Kind("sweep.plots.figures.epoch_maps:learning_rate_epoch", ("loss", "learning_rate")),
    "metric_epoch": Kind("sweep.plots.figures.epoch_maps:metric_epoch", options=("metric", "rows"), on_request=True),
    "epochs_to_converge": Kind(
        "sweep.plots.figures.convergence:epochs_to_converge", ("loss", "learning_rate", "width"), ("threshold",)
    ),
    "outcome": Kind("sweep.plots.figures.outcomes:outcome", options=("metric", "rows", "columns"), on_request=True),
    "share": Kind(
        "sweep.plots.figures.outcomes:share",
        options=("metric", "rows", "columns", "at_most", "at_least"),
        on_request=True,
    ),
    "curves": Kind("sweep.plots.figures.lines:curves", ("spectral_error", "frequency")),
    "loss_curves": Kind("sweep.plots.figures.lines:loss_curves", ("loss",), ("reference",)),
    "metric_curves": Kind("sweep.plots.figures.lines:metric_curves", options=("metric", "lines"), on_request=True),
    "fits": Kind("sweep.plots.figures.networks:fits", ("prediction", "x")),
    "surface": Kind("sweep.plots.figures.surfaces:surface", ("prediction", "x1")),
    "surface_error": Kind("sweep.plots.figures.surfaces:surface_error", ("spatial_error", "x1")),
    "predicted": Kind("sweep.plots.figures.samples:predicted", ("sample_prediction", "sample")),
    "growth": Kind("sweep.plots.figures.growing:growth", ("prediction", "x"), on_request=True, is_film=True),
    "space_epoch": Kind("sweep.plots.figures.epoch_maps:space_epoch", ("spatial_error", "x")),
    "heatmap": Kind(
        "sweep.plots.figures.heatmaps:heatmap", options=("metric", "x", "y", "facet", "statistic"), on_request=True
    ),
    "heatmap_film": Kind(
        "sweep.plots.figures.heatmaps:heatmap_film",
        options=("metric", "x", "y", "statistic"),
        on_request=True,
        is_film=True,
    ),
}
# Statistics over seeds in the cells of a heatmap; a lost lane counts as its metric's worst value.
STATISTICS: Final[dict[str, Entry]] = {
    "median": Entry("sweep.stats.lanes:median"),
    "interquartile mean": Entry("sweep.stats.seed_statistics:interquartile_mean"),
    "lower quartile": Entry("sweep.stats.lanes:lower_quartile"),
    "upper quartile": Entry("sweep.stats.lanes:upper_quartile"),
    "lowest": Entry("sweep.stats.lanes:lowest_seed"),
    "highest": Entry("sweep.stats.lanes:highest_seed"),
}

_MOST_OPTIONS: Final = 20  # of a figure that the page itself draws; a store has to hold them
_NUMBERS: Final = ("threshold", "at_most", "at_least")
_SWEPT: Final = ("rows", "columns", "lines")
_PLANE: Final = ("x", "y", "facet")
_ALWAYS: Final = frozenset({"epoch", "seed"})  # dimensions of all results
_NOT_SCALAR: Final = frozenset({*(name for name, metric in METRICS.items() if metric.dims), *RECORDED, *DIMENSIONS})


@dataclass(frozen=True, init=False)
class Figure:
    """A figure of a page.

    Args:
        name: one of `KINDS`; or a function that the page defines, which gives the figure its name:
            `function(axes, ds, **options)` draws results on matplotlib's axes, and may return a title.
        options: by name: `threshold` (loss at which a lane counts as converged), `reference` (name of a
            recorded quantity to draw over the measured loss), `metric` (the metric to draw, one number per record; the
            loss by default; a heatmap takes any), `rows`, `columns` and `lines` (swept dimensions), `at_most` or
            `at_least` (the bound of the metric's last value for a seed to count), `x`, `y` and `facet` (any
            dimensions), `statistic` (over seeds, one of `STATISTICS`). A function that the page defines may have any
            options.

    Raises:
        SweepError: for an unknown figure or option, or an option's value of the wrong kind.
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
            self._check_options()
        else:
            self._check_function()

    def _check_function(self) -> None:
        """Refuse anything but a function, and a name that can't be a file's or is another figure's."""
        if not callable(self.function):
            raise SweepError(f"a figure is a name or a function of axes and results, got {self.function!r}")
        if not self.name.isidentifier() or len(self.name) > LONGEST_NAME:
            raise SweepError(
                f"a figure's function needs a name of at most {LONGEST_NAME} letters, got {self.name[:100]!r}: define "
                f"it with def"
            )
        if self.name in KINDS:
            raise SweepError(f"the page's function {self.name!r} has the name of another figure: rename it")
        if len(self.options) > _MOST_OPTIONS:
            raise SweepError(f"figure {self.name!r} takes at most {_MOST_OPTIONS} options, got {len(self.options)}")
        for option, value in self.options.items():
            label = f"option {option!r} of figure {self.name!r}"
            if not isinstance(option, str) or not option.isidentifier():
                raise SweepError(f"{label} must be the name of an argument, an identifier")
            if isinstance(value, str):
                check_text(label, value)
            else:
                check_finite(label, value)

    def _check_options(self) -> None:
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
            raise SweepError("figure 'share' needs either at_most or at_least: the bound of a seed's last value")

    def _check_metric(self) -> None:
        metric = self.options.get("metric", "loss")
        if metric in DIMENSIONS:
            raise SweepError(f"metric of figure {self.name!r} must be a metric, got the dimension {metric!r}")
        if metric in _NOT_SCALAR and self.name != "heatmap":
            scalar = f"metric of figure {self.name!r} must be a single number per record, such as 'loss'"
            raise SweepError(f"{scalar}; {metric!r} is not")

    def _check_swept(self) -> None:
        drawn = [self.options[option] for option in _PLANE if option in self.options]
        if len(set(drawn)) < len(drawn):
            raise SweepError(f"figure {self.name!r} draws {' and '.join(map(repr, drawn))}: name different dimensions")
        options = (*_SWEPT, *(_PLANE if self.name == "heatmap_film" else ()))
        swept = {option: self.options[option] for option in options if option in self.options}
        for option, name in swept.items():
            if name == "seed":
                raise SweepError(f"{option} of figure {self.name!r} can't be 'seed': it draws statistics over seeds")
            if name in RESERVED - {"point"}:
                raise SweepError(f"{option} of figure {self.name!r} must be a swept dimension, not {name!r}")
        if self.options.get("rows") == self.options.get("columns", ""):
            raise SweepError(f"figure {self.name!r} has {swept['rows']!r} for both rows and columns: name two")


def needs_of(figure: Figure) -> tuple[str, ...]:
    """Name the variables and dimensions that a figure needs, as far as they are known."""
    return KINDS[figure.name].needs if figure.function is None else ()


def references_of(figure: Figure) -> tuple[str, ...]:
    """Name the variables and dimensions to which a figure's options, given or by default, refer.

    For a function that the page defines there are none, since the meaning of its options is not known.
    """
    if figure.function is not None:
        return ()
    given = {"metric": "loss", **figure.options} if "metric" in KINDS[figure.name].options else figure.options
    names = {option: str(value) for option, value in given.items() if option not in (*_NUMBERS, "statistic")}
    return tuple(name for option, name in names.items() if option not in _PLANE or name not in _ALWAYS)


def fitting_figures(available: frozenset[str]) -> tuple[Figure, ...]:
    """Choose the figures that results with these variables and dimensions can show, in reading order.

    Figures that are drawn only on request are left out.
    """
    fit = (name for name, kind in KINDS.items() if not kind.on_request and available.issuperset(kind.needs))
    return tuple(map(Figure, fit))


def check(figure: Figure, available: frozenset[str]) -> None:
    """Refuse a figure that needs, or refers to, something that the results do not have.

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
