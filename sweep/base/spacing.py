"""How values along an axis are spaced: by ratios, as learning rates mostly are, or by differences."""

import numpy as np


def steps_by_ratio(values: np.ndarray) -> bool:
    """Tell whether numbers step by ratios rather than by differences.

    Two numbers do where one is at least 8 times the other; more of them where they span a factor of 4 and the
    logarithms of those above zero are spaced more evenly than the numbers themselves.

    Args:
        values: in rising order.
    """
    positive = values[values > 0]
    if len(positive) < 2 or np.any(values < 0):
        return False
    with np.errstate(over="ignore"):  # which infinity is right for
        span = positive[-1] / positive[0]
    if len(positive) == 2 or span < 4:
        return bool(span >= 8)
    return _unevenness(np.log(positive)) < _unevenness(positive / positive[-1])  # whose squares are numbers


def _unevenness(values: np.ndarray) -> float:
    """Give the standard deviation of the steps over their mean: 0 where they are all the same."""
    steps = np.diff(values)
    return float(np.std(steps) / np.mean(steps))
