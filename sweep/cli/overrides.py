"""Changing a page's fields from the command line: typed, and checked by the specs themselves."""

import re
from collections.abc import Sequence
from dataclasses import field, fields, is_dataclass, make_dataclass, replace
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin, get_type_hints

import docstring_parser
import tyro

from sweep.base.errors import SweepError
from sweep.cli.command import parse
from sweep.page.axes import Axes, grid, zipped
from sweep.page.experiment import Experiment
from sweep.page.resolve import PARTS
from sweep.page.specs.knobs import knobs_of

OWN: Final = ("epochs", "loss", "batch_size", "seed", "data_seed", "precision")
_SIMPLE: Final = (int, float, str, bool, NoneType)


def override(experiment: Experiment, args: Sequence[str], prog: str) -> Experiment:
    """Apply options such as `--epochs 500 --task.noise 0.1 --axes.learning-rate 1e-4 1e-3` to a page.

    Args:
        experiment: as the page has it.
        args: the options.
        prog: the command, for its help.

    Raises:
        SweepError: for an option that does not exist or a value that does not fit.
        SystemExit: with code 0, after `--help`.
    """
    form = _form(experiment)
    given = parse(form, args, prog)
    changed: dict[str, Any] = {name: getattr(given, name) for name in OWN}
    for part in _parts(experiment):
        changed[part] = _apply(getattr(experiment, part), getattr(given, part))
    changed["axes"] = _axes(experiment.axes, vars(given.axes))
    _refuse_swept(experiment, changed["axes"], args)
    return replace(experiment, **changed)


def list_changes(page: Experiment, experiment: Experiment) -> dict[str, Any]:
    """List what `override` changed, by name: {"epochs": 500, "task.noise": 0.1, "axes.width": (8, 16)}."""
    found = {name: getattr(experiment, name) for name in OWN if getattr(experiment, name) != getattr(page, name)}
    for part in _parts(experiment):
        found |= _unlike(getattr(page, part), getattr(experiment, part), part)
    return found | {
        f"axes.{knob}": values
        for knob, values in _columns(experiment.axes).items()
        if _columns(page.axes).get(knob) != values
    }


def _unlike(before: Any, after: Any, name: str) -> dict[str, Any]:
    """List the fields of a spec that are not what they were."""
    if before == after:
        return {}
    if not is_dataclass(after) or type(before) is not type(after):
        return {name: after}
    found: dict[str, Any] = {}
    for each in fields(after):
        found |= _unlike(getattr(before, each.name), getattr(after, each.name), f"{name}.{each.name}")
    return found


def _columns(axes: Axes) -> dict[str, tuple[Any, ...]]:
    return {knob: tuple(factor.column(knob)) for factor in axes.factors for knob in factor.knobs}


def _refuse_swept(experiment: Experiment, axes: Axes, args: Sequence[str]) -> None:
    """Refuse a value for a knob that an axis gives to every lane: nothing would come of it."""
    given = {arg.partition("=")[0].replace("_", "-") for arg in args}
    for name in axes.knobs():
        part, knob = experiment.knobs()[name]
        option = "--" + ".".join(filter(None, (part, knob.attribute))).replace("_", "-")
        if option in given and None not in axes.values(name):
            axis = f"--axes.{name.replace('_', '-')}"
            raise SweepError(f"{option} would change nothing, as the axes sweep {name}: give {axis} instead")


def _form(experiment: Experiment) -> type:
    """Build the dataclass that the command line is read into: simple fields only, page's values as defaults."""
    own = [option for option in _options(experiment) if option[0] in OWN]
    parts = [_part(part, getattr(experiment, part)) for part in _parts(experiment)]
    return make_dataclass("Overrides", [*own, *parts, ("axes", *_axes_form(experiment))], frozen=True)


def _parts(experiment: Experiment) -> tuple[str, ...]:
    """Name the parts whose fields are options; a page without a rule to stop by has none of that."""
    return (*PARTS, "record", *(["stop"] if experiment.stop else []))


def _part(name: str, spec: Any) -> tuple[str, type, Any]:
    form = make_dataclass(type(spec).__name__, _options(spec), frozen=True)
    form.__doc__ = docstring_parser.parse(type(spec).__doc__ or "").short_description
    return name, form, field(default_factory=form)


def _options(spec: Any) -> list[tuple[str, Any, Any]]:
    """List the simple fields of a spec as options, explained by the docstrings of its classes."""
    hints, helps = get_type_hints(type(spec)), _helps(type(spec))
    choices = {knob.attribute: knob.choices for knob in knobs_of(type(spec)).values()}
    options = []
    for f in fields(spec):
        if not _is_simple(hints[f.name]):
            continue
        told = helps.get(f.name, "")
        if choices.get(f.name) and get_origin(hints[f.name]) is not Literal:
            told += f" One of: {', '.join(choices[f.name])}."
        kind = Annotated[hints[f.name], tyro.conf.arg(help=told or None)]
        options.append((f.name, kind, field(default=getattr(spec, f.name))))
    return options


def _helps(spec: type) -> dict[str, str]:
    """Collect what the docstrings of a class and its parents say of each field."""
    found: dict[str, str] = {}
    for owner in reversed(spec.__mro__[:-1]):
        for told in docstring_parser.parse(owner.__doc__ or "").params:
            for name in told.arg_name.split(", "):
                # "one of `NAMES`" is for readers of the code; the choices themselves are told with the option.
                found[name] = re.sub(r",? (one of|out of) `[A-Z_]+`", "", " ".join((told.description or "").split()))
    return found


def _is_simple(hint: Any) -> bool:
    """Tell whether a command line can hold a value: numbers, names, and tuples of them."""
    if get_origin(hint) in (Union, UnionType, tuple):
        parts = [part for part in get_args(hint) if part is not Ellipsis]
        return all(_is_simple(part) and not is_dataclass(part) for part in parts)  # tyro makes commands of these
    if is_dataclass(hint):
        return all(_is_simple(part) for part in get_type_hints(hint).values())
    return get_origin(hint) is Literal or hint in _SIMPLE


def _axes_form(experiment: Experiment) -> tuple[type, Any]:
    """Flatten the axes: one option for each knob, swept by the page or not."""
    options = [
        (name, tuple[knob.kind, ...] | None, field(default=None))  # type: ignore[name-defined]
        for name, (_, knob) in experiment.knobs().items()
    ]
    form = make_dataclass("Axes", options, frozen=True)
    form.__doc__ = "Values of a knob, in place of the page's."
    return form, field(default_factory=form)


def _apply(spec: Any, given: Any) -> Any:
    return replace(spec, **{f.name: getattr(given, f.name) for f in fields(given)})


def _axes(axes: Axes, given: dict[str, tuple[Any, ...] | None]) -> Axes:
    """Put new values into the factors that hold their knobs; a knob that was not swept becomes an axis."""
    new = {knob: values for knob, values in given.items() if values is not None}
    factors = []
    for factor in axes.factors:
        own = {knob: new.pop(knob) for knob in factor.knobs if knob in new}
        if own and len(own) < len(factor.knobs):
            tied = " ".join(f"--axes.{knob.replace('_', '-')} ..." for knob in factor.knobs)
            raise SweepError(f"axis {next(iter(own))!r} is tied to {', '.join(factor.knobs)}: give {tied}")
        factors += zipped(**own).factors if own else (factor,)
    return Axes(tuple(factors)) * grid(**new)
