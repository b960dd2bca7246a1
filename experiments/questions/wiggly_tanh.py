"""Why does a tanh network with a tanh output wiggle where the sine is smooth?

System 002a: 1-128-1, tanh on the hidden layer and on the output, no biases, all weights N(0, 1); 4000 points of
sin(x) / 2.5 on [-1, 9) with noise of deviation 0.05; the sum of squares, gradient descent at 4e-7 on all points, 3000
steps. It is compared with a linear output, with a sine instead of the hidden tanh, and with both.
"""

from math import pi

from sweep import (
    MLP,
    AtLeast,
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

AS_ASKED, LINEAR_OUTPUT, SINE, BOTH = range(4)


def wiggles(ds):
    """Tell whether there is an extremum on [-1, 1], where the target has none; changes below 0.001 count as zero."""
    found = measures.spurious_extrema(ds.isel(point=AS_ASKED), -1, 1, flat=1e-3)
    return (found >= 1) & stats.finite(found)  # a lost lane counts as no evidence


def final_loss(ds):
    return stats.final(ds.isel(point=AS_ASKED), "loss")


def better(ds, variant):
    loss = stats.final(ds, "clean_loss")
    return loss.isel(point=variant, drop=True) < loss.isel(point=AS_ASKED, drop=True)


def linear_output_is_better(ds):
    return better(ds, LINEAR_OUTPUT)


def sine_is_better(ds):
    return better(ds, SINE)


def both_are_better(ds):
    return better(ds, BOTH)


experiment = Experiment(
    question="Why does a tanh network with a tanh output wiggle where the sine is smooth?",
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
    optimizer=Optimizer("sgd", learning_rate=4e-7),
    axes=zipped(seed=range(64), data_seed=range(64))
    * zipped(output_activation=("tanh", "identity", "tanh", "identity"), activation=("tanh", "tanh", "sine", "sine")),
    epochs=3000,
    loss="summed_squared",
    record=Record(
        metrics=("loss", "clean_loss", "spatial_error"), at=log_spaced(60), x=Window(-1, 9, 201), snapshots=6
    ),
    figures=(Figure("fits"), Figure("space_epoch"), Figure("metric_epoch", {"metric": "clean_loss", "rows": "point"})),
    claims=(
        Claim(
            id="C11",
            text="The fit has spurious extrema in the first two units of x",
            source="002",
            measure=wiggles,
            statistic="share",
            criterion=AtLeast(0.5),
            figure="fits",
        ),
        Claim(
            id="C11a",
            text="The fit differs much from run to run: standard deviation of the final loss over its mean",
            source="002",
            measure=final_loss,
            statistic="variation",
            criterion=AtLeast(0.3),
            figure="metric_epoch",
        ),
        Claim(
            id="C13",
            text="The output should be linear: its final error is lower than that of the tanh output, seed by seed",
            source="002",
            measure=linear_output_is_better,
            statistic="share",
            criterion=AtLeast(0.5),
            figure="metric_epoch",
        ),
        Claim(
            id="C13a",
            text="Use a sine in place of the hidden tanh: its final error is lower, seed by seed",
            source="002",
            measure=sine_is_better,
            statistic="share",
            criterion=AtLeast(0.5),
            figure="metric_epoch",
        ),
        Claim(
            id="C13b",
            text="Both together are better than the network as written",
            source="002",
            measure=both_are_better,
            statistic="share",
            criterion=AtLeast(0.5),
            figure="metric_epoch",
        ),
    ),
)
