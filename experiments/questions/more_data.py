"""Do more points take longer to learn, or a longer range?

The network of 001b with four hidden layers of 64, on sin(2x): a quarter of the points against all, and half of the
range against the whole.
"""

from math import pi

from sweep import (
    MLP,
    AtLeast,
    Between,
    Claim,
    Experiment,
    Figure,
    Optimizer,
    Record,
    Sine,
    epochs_to,
    linear_spaced,
    measures,
    stats,
    zipped,
)

HALF_RANGE, FEW_POINTS, ALL_POINTS = range(3)


def epochs(ds, variant):
    return epochs_to(stats.measured(ds.isel(point=variant, drop=True), "loss"), 0.1)["epoch"]


def four_times_the_points(ds):
    return measures.ratio_of_times(epochs(ds, FEW_POINTS), epochs(ds, ALL_POINTS))


def twice_the_range(ds):
    return measures.ratio_of_times(epochs(ds, HALF_RANGE), epochs(ds, FEW_POINTS))


experiment = Experiment(
    question="Do more points take longer to learn, or a longer range?",
    task=Sine(target_frequency=2 / (2 * pi), low=-7.5, high=7.5, points=1500, placement="random", inputs="as_is"),
    model=MLP(width=64, depth=4, activation="relu", initializer="pytorch_uniform", bias_initializer="pytorch_uniform"),
    optimizer=Optimizer("sgd", learning_rate=1e-2, momentum=0.9, weight_decay=1e-5),
    axes=zipped(seed=range(32), data_seed=range(32))
    * zipped(points=(375, 375, 1500), low=(-3.75, -7.5, -7.5), high=(3.75, 7.5, 7.5)),
    epochs=2000,
    record=Record(metrics=("loss",), at=linear_spaced(200), snapshots=0),
    figures=(Figure("metric_epoch", {"rows": "point"}), Figure("metric_curves")),
    claims=(
        Claim(
            id="C8",
            text="More data points take longer to learn: epochs to a loss of 0.1 with 1500 points over those with 375, "
            "on the same range",
            source="001",
            measure=four_times_the_points,
            criterion=AtLeast(1.25),
            figure="metric_epoch",
        ),
        Claim(
            id="C8a",
            text="The number of points does not matter: the same ratio",
            source="001",
            measure=four_times_the_points,
            criterion=Between(0.8, 1.25),
            figure="metric_epoch",
        ),
        Claim(
            id="C8b",
            text="A longer range takes longer: epochs on [-7.5, 7.5) over those on [-3.75, 3.75), 375 points each",
            source="001",
            measure=twice_the_range,
            criterion=AtLeast(1.25),
            figure="metric_epoch",
        ),
    ),
)
