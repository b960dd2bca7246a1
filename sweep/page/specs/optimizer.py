"""How parameters are updated."""

from dataclasses import dataclass
from typing import Final

from sweep.base.errors import SweepError
from sweep.page.specs.knobs import Spec, choice, knobs_of, number

# The numbers that each optimiser takes beside the learning rate, with optax's defaults.
OPTIMIZERS: Final[dict[str, dict[str, float]]] = {
    "sgd": {"momentum": 0.0, "weight_decay": 0.0},
    "adam": {"beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8},
    "adamw": {"beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8, "weight_decay": 1e-4},
    "nadam": {"beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8},
    "rmsprop": {"decay": 0.9, "epsilon": 1e-8},
    "adagrad": {"epsilon": 1e-7},
    "lion": {"beta1": 0.9, "beta2": 0.99, "weight_decay": 1e-3},
}
# The numbers that each form of schedule takes, with their defaults.
SCHEDULES: Final[dict[str, dict[str, float]]] = {
    "constant": {},
    "linear": {"final_fraction": 0.0},
    "cosine": {"final_fraction": 0.0},
    "exponential": {"final_fraction": 0.01},
    "warmup_cosine": {"final_fraction": 0.0},
}
_ALWAYS: Final = frozenset({"optimizer", "schedule", "learning_rate"})


@dataclass(frozen=True)
class Optimizer(Spec):
    """An optax optimiser and its numbers; a number left None is that optimiser's own default.

    Args:
        name: one of `OPTIMIZERS`.
        learning_rate: step size, or its peak where a schedule changes it.
        momentum: heavy-ball momentum of "sgd".
        weight_decay: coupled L2 decay (added to the gradient, as PyTorch does) for "sgd", decoupled otherwise.
        beta1, beta2: decay rates of the moment estimates.
        epsilon: added to the denominator.
        decay: decay rate of the squared gradient in "rmsprop".
        schedule: form of the learning rate over the whole training, one of `SCHEDULES`.
        final_fraction: last learning rate over the peak one.

    Raises:
        SweepError: for an unknown name, a number out of range, or one that this optimiser does not take.
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
            raise SweepError("final_fraction must be greater than 0 with schedule 'exponential', which never ends at 0")
        for name in sorted(set(knobs_of(type(self))) - self.applicable()):
            value = getattr(self, name)
            if value is not None:
                raise SweepError(
                    f"optimizer {self.name!r} with schedule {self.schedule!r} takes no {name}, got {value!r}: "
                    f"it takes {', '.join(sorted(self.applicable() - _ALWAYS)) or 'only learning_rate'}"
                )

    def applicable(self) -> frozenset[str]:
        """Name the knobs that this optimiser and schedule take."""
        return _ALWAYS | set(OPTIMIZERS[self.name]) | set(SCHEDULES[self.schedule])

    def default(self, name: str) -> float | None:
        """Give the value of a number that was left None, None where it does not apply."""
        return {**OPTIMIZERS[self.name], **SCHEDULES[self.schedule]}.get(name)
