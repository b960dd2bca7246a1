"""How many epochs does each further oscillation cost?

System 001d: the network of 001b, with two and with four hidden layers, on one to five periods of sin(2x); the range
grows with the periods, as in the question. The question gives no width: here it is 128, with 150 points.
"""

from math import pi

import numpy as np

from sweep import (
    MLP,
    AtLeast,
    AtMost,
    Between,
    Claim,
    Experiment,
    Figure,
    Optimizer,
    Record,
    Sine,
    epochs_to,
    grid,
    log_spaced,
    measures,
    stats,
    zipped,
)

PERIODS = (1, 2, 3, 4, 5)  # of length pi


def epochs(ds, depth):
    """Find when each number of periods first has a loss of 0.05."""
    return epochs_to(stats.measured(ds.sel(depth=depth), "loss"), 0.05)["epoch"]


def one_period(ds):
    return epochs(ds, 2).sel(high=pi / 2)


def two_periods(ds):
    return epochs(ds, 2).sel(high=pi)


def three_periods(ds):
    return epochs(ds, 2).sel(high=3 * pi / 2)


def exponent_of_periods(ds):
    """Fit log(epochs) = a + exponent * log(periods) over four layers, seed by seed.

    It is +inf where the largest number of periods is never learnt, and NaN where only a smaller one is not.
    """
    found = epochs(ds, 4)
    return measures.exponent(found, "high").where(np.isfinite(found.isel(high=-1)), np.inf)


experiment = Experiment(
    question="How many epochs does each further oscillation cost?",
    task=Sine(
        target_frequency=2 / (2 * pi), low=-5 * pi / 2, high=5 * pi / 2, points=150, placement="random", inputs="as_is"
    ),
    model=MLP(width=128, activation="relu", initializer="pytorch_uniform", bias_initializer="pytorch_uniform"),
    optimizer=Optimizer("sgd", learning_rate=1e-2, momentum=0.9, weight_decay=1e-5),
    axes=zipped(seed=range(32), data_seed=range(32))
    * zipped(high=[n * pi / 2 for n in PERIODS], low=[-n * pi / 2 for n in PERIODS])
    * grid(depth=(2, 4)),
    epochs=2000,
    record=Record(metrics=("loss", "gradient_norm"), at=log_spaced(80)),
    figures=(
        Figure("metric_epoch", {"rows": "high"}),
        Figure("outcome", {"rows": "high", "columns": "depth"}),
        Figure("metric_curves"),
    ),
    claims=(
        Claim(
            id="C7",
            text="Two layers learn one oscillation in about 100 epochs: epochs to a loss of 0.05 (width 128)",
            source="001",
            measure=one_period,
            criterion=Between(50, 200),
            figure="metric_epoch",
        ),
        Claim(
            id="C7a",
            text="Two layers manage two oscillations by 800 epochs: epochs to a loss of 0.05 (width 128)",
            source="001",
            measure=two_periods,
            criterion=AtMost(800),
            figure="metric_epoch",
        ),
        Claim(
            id="C7b",
            text="Two layers do not manage three oscillations by 800 epochs: epochs to a loss of 0.05",
            source="001",
            measure=three_periods,
            criterion=AtLeast(800),
            figure="metric_epoch",
        ),
        Claim(
            id="C7c",
            text="More oscillations take longer: exponent of their number in the epochs to a loss of 0.05, four layers",
            source="001",
            measure=exponent_of_periods,
            criterion=AtLeast(0),
            figure="metric_epoch",
        ),
    ),
)
