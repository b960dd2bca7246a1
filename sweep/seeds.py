"""Statistics over seeds with intervals, cell by cell."""

from sweep.stats.seed_statistics import (
    interquartile_mean,
    power_law,
    share_converged,
    with_interval,
)

__all__ = [
    "interquartile_mean",
    "power_law",
    "share_converged",
    "with_interval",
]
