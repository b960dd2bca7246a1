"""The limits of the card: products in float32 without shorter formats, activations, memory, steps of a loop."""

import time
from typing import Any, Final

import jax
import jax.numpy as jnp

from benchmarks import limit
from benchmarks.accelerator_child import Report

ACTIVATION: Final = "tanh"  # of all cells
_STEPS: Final = 2000
_TRIES: Final = 3


def measure(report: Report) -> None:
    """Measure the rates, each per second, and the seconds of a loop's step that computes nothing."""
    report.do("rates", lambda: report.tell("rates", **_rates(report)))
    report.do("loop", lambda: report.tell("loop", step_seconds=_loop_step_seconds()))


def _rates(report: Report) -> dict[str, float]:
    size = report.size
    with jax.default_matmul_precision("highest"):
        found = limit.rates(ACTIVATION, size.product, size.lengths)
    # What passes of an optimiser reach: its arrays do not stay in a cache.
    return found | {"bytes": limit.bandwidth(size.lengths[-1:]), "bytes_in_cache": found["bytes"]}


def _loop_step_seconds() -> float:
    """Measure a step of a loop whose number of steps is traced, as in all programs here: its kernel's launch."""
    loop: Any = jax.jit(lambda x, steps: jax.lax.fori_loop(0, steps, lambda _, x: x * 0.5 + 1, x))
    x, times = jnp.ones(1), []
    for _ in range(1 + _TRIES):
        begun = time.perf_counter()
        jax.block_until_ready(loop(x, _STEPS))
        times.append(time.perf_counter() - begun)
    return min(times[1:]) / _STEPS
