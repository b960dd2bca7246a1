"""Does ReLU beat the sigmoid on XOR?

Systems 003b and 003c: 2-2-1, a sigmoid or ReLU hidden layer, a sigmoid output, binary cross-entropy, Keras' initial
weights and Adam at 1e-3 with epsilon 1e-7, all four rows in one batch. The question has 100 epochs; here 5000 are
run, to see what follows, and wider layers too.
"""

from sweep import MLP, XOR, AtLeast, Claim, Experiment, Figure, Optimizer, Record, every, grid, measures


def accuracy(ds, activation, epoch):
    """Select the accuracy of two hidden neurons at the last record up to an epoch."""
    lanes = ds.sel(activation=activation, width=2, drop=True)
    return measures.recorded(lanes, "accuracy").sel(epoch=slice(None, epoch)).isel(epoch=-1)


def relu_minus_sigmoid_at_100(ds):
    return accuracy(ds, "relu", 100) - accuracy(ds, "sigmoid", 100)


def relu_minus_sigmoid_at_5000(ds):
    return accuracy(ds, "relu", 5000) - accuracy(ds, "sigmoid", 5000)


def relu_solves_it_by_100(ds):
    return accuracy(ds, "relu", 100) == 1


def relu_solves_it_by_5000(ds):
    return accuracy(ds, "relu", 5000) == 1


def sigmoid_solves_it_by_5000(ds):
    return accuracy(ds, "sigmoid", 5000) == 1


experiment = Experiment(
    question="Does ReLU beat the sigmoid on XOR?",
    task=XOR,
    model=MLP(width=2, depth=1, output_activation="sigmoid", initializer="glorot_uniform"),
    optimizer=Optimizer("adam", learning_rate=1e-3, epsilon=1e-7),
    axes=grid(seed=range(512), activation=("sigmoid", "relu"), width=(2, 4, 8)),
    epochs=5000,
    loss="binary_cross_entropy",
    record=Record(metrics=("loss", "accuracy"), at=every(25)),
    figures=(
        Figure("share", {"metric": "accuracy", "at_least": 1.0, "rows": "width", "columns": "activation"}),
        Figure("metric_epoch", {"metric": "accuracy", "rows": "activation"}),
        Figure("metric_curves"),
    ),
    claims=(
        Claim(
            id="C15",
            text="ReLU beats the sigmoid on XOR within 100 epochs: its accuracy minus the sigmoid's, mean over seeds",
            source="003",
            measure=relu_minus_sigmoid_at_100,
            statistic="mean",
            criterion=AtLeast(0.05),
            figure="metric_epoch",
        ),
        Claim(
            id="C15a",
            text="ReLU beats the sigmoid on XOR within 5000 epochs: the same difference",
            source="003",
            measure=relu_minus_sigmoid_at_5000,
            statistic="mean",
            criterion=AtLeast(0.05),
            figure="metric_epoch",
        ),
        Claim(
            id="C15b",
            text="ReLU solves XOR within 100 epochs: all four rows are right",
            source="003",
            measure=relu_solves_it_by_100,
            statistic="share",
            criterion=AtLeast(0.5),
            figure="metric_epoch",
        ),
        Claim(
            id="C15c",
            text="ReLU solves XOR within 5000 epochs",
            source="003",
            measure=relu_solves_it_by_5000,
            statistic="share",
            criterion=AtLeast(0.5),
            figure="share",
        ),
        Claim(
            id="C15d",
            text="The sigmoid solves XOR within 5000 epochs",
            source="003",
            measure=sigmoid_solves_it_by_5000,
            statistic="share",
            criterion=AtLeast(0.5),
            figure="share",
        ),
    ),
)
