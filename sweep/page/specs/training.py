"""A training that the page defines: three functions of one lane, in place of a task, a network and an optimiser."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from inspect import Parameter
from typing import Any, Final

from sweep.base.errors import SweepError, name_of, unknown_name
from sweep.base.labels import METRICS
from sweep.page.specs.dimension import Dimension
from sweep.page.specs.own_numbers import OwnNumbers, check_own, check_static, merge, parameters_of
from sweep.page.specs.record import Metric, own_dimensions

# What each function gets beside the state and the numbers, if it has an argument of that name.
GIVEN: Final = {"begin": ("key", "data_key"), "step": ("key", "step"), "measure": ("step",)}
LOSS: Final = "loss"


@dataclass(frozen=True, init=False)
class FromTraining(OwnNumbers):
    """A training that the page defines, of anything that is begun, advanced step by step and measured.

    `FromTraining(begin, step, measure, rate=0.1, size=16)` calls `begin(key, rate, size)`, `step(state, key, rate)` and
    `measure(state)` inside the program, for one lane each: a function gets by name what it has arguments for. All
    three are pure and traced by JAX; import `jax` inside them, so that the page loads without it. An epoch is one step.

    A lane is lost (diverged) at the first step after which a number of its state is not finite, or at a record whose
    loss is not finite; it keeps the state before.

    Args:
        begin: gives the initial state, a pytree of arrays; `key` is of the lane's `seed`, `data_key` of its
            `data_seed`. Floats have the precision of the page, whole numbers stay.
        step: maps the state, its first argument, to the next one, with the same structure and shapes; `key` is new at
            each step, `step` counts the steps before.
        measure: maps the state, its first argument, to a dict with a number for `loss`, by which lanes are compared
            (the smaller the better), and an array for each of `metrics`; `step` counts the steps before.
        metrics: what else `measure` gives: a `Metric` without a function, or its name.
        numbers: the same as `**more`, as a mapping.
        static: names of numbers that decide which code runs, so that they arrive as they are.
        **more: what else the functions take; each is a knob. A number with a decimal point arrives as a traced array
            of the page's precision: use it in arithmetic, not in an `if`. A whole number, a text and what `static`
            names arrive as they are, and each value is a block.

    Raises:
        SweepError: for something that is no function, an argument that nothing gives, a number that no function takes,
            or a bad name.
    """

    begin: Callable[..., Any]
    step: Callable[..., Any]
    measure: Callable[..., Any]
    metrics: tuple[Metric, ...] = ()
    numbers: Mapping[str, float | int | str] = field(default_factory=dict, hash=False)
    static: tuple[str, ...] = ()

    def __init__(
        self,
        begin: Callable[..., Any],
        step: Callable[..., Any],
        measure: Callable[..., Any],
        *,
        metrics: Sequence[Metric | str] = (),
        numbers: Mapping[str, Any] | None = None,
        static: Sequence[str] = (),
        **more: Any,
    ) -> None:
        given = merge("FromTraining", numbers, more)
        values = {"begin": begin, "step": step, "measure": measure, "metrics": _as_metrics(metrics)}
        for name, value in (values | {"numbers": given, "static": static}).items():
            object.__setattr__(self, name, value)
        self.__post_init__()

    def __post_init__(self) -> None:
        super().__post_init__()
        reserved = {name for names in GIVEN.values() for name in names} | {"state"}
        check_own("FromTraining", self.numbers, [*(each.name for each in fields(self)), *reserved])
        check_static("FromTraining", self.static, self.numbers)
        _check_metrics(self.metrics)
        for name in GIVEN:
            self._check_function(name)
        self._check_used()

    def _check_function(self, name: str) -> None:
        """Refuse something that is no function, or has arguments that nothing gives."""
        function = getattr(self, name)
        if not callable(function):
            raise SweepError(f"{name} of FromTraining must be a function, got {function!r}")
        given = {*GIVEN[name], *self.numbers}
        for argument, each in (self.arguments(name) or {}).items():
            if argument not in given and each.default is Parameter.empty:
                raise unknown_name(f"argument of {name_of(function)}, the {name} of FromTraining,", argument, given)

    def _check_used(self) -> None:
        """Refuse numbers that no function takes."""
        taken = [self.arguments(name) for name in GIVEN]
        if any(each is None for each in taken):
            return
        names = sorted({name for each in taken if each for name in each})
        for name in self.numbers:
            if name not in names:
                raise SweepError(
                    f"number {name!r} of FromTraining has no effect, as neither begin nor step nor measure takes it: "
                    f"give one of them an argument {name}, or leave it out"
                )

    def arguments(self, name: str) -> dict[str, Parameter] | None:
        """Give what a function takes by name; None if it takes anything.

        Args:
            name: "begin", or "step" or "measure", whose first argument is the state.
        """
        found = parameters_of(getattr(self, name))
        if found is None or name == "begin":
            return found
        return dict([*found.items()][1:])

    def draws(self, name: str) -> bool:
        """Tell whether any function takes a key: "key" of the seed, or "data_key" of the data seed."""
        taken = [self.arguments(each) for each, given in GIVEN.items() if name in given]
        return any(each is None or name in each for each in taken)

    def dimensions(self) -> dict[str, Dimension]:
        """Give the dimensions of its metrics by name."""
        return own_dimensions(self.metrics)

    def words(self) -> str:
        """Describe the training in words."""
        return f"training by {name_of(self.step)}"


def _as_metrics(given: Any) -> tuple[Metric, ...]:
    """Give the metrics of a list in which a name stands for one without words."""
    if isinstance(given, str | Metric) or not isinstance(given, Sequence):
        raise SweepError(f"metrics of FromTraining must be a list of names or Metrics, got {given!r}")
    return tuple(Metric(each) if isinstance(each, str) else each for each in given)


def _check_metrics(metrics: tuple[Metric, ...]) -> None:
    """Refuse what is no metric, has a function of its own, or has a name or a dimension that something else has."""
    for each in metrics:
        if not isinstance(each, Metric):
            raise SweepError(f"metrics of FromTraining must be names or Metrics, got {each!r}")
        if each.function is not None:
            raise SweepError(f"metric {each.name!r} of FromTraining has a function, but measure gives it: leave it out")
        if each.name in METRICS:
            raise SweepError(f"metric {each.name!r} of FromTraining has the name of a built-in one: rename it")
        if foreign := [dim for dim in each.dims if not isinstance(dim, Dimension)]:
            raise SweepError(
                f"metric {each.name!r} states the dimension {foreign[0]!r}, which a training of the page does not "
                f"have: give one of its own a size, as dims={{'place': 10}}"
            )
    names = [each.name for each in metrics]
    for name in names:
        if names.count(name) > 1:
            raise SweepError(f"metric {name!r} of FromTraining is given twice: give it once")
    own_dimensions(metrics)
