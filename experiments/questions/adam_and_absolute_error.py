"""Do Adam and the absolute error solve what gradient descent on squares did not?

System 002c: the data of 002a, an "nn module", the mean absolute error and Adam for 1000 steps on all points. The
question does not give layers and learning rate. Here they are 1-128-1 with tanh and PyTorch's initial weights and
biases, its default rate 1e-3 and ten times that, and both outputs (`adam_from_normal_weights.py`, which was run
first, has the weights of 002a). The noise alone leaves an error of 0.05 sqrt(2 / pi) = 0.0399.
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


def final_loss(ds, learning_rate, output_activation):
    return measures.final(ds, "loss").sel(learning_rate=learning_rate, output_activation=output_activation)


def linear_at_default_rate(ds):
    return final_loss(ds, 1e-3, "identity")


def linear_at_ten_times_that(ds):
    return final_loss(ds, 1e-2, "identity")


def tanh_at_ten_times_that(ds):
    return final_loss(ds, 1e-2, "tanh")


experiment = Experiment(
    question="Do Adam and the absolute error solve what gradient descent on squares did not?",
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
    model=MLP(width=128, depth=1, initializer="pytorch_uniform", bias_initializer="pytorch_uniform"),
    optimizer=Optimizer("adam"),
    axes=zipped(seed=range(64), data_seed=range(64))
    * grid(learning_rate=(1e-3, 1e-2), output_activation=("identity", "tanh")),
    epochs=1000,
    loss="mean_absolute",
    record=Record(metrics=("loss", "clean_loss", "spatial_error"), at=log_spaced(60), x=Window(-1, 9, 201)),
    figures=(
        Figure("learning_rate_epoch"),
        Figure("outcome", {"rows": "learning_rate", "columns": "output_activation"}),
        Figure("fits"),
        Figure("space_epoch"),
    ),
    claims=(
        Claim(
            id="C12",
            text="Adam and the absolute error solve it in 1000 steps (linear output, rate 1e-2): final error, of which "
            "0.040 is noise",
            source="002",
            measure=linear_at_ten_times_that,
            criterion=AtMost(0.05),
            figure="outcome",
            exploratory=True,
        ),
        Claim(
            id="C12a",
            text="Adam and the absolute error solve it in 1000 steps at PyTorch's default rate 1e-3 (linear output)",
            source="002",
            measure=linear_at_default_rate,
            criterion=AtMost(0.05),
            figure="outcome",
            exploratory=True,
        ),
        Claim(
            id="C12b",
            text="Adam and the absolute error solve it in 1000 steps with a tanh output, at 1e-2",
            source="002",
            measure=tanh_at_ten_times_that,
            criterion=AtMost(0.05),
            figure="outcome",
            exploratory=True,
        ),
    ),
)
