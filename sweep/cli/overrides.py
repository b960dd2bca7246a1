"""Changing a page's fields from the command line; values are typed, and checked by the specs."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import field, fields, is_dataclass, make_dataclass, replace
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin, get_type_hints

import docstring_parser
import tyro

from sweep.base.errors import SweepError
from sweep.cli.command import parse
from sweep.page.axes import Axes, grid, zipped
from sweep.page.experiment import Experiment
from sweep.page.specs.knobs import Spec, knobs_of
from sweep.page.specs.stop import Stop

EXPERIMENT_FIELDS: Final = ("epochs", "loss", "batch_size", "seed", "data_seed", "precision")
_SIMPLE: Final = (int, float, str, bool, NoneType)


def override(experiment: Experiment, args: Sequence[str], prog: str) -> Experiment:
    """Apply options such as `--epochs 500 --task.noise 0.1 --axes.learning-rate 1e-4 1e-3` to a page.

    Args:
        experiment: the page's experiment.
        args: the options.
        prog: the command, for its help text.

    Raises:
        SweepError: for an unknown option or an invalid value.
        SystemExit: with code 0, after `--help`.
    """
    given = parse(_options_class(experiment), args, prog)
    changed: dict[str, Any] = {name: getattr(given, name) for name in EXPERIMENT_FIELDS if hasattr(given, name)}
    for part in _parts(experiment):
        changed[part] = _apply(getattr(experiment, part), getattr(given, part))
    changed["axes"] = _axes(experiment.axes, vars(given.axes))
    _refuse_swept(experiment, changed["axes"], args)
    return replace(experiment, **changed)


def list_changes(page: Experiment, experiment: Experiment) -> dict[str, Any]:
    """List what `override` changed, by name: {"epochs": 500, "task.noise": 0.1, "axes.width": (8, 16)}."""
    changed = [name for name in EXPERIMENT_FIELDS if getattr(experiment, name) != getattr(page, name)]
    found = {name: getattr(experiment, name) for name in changed}
    for part in _parts(experiment):
        found |= _changed_fields(getattr(page, part), getattr(experiment, part), part)
    return found | {
        f"axes.{knob}": values
        for knob, values in _columns(experiment.axes).items()
        if _columns(page.axes).get(knob) != values
    }


def _changed_fields(before: Any, after: Any, name: str) -> dict[str, Any]:
    """List the fields of a spec that have changed, by name."""
    if before == after:
        return {}
    if isinstance(after, Mapping) and isinstance(before, Mapping):
        part = name.rpartition(".")[0]
        return {f"{part}.{key}": value for key, value in after.items() if before.get(key) != value}
    if not is_dataclass(after) or type(before) is not type(after):
        return {name: after}
    found: dict[str, Any] = {}
    for each in fields(after):
        found |= _changed_fields(getattr(before, each.name), getattr(after, each.name), f"{name}.{each.name}")
    return found


def _columns(axes: Axes) -> dict[str, tuple[Any, ...]]:
    return {knob: tuple(factor.column(knob)) for factor in axes.factors for knob in factor.knobs}


def _refuse_swept(experiment: Experiment, axes: Axes, args: Sequence[str]) -> None:
    """Refuse a value for a knob that an axis sets in every lane: it would have no effect."""
    given = {arg.partition("=")[0].replace("_", "-") for arg in args}
    for name in axes.knobs():
        part, knob = experiment.knobs()[name]
        option = "--" + ".".join(filter(None, (part, knob.attribute))).replace("_", "-")
        if option in given and None not in axes.values(name):
            axis = f"--axes.{name.replace('_', '-')}"
            raise SweepError(f"{option} would change nothing, as the axes sweep {name}: give {axis} instead")


def _options_class(experiment: Experiment) -> type:
    """Build the dataclass of all options: the simple fields of a page, with the page's values as defaults."""
    own = [option for option in _options(experiment) if option[0] in _fields(experiment)]
    parts = [_part(part, getattr(experiment, part)) for part in _parts(experiment)]
    return make_dataclass("Overrides", [*own, *parts, ("axes", *_axes_options(experiment))], frozen=True)


def _fields(experiment: Experiment) -> list[str]:
    """Name the fields of a page itself that are options."""
    return [name for name in EXPERIMENT_FIELDS if name not in experiment.absent()]


def _parts(experiment: Experiment) -> tuple[str, ...]:
    """Name the parts whose fields are options; `stop` only if the page has one stopping rule."""
    return (*experiment.parts(), "record", *(["stop"] if isinstance(experiment.stop, Stop) else []))


def _part(name: str, spec: Any) -> tuple[str, type, Any]:
    form = make_dataclass(type(spec).__name__, _options(spec), frozen=True)
    form.__doc__ = docstring_parser.parse(type(spec).__doc__ or "").short_description
    return name, form, field(default_factory=form)


def _options(spec: Any) -> list[tuple[str, Any, Any]]:
    """List the simple fields of a spec as options, with help texts from the docstrings of its classes."""
    hints, helps = get_type_hints(type(spec)), _helps(type(spec))
    choices = {knob.attribute: knob.choices for knob in knobs_of(type(spec)).values()}
    options = []
    for f in fields(spec):
        kind = _simple_part(hints[f.name])
        if not _is_simple(kind) or is_dataclass(getattr(spec, f.name)) or f.name in _derived(spec):
            continue
        text = helps.get(f.name, "")
        if choices.get(f.name) and get_origin(hints[f.name]) is not Literal:
            text += f" One of: {', '.join(choices[f.name])}."
        option = Annotated[kind, tyro.conf.arg(help=text or None)]
        options.append((f.name, option, field(default=getattr(spec, f.name))))
    return options + [(name, type(value), field(default=value)) for name, value in _mapped(spec).items()]


def _derived(spec: Any) -> frozenset[str]:
    """Name the fields that nobody gives."""
    return spec.derived() if isinstance(spec, Spec) else frozenset()


def _mapped(spec: Any) -> Mapping[str, Any]:
    """Give the numbers of a spec whose names the page chose."""
    return getattr(spec, spec.mapped) if isinstance(spec, Spec) and spec.mapped else {}


def _helps(spec: type) -> dict[str, str]:
    """Collect the help text of each field from the docstrings of a class and its parents."""
    found: dict[str, str] = {}
    for owner in reversed(spec.__mro__[:-1]):
        for parameter in docstring_parser.parse(owner.__doc__ or "").params:
            for name in parameter.arg_name.split(", "):
                # "one of `NAMES`" is for readers of the code; the help text lists the names themselves.
                words = " ".join((parameter.description or "").split())
                found[name] = re.sub(r",? (one of|out of) `[A-Z_]+`", "", words)
    return found


def _simple_part(hint: Any) -> Any:
    """Give the type of what a command line can give where a page may also give an object, such as a `Loss`."""
    if get_origin(hint) not in (Union, UnionType):
        return hint
    return Union[tuple(part for part in get_args(hint) if not is_dataclass(part))]  # noqa: UP007


def _is_simple(hint: Any) -> bool:
    """Tell whether a command line can hold values of a type: numbers, names, and tuples of them."""
    if get_origin(hint) in (Union, UnionType, tuple):
        parts = [part for part in get_args(hint) if part is not Ellipsis]
        return all(_is_simple(part) and not is_dataclass(part) for part in parts)  # tyro turns these into subcommands
    if is_dataclass(hint):
        return all(_is_simple(part) for part in get_type_hints(hint).values())
    return get_origin(hint) is Literal or hint in _SIMPLE


def _axes_options(experiment: Experiment) -> tuple[type, Any]:
    """Make one option of values for each knob, whether the page sweeps it or not."""
    options = [
        (name, tuple[knob.kind, ...] | None, field(default=None))  # type: ignore[name-defined]
        for name, (_, knob) in experiment.knobs().items()
    ]
    form = make_dataclass("Axes", options, frozen=True)
    form.__doc__ = "Values of a knob, which replace those of the page."
    return form, field(default_factory=form)


def _apply(spec: Any, given: Any) -> Any:
    values = {f.name: getattr(given, f.name) for f in fields(given)}
    mapped = {name: values.pop(name) for name in _mapped(spec)}
    changed = replace(spec, **values)
    return changed.with_knobs(mapped) if mapped else changed


def _axes(axes: Axes, given: dict[str, tuple[Any, ...] | None]) -> Axes:
    """Replace the values of factors; a knob that the page does not sweep becomes a new axis."""
    new = {knob: values for knob, values in given.items() if values is not None}
    factors = []
    for factor in axes.factors:
        own = {knob: new.pop(knob) for knob in factor.knobs if knob in new}
        if own and len(own) < len(factor.knobs):
            tied = " ".join(f"--axes.{knob.replace('_', '-')} ..." for knob in factor.knobs)
            raise SweepError(f"an axis sweeps {', '.join(factor.knobs)} together, got {next(iter(own))!r}: give {tied}")
        factors += zipped(**own).factors if own else (factor,)
    return Axes(tuple(factors)) * grid(**new)
