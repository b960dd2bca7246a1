"""How values along an axis are spaced: by ratios, as learning rates usually are, or by differences."""

import numpy as np


def is_spaced_by_ratios(values: np.ndarray) -> bool:
    """Tell whether numbers are spaced by ratios rather than by differences.

    Two numbers are if one is at least 8 times the other. More than two are if they span at least a factor of 4 and the
    logarithms of the positive ones are spaced more evenly than the numbers themselves.

    Args:
        values: in rising order.
    """
    positive = values[values > 0]
    if len(positive) < 2 or np.any(values < 0):
        return False
    with np.errstate(over="ignore"):  # a ratio that overflows is infinite, which compares correctly
        span = positive[-1] / positive[0]
    if len(positive) == 2 or span < 4:
        return bool(span >= 8)
    return _unevenness(np.log(positive)) < _unevenness(positive / positive[-1])  # scaled, so that squares are finite


def _unevenness(values: np.ndarray) -> float:
    """Return the standard deviation of the steps divided by their mean: 0 where all are equal."""
    steps = np.diff(values)
    return float(np.std(steps) / np.mean(steps))
