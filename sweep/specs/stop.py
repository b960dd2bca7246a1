"""When a lane may end before its last epoch. The rules themselves are in `sweep.stop`."""

from dataclasses import dataclass
from typing import Literal

from sweep.errors import SweepError, unknown
from sweep.specs.knobs import Spec, check_finite

BY = ("median", "lane")


@dataclass(frozen=True)
class Target(Spec):
    """End a lane at the first record at which a metric is at most a value; it counts as reached.

    From there on its curves carry their last values forward.

    Args:
        value: what has to be reached.
        metric: what has to reach it: a recorded metric that is one number for a lane.

    Raises:
        SweepError: for a value that is no finite number.
    """

    value: float
    metric: str = "loss"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_finite("value of Target", self.value)


@dataclass(frozen=True)
class Halving(Spec):
    """Successive halving: at each rung only the better part of the competitors goes on, the rest is cut.

    Rungs are the records at or after the shares `first`, `first / keep`, `first / keep**2`, ... of the epochs,
    so that each stage costs about as much as the one before (Jamieson and Talwalkar, arXiv:1502.07943).
    A competitor is a combination of all swept knobs but the seeds. Diverged lanes count as infinitely bad. As all
    are compared with each other, all have to fit into one wave.

    Args:
        keep: share of the competitors that goes on at each rung, rounded up.
        first: the first rung, as a share of the epochs.
        by: "median": competitors are compared by their median over seeds, and cut with all their seeds;
            "lane": every lane competes for itself.
        within: axes whose values do not compete with each other, such as "width".
        metric: what is compared, smaller being better: a recorded metric that is one number for a lane.

    Raises:
        SweepError: for a share that is not between 0.01 and 0.99, or a way of comparing that does not exist.
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
            raise unknown("way of comparing in Halving, by", self.by, BY)


Stop = Target | Halving
