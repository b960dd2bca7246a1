"""Three spirals in a plane: no straight line tells them apart, one hidden layer does, also at new points."""

import numpy as np

from sweep import MLP, Data, Experiment, Figure, Optimizer, Record, grid, linear_spaced

RNG = np.random.default_rng(0)
ARM, RADIUS = np.repeat(range(3), 100), np.tile(np.linspace(0.05, 1, 100), 3)
ANGLE = 4 * RADIUS + 2 * np.pi * ARM / 3 + 0.2 * RNG.normal(size=300)

experiment = Experiment(
    question="Can a linear model tell three spirals apart, and how many hidden layers can?",
    task=Data(
        RADIUS[:, None] * np.stack([np.cos(ANGLE), np.sin(ANGLE)], axis=1),
        np.array(["first", "second", "third"])[ARM],
        validation=0.25,
    ),
    model=MLP(width=100, activation="relu"),
    optimizer=Optimizer("adam", learning_rate=3e-3),
    axes=grid(depth=(0, 1, 2), seed=range(8)),
    loss="cross_entropy",
    epochs=500,
    record=Record(metrics=("validation_loss", "validation_accuracy"), at=linear_spaced(50)),
    figures=(Figure("surface"), Figure("metric_curves", {"metric": "validation_accuracy", "lines": "depth"})),
)
