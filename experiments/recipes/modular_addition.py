"""Grokking: a squared hidden layer (Gromov, 2023) knows the sums mod 31 that it trains on long before the rest."""

import numpy as np

from sweep import Data, Experiment, Figure, FromModule, Loss, Optimizer, Record, Target, every, grid

P = 31
PAIRS = np.indices((P, P)).reshape(2, -1).T  # all (a, b); the network gets each number as a unit vector
MEASURED = ("validation_accuracy", "accuracy")


def quadratic(width):
    from flax import linen as nn

    return nn.Sequential([nn.Dense(width, use_bias=False), lambda z: z**2, nn.Dense(P, use_bias=False)])


experiment = Experiment(
    question="When does a network that knows half of all a + b mod 31 know the other half?",
    task=Data(np.eye(P)[PAIRS].reshape(P * P, 2 * P), PAIRS.sum(axis=1) % P, validation=0.5),
    model=FromModule(quadratic, width=128),
    optimizer=Optimizer("adamw", learning_rate=0.01),
    axes=grid(weight_decay=(0.03, 0.1, 0.3, 1.0), seed=range(16)),
    loss=Loss("cross_entropy", label_smoothing=0.1),
    epochs=2000,
    record=Record(metrics=MEASURED, at=every(20), snapshots=0),
    stop=Target(0.95, metric="validation_accuracy"),
    figures=tuple(Figure("metric_curves", {"metric": each, "lines": "weight_decay"}) for each in MEASURED),
)
