"""Why does a ReLU network fit a sine from the centre outwards?

System 001a: 1-200-200-1, PyTorch's initial weights and biases, plain gradient descent at 2e-3 on the mean squared
error of all points, y = sin(2x) on [-7.5, 7.5), 15,000 epochs. In one dimension a first-layer neuron has its kink at
-b/w, so with PyTorch's biases most kinks lie near 0. Two controls: initial biases of all layers 7.5 times as large
spread the kinks over the whole range; inputs scaled to [-1, 1] move the range to the kinks, and make the sine 7.5
times as steep.

The default has 100 points instead of 1500, which leaves time for 64 seeds; `--full` has all 1500, and 4 seeds.
"""

from dataclasses import replace
from math import pi

import numpy as np

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
    epochs_to,
    log_spaced,
    measures,
    zipped,
)

AS_ASKED, LARGE_BIASES, SCALED = range(3)


def times(ds, variant):
    """Find when the mean squared error first is at most 0.1 in the centre, |x| < 2.5, and at the edges, |x| > 5."""
    lanes = ds.isel(point=variant) if "point" in ds.dims else ds
    x = abs(lanes["x"])
    return [epochs_to(measures.error_where(lanes, where) ** 2, 0.1)["epoch"] for where in (x < 2.5, x > 5)]


def edges_over_centre(ds, variant=AS_ASKED):
    return measures.ratio_of_times(*times(ds, variant))


def edges_twice_as_late(ds):
    """Decide if possible: edges that were never fitted took at least as long as the whole training."""
    centre, edges = times(ds, AS_ASKED)
    least = measures.ratio_of_times(centre, edges.clip(max=ds["epoch"][-1].item()))
    known = np.isfinite(edges) | (least >= 2)
    return (least >= 2).astype(float).where(known & (least > 0))


def lags_less(ds, variant):
    """Compare the ratios of a seed; NaN if one of them is no number, because edges were never fitted."""
    control, asked = edges_over_centre(ds, variant), edges_over_centre(ds)
    return (control < asked).astype(float).where(np.isfinite(control) & np.isfinite(asked))


def lags_less_with_large_biases(ds):
    return lags_less(ds, LARGE_BIASES)


def lags_less_with_scaled_inputs(ds):
    return lags_less(ds, SCALED)


def final_error_ratio(ds):
    """Divide the final mean squared error at |x| > 5 by that at |x| < 2.5."""
    lanes = ds.isel(point=AS_ASKED, drop=True)
    edges, centre = (measures.error_where(lanes, where).isel(epoch=-1) for where in (abs(ds.x) > 5, abs(ds.x) < 2.5))
    return (edges / centre) ** 2


def edges_when_the_centre_is_fitted(ds, variant):
    """Give the mean squared error at |x| > 5 at the first record with 0.1 at |x| < 2.5; NaN where there is none."""
    lanes = ds.isel(point=variant, drop=True)
    centre, edges = (measures.error_where(lanes, where) ** 2 for where in (abs(ds.x) < 2.5, abs(ds.x) > 5))
    return edges.where(edges["epoch"] == epochs_to(centre, 0.1)["epoch"]).max("epoch")


def edges_keep_up_with_large_biases(ds):
    control, asked = (edges_when_the_centre_is_fitted(ds, variant) for variant in (LARGE_BIASES, AS_ASKED))
    return (control < asked / 2).astype(float).where(control.notnull() & asked.notnull())


def epochs_at_the_edges(ds):
    return times(ds, AS_ASKED)[1]


experiment = Experiment(
    question="Why does a ReLU network fit a sine from the centre outwards?",
    task=Sine(target_frequency=2 / (2 * pi), low=-7.5, high=7.5, points=100, placement="random", inputs="as_is"),
    model=MLP(width=200, depth=2, activation="relu", initializer="pytorch_uniform", bias_initializer="pytorch_uniform"),
    optimizer=Optimizer("sgd", learning_rate=2e-3),
    axes=zipped(seed=range(64), data_seed=range(64))
    * zipped(inputs=("as_is", "as_is", "scaled"), bias_scale=(1.0, 7.5, 1.0)),
    epochs=15000,
    record=Record(
        metrics=("loss", "spatial_error", "gradient_norm"),
        x=Window(-7.5, 7.5, 150, end=False),
        at=log_spaced(80),
        snapshots=60,
    ),
    figures=(Figure("space_epoch"), Figure("fits"), Figure("growth"), Figure("loss_curves")),
    claims=(
        Claim(
            id="C4",
            text="The centre is fitted first: the mean squared error gets to 0.1 at |x| > 5 at least twice as late as "
            "at |x| < 2.5 (100 points)",
            source="001",
            measure=edges_twice_as_late,
            statistic="share",
            criterion=AtLeast(0.9),
            figure="space_epoch",
        ),
        Claim(
            id="C4a",
            text="The edges lag behind the centre less with biases 7.5 times as large, which spread the kinks (100 "
            "points)",
            source="001",
            measure=lags_less_with_large_biases,
            statistic="share",
            criterion=AtLeast(0.9),
            figure="space_epoch",
        ),
        Claim(
            id="C4b",
            text="The edges lag behind the centre less with inputs scaled to [-1, 1] (100 points)",
            source="001",
            measure=lags_less_with_scaled_inputs,
            statistic="share",
            criterion=AtLeast(0.9),
            figure="space_epoch",
        ),
        Claim(
            id="C4c",
            text="15,000 epochs are enough: epochs until the mean squared error at |x| > 5 is 0.1 (100 points)",
            source="001",
            measure=epochs_at_the_edges,
            criterion=AtMost(15000),
            figure="space_epoch",
        ),
        Claim(
            id="C4d",
            text="When the centre is fitted (0.1 at |x| < 2.5), the mean squared error at |x| > 5 is less than half as "
            "large with biases 7.5 times as large (100 points)",
            source="001",
            measure=edges_keep_up_with_large_biases,
            statistic="share",
            criterion=AtLeast(0.9),
            figure="space_epoch",
            exploratory=True,  # the first run showed that times cannot decide C4a and C4b: edges are never fitted
        ),
        Claim(
            id="C4f",
            text="After 15,000 epochs the mean squared error at |x| > 5 is more than ten times that at |x| < 2.5 "
            "(100 points)",
            source="001",
            measure=final_error_ratio,
            criterion=AtLeast(10),
            figure="space_epoch",
            exploratory=True,
        ),
    ),
)

full = replace(
    experiment,
    task=replace(experiment.task, points=1500),
    axes=zipped(seed=range(4), data_seed=range(4)),
    claims=(
        replace(
            experiment.claims[0],
            id="C4-full",
            text="The centre is fitted first (as written; 4 seeds, which allow no verdict)",
        ),
        replace(
            experiment.claims[3],
            id="C4c-full",
            text="15,000 epochs are enough: epochs until the mean squared error at |x| > 5 is 0.1 (as written; 4 "
            "seeds, which allow no verdict)",
        ),
    ),
)
