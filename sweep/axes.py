"""What is swept: values for knobs, crossed, taken together or drawn."""

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
