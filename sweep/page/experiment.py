"""The form a user fills: one frozen `Experiment`, cross-checked when it is made, and resolved lane by lane."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Final, Literal

import numpy as np

from sweep.base.errors import SweepError, article, unknown
from sweep.base.labels import METRICS, Better
from sweep.base.text import check_text
from sweep.page.axes import Axes, Lanes, Value, lay_out
from sweep.page.shape import Shape, blank, steps_per_epoch
from sweep.page.specs.claim import Claim
from sweep.page.specs.figure import NEEDS, Figure, referred
from sweep.page.specs.knobs import Knob, Spec, choice, count, knobs_of
from sweep.page.specs.model import Model
from sweep.page.specs.optimizer import Optimizer
from sweep.page.specs.record import Record
from sweep.page.specs.stop import Halving, Stop
from sweep.page.specs.task import FromFunction, Table, Task
from sweep.page.specs.window import Window

CLASSIFYING: Final = ("binary_cross_entropy", "binary_cross_entropy_with_logits")  # losses of targets 0 and 1
LOSSES: Final = (
    "mean_squared",
    "summed_squared",
    "half_summed_squared",
    "mean_absolute",
    *CLASSIFYING,
)
PRECISIONS: Final = ("float32", "float64")
SEEDS: Final = ("seed", "data_seed")
PARTS: Final = ("task", "model", "optimizer")


@dataclass(frozen=True, kw_only=True)
class Experiment(Spec):
    """A question, and everything needed to answer it by training.

    Args:
        question: what is asked, in one sentence; the title of its figures.
        task: points and target.
        model: the network.
        optimizer: the optimiser and its numbers.
        axes: what is swept; every combination is one lane.
        epochs: length of each training in passes over the points.
        loss: the training loss, one of `LOSSES`; as an axis it is called `loss_function`.
        batch_size: points in a batch, reshuffled each epoch with the short last batch kept; None is full batch.
        seed: initial weights and batch order, where no axis sweeps it.
        data_seed: points, phases and noise, where no axis sweeps it.
        precision: "float32" or "float64".
        record: what is measured and when.
        stop: when a lane may end before its last epoch; None never.
        figures: what is drawn; none means all that fit.
        claims: statements that the results decide (`python -m sweep.claims`).
        name: the page's name, filled in by `load`; "@smoke" or "@" and a hash behind it mark variations.

    Raises:
        SweepError: for an axis that no spec knows or that does not apply, a value out of range, or a
            record or figure that the task can't give.
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
        for part, kind in (("task", Task), ("model", Model), ("optimizer", Optimizer), ("axes", Axes)):
            if not isinstance(getattr(self, part), kind):
                raise SweepError(f"{part} must be {article(kind.__name__)}, got {getattr(self, part)!r}")
        check_text("question", self.question)
        if isinstance(self.epochs, bool) or not isinstance(self.epochs, int) or self.epochs < 1:
            raise SweepError(f"epochs must be a whole number of at least 1, got {self.epochs!r}")
        if self.precision not in PRECISIONS:
            raise unknown("precision", self.precision, PRECISIONS)
        if self.batch_size is not None and self.batch_size > self.task.points:
            raise SweepError(f"batch_size must be at most the {self.task.points} points, got {self.batch_size}")
        self._check_loss()
        self._check_parameters()
        self._check_axes()
        self._check_record()
        self._check_stop()
        for figure in self.figures:
            self._check_figure(figure)
        self._check_claims()

    def knobs(self) -> dict[str, tuple[str, Knob]]:
        """List what an axis may sweep: for each name the part it belongs to ("" is the experiment itself)."""
        found = {name: ("", knob) for name, knob in knobs_of(type(self)).items()}
        for part in PARTS:
            found |= {name: (part, knob) for name, knob in knobs_of(type(getattr(self, part))).items()}
        if isinstance(self.task, FromFunction):
            for name in self.task.parameters:
                found[name] = ("parameters", Knob(name, name, True, "1", _any_number(name)))
        return found

    def _check_loss(self) -> None:
        if self.loss not in CLASSIFYING or isinstance(self.task, FromFunction):
            return
        if not isinstance(self.task, Table) or not all(0 <= target <= 1 for target in self.task.targets):
            raise SweepError(
                f"loss {self.loss!r} needs targets from 0 to 1, which this {type(self.task).__name__} does not give"
            )
        if self.task.noise:
            raise SweepError(f"loss {self.loss!r} needs targets without noise, got noise {self.task.noise:g}")
        if self.loss == "binary_cross_entropy" and getattr(self.model, "output_activation", "sigmoid") != "sigmoid":
            raise SweepError(
                "loss 'binary_cross_entropy' is of probabilities: take output_activation='sigmoid', or the loss "
                "'binary_cross_entropy_with_logits'"
            )

    def _check_parameters(self) -> None:
        taken = {*knobs_of(type(self)), *knobs_of(type(self.model)), *knobs_of(type(self.optimizer))}
        for name in self.task.parameters if isinstance(self.task, FromFunction) else ():
            if name in taken:
                raise SweepError(f"parameter {name!r} of the target function has the name of a knob: rename it")

    def _check_axes(self) -> None:
        knobs = self.knobs()
        for name in self.axes.knobs():
            if name not in knobs:
                raise self._no_knob(name, knobs)
            for value in self.axes.values(name):
                if value is not None:
                    _check_swept(knobs[name][1], value)
        if self.axes.factors:
            lanes = lay_out(self.axes)
            for variant, members in self.variants(lanes):  # making a variant checks its structure
                variant._check_ends(lanes, members)

    def _no_knob(self, name: str, knobs: Mapping[str, Any]) -> SweepError:
        """Build the error for an axis that is none: of a field that can't be swept, or of no field at all."""
        for owner in (self, self.task, self.model, self.optimizer):
            if name in {each.name for each in fields(owner) if not each.name.startswith("_")}:
                kind = type(owner).__name__
                return SweepError(
                    f"{name!r} of {kind} is no knob, so no axis can sweep it: run a page for each value; "
                    f"its knobs are {', '.join(sorted(set(knobs) & set(knobs_of(type(owner)))))}"
                )
        return unknown("knob", name, knobs)

    def _check_ends(self, lanes: Lanes, members: np.ndarray) -> None:
        """Let the specs check the smallest and the largest value of each swept number in this structure."""
        for name, column in lanes.columns.items():
            part, knob = self.knobs()[name]
            given = column[members] if knob.traced and part in PARTS else np.array([])
            present = given[~np.isnan(given)]
            for value in (present.min(), present.max()) if present.size else ():
                self.with_values({name: value.item()})

    def _check_record(self) -> None:
        for name in self.record.metrics or ():
            if name not in self._applicable_metrics():
                raise SweepError(f"metric {name!r} does not apply to {type(self.task).__name__} as it is set up here")
        for metric in self.record.own:
            if metric.name in self.knobs():
                raise SweepError(f"metric {metric.name!r} of the page's own has the name of a knob: rename it")
            for dim in set(metric.dims) - self._dimensions():
                raise SweepError(f"metric {metric.name!r} states the dimension {dim!r}, which this task does not have")

    def _check_stop(self) -> None:
        if self.stop is None:
            return
        if not isinstance(self.stop, Stop):
            raise SweepError(f"stop must be a Target, a Halving or None, got {self.stop!r}")
        own = {metric.name: metric.quantity() for metric in self.record.own}
        recorded = {name: METRICS[name] for name in self.metrics()} | own
        single = {name: each for name, each in recorded.items() if not each.dims}
        if self.stop.metric not in single:
            known = ", ".join(repr(name) for name, each in single.items() if each.better)
            raise SweepError(f"a lane can stop by {known}, one number each, not by {self.stop.metric!r}")
        if self.stop_better() is None:
            how = "say better='lower' or 'higher' in its Metric" if self.stop.metric in own else "stop by another"
            raise SweepError(f"no lane can stop by {self.stop.metric!r}, none of whose values are better: {how}")
        if not isinstance(self.stop, Halving):
            return
        for name in self.stop.within:
            if name not in self.axes.knobs():
                raise unknown("axis to halve within", name, self.axes.knobs())
            if name in SEEDS and self.stop.by == "median":
                raise SweepError(
                    f"within of Halving names {name!r}, but by='median' seeds do not compete: leave it out"
                )

    def stop_better(self) -> Better:
        """Tell which values are better of the metric that the rule to stop looks at; None without a rule."""
        if self.stop is None:
            return None
        own: dict[str, Better] = {metric.name: metric.better for metric in self.record.own}
        return own[self.stop.metric] if self.stop.metric in own else METRICS[self.stop.metric].better

    def _dimensions(self) -> frozenset[str]:
        """Name the dimensions that values of a record may have here."""
        has = {"layer"} | ({"x"} if self.shown() else set())
        return frozenset(has | ({"frequency"} if self.task.reported_frequencies() else set()))

    def _check_figure(self, figure: Figure) -> None:
        metrics = {*self.metrics(), *(metric.name for metric in self.record.own)}
        has = metrics | {*self.axes.dimensions()} | self._dimensions()
        has |= {"prediction"} if self.shown() and self.record.snapshots else set()
        factors = zip(self.axes.dimensions(), self.axes.factors, strict=True)
        has |= {knob for name, factor in factors if name.startswith("point") for knob in factor.knobs}
        for need in (*NEEDS[figure.name], *referred(figure)):
            if need not in has:
                raise SweepError(f"figure {figure.name!r} needs {need!r}, which this page neither sweeps nor records")

    def _check_claims(self) -> None:
        if not isinstance(self.claims, tuple) or not all(isinstance(claim, Claim) for claim in self.claims):
            raise SweepError(f"claims must hold a Claim each, got {self.claims!r}")
        names = [claim.id for claim in self.claims]
        for claim in self.claims:
            if names.count(claim.id) > 1:
                raise SweepError(f"claim {claim.id!r} is there twice: give each an id of its own")
            if claim.figure and self.figures and claim.figure not in {figure.name for figure in self.figures}:
                raise unknown(f"figure of claim {claim.id!r}", claim.figure, [figure.name for figure in self.figures])

    def shown(self) -> Window | None:
        """Give the x that errors and predictions are shown over; None for a task without x."""
        own = self.task.window()
        return own and (self._shown or self.record.x or own)

    def _applicable_metrics(self) -> frozenset[str]:
        """Name the built-in metrics that this task, seen over this x, can give with this loss."""
        shown, task = self.shown(), self.task
        missing = set() if shown else {"spatial_error"}
        missing |= set() if shown and shown.beyond(task.low, task.high).any() else {"extrapolation_error"}
        missing |= set() if task.reported_frequencies() else {"spectral_error"}
        missing |= set() if self.loss in CLASSIFYING else {"accuracy"}
        return frozenset(METRICS) - missing

    def metrics(self) -> tuple[str, ...]:
        """Name the built-in metrics recorded, in the order of the vocabulary; `loss` always is."""
        applicable, wanted = self._applicable_metrics(), self.record.metrics
        return tuple(m for m in METRICS if m in applicable and (wanted is None or m in ("loss", *wanted)))

    def variants(self, lanes: Lanes) -> Iterator[tuple[Experiment, np.ndarray]]:
        """Split lanes by structure.

        Yields:
            The experiment with that structure's values put in, and the numbers of its lanes.

        Raises:
            SweepError: for a knob that does not apply to a structure it is combined with.
        """
        knobs = self.knobs()
        structural = [name for name in lanes.columns if not knobs[name][1].traced]
        group, rows = grouped([lanes.columns[name] for name in structural], len(lanes))
        for number, row in enumerate(rows):
            values = {name: _whole(v) for name, v in zip(structural, row, strict=True) if not _missing(v)}
            variant = self.with_values(values)
            members = np.flatnonzero(group == number)
            variant._refuse_inapplicable(lanes, members)
            yield variant, members

    def with_values(self, values: Mapping[str, Value]) -> Experiment:
        """Give this experiment with other values for some knobs and no axes, to be shown over the same x."""
        knobs, changed = self.knobs(), {}
        for name, value in values.items():
            part, knob = knobs[name]
            changed.setdefault(part, {})[knob.attribute] = value
        own = dict(changed.pop("", {}))
        for part, fields_ in changed.items():
            own[part] = replace(getattr(self, part), **fields_)
        return replace(self, **own, axes=Axes(), figures=(), claims=(), stop=None, _shown=self.shown())

    def applicable(self) -> frozenset[str]:
        """Name the knobs that have a meaning in this experiment's structure."""
        parts = [getattr(self, part).applicable() for part in PARTS]
        return frozenset(knobs_of(type(self))).union(*parts)

    def _refuse_inapplicable(self, lanes: Lanes, members: np.ndarray) -> None:
        for name in set(lanes.columns) - self.applicable():
            given = lanes.columns[name][members]
            if not all(_missing(value) for value in given):
                raise SweepError(
                    f"axis {name!r} does not apply to optimizer {self.optimizer.name!r} with "
                    f"{type(self.model).__name__} and {type(self.task).__name__} as set up here: "
                    f"sweep it in a part of its own, joined with +"
                )

    def numbers(self, lanes: Lanes, members: np.ndarray) -> dict[str, np.ndarray]:
        """Give every traced number of some lanes of this structure: swept, set by the page, or a default."""
        found = {}
        for name, (_, knob) in self.knobs().items():
            if not knob.traced or name not in self.applicable():
                continue
            page = self.value(name)
            column = lanes.columns.get(name, np.full(len(lanes), np.nan))[members]
            filled = np.where(np.isnan(column.astype(float)), page, column) if page is not None else column
            found[name] = filled.astype(np.int64 if name in ("seed", "data_seed") else np.float64)
        return found

    def value(self, name: str) -> Any:
        """Give a knob's value where no axis sweeps it: the page's, or the default where the page leaves it open."""
        part, knob = self.knobs()[name]
        if part == "parameters":
            assert isinstance(self.task, FromFunction)
            return self.task.parameters[knob.name]
        value = getattr(getattr(self, part) if part else self, knob.attribute)
        return self.optimizer.default(knob.name) if value is None else value

    def shape(self) -> Shape:
        """Give the Shape of this structure's lanes."""
        return Shape(
            task=blank(self.task),
            model=blank(self.model),
            optimizer=blank(self.optimizer),
            shown=self.shown(),
            loss=self.loss,
            batch_size=self.batch_size,
            steps=self.epochs * steps_per_epoch(self.task.points, self.batch_size),
            precision=self.precision,
            metrics=self.metrics(),
            own=self.record.own,
        )


def _check_swept(knob: Knob, value: Value) -> None:
    """Check a value of an axis; a number with a fraction for a whole one may have been drawn."""
    try:
        knob.check(value)
    except SweepError as error:
        if knob.kind is int and isinstance(value, float) and not value.is_integer():
            told = f"sampled draws no whole numbers: draw them in the page, and sweep zipped({knob.name}=[...])"
            raise SweepError(f"{error}; {told}") from error
        raise


def _any_number(name: str) -> Any:
    def check(value: Any) -> None:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise SweepError(f"{name} must be a number, got {value!r}")

    return check


def _missing(value: Any) -> bool:
    return value == "" or value != value  # NaN is the number that differs from itself


def _whole(value: Any) -> Any:
    """Undo the float that a column with gaps makes of a count; structural numbers are counts."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def grouped(columns: list[np.ndarray], size: int) -> tuple[np.ndarray, list[tuple[Any, ...]]]:
    """Number the distinct rows of some columns in order of appearance."""
    code = np.zeros(size, np.int64)
    for column in columns:
        values, inverse = np.unique(column, return_inverse=True)
        code = np.unique(code * len(values) + inverse, return_inverse=True)[1]
    _, first, group = np.unique(code, return_index=True, return_inverse=True)
    appearance = np.argsort(first)
    rank = np.argsort(appearance)
    rows = [tuple(column[first[at]] for column in columns) for at in appearance]
    return rank[group], [tuple(v.item() if isinstance(v, np.generic) else v for v in row) for row in rows]
