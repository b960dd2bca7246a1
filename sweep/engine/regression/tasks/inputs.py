"""The positions of points, and the network's inputs at them."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from sweep.page.specs.task import INPUTS, Task

Rows = Float[Array, "_ _"]  # one for each feature, or for each input


def place(
    task: Task, drawn: Float[Array, "features points"] | None, dtype: np.dtype
) -> Float[Array, "features points"]:
    """Lay out the training points: as given, or uniform on [low, high).

    Args:
        task: structure of the task.
        drawn: uniform numbers on (-1, 1) if points are random, else None.
        dtype: precision.
    """
    if drawn is not None:
        return task.low + (task.high - task.low) * (drawn + 1) / 2
    return jnp.asarray(task.given_points(), dtype)


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
    return (2 * x - (task.low + task.high)) / (task.high - task.low)


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
