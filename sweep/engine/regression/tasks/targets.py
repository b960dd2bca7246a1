"""Target functions f(x), one builder for each kind of task."""

from collections.abc import Callable

import jax.numpy as jnp
from jaxtyping import Array, Float

from sweep.base.errors import SweepError, blame, name_of
from sweep.page.specs.task import FromFunction, Linear, Sine, SumOfSines, Table, Task

Numbers = dict[str, Array]
Drawn = Float[Array, " phases"] | None
Target = Callable[[Float[Array, "features n"]], Float[Array, " n"]]


def target_function(task: Task, numbers: Numbers, drawn: Drawn) -> Target:
    """Build a lane's noiseless target.

    Args:
        task: structure of the task.
        numbers: the lane's traced numbers.
        drawn: uniform numbers on (-1, 1), one for each random phase of the task.
    """
    return task.target_builder.load()(task, numbers, drawn)


def sum_of_sines(task: SumOfSines, numbers: Numbers, drawn: Drawn) -> Target:
    """Build f(x) = sum_i a_i sin(2 pi k_i x + phi_i)."""

    def target(x: Float[Array, "1 n"]) -> Float[Array, " n"]:
        frequencies = jnp.asarray(task.frequencies, x.dtype)
        phases = jnp.asarray(task.phases, x.dtype) if drawn is None else jnp.pi * (drawn + 1)
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
    culprit = f"the target function {name_of(task.function)!r}"

    def target(x: Float[Array, "1 n"]) -> Float[Array, " n"]:
        with blame(culprit):
            values = task.function(x[0], **{name: numbers[name].astype(x.dtype) for name in task.parameters})
            values = jnp.asarray(values, x.dtype)
        if values.shape not in ((), x[0].shape):
            raise SweepError(
                f"{culprit} returns an array of shape {values.shape} for x of shape {x[0].shape}: "
                f"it must return one value for each point"
            )
        return jnp.broadcast_to(values, x[0].shape)

    return target


def table(task: Table, numbers: Numbers, drawn: Drawn) -> Target:
    """Give the targets of the rows; a table has no target at any other x, and none is requested."""
    return lambda x: jnp.asarray(task.targets, x.dtype)
