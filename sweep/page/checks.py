"""Whether the parts of a page fit together; each part has checked its own fields when it was made."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from sweep.base.errors import SweepError, unknown_name, with_article
from sweep.base.labels import METRICS, SEEDS
from sweep.base.text import check_text
from sweep.page.axes import POINT, Axes, Value
from sweep.page.resolve import PARTS, applicable_knobs, structures, with_values
from sweep.page.specs.claim import Claim
from sweep.page.specs.figure import Figure, needs_of, references_of
from sweep.page.specs.knobs import Knob, knobs_of
from sweep.page.specs.loss import CLASSIFICATION_LOSSES, PRECISIONS
from sweep.page.specs.model import Model
from sweep.page.specs.optimizer import Optimizer
from sweep.page.specs.stop import Halving, Stop
from sweep.page.specs.task import FromFunction, Table, Task

if TYPE_CHECKING:
    from sweep.page.experiment import Experiment


def check(page: Experiment) -> None:
    """Refuse a page whose parts do not fit together.

    Raises:
        SweepError: for an axis that no spec has or that does not apply, a value out of range, or a record or figure
            that is not possible with the task.
    """
    for part, kind in (("task", Task), ("model", Model), ("optimizer", Optimizer), ("axes", Axes)):
        if not isinstance(getattr(page, part), kind):
            raise SweepError(f"{part} must be {with_article(kind.__name__)}, got {getattr(page, part)!r}")
    check_text("question", page.question)
    if isinstance(page.epochs, bool) or not isinstance(page.epochs, int) or page.epochs < 1:
        raise SweepError(f"epochs must be a whole number of at least 1, got {page.epochs!r}")
    if page.precision not in PRECISIONS:
        raise unknown_name("precision", page.precision, PRECISIONS)
    if page.batch_size is not None and page.batch_size > page.task.points:
        raise SweepError(f"batch_size must be at most the {page.task.points} points, got {page.batch_size}")
    _check_loss(page)
    _check_parameters(page)
    _check_axes(page)
    _check_record(page)
    _check_stop(page)
    for figure in page.figures:
        _check_figure(page, figure)
    _check_claims(page)


def _check_loss(page: Experiment) -> None:
    if page.loss not in CLASSIFICATION_LOSSES or isinstance(page.task, FromFunction):
        return
    if not isinstance(page.task, Table) or not all(0 <= target <= 1 for target in page.task.targets):
        raise SweepError(
            f"loss {page.loss!r} needs targets from 0 to 1, which this {type(page.task).__name__} does not give"
        )
    if page.task.noise:
        raise SweepError(f"loss {page.loss!r} needs targets without noise, got noise {page.task.noise:g}")
    if page.loss == "binary_cross_entropy" and getattr(page.model, "output_activation", "sigmoid") != "sigmoid":
        raise SweepError(
            "loss 'binary_cross_entropy' is of probabilities: take output_activation='sigmoid', or the loss "
            "'binary_cross_entropy_with_logits'"
        )


def _check_parameters(page: Experiment) -> None:
    taken = {*knobs_of(type(page)), *knobs_of(type(page.model)), *knobs_of(type(page.optimizer))}
    for name in page.task.parameters if isinstance(page.task, FromFunction) else ():
        if name in taken:
            raise SweepError(f"parameter {name!r} of the target function has the name of a knob: rename it")


def _check_axes(page: Experiment) -> None:
    knobs = page.knobs()
    for name in page.axes.knobs():
        if name not in knobs:
            raise _no_knob(page, name, knobs)
        for value in page.axes.values(name):
            if value is not None:
                _check_swept(knobs[name][1], value)
    for structure in structures(page) if page.axes.factors else ():  # making a variant checks its structure
        variant = with_values(page, structure.values)
        _refuse_inapplicable(variant, {*structure.values, *structure.ranges})
        for name, ends in structure.ranges.items():
            if page.knobs()[name][0] in PARTS:
                for value in ends:
                    with_values(variant, {name: value})


def _no_knob(page: Experiment, name: str, knobs: Mapping[str, Any]) -> SweepError:
    """Build the error for an axis that is not a knob: it names a field that can't be swept, or no field at all."""
    for owner in (page, page.task, page.model, page.optimizer):
        if name in {each.name for each in fields(owner) if not each.name.startswith("_")}:
            kind = type(owner).__name__
            return SweepError(
                f"{name!r} of {kind} is not a knob, so no axis can sweep it: run a page for each value; "
                f"its knobs are {', '.join(sorted(set(knobs) & set(knobs_of(type(owner)))))}"
            )
    return unknown_name("knob", name, knobs)


def _check_record(page: Experiment) -> None:
    for name in page.record.metrics or ():
        if name not in page.applicable_metrics():
            raise SweepError(f"metric {name!r} does not apply to {type(page.task).__name__} as it is set up here")
        if name in page.knobs():
            raise SweepError(f"metric {name!r} can't be recorded, as a knob of this page has its name: rename the knob")
    for metric in page.record.own:
        if metric.name in page.knobs():
            raise SweepError(f"metric {metric.name!r} of the page has the name of a knob: rename it")
        for dim in set(metric.quantity().dims) - page.dimensions():
            raise SweepError(f"metric {metric.name!r} states the dimension {dim!r}, which this task does not have")
    _check_own_dimensions(page)


def _check_own_dimensions(page: Experiment) -> None:
    """Refuse a dimension of a metric's own that has the name of something else on the page."""
    metrics = {*page.metrics(), *(metric.name for metric in page.record.own)}
    taken = {"a metric": metrics, "a knob": {*page.knobs()}, "a dimension of the axes": {*page.axes.dimensions()}}
    for metric in page.record.own:
        for dim in metric.own_dimensions():
            for kind, names in taken.items():
                if dim.name in names:
                    where = f"dimension {dim.name!r} of metric {metric.name!r}"
                    raise SweepError(f"{where} has the name of {kind}: rename it")


def _check_stop(page: Experiment) -> None:
    if page.stop is None:
        return
    if not isinstance(page.stop, Stop):
        raise SweepError(f"stop must be a Target, a Halving or None, got {page.stop!r}")
    own = {metric.name: metric.quantity() for metric in page.record.own}
    recorded = {name: METRICS[name] for name in page.metrics()} | own
    single = {name: each for name, each in recorded.items() if not each.dims}
    if page.stop.metric not in single:
        known = ", ".join(repr(name) for name, each in single.items() if each.better)
        raise SweepError(f"a lane can't be stopped by {page.stop.metric!r}: name one of {known}")
    if page.stop_better() is None:
        fix = "set better='lower' or 'higher' in its Metric" if page.stop.metric in own else "name another metric"
        raise SweepError(f"a lane can't be stopped by {page.stop.metric!r}, which has no better direction: {fix}")
    if not isinstance(page.stop, Halving):
        return
    for name in page.stop.within:
        if name not in page.axes.knobs():
            raise unknown_name("axis to halve within", name, page.axes.knobs())
        if name in SEEDS and page.stop.by == "median":
            raise SweepError(f"within of Halving names {name!r}, but with by='median' seeds do not compete: remove it")


def _check_figure(page: Experiment, figure: Figure) -> None:
    metrics = {*page.metrics(), *(metric.name for metric in page.record.own)}
    has = metrics | {*page.axes.dimensions()} | page.dimensions()
    has |= {"prediction"} if page.shown() and page.record.snapshots else set()
    factors = zip(page.axes.dimensions(), page.axes.factors, strict=True)
    has |= {knob for name, factor in factors if name.startswith(POINT) for knob in factor.knobs}
    for need in (*needs_of(figure), *references_of(figure)):
        if need not in has:
            raise SweepError(f"figure {figure.name!r} needs {need!r}, which this page neither sweeps nor records")


def _check_claims(page: Experiment) -> None:
    if not isinstance(page.claims, tuple) or not all(isinstance(claim, Claim) for claim in page.claims):
        raise SweepError(f"claims must be Claims, got {page.claims!r}")
    names = [claim.id for claim in page.claims]
    for claim in page.claims:
        if names.count(claim.id) > 1:
            raise SweepError(f"two claims have the id {claim.id!r}: give each a different id")
        if claim.figure and page.figures and claim.figure not in {figure.name for figure in page.figures}:
            raise unknown_name(f"figure of claim {claim.id!r}", claim.figure, [figure.name for figure in page.figures])


def _refuse_inapplicable(variant: Experiment, given: Set[str]) -> None:
    """Refuse a given knob that has no effect in a structure."""
    for name in sorted(given - applicable_knobs(variant)):
        raise SweepError(
            f"axis {name!r} does not apply to optimizer {variant.optimizer.name!r} with "
            f"{type(variant.model).__name__} and {type(variant.task).__name__} as set up here: "
            f"sweep it in separate axes, joined with +"
        )


def _check_swept(knob: Knob, value: Value) -> None:
    """Check a value of an axis; a fraction where an integer is needed probably comes from `sampled`."""
    try:
        knob.check(value)
    except SweepError as error:
        if knob.kind is int and isinstance(value, float) and not value.is_integer():
            fix = f"sampled draws no whole numbers: draw them in the page, and sweep zipped({knob.name}=[...])"
            raise SweepError(f"{error}; {fix}") from error
        raise
