"""The defaults of Keras and PyTorch, which the pages about networks of other authors rely on.

Every expected number is computed here, in NumPy, from what the two frameworks document.
"""

from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import data_of, lives, make_plan, numbers_of, tiny
from scipy import stats

from sweep.axes import grid
from sweep.engine.keys import stream
from sweep.engine.regression.networks import network
from sweep.specs import MLP, Linear, Optimizer, Record, Table, every

SEEDS = 400
KERAS = {"initializer": "glorot_uniform"}
PYTORCH = {"initializer": "pytorch_uniform", "bias_initializer": "pytorch_uniform"}


@cache
def drawn(model: MLP) -> Any:
    """Draw the parameters of many seeds, with the numbers that a page passes to the network."""
    page = tiny(model=model)
    block, numbers = numbers_of(make_plan(page), 0)
    functions, inputs = network(block.training.shape.model, block.training.varying), jnp.zeros((1, 4))

    def draw(seed: jax.Array) -> Any:
        return functions.init(stream(seed, "weights"), inputs, {k: jnp.asarray(v) for k, v in numbers.items()})[0]

    return jax.tree.map(np.asarray, jax.jit(jax.vmap(draw))(jnp.arange(SEEDS, dtype=jnp.uint32)))


def assert_uniform(values: np.ndarray, limit: float) -> None:
    """Check a sample against U(-limit, limit): its law, its variance and that it stays within."""
    values = values.astype(float).ravel()
    assert np.abs(values).max() <= limit * (1 + 1e-6)
    assert np.abs(values).max() > limit * (1 - 20 / len(values))
    assert stats.kstest(values, stats.uniform(-limit, 2 * limit).cdf).pvalue > 1e-3
    # Five standard errors of a variance; the kurtosis of a uniform law is 1.8.
    assert abs(values.var() / (limit**2 / 3) - 1) < 5 * np.sqrt(0.8 / len(values))


# ---------------------------------------------------------------------------------------------------------
# Initial weights and biases.


def test_keras_weights_are_within_the_limit_of_glorot_and_biases_are_zero():
    layers = drawn(MLP(hidden=(16, 16), **KERAS))  # 1-16-16-1
    for layer, fans in {"layer_0": (1, 16), "layer_1": (16, 16), "layer_2": (16, 1)}.items():
        assert_uniform(layers[layer]["kernel"], np.sqrt(6 / sum(fans)))
        assert (layers[layer]["bias"] == 0).all()
    assert np.abs(layers["layer_0"]["kernel"]).max() == pytest.approx(0.594, abs=1e-3)  # sqrt(6 / 17)


def test_pytorch_draws_weights_and_biases_from_one_distribution():
    layers = drawn(MLP(hidden=(20, 30), **PYTORCH))
    for layer, fan_in in {"layer_0": 1, "layer_1": 20, "layer_2": 30}.items():
        for part in ("kernel", "bias"):
            assert_uniform(layers[layer][part], 1 / np.sqrt(fan_in))
    weights, biases = layers["layer_0"]["kernel"][:, 0], layers["layer_0"]["bias"]
    assert abs(np.corrcoef(weights.ravel(), biases.ravel())[0, 1]) < 5 / np.sqrt(weights.size)


@pytest.mark.parametrize(("name", "variance"), [("pytorch_normal", lambda n: 1 / (3 * n)), ("normal", lambda n: 1.0)])
def test_normal_weights_have_the_deviation_of_their_name_and_all_of_the_tails(name, variance):
    layers = drawn(MLP(hidden=(20, 30), initializer=name))
    for layer, fan_in in {"layer_0": 1, "layer_1": 20, "layer_2": 30}.items():
        values = layers[layer]["kernel"].astype(float).ravel() / np.sqrt(variance(fan_in))
        assert stats.kstest(values, stats.norm.cdf).pvalue > 1e-3
        assert abs(values.var() - 1) < 5 * np.sqrt(2 / len(values))
        assert np.abs(values).max() > 3  # not the one that is cut at two deviations


def test_half_of_pytorch_s_first_kinks_lie_within_1_of_zero_and_all_of_keras_at_zero():
    first = drawn(MLP(hidden=(20, 30), **PYTORCH))["layer_0"]
    kinks = (-first["bias"] / first["kernel"][:, 0]).astype(float).ravel()
    assert abs((np.abs(kinks) < 1).mean() - 0.5) < 5 * np.sqrt(0.25 / len(kinks))

    def law(t: np.ndarray) -> np.ndarray:
        """P(|b / w| < t) for b and w uniform on the same range: t / 2, and from 1 on 1 - 1 / (2 t)."""
        return np.where(t < 1, t / 2, 1 - 1 / (2 * np.maximum(t, 1)))

    assert stats.kstest(np.abs(kinks), law).pvalue > 1e-3
    first = drawn(MLP(hidden=(16, 16), **KERAS))["layer_0"]
    assert (first["bias"] / first["kernel"][:, 0] == 0).all()


# ---------------------------------------------------------------------------------------------------------
# Optimisers, on whole trainings of a linear neuron in float64.


def neuron(**changes: Any) -> Any:
    """Train one linear neuron: weights and biases at every step, and the data."""
    settings = {"model": MLP(depth=0), "precision": "float64", "record": Record(metrics=("loss",), at=every(1))}
    plan = make_plan(tiny(**(settings | changes)))
    (life,) = lives(plan)
    own = [state.parameters["layer_0"] for state in life.states]
    walked = np.array([[*layer["kernel"][:, 0], *layer.get("bias", ())] for layer in own])
    return walked, data_of(plan, 0), life


def gradient(weights: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Give the gradient of the mean squared error of x @ weights."""
    return 2 * x.T @ (x @ weights - y) / len(y)


@pytest.mark.core
def test_adam_with_the_epsilon_of_keras_is_adam_by_hand_where_gradients_are_tiny():
    x, y = np.array([[1e-4], [2e-4]]), np.array([1e-3, 3e-3])  # gradients of about 1e-7: a tenth of it would show
    walked, _, _ = neuron(
        task=Table(rows=x, targets=y, inputs="as_is"), model=MLP(depth=0, bias=False, initializer="zeros"),
        optimizer=Optimizer("adam", learning_rate=1e-3, epsilon=1e-7), epochs=20,
    )  # fmt: skip

    def by_hand(epsilon: float) -> np.ndarray:
        w, m, v, found = np.zeros(1), 0.0, 0.0, []
        for step in range(1, 22):
            found.append(w)
            g = gradient(w, x, y)
            m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
            w = w - 1e-3 * (m / (1 - 0.9**step)) / (np.sqrt(v / (1 - 0.999**step)) + epsilon)
        return np.array(found)

    np.testing.assert_allclose(walked, by_hand(1e-7), rtol=1e-12)
    assert np.abs(by_hand(1e-8)[1:] / walked[1:] - 1).min() > 0.05


@pytest.mark.core
def test_pytorch_s_sgd_has_momentum_without_dampening_and_decays_weights_and_biases_in_the_gradient():
    walked, data, _ = neuron(
        task=Linear(points=12, low=-1.0, high=2.0, noise=0.1), epochs=30,
        model=MLP(depth=0, bias_initializer="normal"),
        optimizer=Optimizer("sgd", learning_rate=0.05, momentum=0.9, weight_decay=0.2),
    )  # fmt: skip
    x, w, buffer = np.stack([data.inputs[0], np.ones(12)], axis=1), walked[0], np.zeros(2)
    for found in walked[1:]:
        buffer = 0.9 * buffer + gradient(w, x, data.target) + 0.2 * w
        w = w - 0.05 * buffer
        np.testing.assert_allclose(found, w, rtol=1e-11)


def test_batches_of_32_of_100_points_are_four_steps_with_a_short_last_one_as_in_keras_fit():
    walked, data, life = neuron(
        task=Linear(points=100, noise=0.5), axes=grid(seed=(3,)), batch_size=32, epochs=5,
        optimizer=Optimizer("sgd", learning_rate=0.05),
    )  # fmt: skip
    assert len(walked) == 1 + 5 * 4
    orders = [np.asarray(state.order) for state in life.states[1:]]
    for epoch in range(5):
        assert sorted(orders[4 * epoch]) == list(range(100))
        assert all((order == orders[4 * epoch]).all() for order in orders[4 * epoch : 4 * epoch + 4])
    assert len({tuple(order) for order in orders}) == 5  # shuffled anew
    x, w = np.stack([data.inputs[0], np.ones(100)], axis=1), walked[0]
    for step, found in enumerate(walked[1:]):
        batch = orders[step][32 * (step % 4) :][:32]
        assert len(batch) == (32, 32, 32, 4)[step % 4]
        w = w - 0.05 * gradient(w, x[batch], data.target[batch])  # the mean over those that are there
        np.testing.assert_allclose(found, w, rtol=1e-12)
