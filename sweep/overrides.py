"""Changing a page's fields from the command line: typed, and checked by the specs themselves."""

from collections.abc import Sequence
from dataclasses import field, fields, is_dataclass, make_dataclass, replace
from types import NoneType, UnionType
from typing import Any, Final, Literal, Union, get_args, get_origin, get_type_hints

from sweep.axes import Axes, grid, zipped
from sweep.cli import parse
from sweep.errors import SweepError
from sweep.experiment import PARTS, Experiment

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
    for part in (*PARTS, "record"):
        changed[part] = _applied(getattr(experiment, part), getattr(given, part))
    changed["axes"] = _axes(experiment.axes, vars(given.axes))
    return replace(experiment, **changed)


def _form(experiment: Experiment) -> type:
    """Build the dataclass that the command line is read into: simple fields only, page's values as defaults."""
    hints = get_type_hints(Experiment)
    own = [(name, hints[name], field(default=getattr(experiment, name))) for name in OWN]
    parts = [_part(part, getattr(experiment, part)) for part in (*PARTS, "record")]
    return make_dataclass("Overrides", [*own, *parts, ("axes", *_axes_form(experiment))], frozen=True)


def _part(name: str, spec: Any) -> tuple[str, type, Any]:
    hints = get_type_hints(type(spec))
    simple = [
        (f.name, hints[f.name], field(default=getattr(spec, f.name)))
        for f in fields(spec)
        if _is_simple(hints[f.name])
    ]
    form = make_dataclass(type(spec).__name__, simple, frozen=True)
    form.__doc__ = type(spec).__doc__
    return name, form, field(default_factory=form)


def _is_simple(hint: Any) -> bool:
    """Tell whether a command line can hold a value: numbers, names, and tuples of them."""
    if get_origin(hint) in (Union, UnionType, tuple):
        return all(_is_simple(part) for part in get_args(hint) if part is not Ellipsis)
    if is_dataclass(hint):
        return all(_is_simple(part) for part in get_type_hints(hint).values())
    return get_origin(hint) is Literal or hint in _SIMPLE


def _axes_form(experiment: Experiment) -> tuple[type, Any]:
    """Flatten the axes: one option for each knob, swept by the page or not."""
    options = []
    for name, (_, knob) in experiment.knobs().items():
        swept = experiment.axes.values(name) if name in experiment.axes.knobs() else None
        example = swept[0] if swept else experiment.value_of(name)
        kind = str if isinstance(example, str) else int if isinstance(example, int) and not knob.traced else float
        kind = int if name in ("seed", "data_seed") else kind
        options.append((name, tuple[kind, ...] | None, field(default=None)))
    form = make_dataclass("Axes", options, frozen=True)
    form.__doc__ = "Values of a knob, in place of the page's."
    return form, field(default_factory=form)


def _applied(spec: Any, given: Any) -> Any:
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
