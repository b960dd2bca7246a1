"""A figure as a page asks for it: a name, what it needs, and its options. Drawing is in `sweep.plots`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from sweep.base.errors import SweepError, unknown
from sweep.base.labels import DIMENSIONS, METRICS, RECORDED
from sweep.page.specs.knobs import check_finite

# Variables and dimensions that a Dataset must have for the figure to be drawn, and the options it takes.
NEEDS: Final[dict[str, tuple[str, ...]]] = {
    "frequency_epoch": ("spectral_error", "frequency"),
    "learning_rate_epoch": ("loss", "learning_rate"),
    "metric_epoch": (),
    "epochs_to_converge": ("loss", "learning_rate", "width"),
    "outcome": (),
    "share": (),
    "curves": ("spectral_error", "frequency"),
    "loss_curves": ("loss",),
    "metric_curves": (),
    "fits": ("prediction", "x"),
    "growth": ("prediction", "x"),
    "space_epoch": ("spatial_error", "x"),
    "heatmap": (),
    "heatmap_film": (),
}
OPTIONS: Final[dict[str, tuple[str, ...]]] = {
    "metric_epoch": ("metric", "rows"),
    "epochs_to_converge": ("threshold",),
    "outcome": ("metric", "rows", "columns"),
    "share": ("metric", "rows", "columns", "at_most", "at_least"),
    "loss_curves": ("reference",),
    "metric_curves": ("metric", "lines"),
    "heatmap": ("metric", "x", "y", "facet", "statistic"),
    "heatmap_film": ("metric", "x", "y", "statistic"),
}
# Figures of what a page asks about: only a page, or a person, that names them gets them.
NAMED: Final = frozenset({"metric_epoch", "outcome", "share", "metric_curves", "growth", "heatmap", "heatmap_film"})
# Over seeds, in the cells of a heatmap; a lost lane counts as its metric's worst value.
STATISTICS: Final = ("median", "interquartile mean", "lower quartile", "upper quartile", "lowest", "highest")

_NUMBERS: Final = ("threshold", "at_most", "at_least")
_SWEPT: Final = ("rows", "columns", "lines")
_DRAWN: Final = ("x", "y", "facet")
_ALWAYS: Final = frozenset({"epoch", "seed"})  # dimensions of all results
_MANY: Final = frozenset({*(name for name, metric in METRICS.items() if metric.dims), *RECORDED, *DIMENSIONS})


@dataclass(frozen=True)
class Figure:
    """A figure of a page.

    Args:
        name: one of `NEEDS`.
        options: by name: `threshold` (loss at which a lane counts as converged), `reference` (name of a
            recorded quantity to draw over the measured loss), `metric` (what is drawn, one number a record; the
            loss by default; a heatmap takes any), `rows`, `columns` and `lines` (swept dimensions), `at_most` or
            `at_least` (the metric's last value at which a seed counts), `x`, `y` and `facet` (any dimensions),
            `statistic` (over seeds, one of `STATISTICS`).

    Raises:
        SweepError: for a figure or an option that does not exist, or an option's value of the wrong kind.
    """

    name: str
    options: Mapping[str, float | str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.name not in NEEDS:
            raise unknown("figure", self.name, NEEDS)
        for option, value in self.options.items():
            if option not in OPTIONS.get(self.name, ()):
                takes = ", ".join(OPTIONS.get(self.name, ())) or "no options"
                raise SweepError(f"figure {self.name!r} has no option {option!r}: it takes {takes}")
            if option in _NUMBERS:
                check_finite(f"{option} of figure {self.name!r}", value)
            elif not isinstance(value, str):
                raise SweepError(f"{option} of figure {self.name!r} must be a name, got {value!r}")
        if self.options.get("statistic", STATISTICS[0]) not in STATISTICS:
            raise unknown(f"statistic of figure {self.name!r}", str(self.options["statistic"]), STATISTICS)
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


def referred(figure: Figure) -> tuple[str, ...]:
    """Name the variables and dimensions that a figure's options, given or by default, refer to."""
    given = {"metric": "loss", **figure.options} if "metric" in OPTIONS.get(figure.name, ()) else figure.options
    names = {option: str(value) for option, value in given.items() if option not in (*_NUMBERS, "statistic")}
    return tuple(name for option, name in names.items() if option not in _DRAWN or name not in _ALWAYS)


def fitting(available: frozenset[str]) -> tuple[Figure, ...]:
    """Choose the figures that results with these variables and dimensions can show, in reading order.

    Those that answer a page's own question (`NAMED`) are not among them.
    """
    return tuple(Figure(name) for name, needs in NEEDS.items() if name not in NAMED and available.issuperset(needs))


def check(figure: Figure, available: frozenset[str]) -> None:
    """Refuse a figure that needs, or refers to, what results do not have.

    Args:
        figure: the figure.
        available: variables and dimensions of the results.

    Raises:
        SweepError: naming what is missing.
    """
    missing = [repr(name) for name in (*NEEDS[figure.name], *referred(figure)) if name not in available]
    if missing:
        lacking = f"figure {figure.name!r} needs {' and '.join(missing)}, which these results lack"
        raise SweepError(f"{lacking}: they have {', '.join(sorted(available))}")
