"""The Keras code of a question: `model.fit` with its defaults, except for initial weights and the order of batches."""

from pathlib import Path
from typing import Any

import keras  # pyright: ignore[reportMissingImports]  (not in the development environment)
import numpy as np

from benchmarks import service
from benchmarks.handover import load


class Losses(keras.callbacks.Callback):
    """Records the loss over all points after every batch.

    Args:
        x, y: all points.
    """

    def __init__(self, x: np.ndarray, y: np.ndarray) -> None:
        super().__init__()
        self._x, self._y, self.found = x, y, []

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Record the loss of the current model."""
        self.record()

    def record(self) -> None:
        """Append the loss over all points."""
        self.found.append(float(np.mean((self.model.predict_on_batch(self._x) - self._y) ** 2)))


def train(system: str, path: str, steps: int) -> dict[str, Any]:
    """Train 000a.

    Args:
        system: its name.
        path: the file of data, initial weights and orders of the points.
        steps: the number of steps.

    Returns:
        The losses before the first step and after each, and the values that Keras chose.
    """
    assert system == "000a"
    handover = load(Path(path), (16,))
    (group,) = handover.groups
    assert group.orders is not None
    x, y = handover.inputs, group.target[0][:, None]
    model = keras.Sequential(
        [
            keras.Input((1,)),
            keras.layers.Dense(16, activation="relu"),
            keras.layers.Dense(16, activation="relu"),
            keras.layers.Dense(1),
        ]
    )
    model.compile(optimizer=keras.optimizers.Adam(learning_rate=1e-3), loss="mse")
    model.set_weights([group.trees[name][leaf][0] for name in group.trees for leaf in ("kernel", "bias")])
    losses = Losses(x, y)
    losses.set_model(model)
    losses.record()
    for order in group.orders[0]:
        model.fit(x[order], y[order], shuffle=False, verbose=0, callbacks=[losses])
    steps_per_epoch = int(model.optimizer.iterations) / len(group.orders[0])
    epsilon = float(model.optimizer.epsilon)
    return {"losses": losses.found[: steps + 1], "steps_per_epoch": steps_per_epoch, "epsilon": epsilon}


if __name__ == "__main__":
    service.serve({}, {"train": train})
