"""Optimisers: optax chains built from traced numbers, inside the function that is mapped over lanes."""

from collections.abc import Callable
from typing import Any, Final

import jax.numpy as jnp
import optax
from jaxtyping import Array

from sweep.page.specs.optimizer import Optimizer

Numbers = dict[str, Array]
WARMUP: Final = 0.1  # share of the training over which "warmup_cosine" rises linearly to its peak


def optimizer(spec: Optimizer, steps: int, numbers: Numbers, dtype: Any) -> optax.GradientTransformation:
    """Build one lane's optimiser.

    Parameters are flattened to one vector inside it, so that a step is a few operations on a long array.

    Args:
        spec: its structure (name and form of schedule).
        steps: optimiser steps in the whole training.
        numbers: the lane's traced numbers.
        dtype: precision of the numbers.
    """
    own = {name: numbers[name].astype(dtype) for name in sorted(spec.applicable()) if name in numbers}
    rate = SCHEDULES[spec.schedule](own, steps)
    return optax.flatten(OPTIMIZERS[spec.name](_with_count_in(dtype, rate) if callable(rate) else rate, own))


def _with_count_in(dtype: Any, schedule: Callable[[Any], Any]) -> optax.Schedule:
    """Hand the count over as a number of this precision: JAX divides whole numbers in float32 even in float64."""
    return lambda count: schedule(jnp.asarray(count, dtype))


def _sgd(rate: Any, n: Numbers) -> optax.GradientTransformation:
    # Coupled decay, added to the gradient before the momentum, as PyTorch's SGD has it.
    return optax.chain(optax.add_decayed_weights(n["weight_decay"]), optax.sgd(rate, momentum=n["momentum"]))


OPTIMIZERS: Final[dict[str, Callable[[Any, Numbers], optax.GradientTransformation]]] = {
    "sgd": _sgd,
    "adam": lambda rate, n: optax.adam(rate, n["beta1"], n["beta2"], n["epsilon"]),
    "adamw": lambda rate, n: optax.adamw(rate, n["beta1"], n["beta2"], n["epsilon"], weight_decay=n["weight_decay"]),
    "nadam": lambda rate, n: optax.nadam(rate, n["beta1"], n["beta2"], n["epsilon"]),
    "rmsprop": lambda rate, n: optax.rmsprop(rate, n["decay"], n["epsilon"]),
    "adagrad": lambda rate, n: optax.adagrad(rate, eps=n["epsilon"]),
    "lion": lambda rate, n: optax.lion(rate, n["beta1"], n["beta2"], weight_decay=n["weight_decay"]),
}


def _linear(n: Numbers, steps: int) -> optax.Schedule:
    return lambda count: n["learning_rate"] * (1 - (1 - n["final_fraction"]) * jnp.minimum(count / steps, 1))


def _cosine(n: Numbers, steps: int) -> optax.Schedule:
    return optax.cosine_decay_schedule(n["learning_rate"], steps, n["final_fraction"])


def _exponential(n: Numbers, steps: int) -> optax.Schedule:
    return lambda count: n["learning_rate"] * n["final_fraction"] ** jnp.minimum(count / steps, 1)


def _warmup_cosine(n: Numbers, steps: int) -> optax.Schedule:
    warmup = max(1, round(WARMUP * steps))
    rise = optax.linear_schedule(0.0, n["learning_rate"], warmup)
    fall = optax.cosine_decay_schedule(n["learning_rate"], max(1, steps - warmup), n["final_fraction"])
    return optax.join_schedules([rise, fall], [warmup])


SCHEDULES: Final[dict[str, Callable[[Numbers, int], Any]]] = {
    "constant": lambda n, steps: n["learning_rate"],
    "linear": _linear,
    "cosine": _cosine,
    "exponential": _exponential,
    "warmup_cosine": _warmup_cosine,
}
