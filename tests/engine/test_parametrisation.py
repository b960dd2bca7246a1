"""Parametrisations: by hand from the standard network, in the limit of large widths, and step by step against optax."""

from dataclasses import replace
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import Plain, data_of, lives, make_plan, share_blocks, tiny, to_flax

from sweep.base.errors import SweepError
from sweep.engine.keys import stream
from sweep.engine.regression.networks import network
from sweep.engine.regression.rules import rule_of
from sweep.page.axes import grid, zipped
from sweep.page.experiment import Experiment
from sweep.page.specs.model import MLP
from sweep.page.specs.optimizer import OPTIMIZERS, Optimizer
from sweep.specs import FromOptax, Record, every

NUMBERS = {"initial_scale": jnp.float32(1.5), "bias_scale": jnp.float32(2)}
BIASED = {"bias_initializer": "normal"}


def drawn(model: MLP, features: int = 1) -> Any:
    """Draw initial parameters as a lane does."""
    inputs = jnp.zeros((features, 4))
    return jax.jit(lambda: network(model).init(stream(jnp.uint32(3), "weights"), inputs, NUMBERS)[0])()


def in_float64(tree: Any) -> Any:
    """Convert parameters, so that networks are compared to all places."""
    return jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), tree)


# ---------------------------------------------------------------------------------------------------------
# "ntk"


@pytest.mark.parametrize("initializer", ["lecun_normal", "he_uniform", "pytorch_normal", "zeros"])
def test_ntk_weights_are_those_of_the_initialiser_at_deviation_1_and_its_biases_are_not_changed(initializer) -> None:
    model = MLP(hidden=(30, 20), initializer=initializer, **BIASED)
    ours, plain = drawn(replace(model, parametrisation="ntk"), 2), drawn(model, 2)
    variance = {"lecun_normal": 1.0, "he_uniform": 2.0, "pytorch_normal": 1 / 3, "zeros": 1.0}[initializer]
    for name, fan_in in (("layer_0", 2), ("layer_1", 30), ("layer_2", 20)):
        expected = plain[name]["kernel"] * np.sqrt(fan_in / variance)
        np.testing.assert_allclose(ours[name]["kernel"], expected, rtol=2e-6)
        np.testing.assert_array_equal(ours[name]["bias"], plain[name]["bias"])
        assert initializer == "zeros" or 0.5 < np.var(ours[name]["kernel"]) / 1.5**2 < 2


def test_an_ntk_network_is_the_standard_one_of_weights_divided_by_the_root_of_the_fan_in() -> None:
    ntk, plain = (MLP(hidden=(30, 20), parametrisation=name, **BIASED) for name in ("ntk", "standard"))
    with jax.enable_x64(True):
        own, x = in_float64(drawn(ntk, 2)), np.random.default_rng(0).normal(size=(2, 9))
        by_hand = {
            name: {"kernel": each["kernel"] / np.sqrt(each["kernel"].shape[0]), "bias": each["bias"]}
            for name, each in own.items()
        }
        ours, theirs = network(ntk).apply(own, (), x, NUMBERS), network(plain).apply(by_hand, (), x, NUMBERS)
    np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-12)


def test_the_kernel_of_wide_ntk_networks_is_that_of_the_arc_cosines() -> None:
    model = MLP(width=4096, depth=1, activation="relu", initializer="normal", parametrisation="ntk")
    one = NUMBERS | {"initial_scale": jnp.float32(1)}
    x = np.random.default_rng(1).normal(size=(3, 6))
    with jax.enable_x64(True):
        draw = jax.jit(lambda: network(model).init(stream(jnp.uint32(0), "weights"), jnp.zeros((3, 6)), one)[0])
        parameters = in_float64(draw())
        jacobian = jax.jit(jax.jacrev(lambda p: network(model).apply(p, (), x, one)))(parameters)
    rows = np.concatenate([leaf.reshape(6, -1) for leaf in jax.tree.leaves(jacobian)], axis=1)
    kernel = rows @ rows.T
    # Jacot et al. 2018 with Cho and Saul 2009: weights of both layers, biases of the first, and the last one.
    inner, norms = x.T @ x / 3, np.sqrt(np.diag(x.T @ x / 3))
    angle = np.arccos(np.clip(inner / np.outer(norms, norms), -1, 1))
    slopes = (np.pi - angle) / (2 * np.pi)
    values = np.outer(norms, norms) * (np.sin(angle) + (np.pi - angle) * np.cos(angle)) / (2 * np.pi)
    # What each neuron adds, for the sampling error.
    w, v = (np.asarray(parameters[name]["kernel"]) for name in ("layer_0", "layer_1"))
    z = w.T @ x / np.sqrt(3)
    on = (z > 0) * 1.0
    each = np.einsum("ni,nj->nij", z * on, z * on) + np.einsum("ni,nj->nij", v * on, v * on) * (inner + 1)
    assert (np.abs(kernel - (values + slopes * (inner + 1) + 1)) < 5 * each.std(0) / np.sqrt(4096)).all()
    np.testing.assert_allclose(kernel, each.mean(0) + 1, rtol=1e-9)


# ---------------------------------------------------------------------------------------------------------
# "mup"

# The factors on learning rates, of kernels and biases, of hidden=(128, 32) with base_width=64: fans of the hidden layer
# are 2 and 0.5 times those at the base.
HIDDEN, BASE = (128, 32), 64
RATES = {
    "sgd": {"layer_0": (2.0, 2.0), "layer_1": (0.5 / 2, 0.5), "layer_2": (1 / 0.5, 1.0)},
    "adam": {"layer_0": (1.0, 1.0), "layer_1": (1 / 2, 1.0), "layer_2": (1 / 0.5, 1.0)},
}


@pytest.mark.parametrize("initializer", ["lecun_normal", "glorot_uniform", "normal"])
def test_mup_weights_have_the_variance_of_the_base_divided_by_the_ratio_of_fans(initializer) -> None:
    model = MLP(hidden=HIDDEN, initializer=initializer, bias_initializer="pytorch_uniform")
    ours, plain = drawn(replace(model, parametrisation="mup", base_width=BASE), 2), drawn(model, 2)
    variance = {
        "lecun_normal": lambda i, o: 1 / i, "glorot_uniform": lambda i, o: 2 / (i + o), "normal": lambda i, o: 1.0
    }[initializer]  # fmt: skip
    fans = {"layer_0": (2, 128, 2, 64), "layer_1": (128, 32, 64, 64), "layer_2": (32, 1, 64, 1)}
    for name, (fan_in, fan_out, base_in, base_out) in fans.items():
        ratio = fan_in / base_in
        wanted = variance(base_in, base_out) / (ratio**2 if name == "layer_2" else ratio)
        expected = plain[name]["kernel"] * np.sqrt(wanted / variance(fan_in, fan_out))
        np.testing.assert_allclose(ours[name]["kernel"], expected, rtol=2e-6)
        np.testing.assert_allclose(ours[name]["bias"], plain[name]["bias"] * np.sqrt(ratio), rtol=2e-6)
    if initializer == "lecun_normal":  # the usual initialiser: only the last layer differs from "standard"
        np.testing.assert_allclose(ours["layer_1"]["kernel"], plain["layer_1"]["kernel"], rtol=2e-6)


RULES = {
    "sgd": (Optimizer("sgd", learning_rate=0.02, momentum=0.9, average=0.5), optax.sgd(0.02, momentum=0.9)),
    "adam": (Optimizer("adam", learning_rate=0.01, average=0.5), optax.adam(0.01)),
}


@pytest.mark.parametrize(("parametrisation", "name"), [("mup", "sgd"), ("mup", "adam"), ("ntk", "sgd")])
def test_lanes_are_the_optax_loop_with_the_rates_of_each_array(parametrisation, name) -> None:
    spec, rule = RULES[name]
    model = MLP(hidden=HIDDEN, parametrisation=parametrisation, **BIASED)
    page = tiny(
        model=model, optimizer=spec, precision="float64", epochs=4, record=Record(metrics=("loss",), at=every(1))
    )
    plan = make_plan(page)
    (life,), data = lives(plan), data_of(plan, 0)
    start, end = life.states[0].parameters, life.states[-1].parameters
    fans = {layer: start[layer]["kernel"].shape[0] for layer in start}
    # An update of a weight in units of "ntk" is one of the plain network's weight, which is divided by the root.
    units = {layer: np.sqrt(fan) if parametrisation == "ntk" else 1.0 for layer, fan in fans.items()}
    rates = {
        layer: {
            "kernel": RATES[name][layer][0] if parametrisation == "mup" else 1 / fans[layer],
            "bias": RATES[name][layer][1] if parametrisation == "mup" else 1.0,
        }
        for layer in start
    }

    def plainly(tree: Any) -> Any:
        return {n: {"kernel": each["kernel"] / units[n], "bias": each["bias"]} for n, each in tree.items()}

    with jax.enable_x64(True):
        module = Plain(HIDDEN, "tanh", True, jnp.float64)
        x, y = jnp.asarray(data.inputs.T), jnp.asarray(data.target)

        @jax.jit
        def step(parameters: Any, state: Any) -> Any:
            gradient = jax.grad(lambda p: jnp.mean((module.apply(to_flax(p), x) - y) ** 2))(parameters)
            updates, state = rule.update(gradient, state, parameters)
            return jax.tree.map(lambda p, u, rate: p + rate * u, parameters, updates, rates), state

        parameters = average = jax.tree.map(jnp.asarray, plainly(start))
        state = rule.init(parameters)
        for _ in range(4):
            parameters, state = step(parameters, state)
            average = jax.tree.map(lambda e, p: (e + p) / 2, average, parameters)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-12), plainly(end), parameters)
    kept = plainly(life.states[-1].optimizer_state.average)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-12), kept, average)


def test_at_the_base_width_mup_is_standard() -> None:
    model = MLP(width=6, depth=2, base_width=6, initializer="glorot_normal", **BIASED)
    mup = replace(model, parametrisation="mup")
    start = drawn(model, 2)
    jax.tree.map(np.testing.assert_array_equal, drawn(mup, 2), start)
    for degree in (0, 1):
        jax.tree.map(np.testing.assert_array_equal, network(mup).scale_updates(start, NUMBERS, degree), start)


NARROW, WIDE, OUTPUTS = 64, 1024, 16


@cache
def growth(parametrisation: str, optimizer: str) -> np.ndarray:
    """Tell how much more one step changes the sums of each layer in a wide network than in a narrow one.

    Changes are medians of absolute values over neurons, or outputs, and points. The first layer's is caused by its own
    step, and another's by those of all layers up to it.
    """
    narrow, wide = (changes(parametrisation, optimizer, width) for width in (NARROW, WIDE))
    return wide / narrow


def changes(parametrisation: str, name: str, width: int) -> np.ndarray:
    """Give what one step changes in a network of a width, layer by layer, the output last.

    Targets are large, so that errors do not depend on what networks give at first, which "mup" makes vanish.
    """
    model, spec = MLP(width=width, depth=2, parametrisation=parametrisation), Optimizer(name)
    functions, rng = network(model, outputs=OUTPUTS), np.random.default_rng(0)
    x, y = rng.normal(size=(4, 8)).astype(np.float32), 10 * rng.normal(size=(8, OUTPUTS)).astype(np.float32)
    numbers = NUMBERS | {"learning_rate": 0.002, **spec.method.numbers}
    numbers = {each: jnp.float32(value) for each, value in numbers.items()}

    @jax.jit
    def step() -> Any:
        parameters, _ = functions.init(stream(jnp.uint32(3), "weights"), x, numbers)
        loss = lambda p: jnp.mean((functions.apply_for_gradient(p, (), x, numbers) - y) ** 2)  # noqa: E731
        scale = lambda updates: functions.scale_updates(updates, numbers, spec.degree())  # noqa: E731
        rule = rule_of(spec, 1, numbers, np.dtype("float32"), functions.by_layer, scale)
        updates, _ = rule.update(jax.grad(loss)(parameters), rule.init(parameters), parameters, loss(parameters), loss)
        return parameters, jax.tree.map(jnp.add, parameters, updates)

    before, after = (sums(parameters, x) for parameters in step())
    return np.array([np.median(np.abs(b - a)) for a, b in zip(before, after, strict=True)])


def sums(parameters: Any, x: np.ndarray) -> list[np.ndarray]:
    """Give what each layer computes before the activation."""
    h, found = x, []
    for layer in parameters.values():
        found.append(np.asarray(layer["kernel"]).T @ h + np.asarray(layer["bias"])[:, None])
        h = np.tanh(found[-1])
    return found


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_with_mup_a_step_changes_what_layers_compute_equally_at_all_widths(optimizer) -> None:
    ratios = growth("mup", optimizer)
    assert (ratios < 1.25).all(), ratios
    assert (ratios > 1 / 1.25).all(), ratios


def test_in_the_standard_parametrisation_a_step_of_adam_changes_it_ever_more() -> None:
    ratios = growth("standard", "adam")
    assert (ratios[1:] > 6).all(), ratios  # 16 times as many neurons, whose steps agree


@pytest.mark.parametrize("parametrisation", ["ntk", "mup"])
def test_lanes_of_all_widths_and_depths_in_one_block_are_what_they_are_alone(parametrisation, monkeypatch) -> None:
    base = {"base_width": 5} if parametrisation == "mup" else {}
    page = tiny(
        model=MLP(parametrisation=parametrisation, bias_initializer="pytorch_uniform", **base),
        axes=zipped(width=(3, 8), depth=(2, 1)) * grid(seed=(0, 1)), precision="float64", optimizer=Optimizer("sgd"),
    )  # fmt: skip
    apart = lives(make_plan(page))
    share_blocks(monkeypatch)
    plan = make_plan(page)
    assert [block.training.padded for block, _ in plan.blocks()] == [True]
    for one, other in zip(lives(plan), apart, strict=True):
        np.testing.assert_allclose(one.curves["loss"], other.curves["loss"], rtol=1e-11)
        ours = one.states[0].parameters["layer_0"]["kernel"]
        theirs = other.states[0].parameters["layer_0"]["kernel"]
        np.testing.assert_array_equal(ours[:, : theirs.shape[1]], theirs)


# ---------------------------------------------------------------------------------------------------------
# Which optimisers, and what is refused.

DEGREES = {
    1: {"sgd", "nesterov"},
    0: {"adam", "adamw", "nadam", "adamax", "amsgrad", "rmsprop", "adadelta", "lion"},
}


def a_page(**changes: Any) -> Experiment:
    return tiny(model=MLP(parametrisation="mup", **changes.pop("model", {})), **changes)


QUICK = ("sgd", "adam", "rmsprop", "adagrad", "radam")


@pytest.mark.parametrize(
    "name",
    [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in OPTIMIZERS if name != "lbfgs"],
)
def test_the_degree_of_an_optimiser_is_how_its_steps_grow_with_its_gradients(name) -> None:
    spec = Optimizer(name)

    @jax.jit
    def steps(factor: Any) -> Any:
        numbers = {each: jnp.asarray(0 if "decay" in each and each != "decay" else value, float)
                   for each, value in spec.method.numbers.items()}  # fmt: skip
        rule = spec.method.load()(0.1, numbers, **spec.structure())
        parameters = {"a": jnp.asarray([[0.3, -0.2], [0.5, 0.7]], float)}
        state, found = rule.init(parameters), []
        for scale in (1.0, -2.0, 0.5) * 3:
            gradient = {"a": factor * scale * jnp.asarray([[1.0, -3.0], [2.0, 0.7]])}
            updates, state = rule.update(gradient, state, parameters)
            parameters = jax.tree.map(jnp.add, parameters, updates)
            found.append(updates["a"])
        return jnp.stack(found)

    with jax.enable_x64(True):
        small, large = steps(1.0), steps(10.0)
    follows = [d for d in (0, 1) if np.allclose(large, 10.0**d * small, rtol=3e-4)]
    declared = next((d for d, names in DEGREES.items() if name in names), None)
    assert spec.degree() == declared
    if declared is not None:
        assert follows == [declared]
    elif name not in ("sam", "lamb", "muon", "schedule_free_adamw"):  # by their definition: see `Method.degree`
        assert not follows


def test_the_degree_of_every_optimiser_is_declared_as_its_steps_are() -> None:
    assert {d: {n for n, each in OPTIMIZERS.items() if each.degree == d} for d in DEGREES} == DEGREES


def test_pages_that_have_no_rates_or_no_effect_are_refused_in_one_line() -> None:
    known = "sgd, adam, adamw, nadam, rmsprop, lion, nesterov, adamax, amsgrad, adadelta"
    refusals = {
        f"parametrisation 'mup' has no learning rates for optimizer 'muon': take one of {known}": lambda: a_page(
            optimizer=Optimizer("muon")
        ),
        f"parametrisation 'mup' has no learning rates for optimizer 'build': take one of {known}": lambda: a_page(
            optimizer=FromOptax(build)
        ),
        f"parametrisation 'mup' has no learning rates for optimizer 'sam': take one of {known}": lambda: a_page(
            axes=grid(optimizer=("sgd", "sam"))
        ),
        "parametrisation 'mup' needs a hidden layer, got none: leave it out, or take a depth above 0": lambda: a_page(
            model={"depth": 0}
        ),
        "base_width=32 has no effect without parametrisation='mup': give it, or leave it out": lambda: tiny(
            model=MLP(base_width=32), axes=grid(width=(3, 4))
        ),
        "unknown parametrisation 'mu': did you mean 'mup'?": lambda: MLP(parametrisation="mu"),
        "base_width must be at least 1, got 0": lambda: MLP(base_width=0),
    }
    for line, make in refusals.items():
        with pytest.raises(SweepError) as refused:
            make()
        assert str(refused.value) == line
    with pytest.raises(SweepError, match="axis 'base_width' does not apply"):
        tiny(axes=grid(base_width=(32, 64)))
    a_page(optimizer=Optimizer("lbfgs"), axes=grid(optimizer=("sgd", "adam")))
    tiny(model=MLP(base_width=32), axes=grid(parametrisation=("standard", "mup")))


def build() -> Any:
    return optax.sgd(0.1)


def test_rates_of_mup_count_for_both_copies_of_pairs_and_for_normalisations_as_for_biases() -> None:
    model = MLP(width=12, depth=2, parametrisation="mup", base_width=4, pairs=True, layer_norm=True)
    functions, inputs = network(model), jnp.ones((1, 5))
    numbers = {name: jnp.ones(()) for name in ("initial_scale", "bias_scale")}
    parameters, _ = jax.jit(functions.init)(stream(jnp.uint32(0), "weights"), inputs, numbers)
    rates = jax.jit(lambda p: functions.scale_updates(jax.tree.map(jnp.ones_like, p), numbers, 1))(parameters)
    expected = {"layer_0": (3, 3), "layer_1": (1, 3), "layer_2": (1 / 3, 1)}  # of the kernel, and of all others
    for layer, (kernel, others) in expected.items():
        for copy in ("first", "second"):
            for name, values in rates[layer][copy].items():
                np.testing.assert_allclose(values, kernel if name == "kernel" else others, rtol=1e-6)
    assert {*rates["layer_1"]["second"]} == {"kernel", "bias", "scale", "shift"}
    with pytest.raises(
        SweepError, match="initializer 'siren' has bounds of its own in each layer, got parametrisation"
    ):
        MLP(initializer="siren", activation="sine", parametrisation="ntk")
