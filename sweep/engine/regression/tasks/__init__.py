"""Tasks: from a spec and a lane's numbers to points and targets."""

from typing import Any, Final, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key, Shaped

from sweep.engine.keys import matrices, normal, uniforms
from sweep.engine.regression.tasks.inputs import compute_inputs, place
from sweep.engine.regression.tasks.streams import NOISE, PHASES, POINTS
from sweep.engine.regression.tasks.targets import Drawn, target_function
from sweep.page.specs.task import Task
from sweep.page.specs.window import Window

Numbers = dict[str, Array]


class Scales(NamedTuple):
    """By what inputs and targets are standardised: raw numbers are mean + deviation * standardised ones."""

    input_mean: Float[Array, " features"]
    input_deviation: Float[Array, " features"]
    target_mean: Float[Array, "*columns"]
    target_deviation: Float[Array, "*columns"]


class Data(NamedTuple):
    """The data of one lane, or of all lanes.

    Args:
        points: raw positions, one row for each feature; None for given rows, whose positions are the inputs.
        inputs: the network's inputs at the points; None if `rows` holds them.
        target: training targets, with noise; whole numbers if they are classes.
        clean: targets without noise.
        x_inputs, x_clean: inputs and noiseless targets at the x over which errors are shown, None if these are the
            training points, the task has no x, or it has no targets there.
        rows: the network's inputs point by point, so that a batch of them is read as whole rows.
        validation_inputs, validation_target: of the points that no step sees.
        sample_inputs: of the rows of which predictions are shown.
        is_validation: for each of these, 1 if no step sees it.
        scales: by what inputs and targets are standardised; None if they are not.
        initial: the parameters that the lane begins with, None unless a metric of the page uses them.
    """

    points: Float[Array, "features points"] | None
    inputs: Float[Array, "inputs points"] | None
    target: Shaped[Array, "points *columns"]
    clean: Shaped[Array, "points *columns"]
    x_inputs: Float[Array, "inputs x"] | None
    x_clean: Float[Array, "x *columns"] | None
    rows: Float[Array, "points inputs"] | None = None
    validation_inputs: Float[Array, "inputs validation"] | None = None
    validation_target: Shaped[Array, "validation *columns"] | None = None
    sample_inputs: Float[Array, "inputs sample"] | None = None
    is_validation: Float[Array, " sample"] | None = None
    scales: Scales | None = None
    initial: Any = None


NO_DATA: Final = Data(*(None,) * 6)  # type: ignore[arg-type]  # of a lane that has all of them in common with others


def draw(task: Task, key: Key[Array, ""], numbers: Numbers, dtype: np.dtype, shown: Window | None = None) -> Data:
    """Draw a lane's data.

    Args:
        task: structure of the task.
        key: key of the stream `data` of the lane's `data_seed`.
        numbers: the lane's traced numbers, including `noise`.
        dtype: precision.
        shown: the x over which errors are shown; None for only the training points.
    """
    shapes = {NOISE: (max(1, len(task.output_names())), task.points)}
    if task.placement == "random":
        shapes[POINTS] = (task.count_features(), task.points)
    if phases := task.random_phases():
        shapes[PHASES] = (1, phases)
    drawn = matrices(uniforms(key, shapes, dtype), shapes)
    points = place(task, drawn.get(POINTS), key, dtype)
    target_at = target_function(task, numbers, Drawn(drawn[PHASES][0] if phases else None, key))
    clean = target_at(points)
    noise = numbers["noise"].astype(dtype) * normal(drawn[NOISE].T if task.output_names() else drawn[NOISE][0])
    x_inputs = x_clean = None
    if shown and (task.draws_points() or not np.array_equal(shown.positions(), task.given_points())):
        x = jnp.asarray(shown.positions(), dtype)
        x_inputs, x_clean = compute_inputs(task, x, points), target_at(x)
    return Data(points, compute_inputs(task, points, points), clean + noise, clean, x_inputs, x_clean)
