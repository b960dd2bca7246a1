"""Numbers that a page hands to code of its own, each of which is a knob with the name that the page gave it."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from functools import partial
from inspect import Parameter, signature
from typing import Any, ClassVar, Final, Self

from sweep.base.errors import SweepError, unknown_name
from sweep.base.text import check_text
from sweep.page.specs.knobs import Knob, Spec, check_finite, check_parameter_name, knobs_of, to_plain

_LONGEST_CHOICE: Final = 80  # characters of a number that is a text


def merge(owner: str, numbers: Mapping[str, Any] | None, more: Mapping[str, Any]) -> dict[str, Any]:
    """Give the numbers of a mapping and those given by keyword, in plain types.

    Args:
        owner: the name of the spec that takes them.
        numbers: a mapping, or None.
        more: those by keyword.

    Raises:
        SweepError: for something else than a mapping, and for a number that is given twice.
    """
    if not isinstance(numbers, Mapping | None):
        raise SweepError(f"numbers of {owner} must be a mapping from names to numbers, got {numbers!r}")
    for name in more:
        if name in (numbers or {}):
            raise SweepError(f"number {name!r} of {owner} is given twice: give it once")
    return {name: to_plain(value) for name, value in {**(numbers or {}), **more}.items()}


def check_own(owner: str, numbers: Mapping[str, Any], taken: Collection[str]) -> None:
    """Refuse names that are no identifiers or already used, and values that are neither numbers nor texts.

    Args:
        owner: the name of the spec that takes them.
        numbers: the numbers by name.
        taken: names of arguments of the spec itself.
    """
    for name, value in numbers.items():
        check_parameter_name(f"a number of {owner}", name)
        if name in taken:
            raise SweepError(f"number {name!r} of {owner} has the name of an argument of its own: rename it")
        (_check_choice if isinstance(value, str) else check_finite)(f"number {name!r} of {owner}", value)


def check_static(owner: str, static: Any, numbers: Mapping[str, Any]) -> None:
    """Refuse names of static numbers that are not a tuple of names of numbers.

    Args:
        owner: the name of the spec that takes them.
        static: the names.
        numbers: the numbers by name.
    """
    if not isinstance(static, tuple) or not all(isinstance(name, str) for name in static):
        raise SweepError(f"static of {owner} must be a tuple of names, got {static!r}")
    for name in static:
        if name not in numbers:
            raise unknown_name(f"number of {owner} in static", name, numbers)


class OwnNumbers(Spec):
    """A spec with `numbers` of the page's own, which are its knobs; `static` names floats that are not traced.

    Its subclasses are dataclasses with these fields; one without `static` says itself what is traced.
    """

    mapped: ClassVar[str | None] = "numbers"
    numbers: Mapping[str, Any]
    static: tuple[str, ...]

    def traced(self) -> list[str]:
        """Name the numbers that arrive as traced arrays: those with a decimal point that `static` does not name."""
        return [n for n, value in self.numbers.items() if isinstance(value, float) and n not in self.static]

    def own_knobs(self) -> dict[str, Knob]:
        """List the knobs of the class, and the numbers of the page's own."""
        traced = self.traced()
        own = {name: knob_of(name, value, traced=name in traced) for name, value in self.numbers.items()}
        return knobs_of(type(self)) | own

    def applicable(self) -> frozenset[str]:
        """Name its knobs."""
        return super().applicable().union(self.numbers)

    def knob_value(self, name: str) -> Any:
        """Give the value of a knob where no axis sweeps it."""
        return self.numbers[name] if name in self.numbers else super().knob_value(name)

    def with_knobs(self, values: Mapping[str, Any]) -> Self:
        """Return it with other values for some knobs; a number that is not traced keeps its kind."""
        kinds = {name: type(value) for name, value in self.numbers.items()} | dict.fromkeys(self.traced(), float)
        own = {name: kinds[name](value) for name, value in values.items() if name in self.numbers}
        others = {name: value for name, value in values.items() if name not in self.numbers}
        return replace(self, numbers={**self.numbers, **own}, **others)  # type: ignore[type-var]

    def blanks(self) -> dict[str, Any]:
        """Give its traced numbers as zeros; the others decide the code."""
        return super().blanks() | {"numbers": {**self.numbers, **dict.fromkeys(self.traced(), 0.0)}}


def parameters_of(function: Callable[..., Any]) -> dict[str, Parameter] | None:
    """Give the parameters of a function of the page by name; None if it does not say, or takes any."""
    try:
        found = signature(function).parameters
    except (TypeError, ValueError):  # such as a class of C
        return None
    kinds = {each.kind for each in found.values()}
    return None if kinds & {Parameter.VAR_KEYWORD, Parameter.VAR_POSITIONAL} else dict(found)


def knob_of(name: str, value: Any, *, traced: bool) -> Knob:
    """Describe the knob of a number: a text, a whole number or any number, as the page gave it.

    Args:
        name: its name.
        value: its value in the page.
        traced: whether lanes that differ in it share a block.
    """
    if isinstance(value, str):
        return Knob(name, name, False, "1", partial(_check_choice, name), str)
    whole = isinstance(value, int) and not traced
    return Knob(
        name, name, traced, "1", partial(_check_whole if whole else check_finite, name), int if whole else float
    )


def _check_whole(label: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise SweepError(f"{label} must be a whole number, as the page gives one, got {value!r}")


def _check_choice(label: str, value: Any) -> None:
    check_text(label, value, _LONGEST_CHOICE)
    if not value:
        raise SweepError(f"{label} must be a number or a text, got ''")
