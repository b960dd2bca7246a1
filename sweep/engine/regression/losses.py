"""Training losses: functions of prediction h, target y and weights w, 1 for points that count and 0 for padding."""

from typing import Final

import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

_CLIP: Final = 1e-7  # a probability of exactly 0 or 1 would have an infinite loss; Keras clips at the same value

Points = Float[Array, " points"]
Scalar = Float[Array, ""]


def mean_squared(h: Points, y: Points, w: Points) -> Scalar:
    """Mean of (h - y)^2."""
    return _mean((h - y) ** 2, w)


def summed_squared(h: Points, y: Points, w: Points) -> Scalar:
    """Sum of (h - y)^2."""
    return jnp.sum(w * (h - y) ** 2)


def half_summed_squared(h: Points, y: Points, w: Points) -> Scalar:
    """Half the sum of (h - y)^2."""
    return jnp.sum(w * (h - y) ** 2) / 2


def mean_absolute(h: Points, y: Points, w: Points) -> Scalar:
    """Mean of |h - y|."""
    return _mean(jnp.abs(h - y), w)


def binary_cross_entropy(h: Points, y: Points, w: Points) -> Scalar:
    """Mean of -y log h - (1 - y) log(1 - h), for outputs h that are probabilities."""
    return _mean(_cross_entropy(jnp.clip(h, _CLIP, 1 - _CLIP), y), w)


def binary_cross_entropy_with_logits(h: Points, y: Points, w: Points) -> Scalar:
    """The same, for outputs h of which the sigmoid is the probability."""
    return _mean(optax.sigmoid_binary_cross_entropy(h, y), w)


def _mean(values: Points, weights: Points) -> Scalar:
    return jnp.sum(weights * values) / jnp.sum(weights)


def _cross_entropy(p: Points, y: Points) -> Points:
    return -y * jnp.log(p) - (1 - y) * jnp.log1p(-p)
