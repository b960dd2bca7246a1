"""The positions of points, and the network's inputs at them."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from sweep.base.errors import SweepError, blame, name_of
from sweep.engine.keys import uniforms
from sweep.engine.regression.tasks.streams import PLACE_KEY, SHIFT
from sweep.page.specs.task import INPUTS, Task

Rows = Float[Array, "_ _"]  # one for each feature, or for each input


def place(
    task: Task, drawn: Float[Array, "features points"] | None, key: Key[Array, ""], dtype: np.dtype
) -> Float[Array, "features points"]:
    """Lay out the training points: as given, uniform on [low, high), or as a function of the page draws them.

    Args:
        task: structure of the task.
        drawn: uniform numbers on (-1, 1) if points are random, else None.
        key: key of the stream `data` of the lane's `data_seed`.
        dtype: precision.
    """
    if callable(task.placement):
        return _drawn_by_page(task, key, dtype)
    if task.placement == "quasi_random":
        drawn = 2 * _quasi_random(task, key, dtype) - 1
    if drawn is not None:
        low, high = _ends(task)
        return low + (high - low) * (drawn + 1) / 2
    return jnp.asarray(task.given_points(), dtype)


def _ends(task: Task) -> tuple[Any, Any]:
    """Give the range of x: numbers for one feature, else columns."""
    low, high = task.ends()
    if len(low) == 1:
        return low[0], high[0]
    return np.array(low)[:, None], np.array(high)[:, None]


def _quasi_random(task: Task, key: Key[Array, ""], dtype: np.dtype) -> Float[Array, "features points"]:
    """Give the points of a Sobol sequence on [0, 1), shifted by one random number for each feature, modulo 1."""
    from scipy.stats import qmc  # half a second to import, and few pages need it

    count = task.count_features()
    sequence = qmc.Sobol(count, scramble=False).random_base2((task.points - 1).bit_length())[: task.points]
    shift = (uniforms(key, {SHIFT: (count, 1)}, dtype) + 1) / 2
    return (jnp.asarray(sequence.T, dtype) + shift[:, None]) % 1


def _drawn_by_page(task: Task, key: Key[Array, ""], dtype: np.dtype) -> Float[Array, "features points"]:
    """Draw points by the page's function."""
    culprit, expected = f"the placement {name_of(task.placement)!r}", (task.points, task.count_features())
    with blame(culprit):
        points = jnp.asarray(task.placement(jax.random.fold_in(key, PLACE_KEY), task.points), dtype)  # type: ignore[operator]
    if points.ndim == 1 and expected[1] == 1:
        points = points[:, None]
    if points.shape != expected:
        raise SweepError(f"{culprit} returns an array of shape {points.shape}, it must be {expected}")
    return points.T


def compute_inputs(
    task: Task, x: Float[Array, "features n"], points: Float[Array, "features points"]
) -> Float[Array, "inputs n"]:
    """Compute the network's inputs at some positions.

    Args:
        task: structure of the task.
        x: the positions.
        points: the training points, whose mean and deviation standardise inputs.
    """
    return INPUTS[task.inputs].load()(task, x, points)


def scaled(task: Task, x: Rows, points: Rows) -> Rows:
    """[low, high] mapped to [-1, 1]."""
    low, high = _ends(task)
    return (2 * x - (low + high)) / (high - low)


def as_is(task: Task, x: Rows, points: Rows) -> Rows:
    """X itself."""
    return x


def standardised(task: Task, x: Rows, points: Rows) -> Rows:
    """Each feature has mean 0 and deviation 1 over the training points."""
    return (x - points.mean(axis=1, keepdims=True)) / points.std(axis=1, keepdims=True)


def circle(task: Task, x: Rows, points: Rows) -> Rows:
    """(cos t, sin t), t = 2 pi x / (high - low)."""
    angle = 2 * jnp.pi / (task.high - task.low) * x
    return jnp.concatenate([jnp.cos(angle), jnp.sin(angle)])


def with_constant(task: Task, x: Rows, points: Rows) -> Rows:
    """(x, 1)."""
    return jnp.concatenate([x, jnp.ones_like(x[:1])])


def with_copy(task: Task, x: Rows, points: Rows) -> Rows:
    """(x, x)."""
    return jnp.concatenate([x, x])
