"""The training losses by name, and the precisions in which they are computed."""

from typing import Final

CLASSIFYING: Final = ("binary_cross_entropy", "binary_cross_entropy_with_logits")  # losses of targets 0 and 1
LOSSES: Final = (
    "mean_squared",
    "summed_squared",
    "half_summed_squared",
    "mean_absolute",
    *CLASSIFYING,
)
PRECISIONS: Final = ("float32", "float64")
