"""Statistics of results, which count lost lanes: over lanes (these names), over seeds, intervals, measures of claims.

Imports `results`, `page` and `base`, and no JAX.
"""

from sweep.stats.lanes import (
    HALVED,
    REASONS,
    WAS_CENSORED,
    at_best_learning_rate,
    best_learning_rate,
    best_place,
    epochs_to,
    final,
    finite,
    halving_epoch,
    initial,
    lowest,
    measured,
    median,
    order_of_convergence,
    over_seeds,
    quantiles,
    ranks_ends,
    seeded,
    spearman,
    standing,
    summary,
)

__all__ = [
    "HALVED",
    "REASONS",
    "WAS_CENSORED",
    "at_best_learning_rate",
    "best_learning_rate",
    "best_place",
    "epochs_to",
    "final",
    "finite",
    "halving_epoch",
    "initial",
    "lowest",
    "measured",
    "median",
    "order_of_convergence",
    "over_seeds",
    "quantiles",
    "ranks_ends",
    "seeded",
    "spearman",
    "standing",
    "summary",
]
