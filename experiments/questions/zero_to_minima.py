"""Why is a sine learnt from zero outwards, and its minima and maxima last?

System 004: 1-5-5-5-5-1, ReLU, Keras' initial weights (Glorot uniform, biases 0, so that every first kink lies at 0),
plain gradient descent at 0.01 in batches of 32, five passes over 100,000 points drawn from [-pi, pi). It is compared
with one hidden layer of 35 neurons, which has as many parameters (106).
"""

from math import pi

from sweep import (
    MLP,
    AtLeast,
    AtMost,
    Claim,
    Experiment,
    Figure,
    Optimizer,
    Record,
    Sine,
    Window,
    log_spaced,
    measures,
    stats,
    zipped,
)

PLATEAUS = (0.5, 0.5 - 3 / pi**2)  # mean squared error of the best constant and of the best straight line
DEEP, WIDE = 5, 35  # neurons of the four hidden layers, and of the one


def extrema_over_elsewhere(ds):
    """Divide the mean absolute error within 0.3 of +-pi/2 by that elsewhere, at the end."""
    lanes = ds.sel(width=DEEP)
    near = measures.near(lanes, (-pi / 2, pi / 2), 0.3)
    there, elsewhere = (measures.error_where(lanes, where, order=1).isel(epoch=-1) for where in (near, ~near))
    return there / elsewhere


def radius_grows(ds, width=DEEP):
    """Give the rank correlation of time and the radius of the region where the error is at most 0.05."""
    return measures.monotonicity(measures.radius(ds.sel(width=width), 0.05)).fillna(0)  # the radius never changes


def radius_of_the_wide_grows(ds):
    return radius_grows(ds, WIDE)


def wide_is_better(ds):
    loss = stats.final(ds, "loss")
    return loss.sel(width=WIDE, drop=True) < loss.sel(width=DEEP, drop=True)


def deep_is_stuck(ds):
    return measures.stuck_at(ds.sel(width=DEEP), PLATEAUS, tolerance=0.1)


def wide_is_stuck(ds):
    return measures.stuck_at(ds.sel(width=WIDE), PLATEAUS, tolerance=0.1)


experiment = Experiment(
    question="Why is a sine learnt from zero outwards, and its minima and maxima last?",
    task=Sine(target_frequency=1 / (2 * pi), low=-pi, high=pi, points=100000, placement="random", inputs="as_is"),
    model=MLP(activation="relu", initializer="glorot_uniform"),
    optimizer=Optimizer("sgd", learning_rate=0.01),
    axes=zipped(seed=range(64), data_seed=range(64)) * zipped(width=(DEEP, WIDE), depth=(4, 1)),
    epochs=5,
    batch_size=32,
    record=Record(metrics=("loss", "spatial_error"), at=log_spaced(60), x=Window(-pi, pi, 100), snapshots=60),
    figures=(
        Figure("space_epoch"),
        Figure("fits"),
        Figure("growth"),
        Figure("metric_curves"),
        Figure("share", {"metric": "loss", "at_least": 0.176}),
    ),
    claims=(
        Claim(
            id="C17",
            text="There is trouble at minima and maxima: mean absolute error within 0.3 of +-pi/2 over that elsewhere",
            source="004",
            measure=extrema_over_elsewhere,
            criterion=AtLeast(1.5),
            figure="space_epoch",
        ),
        Claim(
            id="C18",
            text="Accuracy spreads from 0: rank correlation of time with the radius of errors of at most 0.05",
            source="004",
            measure=radius_grows,
            criterion=AtLeast(0.9),
            figure="space_epoch",
        ),
        Claim(
            id="C18a",
            text="Accuracy spreads from 0 in one hidden layer of 35: rank correlation of time with that radius",
            source="004",
            measure=radius_of_the_wide_grows,
            criterion=AtLeast(0.9),
            figure="space_epoch",
            exploratory=True,
        ),
        Claim(
            id="C19",
            text="Wide beats deep: the final loss of one layer of 35 is lower than that of four of 5, seed by seed",
            source="004",
            measure=wide_is_better,
            statistic="share",
            criterion=AtLeast(0.5),
            figure="metric_curves",
        ),
        Claim(
            id="C19a",
            text="Deep gets hung up: four layers of 5 end within 10% of the loss of the best constant or straight line",
            source="004",
            measure=deep_is_stuck,
            statistic="share",
            criterion=AtLeast(0.1),
            figure="share",
        ),
        Claim(
            id="C19b",
            text="Wide does not get hung up: one layer of 35 ends there at most once in twenty",
            source="004",
            measure=wide_is_stuck,
            statistic="share",
            criterion=AtMost(0.05),
            figure="share",
        ),
    ),
)
