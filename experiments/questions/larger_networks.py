"""What does a larger network do for a sine of five periods, and for one of ten?

Systems 001b and 001c: four hidden layers of 512, ReLU, PyTorch's initial weights and biases, gradient descent at 1e-2
with momentum 0.9 and coupled weight decay 1e-5 on all points, y = sin(2x) or sin(4x) on [-7.5, 7.5), 2000 epochs; and
the same with narrower layers.

The default has 150 points instead of 1500, which leaves time for 16 seeds; `--full` is width 512 with all 1500, and 4
seeds.
"""

from dataclasses import replace
from math import pi

import xarray as xr

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
    Window,
    epochs_to,
    grid,
    log_spaced,
    measures,
    stats,
    zipped,
)

TWO, FOUR = 2 / (2 * pi), 4 / (2 * pi)  # cycles per unit of x of sin(2x) and sin(4x)


def losses(ds, frequency, width=512):
    lanes = ds.sel(target_frequency=frequency)
    return stats.measured(lanes.sel(width=width) if "width" in ds.dims else lanes, "loss")


def lowest_by_800(ds):
    return losses(ds, TWO).sel(epoch=slice(0, 800)).min("epoch")


def final_at_2(ds):
    return losses(ds, TWO).isel(epoch=-1)


def final_at_4(ds):
    return losses(ds, FOUR).isel(epoch=-1)


def exponent_of_width(ds):
    """Fit log(epochs to a loss of 0.1) = a + exponent * log(width), seed by seed; NaN if a width never reached it."""
    epochs = epochs_to(xr.concat([losses(ds, TWO, width) for width in ds["width"]], "width"), 0.1)["epoch"]
    return measures.exponent(epochs, "width")


experiment = Experiment(
    question="What does a larger network do for a sine of five periods, and for one of ten?",
    task=Sine(target_frequency=TWO, low=-7.5, high=7.5, points=150, placement="random", inputs="as_is"),
    model=MLP(width=512, depth=4, activation="relu", initializer="pytorch_uniform", bias_initializer="pytorch_uniform"),
    optimizer=Optimizer("sgd", learning_rate=1e-2, momentum=0.9, weight_decay=1e-5),
    axes=zipped(seed=range(16), data_seed=range(16)) * grid(target_frequency=(TWO, FOUR), width=(64, 128, 256, 512)),
    epochs=2000,
    record=Record(
        metrics=("loss", "spatial_error", "gradient_norm"),
        x=Window(-7.5, 7.5, 150, end=False),
        at=log_spaced(80),
        snapshots=8,
    ),
    figures=(
        Figure("metric_epoch", {"rows": "width"}),
        Figure("outcome", {"rows": "target_frequency", "columns": "width"}),
        Figure("space_epoch"),
        Figure("fits"),
    ),
    claims=(
        Claim(
            id="C5",
            text="Four layers of 512 are nearly perfect by 800 epochs at sin(2x): lowest loss recorded so far (150 "
            "points)",
            source="001",
            measure=lowest_by_800,
            criterion=AtMost(0.01),
            figure="metric_epoch",
        ),
        Claim(
            id="C5a",
            text="Four layers of 512 are nearly perfect at sin(2x) after 2000 epochs: final loss (150 points)",
            source="001",
            measure=final_at_2,
            criterion=AtMost(0.01),
            figure="metric_epoch",
        ),
        Claim(
            id="C6",
            text="Four layers of 512 fail at sin(4x): loss after 2000 epochs (150 points; at sin(2x) see C5a)",
            source="001",
            measure=final_at_4,
            criterion=AtLeast(0.1),
            figure="outcome",
        ),
        Claim(
            id="C9",
            text="A bigger network gives the same result at the same epoch: exponent of width in the epochs to a loss "
            "of 0.1, widths 64 to 512 (150 points)",
            source="001",
            measure=exponent_of_width,
            criterion=Between(-0.1, 0.1),
            figure="metric_epoch",
        ),
    ),
)

full = replace(
    experiment,
    task=replace(experiment.task, points=1500),
    axes=zipped(seed=range(4), data_seed=range(4)) * grid(target_frequency=(TWO, FOUR)),
    figures=(Figure("metric_epoch", {"rows": "target_frequency"}), Figure("space_epoch"), Figure("fits")),
    claims=tuple(
        replace(
            claim,
            id=f"{claim.id}-full",
            text=claim.text.replace("150 points", "as written; 4 seeds, which allow no verdict"),
            figure=figure,
        )
        for claim, figure in zip(experiment.claims[:3], ("metric_epoch", "metric_epoch", "space_epoch"), strict=True)
    ),
)
