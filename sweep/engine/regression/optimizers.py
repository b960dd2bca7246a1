"""Optimisers: optax chains built from traced numbers, inside the function that is mapped over lanes."""

from collections.abc import Callable
from typing import Any, Final

import jax.numpy as jnp
import optax
from jaxtyping import Array

from sweep.page.specs.optimizer import OPTIMIZERS, SCHEDULES, Optimizer

Numbers = dict[str, Array]
WARMUP: Final = 0.1  # share of the training over which "warmup_cosine" rises linearly to its peak


def optimizer(spec: Optimizer, steps: int, numbers: Numbers, dtype: Any) -> optax.GradientTransformation:
    """Build one lane's optimiser.

    Inside it the parameters are flattened to one vector, so that a step is a few operations on a long array.

    Args:
        spec: its structure (name and form of schedule).
        steps: optimiser steps in the whole training.
        numbers: the lane's traced numbers.
        dtype: precision of the numbers.
    """
    used = {name: numbers[name].astype(dtype) for name in sorted(spec.applicable()) if name in numbers}
    rate = SCHEDULES[spec.schedule].load()(used, steps)
    build = OPTIMIZERS[spec.name].load()
    return optax.flatten(build(_cast_count(dtype, rate) if callable(rate) else rate, used))


def _cast_count(dtype: Any, schedule: Callable[[Any], Any]) -> optax.Schedule:
    """Convert the count that a schedule gets to a precision: JAX divides whole numbers in float32 even in float64."""
    return lambda count: schedule(jnp.asarray(count, dtype))


# Optimisers.


def sgd(rate: Any, n: Numbers) -> optax.GradientTransformation:
    """SGD with coupled decay, which is added to the gradient before the momentum, as in PyTorch."""
    return optax.chain(optax.add_decayed_weights(n["weight_decay"]), optax.sgd(rate, momentum=n["momentum"]))


def adam(rate: Any, n: Numbers) -> optax.GradientTransformation:
    """Adam."""
    return optax.adam(rate, n["beta1"], n["beta2"], n["epsilon"])


def adamw(rate: Any, n: Numbers) -> optax.GradientTransformation:
    """Adam with decoupled decay."""
    return optax.adamw(rate, n["beta1"], n["beta2"], n["epsilon"], weight_decay=n["weight_decay"])


def nadam(rate: Any, n: Numbers) -> optax.GradientTransformation:
    """Adam with Nesterov's momentum."""
    return optax.nadam(rate, n["beta1"], n["beta2"], n["epsilon"])


def rmsprop(rate: Any, n: Numbers) -> optax.GradientTransformation:
    """RMSprop."""
    return optax.rmsprop(rate, n["decay"], n["epsilon"])


def adagrad(rate: Any, n: Numbers) -> optax.GradientTransformation:
    """Adagrad."""
    return optax.adagrad(rate, eps=n["epsilon"])


def lion(rate: Any, n: Numbers) -> optax.GradientTransformation:
    """Lion, with decoupled decay."""
    return optax.lion(rate, n["beta1"], n["beta2"], weight_decay=n["weight_decay"])


# Schedules.


def constant(n: Numbers, steps: int) -> Array:
    """The learning rate, unchanged."""
    return n["learning_rate"]


def linear(n: Numbers, steps: int) -> optax.Schedule:
    """A straight line from the learning rate to its final fraction."""
    return lambda count: n["learning_rate"] * (1 - (1 - n["final_fraction"]) * jnp.minimum(count / steps, 1))


def cosine(n: Numbers, steps: int) -> optax.Schedule:
    """Half a cosine from the learning rate to its final fraction."""
    return optax.cosine_decay_schedule(n["learning_rate"], steps, n["final_fraction"])


def exponential(n: Numbers, steps: int) -> optax.Schedule:
    """The same factor at each step, down to the final fraction."""
    return lambda count: n["learning_rate"] * n["final_fraction"] ** jnp.minimum(count / steps, 1)


def warmup_cosine(n: Numbers, steps: int) -> optax.Schedule:
    """A straight line up from 0 over the first share `WARMUP` of the steps, then half a cosine."""
    warmup = max(1, round(WARMUP * steps))
    rise = optax.linear_schedule(0.0, n["learning_rate"], warmup)
    fall = optax.cosine_decay_schedule(n["learning_rate"], max(1, steps - warmup), n["final_fraction"])
    return optax.join_schedules([rise, fall], [warmup])
