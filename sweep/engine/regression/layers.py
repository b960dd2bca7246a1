"""Parts of perceptrons on arrays of shape (features, points): normalisation and dropout."""

from collections.abc import Sequence
from typing import Final

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key

from sweep.engine.keys import matrices, uniforms

EPSILON: Final = 1e-6  # added to the variance, as in Flax


def normalised(
    z: Float[Array, "neurons points"], scale: Float[Array, " neurons"], shift: Float[Array, " neurons"]
) -> Float[Array, "neurons points"]:
    """Normalise over neurons, at each point: scale (z - mean) / sqrt(variance + `EPSILON`) + shift.

    Ba, Kiros and Hinton 2016, arXiv:1607.06450; with the variance of these neurons, not an estimate of another one.
    """
    z = z - jnp.mean(z, axis=0)
    z = z * jax.lax.rsqrt(jnp.mean(z**2, axis=0) + EPSILON)
    return scale[:, None] * z + shift[:, None]


def draw_dropout_masks(
    key: Key[Array, ""], neurons: Sequence[int], points: int, rate: Float[Array, ""]
) -> tuple[Bool[Array, "neurons points"], ...]:
    """Draw which outputs of each hidden layer are kept in a step, each with probability 1 - rate.

    All layers have one hash (see `keys`); an entry depends on its layer, neuron and point alone, and not on precision.

    Args:
        key: of the step.
        neurons: of each hidden layer.
        points: in the step.
        rate: the share that is dropped.
    """
    shapes = {layer: (size, points) for layer, size in enumerate(neurons)}
    least = 2 * rate.astype(jnp.float32) - 1
    return tuple(drawn >= least for drawn in matrices(uniforms(key, shapes, jnp.float32), shapes).values())


def dropped(
    h: Float[Array, "neurons points"], mask: Bool[Array, "neurons points"], rate: Float[Array, ""]
) -> Float[Array, "neurons points"]:
    """Set to 0 what the mask leaves out, and divide the rest by 1 - rate: means stay (Srivastava et al. 2014)."""
    return jnp.where(mask, h * (1 / (1 - rate.astype(h.dtype))), 0)
