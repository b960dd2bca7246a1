"""Optimisers against NumPy, and schedules against closed forms."""

from functools import cache
from operator import itemgetter
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import rates_of

from sweep.engine.regression import rules
from sweep.page.specs.optimizer import OPTIMIZERS, SCHEDULES, Optimizer

RNG = np.random.default_rng(5)
START = {"a": RNG.normal(size=(3, 2)), "b": RNG.normal(size=4)}
GRADIENTS = [{"a": RNG.normal(size=(3, 2)), "b": RNG.normal(size=4)} for _ in range(6)]
STEPS = 40


def walked(spec: Optimizer, numbers: dict[str, float]) -> list[Any]:
    """Take a step for each gradient in float64; the numbers are traced, as in a sweep."""
    defaults = {k: spec.default(k) for k in spec.applicable() if spec.default(k) is not None}
    with jax.enable_x64(True):
        return jax.tree.map(np.asarray, walker(spec)({k: jnp.float64(v) for k, v in (defaults | numbers).items()}))


def objective(tree: Any) -> jax.Array:
    return sum((jnp.sum(jnp.sin(leaf)) for leaf in jax.tree.leaves(tree)), jnp.zeros(()))


@cache
def walker(spec: Optimizer) -> Any:
    @jax.jit
    def walk(numbers: dict[str, jax.Array]) -> list[Any]:
        rule = rules.rule_of(spec, STEPS, numbers, np.dtype("float64"), lambda tree: [tree])

        def step(at: Any, gradient: Any) -> Any:
            parameters, state = at
            updates, state = rule.update(gradient, state, parameters, jnp.zeros(()), objective)
            parameters = jax.tree.map(jnp.add, parameters, updates)
            return (parameters, state), parameters

        start = jax.tree.map(jnp.asarray, START)
        stacked = jax.tree.map(lambda *each: jnp.stack(each), *GRADIENTS)
        found = jax.lax.scan(step, (start, rule.init(start)), stacked)[1]
        return [START, *(jax.tree.map(itemgetter(at), found) for at in range(len(GRADIENTS)))]

    return walk


def by_hand(rule: Any) -> list[Any]:
    """Walk in NumPy; `rule(gradient, parameter, memory, step)` changes the memory and returns the new parameter."""
    memory: dict[str, dict] = {name: {} for name in START}
    found = [START]
    for step, gradient in enumerate(GRADIENTS, 1):
        found.append({name: rule(gradient[name], found[-1][name], memory[name], step) for name in START})
    return found


def assert_close(ours: list[Any], theirs: list[Any], rtol: float = 1e-12) -> None:
    for one, other in zip(ours, theirs, strict=True):
        for name in START:
            np.testing.assert_allclose(one[name], other[name], rtol=rtol, atol=1e-14)


def moments(g: np.ndarray, memory: dict, beta1: float, beta2: float) -> tuple[np.ndarray, np.ndarray]:
    memory["m"] = beta1 * memory.get("m", 0.0) + (1 - beta1) * g
    memory["v"] = beta2 * memory.get("v", 0.0) + (1 - beta2) * g**2
    return memory["m"], memory["v"]


@pytest.mark.core
@pytest.mark.parametrize(("beta1", "beta2", "epsilon"), [(0.9, 0.999, 1e-8), (0.6, 0.95, 1e-2)])
def test_adam_is_the_algorithm_of_its_paper(beta1, beta2, epsilon):
    # Kingma & Ba 2015, algorithm 1: epsilon outside the square root, both moments corrected.
    def rule(g, p, memory, step):
        m, v = moments(g, memory, beta1, beta2)
        return p - 0.01 * (m / (1 - beta1**step)) / (np.sqrt(v / (1 - beta2**step)) + epsilon)

    ours = walked(Optimizer("adam"), {"learning_rate": 0.01, "beta1": beta1, "beta2": beta2, "epsilon": epsilon})
    assert_close(ours, by_hand(rule))


def test_adamw_decays_the_weights_and_not_the_gradient():
    def rule(g, p, memory, step):
        m, v = moments(g, memory, 0.9, 0.999)
        return p - 0.01 * ((m / (1 - 0.9**step)) / (np.sqrt(v / (1 - 0.999**step)) + 1e-8) + 0.3 * p)

    assert_close(walked(Optimizer("adamw"), {"learning_rate": 0.01, "weight_decay": 0.3}), by_hand(rule))


@pytest.mark.core
@pytest.mark.parametrize(("momentum", "decay"), [(0.0, 0.0), (0.9, 0.0), (0.0, 0.1), (0.9, 0.1)])
def test_sgd_has_momentum_and_coupled_decay_as_pytorch_defines_them(momentum, decay):
    # torch.optim.SGD with dampening 0: g <- g + decay p; b <- momentum b + g (b = g at first); p <- p - rate b.
    def rule(g, p, memory, step):
        g = g + decay * p
        memory["b"] = g if step == 1 else momentum * memory["b"] + g
        return p - 0.05 * memory["b"]

    ours = walked(Optimizer("sgd"), {"learning_rate": 0.05, "momentum": momentum, "weight_decay": decay})
    assert_close(ours, by_hand(rule))


def test_rmsprop_divides_by_the_root_of_the_running_mean_square():
    def rule(g, p, memory, step):
        memory["v"] = 0.8 * memory.get("v", 0.0) + 0.2 * g**2
        return p - 0.01 * g / np.sqrt(memory["v"] + 1e-3)  # optax has epsilon inside the root

    assert_close(walked(Optimizer("rmsprop"), {"learning_rate": 0.01, "decay": 0.8, "epsilon": 1e-3}), by_hand(rule))


def test_adagrad_divides_by_the_root_of_the_sum_of_squares():
    def rule(g, p, memory, step):
        memory["s"] = memory.get("s", 0.1) + g**2  # optax begins the sum at 0.1
        return p - 0.1 * g / np.sqrt(memory["s"] + 1e-7)

    assert_close(walked(Optimizer("adagrad"), {"learning_rate": 0.1}), by_hand(rule))


def test_lion_takes_the_sign_of_an_interpolation():
    # Chen et al. 2023, algorithm 2.
    def rule(g, p, memory, step):
        m = memory.get("m", 0.0)
        memory["m"] = 0.95 * m + 0.05 * g
        return p - 0.01 * (np.sign(0.8 * m + 0.2 * g) + 0.2 * p)

    numbers = {"learning_rate": 0.01, "beta1": 0.8, "beta2": 0.95, "weight_decay": 0.2}
    assert_close(walked(Optimizer("lion"), numbers), by_hand(rule))


def test_nadam_looks_ahead_by_one_momentum_step():
    # Dozat 2016 with constant beta1.
    def rule(g, p, memory, step):
        m, v = moments(g, memory, 0.9, 0.999)
        ahead = 0.9 * m / (1 - 0.9 ** (step + 1)) + 0.1 * g / (1 - 0.9**step)
        return p - 0.01 * ahead / (np.sqrt(v / (1 - 0.999**step)) + 1e-8)

    assert_close(walked(Optimizer("nadam"), {"learning_rate": 0.01}), by_hand(rule))


def rates_used(spec: Optimizer, numbers: dict[str, float]) -> np.ndarray:
    """Give the rate of each step: plain gradient descent moves by rate * gradient."""

    @jax.jit
    def rates(numbers: dict[str, jax.Array]) -> jax.Array:
        rule = rules.rule_of(spec, STEPS, numbers, np.dtype("float64"), lambda tree: [tree])

        def step(state: Any, _: None) -> Any:
            updates, state = rule.update(jnp.float64(1), state, jnp.float64(0), jnp.zeros(()), jnp.sum)
            return state, -updates

        return jax.lax.scan(step, rule.init(jnp.float64(0)), None, length=STEPS)[1]

    given = {
        "learning_rate": 0.3, "momentum": 0.0, "weight_decay": 0.0, "warmup": 0.3, "initial_fraction": 0.1,
        "boundary_factor": 0.5, "boundaries_0": 0.5, "boundaries_1": 0.75,
    } | numbers  # fmt: skip
    with jax.enable_x64(True):
        return np.asarray(rates({k: jnp.float64(value) for k, value in given.items() if k in spec.applicable()}))


FORMS = [(s, f) for s in SCHEDULES for f in (0.0, 0.2) if (s, f) != ("exponential", 0.0)]  # which is refused


@pytest.mark.core
@pytest.mark.parametrize(("schedule", "fraction"), FORMS)
def test_a_schedule_is_its_closed_form_at_every_step(schedule, fraction):
    got = rates_used(Optimizer("sgd", schedule=schedule), {"final_fraction": fraction})
    np.testing.assert_allclose(got, rates_of(schedule, 0.3, fraction, STEPS)[:STEPS], rtol=1e-13, atol=1e-16)


@pytest.mark.parametrize(("schedule", "fraction"), [each for each in FORMS if each[1] and each[0] != "one_cycle"])
def test_after_a_warm_up_the_schedule_takes_the_rest(schedule, fraction):
    spec = Optimizer("sgd", schedule=schedule, warmup=0.1)
    form = rates_of({"warmup_cosine": "cosine"}.get(schedule, schedule), 0.3, fraction, STEPS)
    without = rates_used(spec, {"final_fraction": fraction, "warmup": 0.0})
    np.testing.assert_allclose(without, form[:STEPS], rtol=1e-13)
    half = STEPS // 2
    got = rates_used(spec, {"final_fraction": fraction, "warmup": 0.5})
    np.testing.assert_allclose(got[:half], form[0] * np.arange(half) / half, rtol=1e-13)
    np.testing.assert_allclose(got[half:], form[:STEPS:2], rtol=1e-13)


def test_piecewise_and_one_cycle_are_those_of_optax():
    piecewise = optax.piecewise_constant_schedule(0.3, {20: 0.5, 30: 0.5})
    cycle = optax.cosine_onecycle_schedule(STEPS, 0.3, 0.3, div_factor=10, final_div_factor=2)
    fraction = 1 / 20
    for schedule, theirs in (("piecewise", piecewise), ("one_cycle", cycle)):
        got = rates_used(Optimizer("sgd", schedule=schedule), {"final_fraction": fraction})
        with jax.enable_x64(True):
            np.testing.assert_allclose(got, [theirs(jnp.float64(step)) for step in range(STEPS)], rtol=1e-12)


@pytest.mark.parametrize("name", [name for name, each in OPTIMIZERS.items() if each.numbers])
def test_every_number_of_an_optimiser_has_an_effect(name):
    plain = walked(Optimizer(name), {"learning_rate": 0.01})[-1]
    for number, default in OPTIMIZERS[name].numbers.items():
        other = walked(Optimizer(name), {"learning_rate": 0.01, number: 0.5 * default + 0.3})[-1]
        assert any((other[leaf] != plain[leaf]).any() for leaf in START), number
