"""The x over which errors and predictions are shown."""

from dataclasses import dataclass
from math import prod
from typing import Any, Final

import numpy as np

from sweep.base.errors import SweepError
from sweep.page.specs.knobs import LARGEST_COUNT, Spec, check_finite

MOST_FEATURES: Final = 2  # that a picture can show
MAP_POINTS: Final = 40  # along each of two features, where a page names no window


@dataclass(frozen=True)
class Window(Spec):
    """Equally spaced points x, or a grid of them over two features.

    Args:
        low, high: the range, which may be larger than that of the training points; a pair for two features.
        points: number of points along each feature, or a pair.
        end: whether `high` is one of them.

    Raises:
        SweepError: for an empty range, fewer than two points, or too many points.
    """

    low: float | tuple[float, ...]
    high: float | tuple[float, ...]
    points: int | tuple[int, ...] = 200
    end: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("low", "high", "points"):
            given = getattr(self, name)
            if isinstance(given, tuple) and len(given) != MOST_FEATURES:
                raise SweepError(f"{name} of Window must be one number, or one for each of two features, got {given}")
        for low, high, points in zip(self._each(self.low), self._each(self.high), self.sizes(), strict=True):
            check_finite("low of Window", low)
            check_finite("high of Window", high)
            if not low < high:
                raise SweepError(f"Window must have low below high, got {low:g}, {high:g}")
            if isinstance(points, bool) or not isinstance(points, int) or points < 2:
                raise SweepError(f"points of Window must be a whole number of at least 2, got {points!r}")
        if prod(self.sizes()) > LARGEST_COUNT:
            raise SweepError(f"points of Window must be at most {LARGEST_COUNT}, got {prod(self.sizes())}")

    def _each(self, value: Any) -> tuple[Any, ...]:
        """Give a number for each feature."""
        return value if isinstance(value, tuple) else (value,) * self.count_features()

    def count_features(self) -> int:
        """Count the features."""
        return 2 if any(isinstance(each, tuple) for each in (self.low, self.high, self.points)) else 1

    def sizes(self) -> tuple[int, ...]:
        """Give the number of points along each feature."""
        return self._each(self.points)

    def dims(self) -> tuple[str, ...]:
        """Name the dimensions: x, or one for each of two features."""
        return ("x",) if self.count_features() == 1 else ("x1", "x2")

    def coordinates(self) -> dict[str, np.ndarray]:
        """Return the values along each dimension, in float64."""
        ends = zip(self._each(self.low), self._each(self.high), self.sizes(), strict=True)
        lines = [np.linspace(low, high, points, endpoint=self.end) for low, high, points in ends]
        return dict(zip(self.dims(), lines, strict=True))

    def positions(self) -> np.ndarray:
        """Return all points in float64, of shape (features, points); the last feature changes fastest."""
        grids = np.meshgrid(*self.coordinates().values(), indexing="ij")
        return np.stack([grid.ravel() for grid in grids])

    def beyond(self, low: Any, high: Any) -> np.ndarray:
        """For each x, tell whether it lies outside a range: a boolean array of the shape `sizes`."""
        x = self.positions()
        outside = (x < np.reshape(low, (-1, 1))) | (x > np.reshape(high, (-1, 1)))
        return np.reshape(outside.any(axis=0), self.sizes())
