"""Trainings that a page defines, against plain loops: a map iterated, a policy gradient, a cellular automaton."""

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import assert_bitwise, lives, make_plan

from sweep import Experiment, FromTraining, Metric, Record, every, grid, initial_parameters
from sweep.base.errors import SweepError
from sweep.engine.keys import stream
from sweep.engine.plan import Plan
from sweep.engine.program import NEVER

STEPS = 20


def page(training: FromTraining, **changes: Any) -> Experiment:
    settings = {
        "question": "Does it work?", "training": training, "axes": grid(seed=(0, 7)), "epochs": STEPS,
        "precision": "float64", "record": Record(at=every(1)),
    }  # fmt: skip
    return Experiment(**(settings | changes))


# A map iterated. At r = 5 it runs away.


def begin_map(key):
    return {"x": jax.random.uniform(key, minval=0.1, maxval=0.9), "steps": 0}


def step_map(state, r):
    return {"x": r * state["x"] * (1 - state["x"]), "steps": state["steps"] + 1}


def measure_map(state, step):
    return {"loss": jnp.abs(state["x"] - 0.5), "place": state["x"], "steps_taken": state["steps"], "steps_told": step}


MAP = FromTraining(begin_map, step_map, measure_map, r=3.5, metrics=["place", "steps_taken", "steps_told"])
RATES = (1.5, 2.5, 3.5, 5.0)


def map_lanes(rates: tuple[float, ...] = RATES) -> tuple[Plan, Any]:
    plan = make_plan(page(MAP, axes=grid(r=rates, seed=(0, 7))))
    return plan, lives(plan)


def test_a_map_is_that_of_a_loop_in_python_and_its_number_is_traced() -> None:
    plan, lanes = map_lanes()
    assert [len(members) for _, members in plan.blocks()] == [8]
    for lane, life in enumerate(lanes):
        rate, seed = RATES[lane // 2], (0, 7)[lane % 2]
        with jax.enable_x64(True):
            x = float(jax.random.uniform(stream(jnp.uint32(seed), "weights"), minval=0.1, maxval=0.9))
        expected, lost = [], NEVER
        for step in range(STEPS + 1):
            expected.append(x if lost == NEVER else np.nan)
            x = rate * x * (1 - x)
            lost = step + 1 if lost == NEVER and not np.isfinite(x) else lost
        np.testing.assert_allclose(life.curves["place"], expected, rtol=1e-9)
        np.testing.assert_allclose(life.curves["loss"], np.abs(np.array(expected) - 0.5), rtol=1e-8, atol=1e-12)
        assert life.first_bad_step == lost
        assert (lost != NEVER) == (rate == 5)
        if lost == NEVER:
            np.testing.assert_array_equal(life.curves["steps_taken"], np.arange(STEPS + 1))
            np.testing.assert_array_equal(life.curves["steps_told"], np.arange(STEPS + 1))


def test_a_lane_that_is_lost_harms_no_other() -> None:
    for one, other in zip(map_lanes(RATES[:3])[1], map_lanes()[1], strict=False):
        assert_bitwise(one, other)


# A policy gradient, with a state of an optimiser inside, and a number that decides the code.

REWARDS = (0.2, 0.5, 0.8)


def begin_policy(key, data_key, rate):
    logits = 0.1 * jax.random.normal(key, (3,))
    return {
        "logits": logits, "means": jax.random.uniform(data_key, (3,)), "optimizer": optax.adam(rate).init(logits)
    }  # fmt: skip


def step_policy(state, key, rate, samples):
    def loss(logits):
        arms = jax.random.categorical(key, logits, shape=(samples,))
        chances = jax.nn.log_softmax(logits)[arms]
        return -jnp.mean(chances * state["means"][arms])

    gradient = jax.grad(loss)(state["logits"])
    updates, optimizer = optax.adam(rate).update(gradient, state["optimizer"])
    return {**state, "logits": state["logits"] + updates, "optimizer": optimizer}


def measure_policy(state):
    chances = jax.nn.softmax(state["logits"])
    return {"loss": jnp.max(state["means"]) - chances @ state["means"], "chances": chances}


POLICY = FromTraining(
    begin_policy, step_policy, measure_policy, rate=0.1, samples=4, metrics=[Metric("chances", dims={"arm": 3})]
)


def test_a_policy_gradient_is_that_of_a_plain_loop_with_the_same_keys() -> None:
    axes = grid(rate=(0.03, 0.3), samples=(2, 4), seed=(0, 7), data_seed=(5,))
    plan = make_plan(page(POLICY, axes=axes))
    assert [len(members) for _, members in plan.blocks()] == [4, 4]  # one for each number of samples
    for life, values in zip(lives(plan), np.ndindex(2, 2, 2), strict=True):
        rate, samples, seed = ((0.03, 0.3), (2, 4), (0, 7))[0][values[0]], (2, 4)[values[1]], (0, 7)[values[2]]
        with jax.enable_x64(True):
            seeds = jnp.uint32(seed), jnp.uint32(5)
            state = begin_policy(stream(seeds[0], "weights"), stream(seeds[1], "data"), rate)
            advance = jax.jit(step_policy, static_argnames="samples")
            for step in range(STEPS):
                key = jax.random.fold_in(stream(seeds[0], "network"), step)
                state = advance(state, key, rate, samples=samples)
            expected = measure_policy(state)
        for name in ("loss", "chances"):
            np.testing.assert_allclose(life.curves[name][-1], expected[name], rtol=1e-9)


# A cellular automaton, whose state has no floats.


def begin_rule(data_key):
    return jax.random.bernoulli(data_key, 0.5, (31,)).astype(jnp.int32)


def step_rule(cells, rule):
    number = 4 * jnp.roll(cells, 1) + 2 * cells + jnp.roll(cells, -1)
    return (rule >> number) & 1


def measure_rule(cells):
    return {"loss": jnp.mean(cells), "cells": cells}


RULE = FromTraining(
    begin_rule, step_rule, measure_rule, rule=110, metrics=[Metric("cells", dims={"place": 31})]
)  # fmt: skip


def test_a_cellular_automaton_is_that_of_numpy_though_its_state_has_no_floats() -> None:
    plan = make_plan(page(RULE, axes=grid(rule=(30, 110), data_seed=(1, 2)), precision="float32"))
    assert plan.keep == "state"
    for life, values in zip(lives(plan), np.ndindex(2, 2), strict=True):
        rule = (30, 110)[values[0]]
        cells = np.asarray(begin_rule(stream(jnp.uint32((1, 2)[values[1]]), "data")))
        for row in life.curves["cells"]:
            np.testing.assert_array_equal(row, cells)
            number = 4 * np.roll(cells, 1) + 2 * cells + np.roll(cells, -1)
            cells = (rule >> number) & 1


def test_a_number_may_have_any_name_and_a_state_that_begins_infinite_is_lost_at_once() -> None:
    training = FromTraining(
        lambda start: start / (start - 1), lambda state, width: 0 * state + width, lambda state: {"loss": state},
        width=1.5, start=2.0,
    )  # fmt: skip
    axes = grid(width=(0.5, 2.5)) * grid(start=(2.0, 1.0))
    lives_of = lives(make_plan(page(training, axes=axes)))
    assert [life.curves["loss"][-1] for life in lives_of[::2]] == [0.5, 2.5]
    assert [life.first_bad_step for life in lives_of] == [NEVER, 0, NEVER, 0]


def test_initial_parameters_are_the_state() -> None:
    found = initial_parameters(page(MAP), seed=7)
    assert {*found} == {"x", "steps"}
    assert found["steps"] == 0
    with jax.enable_x64(True):
        assert found["x"] == begin_map(stream(jnp.uint32(7), "weights"))["x"]


# Bad input: one line, before anything is stored.


def changed(**functions: Any) -> FromTraining:
    return replace(MAP, metrics=("place", "steps_taken", "steps_told"), **functions)


def other_shape(state, r):
    return {"x": jnp.stack([state["x"], r]), "steps": state["steps"]}


def without_a_part(state, r):
    return {"x": r * state["x"]}


def of_floats(state, r):
    return {"x": r * state["x"], "steps": state["steps"] + 0.5}


def deciding(state, r):
    return state if r > 2 else step_map(state, r)


BAD = {
    "step of FromTraining changes the state at ['x'] from floats of shape () to floats of shape (2,): keep structure, "
    "shapes and kinds of numbers": {"step": other_shape},
    "step of FromTraining changes the state at ['steps'] from whole numbers of shape () to nothing: keep structure, "
    "shapes and kinds of numbers": {"step": without_a_part},
    "step of FromTraining changes the state at ['steps'] from whole numbers of shape () to floats of shape (): keep "
    "structure, shapes and kinds of numbers": {"step": of_floats},
    "'deciding', the step of FromTraining, decides by something that is traced, as r and the state may be: use it in "
    "arithmetic, jnp.where or jax.lax.cond, or name a number in FromTraining(static=...)": {"step": deciding},
    "'<lambda>', the begin of FromTraining, raised ZeroDivisionError: division by zero": {"begin": lambda: 1 / 0},
    "begin of FromTraining must return the state, a pytree of arrays, got {}": {"begin": lambda: {}},
    "step of FromTraining must return the state, a pytree of arrays, got None": {"step": lambda state, r: None},
    "the state of FromTraining at ['x'] must be an array of numbers, got str: Value 'a' with dtype <U1 is not a valid "
    "JAX array type. Only arrays of numeric types are supported by JAX.": {"begin": lambda: {"x": "a", "steps": 0}},
    "the state of FromTraining at ['steps'] must be an array of numbers, got int: Python int "
    "1180591620717411303424 too large to convert to int64": {"begin": lambda: {"x": 0.1, "steps": 2**70}},
    "the state of FromTraining at ['steps'] has a whole number that int32 does not hold: take precision='float64'": {
        "begin": lambda: {"x": 0.1, "steps": np.int64(2**40)}, "precision": "float32"
    },
    "the state of FromTraining at ['x'] is an empty array: leave it out": {
        "begin": lambda: {"x": jnp.zeros(0), "steps": 0}
    },
    "step of FromTraining changes the state at ['steps'] from int8 to int32, which it may not hold: convert it": {
        "begin": lambda: {"x": 0.1, "steps": jnp.int8(0)}, "step": lambda state, r: {**state, "steps": jnp.int32(1)}
    },
    "'loss' that measure returns must be an array of numbers, got NoneType: None is not a valid value for jnp.array": {
        "measure": lambda state: dict.fromkeys(("loss", "place", "steps_taken", "steps_told"))
    },
    "the state of FromTraining at ['x'] is a random key, which no store keeps: take the argument key, new at each "
    "step": {
        "begin": lambda key: {"x": key, "steps": 0}
    },
    "the state of FromTraining at ['x'] must be real, got complex numbers: keep two arrays": {
        "begin": lambda: {"x": 1j, "steps": 0}
    },
    "measure of FromTraining must return a dict of 'loss', 'place', 'steps_taken', 'steps_told', got 'loss'": {
        "measure": lambda state: {"loss": state["x"]}
    },
    "measure of FromTraining must return a dict of 'loss', 'place', 'steps_taken', 'steps_told', got float": {
        "measure": lambda state: 1.0
    },
    "'loss' that measure returns must be real numbers, got complex ones: take jnp.abs": {
        "measure": lambda state: dict.fromkeys(("loss", "place", "steps_taken", "steps_told"), 1j)
    },
    "metric 'loss' states the dimensions () of sizes (), but its function returns an array of shape (2,)": {
        "measure": lambda state: measure_map(state, 0) | {"loss": jnp.ones(2)}
    },
}  # fmt: skip


@pytest.mark.parametrize("message", BAD)
def test_what_the_engine_can_not_train_is_refused_in_one_line(message: str) -> None:
    from sweep.runs.planning import plan_sweep

    functions = {"precision": "float64", **BAD[message]}
    precision = functions.pop("precision")
    with pytest.raises(SweepError) as error:
        plan_sweep(page(changed(**functions), axes=grid(r=(3.5,)), precision=precision))
    assert str(error.value) == message
