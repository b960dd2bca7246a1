"""What is swept: values of knobs in all combinations, row by row, or drawn."""

from sweep.page.axes import (
    Axes,
    grid,
    table,
    zipped,
)
from sweep.page.sampling import (
    choices,
    integers,
    log_integers,
    log_uniform,
    sampled,
    uniform,
    when,
)

__all__ = [
    "Axes",
    "choices",
    "grid",
    "integers",
    "log_integers",
    "log_uniform",
    "sampled",
    "table",
    "uniform",
    "when",
    "zipped",
]
