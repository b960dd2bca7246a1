"""The x over which errors and predictions are shown."""

from dataclasses import dataclass

import numpy as np

from sweep.base.errors import SweepError
from sweep.page.specs.knobs import LARGEST_COUNT, Spec, check_finite


@dataclass(frozen=True)
class Window(Spec):
    """Equally spaced points x.

    Args:
        low, high: the range, which may be larger than that of the training points.
        points: number of points.
        end: whether `high` is one of them.

    Raises:
        SweepError: for an empty range, fewer than two points, or too many points.
    """

    low: float
    high: float
    points: int = 200
    end: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("low", "high"):
            check_finite(f"{name} of Window", getattr(self, name))
        if not self.low < self.high:
            raise SweepError(f"Window must have low below high, got {self.low:g}, {self.high:g}")
        if isinstance(self.points, bool) or not isinstance(self.points, int) or self.points < 2:
            raise SweepError(f"points of Window must be a whole number of at least 2, got {self.points!r}")
        if self.points > LARGEST_COUNT:
            raise SweepError(f"points of Window must be at most {LARGEST_COUNT}, got {self.points!r}")

    def values(self) -> np.ndarray:
        """Return the x, in float64, of shape (points,)."""
        return np.linspace(self.low, self.high, self.points, endpoint=self.end)

    def beyond(self, low: float, high: float) -> np.ndarray:
        """For each x, tell whether it lies outside a range: a boolean array of shape (points,)."""
        x = self.values()
        return (x < low) | (x > high)
