"""When does scaling the inputs matter?

Systems 003d and 003e: one linear neuron, three rows [1000, 0.1], [2000, 0.2], [3000, 0.3] with targets 1, 2, 3, as
they are or standardised; mean squared error, Keras' initial weights and Adam with epsilon 1e-7. The question has 100
epochs at 1e-3; here 3000 are run, at that rate and at higher ones.
"""

from sweep import MLP, AtLeast, Claim, Experiment, Figure, Optimizer, Record, Table, grid, log_spaced, measures, stats


def loss(ds, inputs, epoch):
    """Select the loss at rate 1e-3 at the last record up to an epoch."""
    lanes = ds.sel(inputs=inputs, learning_rate=1e-3, drop=True)
    return stats.measured(lanes, "loss").sel(epoch=slice(None, epoch)).isel(epoch=-1, drop=True)


def raw_over_standardised(ds):
    return loss(ds, "as_is", 100) / loss(ds, "standardised", 100)


def standardised_is_lower(ds):
    return raw_over_standardised(ds) > 1


def standardised_falls_further(ds):
    """Compare loss(100) / loss(0)."""
    fall = [loss(ds, inputs, 100) / loss(ds, inputs, 0) for inputs in ("as_is", "standardised")]
    return fall[1] < fall[0]


def standardised_jitters_less(ds):
    raw, standardised = (
        measures.jitter(ds.sel(inputs=inputs, learning_rate=1e-3, drop=True)) for inputs in ("as_is", "standardised")
    )
    return standardised < raw


def standardised_converges(ds):
    return loss(ds, "standardised", 100) < 0.01


def raw_converges(ds):
    return loss(ds, "as_is", 100) < 0.01


experiment = Experiment(
    question="When does scaling the inputs matter?",
    task=Table(rows=((1000, 0.1), (2000, 0.2), (3000, 0.3)), targets=(1, 2, 3), inputs="as_is"),
    model=MLP(depth=0, initializer="glorot_uniform"),
    optimizer=Optimizer("adam", epsilon=1e-7),
    axes=grid(seed=range(128), inputs=("as_is", "standardised"), learning_rate=(1e-3, 1e-2, 1e-1, 1.0)),
    epochs=3000,
    record=Record(metrics=("loss", "gradient_norm"), at=log_spaced(100)),
    figures=(
        Figure("learning_rate_epoch"),
        Figure("metric_curves"),
        Figure("outcome", {"rows": "learning_rate", "columns": "inputs"}),
    ),
    claims=(
        Claim(
            id="C16",
            text="Scaling gives faster convergence: the loss after 100 epochs is lower with standardised inputs",
            source="003",
            measure=standardised_is_lower,
            statistic="share",
            criterion=AtLeast(0.95),
            figure="learning_rate_epoch",
        ),
        Claim(
            id="C16a",
            text="Scaling is faster by orders of magnitude: loss with raw inputs over that with standardised ones "
            "after 100 epochs",
            source="003",
            measure=raw_over_standardised,
            criterion=AtLeast(100),
            figure="learning_rate_epoch",
        ),
        Claim(
            id="C16b",
            text="With standardised inputs the loss falls further as a share of where it began, loss(100) / loss(0)",
            source="003",
            measure=standardised_falls_further,
            statistic="share",
            criterion=AtLeast(0.5),
            figure="learning_rate_epoch",
        ),
        Claim(
            id="C16e",
            text="Scaling gives stabler convergence: the loss of the last fifth of the epochs jitters less",
            source="003",
            measure=standardised_jitters_less,
            statistic="share",
            criterion=AtLeast(0.5),
            figure="learning_rate_epoch",
            exploratory=True,
        ),
        Claim(
            id="C16c",
            text="With standardised inputs 100 epochs at 1e-3 are enough: a loss below 0.01",
            source="003",
            measure=standardised_converges,
            statistic="share",
            criterion=AtLeast(0.5),
            figure="learning_rate_epoch",
        ),
        Claim(
            id="C16d",
            text="With raw inputs 100 epochs at 1e-3 are enough: a loss below 0.01",
            source="003",
            measure=raw_converges,
            statistic="share",
            criterion=AtLeast(0.5),
            figure="learning_rate_epoch",
        ),
    ),
)
