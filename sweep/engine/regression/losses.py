"""Training losses: functions of predictions h and targets y, with one value for each point, and for each output."""

from typing import Any, Final

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Shaped

from sweep.base.errors import SweepError, blame
from sweep.page.specs.loss import Loss

_CLIP: Final = 1e-7  # a probability of exactly 0 or 1 would have an infinite loss; Keras clips at the same value

Values = Float[Array, "points *outputs"]
Targets = Shaped[Array, "points *columns"]  # classes are whole numbers
Scalar = Float[Array, ""]


def compute_loss(loss: Loss, h: Values, y: Targets, w: Float[Array, " points"], numbers: dict[str, Array]) -> Scalar:
    """Compute a loss over points: the mean, or the sum, of its values.

    Args:
        loss: built in, or of the page.
        h: predictions.
        y: targets.
        w: weights, 1 for points that count and 0 for padding.
        numbers: the lane's traced numbers, of which the loss takes its own.

    Raises:
        SweepError: for a loss of the page that fails, or that does not return one number for each point.
    """
    own = {name: numbers[name].astype(h.dtype) for name in loss.values()}
    if loss.entry is None:
        return _mean(_values_of_page(loss, h, y, own), w)
    values = loss.entry.load()(h, y, **own)
    if loss.entry.reduction == "sum":
        return jnp.sum(w * (values.sum(axis=1) if values.ndim > 1 else values))
    return _mean(values.mean(axis=1) if values.ndim > 1 else values, w)


def _values_of_page(loss: Loss, h: Values, y: Targets, own: dict[str, Array]) -> Float[Array, " points"]:
    """Compute the values of a loss of the page, in the precision of the predictions."""
    culprit, points = f"the loss {loss.name!r}", h.shape[:1]
    with blame(culprit):
        values = jnp.asarray(loss.function(h, y, **own))  # type: ignore[operator]
    if values.shape != points:
        raise SweepError(
            f"{culprit} returns an array of shape {values.shape} for {h.shape[0]} points: it must return one number "
            f"for each point, of shape {points}"
        )
    if jnp.iscomplexobj(values):
        raise SweepError(f"{culprit} must return real numbers, got complex ones")
    return values.astype(h.dtype)


def _mean(values: Float[Array, " points"], weights: Float[Array, " points"]) -> Scalar:
    return jnp.sum(weights * values) / jnp.sum(weights)


def squared(h: Values, y: Values) -> Values:
    """(h - y)^2."""
    return (h - y) ** 2


def half_squared(h: Values, y: Values) -> Values:
    """(h - y)^2 / 2."""
    return (h - y) ** 2 / 2


def absolute(h: Values, y: Values) -> Values:
    """|h - y|."""
    return jnp.abs(h - y)


def huber(h: Values, y: Values, delta: Scalar) -> Values:
    """r^2 / 2 for |r| <= delta, delta (|r| - delta / 2) beyond, with r = h - y (Huber, 1964)."""
    size = jnp.abs(h - y)
    inside = jnp.minimum(size, delta)
    return inside**2 / 2 + delta * (size - inside)


def log_cosh(h: Values, y: Values) -> Values:
    """Log cosh(h - y), computed as |r| + log(1 + exp(-2 |r|)) - log 2, which does not overflow."""
    size = jnp.abs(h - y)
    return size + jnp.log1p(jnp.exp(-2 * size)) - jnp.log(2.0).astype(h.dtype)


def binary_cross_entropy(h: Values, y: Values) -> Values:
    """-y log h - (1 - y) log(1 - h), for outputs h that are probabilities."""
    p = jnp.clip(h, _CLIP, 1 - _CLIP)
    return -y * jnp.log(p) - (1 - y) * jnp.log1p(-p)


def binary_cross_entropy_with_logits(h: Values, y: Values) -> Values:
    """The same, for outputs h of which the sigmoid is the probability."""
    return optax.sigmoid_binary_cross_entropy(h, y)


def hinge(h: Values, y: Values) -> Values:
    """max(0, 1 - s h), where s is 1 for class 1 and -1 for class 0."""
    return jnp.maximum(0, 1 - (2 * y - 1) * h)


def cross_entropy(h: Float[Array, "points classes"], y: Any, label_smoothing: Scalar) -> Float[Array, " points"]:
    """-sum_k q_k log softmax(h)_k, where q is 1 for the class y, mixed with 1 / classes for smooth labels.

    q = (1 - label_smoothing) onehot(y) + label_smoothing / classes, as in PyTorch and Keras.
    """
    logarithms = jax.nn.log_softmax(h, axis=1)
    of_class = jnp.sum(jnp.where(jnp.arange(h.shape[1]) == y[:, None], logarithms, 0), axis=1)
    return -(1 - label_smoothing) * of_class - label_smoothing * logarithms.mean(axis=1)
