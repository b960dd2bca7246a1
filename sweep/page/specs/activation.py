"""The activation functions by name."""

from dataclasses import dataclass
from typing import Final

from sweep.base.registry import Entry


@dataclass(frozen=True, kw_only=True)
class Activation(Entry):
    """A function s(z) of arrays of any shape.

    Args:
        periodic: whether s is periodic, so that `omega0` and `hidden_omega` are factors on its frequency.
    """

    periodic: bool = False


ACTIVATIONS: Final[dict[str, Activation]] = {
    "tanh": Activation("jax.numpy:tanh"),
    "relu": Activation("jax.nn:relu"),
    "sine": Activation("sweep.engine.regression.sine:sine", periodic=True),
    "cosine": Activation("sweep.engine.regression.sine:cosine", periodic=True),
    "sigmoid": Activation("jax.nn:sigmoid"),
    "gelu": Activation("jax.nn:gelu"),
    "softplus": Activation("jax.nn:softplus"),
    "silu": Activation("jax.nn:silu"),
    "elu": Activation("jax.nn:elu"),
    "identity": Activation("sweep.engine.regression.perceptron:identity"),
}
