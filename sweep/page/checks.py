"""Whether the parts of a page fit together; each part has checked its own fields when it was made."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Final

from sweep.base.errors import SweepError, unknown_name, with_article
from sweep.base.labels import METRICS, SEEDS
from sweep.base.text import check_text
from sweep.page.axes import POINT, Axes, Value
from sweep.page.resolve import applicable_knobs, shape_of, structures, with_values
from sweep.page.shape import steps_per_epoch
from sweep.page.specs.absent import NoModel, NoOptimizer, NoTask
from sweep.page.specs.claim import Claim
from sweep.page.specs.data import Data
from sweep.page.specs.figure import Figure, needs_of, references_of
from sweep.page.specs.knobs import Knob, knobs_of
from sweep.page.specs.loss import LOSSES, OF_CLASSES, PRECISIONS, Loss, as_loss
from sweep.page.specs.model import MLP, FromModule, Model
from sweep.page.specs.optimizer import DECAYS, OPTIMIZERS, Optimizer
from sweep.page.specs.record import Record
from sweep.page.specs.stop import Halving, Stop
from sweep.page.specs.task import FromFunction, Table, Task
from sweep.page.specs.training import FromTraining
from sweep.page.specs.update_rule import FromOptax, UpdateRule
from sweep.page.specs.values import MOST_CLASSES

if TYPE_CHECKING:
    from sweep.page.experiment import Experiment

SAME_EVERYWHERE: Final = {"dropout"}  # knobs of an MLP that mean the same to a module of the page, as `width` does


def check_parts(page: Experiment) -> None:
    """Refuse parts of a wrong kind, one that is missing, and a training beside what it replaces."""
    if not isinstance(page.training, FromTraining | None):
        raise SweepError(f"training must be a FromTraining or None, got {page.training!r}")
    for part, kind in (("task", Task), ("model", Model), ("optimizer", UpdateRule), ("axes", Axes)):
        given = getattr(page, part)
        if not isinstance(given, kind):
            words = "an Optimizer or FromOptax" if kind is UpdateRule else with_article(kind.__name__)
            raise SweepError(f"{part} must be {words}, got {given!r}")
        absent = isinstance(given, NoTask | NoModel | NoOptimizer)
        if page.training is None and absent:
            raise SweepError(f"an Experiment needs a {part}: give {part}=, or a training=FromTraining(...) of its own")
        if page.training and kind is not Axes and not absent:
            raise SweepError(f"a training of the page replaces its {part}, got {with_article(type(given).__name__)}")


def check(page: Experiment) -> None:
    """Refuse a page whose parts do not fit together.

    Raises:
        SweepError: for an axis that no spec has or that does not apply, a value out of range, or a record or figure
            that is not possible with the task.
    """
    check_text("question", page.question)
    if isinstance(page.epochs, bool) or not isinstance(page.epochs, int) or page.epochs < 1:
        raise SweepError(f"epochs must be a whole number of at least 1, got {page.epochs!r}")
    if page.precision not in PRECISIONS:
        raise unknown_name("precision", page.precision, PRECISIONS)
    if page.training:
        _check_training(page, page.training)
        _check_axes(page)
    else:
        _check_regression(page)
    _check_record(page)
    _check_stop(page)
    for figure in page.figures:
        _check_figure(page, figure)
    _check_claims(page)


def _check_training(page: Experiment, training: FromTraining) -> None:
    """Refuse what has no effect beside a training of the page, or has names that it takes."""
    unused = {"loss": (page.loss, "mean_squared"), "batch_size": (page.batch_size, None)}
    for name, (given, default) in unused.items():
        if given != default:
            raise SweepError(f"{name} has no effect with a training of the page, got {given!r}: leave it out")
    if page.record.own:
        raise SweepError(
            "record.own is of a network's moment: give the metrics of a training to FromTraining(metrics=)"
        )
    if page.record.x is not None:
        raise SweepError("record.x has no effect with a training of the page, which predicts nothing: leave it out")
    if page.record.snapshots != Record().snapshots:
        raise SweepError(
            "record.snapshots has no effect with a training of the page, without predictions: leave it out"
        )
    for name in training.numbers:
        if name in knobs_of(type(page)):
            raise SweepError(f"number {name!r} of FromTraining has the name of a knob: rename it")
    for seed, key in zip(SEEDS, ("key", "data_key"), strict=True):
        if (seed in page.axes.knobs() or getattr(page, seed)) and not training.draws(key):
            raise SweepError(f"{seed!r} has no effect, as no function of FromTraining takes {key}: leave it out")


def _check_regression(page: Experiment) -> None:
    """Refuse what does not fit together where a network learns a task."""
    if page.batch_size is not None and page.batch_size > page.task.points:
        raise SweepError(f"batch_size must be at most the {page.task.points} points, got {page.batch_size}")
    _check_loss(page)
    _check_parameters(page)
    _check_layer_rates(page)
    _check_accumulation(page)
    _check_parametrisation(page)
    _check_axes(page)
    _check_decay(page)
    _check_base_width(page)


def _check_loss(page: Experiment) -> None:
    loss = as_loss(page.loss)
    if isinstance(page.task, Data):
        page.task.check_inputs(page.precision)
        _check_classes(page.task, loss)
        if loss.of not in OF_CLASSES and not page.task.has_only_classes():
            page.task.check_targets(page.precision)
    if loss.of == "classes" and not page.task.class_names():
        raise SweepError(f"loss {loss.name!r} needs targets that are classes: give them as Data")
    if isinstance(page.task, Data) and page.task.noise and page.task.has_only_classes():
        raise SweepError(f"classes have no noise, got noise {page.task.noise:g}")
    if loss.of in (None, "numbers") or isinstance(page.task, FromFunction):
        return
    given = isinstance(page.task, Data) or (isinstance(page.task, Table) and _lie_in_0_1(page.task.targets))
    if not given:
        raise SweepError(
            f"loss {loss.name!r} needs targets from 0 to 1, which this {type(page.task).__name__} does not give"
        )
    if page.task.noise:
        raise SweepError(f"loss {loss.name!r} needs targets without noise, got noise {page.task.noise:g}")
    if loss.name == "binary_cross_entropy" and getattr(page.model, "output_activation", "sigmoid") != "sigmoid":
        raise SweepError(
            "loss 'binary_cross_entropy' is of probabilities: take output_activation='sigmoid', or the loss "
            "'binary_cross_entropy_with_logits'"
        )
    if loss.name == "binary_cross_entropy" and getattr(page.model, "pairs", False):
        raise SweepError(
            "loss 'binary_cross_entropy' is of probabilities, which a difference of two is not: with pairs take "
            "loss='binary_cross_entropy_with_logits'"
        )


def _lie_in_0_1(targets: Iterable[float]) -> bool:
    return all(0 <= target <= 1 for target in targets)


def _check_classes(task: Data, loss: Loss) -> None:
    """Refuse a loss that does not fit the targets of data."""
    names = task.class_names()
    if loss.of == "numbers" and task.has_only_classes():
        raise SweepError(f"targets that are classes can't have loss {loss.name!r}: take loss='cross_entropy'")
    if loss.of not in OF_CLASSES and not task.has_only_classes():
        return
    if not names and not (loss.of == "two classes" and _lie_in_0_1(task.targets.array.ravel().tolist())):
        if task.targets.array.dtype.kind in "iu" and task.targets.array.ndim == 1:
            raise SweepError(
                f"whole numbers are at most {MOST_CLASSES} classes, these are more: give their names as words"
            )
        raise SweepError(
            f"loss {loss.name!r} needs targets that are words or whole numbers, got {task.targets.array.dtype}: give "
            f"such a column, or take a loss of numbers such as 'mean_squared'"
        )
    if loss.of == "two classes" and len(names) > 2:
        raise SweepError(f"loss {loss.name!r} is of two classes, got {len(names)}: take loss='cross_entropy'")
    if len(names) == 1:
        raise SweepError(f"all targets are of the class {names[0]!r}: there is nothing to learn")
    task.targets_as(classes=True)  # refuses a class that only validation has
    if task.standardise in ("targets", "both"):
        raise SweepError(f"classes can't be standardised, got standardise={task.standardise!r}: take 'inputs'")


def _check_parameters(page: Experiment) -> None:
    """Refuse names that a page gives to numbers where other parts of it have knobs of these names."""
    loss, task, model, optimizer = as_loss(page.loss), page.task, page.model, page.optimizer
    common = {*knobs_of(type(page)), *_names(knobs_of(type(model)))}
    common |= {n for each in LOSSES.values() for n in each.numbers}
    given = {
        "parameter {!r} of the target function": (task, task.parameters if isinstance(task, FromFunction) else ()),
        "number {!r} of FromOptax": (optimizer, optimizer.numbers if isinstance(optimizer, FromOptax) else ()),
        "number {!r} of FromModule": (model, model.numbers if isinstance(model, FromModule) else ()),
        "number {!r} of the loss": (loss, loss.numbers if loss.entry is None else ()),
    }
    for what, (owner, names) in given.items():
        others = {name for other, (_, each) in given.items() if other != what for name in each}
        taken = (
            common
            | others
            | {name for part in (task, optimizer) if part is not owner for name in _names(part.own_knobs())}
        )
        if owner is model:  # what these mean to the networks and optimisers that have a name, they mean everywhere
            taken |= ({*_names(knobs_of(MLP))} - SAME_EVERYWHERE) | {*knobs_of(Optimizer)}
        for name in names:
            if name in taken:
                raise SweepError(f"{what.format(name)} has the name of a knob: rename it")


def _names(knobs: Mapping[str, Knob]) -> set[str]:
    """Name the knobs whose names are taken; of those with a form, a number of the page's own may have the name."""
    return {name for name, knob in knobs.items() if not knob.form}


def _taken(page: Experiment) -> set[str]:
    """Name the knobs of a page whose names no metric and no dimension of its own may have."""
    return _names({name: knob for name, (_, knob) in page.knobs().items()}) | {*page.axes.knobs()}


def _check_accumulation(page: Experiment) -> None:
    """Refuse to accumulate more gradients than there are steps: the parameters would never change."""
    steps = page.epochs * steps_per_epoch(page.task.points, page.batch_size)
    accumulated = getattr(page.optimizer, "accumulate", 1)
    if accumulated > steps:
        raise SweepError(f"accumulate={accumulated} is more than the {steps} steps of a training: nothing would change")


def _check_layer_rates(page: Experiment) -> None:
    """Refuse another number of factors than layers; where an axis sweeps their number, for each of them."""
    rates = getattr(page.optimizer, "layer_rates", None)
    if rates is None or {"depth", "hidden"} & {*page.axes.knobs()}:
        return
    layers = page.model.count_layers()
    if len(rates) != layers:
        raise SweepError(f"layer_rates must have one number for each of {layers} layers, output included, got {rates}")


def _check_decay(page: Experiment) -> None:
    """Refuse to leave biases out of a decay that no lane has."""
    if not page.is_variant() and not getattr(page.optimizer, "decay_biases", True):
        rules = [with_values(page, structure.values).optimizer for structure in structures(page)]
        if not any(name in page.axes.knobs() or rule.knob_value(name) for rule in rules for name in DECAYS):
            decays = ", ".join(DECAYS)
            raise SweepError(f"decay_biases=False has no effect, since nothing decays: give Optimizer one of {decays}")


def _check_parametrisation(page: Experiment) -> None:
    """Refuse an optimiser for which "mup" has no learning rates; where an axis sweeps one of both, in each variant."""
    is_mup = getattr(page.model, "parametrisation", "standard") == "mup"
    if not is_mup or page.optimizer.degree() is not None or {"parametrisation", "optimizer"} & {*page.axes.knobs()}:
        return
    known = ", ".join(name for name, method in OPTIMIZERS.items() if method.degree is not None)
    raise SweepError(
        f"parametrisation 'mup' has no learning rates for optimizer {page.optimizer.words()!r}: take one of {known}"
    )


def _check_base_width(page: Experiment) -> None:
    """Refuse a base width where no lane has "mup"; an axis that sweeps it in vain is refused as any other."""
    given = getattr(page.model, "base_width", MLP.base_width)
    if page.is_variant() or given == MLP.base_width or "base_width" in page.axes.knobs():
        return
    if all("base_width" in with_values(page, each.values).model.unused() for each in structures(page)):
        raise SweepError(f"base_width={given} has no effect without parametrisation='mup': give it, or leave it out")


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
        _check_outputs(page, variant)
        _refuse_inapplicable(variant, {*structure.values, *structure.ranges})
        for name, ends in structure.ranges.items():
            if page.knobs()[name][0] in page.parts():
                for value in ends:
                    with_values(variant, {name: value})


def _check_outputs(page: Experiment, variant: Experiment) -> None:
    """Refuse losses of classes beside losses of numbers, since results have one dimension of outputs."""
    if variant.loss != page.loss and shape_of(variant).outputs() != shape_of(page).outputs():
        given, other = (as_loss(each.loss).name for each in (page, variant))
        raise SweepError(
            f"axis 'loss_function' has {other!r}, with which a network has other outputs than with the page's loss "
            f"{given!r}: run a page for each"
        )


def _no_knob(page: Experiment, name: str, knobs: Mapping[str, Any]) -> SweepError:
    """Build the error for an axis that is not a knob: it names a field that can't be swept, or no field at all."""
    for owner in (page, *(getattr(page, part) for part in page.parts())):
        if name in {each.name for each in fields(owner) if not each.name.startswith("_")}:
            kind = type(owner).__name__
            return SweepError(
                f"{name!r} of {kind} is not a knob, so no axis can sweep it: run a page for each value; "
                f"its knobs are {', '.join(sorted(set(knobs) & set(owner.own_knobs())))}"
            )
    if name.startswith("layer_rates_"):
        return SweepError(f"{name!r} is no knob here: give Optimizer layer_rates, one number for each layer, such as 1")
    return unknown_name("knob", name, knobs)


def _check_record(page: Experiment) -> None:
    for name in page.record.metrics or ():
        if name not in page.applicable_metrics():
            what = "a training of the page" if page.training else f"{type(page.task).__name__} as it is set up here"
            raise SweepError(f"metric {name!r} does not apply to {what}")
        if name in page.knobs():
            raise SweepError(f"metric {name!r} can't be recorded, as a knob of this page has its name: rename the knob")
    for metric in page.own_metrics():
        if metric.name in _taken(page):
            raise SweepError(f"metric {metric.name!r} of the page has the name of a knob: rename it")
        for dim in set(metric.quantity().dims) - page.dimensions():
            raise SweepError(f"metric {metric.name!r} states the dimension {dim!r}, which this task does not have")
    _check_own_dimensions(page)
    window, features = page.record.x, page.task.count_features()
    if window is not None and page.task.window() is None:
        raise SweepError(
            "record.x is of points with one or two features, between which something is shown: leave it out"
        )
    if window is not None and page.task.window() is not None and window.count_features() != features:
        raise SweepError(
            f"record.x must be a Window over {features} features, as the points of this page have, got {window}"
        )


def _check_own_dimensions(page: Experiment) -> None:
    """Refuse a dimension of a metric's own that has the name of something else on the page."""
    metrics = {*page.metrics(), *(metric.name for metric in page.own_metrics())}
    taken = {"a metric": metrics, "a knob": _taken(page), "a dimension of the axes": {*page.axes.dimensions()}}
    for metric in page.own_metrics():
        for dim in metric.own_dimensions():
            for kind, names in taken.items():
                if dim.name in names:
                    where = f"dimension {dim.name!r} of metric {metric.name!r}"
                    raise SweepError(f"{where} has the name of {kind}: rename it")


def _check_stop(page: Experiment) -> None:
    rules = page.rules()
    if not all(isinstance(rule, Stop) for rule in rules) or page.stop == ():
        raise SweepError(f"stop must be a Target, a Plateau, a Halving or None, got {page.stop!r}")
    for rule in rules:
        _check_stop_metric(page, rule.metric)
        if isinstance(rule, Halving):
            if len(rules) > 1:
                raise SweepError(
                    "Halving allows no other rule, as a lane that ends no longer competes: give one of them"
                )
            _check_halving(page, rule)


def _check_stop_metric(page: Experiment, name: str) -> None:
    own = {metric.name: metric.quantity() for metric in page.own_metrics()}
    recorded = {metric: METRICS[metric] for metric in page.metrics()} | own
    single = {metric: each for metric, each in recorded.items() if not each.dims}
    if name not in single:
        known = ", ".join(repr(metric) for metric, each in single.items() if each.better)
        raise SweepError(f"a lane can't be stopped by {name!r}: name one of {known}")
    if page.better(name) is None:
        fix = "set better='lower' or 'higher' in its Metric" if name in own else "name another metric"
        raise SweepError(f"a lane can't be stopped by {name!r}, which has no better direction: {fix}")


def _check_halving(page: Experiment, rule: Halving) -> None:
    for name in rule.within:
        if name not in page.axes.knobs():
            raise unknown_name("axis to halve within", name, page.axes.knobs())
        if name in SEEDS and rule.by == "median":
            raise SweepError(f"within of Halving names {name!r}, but with by='median' seeds do not compete: remove it")


def _check_figure(page: Experiment, figure: Figure) -> None:
    metrics = {*page.metrics(), *(metric.name for metric in page.own_metrics())}
    has = metrics | {*page.axes.dimensions()} | page.dimensions()
    if page.record.snapshots:
        has |= ({"prediction"} if page.shown() else set()) | ({"sample_prediction"} if page.has_rows() else set())
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
    of_losses = {name for each in LOSSES.values() for name in each.numbers}
    for name in sorted(given - applicable_knobs(variant)):
        if name in of_losses:
            takes = ", ".join(as_loss(variant.loss).values()) or "no numbers"
            raise SweepError(f"axis {name!r} does not apply to loss {as_loss(variant.loss).name!r}: it takes {takes}")
        if name == "average" and isinstance(variant.optimizer, Optimizer):
            raise SweepError("axis 'average' needs an average that is recorded: give Optimizer one, as average=0.9")
        raise SweepError(
            f"axis {name!r} does not apply to optimizer {variant.optimizer.words()!r} with "
            f"{type(variant.model).__name__} and {type(variant.task).__name__} as set up here: "
            f"sweep it in separate axes, joined with +, or draw it with when(...)"
        )


def _check_swept(knob: Knob, value: Value) -> None:
    """Check a value of an axis; a fraction where an integer is needed probably comes from `uniform`."""
    try:
        knob.check(knob.read(value))
    except SweepError as error:
        if knob.kind is int and isinstance(value, float) and not value.is_integer():
            raise SweepError(f"{error}; a sample draws whole numbers from integers(low, high)") from error
        raise
