"""A deep linear network against the closed form of its gradient flow (Saxe, McClelland and Ganguli, 2014)."""

from typing import Any

import numpy as np
from helpers import run_lanes, tiny

from sweep import MLP, Optimizer, Record, Table, every, grid

SLOPE, SEEDS, TIME = 1.5, tuple(range(12)), 2.0


def product_of_weights(first: float, second: float, times: np.ndarray) -> np.ndarray:
    """Give a(t) = v(t) w(t) of y = v w x with the loss (a - s)^2, for any initial weights.

    c = w^2 - v^2 is conserved. With w = sqrt(c) cosh(q / 2), v = sqrt(c) sinh(q / 2) and u = tanh(q / 2) the flow is
    du/dt = -2 s (u - r) (u - p), where r and p are the roots of s u^2 + c u - s, and a = c u / (1 - u^2).
    """
    w, v = (first, second) if abs(first) > abs(second) else (second, first)
    c = w**2 - v**2
    root = np.sqrt(c**2 + 4 * SLOPE**2)
    r, p = (-c + root) / (2 * SLOPE), (-c - root) / (2 * SLOPE)
    u = v / w
    decay = (u - r) / (u - p) * np.exp(-2 * SLOPE * (r - p) * times)
    u = (r - p * decay) / (1 - decay)
    return c * u / (1 - u**2)


def losses(rate: float) -> list[Any]:
    steps = round(TIME / rate)
    return run_lanes(
        tiny(
            task=Table(rows=((1.0,), (-1.0,)), targets=(SLOPE, -SLOPE), inputs="as_is"),
            model=MLP(width=1, depth=1, activation="identity", bias=False, initializer="normal"),
            optimizer=Optimizer("sgd", learning_rate=rate),
            axes=grid(seed=SEEDS),
            epochs=steps,
            precision="float64",
            record=Record(metrics=("loss",), at=every(steps // 20), snapshots=0),
        )
    )


def test_a_linear_network_follows_the_flow_with_an_error_proportional_to_the_rate() -> None:
    times = np.linspace(0, TIME, 21)
    coarse, fine = losses(2e-3), losses(1e-3)
    for one, other in zip(coarse, fine, strict=True):
        layers = other.states[0].parameters
        weights = (float(layers[name]["kernel"][0, 0]) for name in ("layer_0", "layer_1"))
        expected = (product_of_weights(*weights, times) - SLOPE) ** 2
        extrapolated = 2 * other.curves["loss"] - one.curves["loss"]  # the error of first order cancels
        np.testing.assert_allclose(extrapolated, expected, atol=2e-5 * expected.max())
    starts = [float(life.curves["loss"][0]) for life in fine]
    assert max(starts) > 2 * min(starts), "the lanes begin far from each other"
