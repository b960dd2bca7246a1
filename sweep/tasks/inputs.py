"""Where points lie, and what the network sees of them."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from sweep.specs.task import Task


def place(
    task: Task, drawn: Float[Array, "features points"] | None, dtype: np.dtype
) -> Float[Array, "features points"]:
    """Lay out the training points: a grid computed in float64, or uniform on [low, high).

    Args:
        task: structure of the task.
        drawn: uniform numbers on (-1, 1) where points are random.
        dtype: precision.
    """
    if drawn is not None:
        return task.low + (task.high - task.low) * (drawn + 1) / 2
    return jnp.asarray(evaluation_points(task)[None, :], dtype)


def evaluation_points(task: Task) -> np.ndarray:
    """Give the x over which errors and predictions are shown: float64, the training points where they are a grid."""
    return np.linspace(task.low, task.high, task.points, endpoint=task.placement != "grid")


def as_inputs(task: Task, points: Float[Array, "features n"]) -> Float[Array, "features n"]:
    """Map points to network inputs: [low, high] onto [-1, 1] where the task scales its inputs."""
    if task.inputs == "as_is":
        return points
    return (2 * points - (task.low + task.high)) / (task.high - task.low)
