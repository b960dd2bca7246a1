"""The training losses by name, and the possible precisions."""

from dataclasses import dataclass
from typing import Final

from sweep.base.registry import Entry


@dataclass(frozen=True, kw_only=True)
class Loss(Entry):
    """A function of prediction, target and weights: 1 for points that count, 0 for padding.

    Args:
        boundary: for a loss with classes, whose targets are 0 and 1, the network's output above which a point is
            assigned to class 1; None for a loss without classes.
    """

    boundary: float | None = None


LOSSES: Final[dict[str, Loss]] = {
    "mean_squared": Loss("sweep.engine.regression.losses:mean_squared"),
    "summed_squared": Loss("sweep.engine.regression.losses:summed_squared"),
    "half_summed_squared": Loss("sweep.engine.regression.losses:half_summed_squared"),
    "mean_absolute": Loss("sweep.engine.regression.losses:mean_absolute"),
    "binary_cross_entropy": Loss("sweep.engine.regression.losses:binary_cross_entropy", boundary=0.5),
    "binary_cross_entropy_with_logits": Loss(
        "sweep.engine.regression.losses:binary_cross_entropy_with_logits", boundary=0.0
    ),
}
CLASSIFICATION_LOSSES: Final = frozenset(name for name, loss in LOSSES.items() if loss.boundary is not None)
PRECISIONS: Final = ("float32", "float64")
