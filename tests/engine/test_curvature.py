"""Sharpness against dense eigenvalues, closed forms, and the learning rate at which gradient descent diverges."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from helpers import Plain, data_of, make_plan, numbers_of, run_lanes, share_blocks, tiny, to_flax
from jax.flatten_util import ravel_pytree

from sweep.axes import grid
from sweep.engine import program as programs
from sweep.engine.prepare import settings_of
from sweep.engine.regression.curvature import ITERATIONS, largest_eigenvalue
from sweep.page.experiment import Experiment
from sweep.specs import MLP, FromModule, Linear, Metric, Optimizer, Record, linear_spaced

SHARP = Record(metrics=("loss", "sharpness"), at=linear_spaced(2), snapshots=0)


def rotated(values: np.ndarray) -> np.ndarray:
    """Make a symmetric matrix with these eigenvalues."""
    turn = np.linalg.qr(np.random.default_rng(5).normal(size=(len(values), len(values))))[0]
    return (turn * values) @ turn.T


SIZE = 60
MATRICES = {
    "a spectrum from -1 to 2": rotated(np.linspace(-1, 2, SIZE)),
    "one outlier of many": rotated(np.append(np.linspace(-0.1, 0.1, SIZE - 1), 5.0)),
    "all negative": rotated(np.linspace(-3, -1, 20)),
    "two values": rotated(np.repeat([1.0, -4.0], 15)),
    "rank one": np.ones((40, 40)),
    "zero": np.zeros((5, 5)),
    "one entry": np.array([[-7.0]]),
    "tiny": 1e-200 * rotated(np.linspace(-1, 2, 10)),
}
largest = jax.jit(lambda matrix, start: largest_eigenvalue(lambda vector: matrix @ vector, start, ITERATIONS))


@pytest.mark.parametrize("name", MATRICES)
def test_the_largest_eigenvalue_of_known_matrices_is_found_and_rows_in_which_the_start_is_zero_do_not_count(name):
    matrix = MATRICES[name]
    padded, start = np.zeros((SIZE, SIZE)), np.zeros(SIZE)
    padded[: len(matrix), : len(matrix)] = matrix
    start[: len(matrix)] = np.random.default_rng(1).normal(size=len(matrix))
    with jax.enable_x64(True):
        found = largest(padded, start)
    np.testing.assert_allclose(found, np.linalg.eigvalsh(matrix)[-1], rtol=1e-6, atol=1e-12 * abs(matrix).max())


def test_a_product_that_is_not_finite_is_not_hidden():
    matrix = rotated(np.linspace(-1, 2, SIZE))
    for bad in (np.nan, np.inf):
        matrix[3, 3] = bad
        with jax.enable_x64(True):
            assert np.isnan(largest(matrix, np.ones(SIZE)))


def test_sharpness_is_recorded_only_where_it_is_named():
    assert "sharpness" not in tiny(record=Record()).metrics()
    assert tiny(record=SHARP).metrics() == ("loss", "sharpness")


@pytest.mark.slow
def test_sharpness_is_the_largest_eigenvalue_of_a_dense_hessian_of_a_deeper_network():
    """Of 61 parameters, more than there are iterations."""
    experiment = tiny(axes=grid(seed=(0, 1)), precision="float64", epochs=300, record=SHARP)
    plan, lives = make_plan(experiment), run_lanes(experiment)
    with jax.enable_x64(True):
        module = Plain((6, 6), "tanh", True, jnp.float64)
        for lane, life in enumerate(lives):
            data = data_of(plan, lane)
            for record, state in enumerate(life.states):
                flat, unravel = ravel_pytree(jax.tree.map(jnp.asarray, to_flax(state.parameters)))
                assert flat.size == 61 > ITERATIONS

                def loss(flat, unravel=unravel, data=data):
                    return jnp.mean((module.apply(unravel(flat), data.inputs.T) - data.target) ** 2)

                wanted = jnp.linalg.eigvalsh(jax.jit(jax.hessian(loss))(flat))[-1]
                np.testing.assert_allclose(life.curves["sharpness"][record], wanted, rtol=1e-6)


def quadratic(rates: tuple[float, ...], loss: str = "mean_squared"):
    """Least squares by gradient descent: 16 random points in two dimensions, a kernel and a bias."""
    return tiny(
        task=Linear(slopes=(2.0, -1.0), placement="random", points=16), model=MLP(depth=0), precision="float64",
        optimizer=Optimizer("sgd"), axes=grid(learning_rate=rates), epochs=400, record=SHARP, loss=loss,
    )  # fmt: skip


def test_sharpness_of_least_squares_is_that_of_its_matrix_and_twice_its_inverse_is_the_largest_stable_rate():
    first = quadratic((0.01, 0.02))
    design = np.vstack([data_of(make_plan(first), 0).inputs, np.ones(16)])
    wanted = np.linalg.eigvalsh(2 * design @ design.T / 16)[-1]
    lives = run_lanes(first)
    for life in lives:
        np.testing.assert_allclose(life.curves["sharpness"], wanted, rtol=1e-12)
    largest = 2 / float(lives[0].curves["sharpness"][0])
    below, above = (life.curves["loss"] for life in run_lanes(quadratic((0.98 * largest, 1.02 * largest))))
    assert below[-1] < 1e-3 * below[0]
    assert above[-1] > 1e3 * above[0]


def at_start(experiment: Experiment) -> dict[str, np.ndarray]:
    """Measure the first lane of a page before its first step, without the loops around it."""
    plan = make_plan(experiment)
    block, numbers = numbers_of(plan, 0)

    def measure(numbers):
        lane, data = programs.begin(block, numbers)
        return programs.finish(block, numbers, data, lane, jnp.int32(0))[1]

    with settings_of(plan):
        return jax.tree.map(np.asarray, jax.jit(measure)(numbers))


@pytest.mark.parametrize("more", [{}, pytest.param({"activation": ("tanh", "sine")}, marks=pytest.mark.slow)])
def test_padding_changes_sharpness_by_rounding_only(monkeypatch, more):
    model = MLP(bias_initializer="normal", bias_scale=0.5)
    alone = at_start(tiny(model=model, axes=grid(width=(3,), depth=(1,)), precision="float64", record=SHARP))
    axes = grid(width=(3, 6), depth=(1, 2), **more)
    share_blocks(monkeypatch)
    padded = at_start(tiny(model=model, axes=axes, precision="float64", record=SHARP))
    assert alone["sharpness"] > 0.1
    for name in ("loss", "sharpness"):
        np.testing.assert_allclose(padded[name], alone[name], rtol=1e-11)


class Module(nn.Module):
    """A module with a number that is no matrix, and one without a bias."""

    @nn.compact
    def __call__(self, x):
        scale = self.param("scale", nn.initializers.ones, ())
        return scale * nn.Dense(1, use_bias=False)(nn.tanh(nn.Dense(2)(x)))


def dense(moment):
    flat, unravel = ravel_pytree(moment.parameters)
    return jnp.linalg.eigvalsh(jax.hessian(lambda flat: moment.loss_at(unravel(flat)))(flat))[-1]


def test_sharpness_of_a_module_of_the_page_is_the_largest_eigenvalue_of_a_dense_hessian():
    record = Record(metrics=("sharpness",), own=(Metric("dense", dense),), at=linear_spaced(2), snapshots=0)
    found = at_start(tiny(model=FromModule(build=lambda width: Module()), precision="float64", record=record))
    np.testing.assert_allclose(found["sharpness"], found["dense"], rtol=1e-9)
