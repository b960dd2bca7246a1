"""Where points lie, and what the network sees of them."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from sweep.page.specs.task import Table, Task


def place(
    task: Task, drawn: Float[Array, "features points"] | None, dtype: np.dtype
) -> Float[Array, "features points"]:
    """Lay out the training points: as given, or uniform on [low, high).

    Args:
        task: structure of the task.
        drawn: uniform numbers on (-1, 1) where points are random.
        dtype: precision.
    """
    if drawn is not None:
        return task.low + (task.high - task.low) * (drawn + 1) / 2
    return jnp.asarray(given_points(task), dtype)


def given_points(task: Task) -> np.ndarray:
    """Give the training points of a task that draws none, in float64: those of a table, or a grid."""
    if isinstance(task, Table):
        return np.array(task.rows, float).T
    grid = task.window()
    assert grid is not None
    return grid.values()[None, :]


def as_inputs(
    task: Task, x: Float[Array, "features n"], points: Float[Array, "features points"]
) -> Float[Array, "inputs n"]:
    """Map positions to what the network sees of them.

    Args:
        task: structure of the task.
        x: any positions.
        points: the training points, by which inputs are standardised.
    """
    if task.inputs == "scaled":
        return (2 * x - (task.low + task.high)) / (task.high - task.low)
    if task.inputs == "standardised":
        return (x - points.mean(axis=1, keepdims=True)) / points.std(axis=1, keepdims=True)
    if task.inputs == "circle":
        angle = 2 * jnp.pi / (task.high - task.low) * x
        return jnp.concatenate([jnp.cos(angle), jnp.sin(angle)])
    beside = {"as_is": [], "with_constant": [jnp.ones_like(x[:1])], "with_copy": [x]}
    return jnp.concatenate([x, *beside[task.inputs]])
