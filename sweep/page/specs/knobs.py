"""Fields of specs that an axis may sweep: their names, whether they are traced, and which values they accept.

A *number* is traced: lanes that differ in it share one block of the program. A *structure* determines the code,
so lanes that differ in it are in different blocks. `Spec` checks every such field on construction.
"""

import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, dataclass, field, fields, replace
from math import isfinite
from operator import ge, gt, le, lt
from typing import Any, ClassVar, Final, Self, TypedDict, Unpack

import numpy as np

from sweep.base.errors import SweepError, unknown_name
from sweep.base.labels import RESERVED
from sweep.page.specs.written import Form

_METADATA: Final = "knob"
LARGEST_SEED: Final = 2**32 - 1  # a threefry key is made of 32 bits
LONGEST_NAME: Final = 80  # letters of a name that a page brings: of a parameter, of a figure's function
LARGEST_COUNT: Final = 2**24  # of points, neurons or layers


@dataclass(frozen=True)
class Knob:
    """One sweepable field of a spec.

    Args:
        name: the name of its axis and of its coordinate in results.
        attribute: the field's name in its spec.
        traced: whether lanes that differ in it may share a block.
        units: units on an axis; "1" for a pure number.
        check: raises `SweepError` for a value that the field does not accept.
        kind: float, int (counts and seeds) or str (names).
        choices: the names that the field accepts, empty for numbers; of a name without choices any text is accepted.
        option: whether it is a number without which lanes have other code, such as the norm to which gradients are
            clipped: lanes for which an axis gives it share no block with those for which none does.
        form: how its values are written as texts, if they are neither numbers nor names.
    """

    name: str
    attribute: str
    traced: bool
    units: str
    check: Callable[[Any], None]
    kind: type = float
    choices: tuple[str, ...] = ()
    option: bool = False
    form: Form | None = None

    def write(self, value: Any) -> Any:
        """Give a value as axes and results hold it."""
        return value if self.form is None or isinstance(value, str) else self.form.write(self.name, value)

    def read(self, value: Any) -> Any:
        """Give a value that axes or results hold as the spec holds it."""
        return value if self.form is None or not isinstance(value, str) else self.form.read(self.name, value)


@dataclass(frozen=True)
class _Declaration:
    name: str | None
    traced: bool
    units: str
    check: Callable[[str, Any], None]
    kind: type
    choices: tuple[str, ...] = ()
    option: bool = False
    form: Form | None = None


class Bounds(TypedDict, total=False):
    """The bounds of a field's value."""

    above: float
    at_least: float
    below: float
    at_most: float


_BOUNDS: Final[dict[str, tuple[str, Callable[[Any, Any], bool]]]] = {
    "above": ("greater than", gt),
    "at_least": ("at least", ge),
    "below": ("less than", lt),
    "at_most": ("at most", le),
}


def number(
    default: float | None,
    *,
    name: str | None = None,
    units: str = "1",
    traced: bool = True,
    each: bool = False,
    option: bool = False,
    **bounds: Unpack[Bounds],
) -> Any:
    """Declare a field that holds a finite number within bounds.

    Args:
        default: its default.
        name: the name of its axis, if not the field's.
        units: units on an axis.
        traced: False if the points depend on it.
        each: whether the page may give a tuple, with a number for each feature. An axis always sweeps one number.
        option: whether lanes without it have other code.
        **bounds: what it must be.
    """

    def check(label: str, value: Any) -> None:
        for one in value if each and isinstance(value, tuple) else (value,):
            check_number(bounds, label, one)

    return _declare(default, _Declaration(name, traced, units, check, float, option=option))


def check_number(bounds: Bounds, label: str, value: Any) -> None:
    """Refuse anything but a finite number within bounds."""
    check_finite(label, value)
    for bound, limit in bounds.items():
        words, holds = _BOUNDS[bound]
        if not holds(value, limit):
            raise SweepError(f"{label} must be {words} {limit:g}, got {value!r}")


def check_parameter_name(what: str, name: Any) -> None:
    """Refuse a name for a number of the page that is no identifier, or that is already used in results.

    Args:
        what: what it would name, as in "a parameter of the target function".
        name: the name.
    """
    if not isinstance(name, str) or not name.isidentifier() or len(name) > LONGEST_NAME:
        raise SweepError(
            f"{what} can't be named {str(name)[:40]!r}: choose an identifier of at most {LONGEST_NAME} letters"
        )
    if name in RESERVED:
        raise SweepError(f"{what} can't be named {name!r}, a name that results use: rename it")


def count(
    default: int | None, *, name: str | None = None, units: str = "1", at_least: int = 1, traced: bool = False
) -> Any:
    """Declare a field that holds an integer; it is a structure, and traced only if it is a seed."""

    def check(label: str, value: Any) -> None:
        check_count(label, value, LARGEST_SEED if traced else LARGEST_COUNT, at_least)

    return _declare(default, _Declaration(name, traced, units, check, int))


def check_count(label: str, value: Any, most: int, at_least: int = 1) -> None:
    """Refuse anything but a whole number within bounds."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise SweepError(f"{label} must be a whole number, got {value!r}")
    if value < at_least:
        raise SweepError(f"{label} must be at least {at_least}, got {value!r}")
    if value > most:
        raise SweepError(f"{label} must be at most {most}, got {value!r}")


def choice(
    default: str, known: Iterable[str], *, kind: str, name: str | None = None, or_a: type | tuple[()] = ()
) -> Any:
    """Declare a field that holds one of some names, or an object of a class; it is a structure."""
    names = tuple(known)

    def check(label: str, value: Any) -> None:
        if not isinstance(value, or_a) and value not in names:
            raise unknown_name(kind, value, names)

    return _declare(default, _Declaration(name, False, "1", check, str, names))


def written(default: Any, form: Form, *, check: Callable[[str, Any], None], units: str = "1") -> Any:
    """Declare a field whose values are neither numbers nor names; it is a structure.

    Args:
        default: its default.
        form: how axes and results write its values.
        check: refuses what the field does not accept, given a label and a value.
        units: units on an axis.
    """
    return _declare(default, _Declaration(None, False, units, check, str, form=form))


def check_truth(label: str, value: Any) -> None:
    """Refuse anything but True and False."""
    if not isinstance(value, bool):
        raise SweepError(f"{label} must be True or False, got {value!r}")


def _declare(default: Any, declaration: _Declaration) -> Any:
    return field(default=default, metadata={_METADATA: declaration})


def check_finite(label: str, value: Any) -> None:
    """Refuse anything but a finite number."""
    if isinstance(value, int) and not isinstance(value, bool):
        if abs(value) <= sys.float_info.max:
            return
        raise SweepError(f"{label} must be a number that fits into float64, got one of {value.bit_length()} bits")
    if not isinstance(value, float) or not isfinite(value):
        raise SweepError(f"{label} must be a finite number, got {value!r}")


def to_plain(value: Any) -> Any:
    """Convert a value to the types that specs hold: lists, ranges and arrays to tuples, NumPy's numbers to Python's."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    return tuple(map(to_plain, value)) if isinstance(value, list | tuple | range) else value


class Spec:
    """Base class of every part of a page: on construction it converts its fields to plain types and checks its knobs.

    A field whose default is None may remain None: then its default depends on other fields.
    """

    mapped: ClassVar[str | None] = None  # a field that maps names of knobs, which the page chose, to values

    def __post_init__(self) -> None:
        for f in fields(self):  # type: ignore[arg-type]
            object.__setattr__(self, f.name, to_plain(getattr(self, f.name)))  # frozen, and hashed with its Shape
            if f.type is bool and not isinstance(getattr(self, f.name), bool):
                message = f"{f.name} of {type(self).__name__} must be True or False, got {getattr(self, f.name)!r}"
                raise SweepError(message)
        defaults = {f.name: f.default for f in fields(self)}  # type: ignore[arg-type]
        for knob in knobs_of(type(self)).values():
            value = getattr(self, knob.attribute)
            if value is None and defaults[knob.attribute] is None:
                continue
            knob.check(value)

    def derived(self) -> frozenset[str]:
        """Name the fields that follow from others, so that nobody gives them."""
        return frozenset()

    def unused(self) -> frozenset[str]:
        """Name the fields that have no effect in this spec's structure."""
        return frozenset()

    def applicable(self) -> frozenset[str]:
        """Name the knobs that have an effect in this spec's structure."""
        return frozenset(knobs_of(type(self)))

    def own_knobs(self) -> dict[str, Knob]:
        """List the knobs of this spec by name: those of its class, and any that its values bring."""
        return knobs_of(type(self))

    def knob_value(self, name: str) -> Any:
        """Give the value of a knob where no axis sweeps it."""
        return getattr(self, self.own_knobs()[name].attribute)

    def with_knobs(self, values: Mapping[str, Any]) -> Self:
        """Return this spec with other values for some knobs."""
        knobs = self.own_knobs()
        changed = {knobs[name].attribute: value for name, value in values.items()}
        return replace(self, **changed)  # type: ignore[type-var]

    def blanks(self) -> dict[str, Any]:
        """Give the fields that do not decide the code, with values that all specs of one structure share."""
        traced = {knob.attribute for knob in knobs_of(type(self)).values() if knob.traced}
        return {f.name: f.default for f in fields(self) if f.name in traced | self.unused()}  # type: ignore[arg-type]


def knobs_of(spec: type) -> dict[str, Knob]:
    """List the sweepable fields of a spec class by the name of their axis."""
    found = {}
    for f in fields(spec):
        declaration = f.metadata.get(_METADATA)
        if declaration is not None:
            name = declaration.name or f.name
            found[name] = Knob(
                name,
                f.name,
                declaration.traced,
                declaration.units,
                _bind(declaration.check, name),
                declaration.kind,
                declaration.choices,
                declaration.option,
                declaration.form,
            )
            assert f.default is not MISSING
    return found


def _bind(check: Callable[[str, Any], None], label: str) -> Callable[[Any], None]:
    return lambda value: check(label, value)
