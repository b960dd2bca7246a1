"""What a page defines: one frozen `Experiment`. `checks` checks that its parts fit, `resolve` makes its lanes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from sweep.base.errors import SweepError
from sweep.base.labels import METRICS, SEEDS, Better
from sweep.page.axes import Axes
from sweep.page.checks import check, check_parts
from sweep.page.resolve import shape_of
from sweep.page.specs.absent import NO_MODEL, NO_OPTIMIZER, NO_TASK
from sweep.page.specs.claim import Claim
from sweep.page.specs.figure import Figure
from sweep.page.specs.knobs import Knob, Spec, choice, count, knobs_of
from sweep.page.specs.loss import LOSSES, OF_CLASSES, Loss, as_loss, loss_knobs
from sweep.page.specs.model import Model
from sweep.page.specs.optimizer import Optimizer
from sweep.page.specs.record import Metric, Record, own_dimensions
from sweep.page.specs.stop import Stop
from sweep.page.specs.task import FromFunction, Task
from sweep.page.specs.training import FromTraining
from sweep.page.specs.update_rule import UpdateRule
from sweep.page.specs.window import Window


@dataclass(frozen=True, kw_only=True)
class Experiment(Spec):
    """A question, and everything needed to answer it by training.

    Args:
        question: the question, in one sentence; the title of its figures.
        task: points and target.
        model: the network.
        optimizer: the optimiser and its numbers: an `Optimizer`, or `FromOptax` for one of the page's own.
        training: in place of task, model, optimizer, loss and batch_size, a training of the page's own.
        axes: the swept values; every combination is one lane.
        epochs: length of each training in passes over the points.
        loss: the training loss, one of `LOSSES` or a `Loss`; as an axis its name is called `loss_function`.
        batch_size: points in a batch, reshuffled each epoch with the short last batch kept; None is full batch.
        seed: seed of initial weights and batch order, where no axis sweeps it.
        data_seed: seed of points, phases and noise, where no axis sweeps it.
        precision: "float32" or "float64".
        record: what is measured and when.
        stop: the rule by which a lane ends before its last epoch, or several, of which the first that applies ends it;
            None: lanes never do.
        figures: what is drawn; if empty, all figures that fit.
        claims: statements that the results decide (`python -m sweep.claims`).
        name: the page's name, set by `load`; variations have "@" and a description or a hash appended, as in "@smoke".

    Raises:
        SweepError: for an axis that no spec has or that does not apply, a value out of range, or a
            record or figure that is not possible with the task.
    """

    question: str
    axes: Axes
    task: Task = NO_TASK
    model: Model = NO_MODEL
    training: FromTraining | None = None
    optimizer: UpdateRule = field(default_factory=Optimizer)
    epochs: int = 1000
    loss: str | Loss = choice("mean_squared", LOSSES, kind="loss", name="loss_function", or_a=Loss)
    batch_size: int | None = count(None, units="points")
    seed: int = count(0, at_least=0, traced=True)
    data_seed: int = count(0, at_least=0, traced=True)
    precision: Literal["float32", "float64"] = "float32"
    record: Record = field(default_factory=Record)
    stop: Stop | tuple[Stop, ...] | None = None
    figures: tuple[Figure, ...] = ()
    claims: tuple[Claim, ...] = ()
    name: str = "experiment"
    _shown: Window | None = None  # in a variant, the x of its page
    _swept: tuple[str, ...] | None = None  # and the knobs that its page sweeps

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.training is not None and self.optimizer == Optimizer():
            object.__setattr__(self, "optimizer", NO_OPTIMIZER)  # nobody gave that one
        check_parts(self)
        knobs = {name: knob for name, (_, knob) in self.knobs().items()}
        object.__setattr__(self, "axes", self.axes.written(knobs))
        check(self)

    def parts(self) -> tuple[str, ...]:
        """Name the fields whose specs have knobs, beside the page itself and its loss."""
        return ("training",) if self.training else ("task", "model", "optimizer")

    def absent(self) -> tuple[str, ...]:
        """Name the fields that say nothing on this page."""
        return ("task", "model", "optimizer", "loss", "batch_size") if self.training else ("training",)

    def own_metrics(self) -> tuple[Metric, ...]:
        """List the metrics that the page defines."""
        return self.training.metrics if self.training else self.record.own

    def own_numbers(self) -> frozenset[str]:
        """Name the numbers that the page hands to code of its own."""
        specs = [getattr(self, part) for part in self.parts()] + [as_loss(self.loss)]
        names = {name for spec in specs for name in getattr(spec, "numbers", ())}
        return frozenset(names | set(self.task.parameters if isinstance(self.task, FromFunction) else ()))

    def knobs(self) -> dict[str, tuple[str, Knob]]:
        """List the knobs that an axis may sweep, by name, each with its part ("" is the experiment itself)."""
        found = {name: ("", knob) for name, knob in knobs_of(type(self)).items()}
        for part in self.parts():
            found |= {name: (part, knob) for name, knob in getattr(self, part).own_knobs().items()}
        if self.training:
            return {name: each for name, each in found.items() if each[0] or name in SEEDS}
        found |= {name: ("loss", knob) for name, knob in loss_knobs(self.loss).items()}
        if isinstance(self.task, FromFunction):
            for name in self.task.parameters:
                found[name] = ("parameters", Knob(name, name, True, "1", _any_number(name)))
        return found

    def has_rows(self) -> bool:
        """Tell whether the task has data, for rows of which predictions are stored."""
        return self.task.samples() is not None

    def rules(self) -> tuple[Stop, ...]:
        """List the rules by which lanes end early."""
        if self.stop is None:
            return ()
        return self.stop if isinstance(self.stop, tuple) else (self.stop,)

    def better(self, metric: str) -> Better:
        """Tell which values of a recorded metric are better."""
        own: dict[str, Better] = {each.name: each.better for each in self.own_metrics()}
        return own[metric] if metric in own else METRICS[metric].better

    def dimensions(self) -> frozenset[str]:
        """Name the dimensions that recorded values may have."""
        if self.training:
            return frozenset(self.training.dimensions())
        shown = self.shown()
        has = {"layer", *own_dimensions(self.record.own), *(shown.dims() if shown else ())}
        has |= {"sample"} if self.has_rows() else set()
        has |= {"output"} if shape_of(self).outputs() else set()
        return frozenset(has | ({"frequency"} if self.task.reported_frequencies() else set()))

    def shown(self) -> Window | None:
        """Return the x at which errors and predictions are shown; None for a task without x."""
        training_range = self.task.window()
        return training_range and (self._shown or self.record.x or training_range)

    def is_variant(self) -> bool:
        """Tell whether it is the part of a page with one structure, as `resolve` makes it."""
        return self._swept is not None

    def swept(self) -> tuple[str, ...]:
        """Name the knobs that the page sweeps; of a variant, those that its page sweeps."""
        return self.axes.knobs() if self._swept is None else self._swept

    def has(self) -> frozenset[str]:
        """Name which needs of metrics are met.

        These are "clean" (noiseless targets), "x" (a target at each x), "beyond" (x outside the training range),
        "frequency", "classes", "validation" and "average" (of the parameters).
        """
        shown, task = self.shown(), self.task
        found = {"x"} if shown and task.has_target_at_x() else set()
        found |= {"clean"} if task.has_noiseless_target() else set()
        found |= {"validation"} if task.validation_rows() else set()
        found |= {"beyond"} if shown and found >= {"x"} and shown.beyond(*task.ends()).any() else set()
        found |= {"frequency"} if task.reported_frequencies() else set()
        found |= {"average"} if self.optimizer.averages() else set()
        return frozenset(found | ({"classes"} if as_loss(self.loss).of in OF_CLASSES else set()))

    def applicable_metrics(self) -> frozenset[str]:
        """Name the built-in metrics that can be measured with this task, x and loss."""
        if self.training:
            return frozenset({"loss"})
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
