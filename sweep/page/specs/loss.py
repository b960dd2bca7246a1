"""The training losses, built in and of the page, and the possible precisions."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType
from typing import Any, Final, Literal

from sweep.base.errors import SweepError, name_of, unknown_name
from sweep.base.registry import Entry
from sweep.page.specs.knobs import Bounds, Knob, Spec, check_finite, check_number, check_parameter_name

Targets = Literal["numbers", "two classes", "classes"]
OF_CLASSES: Final = ("two classes", "classes")


@dataclass(frozen=True)
class LossNumber:
    """A number that a loss takes.

    Args:
        default: its value where a page gives none.
        bounds: those of its values.
    """

    default: float
    bounds: Bounds


@dataclass(frozen=True, kw_only=True)
class BuiltInLoss(Entry):
    """A function of predictions and targets that gives one number for each point, and for each output if several.

    Args:
        reduction: what the loss of several points, and of several outputs, is: their "mean" or their "sum".
        of: what the targets are: "numbers"; "two classes", 0 and 1 with one output; or "classes", with an output each.
        boundary: for two classes the network's output above which a point is assigned to class 1.
        numbers: the numbers that it takes, all of them knobs.
    """

    reduction: Literal["mean", "sum"] = "mean"
    of: Targets = "numbers"
    boundary: float = 0.0
    numbers: Mapping[str, LossNumber] = field(default_factory=dict)


def _entry(name: str, **others: Any) -> BuiltInLoss:
    return BuiltInLoss(f"sweep.engine.regression.losses:{name}", **others)


LOSSES: Final[dict[str, BuiltInLoss]] = {
    "mean_squared": _entry("squared"),
    "summed_squared": _entry("squared", reduction="sum"),
    "half_summed_squared": _entry("half_squared", reduction="sum"),
    "mean_absolute": _entry("absolute"),
    "huber": _entry("huber", numbers={"delta": LossNumber(1.0, {"above": 0.0})}),
    "log_cosh": _entry("log_cosh"),
    "binary_cross_entropy": _entry("binary_cross_entropy", of="two classes", boundary=0.5),
    "binary_cross_entropy_with_logits": _entry("binary_cross_entropy_with_logits", of="two classes"),
    "hinge": _entry("hinge", of="two classes"),
    "cross_entropy": _entry(
        "cross_entropy", of="classes", numbers={"label_smoothing": LossNumber(0.0, {"at_least": 0.0, "below": 1.0})}
    ),
}
PRECISIONS: Final = ("float32", "float64")


@dataclass(frozen=True, init=False)
class Loss(Spec):
    """A training loss: one that is built in, with its numbers, or one of the page.

    The loss of several points is the mean of theirs, or what the name of a built-in one says.

    Args:
        function: one of `LOSSES`, or `function(prediction, target, **numbers)`, which returns one number for each
            point, an array of shape (points,). Predictions have that shape too, or (points, outputs) if the task has
            several outputs, and targets likewise; classes are whole numbers, with one output each. It is traced by JAX:
            write it with arithmetic, or with `jax.numpy` imported inside it.
        numbers: the loss's numbers by name; each is a knob that an axis may sweep. They can also be given by keyword,
            as in `Loss("huber", delta=0.3)`.

    Raises:
        SweepError: for an unknown loss, a number that it does not take or that is out of range, or a bad name.
    """

    function: str | Callable[..., Any]
    numbers: Mapping[str, float] = field(hash=False)

    def __init__(
        self,
        function: str | Callable[..., Any],
        *,
        numbers: Mapping[str, float] = MappingProxyType({}),
        **named: float,
    ) -> None:
        if not isinstance(numbers, Mapping):
            raise SweepError(f"numbers of a Loss must be a mapping from names to numbers, got {numbers!r}")
        for name in named:
            if name in numbers:
                raise SweepError(f"number {name!r} of the loss is given twice: give it once")
        object.__setattr__(self, "function", function)
        object.__setattr__(self, "numbers", {**numbers, **named})
        self.__post_init__()

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.function, str) and self.function not in LOSSES:
            raise unknown_name("loss", self.function, LOSSES)
        if not isinstance(self.function, str) and not callable(self.function):
            raise SweepError(f"a Loss must be given a name or a function, got {self.function!r}")
        for name, value in self.numbers.items():
            if self.entry is None:
                check_parameter_name("a number of the loss", name)
                check_finite(f"number {name!r} of the loss", value)
            elif name not in self.entry.numbers:
                known = ", ".join(self.entry.numbers) or "no numbers"
                raise SweepError(f"loss {self.name!r} takes no {name}, got {value!r}: it takes {known}")
            else:
                check_number(self.entry.numbers[name].bounds, name, value)

    @property
    def entry(self) -> BuiltInLoss | None:
        """The declaration of a built-in loss, None for one of the page."""
        return LOSSES[self.function] if isinstance(self.function, str) else None

    @property
    def name(self) -> str:
        """The name of a built-in loss, or of the page's function."""
        return self.function if isinstance(self.function, str) else name_of(self.function)

    @property
    def of(self) -> Targets | None:
        """What targets are; None for a loss of the page, which takes any."""
        return self.entry.of if self.entry else None

    def values(self) -> dict[str, float]:
        """Give all its numbers, those that are not given at their defaults."""
        defaults = {name: each.default for name, each in self.entry.numbers.items()} if self.entry else {}
        return {**defaults, **self.numbers}


def as_loss(given: str | Loss) -> Loss:
    """Return the loss that a page gives, by name or as it is."""
    return given if isinstance(given, Loss) else Loss(given)


def loss_knobs(given: str | Loss) -> dict[str, Knob]:
    """List the numbers of all built-in losses, one of which an axis may choose, and those of the page's own loss."""
    bounds: dict[str, Bounds] = {name: each.bounds for loss in LOSSES.values() for name, each in loss.numbers.items()}
    own: dict[str, Bounds] = {name: {} for name in as_loss(given).numbers if as_loss(given).entry is None}
    return {name: _knob(name, each) for name, each in (bounds | own).items()}


def _knob(name: str, bounds: Bounds) -> Knob:
    return Knob(name, name, True, "1", partial(check_number, bounds, name))
