"""How weights and biases are drawn, by name."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from sweep.base.registry import Entry


@dataclass(frozen=True, kw_only=True)
class Initializer(Entry):
    """A distribution of deviation 1, as a function of uniform numbers on (-1, 1), and the variance to scale it to.

    Args:
        variance: maps (fan-in, fan-out), which may be traced, to the variance.
        biases: whether biases may be drawn from it, too.
        first: the same as `variance`, in the first layer, if it is another one there.
        by_hidden_omega: whether deviations in the layers after the first are divided by the network's `hidden_omega`.
    """

    variance: Callable[[Any, Any], Any]
    biases: bool = False
    first: Callable[[Any, Any], Any] | None = None
    by_hidden_omega: bool = False


_NORMAL: Final = "sweep.engine.keys:normal"
_TRUNCATED: Final = "sweep.engine.regression.weights:truncated_normal"
_UNIFORM: Final = "sweep.engine.regression.weights:uniform"
INITIALIZERS: Final[dict[str, Initializer]] = {
    "zeros": Initializer("jax.numpy:zeros_like", variance=lambda fan_in, fan_out: 1.0, biases=True),
    "normal": Initializer(_NORMAL, variance=lambda fan_in, fan_out: 1.0, biases=True),
    # U(+-1/sqrt(fan_in)), and kaiming_normal_(a=sqrt(5)).
    "pytorch_uniform": Initializer(_UNIFORM, variance=lambda fan_in, fan_out: 1 / (3 * fan_in), biases=True),
    "pytorch_normal": Initializer(_NORMAL, variance=lambda fan_in, fan_out: 1 / (3 * fan_in)),
    "lecun_normal": Initializer(_TRUNCATED, variance=lambda fan_in, fan_out: 1 / fan_in),
    "lecun_uniform": Initializer(_UNIFORM, variance=lambda fan_in, fan_out: 1 / fan_in),
    "glorot_normal": Initializer(_TRUNCATED, variance=lambda fan_in, fan_out: 2 / (fan_in + fan_out)),
    "glorot_uniform": Initializer(_UNIFORM, variance=lambda fan_in, fan_out: 2 / (fan_in + fan_out)),
    "he_normal": Initializer(_TRUNCATED, variance=lambda fan_in, fan_out: 2 / fan_in),
    "he_uniform": Initializer(_UNIFORM, variance=lambda fan_in, fan_out: 2 / fan_in),
    # U(+-1/fan_in) in the first layer, U(+-sqrt(6/fan_in)/hidden_omega) in all others, the output included.
    "siren": Initializer(
        _UNIFORM, variance=lambda fan_in, fan_out: 2 / fan_in, first=lambda fan_in, fan_out: 1 / (3 * fan_in**2),
        by_hidden_omega=True,
    ),
}  # fmt: skip
