"""Fixed random Fourier features of a network's inputs, which no step changes: collections, and no parameters."""

from math import pi
from typing import Any, Final

import jax.numpy as jnp
from jaxtyping import Array, Float

from sweep.engine.regression.networks import Collections, Parameters
from sweep.engine.regression.products import product
from sweep.engine.regression.sine import cosine, sine

FEATURES: Final = "fourier_features"  # where they stand beside the layers in what is kept of a network


def fourier_features(
    frequencies: Float[Array, "frequencies inputs"], x: Float[Array, "inputs points"]
) -> Float[Array, "features points"]:
    """cos(2 pi B x) and, after all of these, sin(2 pi B x) (Tancik et al. 2020, arXiv:2006.10739)."""
    angles = 2 * pi * product(frequencies.T, x)
    return jnp.concatenate([cosine(angles), sine(angles)])


def join(parameters: Parameters, collections: Collections) -> Any:
    """Give the variables: the layers, and {"fourier_features": {"frequencies": B}}."""
    return {**parameters, FEATURES: collections}


def split(variables: Any) -> tuple[Parameters, Collections]:
    """Give the layers and the frequencies of such variables."""
    return {name: own for name, own in variables.items() if name != FEATURES}, variables[FEATURES]
