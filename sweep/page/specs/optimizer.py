"""The optimiser and its learning rate schedule."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from sweep.base.errors import SweepError
from sweep.base.registry import Entry
from sweep.page.specs.knobs import Spec, choice, knobs_of, number


@dataclass(frozen=True, kw_only=True)
class Numbered(Entry):
    """An optimiser, or a form of schedule, with its numbers.

    Args:
        numbers: the numbers that it takes besides the learning rate, with their defaults: those of optax if it has any.
    """

    numbers: Mapping[str, float]


_ADAM: Final = {"beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8}
# Each maps (learning rate or schedule, numbers) to an optax optimiser.
OPTIMIZERS: Final[dict[str, Numbered]] = {
    "sgd": Numbered("sweep.engine.regression.optimizers:sgd", numbers={"momentum": 0.0, "weight_decay": 0.0}),
    "adam": Numbered("sweep.engine.regression.optimizers:adam", numbers=_ADAM),
    "adamw": Numbered("sweep.engine.regression.optimizers:adamw", numbers={**_ADAM, "weight_decay": 1e-4}),
    "nadam": Numbered("sweep.engine.regression.optimizers:nadam", numbers=_ADAM),
    "rmsprop": Numbered("sweep.engine.regression.optimizers:rmsprop", numbers={"decay": 0.9, "epsilon": 1e-8}),
    "adagrad": Numbered("sweep.engine.regression.optimizers:adagrad", numbers={"epsilon": 1e-7}),
    "lion": Numbered(
        "sweep.engine.regression.optimizers:lion", numbers={"beta1": 0.9, "beta2": 0.99, "weight_decay": 1e-3}
    ),
}
# Each maps (numbers, steps of the training) to a learning rate, or to a function from the steps taken to it.
SCHEDULES: Final[dict[str, Numbered]] = {
    "constant": Numbered("sweep.engine.regression.optimizers:constant", numbers={}),
    "linear": Numbered("sweep.engine.regression.optimizers:linear", numbers={"final_fraction": 0.0}),
    "cosine": Numbered("sweep.engine.regression.optimizers:cosine", numbers={"final_fraction": 0.0}),
    "exponential": Numbered("sweep.engine.regression.optimizers:exponential", numbers={"final_fraction": 0.01}),
    "warmup_cosine": Numbered("sweep.engine.regression.optimizers:warmup_cosine", numbers={"final_fraction": 0.0}),
}
_ALWAYS: Final = frozenset({"optimizer", "schedule", "learning_rate"})


@dataclass(frozen=True)
class Optimizer(Spec):
    """An optax optimiser and its numbers; a number that is None has the optimiser's default.

    Args:
        name: one of `OPTIMIZERS`.
        learning_rate: step size, or its peak if a schedule changes it.
        momentum: heavy-ball momentum of "sgd".
        weight_decay: coupled L2 decay (added to the gradient, as PyTorch does) for "sgd", decoupled otherwise.
        beta1, beta2: decay rates of the moment estimates.
        epsilon: added to the denominator.
        decay: decay rate of the squared gradient in "rmsprop".
        schedule: form of the learning rate over the training, one of `SCHEDULES`.
        final_fraction: the final learning rate divided by the peak.

    Raises:
        SweepError: for an unknown name, a number out of range, or a number that this optimiser does not take.
    """

    name: str = choice("adam", OPTIMIZERS, kind="optimizer", name="optimizer")
    learning_rate: float = number(1e-3, above=0.0)
    momentum: float | None = number(None, at_least=0.0, below=1.0)
    weight_decay: float | None = number(None, at_least=0.0)
    beta1: float | None = number(None, at_least=0.0, below=1.0)
    beta2: float | None = number(None, at_least=0.0, below=1.0)
    epsilon: float | None = number(None, above=0.0)
    decay: float | None = number(None, at_least=0.0, below=1.0)
    schedule: str = choice("constant", SCHEDULES, kind="schedule")
    final_fraction: float | None = number(None, at_least=0.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.schedule == "exponential" and self.final_fraction == 0:
            raise SweepError("final_fraction must be greater than 0 with schedule 'exponential', which never reaches 0")
        for name in sorted(set(knobs_of(type(self))) - self.applicable()):
            value = getattr(self, name)
            if value is not None:
                raise SweepError(
                    f"optimizer {self.name!r} with schedule {self.schedule!r} takes no {name}, got {value!r}: "
                    f"it takes {', '.join(sorted(self.applicable() - _ALWAYS)) or 'only learning_rate'}"
                )

    def applicable(self) -> frozenset[str]:
        """Name the knobs that this optimiser and schedule take."""
        return _ALWAYS | self._defaults().keys()

    def default(self, name: str) -> float | None:
        """Give the default of a number, None if it does not apply."""
        return self._defaults().get(name)

    def _defaults(self) -> dict[str, float]:
        return {**OPTIMIZERS[self.name].numbers, **SCHEDULES[self.schedule].numbers}
