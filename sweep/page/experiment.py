"""What a page defines: one frozen `Experiment`. `checks` checks that its parts fit, `resolve` makes its lanes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from sweep.base.errors import SweepError
from sweep.base.labels import METRICS, Better
from sweep.page.axes import Axes
from sweep.page.checks import check
from sweep.page.resolve import PARTS
from sweep.page.specs.claim import Claim
from sweep.page.specs.figure import Figure
from sweep.page.specs.knobs import Knob, Spec, choice, count, knobs_of
from sweep.page.specs.loss import CLASSIFICATION_LOSSES, LOSSES
from sweep.page.specs.model import Model
from sweep.page.specs.optimizer import Optimizer
from sweep.page.specs.record import Record, own_dimensions
from sweep.page.specs.stop import Stop
from sweep.page.specs.task import FromFunction, Task
from sweep.page.specs.window import Window


@dataclass(frozen=True, kw_only=True)
class Experiment(Spec):
    """A question, and everything needed to answer it by training.

    Args:
        question: the question, in one sentence; the title of its figures.
        task: points and target.
        model: the network.
        optimizer: the optimiser and its numbers.
        axes: the swept values; every combination is one lane.
        epochs: length of each training in passes over the points.
        loss: the training loss, one of `LOSSES`; as an axis it is called `loss_function`.
        batch_size: points in a batch, reshuffled each epoch with the short last batch kept; None is full batch.
        seed: seed of initial weights and batch order, where no axis sweeps it.
        data_seed: seed of points, phases and noise, where no axis sweeps it.
        precision: "float32" or "float64".
        record: what is measured and when.
        stop: the rule by which a lane ends before its last epoch; None: lanes never do.
        figures: what is drawn; if empty, all figures that fit.
        claims: statements that the results decide (`python -m sweep.claims`).
        name: the page's name, set by `load`; variations have "@" and a description or a hash appended, as in "@smoke".

    Raises:
        SweepError: for an axis that no spec has or that does not apply, a value out of range, or a
            record or figure that is not possible with the task.
    """

    question: str
    task: Task
    model: Model
    axes: Axes
    optimizer: Optimizer = field(default_factory=Optimizer)
    epochs: int = 1000
    loss: str = choice("mean_squared", LOSSES, kind="loss", name="loss_function")
    batch_size: int | None = count(None, units="points")
    seed: int = count(0, at_least=0, traced=True)
    data_seed: int = count(0, at_least=0, traced=True)
    precision: Literal["float32", "float64"] = "float32"
    record: Record = field(default_factory=Record)
    stop: Stop | None = None
    figures: tuple[Figure, ...] = ()
    claims: tuple[Claim, ...] = ()
    name: str = "experiment"
    _shown: Window | None = None  # in a variant, the x of its page

    def __post_init__(self) -> None:
        super().__post_init__()
        check(self)

    def knobs(self) -> dict[str, tuple[str, Knob]]:
        """List the knobs that an axis may sweep, by name, each with its part ("" is the experiment itself)."""
        found = {name: ("", knob) for name, knob in knobs_of(type(self)).items()}
        for part in PARTS:
            found |= {name: (part, knob) for name, knob in knobs_of(type(getattr(self, part))).items()}
        if isinstance(self.task, FromFunction):
            for name in self.task.parameters:
                found[name] = ("parameters", Knob(name, name, True, "1", _any_number(name)))
        return found

    def stop_better(self) -> Better:
        """Tell which values of the stopping rule's metric are better; None without a rule."""
        if self.stop is None:
            return None
        own: dict[str, Better] = {metric.name: metric.better for metric in self.record.own}
        return own[self.stop.metric] if self.stop.metric in own else METRICS[self.stop.metric].better

    def dimensions(self) -> frozenset[str]:
        """Name the dimensions that recorded values may have."""
        has = {"layer", *own_dimensions(self.record.own)} | ({"x"} if self.shown() else set())
        return frozenset(has | ({"frequency"} if self.task.reported_frequencies() else set()))

    def shown(self) -> Window | None:
        """Return the x at which errors and predictions are shown; None for a task without x."""
        training_range = self.task.window()
        return training_range and (self._shown or self.record.x or training_range)

    def has(self) -> frozenset[str]:
        """Name which needs of metrics are met: "x", "beyond" (x outside the training range), "frequency", "classes"."""
        shown, task = self.shown(), self.task
        found = {"x"} if shown else set()
        found |= {"beyond"} if shown and shown.beyond(task.low, task.high).any() else set()
        found |= {"frequency"} if task.reported_frequencies() else set()
        return frozenset(found | ({"classes"} if self.loss in CLASSIFICATION_LOSSES else set()))

    def applicable_metrics(self) -> frozenset[str]:
        """Name the built-in metrics that can be measured with this task, x and loss."""
        has = self.has()
        return frozenset(name for name, quantity in METRICS.items() if has.issuperset(quantity.needs))

    def metrics(self) -> tuple[str, ...]:
        """Name the built-in metrics that are recorded, in the order of `METRICS`; `loss` always is."""
        applicable, named = self.applicable_metrics(), self.record.metrics
        usual = [name for name, each in METRICS.items() if not each.on_request]
        wanted = usual if named is None else ("loss", *named)
        return tuple(name for name in METRICS if name in applicable and name in wanted)


def _any_number(name: str) -> Any:
    def check(value: Any) -> None:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise SweepError(f"{name} must be a number, got {value!r}")

    return check
