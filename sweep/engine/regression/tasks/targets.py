"""Target functions f(x), one builder for each kind of task."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from sweep.base.errors import SweepError, blame, name_of
from sweep.engine.regression.tasks.streams import TARGET_KEY
from sweep.page.specs.task import FromFunction, Linear, Sine, SumOfSines, Table, Task

Numbers = dict[str, Array]


class Drawn(NamedTuple):
    """What targets are drawn from.

    Args:
        phases: uniform numbers on (-1, 1), one for each random phase of the task; None without any.
        key: key of the stream `data` of the lane's `data_seed`.
    """

    phases: Float[Array, " phases"] | None
    key: Key[Array, ""]


Target = Callable[[Float[Array, "features n"]], Float[Array, "n *outputs"]]


def target_function(task: Task, numbers: Numbers, drawn: Drawn) -> Target:
    """Build a lane's noiseless target.

    Args:
        task: structure of the task.
        numbers: the lane's traced numbers.
        drawn: what it is drawn from.
    """
    return task.target_builder.load()(task, numbers, drawn)


def sum_of_sines(task: SumOfSines, numbers: Numbers, drawn: Drawn) -> Target:
    """Build f(x) = sum_i a_i sin(2 pi k_i x + phi_i)."""

    def target(x: Float[Array, "1 n"]) -> Float[Array, " n"]:
        frequencies = jnp.asarray(task.frequencies, x.dtype)
        phases = jnp.asarray(task.phases, x.dtype) if drawn.phases is None else jnp.pi * (drawn.phases + 1)
        waves = jnp.sin(2 * jnp.pi * frequencies[:, None] * x + phases[:, None])
        return jnp.asarray(task.amplitude_list(), x.dtype) @ waves

    return target


def sine(task: Sine, numbers: Numbers, drawn: Drawn) -> Target:
    """Build f(x) = a sin(2 pi k x + phi)."""

    def target(x: Float[Array, "1 n"]) -> Float[Array, " n"]:
        k, a, phi = (numbers[name].astype(x.dtype) for name in ("target_frequency", "amplitude", "phase"))
        return a * jnp.sin(2 * jnp.pi * k * x[0] + phi)

    return target


def linear(task: Linear, numbers: Numbers, drawn: Drawn) -> Target:
    """Build f(x) = w . x + b."""

    def target(x: Float[Array, "features n"]) -> Float[Array, " n"]:
        return jnp.asarray(task.slopes, x.dtype) @ x + numbers["intercept"].astype(x.dtype)

    return target


def from_function(task: FromFunction, numbers: Numbers, drawn: Drawn) -> Target:
    """Build f(x, **parameters), as the page defines it; a single number is a constant target."""
    culprit, outputs = f"the target function {name_of(task.function)!r}", (len(task.outputs),) * bool(task.outputs)
    drawing = {"key": jax.random.fold_in(drawn.key, TARGET_KEY)} if task.draws_targets() else {}

    def target(x: Float[Array, "features n"]) -> Float[Array, "n *outputs"]:
        given = x[0] if task.features == 1 else x.T
        with blame(culprit):
            parameters = {name: numbers[name].astype(x.dtype) for name in task.parameters}
            values = jnp.asarray(task.function(given, **drawing, **parameters), x.dtype)
        expected = (x.shape[1], *outputs)
        if values.shape not in ((), expected):
            each = f"{len(task.outputs)} values" if outputs else "one value"
            raise SweepError(
                f"{culprit} returns an array of shape {values.shape} for x of shape {given.shape}: "
                f"it must return {each} for each point"
            )
        return jnp.broadcast_to(values, expected)

    return target


def table(task: Table, numbers: Numbers, drawn: Drawn) -> Target:
    """Give the targets of the rows; a table has no target at any other x, and none is requested."""
    return lambda x: jnp.asarray(task.targets, x.dtype)
