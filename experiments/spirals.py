"""Three classes in a plane: data of one's own, with validation, and the map that a network makes of them."""

import numpy as np

from sweep import MLP, Data, Experiment, Figure, Optimizer, Record, grid, linear_spaced


def spirals(rows: int = 100, turns: float = 0.9, noise: float = 0.12) -> tuple[np.ndarray, np.ndarray]:
    """Three arms of a spiral: points of shape (3 rows, 2), and the name of each one's arm."""
    rng = np.random.default_rng(0)
    arm, radius = np.repeat(range(3), rows), np.tile(np.linspace(0.05, 1, rows), 3)
    angle = 2 * np.pi * (turns * radius + arm / 3) + noise * rng.normal(size=3 * rows)
    points = radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return points, np.array(["first arm", "second arm", "third arm"])[arm]


experiment = Experiment(
    question="How wide must a network be to tell three arms of a spiral apart?",
    task=Data(*spirals(), validation=0.25),
    model=MLP(depth=2),
    optimizer=Optimizer("adam"),
    axes=grid(width=(4, 8, 32), learning_rate=(1e-3, 3e-3, 1e-2), seed=range(8)),
    loss="cross_entropy",
    epochs=1500,
    record=Record(at=linear_spaced(50)),
    figures=(Figure("surface"), Figure("predicted"), Figure("loss_curves")),
)
