"""Why does a ReLU network that fits a sine fail one period further on?

Systems 000a and 000b: 1-16-16-1 and 1-64-64-64-1, ReLU, Keras' initial weights (Glorot uniform, biases 0), Adam at
1e-3 with Keras' epsilon 1e-7, batches of 32 reshuffled each epoch with the shorter last one kept, 500 epochs; 100
points of sin(x) on [0, 2 pi], both ends included; errors are measured on [0, 4 pi].
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
    grid,
    log_spaced,
    measures,
    stats,
    zipped,
)


def rms_error(ds, width, low, high):
    return measures.error_in(ds.sel(width=width), low, high).isel(epoch=-1)


def five_times_worse(ds, width):
    inside, beyond = rms_error(ds, width, 0, 2 * pi), rms_error(ds, width, 2 * pi, 4 * pi)
    return (beyond >= 5 * inside) & stats.finite(inside)  # a lost lane counts as no evidence


def small_is_five_times_worse(ds):
    return five_times_worse(ds, 16)


def large_is_five_times_worse(ds):
    return five_times_worse(ds, 64)


def large_over_small_inside(ds):
    loss = stats.final(ds, "loss")
    return loss.sel(width=64, drop=True) / loss.sel(width=16, drop=True)


def large_over_small_outside(ds):
    return rms_error(ds, 64, 2 * pi, 4 * pi).drop_vars(("width", "depth")) / rms_error(ds, 16, 2 * pi, 4 * pi)


experiment = Experiment(
    question="Why does a ReLU network that fits a sine fail one period further on?",
    task=Sine(target_frequency=1 / (2 * pi), low=0, high=2 * pi, points=100, placement="grid_with_end", inputs="as_is"),
    model=MLP(activation="relu", initializer="glorot_uniform"),
    optimizer=Optimizer("adam", learning_rate=1e-3, epsilon=1e-7),
    axes=grid(seed=range(256)) * zipped(width=(16, 64), depth=(2, 3)),
    epochs=500,
    batch_size=32,
    record=Record(at=log_spaced(60), x=Window(0, 4 * pi, 200)),
    figures=(
        Figure("fits"),
        Figure("space_epoch"),
        Figure("metric_curves", {"metric": "extrapolation_error"}),
    ),
    claims=(
        Claim(
            id="C1",
            text="A ReLU network (16-16) fails beyond its range: root mean square error on "
            "(2 pi, 4 pi] at least 5 times that on [0, 2 pi]",
            source="000",
            measure=small_is_five_times_worse,
            statistic="share",
            criterion=AtLeast(0.95),
            figure="fits",
        ),
        Claim(
            id="C1a",
            text="A larger ReLU network (64-64-64) fails beyond the range too: root mean square error at least 5 "
            "times as large",
            source="000",
            measure=large_is_five_times_worse,
            statistic="share",
            criterion=AtLeast(0.95),
            figure="fits",
        ),
        Claim(
            id="C2",
            text="The deeper network fits better inside the range: its training loss over that of 16-16",
            source="000",
            measure=large_over_small_inside,
            criterion=AtMost(1.0),
            figure="fits",
        ),
        Claim(
            id="C2a",
            text="The deeper network is no better beyond the range: its root mean square error there over that of "
            "16-16",
            source="000",
            measure=large_over_small_outside,
            criterion=AtLeast(0.5),
            figure="metric_curves",
        ),
    ),
)
