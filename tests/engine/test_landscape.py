"""What a metric may compute at other parameters, against plain loops outside of the engine."""

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import assert_bitwise, data_of, make_plan, run_lanes, share_blocks, tiny
from jax.flatten_util import ravel_pytree

from sweep.axes import grid
from sweep.base.errors import SweepError
from sweep.runs import planning
from sweep.specs import MLP, Dimension, Metric, Optimizer, Record, linear_spaced

SHARES = np.linspace(0, 1, 11)
ENTRIES = 37  # parameters of a network of width 12 and depth 1, more than Lanczos has iterations


def interpolated_loss(moment):
    def at(share):
        between = jax.tree.map(lambda old, new: (1 - share) * old + share * new, moment.initial, moment.parameters)
        return moment.loss_at(between)

    return jax.vmap(at)(jnp.asarray(SHARES, moment.loss.dtype))


def along_gradient(moment):
    """Give the curvature along the gradient, g^T H g / g^T g, and the gradient's square, g^T g."""
    gradient = moment.gradient
    product = jax.jvp(jax.grad(moment.loss_at), (moment.parameters,), (gradient,))[1]
    flat, image = ravel_pytree(gradient)[0], ravel_pytree(product)[0]
    return {"curvature": flat @ image / (flat @ flat), "squared_gradient": flat @ flat}


def initial(moment):
    return ravel_pytree(moment.initial)[0]


def shifted(moment):
    return moment.predict(jax.tree.map(lambda leaf: 2 * leaf, moment.parameters), moment.data.inputs + 0.5)


OWN = (
    Metric("interpolated_loss", interpolated_loss, dims={"share": SHARES}),
    Metric("curvature", along_gradient),
    Metric("initial", initial, dims=(Dimension("entry", ENTRIES),)),
    Metric("squared_gradient", along_gradient),
    Metric("shifted", shifted, dims={"x": None}),
)
EXPERIMENT = tiny(
    model=MLP(width=12, depth=1, bias_initializer="normal"), axes=grid(seed=(0, 1), learning_rate=(0.05, 1e300)),
    optimizer=Optimizer("sgd"), precision="float64", batch_size=6,
    record=Record(metrics=("loss", "sharpness"), own=OWN, at=linear_spaced(3), snapshots=0),
)  # fmt: skip


@pytest.fixture(scope="module")
def trained():
    """The lanes of two seeds, each with a learning rate that trains and one that diverges."""
    return make_plan(EXPERIMENT), run_lanes(EXPERIMENT)


def output(parameters: Any, inputs: np.ndarray) -> np.ndarray:
    """Evaluate the network in NumPy."""
    hidden, last = (jax.tree.map(np.asarray, parameters[name]) for name in ("layer_0", "layer_1"))
    h = np.tanh(hidden["kernel"].T @ inputs + hidden["bias"][:, None])
    return (last["kernel"].T @ h + last["bias"][:, None])[0]


def test_the_loss_between_the_initial_and_the_present_parameters_is_that_of_a_plain_loop(trained):
    plan, lives = trained
    for lane in (0, 2):
        data, (start, *_) = data_of(plan, lane), (state.parameters for state in lives[lane].states)
        for record, state in enumerate(lives[lane].states):
            for place, share in enumerate(SHARES):
                between = {
                    layer: {
                        name: (1 - share) * start[layer][name] + share * state.parameters[layer][name] for name in own
                    }
                    for layer, own in start.items()
                }
                wanted = np.mean((output(between, data.inputs) - data.target) ** 2)
                np.testing.assert_allclose(lives[lane].curves["interpolated_loss"][record, place], wanted, rtol=1e-12)
        np.testing.assert_allclose(
            lives[lane].curves["interpolated_loss"][:, -1], lives[lane].curves["loss"], rtol=1e-12
        )
        np.testing.assert_allclose(
            lives[lane].curves["interpolated_loss"][:, 0], lives[lane].curves["loss"][0], rtol=1e-12
        )


def test_the_network_is_that_of_the_lane_at_other_parameters_and_inputs(trained):
    plan, lives = trained
    for record, state in enumerate(lives[2].states):
        wanted = output(jax.tree.map(lambda leaf: 2 * leaf, state.parameters), data_of(plan, 2).inputs + 0.5)
        np.testing.assert_allclose(lives[2].curves["shifted"][record], wanted, rtol=1e-12)


@jax.jit
def curvatures(flat: Any, inputs: Any, target: Any) -> Any:
    """Compute g^T H g / g^T g, g^T g and the largest eigenvalue of H from the dense Hessian of a plain network."""

    def loss(flat):
        kernel, bias, last, shift = jnp.split(flat[ORDER], (12, 24, 36))
        return jnp.mean((last @ jnp.tanh(kernel[:, None] * inputs + bias[:, None]) + shift - target) ** 2)

    gradient, hessian = jax.grad(loss)(flat), jax.hessian(loss)(flat)
    squared = gradient @ gradient
    return gradient @ hessian @ gradient / squared, squared, jnp.linalg.eigvalsh(hessian)[-1]


ORDER = np.r_[12:24, 0:12, 25:37, 24]  # kernels before biases, unlike in a pytree


def test_curvatures_are_those_of_a_dense_hessian(trained):
    plan, lives = trained
    data, life = data_of(plan, 0), lives[0]
    with jax.enable_x64(True):
        for record, state in enumerate(life.states):
            flat = np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(state.parameters)])
            along, squared, largest = curvatures(flat, data.inputs, data.target)
            np.testing.assert_allclose(life.curves["curvature"][record], along, rtol=1e-9)
            np.testing.assert_allclose(life.curves["squared_gradient"][record], squared, rtol=1e-9)
            np.testing.assert_allclose(life.curves["sharpness"][record], largest, rtol=1e-6)


def test_the_initial_parameters_are_those_that_the_lane_began_with_to_the_last_bit(trained):
    _, lives = trained
    for life in lives[::2]:
        began = np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(life.states[0].parameters)])
        assert len(set(began)) == ENTRIES
        for record in life.curves["initial"]:
            assert record.tobytes() == began.tobytes()


def test_a_lane_that_diverges_changes_no_bit_of_the_others(trained):
    _, lives = trained
    alone = run_lanes(replace(EXPERIMENT, axes=grid(seed=(0, 1), learning_rate=(0.05,))))
    for lost in lives[1::2]:
        assert all(np.isnan(lost.curves[metric.name][-1]).all() for metric in OWN)
    for one, other in zip(alone, lives[::2], strict=True):
        assert np.isfinite(one.curves["curvature"]).all()
        assert_bitwise(one, other)


def test_initial_parameters_are_kept_only_where_a_metric_uses_them():
    other = replace(EXPERIMENT, record=replace(EXPERIMENT.record, own=OWN[1:2] + OWN[3:]))
    assert data_of(make_plan(other), 0).initial is None
    assert data_of(make_plan(EXPERIMENT), 0).initial is not None


def start_distance(moment):
    change = jax.tree.map(lambda new, old: new - old, moment.parameters, moment.initial)
    dead = sum(jnp.sum(leaf == 0) for leaf in jax.tree.leaves(moment.direction(jax.random.key(3))))
    return {"distance": jnp.linalg.norm(ravel_pytree(change)[0]), "dead": dead}


def test_padded_lanes_know_their_initial_parameters_and_draw_directions_of_their_own(monkeypatch):
    own = (Metric("distance", start_distance), Metric("dead", start_distance))
    page = tiny(
        axes=grid(width=(3, 5)), model=MLP(depth=1, bias_initializer="normal"), precision="float64",
        record=Record(metrics=(), own=own, at=linear_spaced(2), snapshots=0),
    )  # fmt: skip
    share_blocks(monkeypatch)
    for width, life in zip((3, 5), run_lanes(page), strict=True):
        start, *_, end = (jax.tree.leaves(state.parameters) for state in life.states)
        assert start[1].shape == (1, 5)
        distance = np.sqrt(sum(np.sum((new - old) ** 2) for new, old in zip(end, start, strict=True)))
        assert life.curves["distance"][0] == 0
        np.testing.assert_allclose(life.curves["distance"][-1], distance, rtol=1e-12)
        assert life.curves["dead"].tolist() == [3 * (5 - width)] * 3  # of each dead neuron two weights and the bias


@pytest.mark.parametrize(
    ("returned", "told"),
    [
        (
            lambda moment: {"b": moment.loss},
            "the function of metric 'a' returns a dict of 'b': it must have exactly 'a'",
        ),
        (lambda moment: {}, "the function of metric 'a' returns a dict of nothing: it must have exactly 'a'"),
        (
            lambda moment: {"a": moment.prediction},
            "metric 'a' states the dimensions ('mode',) of sizes (3,), "
            "but its function returns an array of shape (16,)",
        ),
        (lambda moment: moment.initial["layer"], "metric 'a' raised KeyError: 'layer'"),
    ],
)
def test_a_function_that_returns_other_than_it_states_is_refused_in_one_line(returned, told):
    page = tiny(record=Record(metrics=("loss",), own=(Metric("a", returned, dims={"mode": 3}),)))
    with pytest.raises(SweepError) as refused:
        planning.plan_sweep(page)
    assert str(refused.value) == told
