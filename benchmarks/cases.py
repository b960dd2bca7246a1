"""The work of every side: plain numbers, so that no side needs the libraries of another to read them."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

FREQUENCIES: Final = tuple(range(1, 9))
CHECK_STEPS: Final = 20


@dataclass(frozen=True)
class Case:
    """One piece of work: networks to train.

    Args:
        name: its name on the command line and in the results.
        title: its name in the table and the figure.
        widths: neurons of each hidden layer; networks of several widths are trained together.
        lanes: number of trainings of each width.
        epochs: passes over the points in one training.
        depth: hidden layers.
        activation: "tanh", "relu" or "sine".
        points: training points.
        batch_size: points in a batch, shuffled each epoch, with the shorter last batch kept; None is full batch.
        epsilon: of Adam.
        task: "sines" (a sum of eight, with other phases in each lane) or "period" (sin x on [0, 2 pi], both ends).
    """

    name: str
    title: str
    widths: tuple[int, ...]
    lanes: int
    epochs: int
    depth: int = 3
    activation: str = "tanh"
    points: int = 128
    batch_size: int | None = None
    epsilon: float = 1e-8
    learning_rate: float = 1e-3
    task: str = "sines"

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> "Case":
        """Make a case from its fields in JSON, where `widths` is a list."""
        values: dict[str, Any] = fields | {"widths": tuple(fields["widths"])}
        return cls(**values)

    def steps_per_epoch(self) -> int:
        """Count optimiser steps in an epoch."""
        return -(-self.points // (self.batch_size or self.points))

    def steps(self) -> int:
        """Count optimiser steps in one training."""
        return self.epochs * self.steps_per_epoch()

    def layers(self, width: int) -> list[tuple[int, int]]:
        """List (inputs, outputs) of each layer."""
        sizes = (1, *(width,) * self.depth, 1)
        return list(pairwise(sizes))


CASES: Final = {
    case.name: case
    for case in (
        Case("width16", "width 16, tanh", (16,), lanes=256, epochs=1000),
        Case("width64", "width 64, tanh", (64,), lanes=64, epochs=400),
        Case("width128", "width 128, tanh", (128,), lanes=64, epochs=120),
        Case("mixed", "widths 16, 32, 64, 128, tanh", (16, 32, 64, 128), lanes=64, epochs=100),
        Case("relu", "width 64, ReLU", (64,), lanes=64, epochs=400, activation="relu"),
        Case("sine", "width 64, sine", (64,), lanes=64, epochs=200, activation="sine"),
        Case(
            "keras", "16-16 ReLU, batches of 32", (16,), lanes=256, epochs=500, depth=2, activation="relu",
            points=100, batch_size=32, epsilon=1e-7, task="period",
        ),
    )
}  # fmt: skip
# Less than a minute on two cores, including compilation.
QUICK: Final = Case("quick", "widths 16, 32, 64, 128, tanh", (16, 32, 64, 128), lanes=32, epochs=100)
