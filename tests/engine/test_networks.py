"""Networks against Flax's layers, activations against NumPy, initialisers against their moments."""

from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import PRECISIONS, Plain, data_of, lives, make_plan, numbers_of_one, rows_of, run_lanes, tiny, to_flax
from scipy import special, stats

from sweep.base.errors import SweepError
from sweep.engine import program as programs
from sweep.engine.keys import stream
from sweep.engine.regression.networks import Varying, network
from sweep.engine.regression.training import Regression
from sweep.page.axes import grid
from sweep.page.resolve import shape_of
from sweep.page.specs.activation import ACTIVATIONS
from sweep.page.specs.initializer import INITIALIZERS
from sweep.page.specs.model import MLP
from sweep.page.specs.optimizer import Optimizer
from sweep.specs import Record, every

NUMPY_ACTIVATIONS = {
    "tanh": np.tanh,
    "relu": lambda z: np.maximum(z, 0),
    "sine": np.sin,
    "cosine": np.cos,
    "sigmoid": special.expit,
    "gelu": lambda z: z / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (z + 0.044715 * z**3))),  # the tanh form
    "softplus": lambda z: np.logaddexp(z, 0),
    "silu": lambda z: z * special.expit(z),
    "elu": lambda z: np.where(z > 0, z, np.expm1(z)),
    "identity": lambda z: z,
}
NUMBERS = {
    "width": jnp.int32(0),
    "initial_scale": jnp.float32(1),
    "bias_scale": jnp.float32(1),
    "omega0": jnp.float32(1),
}


def drawn(model: MLP, features: int = 1, seed: int = 0, scale: float = 1.0, bias_scale: float = 1.0) -> Any:
    """Draw initial parameters as a lane does."""
    return drawer(model, features)(jnp.uint32(seed), jnp.float32(scale), jnp.float32(bias_scale))


@cache
def drawer(model: MLP, features: int) -> Any:
    functions, inputs = network(model), jnp.zeros((features, 4))

    def draw(seed: jax.Array, scale: jax.Array, bias_scale: jax.Array) -> Any:
        numbers = NUMBERS | {"initial_scale": scale, "bias_scale": bias_scale}
        return functions.init(stream(seed, "weights"), inputs, numbers)[0]

    return jax.jit(draw)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_an_activation_is_its_formula(name):
    z = np.linspace(-6, 6, 97)
    with jax.enable_x64(True):
        np.testing.assert_allclose(ACTIVATIONS[name].load()(jnp.asarray(z)), NUMPY_ACTIVATIONS[name](z), atol=1e-14)


def test_every_activation_is_compared_with_numpy():
    assert set(ACTIVATIONS) == set(NUMPY_ACTIVATIONS)


@pytest.mark.core
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("bias", [True, False])
def test_a_network_is_flax_layers_with_the_points_last(activation, bias):
    model = MLP(
        hidden=(7, 4), activation=activation, output_activation="sine", bias=bias, bias_initializer="normal"
    )  # fmt: skip
    parameters = drawn(MLP(hidden=(7, 4), bias=bias, bias_initializer="normal"), features=2)
    assert all(("bias" in layer) == bias for layer in parameters.values())
    x = np.random.default_rng(0).normal(size=(9, 2)).astype(np.float32)
    ours = jax.jit(lambda: network(model).apply(parameters, (), jnp.asarray(x.T), NUMBERS))()
    theirs = jax.jit(lambda: Plain((7, 4), activation, bias, jnp.float32).apply(to_flax(parameters), jnp.asarray(x)))()
    np.testing.assert_allclose(ours, np.sin(theirs), rtol=1e-5, atol=1e-6)


def test_without_hidden_layers_a_network_is_a_linear_map():
    parameters = drawn(MLP(depth=0), features=3)
    x = np.random.default_rng(0).normal(size=(3, 5)).astype(np.float32)
    ours = network(MLP(depth=0)).apply(parameters, (), jnp.asarray(x), NUMBERS)
    assert parameters["layer_0"]["kernel"].shape == (3, 1)
    np.testing.assert_allclose(ours, parameters["layer_0"]["kernel"][:, 0] @ x, rtol=1e-6)


# Variance and kurtosis of each initialiser, from fan-in and fan-out.
CUT = stats.truncnorm(-2, 2)
KURTOSIS = {"normal": 3.0, "uniform": 1.8, "cut": float(CUT.stats("k")) + 3}
VARIANCES = {
    "lecun_normal": ("cut", lambda i, o: 1 / i),
    "lecun_uniform": ("uniform", lambda i, o: 1 / i),
    "glorot_normal": ("cut", lambda i, o: 2 / (i + o)),
    "glorot_uniform": ("uniform", lambda i, o: 2 / (i + o)),
    "he_normal": ("cut", lambda i, o: 2 / i),
    "he_uniform": ("uniform", lambda i, o: 2 / i),
    "pytorch_uniform": ("uniform", lambda i, o: 1 / (3 * i)),
    "pytorch_normal": ("normal", lambda i, o: 1 / (3 * i)),
    "normal": ("normal", lambda i, o: 1.0),
}
FAN_IN, FAN_OUT = 150, 400


@pytest.mark.parametrize("name", VARIANCES)
def test_an_initialiser_has_the_moments_and_the_support_of_its_distribution(name):
    kind, variance = VARIANCES[name]
    layers = drawn(MLP(hidden=(FAN_IN, FAN_OUT), initializer=name), seed=3)
    kernel = np.asarray(layers["layer_1"]["kernel"], float)
    count, exact = kernel.size, variance(FAN_IN, FAN_OUT)
    # Five standard errors each: of the mean, and of the variance, sqrt((kurtosis - 1) / n) of itself.
    assert abs(kernel.mean()) < 5 * np.sqrt(exact / count)
    assert abs(kernel.var() / exact - 1) < 5 * np.sqrt((KURTOSIS[kind] - 1) / count)
    # The shape: sampling errors of the kurtosis are below sqrt(24 / n) times a few for all three kinds.
    assert abs(stats.kurtosis(kernel.ravel(), fisher=False) - KURTOSIS[kind]) < 5 * np.sqrt(24 / count)
    bound = {"uniform": np.sqrt(3 * exact), "cut": 2 * np.sqrt(exact / CUT.var()), "normal": np.inf}[kind]
    assert np.abs(kernel).max() <= bound * (1 + 1e-6)
    if kind != "normal":
        assert np.abs(kernel).max() > 0.999 * bound
    # Rows and columns are independent: no two of either agree.
    assert abs(np.corrcoef(kernel[0], kernel[1])[0, 1]) < 5 / np.sqrt(FAN_OUT)
    assert abs(np.corrcoef(kernel[:, 0], kernel[:, 1])[0, 1]) < 5 / np.sqrt(FAN_IN)


def test_an_initialiser_of_zeros_gives_zeros():
    assert not np.any(drawn(MLP(hidden=(5,), initializer="zeros"))["layer_0"]["kernel"])


@pytest.mark.parametrize(("name", "bound"), [("zeros", 0.0), ("pytorch_uniform", 50**-0.5), ("normal", np.inf)])
def test_biases_are_drawn_as_named(name, bound):
    layers = drawn(MLP(hidden=(50, 2000), bias_initializer=name))
    bias = np.asarray(layers["layer_1"]["bias"])
    assert np.abs(bias).max() <= bound * (1 + 1e-6)
    if name != "zeros":
        assert abs(bias.var() / (bound**2 / 3 if bound < 1 else 1) - 1) < 5 * np.sqrt(2 / 2000)


@pytest.mark.core  # and so optimised: else the last place differs
def test_each_layer_may_have_a_different_initialiser():
    mixed = drawn(MLP(hidden=(6, 6), initializer=("zeros", "he_uniform", "normal")))
    assert not np.any(mixed["layer_0"]["kernel"])
    for layer, name in ((1, "he_uniform"), (2, "normal")):
        alone = drawn(MLP(hidden=(6, 6), initializer=name))
        np.testing.assert_array_equal(mixed[f"layer_{layer}"]["kernel"], alone[f"layer_{layer}"]["kernel"])


def test_the_initial_scale_multiplies_weights_and_not_biases():
    model = MLP(hidden=(6,), bias_initializer="normal")
    one, three = drawn(model), drawn(model, scale=3.0)
    for layer in one:
        np.testing.assert_allclose(three[layer]["kernel"], 3 * one[layer]["kernel"], rtol=1e-6)
        np.testing.assert_array_equal(three[layer]["bias"], one[layer]["bias"])


def test_the_bias_scale_multiplies_biases_and_not_weights():
    model = MLP(hidden=(6,), bias_initializer="pytorch_uniform")
    one, large = drawn(model), drawn(model, bias_scale=7.5)
    for layer in one:
        np.testing.assert_array_equal(large[layer]["kernel"], one[layer]["kernel"])
        np.testing.assert_allclose(large[layer]["bias"], 7.5 * one[layer]["bias"], rtol=1e-6)


def test_without_an_output_bias_all_other_parameters_are_the_same():
    full, bare = (drawn(MLP(hidden=(6, 4), bias_initializer="normal", output_bias=own)) for own in (True, False))
    assert "bias" not in bare["layer_2"]
    assert jax.tree.structure(full) != jax.tree.structure(bare)
    del full["layer_2"]["bias"]
    jax.tree.map(np.testing.assert_array_equal, full, bare)
    assert MLP(bias=False, output_bias=True).biases() == (False,) * 4  # only where layers have biases at all


@pytest.mark.parametrize("model", [MLP(width=4, depth=1, bias=False), MLP(width=4, depth=1, output_bias=False)])
def test_a_page_without_biases_is_trained(model):
    (life,) = run_lanes(tiny(model=model, optimizer=Optimizer("sgd", learning_rate=0.05)))
    assert life.curves["loss"][-1] < life.curves["loss"][0]
    assert [set(own) for own in life.states[-1].parameters.values()] == [
        {"kernel", "bias"} if bias else {"kernel"} for bias in model.biases()
    ]


@pytest.mark.parametrize(
    ("activation", "function", "padded"),
    [
        ("sine", np.sin, True),
        ("cosine", np.cos, False),
        pytest.param("sine", np.sin, False, marks=pytest.mark.slow),
        pytest.param("cosine", np.cos, True, marks=pytest.mark.slow),
    ],
)
def test_omega0_multiplies_the_first_layer_s_sum_bias_included_and_no_other_s(activation, function, padded):
    model = MLP(hidden=(7, 7), activation=activation, bias_initializer="normal")
    rng = np.random.default_rng(0)
    with jax.enable_x64(True):
        parameters = jax.tree.map(lambda leaf: np.asarray(leaf, float), drawn(model, features=2))
        if padded:  # the neurons from 5 on are dead
            living = {"layer_0": np.ix_(range(2), range(5)), "layer_1": np.ix_(range(5), range(5))}
            for layer, where in living.items():
                kernel = np.zeros_like(parameters[layer]["kernel"])
                kernel[where] = parameters[layer]["kernel"][where]
                bias = np.where(np.arange(7) < 5, parameters[layer]["bias"], 0)
                parameters[layer] = {"kernel": kernel, "bias": bias}
        x = rng.normal(size=(2, 9))
        numbers = NUMBERS | {"omega0": jnp.float64(30.0), "width": jnp.int32(5)}
        ours = jax.jit(network(model, Varying(width=padded)).apply)(parameters, (), x, numbers)
    h = x
    for layer, factor in (("layer_0", 30.0), ("layer_1", 1.0)):
        own = parameters[layer]
        h = function(factor * (own["kernel"].T @ h + own["bias"][:, None]))
        if padded:
            h[5:] = 0
    theirs = parameters["layer_2"]["kernel"].T @ h + parameters["layer_2"]["bias"][:, None]
    np.testing.assert_allclose(ours, theirs[0], rtol=1e-10, atol=1e-12)


def test_omega0_is_a_knob_of_waves_only():
    experiment = tiny(axes=grid(omega0=(1.0, 2.0)), model=MLP(width=4, depth=1, activation="sine"))
    assert [block.training.padded for block, _ in make_plan(experiment).blocks()] == [False]  # a number: one block
    for model in (MLP(activation="tanh"), MLP(activation="relu"), MLP(activation="sine", depth=0)):
        with pytest.raises(SweepError, match="axis 'omega0' does not apply"):
            tiny(axes=grid(omega0=(1.0, 2.0)), model=model)
    with pytest.raises(SweepError, match="axis 'bias_scale' does not apply"):
        tiny(axes=grid(bias_scale=(1.0, 2.0)), model=MLP(bias=False))


# The widths on which a variance depends: none, fan-in, and both fans.
QUICK = ("normal", "he_normal", "glorot_uniform")


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize(
    "name", [each if each in QUICK else pytest.param(each, marks=pytest.mark.slow) for each in INITIALIZERS]
)
def test_a_padded_network_is_drawn_as_the_narrow_one_bit_for_bit(name, precision):
    def begun(capacity: int) -> Any:
        model = MLP(width=capacity, depth=2, initializer=name, bias_initializer="pytorch_uniform")
        numbers = NUMBERS | {"width": jnp.int32(5), "initial_scale": jnp.asarray(1.5, precision)}
        functions, inputs = network(model, Varying(width=capacity > 5)), jnp.zeros((3, 4), precision)
        return jax.jit(lambda: functions.init(stream(jnp.uint32(6), "weights"), inputs, numbers)[0])()

    with jax.enable_x64(precision == "float64"):
        narrow, wide = begun(5), begun(8)
    for layer, own in narrow.items():
        for part, values in own.items():
            corner = tuple(slice(size) for size in values.shape)
            assert values.dtype == precision
            np.testing.assert_array_equal(wide[layer][part][corner], values)
            assert np.count_nonzero(wide[layer][part]) == np.count_nonzero(values)  # the dead are zero


def test_a_layer_is_drawn_the_same_whatever_the_depth_and_with_or_without_biases():
    deep, flat = drawn(MLP(hidden=(6, 4, 9))), drawn(MLP(hidden=(6, 4), bias=False))
    for layer in ("layer_0", "layer_1"):
        np.testing.assert_array_equal(deep[layer]["kernel"], flat[layer]["kernel"])


@pytest.mark.parametrize("options", [{}, {"bias_initializer": "normal"}], ids=["zero_biases", "drawn_biases"])
def test_deeper_networks_hash_and_invert_no_more_often(options):
    # To compile a hash takes XLA a tenth of a second, in each block: a draw for each layer makes sweeps start late.
    def counted(depth: int) -> dict[str, int]:
        experiment = tiny(model=MLP(width=6, depth=depth, **options))
        block, devices = programs.Block(Regression(shape_of(experiment)), 2, 2), tuple(jax.devices()[:1])
        names = {*numbers_of_one(experiment), "width"}
        numbers = programs.array_shapes(block, devices, tuple(sorted(names))).numbers
        text = programs.beginning(block, devices).lower(numbers, ()).as_text()
        return {call: text.count(call) for call in ("stablehlo.while", "custom_call", "call @", "erf_inv")}

    assert counted(2) == counted(4)
    if jax.default_backend() == "cpu":
        assert counted(2)["stablehlo.while"] == 2  # a rolled hash each: of the data and of the weights


def test_layers_and_seeds_draw_different_numbers():
    model = MLP(hidden=(6, 6, 6), initializer="normal")
    kernels = [np.asarray(drawn(model, seed=seed)[f"layer_{layer}"]["kernel"]) for seed in (0, 1) for layer in (1, 2)]
    for at, one in enumerate(kernels):
        for other in kernels[at + 1 :]:
            assert not np.intersect1d(one, other).size


@pytest.mark.parametrize("options", [{}, {"clip_norm": 0.1, "coupled_decay": 0.2, "decoupled_decay": 0.3}])
def test_frozen_layers_do_not_move_and_others_move_as_in_optax_with_them_set_to_zero(options):
    experiment = tiny(
        model=MLP(hidden=(5, 4), frozen=("layer_0", "layer_2"), bias_initializer="normal"), precision="float64",
        optimizer=Optimizer("sgd", learning_rate=0.1, momentum=0.9, **options), epochs=20,
        axes=grid(seed=(0, 1)), record=Record(metrics=("gradient_norm",), at=every(1), snapshots=0),
    )  # fmt: skip
    plan = make_plan(experiment)
    for lane, life in enumerate(lives(plan)):
        data = data_of(plan, lane)
        start, end = life.states[0].parameters, life.states[-1].parameters
        for name in ("layer_0", "layer_2"):
            jax.tree.map(np.testing.assert_array_equal, end[name], start[name])
        assert (life.curves["gradient_norm"] > 0).all(), "a record has the gradient of the loss"
        if options:
            assert not np.array_equal(start["layer_1"]["kernel"], end["layer_1"]["kernel"])
            continue
        with jax.enable_x64(True):
            module = Plain((5, 4), "tanh", True, jnp.float64)
            kinds = {name: "moves" if name == "layer_1" else "stays" for name in start}
            rule = optax.multi_transform({"moves": optax.sgd(0.1, momentum=0.9), "stays": optax.set_to_zero()}, kinds)
            parameters = jax.tree.map(jnp.asarray, start)
            state = rule.init(parameters)
            x, y = jnp.asarray(data.inputs.T), jnp.asarray(data.target)

            @jax.jit
            def step(parameters, state, module=module, x=x, y=y, rule=rule):
                gradient = jax.grad(lambda p: jnp.mean((module.apply(to_flax(p), x) - y) ** 2))(parameters)
                updates, state = rule.update(gradient, state, parameters)
                return optax.apply_updates(parameters, updates), state

            for _ in range(20):
                parameters, state = step(parameters, state)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9), end, parameters)


def test_the_initialiser_is_an_axis():
    experiment = tiny(model=MLP(width=5, depth=1), axes=grid(initializer=("zeros", "he_normal"), seed=(0, 1)))
    for row, life in zip(rows_of(experiment), lives(make_plan(experiment), records=1), strict=True):
        model = MLP(width=5, depth=1, initializer=dict(row)["initializer"])
        begun = drawn(model, seed=dict(row)["seed"])
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), life.states[0].parameters, begun)
