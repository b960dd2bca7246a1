"""What turns gradients into steps: the base class of optimisers, and transformations that a page brings."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from sweep.base.errors import SweepError, name_of
from sweep.base.registry import Entry
from sweep.page.specs.knobs import Spec
from sweep.page.specs.own_numbers import OwnNumbers, check_own, merge


@dataclass(frozen=True)
class UpdateRule(Spec):
    """Base class of all optimisers. Its methods tell the engine what it must know; here they assume nothing good."""

    rule: ClassVar[Entry]  # maps (spec, steps, numbers, dtype, by_layer, scale) to a `Rule`

    def words(self) -> str:
        """Name the optimiser in a few words."""
        raise NotImplementedError

    def averages(self) -> bool:
        """Tell whether a moving average of the parameters is kept and measured."""
        return False

    def can_be_padded(self) -> bool:
        """Tell whether dead entries stay 0, and steps of the others are those of the smaller arrays."""
        return False

    def arrays(self) -> int:
        """Count the arrays of the parameters' size that a step uses, the parameters and their gradient included."""
        return 4

    def gradients(self) -> int:
        """Count the gradients that a step computes, roughly."""
        return 1

    def degree(self) -> int | None:
        """Give the power of the gradient's size with which steps grow, None where steps have no such law."""
        return None

    def takes_any_derivative(self) -> bool:
        """Tell whether a step may take derivatives of the loss other than its gradient."""
        return True


@dataclass(frozen=True, init=False)
class FromOptax(OwnNumbers, UpdateRule):
    """An optimiser that the page defines, as a transformation of optax; only its own numbers are its knobs.

    `FromOptax(build, learning_rate=1e-3, momentum=0.9, form="a")` calls `build(learning_rate=..., momentum=...,
    form="a")` inside the program, for each lane.

    Args:
        build: returns an `optax.GradientTransformation`. It sees the parameters as the network has them, or as one
            vector where its operations show that this makes no difference. If its `update` takes them by name, it gets
            the `value` and the gradient `grad` of the loss of the present batch, that loss as a function of parameters
            (`value_fn`), of which any derivative can be taken, and its gradient as optax's SAM wants it (`grad_fn`).
            Import optax inside `build`, so that the page loads without JAX.
        numbers: the same as `**more`, as a mapping.
        **more: what `build` is called with. A number becomes a knob that axes may sweep, and arrives as a traced
            array of the page's precision: use it in arithmetic, not in an `if`, and not as a count. A text is a
            structure, which arrives as it is: it may decide anything, and the axes may sweep it over any texts that
            `build` accepts.

    Raises:
        SweepError: for something that is no function, for a name that is already used, or for another kind of value.
    """

    rule: ClassVar[Entry] = Entry("sweep.engine.regression.rules:from_optax")

    build: Callable[..., Any]
    numbers: Mapping[str, float | str] = field(default_factory=dict, hash=False)

    def __init__(self, build: Callable[..., Any], *, numbers: Mapping[str, Any] | None = None, **more: Any):
        object.__setattr__(self, "build", build)
        object.__setattr__(self, "numbers", merge("FromOptax", numbers, more))
        self.__post_init__()

    def __post_init__(self) -> None:
        super().__post_init__()
        if not callable(self.build):
            raise SweepError(f"build of FromOptax must be a function that returns an optimiser, got {self.build!r}")
        check_own("FromOptax", self.numbers, ("build", "numbers"))

    def words(self) -> str:
        """Name the function that builds it."""
        return name_of(self.build)

    def traced(self) -> list[str]:
        """Name its numbers: all are traced, also whole ones."""
        return [name for name, value in self.numbers.items() if not isinstance(value, str)]
