"""Every derivative of our networks can be taken in a metric, and training steps have the fast product."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import (
    PRECISIONS,
    Extended,
    Plain,
    both_extended,
    lives,
    make_plan,
    run_lanes,
    share_blocks,
    tiny,
    to_flax,
)
from jax.flatten_util import ravel_pytree

from sweep.axes import grid
from sweep.engine.keys import stream
from sweep.engine.regression.layers import draw_dropout_masks
from sweep.engine.regression.networks import Varying, network
from sweep.page.specs.activation import ACTIVATIONS
from sweep.specs import MLP, Metric, Optimizer, Record, linear_spaced

DERIVATIVES = {
    "hessian": lambda loss, p, v: jax.hessian(loss)(p),
    "jacfwd": lambda loss, p, v: jax.jacfwd(loss)(p),
    "jacrev of jacfwd": lambda loss, p, v: jax.jacrev(jax.jacfwd(loss))(p),
    "jvp of grad": lambda loss, p, v: jax.jvp(jax.grad(loss), (p,), (v,))[1],
    "grad of jvp": lambda loss, p, v: jax.grad(lambda p: jax.jvp(loss, (p,), (v,))[1])(p),
    "grad of grad": lambda loss, p, v: jax.grad(lambda p: jax.grad(loss)(p) @ v)(p),
    "third, forward": lambda loss, p, v: jax.jvp(lambda p: jax.jvp(jax.grad(loss), (p,), (v,))[1], (p,), (v,))[1],
    "of the input": lambda loss, p, v: jax.vmap(jax.hessian(lambda x: loss(p, x[None])))(jnp.linspace(-1.0, 1.0, 3)),
}


def mean_square(apply, unravel, x, p, shift=0.0):
    return jnp.mean((apply(unravel(p), x + shift) - jnp.sin(3 * x[0])) ** 2)


QUICK = ("sine",)


@pytest.mark.parametrize(
    "activation", [each if each in QUICK else pytest.param(each, marks=pytest.mark.slow) for each in ACTIVATIONS]
)
@pytest.mark.parametrize(
    ("padded", "precision"),
    [
        (True, "float64"),
        *(
            pytest.param(*each, marks=pytest.mark.slow)
            for each in ((True, "float32"), (False, "float32"), (False, "float64"))
        ),
    ],
)
def test_every_derivative_is_that_of_a_plain_network(activation, padded, precision):
    with jax.enable_x64(precision == "float64"):
        dtype = np.dtype(precision)
        numbers = {"width": jnp.int32(3)} | {
            name: jnp.asarray(1, dtype) for name in ("initial_scale", "bias_scale", "omega0")
        }
        model = MLP(width=5 if padded else 3, depth=1, activation=activation, bias_initializer="normal")
        functions, x = network(model, Varying(width=padded)), jnp.linspace(-1, 1, 7, dtype=dtype)[None]
        parameters = jax.jit(functions.init)(stream(jnp.uint32(3), "weights"), x, numbers)[0]
        narrow = jax.tree.map(lambda leaf: leaf[:3] if leaf.shape[0] == 5 else leaf[..., :3], parameters)
        own, ravelled = ravel_pytree(narrow)
        other, renamed_back = ravel_pytree(to_flax(narrow))

        def widened(p):
            return jax.tree.map(lambda old, new: old.at[tuple(map(slice, new.shape))].set(new), parameters, p)

        def ours(p, shift=0.0):
            return mean_square(lambda q, x: functions.apply(widened(q), (), x, numbers), ravelled, x, p, shift)

        plain = Plain((3,), activation, True, dtype)

        def theirs(p, shift=0.0):
            return mean_square(lambda q, x: plain.apply(q, x.T), renamed_back, x, p, shift)

        direction = jnp.cos(jnp.arange(own.size, dtype=dtype))
        assert own.tobytes() == other.tobytes()  # the same order, so that derivatives can be compared

        @partial(jax.jit, static_argnums=0)
        def derivatives(loss, p, v):
            return {name: derivative(loss, p, v) for name, derivative in DERIVATIVES.items()}

        got, near = derivatives(ours, own, direction), 1e-12 if precision == "float64" else 3e-5
        for name, wanted in derivatives(theirs, own, direction).items():
            scale = float(jnp.abs(wanted).max())
            assert np.isfinite(scale), name
            np.testing.assert_allclose(got[name], wanted, rtol=0, atol=near * max(scale, 1), err_msg=name)
        quick = functions.apply_for_gradient(parameters, (), x, numbers)
        assert np.asarray(quick).tobytes() == np.asarray(functions.apply(parameters, (), x, numbers)).tobytes()


EXTENSIONS = {
    "layer_norm and residual": MLP(width=3, depth=2, layer_norm=True, residual=True),
    "pairs and Fourier features": MLP(width=2, depth=1, pairs=True, fourier_features=2),
    "hidden_omega and dropout": MLP(
        width=3, depth=2, activation="sine", hidden_omega=2.0, initializer="siren", dropout=0.3
    ),
}
TWICE = ("hessian", "jacrev of jacfwd", "of the input")


@pytest.mark.parametrize("name", EXTENSIONS)
def test_derivatives_of_extensions_are_those_of_flax_layers(name):
    model = EXTENSIONS[name]
    with jax.enable_x64(True):
        values = {
            "omega0": 1.5,
            "hidden_omega": 2.0,
            "dropout": 0.3,
            "fourier_scale": 0.4,
            "initial_scale": 1,
            "bias_scale": 1,
        }
        numbers = {each: jnp.float64(value) for each, value in values.items() if each in model.applicable()}
        functions, x, key = network(model), jnp.linspace(-1, 1, 7)[None], stream(jnp.uint32(1), "network")
        start, collections = jax.jit(functions.init)(stream(jnp.uint32(3), "weights"), x, numbers)
        flat, unravel = ravel_pytree(start)
        module, frequencies = Extended(model, numbers, jnp.float64), collections["frequencies"] if collections else None

        def ours(p, shift=0.0):  # in a step, which is a record but for dropout
            return mean_square(lambda q, x: functions.train(q, collections, x, numbers, key)[0], unravel, x, p, shift)

        def theirs(p, shift=0.0):
            kept = draw_dropout_masks(key, model.layers(), 7, numbers["dropout"]) if "dropout" in numbers else None
            return mean_square(lambda q, x: both_extended(module, q, x.T, frequencies, kept), unravel, x, p, shift)

        place = flat + 0.1 * jnp.sin(jnp.arange(flat.size))
        got, wanted = (
            jax.jit(lambda p, v, loss=loss: {each: DERIVATIVES[each](loss, p, v) for each in TWICE})(
                place, jnp.cos(jnp.arange(flat.size, dtype=float))
            )
            for loss in (ours, theirs)
        )
        for each in TWICE:
            scale = float(jnp.abs(wanted[each]).max())
            assert np.isfinite(scale)
            np.testing.assert_allclose(got[each], wanted[each], rtol=0, atol=1e-12 * max(scale, 1), err_msg=each)


def squared(apply, moment, parameters):
    return jnp.mean((apply(parameters) - moment.data.target) ** 2)


def sharpness(moment, apply):
    """Give the largest eigenvalue of the Hessian of the loss, in forward over reverse mode."""
    flat, unravel = ravel_pytree(moment.parameters)
    return jnp.linalg.eigvalsh(jax.hessian(lambda p: squared(partial(apply, moment), moment, unravel(p)))(flat))[-1]


def by_moment(moment, parameters):
    return moment.apply(parameters, moment.data.inputs)


def by_network(moment, parameters):
    return network(moment.shape.model).apply(parameters, (), moment.data.inputs, moment.numbers)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_sharpness_is_an_ordinary_metric_and_bounds_the_rate_of_gradient_descent(precision):
    own = tuple(Metric(apply.__name__, partial(sharpness, apply=apply)) for apply in (by_moment, by_network))
    experiment = tiny(
        model=MLP(width=3, depth=1, activation="cosine"), axes=grid(seed=range(3)), optimizer=Optimizer("sgd"),
        record=Record(metrics=("loss",), own=own, at=linear_spaced(2), snapshots=0), precision=precision,
    )  # fmt: skip
    for life in run_lanes(experiment, 2):
        assert life.curves["by_moment"].dtype == np.dtype(precision)
        assert (life.curves["by_moment"] > 0).all()
        np.testing.assert_allclose(life.curves["by_moment"], life.curves["by_network"], rtol=1e-5)


def test_a_metric_of_a_padded_lane_applies_the_lane_s_network(monkeypatch):
    share_blocks(monkeypatch)
    own = Metric(
        "apart", lambda moment: jnp.abs(moment.apply(moment.parameters, moment.data.inputs) - moment.prediction).max()
    )
    experiment = tiny(
        model=MLP(depth=1, activation="cosine"), axes=grid(width=(3, 5)), epochs=2,
        record=Record(metrics=("loss",), own=(own,), at=linear_spaced(1), snapshots=0),
    )  # fmt: skip
    plan = make_plan(experiment)
    assert [block.training.padded for block, _ in plan.blocks()] == [True]
    for life in lives(plan):
        assert (life.curves["apart"] == 0).all()
