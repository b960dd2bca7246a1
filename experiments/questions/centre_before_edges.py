"""Why does a ReLU network fit a sine from the centre outwards?

System 001a: 1-200-200-1, PyTorch's initial weights and biases, plain gradient descent at 2e-3 on the mean squared
error of all points, y = sin(2x) on [-7.5, 7.5), 15,000 epochs. In one dimension a first-layer neuron has its kink at
-b/w, so with PyTorch's biases kinks crowd around 0. Two controls change that and nothing else: initial biases 7.5
times as large put kinks over the whole range; inputs scaled to [-1, 1] move the range under the kinks.

The default has 100 points in place of 1500, which leaves time for 64 seeds; `--full` has all 1500, and 4 seeds.
"""

from dataclasses import replace
from math import pi

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


def less_with_large_biases(ds):
    return edges_over_centre(ds, LARGE_BIASES) < edges_over_centre(ds)


def less_with_scaled_inputs(ds):
    return edges_over_centre(ds, SCALED) < edges_over_centre(ds)


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
            measure=less_with_large_biases,
            statistic="share",
            criterion=AtLeast(0.9),
            figure="space_epoch",
        ),
        Claim(
            id="C4b",
            text="... and with inputs scaled to [-1, 1] they lag less too",
            source="001",
            measure=less_with_scaled_inputs,
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
