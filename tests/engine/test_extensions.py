"""What perceptrons may have beside their layers, against the same in Flax, hand-written loops and closed forms."""

from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import (
    Extended,
    both_extended,
    data_of,
    lives,
    make_plan,
    numbers_of_one,
    rows_of,
    run_lanes,
    share_blocks,
    tiny,
)

from sweep import initial_parameters
from sweep.axes import grid, zipped
from sweep.base.errors import SweepError
from sweep.engine.keys import stream
from sweep.engine.regression.layers import draw_dropout_masks
from sweep.engine.regression.networks import network
from sweep.engine.regression.training import Regression
from sweep.page.resolve import shape_of
from sweep.specs import MLP, FromOptax, Optimizer, Record, SumOfSines, every, linear_spaced

NUMBERS = {
    "initial_scale": 1.0,
    "bias_scale": 1.0,
    "omega0": 3.0,
    "hidden_omega": 2.0,
    "dropout": 0.3,
    "fourier_scale": 0.7,
}
WAVES = {"activation": "sine", "hidden_omega": 2.0, "initializer": "siren"}
EVERYTHING = {"layer_norm": True, "residual": True, "dropout": 0.3, "fourier_features": 4, "pairs": True, **WAVES}
MODELS = {
    "layer_norm": MLP(hidden=(5, 4), layer_norm=True),
    "residual": MLP(width=5, depth=3, residual=True),
    "dropout": MLP(hidden=(5, 4), dropout=0.3),
    "fourier_features": MLP(hidden=(5,), fourier_features=4),
    "hidden_omega": MLP(width=5, depth=2, **WAVES),
    "pairs": MLP(hidden=(5, 4), activation="gelu", pairs=True),
    "everything": MLP(width=5, depth=2, **EVERYTHING),
}


def numbers_for(model: MLP, precision: str = "float64", **values: Any) -> dict[str, jax.Array]:
    """Give a lane's traced numbers, as far as its network has them."""
    return {
        name: jnp.asarray(value, precision) for name, value in (NUMBERS | values).items() if name in model.applicable()
    }


def begun(model: MLP, inputs: Any, seed: int = 3, **values: Any) -> Any:
    """Draw parameters and collections as a lane does, in float64."""
    draw = jax.jit(network(model).init)  # one program and not one for each operation
    return draw(stream(jnp.uint32(seed), "weights"), jnp.asarray(inputs), numbers_for(model, **values))


@pytest.mark.parametrize("name", MODELS)
def test_outputs_and_gradients_in_steps_and_records_are_those_of_flax_layers(name):
    model = MODELS[name]
    with jax.enable_x64(True):
        functions, numbers, key = network(model), numbers_for(model), stream(jnp.uint32(5), "network")
        x = jnp.asarray(np.random.default_rng(0).normal(size=(2, 9)))

        @jax.jit
        def compare():
            start, collections = begun(model, x)
            moved = functions.direction(stream(jnp.uint32(1), "data"), start, numbers)
            parameters = jax.tree.map(lambda p, d: p + 0.3 * d, start, moved)
            kept = draw_dropout_masks(key, model.layers(), 9, numbers["dropout"]) if "dropout" in numbers else None
            frequencies = collections["frequencies"] if collections else None
            module = Extended(model, numbers, jnp.float64)

            def ours(parameters, run):
                return run(parameters, collections, x, numbers)

            def in_step(train, *arguments):
                return train(*arguments, key)[0]

            def theirs(parameters, kept):
                return both_extended(module, parameters, x.T, frequencies, kept)

            def with_gradient(function):
                return jax.value_and_grad(lambda p: jnp.sum(jnp.sin(function(p)) * jnp.arange(1, 10)))(parameters)

            in_steps = [
                with_gradient(each)
                for each in (
                    partial(ours, run=partial(in_step, functions.train_for_gradient)),
                    partial(theirs, kept=kept),
                )
            ]
            in_records = [ours(parameters, run) for run in (functions.apply, functions.apply_for_gradient)]
            wanted = theirs(parameters, None)
            return [in_steps, *([each, wanted] for each in in_records)]

        for got, wanted in compare():
            jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-12, atol=1e-12), got, wanted)
            assert min(float(jnp.abs(leaf).max()) for leaf in jax.tree.leaves(wanted)) > 1e-3  # every array counts


def test_a_network_with_layer_norm_and_residuals_is_trained_as_by_a_hand_written_loop():
    experiment = tiny(
        model=MLP(width=5, depth=3, layer_norm=True, residual=True), optimizer=Optimizer("sgd", learning_rate=0.05),
        epochs=20, precision="float64",
    )  # fmt: skip
    plan = make_plan(experiment)
    (life,), data = lives(plan), data_of(plan, 0)

    def output(parameters, h):
        for layer in range(3):
            own = parameters[f"layer_{layer}"]
            z = own["kernel"].T @ h + own["bias"][:, None]
            z = (z - z.mean(0)) / jnp.sqrt(z.var(0) + 1e-6)
            s = jnp.tanh(own["scale"][:, None] * z + own["shift"][:, None])
            h = h + s if layer else s
        return (parameters["layer_3"]["kernel"].T @ h + parameters["layer_3"]["bias"][:, None])[0]

    with jax.enable_x64(True):
        step = jax.jit(jax.grad(lambda p: jnp.mean((output(p, data.inputs) - data.target) ** 2)))
        parameters = jax.tree.map(jnp.asarray, life.states[0].parameters)
        assert all((parameters[f"layer_{layer}"]["scale"] == 1).all() for layer in range(3))
        assert not any(parameters[f"layer_{layer}"]["shift"].any() for layer in range(3))
        for _ in range(20):
            parameters = jax.tree.map(lambda p, g: p - 0.05 * g, parameters, step(parameters))
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-9, atol=1e-12), life.states[-1].parameters, parameters)


def test_residual_networks_of_all_widths_and_depths_in_one_block_are_what_they_are_alone(monkeypatch):
    experiment = tiny(
        task=SumOfSines(frequencies=(1, 3), points=16), precision="float64",
        model=MLP(residual=True, activation="cosine", initializer="siren"),
        axes=grid(width=(3,), depth=(2,)) + grid(width=(5,), depth=(3,)),
    )  # fmt: skip
    apart = lives(make_plan(experiment))
    share_blocks(monkeypatch)
    together = make_plan(experiment)
    assert [block.training.padded for block, _ in together.blocks()] == [True]
    for one, other in zip(lives(together), apart, strict=True):
        for name, values in other.curves.items():
            np.testing.assert_allclose(one.curves[name], values, rtol=1e-10, atol=1e-13, err_msg=name)


@pytest.mark.parametrize("name", ["layer_norm", "dropout", "fourier_features", "pairs", "everything"])
def test_other_extensions_are_never_padded(monkeypatch, name):
    share_blocks(monkeypatch)
    model = replace(MODELS[name], hidden=None, width=4, depth=2)
    plan = make_plan(tiny(model=model, axes=zipped(width=(3, 5), depth=(2, 3))))
    assert [block.training.padded for block, _ in plan.blocks()] == [False] * 2


def test_numbers_of_extensions_share_a_block_and_lanes_without_an_option_have_their_own():
    model = MLP(width=4, depth=2, activation="sine", fourier_features=3)
    numbers = grid(dropout=(0.0, 0.1, 0.5), fourier_scale=(0.5, 2.0), hidden_omega=(1.0, 3.0))
    ((block, members),) = make_plan(tiny(model=model, axes=numbers)).blocks()
    assert len(members) == 12
    assert block.training.shape.model == replace(
        model, dropout=0.5, hidden_omega=0.5
    )  # that it has them is what counts
    both = tiny(model=model, axes=grid(dropout=(0.1, 0.2), seed=(0, 1)) + grid(seed=(0, 1)))
    assert [(block.training.shape.model.dropout, len(lanes)) for block, lanes in make_plan(both).blocks()] == [
        (0.5, 4), (None, 2)
    ]  # fmt: skip
    features = make_plan(tiny(model=MLP(width=4), axes=grid(fourier_features=(2, 3))))
    assert [block.training.shape.model.fourier_features for block, _ in features.blocks()] == [2, 3]


# ---------------------------------------------------------------------------------------------------------
# Dropout.


def test_dropout_keeps_each_output_with_its_probability_anew_in_each_step_and_layer():
    draw = jax.jit(
        lambda step, rate: draw_dropout_masks(
            jax.random.fold_in(stream(jnp.uint32(0), "network"), step), (90, 70), 200, rate
        )
    )
    first, other = (np.asarray(kept) for kept in draw(0, 0.3))
    assert (first.shape, other.shape) == ((90, 200), (70, 200))
    for kept in (first, other):
        assert abs(kept.mean() - 0.7) < 5 * np.sqrt(0.3 * 0.7 / kept.size)
        assert abs(np.corrcoef(kept[0], kept[1])[0, 1]) < 5 / np.sqrt(200)
    again = np.asarray(draw(1, 0.3)[0])
    for one, two in ((first, again), (first[:70], other)):  # independent: both kept with probability 0.49
        assert abs((one & two).mean() - 0.49) < 5 * np.sqrt(0.49 * 0.51 / one.size)
    assert np.asarray(draw(0, 0.0)[0]).all()
    small, large = (
        draw_dropout_masks(stream(jnp.uint32(0), "network"), (size,), size, jnp.float32(0.5))[0] for size in (5, 9)
    )
    np.testing.assert_array_equal(small, large[:5, :5])


def test_dropout_preserves_the_mean_of_a_linear_network():
    model = MLP(hidden=(40,), activation="identity", dropout=0.4)
    with jax.enable_x64(True):
        x, numbers = jnp.linspace(-1, 1, 5)[None], numbers_for(model, dropout=0.4)
        parameters, _ = begun(model, x)
        functions, keys = network(model), jax.vmap(partial(stream, name="network"))(jnp.arange(4000, dtype=jnp.uint32))
        drawn = jax.jit(jax.vmap(lambda key: functions.train(parameters, (), x, numbers, key)[0]))(keys)
        wanted = functions.apply(parameters, (), x, numbers)
    deviation = np.asarray(drawn).std(0) / np.sqrt(4000)
    assert (deviation > 1e-3).all() or deviation[2] < 1e-12  # at x = 0 a network without biases is 0
    assert (np.abs(np.asarray(drawn).mean(0) - wanted) <= 5 * deviation + 1e-12).all()


def test_records_have_no_dropout_and_rate_0_is_a_network_without():
    model = MLP(width=6, depth=2, dropout=0.0)
    settings = {"epochs": 20, "precision": "float64", "optimizer": Optimizer("sgd", learning_rate=0.05)}
    dropping = run_lanes(tiny(model=model, axes=grid(dropout=(0.0, 0.5)), **settings))
    (without,) = run_lanes(tiny(model=MLP(width=6, depth=2), **settings))
    assert dropping[0].curves["loss"][0] == dropping[1].curves["loss"][0]
    np.testing.assert_allclose(dropping[0].curves["loss"], without.curves["loss"], rtol=1e-12)
    assert abs(dropping[1].curves["loss"][-1] / without.curves["loss"][-1] - 1) > 1e-3


def difference_within_a_step(learning_rate):
    """SGD whose state is how much the loss of the step differs from the same loss computed again, and its value."""

    def update(updates, state, params=None, *, value, value_fn, **_):
        return jax.tree.map(lambda g: -learning_rate * g, updates), (value_fn(params) - value, value)

    return optax.GradientTransformationExtraArgs(lambda params: (jnp.zeros(()), jnp.zeros(())), update)


def test_all_losses_of_one_step_have_the_same_dropout_and_the_next_step_has_another():
    experiment = tiny(
        model=MLP(width=8, depth=2, dropout=0.5), optimizer=FromOptax(difference_within_a_step, learning_rate=0.0),
        precision="float64", epochs=4, record=Record(metrics=("loss",), at=every(1), snapshots=0),
    )  # fmt: skip
    (life,) = run_lanes(experiment)
    differences, values = zip(*(state.optimizer_state for state in life.states[1:]), strict=True)
    assert np.abs(differences).max() < 1e-14
    assert np.ptp(life.curves["loss"]) == 0, "nothing is trained, and records have no dropout"
    assert len(set(map(float, values))) == 4


@pytest.mark.slow
@pytest.mark.parametrize("name", ["lbfgs", "sam"])
def test_optimisers_that_compute_several_losses_in_a_step_take_dropout(name):
    model = MLP(width=8, depth=1, dropout=0.1, layer_norm=True)
    (life,) = run_lanes(tiny(model=model, optimizer=Optimizer(name), epochs=30))
    assert life.curves["loss"][-1] < life.curves["loss"][0]


# ---------------------------------------------------------------------------------------------------------
# Fourier features.


def test_the_kernel_of_fourier_features_tends_to_a_gaussian():
    model, scale = MLP(hidden=(1,), fourier_features=40_000), 0.8
    with jax.enable_x64(True):
        frequencies = np.asarray(begun(model, np.zeros((2, 1)), fourier_scale=scale)[1]["frequencies"])
    assert frequencies.shape == (40_000, 2)
    for difference in ([0.1, 0.0], [0.0, 0.2], [0.2, -0.3]):
        exact = np.exp(-2 * np.pi**2 * scale**2 * np.sum(np.square(difference)))
        terms = np.cos(2 * np.pi * frequencies @ difference)
        assert abs(terms.mean() - exact) < 5 * terms.std() / np.sqrt(len(terms))


def test_frequencies_scale_are_drawn_apart_from_weights_and_never_trained():
    experiment = tiny(
        model=MLP(width=5, depth=1, fourier_features=4), axes=grid(seed=(0, 1), fourier_scale=(1.0, 2.0)),
        optimizer=Optimizer("adamw", weight_decay=0.1), precision="float64",
        record=Record(metrics=("loss", "parameter_norm", "gradient_norm"), at=linear_spaced(2), snapshots=0),
    )  # fmt: skip
    plan = make_plan(experiment)
    ((block, _),) = plan.blocks()
    found = lives(plan)
    for life in found:
        start, end = (life.states[at].collections["frequencies"] for at in (0, -1))
        np.testing.assert_array_equal(start, end)
        norm = np.sqrt(sum((leaf**2).sum() for leaf in jax.tree.leaves(life.states[-1].parameters)))
        np.testing.assert_allclose(life.curves["parameter_norm"][-1], norm, rtol=1e-12)
        assert life.curves["gradient_norm"].shape[-1] == 2
        kept = block.training.parameters(life.states[-1])
        assert {*kept} == {"layer_0", "layer_1", "fourier_features"}
        assert not np.isin(start, kept["layer_0"]["kernel"]).any()
        again = block.training.with_parameters(life.states[0], kept)
        np.testing.assert_array_equal(again.collections["frequencies"], end)
    alone = initial_parameters(replace(experiment, axes=grid()), **dict(rows_of(experiment)[0]))
    first = found[0].states[0].collections["frequencies"]
    np.testing.assert_array_equal(alone["fourier_features"]["frequencies"], first)
    np.testing.assert_array_equal(
        found[1].states[0].collections["frequencies"], 2 * found[0].states[0].collections["frequencies"]
    )
    assert not np.isin(
        found[2].states[0].collections["frequencies"], found[0].states[0].collections["frequencies"]
    ).any()


# ---------------------------------------------------------------------------------------------------------
# SIREN.


def test_weights_of_siren_have_its_bounds_in_each_layer():
    for depth, hidden_omega in ((0, 1.0), (2, 30.0)):
        model = MLP(
            width=150, depth=depth, activation="sine", initializer="siren", hidden_omega=hidden_omega if depth else None
        )
        with jax.enable_x64(True):
            parameters, _ = begun(model, np.zeros((40, 1)), hidden_omega=hidden_omega)
        for at, own in enumerate(parameters.values()):
            kernel, inputs = np.asarray(own["kernel"]), 150 if at else 40
            bound = np.sqrt(6 / inputs) / hidden_omega if at else 1 / inputs
            assert bound * (0.8 if kernel.size < 1000 else 0.99) < np.abs(kernel).max() <= bound
            assert abs(kernel.var() / (bound**2 / 3) - 1) < 5 * np.sqrt(0.8 / kernel.size)


def test_activations_of_siren_keep_their_deviation_over_depth():
    # Sums of many terms are normal, of variance v; then E sin^2 = (1 - exp(-2 v)) / 2, and the next v is twice it.
    model = MLP(width=256, depth=8, activation="sine", hidden_omega=30.0, initializer="siren")
    with jax.enable_x64(True):
        x = jnp.linspace(-1, 1, 64)[None]
        draw = jax.jit(lambda seed: begun(model, x, seed, hidden_omega=30.0)[0])
        layers = [jax.tree.map(np.asarray, draw(seed)) for seed in range(4)]
    h = np.stack([np.sin(30 * own["layer_0"]["kernel"].T @ x) for own in layers])
    for layer in range(1, 8):
        expected = 1 - np.exp(-2 * 2 * np.mean(h**2))
        z = 30 * np.stack([own[f"layer_{layer}"]["kernel"].T @ each for own, each in zip(layers, h, strict=True)])
        h = np.sin(z)
        assert abs(np.mean(h**2) * 2 / expected - 1) < 0.05
        assert layer == 1 or abs(np.std(h) / 0.631 - 1) < 0.05  # where v = 1 - exp(-2 v) = 0.797


def test_at_the_start_of_siren_omega_cancels():
    with jax.enable_x64(True):
        x, found = jnp.linspace(-1, 1, 9)[None], []
        for hidden_omega in (1.0, 32.0):
            model = MLP(width=20, depth=3, activation="sine", hidden_omega=hidden_omega, initializer="siren")
            numbers = numbers_for(model, hidden_omega=hidden_omega, omega0=30.0)
            parameters, _ = begun(model, x, hidden_omega=hidden_omega)
            found.append(np.asarray(network(model).apply(parameters, (), x, numbers)))
    # In all hidden layers; the output layer has the bound without the factor, as in the authors' code.
    np.testing.assert_allclose(found[0], 32 * found[1], rtol=1e-12)


def test_omega_is_1_where_none_is_given():
    with jax.enable_x64(True):
        x, found = jnp.linspace(-1, 1, 9)[None], []
        for hidden_omega in (None, 1.0):
            model = MLP(width=6, depth=2, activation="sine", hidden_omega=hidden_omega, initializer="siren")
            parameters, _ = begun(model, x, hidden_omega=1.0)
            found.append(np.asarray(network(model).apply(parameters, (), x, numbers_for(model, hidden_omega=1.0))))
    np.testing.assert_allclose(*found, rtol=1e-14)


# ---------------------------------------------------------------------------------------------------------
# Pairs.

# Hidden and output activations; those that end in a product are what a fused multiplication with addition could round
# in one copy only.
ENDS = [("tanh", "identity"), ("gelu", "silu"), ("sine", "gelu"), ("elu", "softplus")]


@pytest.mark.core  # and so optimised
@pytest.mark.optimised
# Whether a product is fused with a sum does not depend on the precision.
@pytest.mark.parametrize("precision", ["float32", pytest.param("float64", marks=pytest.mark.slow)])
def test_a_pair_begins_at_exactly_0(precision):
    with jax.enable_x64(precision == "float64"):
        x, outputs = jnp.linspace(-1, 1, 13, dtype=precision)[None], {}
        for hidden, output in ENDS:
            model = MLP(
                width=7, depth=2, activation=hidden, output_activation=output, bias_initializer="normal", pairs=True,
                layer_norm=hidden == "gelu",
            )  # fmt: skip
            functions, numbers = network(model), numbers_for(model, precision)

            def loss(p, functions=functions, numbers=numbers):
                prediction = functions.apply_for_gradient(p, (), x, numbers)
                return jnp.mean((prediction - x[0]) ** 2), prediction

            parameters, _ = jax.jit(functions.init)(stream(jnp.uint32(3), "weights"), x, numbers)
            (_, outputs[hidden, output]), gradient = jax.jit(jax.value_and_grad(loss, has_aux=True))(parameters)
            for own in gradient.values():
                jax.tree.map(lambda a, b: np.testing.assert_allclose(a, -b, rtol=1e-4, atol=1e-6), *own.values())
    for ends, found in outputs.items():
        assert np.asarray(found).tobytes() == bytes(found.nbytes), ends


def test_a_difference_of_numbers_that_are_not_finite_is_not_0():
    model = MLP(depth=0, pairs=True)
    parameters = {
        "layer_0": {name: {"kernel": np.full((1, 1), np.inf), "bias": np.zeros(1)} for name in ("first", "second")}
    }
    assert np.isnan(network(model).apply(parameters, (), jnp.ones((1, 2)), {})).all()


def test_directions_of_the_two_copies_are_independent():
    model = MLP(hidden=(60,), pairs=True)
    with jax.enable_x64(True):
        parameters, _ = begun(model, np.zeros((30, 1)))
        draw = network(model).direction(stream(jnp.uint32(1), "data"), parameters, numbers_for(model))
        one, other = (np.asarray(draw["layer_0"][copy]["kernel"]).ravel() for copy in ("first", "second"))
    assert abs(np.corrcoef(one, other)[0, 1]) < 5 / np.sqrt(one.size)
    for each in (one, other):
        assert abs(each.var() - 1) < 5 * np.sqrt(2 / each.size)


def test_a_pair_is_trained_and_measured_as_one_network():
    experiment = tiny(
        model=MLP(width=4, depth=1, pairs=True, frozen=("layer_0",), layer_norm=True), precision="float64",
        optimizer=Optimizer("sgd", learning_rate=0.1, coupled_decay=0.3, layer_rates=(1.0, 0.5)), epochs=1,
        record=Record(
            metrics=("loss", "gradient_norm"), at=linear_spaced(1), snapshots=1
        ),
    )  # fmt: skip
    plan = make_plan(experiment)
    (life,), data = lives(plan), data_of(plan, 0)
    assert life.curves["prediction"][0].tobytes() == bytes(life.curves["prediction"][0].nbytes)
    start, end = (state.parameters for state in life.states[:: len(life.states) - 1])
    jax.tree.map(np.testing.assert_array_equal, start["layer_0"], end["layer_0"])
    with jax.enable_x64(True):
        module = Extended(experiment.model, {}, jnp.float64)
        gradient = jax.jit(jax.grad(lambda p: jnp.mean((both_extended(module, p, data.inputs.T) - data.target) ** 2)))(
            start
        )
        gradient = jax.tree.map(np.asarray, gradient)
    moved = jax.tree.map(lambda p, g: p - 0.05 * (g + 0.3 * p), start["layer_1"], gradient["layer_1"])
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-10, atol=1e-12), end["layer_1"], moved)
    norms = [
        np.sqrt(sum((leaf**2).sum() for leaf in jax.tree.leaves(gradient[name]))) for name in ("layer_0", "layer_1")
    ]
    np.testing.assert_allclose(life.curves["gradient_norm"][0], norms, rtol=1e-10)


@pytest.mark.parametrize("name", [pytest.param("lamb", marks=pytest.mark.slow), "muon"])
def test_an_optimiser_of_arrays_does_to_each_copy_what_it_does_to_it_alone(name):
    model = MLP(width=4, depth=1, bias_initializer="normal")
    experiment = tiny(model=model, optimizer=Optimizer(name, learning_rate=0.01), precision="float64")
    with jax.enable_x64(True):
        numbers = {each: jnp.asarray(value[0], "float64") for each, value in numbers_of_one(experiment).items()}
        of_pair, alone = (
            Regression(shape_of(replace(experiment, model=replace(model, pairs=pairs)))).rule(numbers)
            for pairs in (True, False)
        )

        def step(rule, parameters, gradient):
            return rule.update(gradient, rule.init(parameters), parameters, jnp.zeros(()), lambda _: 0.0)[0]

        parameters, _ = begun(replace(model, pairs=True), np.zeros((1, 1)))
        gradient = jax.tree.map(lambda p: jnp.cos(7 * p), parameters)
        gradient = {layer: own | {"second": jax.tree.map(jnp.sin, own["second"])} for layer, own in gradient.items()}
        both = step(of_pair, parameters, gradient)
        for copy in ("first", "second"):
            own = [{layer: each[copy] for layer, each in tree.items()} for tree in (parameters, gradient, both)]
            jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-12), step(alone, *own[:2]), own[2])


# ---------------------------------------------------------------------------------------------------------
# Words, sizes, refusals.


def test_words_and_sizes_of_layers_follow():
    model = MLP(width=8, depth=2, **EVERYTHING)
    assert model.words() == "8-8 sine with layer_norm, residual, dropout, 4 fourier_features, pairs, hidden_omega"
    assert model.layer_sizes(3, 2) == ((3, 8), *2 * ((8, 8), (8, 8), (8, 2)))
    assert MLP(width=8, depth=2).words() == "8-8 tanh"
    assert MLP(depth=0, fourier_features=5).words() == "linear with 5 fourier_features"


def test_omega_does_not_apply_to_what_has_no_later_wave():
    for model in (MLP(activation="tanh", depth=2), MLP(activation="sine", depth=1)):
        with pytest.raises(SweepError, match=r"model\.hidden_omega needs activation 'sine' or 'cosine'"):
            tiny(model=model, axes=grid(hidden_omega=(1.0, 2.0)))
    with pytest.raises(SweepError, match="axis 'fourier_scale' does not apply"):
        tiny(axes=grid(fourier_scale=(1.0, 2.0)))
