"""Tasks: from a spec and a lane's numbers to points and targets."""

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from sweep.engine.keys import matrices, normal, uniforms
from sweep.engine.regression.tasks.inputs import compute_inputs, place
from sweep.engine.regression.tasks.targets import target_function
from sweep.page.specs.task import Task
from sweep.page.specs.window import Window

Numbers = dict[str, Array]
# What is drawn from the stream "data". Like the numbers of streams, these never change.
POINTS, PHASES, NOISE = range(3)


class Data(NamedTuple):
    """The data of one lane.

    Args:
        points: raw positions, one row for each feature.
        inputs: the network's inputs at the points.
        target: training targets, with noise.
        clean: targets without noise.
        x_inputs, x_clean: inputs and noiseless targets at the x over which errors are shown, None if these are the
            training points or the task has no x.
        initial: the parameters that the lane begins with, None unless a metric of the page uses them.
    """

    points: Float[Array, "features points"]
    inputs: Float[Array, "inputs points"]
    target: Float[Array, " points"]
    clean: Float[Array, " points"]
    x_inputs: Float[Array, "inputs x"] | None
    x_clean: Float[Array, " x"] | None
    initial: Any = None


def draw(task: Task, key: Key[Array, ""], numbers: Numbers, dtype: np.dtype, shown: Window | None = None) -> Data:
    """Draw a lane's data.

    Args:
        task: structure of the task.
        key: key of the stream `data` of the lane's `data_seed`.
        numbers: the lane's traced numbers, including `noise`.
        dtype: precision.
        shown: the x over which errors are shown; None for only the training points.
    """
    shapes = {NOISE: (1, task.points)}
    if task.placement == "random":
        shapes[POINTS] = (task.features(), task.points)
    if phases := task.random_phases():
        shapes[PHASES] = (1, phases)
    drawn = matrices(uniforms(key, shapes, dtype), shapes)
    points = place(task, drawn.get(POINTS), dtype)
    target_at = target_function(task, numbers, drawn[PHASES][0] if phases else None)
    clean = target_at(points)
    noise = numbers["noise"].astype(dtype) * normal(drawn[NOISE][0])
    x_inputs = x_clean = None
    if shown and (task.placement == "random" or not np.array_equal(shown.values()[None, :], task.given_points())):
        x = jnp.asarray(shown.values()[None, :], dtype)
        x_inputs, x_clean = compute_inputs(task, x, points), target_at(x)
    return Data(points, compute_inputs(task, points, points), clean + noise, clean, x_inputs, x_clean)
