"""A figure as a page asks for it: a name, what it needs, and its options. Drawing is in `sweep.plots`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from sweep.errors import SweepError, unknown
from sweep.specs.knobs import check_finite

# Variables and dimensions that a Dataset must have for the figure to be drawn, and the options it takes.
NEEDS: Final[dict[str, tuple[str, ...]]] = {
    "frequency_epoch": ("spectral_error", "frequency"),
    "learning_rate_epoch": ("loss", "learning_rate"),
    "epochs_to_converge": ("loss", "learning_rate", "width"),
    "curves": ("spectral_error", "frequency"),
    "loss_curves": ("loss",),
    "fits": ("prediction", "x"),
    "space_epoch": ("spatial_error", "x"),
}
OPTIONS: Final[dict[str, tuple[str, ...]]] = {
    "epochs_to_converge": ("threshold",),
    "loss_curves": ("reference",),
}


@dataclass(frozen=True)
class Figure:
    """A figure of a page.

    Args:
        name: one of `NEEDS`.
        options: by name: `threshold` (loss at which a lane counts as converged), `reference` (name of a
            recorded quantity to draw over the measured loss).

    Raises:
        SweepError: for a figure or an option that does not exist, or an option's value of the wrong kind.
    """

    name: str
    options: Mapping[str, float | str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.name not in NEEDS:
            raise unknown("figure", self.name, NEEDS)
        for option in self.options:
            if option not in OPTIONS.get(self.name, ()):
                takes = ", ".join(OPTIONS.get(self.name, ())) or "no options"
                raise SweepError(f"figure {self.name!r} has no option {option!r}: it takes {takes}")
        if "threshold" in self.options:
            check_finite(f"threshold of figure {self.name!r}", self.options["threshold"])
        if not isinstance(self.options.get("reference", ""), str):
            raise SweepError(f"reference of figure {self.name!r} must be a name, got {self.options['reference']!r}")


def fitting(available: frozenset[str]) -> tuple[Figure, ...]:
    """Choose the figures that results with these variables and dimensions can show, in reading order."""
    return tuple(Figure(name) for name, needs in NEEDS.items() if available.issuperset(needs))


def check(figure: Figure, available: frozenset[str]) -> None:
    """Refuse a figure that needs, or refers to, what results do not have.

    Args:
        figure: the figure.
        available: variables and dimensions of the results.

    Raises:
        SweepError: naming what is missing.
    """
    referred = [str(figure.options["reference"])] if "reference" in figure.options else []
    missing = [repr(name) for name in (*NEEDS[figure.name], *referred) if name not in available]
    if missing:
        lacking = f"figure {figure.name!r} needs {' and '.join(missing)}, which these results lack"
        raise SweepError(f"{lacking}: they have {', '.join(sorted(available))}")
