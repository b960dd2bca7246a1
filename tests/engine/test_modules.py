"""Modules of a page against plain loops of their own framework."""

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn
from helpers import assert_bitwise, by_row, data_of, lives, make_plan, rows_of, run_lanes, tiny

from sweep.base.errors import SweepError
from sweep.engine.keys import stream
from sweep.engine.regression.networks import network
from sweep.page.axes import grid, zipped
from sweep.page.specs.model import FromModule
from sweep.runs.planning import check_effect, plan_sweep
from sweep.specs import Optimizer, Record, Sine, every

NUMBERS = {"initial_scale": jnp.float32(2)}
STEPS = 20


class TwoBranches(nn.Module):
    """Points first, with a structure that `MLP` does not have."""

    width: int

    @nn.compact
    def __call__(self, x):
        return nn.Dense(1)(nn.tanh(nn.Dense(self.width)(x))) + nn.Dense(1, use_bias=False)(x)


def noisy(width, features, slope, rate):
    """Batch statistics, dropout, a count, a traced number and a static one; a bias would be subtracted again."""

    class Noisy(nn.Module):
        @nn.compact
        def __call__(self, x, train):
            x = jnp.sin(x * jnp.arange(1, features + 1))
            x = nn.BatchNorm(use_running_average=not train, momentum=0.8)(nn.Dense(width, use_bias=False)(x))
            x = nn.Dropout(rate, deterministic=not train)(jnp.tanh(slope * x))
            return nn.Dense(1)(x)

    return Noisy()


def with_noise(**changes: Any) -> Any:
    model = FromModule(noisy, width=5, features=3, slope=1.0, rate=0.25, static=("rate",))
    settings = {
        "model": model, "optimizer": Optimizer("adam", learning_rate=0.03), "epochs": STEPS, "precision": "float64",
        "axes": grid(seed=(0, 7), slope=(0.5, 2.0)), "record": Record(metrics=("loss",), at=every(1), snapshots=0),
    }  # fmt: skip
    return tiny(**(settings | changes))


def plain_loop(
    module: nn.Module, variables: Any, x: Any, y: Any, seed: int, rate: float
) -> tuple[list[Any], list[Any]]:
    """Train as one writes it with Flax and optax; return the variables before each step and at last, and losses."""
    rule, key = optax.adam(rate), stream(jnp.uint32(seed), "network")
    parameters, statistics = variables["params"], variables["batch_stats"]
    state, found, losses = rule.init(parameters), [variables], []

    @jax.jit
    def step(parameters, statistics, state, number):
        def loss_of(parameters):
            made, changed = module.apply(
                {"params": parameters, "batch_stats": statistics}, x, True, mutable=["batch_stats"],
                rngs={"params": jax.random.fold_in(key, number)},
            )  # fmt: skip
            return jnp.mean((made[:, 0] - y) ** 2), changed["batch_stats"]

        gradient, changed = jax.grad(loss_of, has_aux=True)(parameters)
        updates, new = rule.update(gradient, state, parameters)
        return optax.apply_updates(parameters, updates), changed, new

    measure = jax.jit(lambda variables: jnp.mean((module.apply(variables, x, False)[:, 0] - y) ** 2))
    for number in range(STEPS):
        losses.append(measure(found[-1]))
        parameters, statistics, state = step(parameters, statistics, state, number)
        found.append({"params": parameters, "batch_stats": statistics})
    return found, losses


def test_batch_statistics_and_dropout_are_those_of_a_plain_loop():
    experiment = with_noise(axes=zipped(seed=(0, 7), slope=(0.5, 2.0)))
    plan = make_plan(experiment)
    assert sum(1 for _ in plan.blocks()) == 1, "a traced number makes no block"
    for lane, (row, life) in enumerate(zip(rows_of(experiment), lives(plan), strict=True)):
        seed, slope = dict(row)["seed"], dict(row)["slope"]
        data = data_of(plan, lane)
        with jax.enable_x64(True):
            module, x = noisy(5, 3, slope, 0.25), jnp.asarray(data.inputs.T)
            begun = module.init(stream(jnp.uint32(seed), "weights"), x, False)
            begun = jax.tree.map(lambda leaf: leaf.astype(jnp.float64), begun)
            found, losses = plain_loop(module, begun, x, jnp.asarray(data.target), seed, 0.03)
        np.testing.assert_allclose(life.curves["loss"][:STEPS], losses, rtol=1e-9)
        for state, wanted in zip(life.states, found, strict=True):
            got = {"params": state.parameters, **state.collections}
            jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12), got, wanted)
        drop = [np.diff([np.asarray(each["batch_stats"]["BatchNorm_0"]["mean"]) for each in found], axis=0)]
        assert (np.abs(drop) > 0).all(), "the statistics change at each step"


def test_numbers_of_the_page_s_own_are_traced_or_decide_the_code():
    experiment = with_noise(axes=grid(slope=(0.5, 2.0, 1.0), rate=(0.0, 0.5), features=(2, 3)), epochs=2)
    plan = make_plan(experiment)
    assert [len(program.blocks) for program in plan.programs] == [4]
    shapes = {
        (dict(row)["features"], life.states[0].parameters["Dense_0"]["kernel"].shape)
        for row, life in zip(rows_of(experiment), lives(plan, records=1), strict=True)
    }
    assert shapes == {(2, (2, 5)), (3, (3, 5))}


def test_a_lost_lane_with_batch_statistics_changes_no_bit_of_another():
    experiment = with_noise(axes=grid(seed=(0, 7), learning_rate=(0.01, 1e300)), optimizer=Optimizer("sgd"))
    both = by_row(experiment, run_lanes(experiment))
    alone = replace(experiment, axes=grid(seed=(0, 7), learning_rate=(0.01,)))
    lost = [life for row, life in both.items() if ("learning_rate", 1e300) in row]
    assert all(life.first_bad_step > 0 for life in lost)
    for row, life in by_row(alone, run_lanes(alone)).items():
        assert_bitwise(both[row], life)


def test_a_module_of_a_page_is_applied_as_by_flax():
    functions = network(FromModule(build=TwoBranches, width=5))
    x = np.random.default_rng(0).normal(size=(7, 1)).astype(np.float32)
    key = stream(jnp.uint32(4), "weights")
    parameters, collections = functions.init(key, jnp.asarray(x.T), NUMBERS)
    assert collections == {}
    alone = TwoBranches(5).init(key, jnp.asarray(x))["params"]
    jax.tree.map(lambda a, b: np.testing.assert_array_equal(a, 2 * b), parameters, alone)
    ours = functions.apply(parameters, {}, jnp.asarray(x.T), NUMBERS)
    np.testing.assert_allclose(ours, TwoBranches(5).apply({"params": parameters}, x)[:, 0], rtol=1e-6)


def test_a_module_of_a_page_is_trained_at_each_width():
    experiment = tiny(model=FromModule(build=TwoBranches), axes=grid(seed=(0, 1), width=(3, 4)), epochs=60)
    for lane, life in enumerate(run_lanes(experiment)):
        assert life.states[0].parameters["Dense_1"]["kernel"].shape == (1, (3, 4)[lane % 2])
        assert life.curves["loss"][-1] < 0.95 * life.curves["loss"][0]


def fixed_features(width):
    class Fixed(nn.Module):
        @nn.compact
        def __call__(self, x):
            scale = self.variable("constants", "scale", lambda: jax.random.normal(self.make_rng("params"), (1, width)))
            return nn.Dense(1)(jnp.sin(6 * x @ scale.value))

    return Fixed()


def test_constants_of_a_module_are_drawn_once_for_each_lane_and_never_change():
    lanes = run_lanes(tiny(model=FromModule(fixed_features, width=4), axes=grid(seed=(0, 1))))
    drawn = [[state.collections["constants"]["scale"] for state in life.states] for life in lanes]
    for own in drawn:
        for later in own[1:]:
            np.testing.assert_array_equal(later, own[0])
    assert not np.isin(drawn[0][0], drawn[1][0]).any()


def draws_always(width):
    class Draws(nn.Module):
        @nn.compact
        def __call__(self, x):
            return nn.Dense(1)(nn.Dropout(0.5, deterministic=False)(nn.Dense(width)(x)))

    return Draws()


def grows(width):
    class Grows(nn.Module):
        @nn.compact
        def __call__(self, x):
            seen = self.variable("seen", "points", lambda: jnp.zeros(1))
            if not self.is_initializing() and self.is_mutable_collection("seen"):
                seen.value = jnp.concatenate([seen.value, jnp.zeros(1)])
            return nn.Dense(1)(x)

    return Grows()


def decides(width, slope):
    return TwoBranches(width if slope > 1 else 1)


def test_what_a_module_must_not_do_is_refused_in_one_line():
    for build, numbers, line in (
        (
            draws_always, {}, "the module of 'draws_always' draws random numbers in a record too: give its __call__ an "
            "argument train, and draw them only if it is True",
        ),
        (
            grows, {},
            "the module of 'grows' changes in a step at ['seen']['points'] from floats of shape (1,) to floats of "
            "shape (2,): keep structure, shapes and kinds of numbers",
        ),
        (
            decides, {"slope": 2.0}, "the module of 'decides' decides by something that is traced, as slope may be: "
            "use it in arithmetic, jnp.where or jax.lax.cond, or name a number in FromModule(static=...)",
        ),
    ):  # fmt: skip
        with pytest.raises(SweepError) as refused:
            run_lanes(tiny(model=FromModule(build, **numbers)))
        assert str(refused.value) == line


def test_a_short_last_batch_is_refused_where_its_statistics_would_count():
    assert make_plan(with_noise(batch_size=8, epochs=2))
    with pytest.raises(SweepError) as refused:
        make_plan(with_noise(batch_size=5, epochs=2))
    assert str(refused.value) == (
        "batch_size 5 does not divide the 16 points, and a short last batch would have other statistics than its "
        "points: take a divisor"
    )
    constants = FromModule(fixed_features, width=4)
    assert make_plan(with_noise(model=constants, batch_size=5, epochs=2, axes=grid(seed=(0, 1))))


@pytest.mark.parametrize("made", [3, (1, 2), None])
def test_anything_but_a_network_is_refused_with_what_it_may_be(made):
    with pytest.raises(SweepError) as refused:
        network(FromModule(lambda width: made))
    line = "must be a module of Flax (linen or NNX) or Equinox, or two functions (init, apply), got a"
    assert str(refused.value).startswith(f"the module of '<lambda>' {line}")


# ---------------------------------------------------------------------------------------------------------
# Other frameworks, each against a loop as one writes it there.


def of_nnx(width, slope, rngs):
    from flax import nnx

    class Net(nnx.Module):
        def __init__(self):
            self.first = nnx.Linear(1, width, use_bias=False, rngs=rngs)
            self.norm = nnx.BatchNorm(width, momentum=0.8, rngs=rngs)
            self.drop = nnx.Dropout(0.25, rngs=rngs)
            self.last = nnx.Linear(width, 1, rngs=rngs)

        def __call__(self, x):
            return self.last(self.drop(jnp.tanh(slope * self.norm(self.first(x)))))

    return Net()


def of_equinox(width, slope, key):
    import equinox as eqx

    class Net(eqx.Module):
        first: eqx.nn.Linear
        drop: eqx.nn.Dropout
        last: eqx.nn.Linear

        def __call__(self, x, key=None):
            return self.last(self.drop(jnp.tanh(slope * self.first(x)), key=key))

    first, last = jax.random.split(key)
    return Net(eqx.nn.Linear(1, width, key=first), eqx.nn.Dropout(0.25), eqx.nn.Linear(width, 1, key=last))


def of_functions(width, slope):
    def init(key, x):
        keys = jax.random.split(key)
        return {"w": jax.random.normal(keys[0], (x.shape[1], width)), "v": jax.random.normal(keys[1], (width, 1)) / 9}

    def apply(parameters, x, key):
        h = jnp.tanh(slope * x @ parameters["w"])
        kept = 1.0 if key is None else jax.random.bernoulli(key, 0.75, h.shape) / 0.75
        return (h * kept) @ parameters["v"]

    return init, apply


def nnx_loop(slope, start, x, y, keys, rate):
    from flax import nnx

    rule, (parameters, statistics) = optax.adam(rate), start

    @jax.jit
    def step(parameters, statistics, state, key):
        model = of_nnx(5, slope, nnx.Rngs(key))
        graph, own, streams, others = nnx.split(model, nnx.Param, nnx.RngState, ...)
        nnx.replace_by_pure_dict(own, parameters)
        nnx.replace_by_pure_dict(others, statistics)

        def loss_of(own, graph=graph, streams=streams, others=others):
            model = nnx.merge(graph, own, streams, others, copy=True)
            model.train()
            return jnp.mean((model(x)[:, 0] - y) ** 2), nnx.to_pure_dict(nnx.state(model, nnx.BatchStat))

        gradient, statistics = jax.grad(loss_of, has_aux=True)(own)
        updates, state = rule.update(nnx.to_pure_dict(gradient), state, parameters)
        return optax.apply_updates(parameters, updates), statistics, state

    state = rule.init(parameters)
    for key in keys:
        parameters, statistics, state = step(parameters, statistics, state, key)
    return parameters


def equinox_loop(slope, start, x, y, keys, rate):
    import equinox as eqx

    model, rule = of_equinox(5, slope, jax.random.key(0)), optax.adam(rate)
    model = eqx.tree_at(lambda m: [m.first.weight, m.first.bias, m.last.weight, m.last.bias], model, [
        start[0][name] for name in ("first.weight", "first.bias", "last.weight", "last.bias")
    ])  # fmt: skip

    @eqx.filter_jit
    def step(model, state, key):
        own = jax.random.split(key, len(x))
        gradient = eqx.filter_grad(lambda m: jnp.mean((jax.vmap(m)(x, own)[:, 0] - y) ** 2))(model)
        updates, state = rule.update(gradient, state, model)
        return eqx.apply_updates(model, updates), state

    state = rule.init(eqx.filter(model, eqx.is_inexact_array))
    for key in keys:
        model, state = step(model, state, key)
    return {
        "first.weight": model.first.weight, "first.bias": model.first.bias,
        "last.weight": model.last.weight, "last.bias": model.last.bias,
    }  # fmt: skip


def of_equinox_with_state(width, slope, key):
    import equinox as eqx

    class Net(eqx.Module):
        first: eqx.nn.Linear
        norm: eqx.nn.BatchNorm
        last: eqx.nn.Linear

        def __init__(self, key):
            first, last = jax.random.split(key)
            self.first = eqx.nn.Linear(1, width, use_bias=False, key=first)
            self.last = eqx.nn.Linear(width, 1, key=last)
            self.norm = eqx.nn.BatchNorm(width, axis_name="batch", mode="ema", momentum=0.8)

        def __call__(self, x, state):
            h, state = self.norm(jnp.sin(slope * self.first(x)), state)
            return self.last(jnp.tanh(h)), state

    return eqx.nn.make_with_state(Net)(key)


def of_many_states(width, key):
    """Twelve numbers of a state, each with a value of its own."""
    import equinox as eqx

    class Net(eqx.Module):
        first: eqx.nn.Linear
        indices: list

        def __init__(self, key):
            self.first = eqx.nn.Linear(1, 1, key=key)
            self.indices = [eqx.nn.StateIndex(jnp.array(float(at))) for at in range(12)]

        def __call__(self, x, state):
            values = jnp.stack([state.get(index) for index in self.indices])
            return 0 * self.first(x) + values @ (10.0 ** -jnp.arange(12)), state

    return eqx.nn.make_with_state(Net)(key)


def without_effect(width, slope, other):
    return TwoBranches(width)


def test_an_axis_over_a_number_that_the_code_does_not_use_is_refused():
    model = FromModule(without_effect, slope=1.0, other=2.0)
    check_effect(plan_sweep(tiny(model=model)))
    plan = plan_sweep(tiny(model=model, axes=grid(slope=(1.0, 2.0))))
    with pytest.raises(SweepError) as refused:
        check_effect(plan)
    assert str(refused.value) == (
        "axis 'slope' has no effect, as the code of the page takes it and does not use it: use it, or leave it out"
    )


def with_field(width, slope, key):
    import equinox as eqx

    class Net(eqx.Module):
        slope: float
        last: eqx.nn.Linear

        def __call__(self, x):
            return self.last(self.slope * x)

    return Net(slope, eqx.nn.Linear(1, 1, key=key))


def test_a_traced_number_in_a_field_of_equinox_is_refused_as_it_would_be_trained():
    pytest.importorskip("equinox")
    with pytest.raises(SweepError) as refused:
        run_lanes(tiny(model=FromModule(with_field, slope=2.0)))
    assert str(refused.value) == (
        "the module of 'with_field' has the number 'slope' in a field, where Equinox takes it for a parameter, to be "
        "trained: use it in __call__ as a variable of with_field, or name it in FromModule(static=...)"
    )
    assert run_lanes(tiny(model=FromModule(with_field, slope=2.0, static=("slope",)), epochs=1))


def test_a_state_of_many_arrays_keeps_their_order():
    pytest.importorskip("equinox")
    page = tiny(model=FromModule(of_many_states, width=2), task=Sine(points=4), epochs=1, precision="float64")
    expected = sum(at * 10.0**-at for at in range(12))
    (life,) = run_lanes(replace(page, record=Record(metrics=("loss",), snapshots=1)))
    np.testing.assert_allclose(life.curves["prediction"], expected, rtol=1e-12)


def loop_with_state(slope, start, x, y, keys, rate):
    import equinox as eqx

    model, state = of_equinox_with_state(5, slope, jax.random.key(0))
    places = ("first.weight", "norm.weight", "norm.bias", "last.weight", "last.bias")
    found = eqx.tree_at(
        lambda m: [m.first.weight, m.norm.weight, m.norm.bias, m.last.weight, m.last.bias], model,
        [start[0][name] for name in places],
    )  # fmt: skip
    rule = optax.adam(rate)
    inner = rule.init(eqx.filter(found, eqx.is_inexact_array))
    state = jax.tree.map(lambda leaf: leaf.astype(float) if leaf.dtype.kind == "f" else leaf, state)

    @eqx.filter_jit
    def step(found, state, inner):
        def loss_of(model):
            made, new = jax.vmap(model, in_axes=(0, None), out_axes=(0, None), axis_name="batch")(x, state)
            return jnp.mean((made[:, 0] - y) ** 2), new

        gradient, state = eqx.filter_grad(loss_of, has_aux=True)(found)
        updates, inner = rule.update(gradient, inner, found)
        return eqx.apply_updates(found, updates), state, inner

    for _ in keys:
        found, state, inner = step(found, state, inner)
    return {name: getattr(getattr(found, name.split(".")[0]), name.split(".")[1]) for name in places}


def functions_loop(slope, start, x, y, keys, rate):
    (_, apply), rule, parameters = of_functions(5, slope), optax.adam(rate), start[0]

    @jax.jit
    def step(parameters, state, key):
        gradient = jax.grad(lambda p: jnp.mean((apply(p, x, key)[:, 0] - y) ** 2))(parameters)
        updates, state = rule.update(gradient, state, parameters)
        return optax.apply_updates(parameters, updates), state

    state = rule.init(parameters)
    for key in keys:
        parameters, state = step(parameters, state, key)
    return parameters


@pytest.mark.parametrize(
    ("build", "loop"),
    [
        (of_nnx, nnx_loop),
        (of_equinox, equinox_loop),
        (of_equinox_with_state, loop_with_state),
        (of_functions, functions_loop),
    ],
)
def test_a_module_of_another_framework_is_trained_as_there(build, loop):
    if build in (of_equinox, of_equinox_with_state):
        pytest.importorskip("equinox")
    experiment = with_noise(model=FromModule(build, width=5, slope=1.0), axes=grid(seed=(7,), slope=(0.5, 2.0)))
    plan = make_plan(experiment)
    assert sum(1 for _ in plan.blocks()) == 1
    for lane, (row, life) in enumerate(zip(rows_of(experiment), lives(plan), strict=True)):
        data, begun, own = data_of(plan, lane), life.states[0], dict(row)
        with jax.enable_x64(True):
            stream_of_steps = stream(jnp.uint32(own["seed"]), "network")
            keys = [jax.random.fold_in(stream_of_steps, step) for step in range(STEPS)]
            start = jax.tree.map(
                jnp.asarray, (begun.parameters, begun.collections["batch_stats"] if begun.collections else ())
            )
            wanted = loop(own["slope"], start, jnp.asarray(data.inputs.T), jnp.asarray(data.target), keys, 0.03)
        assert life.curves["loss"][-1] != life.curves["loss"][0]
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12), life.states[-1].parameters, wanted
        )
