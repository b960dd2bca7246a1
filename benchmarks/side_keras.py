"""The Keras side: `model.fit`, one training after another."""

import time

import keras  # pyright: ignore[reportMissingImports]  (not in the development environment)
import numpy as np

from benchmarks import service
from benchmarks.cases import Case
from benchmarks.handover import Group, Handover
from benchmarks.service import Choice, Trained


class Fit:
    """`model.fit` with its defaults except the number of epochs; one model is compiled once and trains all lanes."""

    def __init__(self, case: Case, handover: Handover) -> None:
        self._case, self._x, self.choices = case, handover.inputs, {}
        self._timed, self._compared = self._model(), self._model(run_eagerly=True)

    def _model(self, **options: bool) -> keras.Sequential:
        case = self._case
        (width,) = case.widths
        hidden = [keras.layers.Dense(width, activation=case.activation) for _ in range(case.depth)]
        model = keras.Sequential([keras.Input((1,)), *hidden, keras.layers.Dense(1)])
        model.compile(keras.optimizers.Adam(case.learning_rate, epsilon=case.epsilon), loss="mse", **options)
        model.fit(self._x, np.zeros_like(self._x), batch_size=case.batch_size, verbose=0)  # builds and compiles
        return model

    def train(self, groups: list[Group], steps: int, choice: Choice, check: bool) -> Trained:
        """Train one lane after another; for a check epoch by epoch with the given orders and `SameEpsilon`."""
        (group,) = groups
        model, batch = self._compared if check else self._timed, self._case.batch_size
        epochs, seconds, losses = steps // self._case.steps_per_epoch(), 0.0, []
        for lane, target in enumerate(group.target):
            _restart(model, group, lane)
            x, y = self._x, target[:, None]
            begun = time.perf_counter()
            if check:
                assert group.orders is not None
                same = SameEpsilon(self._case.epsilon)
                for order in group.orders[lane, :epochs]:
                    model.fit(x[order], y[order], batch_size=batch, shuffle=False, verbose=0, callbacks=[same])
            else:
                model.fit(x, y, epochs=epochs, batch_size=batch, verbose=0)
            losses.append(np.mean((model.predict_on_batch(x) - y) ** 2))
            seconds += time.perf_counter() - begun
        return Trained(seconds, [np.array(losses)])


class SameEpsilon(keras.callbacks.Callback):
    """Makes the Adam of Keras equal to that of the other sides.

    Keras adds epsilon to the root of the second moment before the correction of its bias, the others after it. With
    ReLU this can change a training by more than the tolerance, so for the check epsilon is corrected too. It changes at
    each step, which has an effect only in a model that runs eagerly.
    """

    def __init__(self, epsilon: float) -> None:
        super().__init__()
        self._epsilon = epsilon

    def on_train_batch_begin(self, batch: int, logs: dict | None = None) -> None:
        """Correct epsilon for the next step."""
        optimizer = self.model.optimizer
        step = int(optimizer.iterations) + 1
        optimizer.epsilon = self._epsilon * float(np.sqrt(1 - optimizer.beta_2**step))


def _restart(model: keras.Sequential, group: Group, lane: int) -> None:
    """Reset a model to initial weights and a fresh optimiser."""
    model.set_weights([group.trees[name][leaf][lane] for name in group.trees for leaf in ("kernel", "bias")])
    rate = float(model.optimizer.learning_rate)
    for variable in model.optimizer.variables:
        variable.assign(np.zeros(variable.shape, variable.dtype))
    model.optimizer.learning_rate = rate  # it is one of the variables that were set to zero


if __name__ == "__main__":
    service.serve({"keras_fit": Fit})
