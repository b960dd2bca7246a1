"""Shape: everything about a lane that decides its code and not its numbers. Lanes of one Shape form a block."""

from copy import copy
from dataclasses import dataclass, replace
from typing import Any, Final

from sweep.base.labels import METRICS, RECORDED, Quantity
from sweep.page.specs.loss import Loss
from sweep.page.specs.model import Model
from sweep.page.specs.record import Metric
from sweep.page.specs.task import Task
from sweep.page.specs.training import FromTraining
from sweep.page.specs.update_rule import UpdateRule
from sweep.page.specs.window import Window

PREDICTION: Final = "prediction"
SAMPLE_PREDICTION: Final = "sample_prediction"


@dataclass(frozen=True)
class Shape:
    """Everything that decides a lane's code: what remains of it without its traced numbers; hashable.

    Args:
        task, model, optimizer: specs with traced fields at their defaults (see `blank`).
        shown: the x at which all lanes of a sweep are shown, whatever their training points; None for tasks without x.
        loss: the training loss.
        batch_size: points in a batch; None is full batch.
        steps: optimiser steps in the whole training, which schedules depend on.
        precision: "float32" or "float64".
        common_data: whether all lanes of the sweep have the same data, which are then held once.
        metrics: names of the built-in metrics recorded.
        own: metrics that the page defines.
        training: in place of task, model, optimizer and loss, a training that the page defines, blank as they are.
    """

    task: Task
    model: Model
    optimizer: UpdateRule
    shown: Window | None
    loss: Loss
    batch_size: int | None
    steps: int
    precision: str
    metrics: tuple[str, ...]
    own: tuple[Metric, ...]
    common_data: bool = False
    training: FromTraining | None = None

    def steps_per_epoch(self) -> int:
        """Count optimiser steps in an epoch; the short last batch is kept."""
        return steps_per_epoch(self.task.points, self.batch_size)

    def outputs(self) -> tuple[str, ...]:
        """Name the network's outputs: the classes, or those of the task; none for a single one."""
        if self.has_classes():
            return self.task.class_names()
        return self.task.output_names()

    def has_classes(self) -> bool:
        """Tell whether targets are numbers of classes, with an output for each."""
        of = self.loss.of
        return of == "classes" or (of is None and self.task.has_only_classes())

    def quantities(self) -> tuple[Quantity, ...]:
        """List what a record holds, including the prediction over x if the task has an x."""
        found = [self._over_window(METRICS[name]) for name in self.metrics]
        found += [metric.quantity() for metric in self.own]
        output = ("output",) if self.outputs() else ()
        if self.shown:
            found.append(replace(RECORDED[PREDICTION], dims=(*self.shown.dims(), *output)))
        if self.task.samples() is not None:
            found.append(replace(RECORDED[SAMPLE_PREDICTION], dims=("sample", *output)))
        return tuple(found)

    def _over_window(self, quantity: Quantity) -> Quantity:
        """Replace the dimension x of a quantity by those of the window."""
        dims = [self.shown.dims() if dim == "x" and self.shown else (dim,) for dim in quantity.dims]
        return replace(quantity, dims=sum(dims, ()))


def steps_per_epoch(points: int, batch_size: int | None) -> int:
    """Count the batches of an epoch, including the short last one."""
    return -(-points // (batch_size or points))


def blank(spec: Any) -> Any:
    """Return a spec with traced and unused fields at their defaults, so that specs of one structure are equal."""
    bare = copy(spec)
    for name, value in spec.blanks().items():
        object.__setattr__(bare, name, value)  # without checks: a default may not fit the other fields
    return bare
