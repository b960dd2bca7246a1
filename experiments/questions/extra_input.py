"""Does one more input dimension help?

The network of 001b with four hidden layers of 128 and 150 points: x alone, x and a constant 1, and x twice.
"""

from math import pi

from sweep import (
    MLP,
    AtMost,
    Claim,
    Experiment,
    Figure,
    Optimizer,
    Record,
    Sine,
    Window,
    epochs_to,
    grid,
    linear_spaced,
    measures,
    stats,
    zipped,
)


def epochs(ds, inputs):
    return epochs_to(stats.measured(ds.sel(inputs=inputs, drop=True), "loss"), 0.1)["epoch"]


def constant_over_none(ds):
    return measures.ratio_of_times(epochs(ds, "as_is"), epochs(ds, "with_constant"))


def copy_over_none(ds):
    return measures.ratio_of_times(epochs(ds, "as_is"), epochs(ds, "with_copy"))


experiment = Experiment(
    question="Does one more input dimension help?",
    task=Sine(target_frequency=2 / (2 * pi), low=-7.5, high=7.5, points=150, placement="random", inputs="as_is"),
    model=MLP(width=128, depth=4, activation="relu", initializer="pytorch_uniform", bias_initializer="pytorch_uniform"),
    optimizer=Optimizer("sgd", learning_rate=1e-2, momentum=0.9, weight_decay=1e-5),
    axes=zipped(seed=range(32), data_seed=range(32)) * grid(inputs=("as_is", "with_constant", "with_copy")),
    epochs=2000,
    record=Record(metrics=("loss", "spatial_error"), at=linear_spaced(200), x=Window(-7.5, 7.5, 150, end=False)),
    figures=(Figure("metric_epoch", {"rows": "inputs"}), Figure("space_epoch")),
    claims=(
        Claim(
            id="C10",
            text="Adding a constant input helps or does no harm: epochs to a loss of 0.1 over those without it",
            source="001",
            measure=constant_over_none,
            criterion=AtMost(1.1),
            figure="metric_epoch",
        ),
        Claim(
            id="C10a",
            text="Adding a copy of x helps or does no harm: epochs to a loss of 0.1 over those without it",
            source="001",
            measure=copy_over_none,
            criterion=AtMost(1.1),
            figure="metric_epoch",
        ),
    ),
)
