"""Does a deeper tanh network wiggle less?

System 002b: as 002a, with three hidden layers of 32, 128 and 32 neurons. There are 16 seeds, since each takes seconds.
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


def wiggles(ds):
    """Tell whether there is an extremum on [-1, 1], where the target has none; changes below 0.001 count as zero."""
    found = measures.spurious_extrema(ds, -1, 1, flat=1e-3)
    return (found >= 1) & stats.finite(found)  # a lost lane counts as no evidence


def final_loss(ds):
    return stats.final(ds, "loss")


experiment = Experiment(
    question="Does a deeper tanh network wiggle less?",
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
    model=MLP(hidden=(32, 128, 32), output_activation="tanh", bias=False, initializer="normal"),
    optimizer=Optimizer("sgd", learning_rate=4e-7),
    axes=zipped(seed=range(16), data_seed=range(16)),
    epochs=3000,
    loss="summed_squared",
    record=Record(
        metrics=("loss", "clean_loss", "spatial_error"), at=log_spaced(60), x=Window(-1, 9, 201), snapshots=6
    ),
    figures=(Figure("fits"), Figure("space_epoch"), Figure("loss_curves")),
    claims=(
        Claim(
            id="C11b",
            text="A deeper network (32-128-32) has spurious extrema in the first two units of x too",
            source="002",
            measure=wiggles,
            statistic="share",
            criterion=AtLeast(0.5),
            figure="fits",
        ),
        Claim(
            id="C11c",
            text="The deeper network differs much from run to run too: standard deviation of the final loss over its "
            "mean",
            source="002",
            measure=final_loss,
            statistic="variation",
            criterion=AtLeast(0.3),
            figure="loss_curves",
        ),
    ),
)
