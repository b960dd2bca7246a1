"""Why does a ReLU network fit a sine from the centre outwards?

System 001a: 1-200-200-1, PyTorch's initial weights and biases, plain gradient descent at 2e-3 on the mean squared
error of all points, y = sin(2x) on [-7.5, 7.5), 15,000 epochs. In one dimension a first-layer neuron has its kink at
-b/w, so with PyTorch's biases kinks crowd around 0. Two controls change that and nothing else: initial biases 7.5
times as large put kinks over the whole range; inputs scaled to [-1, 1] move the range under the kinks.

The default has 100 points in place of 1500, which leaves time for 64 seeds; `--full` has all 1500, and 4 seeds.
"""

from dataclasses import replace
from math import pi

import numpy as np

from sweep import MLP, Experiment, Figure, Optimizer, Record, Sine, epochs_to, log_spaced, measures, zipped
from sweep.specs import AtLeast, AtMost, Claim, Window

AS_ASKED, LARGE_BIASES, SCALED = range(3)


def times(ds, variant):
    """Find when the mean squared error first is at most 0.1 in the centre, |x| < 2.5, and at the edges, |x| > 5."""
    lanes = ds.isel(point=variant) if "point" in ds.dims else ds
    x = abs(lanes["x"])
    return [epochs_to(measures.error_where(lanes, where) ** 2, 0.1)["epoch"] for where in (x < 2.5, x > 5)]


def edges_over_centre(ds, variant=AS_ASKED):
    return measures.ratio_of_times(*times(ds, variant))


def edges_twice_as_late(ds):
    return edges_over_centre(ds) >= 2


def lags_less(ds, variant):
    """Compare the ratios of a seed; where neither is a number, as edges were never fitted, it cannot be told."""
    control, asked = edges_over_centre(ds, variant), edges_over_centre(ds)
    return (control < asked).astype(float).where(np.isfinite(control) | np.isfinite(asked))


def lags_less_with_large_biases(ds):
    return lags_less(ds, LARGE_BIASES)


def lags_less_with_scaled_inputs(ds):
    return lags_less(ds, SCALED)


def final_error_ratio(ds, variant=AS_ASKED):
    """Divide the final mean squared error at |x| > 5 by that at |x| < 2.5."""
    lanes = ds.isel(point=variant, drop=True) if "point" in ds.dims else ds
    edges, centre = (measures.error_where(lanes, where).isel(epoch=-1) for where in (abs(ds.x) > 5, abs(ds.x) < 2.5))
    return (edges / centre) ** 2


def more_even_with_large_biases(ds):
    return final_error_ratio(ds, LARGE_BIASES) < final_error_ratio(ds)


def more_even_with_scaled_inputs(ds):
    return final_error_ratio(ds, SCALED) < final_error_ratio(ds)


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
            "at |x| < 2.5",
            source="001",
            measure=edges_twice_as_late,
            statistic="share",
            criterion=AtLeast(0.9),
            figure="space_epoch",
        ),
        Claim(
            id="C4a",
            text="... because of where the kinks are: with biases 7.5 times as large the edges lag behind less",
            source="001",
            measure=lags_less_with_large_biases,
            statistic="share",
            criterion=AtLeast(0.9),
            figure="space_epoch",
        ),
        Claim(
            id="C4b",
            text="... and with inputs scaled to [-1, 1] they lag less too",
            source="001",
            measure=lags_less_with_scaled_inputs,
            statistic="share",
            criterion=AtLeast(0.9),
            figure="space_epoch",
        ),
        Claim(
            id="C4c",
            text="15,000 epochs are enough: the mean squared error gets to 0.1 at the edges too",
            source="001",
            measure=epochs_at_the_edges,
            criterion=AtMost(15000),
            figure="space_epoch",
        ),
        # The two below were added after the first run, which showed that times cannot decide C4a and C4b: edges
        # are not fitted at all.
        Claim(
            id="C4d",
            text="After 15,000 epochs the mean squared error at the edges over that in the centre is smaller with biases "
            "7.5 times as large (added after the first run)",
            source="001",
            measure=more_even_with_large_biases,
            statistic="share",
            criterion=AtLeast(0.9),
            figure="space_epoch",
        ),
        Claim(
            id="C4e",
            text="... and with inputs scaled to [-1, 1] (added after the first run)",
            source="001",
            measure=more_even_with_scaled_inputs,
            statistic="share",
            criterion=AtLeast(0.9),
            figure="space_epoch",
        ),
        Claim(
            id="C4f",
            text="As asked, it is more than ten times as large at the edges (added after the first run)",
            source="001",
            measure=final_error_ratio,
            criterion=AtLeast(10),
            figure="space_epoch",
        ),
    ),
)

full = replace(
    experiment,
    task=replace(experiment.task, points=1500),
    axes=zipped(seed=range(4), data_seed=range(4)),
    claims=(
        replace(experiment.claims[0], id="C4-full", text="The same with all 1500 points (as written, 4 seeds)"),
        replace(experiment.claims[3], id="C4c-full", text="15,000 epochs are enough (as written, 4 seeds)"),
    ),
)
