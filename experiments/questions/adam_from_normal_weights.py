"""Do Adam and the absolute error help the network of the question, with its weights N(0, 1) and no biases?

System 002c with the network of 002a and a linear output: 1-128-1 with tanh, no biases, all weights N(0, 1), the mean
absolute error and Adam for 1000 steps, at PyTorch's default rate 1e-3 and ten times that.
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
    grid,
    log_spaced,
    measures,
    zipped,
)


def at_default_rate(ds):
    return measures.final(ds, "loss").sel(learning_rate=1e-3)


def at_ten_times_that(ds):
    return measures.final(ds, "loss").sel(learning_rate=1e-2)


experiment = Experiment(
    question="Do Adam and the absolute error help the network of the question, with its weights N(0, 1) and no biases?",
    task=Sine(
        target_frequency=1 / (2 * pi),
        amplitude=0.4,
        noise=0.05,
        low=-1,
        high=9,
        points=4000,
        placement="random",
        inputs="as_is",
    ),
    model=MLP(width=128, depth=1, bias=False, initializer="normal"),
    optimizer=Optimizer("adam"),
    axes=zipped(seed=range(64), data_seed=range(64)) * grid(learning_rate=(1e-3, 1e-2)),
    epochs=1000,
    loss="mean_absolute",
    record=Record(metrics=("loss", "clean_loss", "spatial_error"), at=log_spaced(60), x=Window(-1, 9, 201)),
    figures=(Figure("learning_rate_epoch"), Figure("fits")),
    claims=(
        Claim(
            id="C12c",
            text="Adam and the absolute error solve it from weights N(0, 1) without biases too, at 1e-2",
            source="002",
            measure=at_ten_times_that,
            criterion=AtMost(0.05),
            figure="learning_rate_epoch",
            exploratory=True,
        ),
        Claim(
            id="C12d",
            text="Adam and the absolute error solve it from weights N(0, 1) without biases at PyTorch's default rate "
            "1e-3",
            source="002",
            measure=at_default_rate,
            criterion=AtMost(0.05),
            figure="learning_rate_epoch",
            exploratory=True,
        ),
    ),
)
