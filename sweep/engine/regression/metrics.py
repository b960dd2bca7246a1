"""Metrics: functions of a `Moment`, that is, of one lane at one record.

Metrics that a page defines are functions of a `Moment`, too.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.custom_batching import sequential_vmap
from jaxtyping import Array, Float

from sweep.base.errors import SweepError, blame
from sweep.base.labels import METRICS
from sweep.engine.regression.losses import compute_loss
from sweep.engine.regression.moment import Moment
from sweep.page.shape import PREDICTION, SAMPLE_PREDICTION
from sweep.page.specs.task import Task


def spectral_operator(task: Task, points: Array) -> Array:
    """Give the matrix that maps values at the points to the real and imaginary coefficients of each frequency.

    On a periodic grid these are the discrete Fourier coefficients. Elsewhere values are fitted by least
    squares with a constant, and a cosine and a sine for each frequency; the constant is left out.

    Returns:
        Array of shape (2, frequencies, points); h_k = cosine part - i sine part, times one common factor.
    """
    frequencies = np.asarray(task.reported_frequencies())
    if task.draws_points():
        design = _design(points[0], jnp.asarray(frequencies, points.dtype), jnp)
        inverse = _pseudo_inverse(design)
    else:
        x, periods = task.given_points()[0], frequencies * (task.high - task.low)
        design = _design(x, frequencies, np)
        periodic = task.placement == "grid" and np.allclose(periods, np.round(periods), rtol=0, atol=1e-9)
        inverse = design.T * 2 / task.points if periodic else np.linalg.pinv(design)
    return jnp.asarray(inverse[1:], points.dtype).reshape(2, len(frequencies), task.points)


@sequential_vmap
def _pseudo_inverse(matrix: Array) -> Array:
    """Invert the matrices of lanes one after another.

    On CPU a decomposition of many matrices is split over XLA's threads, and then those of several devices can wait
    for each other forever.
    """
    return jnp.linalg.pinv(matrix)


def _design(x: Any, frequencies: Any, xp: Any) -> Any:
    angles = 2 * xp.pi * x[:, None] * frequencies
    return xp.concatenate([xp.ones_like(x)[:, None], xp.cos(angles), xp.sin(angles)], axis=1)


def spectral_error(moment: Moment) -> Float[Array, " frequency"]:
    """|f_k - h_k| / |f_k| of the complex coefficients of noiseless target f and network h.

    Of several outputs the coefficients are vectors, and |.| is their Euclidean norm.
    """
    assert moment.data.points is not None
    operator = spectral_operator(moment.shape.task, moment.data.points)
    target = operator @ moment.data.clean
    output = operator @ moment.prediction
    parts = (0, *range(2, target.ndim))  # real and imaginary part, and outputs
    return jnp.sqrt(jnp.sum((target - output) ** 2, axis=parts) / jnp.sum(target**2, axis=parts))


def gradient_norm(moment: Moment) -> Float[Array, " layer"]:
    """Euclidean norm of the loss gradient of each layer; NaN for layers that the lane lacks, where depths vary."""
    norms = jnp.stack([_norm(layer) for layer in moment.gradient_by_layer])
    if "depth" not in moment.numbers:
        return norms
    layer, depth = jnp.arange(norms.size), moment.numbers["depth"]
    return jnp.where(layer < depth, norms, jnp.where(layer == depth, norms[-1], jnp.nan))


def parameter_norm(moment: Moment) -> Float[Array, ""]:
    """Euclidean norm of all parameters."""
    return _norm(moment.parameters)


def _norm(tree: Any) -> Float[Array, ""]:
    return jnp.sqrt(sum((jnp.sum(leaf**2) for leaf in jax.tree.leaves(tree)), jnp.zeros(())))


def loss(moment: Moment) -> Float[Array, ""]:
    """Training loss over all points."""
    return moment.loss


def clean_loss(moment: Moment) -> Float[Array, ""]:
    """Training loss with the noiseless targets instead of the noisy ones."""
    return _loss_of(moment, moment.prediction, moment.data.clean)


def _loss_of(moment: Moment, prediction: Array, target: Array) -> Float[Array, ""]:
    """Compute the training loss of other predictions or targets."""
    ones = jnp.ones(target.shape[:1], moment.shape.precision)
    return compute_loss(moment.shape.loss, prediction, target, ones, moment.numbers)


def validation_loss(moment: Moment) -> Float[Array, ""]:
    """Training loss over the points for validation."""
    return _loss_of(moment, *_validation(moment))


def _validation(moment: Moment) -> tuple[Array, Array]:
    """Give outputs and targets of the points for validation."""
    assert moment.validation_prediction is not None
    assert moment.data.validation_target is not None
    return moment.validation_prediction, moment.data.validation_target


def spatial_error(moment: Moment) -> Float[Array, "*x"]:
    """|f(x) - h(x)|, the Euclidean norm if there are several outputs."""
    assert moment.x_clean is not None
    assert moment.x_prediction is not None
    error = moment.x_clean - moment.x_prediction
    return jnp.sqrt(jnp.sum(error**2, axis=-1)) if moment.shape.outputs() else jnp.abs(error)


def extrapolation_error(moment: Moment) -> Float[Array, ""]:
    """Root mean square of f(x) - h(x) over the x outside the lane's training range."""
    assert moment.shape.shown is not None
    task = moment.shape.task
    beyond = moment.shape.shown.beyond(*task.ends())
    return jnp.sqrt(jnp.mean(spatial_error(moment)[beyond] ** 2))


def accuracy(moment: Moment) -> Float[Array, ""]:
    """Share of training points that are assigned to their class.

    It is the class with the largest output; or, with one output, class 1 if that is above the boundary of the loss.
    """
    return _share_correct(moment, moment.prediction, moment.data.target)


def validation_accuracy(moment: Moment) -> Float[Array, ""]:
    """Share of the points for validation that are assigned to their class."""
    return _share_correct(moment, *_validation(moment))


def _share_correct(moment: Moment, prediction: Array, target: Array) -> Float[Array, ""]:
    if moment.shape.has_classes():
        return jnp.mean(jnp.argmax(prediction, axis=1) == target)
    entry = moment.shape.loss.entry
    assert entry is not None
    return jnp.mean((prediction > entry.boundary) == (target > 0.5))


def average_loss(moment: Moment) -> Float[Array, ""]:
    """Training loss over all points at the moving average of the parameters."""
    return _loss_of(moment, _average_prediction(moment), moment.data.target)


def average_accuracy(moment: Moment) -> Float[Array, ""]:
    """Accuracy at the moving average of the parameters."""
    return _share_correct(moment, _average_prediction(moment), moment.data.target)


def _average_prediction(moment: Moment) -> Float[Array, "points *outputs"]:
    assert moment.apply is not None
    assert moment.data.inputs is not None
    return moment.apply(moment.average, moment.data.inputs)


def measure(moment: Moment) -> dict[str, Array]:
    """Compute everything that a record of this Shape holds; a function that several metrics have is called once."""
    values = {name: METRICS[name].load()(moment) for name in moment.shape.metrics}
    names: dict[Callable[[Moment], Any], list[str]] = {}
    for metric in moment.shape.own:
        assert metric.function is not None
        names.setdefault(metric.function, []).append(metric.name)
    for function, own in names.items():
        values |= _own_values(own, function, moment)
    if moment.x_prediction is not None:
        values[PREDICTION] = moment.x_prediction
    if moment.sample_prediction is not None:
        values[SAMPLE_PREDICTION] = moment.sample_prediction
    return jax.tree.map(jnp.asarray, values)


def _own_values(names: list[str], function: Callable[[Moment], Any], moment: Moment) -> dict[str, Array]:
    """Compute the metrics of a page that have one function; an array that it returns is the value of each of them."""
    words = f"metric {names[0]!r}" if len(names) == 1 else f"metrics {', '.join(map(repr, names))}"
    with blame(words):
        found = function(moment)
        found = found if isinstance(found, Mapping) else dict.fromkeys(names, found)
        values = {name: jnp.asarray(value) for name, value in found.items()}
    if values.keys() != {*names}:
        returned, each = (", ".join(map(repr, some)) or "nothing" for some in (values, names))
        raise SweepError(f"the function of {words} returns a dict of {returned}: it must have exactly {each}")
    for name, value in values.items():
        if jnp.iscomplexobj(value):
            raise SweepError(f"metric {name!r} must return real numbers, got complex ones: take jnp.abs")
    return values
