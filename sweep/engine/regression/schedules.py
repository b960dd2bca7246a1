"""Schedules: the learning rate as a function of the steps taken, from traced numbers."""

from collections.abc import Callable
from typing import Any, Final

import jax.numpy as jnp
import optax
from jaxtyping import Array

Numbers = dict[str, Array]
Schedule = Callable[[Any], Any]  # from the steps taken to a learning rate
Rate = Array | Schedule
WARMUP: Final = 0.1  # share of the training over which "warmup_cosine" rises linearly to its peak, unless told


def constant(n: Numbers, steps: int) -> Array:
    """The learning rate, unchanged."""
    return n["learning_rate"]


def linear(n: Numbers, steps: int) -> Schedule:
    """A straight line from the learning rate to its final fraction."""
    return lambda count: n["learning_rate"] * (1 - (1 - n["final_fraction"]) * jnp.minimum(count / steps, 1))


def cosine(n: Numbers, steps: int) -> Schedule:
    """Half a cosine from the learning rate to its final fraction."""
    return optax.cosine_decay_schedule(n["learning_rate"], steps, n["final_fraction"])


def exponential(n: Numbers, steps: int) -> Schedule:
    """The same factor at each step, down to the final fraction."""
    return lambda count: n["learning_rate"] * n["final_fraction"] ** jnp.minimum(count / steps, 1)


def warmup_cosine(n: Numbers, steps: int) -> Schedule:
    """A straight line up from 0 over the first share `WARMUP` of the steps, then half a cosine."""
    if "warmup" in n:
        return cosine(n, steps)  # `scheduled` puts the warm-up before it
    warmup = max(1, round(WARMUP * steps))
    rise = optax.linear_schedule(0.0, n["learning_rate"], warmup)
    fall = optax.cosine_decay_schedule(n["learning_rate"], max(1, steps - warmup), n["final_fraction"])
    return optax.join_schedules([rise, fall], [warmup])


def piecewise(n: Numbers, steps: int) -> Schedule:
    """The learning rate, multiplied by `boundary_factor` from each boundary on, which is rounded to a step."""
    places = [jnp.round(value * steps) for name, value in n.items() if name.startswith("boundaries_")]

    def rate(count: Array) -> Array:
        passed = sum((count >= place).astype(count.dtype) for place in places)
        return n["learning_rate"] * n["boundary_factor"] ** passed

    return rate


def one_cycle(n: Numbers, steps: int) -> Schedule:
    """Half a cosine up over the share `warmup` of the steps, and half a cosine down (Smith & Topin 2018)."""
    peak, rise = n["learning_rate"], jnp.round(n["warmup"] * steps)
    first, last = peak * n["initial_fraction"], peak * n["final_fraction"]

    def rate(count: Array) -> Array:
        up = _half_cosine(first, peak, count / jnp.maximum(rise, 1))
        down = _half_cosine(peak, last, jnp.minimum((count - rise) / jnp.maximum(steps - rise, 1), 1))
        return jnp.where(count < rise, up, down)

    return rate


def _half_cosine(start: Array, end: Array, share: Array) -> Array:
    return end + (start - end) / 2 * (jnp.cos(jnp.pi * share) + 1)


def scheduled(form: Callable[[Numbers, int], Rate], n: Numbers, steps: int, dtype: Any, *, warms: bool) -> Rate:
    """Build a learning rate.

    Args:
        form: one of the forms above.
        n: the lane's numbers.
        steps: changes of the parameters in the whole training.
        dtype: precision of the count that a schedule gets: JAX divides whole numbers in float32 even in float64.
        warms: whether the number `warmup` is that of a rise before the schedule.
    """
    rate = form(n, steps)
    if warms:
        rate = _after_warmup(rate if callable(rate) else lambda _: n["learning_rate"], n["warmup"], steps)
    if not callable(rate):
        return rate
    return lambda count: rate(jnp.asarray(count, dtype))


def _after_warmup(schedule: Callable[[Any], Any], share: Array, steps: int) -> Schedule:
    """Let the rate rise from 0 over a share of the steps, at least one if it is not 0; the schedule takes the rest."""
    rise = jnp.where(share > 0, jnp.maximum(jnp.round(share * steps), 1), 0)

    def rate(count: Array) -> Array:
        done = jnp.maximum(count - rise, 0) * steps / jnp.maximum(steps - rise, 1)
        return jnp.where(count < rise, schedule(jnp.zeros_like(count)) * count / jnp.maximum(rise, 1), schedule(done))

    return rate
