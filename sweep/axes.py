"""What is swept: values of knobs in all combinations, row by row, or drawn at random."""

from sweep.page.axes import (
    Axes,
    grid,
    log_uniform,
    sampled,
    uniform,
    zipped,
)

__all__ = [
    "Axes",
    "grid",
    "log_uniform",
    "sampled",
    "uniform",
    "zipped",
]
