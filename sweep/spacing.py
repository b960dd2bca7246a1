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
    if len(positive) < 2 or np.any(values < 0) or positive[-1] / positive[0] < 4:
        return False
    if len(positive) == 2:
        return bool(positive[1] / positive[0] >= 8)
    return _unevenness(np.log(positive)) < _unevenness(positive)


def _unevenness(values: np.ndarray) -> float:
    """Give the standard deviation of the steps over their mean: 0 where they are all the same."""
    steps = np.diff(values)
    return float(np.std(steps) / np.mean(steps))
