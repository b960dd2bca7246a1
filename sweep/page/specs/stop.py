"""When a lane may end before its last epoch. The rules themselves are in `sweep.engine.stopping`."""

from dataclasses import dataclass
from typing import Final, Literal

from sweep.base.errors import SweepError, unknown_name
from sweep.base.labels import Better
from sweep.page.specs.knobs import Spec, check_finite

BY = ("median", "lane")
BOUNDS: Final = ("value", "at_least", "at_most")


@dataclass(frozen=True)
class Target(Spec):
    """End a lane at the first record at which a metric has reached a value; its status is then "reached".

    From there on its curves carry their last values forward. One of `value`, `at_least` and `at_most` is given.

    Args:
        value: the bound of the metric: an upper one if lower values of it are better, a lower one if higher values are.
        metric: a recorded metric that is one number for a lane and has a better direction.
        at_least: the lane ends when the metric is at least this.
        at_most: the lane ends when the metric is at most this.

    Raises:
        SweepError: if not exactly one of the three is given, or it is not a finite number.
    """

    value: float | None = None
    metric: str = "loss"
    at_least: float | None = None
    at_most: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        given = [name for name in BOUNDS if getattr(self, name) is not None]
        if len(given) != 1:
            fix = f"; set {given[0]} to None, or leave the other out" if given else ""
            raise SweepError(
                f"Target takes one of value, at_least and at_most, got {' and '.join(given) or 'none'}{fix}"
            )
        check_finite(f"{given[0]} of Target", getattr(self, given[0]))

    def bounds(self, better: Better) -> tuple[float | None, float | None]:
        """Return the lower and the upper bound of the metric at which a lane ends; one of the two is None.

        Args:
            better: which values of the metric are better.
        """
        if self.value is None:
            return self.at_least, self.at_most
        return (self.value, None) if better == "higher" else (None, self.value)


@dataclass(frozen=True)
class Halving(Spec):
    """Successive halving: at each rung the better part of the competitors continues, and the others are cut.

    Rungs are the records at or after the shares `first`, `first / keep`, `first / keep**2`, ... of the epochs,
    so that each stage costs about as much as the one before (Jamieson and Talwalkar, arXiv:1502.07943).
    A competitor is a combination of all swept knobs except the seeds. Diverged lanes rank last. Lanes compete with each
    other also where they make several waves, which then wait for each other at the rungs.

    Args:
        keep: share of the competitors that continues at each rung, rounded up.
        first: the first rung, as a share of the epochs.
        by: "median": competitors are compared by their median over seeds, and cut with all their seeds;
            "lane": every lane is a competitor.
        within: axes whose values do not compete with each other, such as "width".
        metric: what is compared: a recorded metric that is one number for a lane and has a better direction.

    Raises:
        SweepError: for a share that is not between 0.01 and 0.99, or an unknown value of `by`.
    """

    keep: float = 0.5
    first: float = 0.1
    by: Literal["median", "lane"] = "median"
    within: tuple[str, ...] = ()
    metric: str = "loss"

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("keep", "first"):
            check_finite(f"{name} of Halving", getattr(self, name))
            if not 0.01 <= getattr(self, name) <= 0.99:
                raise SweepError(f"{name} of Halving must lie between 0.01 and 0.99, got {getattr(self, name)!r}")
        if not isinstance(self.within, tuple) or not all(isinstance(name, str) for name in self.within):
            raise SweepError(f"within of Halving must be a tuple of axes such as ('width',), got {self.within!r}")
        if self.by not in BY:
            raise unknown_name("value of by in Halving", self.by, BY)


@dataclass(frozen=True)
class Plateau(Spec):
    """End a lane once a metric has stopped improving; its status is then "plateaued".

    A lane ends at the first record at which its metric has not improved for `patience` epochs: since then no value was
    better than the best one before by more than `min_improvement` times that one's size. This is `EarlyStopping` of
    Keras with a relative `min_delta`, and the measure of improvement of PyTorch's `ReduceLROnPlateau` with its default
    threshold. Only records are seen: where they are further apart than `patience`, one without improvement ends a lane.
    From there on its curves carry their last values forward.

    Args:
        patience: epochs without improvement after which a lane ends.
        metric: a recorded metric that is one number for a lane and has a better direction.
        min_improvement: the smallest improvement that counts, as a share of the best value so far; 0: any does.

    Raises:
        SweepError: for a patience that is not a finite number above 0, or an improvement that is not one of at least 0.
    """

    patience: float
    metric: str = "loss"
    min_improvement: float = 1e-4

    def __post_init__(self) -> None:
        super().__post_init__()
        check_finite("patience of Plateau", self.patience)
        check_finite("min_improvement of Plateau", self.min_improvement)
        if self.patience <= 0:
            raise SweepError(f"patience of Plateau must be greater than 0 epochs, got {self.patience!r}")
        if self.min_improvement < 0:
            raise SweepError(f"min_improvement of Plateau must be at least 0, got {self.min_improvement!r}")


Stop = Target | Plateau | Halving
