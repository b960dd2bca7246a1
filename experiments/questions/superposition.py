"""Why can't the paper's fit of two frequencies in 50 epochs be reproduced with a scalar input?

System 001e, Figure 2 of Basri, Jacobs, Kasten and Kritchman (2019): sin 4t + sin 14t at 1001 points of [-pi, pi),
divided by its norm; 3 hidden layers of 256 ReLU neurons, weights N(0, 1 / (3 fan_in)), hidden biases 0, no output
bias; half the sum of squares, plain gradient descent at 1e-3, the first 500 epochs, and 200 more to see whether a
scalar input takes ten times as long. In the paper the input is the point (cos t, sin t) of the unit circle; in the
question it is a scalar, here t scaled to [-1, 1].
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
    SumOfSines,
    epochs_to,
    every,
    grid,
    measures,
    stats,
)

LOW, HIGH = 4 / (2 * pi), 14 / (2 * pi)  # cycles per unit of t


def error(ds, frequency, inputs="circle"):
    return stats.measured(ds.sel(inputs=inputs, frequency=frequency, drop=True), "spectral_error")


def by(values, epoch):
    """Select the last record up to an epoch."""
    return values.sel(epoch=slice(None, epoch)).isel(epoch=-1)


def low_at_50(ds):
    return by(error(ds, LOW), 50)


def high_at_50(ds):
    return by(error(ds, HIGH), 50)


def low_at_500(ds):
    return by(error(ds, LOW), 500)


def high_at_500(ds):
    return by(error(ds, HIGH), 500)


def scalar_low_at_500(ds):
    return by(error(ds, LOW, "scaled"), 500)


def scalar_over_circle(ds):
    """Compare epochs to an error of 0.5 at k = 4; where it is never reached, they count as the last epoch, 700."""
    scalar = epochs_to(error(ds, LOW, "scaled"), 0.5)["epoch"].clip(max=ds["epoch"][-1].item())
    return measures.ratio_of_times(epochs_to(error(ds, LOW), 0.5)["epoch"], scalar)


experiment = Experiment(
    question="Why can't the paper's fit of two frequencies in 50 epochs be reproduced with a scalar input?",
    task=SumOfSines(
        frequencies=(LOW, HIGH),
        amplitudes=1001**-0.5,
        phases=(0.0, 0.0),
        low=-pi,
        high=pi,
        points=1001,
        inputs="circle",
    ),
    model=MLP(width=256, depth=3, activation="relu", initializer="pytorch_normal", output_bias=False),
    optimizer=Optimizer("sgd", learning_rate=1e-3),
    axes=grid(seed=range(8), inputs=("circle", "scaled")),
    epochs=700,
    loss="half_summed_squared",
    record=Record(metrics=("loss", "spectral_error", "spatial_error"), at=every(5), snapshots=11),
    figures=(Figure("curves"), Figure("frequency_epoch"), Figure("fits"), Figure("space_epoch")),
    claims=(
        Claim(
            id="P1",
            text="On the circle the low frequency k = 4 is clear at epoch 50: its relative error",
            source="001",
            measure=low_at_50,
            criterion=AtMost(0.5),
            figure="curves",
        ),
        Claim(
            id="P2",
            text="On the circle k = 14 is not clear at epoch 50: its relative error",
            source="001",
            measure=high_at_50,
            criterion=AtLeast(0.5),
            figure="curves",
        ),
        Claim(
            id="P3",
            text="At epoch 500 k = 4 is fitted on the circle: its relative error",
            source="001",
            measure=low_at_500,
            criterion=AtMost(0.1),
            figure="curves",
        ),
        Claim(
            id="P4",
            text="On the circle k = 14 is not clear at epoch 500 either: its relative error",
            source="001",
            measure=high_at_500,
            criterion=AtLeast(0.5),
            figure="curves",
        ),
        Claim(
            id="P5",
            text="With a scalar input k = 4 is not clear even at epoch 500: its relative error",
            source="001",
            measure=scalar_low_at_500,
            criterion=AtLeast(0.5),
            figure="curves",
        ),
        Claim(
            id="P6",
            text="A scalar input takes at least ten times as long to an error of 0.5 at k = 4",
            source="001",
            measure=scalar_over_circle,
            criterion=AtLeast(10),
            figure="curves",
        ),
    ),
)
