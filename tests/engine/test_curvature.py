"""Sharpness against dense eigenvalues, closed forms, and the learning rate at which gradient descent diverges."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import Plain, data_of, make_plan, run_lanes, tiny, to_flax
from jax.flatten_util import ravel_pytree

from sweep.axes import grid
from sweep.engine.regression.curvature import ITERATIONS, largest_eigenvalue
from sweep.specs import MLP, Linear, Optimizer, Record, linear_spaced

SHARP = Record(metrics=("loss", "sharpness"), at=linear_spaced(2), snapshots=0)


def rotated(values: np.ndarray) -> np.ndarray:
    """Make a symmetric matrix with these eigenvalues."""
    turn = np.linalg.qr(np.random.default_rng(5).normal(size=(len(values), len(values))))[0]
    return (turn * values) @ turn.T


MATRICES = {
    "a spectrum from -1 to 2": rotated(np.linspace(-1, 2, 60)),
    "one outlier of many": rotated(np.append(np.linspace(-0.1, 0.1, 199), 5.0)),
    "all negative": rotated(np.linspace(-3, -1, 20)),
    "two values": rotated(np.repeat([1.0, -4.0], 15)),
    "rank one": np.ones((40, 40)),
    "zero": np.zeros((5, 5)),
    "one entry": np.array([[-7.0]]),
    "tiny": 1e-200 * rotated(np.linspace(-1, 2, 10)),
}


@pytest.mark.parametrize("name", MATRICES)
def test_the_largest_eigenvalue_of_known_matrices(name):
    with jax.enable_x64(True):
        matrix = jnp.asarray(MATRICES[name])
        start = jnp.asarray(np.random.default_rng(1).normal(size=len(matrix)))
        found = largest_eigenvalue(lambda vector: matrix @ vector, start, min(ITERATIONS, len(matrix)))
        wanted = np.linalg.eigvalsh(matrix)[-1]
        np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-12 * float(jnp.abs(matrix).max()))


def test_entries_in_which_the_start_is_zero_are_no_part_of_the_matrix_and_nan_is_not_hidden():
    with jax.enable_x64(True):
        inner = rotated(np.linspace(-2, -1, 6))
        matrix = jnp.zeros((9, 9)).at[:6, :6].set(inner)
        start = jnp.zeros(9).at[:6].set(1.0)
        alone = largest_eigenvalue(lambda vector: matrix[:6, :6] @ vector, start[:6], 9)
        found = largest_eigenvalue(lambda vector: matrix @ vector, start, 9)
        np.testing.assert_allclose([found, alone], -1, rtol=1e-12)
        broken = matrix.at[2, 2].set(jnp.nan)
        assert np.isnan(largest_eigenvalue(lambda vector: broken @ vector, start, 9))


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


@pytest.mark.slow
def test_padding_of_depth_and_activation_changes_sharpness_by_rounding_only(monkeypatch):
    from helpers import share_blocks

    experiment = tiny(
        axes=grid(width=(3, 6), depth=(1, 3), activation=("tanh", "sine")), precision="float64", record=SHARP
    )
    alone = run_lanes(experiment)
    share_blocks(monkeypatch)
    for one, other in zip(alone, run_lanes(experiment), strict=True):
        np.testing.assert_allclose(one.curves["sharpness"], other.curves["sharpness"], rtol=1e-9)
