"""Every optimiser by name against optax's own loop, options, rules of a page's own, and when lanes are lost."""

from collections.abc import Callable
from functools import cache, partial, reduce
from operator import add, itemgetter
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import Life, assert_bitwise, lives, make_plan, run_lanes, tiny, walk_waves

from sweep import FromOptax, Record, SweepError, grid
from sweep.engine import blocks, walk
from sweep.engine.program import NEVER
from sweep.engine.regression import rules
from sweep.engine.regression.elementwise import is_elementwise
from sweep.page.experiment import Experiment
from sweep.page.resolve import resolve
from sweep.page.specs.optimizer import OPTIMIZERS, Optimizer
from sweep.specs import MLP, every

# ---------------------------------------------------------------------------------------------------------
# By name: optax's own functions, given plain numbers.

STEPS = 20
NUMBERS: dict[str, dict[str, float]] = {
    "sgd": {"learning_rate": 0.05, "momentum": 0.8, "weight_decay": 0.01},
    "adam": {"learning_rate": 0.01, "beta1": 0.8, "beta2": 0.99, "epsilon": 1e-4},
    "adamw": {"learning_rate": 0.01, "beta1": 0.8, "beta2": 0.99, "epsilon": 1e-4, "weight_decay": 0.1},
    "nadam": {"learning_rate": 0.01, "beta1": 0.8, "beta2": 0.99, "epsilon": 1e-4},
    "rmsprop": {"learning_rate": 0.01, "decay": 0.8, "epsilon": 1e-4},
    "adagrad": {"learning_rate": 0.05, "epsilon": 1e-3},
    "lion": {"learning_rate": 0.003, "beta1": 0.8, "beta2": 0.95, "weight_decay": 0.1},
    "nesterov": {"learning_rate": 0.05, "momentum": 0.8, "weight_decay": 0.01},
    "adamax": {"learning_rate": 0.01, "beta1": 0.8, "beta2": 0.99, "epsilon": 1e-4},
    "radam": {"learning_rate": 0.01, "beta1": 0.8, "beta2": 0.99, "epsilon": 1e-4},
    "amsgrad": {"learning_rate": 0.01, "beta1": 0.8, "beta2": 0.9, "epsilon": 1e-4},
    "adadelta": {"learning_rate": 1.0, "decay": 0.8, "epsilon": 1e-4},
    "yogi": {"learning_rate": 0.01, "beta1": 0.8, "beta2": 0.99, "epsilon": 1e-2},
    "lamb": {"learning_rate": 0.01, "beta1": 0.8, "beta2": 0.99, "epsilon": 1e-4, "weight_decay": 0.1},
    "muon": {
        "learning_rate": 0.01, "momentum": 0.8, "beta1": 0.8, "beta2": 0.99, "epsilon": 1e-6, "weight_decay": 0.1,
    },
    "schedule_free_adamw": {
        "learning_rate": 0.01, "beta1": 0.8, "beta2": 0.99, "epsilon": 1e-4, "weight_decay": 0.1,
    },
    "sam": {"learning_rate": 0.05, "momentum": 0.8, "rho": 0.1, "weight_decay": 0.01},
    "lbfgs": {"memory_size": 4},
}  # fmt: skip


def adam_of(make: Callable[..., Any]) -> Callable[[dict[str, float]], Any]:
    return lambda n: make(n["learning_rate"], b1=n["beta1"], b2=n["beta2"], eps=n["epsilon"])


def decayed_sgd(n: dict[str, float], nesterov: bool = False) -> Any:
    sgd = optax.sgd(n["learning_rate"], momentum=n["momentum"], nesterov=nesterov)
    return optax.chain(optax.add_decayed_weights(n["weight_decay"]), sgd)


def sam(n: dict[str, float]) -> Any:
    ascent = optax.chain(optax.contrib.normalize(), optax.sgd(n["rho"]))
    return optax.contrib.sam(decayed_sgd(n), ascent, opaque_mode=True)


REFERENCES: dict[str, Callable[[dict[str, float]], Any]] = {
    "sgd": decayed_sgd,
    "adam": adam_of(optax.adam),
    "adamw": lambda n: adam_of(partial(optax.adamw, weight_decay=n["weight_decay"]))(n),
    "nadam": adam_of(optax.nadam),
    "rmsprop": lambda n: optax.rmsprop(n["learning_rate"], n["decay"], n["epsilon"]),
    "adagrad": lambda n: optax.adagrad(n["learning_rate"], eps=n["epsilon"]),
    "lion": lambda n: optax.lion(n["learning_rate"], n["beta1"], n["beta2"], weight_decay=n["weight_decay"]),
    "nesterov": partial(decayed_sgd, nesterov=True),
    "adamax": adam_of(optax.adamax),
    "radam": adam_of(optax.radam),
    "amsgrad": adam_of(optax.amsgrad),
    "adadelta": lambda n: optax.adadelta(n["learning_rate"], n["decay"], n["epsilon"]),
    "yogi": adam_of(optax.yogi),
    "lamb": lambda n: adam_of(partial(optax.lamb, weight_decay=n["weight_decay"]))(n),
    "muon": lambda n: optax.contrib.muon(
        n["learning_rate"], beta=n["momentum"], eps=n["epsilon"], adam_b1=n["beta1"], adam_b2=n["beta2"],
        weight_decay=n["weight_decay"], adam_weight_decay=n["weight_decay"],
    ),
    "schedule_free_adamw": lambda n: adam_of(
        partial(optax.contrib.schedule_free_adamw, weight_decay=n["weight_decay"])
    )(n),
    "sam": sam,
    "lbfgs": lambda n: optax.lbfgs(memory_size=int(n["memory_size"])),
}  # fmt: skip


# A network of four neurons on eight points; ours has two dead neurons beside them, for optimisers that allow it.
RNG = np.random.default_rng(6)
INPUTS, TARGET = np.linspace(-1, 1, 8), np.sin(3 * np.linspace(-1, 1, 8))
SMALL = {
    "hidden": {"kernel": RNG.normal(size=(1, 4)), "bias": RNG.normal(size=4)},
    "last": {"kernel": RNG.normal(size=(4, 1)), "bias": np.zeros(1)},
}


def padded(tree: Any) -> Any:
    hidden, last = tree["hidden"], tree["last"]
    return {
        "hidden": {"kernel": jnp.pad(hidden["kernel"], ((0, 0), (0, 2))), "bias": jnp.pad(hidden["bias"], (0, 2))},
        "last": {"kernel": jnp.pad(last["kernel"], ((0, 2), (0, 0))), "bias": last["bias"]},
    }


def objective(tree: Any) -> jax.Array:
    hidden = jnp.tanh(INPUTS[:, None] * tree["hidden"]["kernel"] + tree["hidden"]["bias"])
    alive = jnp.arange(hidden.shape[1]) < 4
    return jnp.mean(
        (jnp.where(alive, hidden, 0) @ tree["last"]["kernel"] + tree["last"]["bias"] - TARGET[:, None]) ** 2
    )


def rule_for(spec: Optimizer, numbers: dict[str, Any]) -> rules.Rule:
    own = {name: jnp.asarray(spec.knob_value(name)) for name in spec.applicable() if spec.own_knobs()[name].traced}
    by_layer = lambda tree: list(tree.values())  # noqa: E731
    return rules.rule_of(spec, len(GRADIENTS), own | numbers, np.dtype("float64"), by_layer)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_optimiser_is_the_plain_loop_of_optax(name):
    numbers, method = NUMBERS[name], OPTIMIZERS[name]
    assert {*numbers, "learning_rate"} >= method.numbers.keys(), "every number has another value than its default"
    spec = Optimizer(name, memory_size=4) if name == "lbfgs" else Optimizer(name)

    @jax.jit
    def walk(start: Any, numbers: dict[str, jax.Array]) -> Any:
        rule, theirs = rule_for(spec, numbers), optax.with_extra_args_support(REFERENCES[name](NUMBERS[name]))

        def step(at: Any, _: None) -> Any:
            (tree, state), (plain, of_plain) = at
            loss, gradient = jax.value_and_grad(objective)(tree)
            updates, new = rule.update(gradient, state, tree, loss, objective)
            value, grad = jax.value_and_grad(objective)(plain)
            more: Any = {"value": value, "grad": grad, "value_fn": objective}
            if name == "sam":
                more = {"grad_fn": lambda at, _: jax.grad(objective)(at)}
            moves, new_plain = theirs.update(grad, of_plain, plain, **more)
            of_theirs = plain
            if name == "schedule_free_adamw":
                of_theirs = optax.contrib.schedule_free_eval_params(of_plain, plain)
            shown = objective(rules.measured(state, tree)), objective(of_theirs)
            return ((jax.tree.map(jnp.add, tree, updates), new), (optax.apply_updates(plain, moves), new_plain)), shown

        ours = padded(start) if method.can_be_padded else start
        begun = (ours, rule.init(ours)), (start, theirs.init(start))
        ((last, _), _), shown = jax.lax.scan(step, begun, None, length=STEPS + 1)
        return last, shown

    with jax.enable_x64(True):
        traced = {name: jnp.float64(value) for name, value in numbers.items() if name != "memory_size"}
        last, (ours, theirs) = jax.tree.map(np.asarray, walk(SMALL, traced))
    assert ours[-1] < 0.99 * ours[0]
    np.testing.assert_allclose(ours, theirs, rtol=1e-9)
    dead = [last["hidden"]["kernel"][:, 4:], last["hidden"]["bias"][4:], last["last"]["kernel"][4:]]
    assert not any(each.any() for each in dead)


def test_lbfgs_finds_the_minimum_of_rosenbrocks_function():
    def rosenbrock(tree: Any) -> jax.Array:
        x = jnp.concatenate([tree["a"], tree["b"][:, 0]])
        return jnp.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2)

    @jax.jit
    def walk(start: Any) -> Any:
        rule = rule_for(Optimizer("lbfgs"), {})

        def step(at: Any, _: None) -> Any:
            tree, state = at
            loss, gradient = jax.value_and_grad(rosenbrock)(tree)
            updates, state = rule.update(gradient, state, tree, loss, rosenbrock)
            return (jax.tree.map(jnp.add, tree, updates), state), loss

        return jax.lax.scan(step, (start, rule.init(start)), None, length=60)

    with jax.enable_x64(True):
        (found, _), losses = jax.tree.map(np.asarray, walk({"a": np.zeros(3), "b": np.zeros((2, 1))}))
    np.testing.assert_allclose([*found["a"], *found["b"][:, 0]], 1.0, atol=1e-8)
    assert losses[-1] < 1e-16


# ---------------------------------------------------------------------------------------------------------
# Options, on two arrays and given gradients, against NumPy.

START = {"a": {"w": RNG.normal(size=(3, 2)), "b": RNG.normal(size=2)}, "c": {"w": RNG.normal(size=(2, 1))}}
GRADIENTS = [jax.tree.map(lambda leaf: RNG.normal(size=leaf.shape), START) for _ in range(6)]
LEAVES = (("a", "w"), ("a", "b"), ("c", "w"))


def walked(spec: Optimizer, **numbers: float) -> tuple[list[Any], Any]:
    """Take a step for each gradient; return the parameters before each and at last, and the last average."""
    with jax.enable_x64(True):
        traced = {name: jnp.float64(value) for name, value in numbers.items()}
        found, average = jax.tree.map(np.asarray, walker(spec)(traced))
    return [START, *(jax.tree.map(itemgetter(at), found) for at in range(len(GRADIENTS)))], average


@cache
def walker(spec: Optimizer) -> Callable[[dict[str, jax.Array]], Any]:
    """Compile such a walk, of which the numbers are traced."""

    @jax.jit
    def walk(numbers: dict[str, jax.Array]) -> Any:
        rule = rule_for(spec, numbers)

        def step(at: Any, gradient: Any) -> Any:
            parameters, state = at
            updates, state = rule.update(gradient, state, parameters, jnp.zeros(()), lambda _: jnp.zeros(()))
            parameters = jax.tree.map(jnp.add, parameters, updates)
            return (parameters, state), parameters

        start = jax.tree.map(jnp.asarray, START)
        stacked = jax.tree.map(lambda *each: jnp.stack(each), *GRADIENTS)
        (_, state), found = jax.lax.scan(step, (start, rule.init(start)), stacked)
        return found, rules.average_of(state)

    return walk


def assert_walk(found: list[Any], rule: Callable[..., Any]) -> None:
    """Compare with `rule(leaf, gradient, parameter, memory, step)` for each leaf in NumPy."""
    for layer, name in LEAVES:
        parameter, memory = START[layer][name], {}
        for step, gradient in enumerate(GRADIENTS):
            np.testing.assert_allclose(found[step][layer][name], parameter, rtol=1e-12, atol=1e-14)
            parameter = rule((layer, name), gradient[layer][name], parameter, memory, step)
        np.testing.assert_allclose(found[-1][layer][name], parameter, rtol=1e-12, atol=1e-14)


def adam_step(g: Any, memory: dict[str, Any], step: int) -> Any:
    memory["m"] = 0.9 * memory.get("m", 0) + 0.1 * g
    memory["v"] = 0.999 * memory.get("v", 0) + 0.001 * g**2
    return memory["m"] / (1 - 0.9 ** (step + 1)) / (np.sqrt(memory["v"] / (1 - 0.999 ** (step + 1))) + 1e-8)


def norm_of(gradient: Any) -> float:
    return float(np.sqrt(sum(np.sum(gradient[layer][name] ** 2) for layer, name in LEAVES)))


def test_clipping_is_by_the_norm_of_all_arrays_and_comes_before_decay():
    bound = float(np.median([norm_of(gradient) for gradient in GRADIENTS]))

    def rule(leaf, g, p, memory, step):
        g = g * min(1.0, bound / norm_of(GRADIENTS[step]))
        return p - 0.1 * (g + 0.2 * p)

    spec = Optimizer("sgd", learning_rate=0.1, weight_decay=0.2, clip_norm=1.0)
    assert_walk(walked(spec, clip_norm=bound)[0], rule)


@pytest.mark.parametrize("biases", [True, False])
def test_decay_is_coupled_or_decoupled_with_any_optimiser(biases):
    spec = Optimizer("adam", learning_rate=0.1, coupled_decay=0.3, decoupled_decay=0.2, decay_biases=biases)

    def rule(leaf, g, p, memory, step):
        on = biases or leaf[1] == "w"
        # torch.optim.Adam with weight_decay 0.3 adds it to the gradient; torch.optim.AdamW shrinks p by rate * decay.
        return p - 0.1 * adam_step(g + 0.3 * on * p, memory, step) - 0.1 * 0.2 * on * p

    assert_walk(walked(spec)[0], rule)


DECAYING = [name for name, each in OPTIMIZERS.items() if "weight_decay" in each.numbers]


@pytest.mark.parametrize(
    "name", [name if name in ("adamw", "muon") else pytest.param(name, marks=pytest.mark.slow) for name in DECAYING]
)
def test_biases_do_not_decay_unless_asked_to(name):
    def last(biases: bool, decay: float) -> Any:
        return walked(Optimizer(name, weight_decay=0.1, decay_biases=biases), weight_decay=decay)[0][-1]

    without, kept, all_ = last(True, 0.0), last(False, 0.5), last(True, 0.5)
    np.testing.assert_allclose(kept["a"]["b"], without["a"]["b"], rtol=1e-12)
    np.testing.assert_allclose(kept["a"]["w"], all_["a"]["w"], rtol=1e-12)
    assert (kept["a"]["w"] != without["a"]["w"]).all()
    assert (kept["a"]["b"] != all_["a"]["b"]).all()


def test_nesterovs_momentum_is_that_of_pytorch():
    # torch.optim.SGD(nesterov=True): b <- momentum b + g, p <- p - rate (g + momentum b).
    def rule(leaf, g, p, memory, step):
        g = g + 0.2 * p
        memory["b"] = 0.8 * memory.get("b", 0) + g
        return p - 0.1 * (g + 0.8 * memory["b"])

    assert_walk(walked(Optimizer("nesterov", learning_rate=0.1, momentum=0.8, weight_decay=0.2))[0], rule)


def test_each_layer_has_its_rate():
    spec = Optimizer("adam", learning_rate=0.1, decoupled_decay=0.2, layer_rates=(0.5, 3))

    def rule(leaf, g, p, memory, step):
        rate = 0.1 * {"a": 0.25, "c": 3}[leaf[0]]
        return p - rate * (adam_step(g, memory, step) + 0.2 * p)

    assert_walk(walked(spec, layer_rates_0=0.25)[0], rule)


def test_gradients_accumulate_over_steps():
    def rule(leaf, g, p, memory, step):
        memory.setdefault("gs", []).append(g)
        if step % 3 != 2:
            return p
        return p - 0.1 * (1 - step // 3 / 2) * adam_step(np.mean(memory.pop("gs"), 0), memory, step // 3)

    # The schedule is over the two steps that are taken.
    spec = Optimizer("adam", learning_rate=0.1, accumulate=3, schedule="linear")
    assert_walk(walked(spec)[0], rule)


def test_the_average_is_of_the_parameters_after_each_step():
    found, average = walked(Optimizer("sgd", learning_rate=0.1, average=0.5), average=0.7)
    expected = START["a"]["w"]
    for parameters in found[1:]:
        expected = 0.7 * expected + 0.3 * parameters["a"]["w"]
    np.testing.assert_allclose(average["a"]["w"], expected, rtol=1e-12)
    assert_walk(found, lambda leaf, g, p, memory, step: p - 0.1 * g)


# ---------------------------------------------------------------------------------------------------------
# Lanes that are lost, and resumed.

TAME, WILD, OTHER = 0.5, 1e200, 0.7
OPTIONS = {"clip_norm": 1.0, "accumulate": 2, "coupled_decay": 0.01, "decoupled_decay": 0.1, "warmup": 0.2}
KINDS = {name: {} for name in NUMBERS} | {"rmsprop": OPTIONS}
FEW = ("lion", "rmsprop", "lbfgs")


def of_kinds(names: tuple[str, ...], factors: tuple[float, ...]) -> Experiment:
    """Make a page of optimisers with `NUMBERS`, with a lane for each factor on their learning rates.

    For an optimiser without learning rate the factor is that on its initial weights.
    """
    parts = []
    for optimizer in names:
        numbers = NUMBERS[optimizer] | KINDS[optimizer]
        fixed: Any = {name: (value,) for name, value in numbers.items() if name != "learning_rate"}
        rate = numbers.get("learning_rate")
        swept: Any = {"initial_scale": factors} if rate is None else {"learning_rate": tuple(rate * f for f in factors)}
        parts.append(grid(optimizer=(optimizer,), **fixed, **swept))
    return tiny(
        axes=reduce(add, parts), model=MLP(width=4, depth=1, bias_initializer="normal"), epochs=STEPS,
        precision="float64", record=Record(metrics=("loss",), at=every(1), snapshots=0), optimizer=Optimizer("sgd"),
    )  # fmt: skip


@pytest.fixture(scope="module", params=[FEW, pytest.param(tuple(OPTIMIZERS), marks=pytest.mark.slow)], ids=len)
def wild(request) -> tuple[Any, Any, list[Life]]:
    plan = make_plan(of_kinds(request.param, (TAME, WILD)))
    assert len(plan.programs) == 1  # one compilation
    return request.param, plan, lives(plan)


def test_a_lost_lane_changes_no_bit_of_another_whatever_the_optimiser(wild):
    names, _, found = wild
    calm = run_lanes(of_kinds(names, (TAME, OTHER)))
    for name, one, other in zip(names, found[::2], calm[::2], strict=True):
        assert one.first_bad_step == NEVER, name
        assert one.curves["loss"][-1] < one.curves["loss"][0], name
        assert_bitwise(one, other)
    assert all(life.first_bad_step != NEVER for life in found[1::2])


def test_a_lost_lane_has_the_date_of_its_step_whatever_the_optimiser(wild, monkeypatch):
    """Whether whole segments are tried or every step is."""
    _, plan, whole = wild
    monkeypatch.setattr(walk, "SEGMENT_SECONDS", 1e-12)  # a step each
    for one, other in zip(whole, lives(plan), strict=True):
        assert_bitwise(one, other)


def test_a_sweep_of_several_optimisers_resumes_with_the_same_bits(wild):
    _, plan, whole = wild
    saved = next(piece.position() for piece in walk_waves(plan) if piece.record == 7)
    for one, other in zip(whole, lives(plan, resume=saved), strict=True):
        assert one.curves["loss"][8:].tobytes() == other.curves["loss"].tobytes()


# ---------------------------------------------------------------------------------------------------------
# Rules of a page's own.


def own_adam(learning_rate, beta1, beta2, epsilon, form):
    return {"adam": optax.adam, "nadam": optax.nadam}[form](learning_rate, beta1, beta2, epsilon)


def test_a_transformation_of_the_page_is_swept_like_one_with_a_name():
    numbers: dict[str, Any] = {"learning_rate": (0.01, 0.03), "beta1": (0.5, 0.9)}
    shared: dict[str, Any] = {"epochs": 30, "precision": "float64", "model": MLP(depth=0)}
    rule = FromOptax(own_adam, learning_rate=1.0, beta1=0.0, beta2=0.999, epsilon=1e-8, form="nadam")
    forms = make_plan(tiny(optimizer=rule, axes=grid(form=("adam", "nadam"), **numbers), **shared))
    assert [len(each.blocks) for each in forms.programs] == [2]  # numbers are traced, the text is a structure
    own = run_lanes(tiny(optimizer=rule, axes=grid(**numbers), **shared))
    named = run_lanes(tiny(optimizer=Optimizer("nadam"), axes=grid(**numbers), **shared))
    for one, other in zip(own, named, strict=True):
        assert one.curves["loss"].tobytes() == other.curves["loss"].tobytes()


def masked(rate):
    return optax.adamw(rate, weight_decay=0.1, mask=lambda tree: jax.tree.map(lambda leaf: leaf.ndim > 1, tree))


def by_name(rate):
    return optax.partition(
        {"a": optax.sgd(rate), "b": optax.adam(rate)},
        lambda tree: {"a": "a", "c": "b"} if isinstance(tree, dict) else "a",
    )


@pytest.mark.parametrize(
    ("build", "alike"),
    [
        (optax.adam, True),
        (lambda rate: optax.sgd(rate, momentum=0.9, nesterov=True), True),
        (lambda rate: optax.adamw(optax.cosine_decay_schedule(rate, 9), weight_decay=0.1), True),
        (optax.lion, True),
        (lambda rate: optax.chain(optax.clip(1.0), optax.rmsprop(rate, momentum=0.9)), True),
        (optax.nadam, True),
        (lambda rate: optax.chain(optax.zero_nans(), optax.sgd(rate)), False),  # it counts what it finds in each array
        (lambda rate: optax.chain(optax.clip_by_global_norm(1.0), optax.sgd(rate)), False),
        (masked, False),
        (by_name, False),
        (optax.lamb, False),
        (optax.contrib.muon, False),
        (optax.adafactor, False),
        (optax.lbfgs, False),
        (optax.polyak_sgd, False),
        (lambda rate: optax.chain(optax.sgd(rate), optax.add_noise(0.1, 0.5, key=0)), False),
        (lambda rate: optax.chain(optax.centralize(), optax.sgd(rate)), False),
        (lambda rate: optax.scale(jnp.arange(2.0)), False),
        (lambda rate: optax.stateless(lambda updates, _: jax.tree.map(lambda leaf: leaf[::-1], updates)), False),
    ],
)
def test_a_transformation_sees_a_vector_only_where_each_entry_is_treated_alike(build, alike):
    @jax.jit
    def ask(rate: jax.Array) -> jax.Array:
        made = build(rate)
        return jnp.bool_(is_elementwise(made.init, lambda g, s, p: made.update(g, s, p), START))

    assert bool(ask(jnp.float32(0.1))) == alike


def test_a_transformation_that_takes_entries_of_another_array_sees_no_vector():
    def swap(gradient, state, parameters=None):
        return ({"x": gradient["y"], "y": gradient["x"]} if isinstance(gradient, dict) else gradient), state

    def centre(gradient, state, parameters=None):
        return jax.tree.map(lambda leaf: leaf - leaf.sum(), gradient), state

    for update in (swap, centre):
        assert not is_elementwise(lambda _: (), update, {"x": np.zeros(2), "y": np.zeros(2)})
    assert is_elementwise(lambda _: (), lambda gradient, state, _: (gradient, state), {"x": np.zeros(2)})


def several(which, learning_rate):
    return {
        "lbfgs": lambda: optax.lbfgs(memory_size=4),
        "sam": lambda: sam(NUMBERS["sam"] | {"learning_rate": learning_rate}),
        "polyak": lambda: optax.polyak_sgd(),
        "free": lambda: optax.contrib.schedule_free_adamw(learning_rate),
        "line": lambda: optax.chain(optax.sgd(learning_rate), optax.scale_by_backtracking_linesearch(10)),
        "noisy": lambda: optax.chain(optax.add_noise(0.01, 0.5, key=3), optax.sgd(learning_rate)),
        "zoom": lambda: optax.chain(optax.sgd(learning_rate), optax.scale_by_zoom_linesearch(10)),
    }[which]()


def test_a_transformation_gets_value_gradient_and_value_function():
    """Optax's SAM, the schedule-free form, Polyak's step, a line search, and noise with a key."""

    @jax.jit
    def walk(start: Any) -> Any:
        def run(which: str) -> jax.Array:
            spec = FromOptax(several, which=which, learning_rate=0.05)
            own = {"learning_rate": jnp.float64(0.05)}
            rule = rules.rule_of(spec, STEPS, own, np.dtype("float64"), lambda tree: [tree])

            def step(at: Any, _: None) -> Any:
                tree, state = at
                loss, gradient = jax.value_and_grad(objective)(tree)
                updates, new = rule.update(gradient, state, tree, loss, objective)
                return (jax.tree.map(jnp.add, tree, updates), new), objective(rules.measured(state, tree))

            return jax.lax.scan(step, (start, rule.init(start)), None, length=STEPS)[1]

        return {which: run(which) for which in ("sam", "free", "polyak", "line", "noisy")}

    with jax.enable_x64(True):
        found = jax.tree.map(np.asarray, walk(SMALL))
    for losses in found.values():
        assert losses[-1] < 0.9 * losses[0]


@pytest.mark.slow
def test_transformations_that_are_given_more_are_trained_in_a_sweep():
    kinds = ("lbfgs", "sam", "polyak", "free", "line", "noisy", "zoom")
    shared: dict[str, Any] = {"epochs": 10, "precision": "float64", "model": MLP(width=4, depth=1)}
    found = run_lanes(
        tiny(optimizer=FromOptax(several, which="sam", learning_rate=0.05), axes=grid(which=kinds), **shared)
    )
    for life in found:
        assert life.curves["loss"][-1] < life.curves["loss"][0]
    axes = grid(optimizer=("lbfgs",), memory_size=(4,)) + grid(
        optimizer=("sam",), **{name: (value,) for name, value in NUMBERS["sam"].items()}
    )
    axes = axes + grid(optimizer=("schedule_free_adamw",), learning_rate=(0.05,))
    named = run_lanes(tiny(optimizer=Optimizer("sgd"), axes=axes, **shared))
    for kind, other in zip(("lbfgs", "sam", "free"), named, strict=True):
        np.testing.assert_allclose(found[kinds.index(kind)].curves["loss"], other.curves["loss"], rtol=1e-9)


def test_what_a_transformation_makes_of_values_that_are_not_finite_dates_no_failure_later(monkeypatch):
    """It drops them: the loss is finite again at the next step, and still the lane is lost at the step at which not."""

    def build(learning_rate):
        def init(parameters):
            return jnp.int32(0)

        def update(gradient, count, parameters=None):
            jump = jnp.where(count == 4, learning_rate, -0.01)  # away, then back again
            back = jnp.where(count == 5, -learning_rate, 0)
            clean = jax.tree.map(lambda g: jnp.where(jnp.isfinite(g), g, 0), gradient)
            return jax.tree.map(lambda g: jump * jnp.where(count == 4, 1, g) + back, clean), count + 1

        return optax.GradientTransformation(init, update)

    page = tiny(
        optimizer=FromOptax(build, learning_rate=1.0), axes=grid(learning_rate=(1.0, 1e200, 1e308, 0.5)),
        precision="float64", model=MLP(width=4, depth=1), record=Record(metrics=("loss",), at=every(12), snapshots=0),
    )  # fmt: skip
    plan = make_plan(page)
    whole = lives(plan)
    assert [life.first_bad_step for life in whole] == [NEVER, 5, 5, NEVER]
    monkeypatch.setattr(walk, "SEGMENT_SECONDS", 1e-12)
    for one, other in zip(whole, lives(plan), strict=True):
        assert_bitwise(one, other)


def broken(_):
    raise ValueError("no such thing")


def returning(update: Callable[..., Any]) -> Callable[..., Any]:
    return lambda learning_rate: optax.GradientTransformation(lambda _: jnp.zeros(2), update)


def growing(gradient, state, parameters=None):
    return gradient, jnp.concatenate([state, state])


def half(gradient, state, parameters=None):
    return jax.tree.map(lambda g: g[:1], gradient), state


REFUSALS: dict[str, Callable[..., Any]] = {
    "the optimiser of 'build' raised ValueError: no such thing": lambda learning_rate: broken(learning_rate),
    "the optimiser of 'build' must be an optax.GradientTransformation, got a float: return one": lambda learning_rate: (
        0.5
    ),
    "the optimiser of 'build' returned a new state unlike before: it is float32[4], it must be float32[2]": (
        returning(growing)
    ),
    r"the optimiser of 'build' returned updates of the parameters unlike before: ['layer_0']['bias'] is float32[1], it "
    "must be float32[6]": returning(half),
}


@pytest.mark.parametrize("message", REFUSALS)
def test_an_error_of_a_page_s_rule_is_one_line(message):
    def build(learning_rate):
        return REFUSALS[message](learning_rate)

    with pytest.raises(SweepError) as caught:
        run_lanes(tiny(optimizer=FromOptax(build, learning_rate=1.0)))
    assert str(caught.value).startswith(message)


# ---------------------------------------------------------------------------------------------------------
# Blocks, and averages in a page.


def test_lanes_with_an_option_have_a_block_and_those_without_theirs():
    axes = grid(learning_rate=(0.01,), clip_norm=(0.1, 1.0)) + grid(learning_rate=(0.01, 0.02))
    plan = make_plan(tiny(axes=axes, epochs=3))
    assert [block.training.shape.optimizer.clip_norm for block in plan.programs[0].blocks] == [1.0, None]
    assert [members.tolist() for members in plan.programs[0].members] == [[0, 1], [2, 3]]


def test_a_network_is_not_padded_for_an_optimiser_to_which_sizes_matter(monkeypatch):
    monkeypatch.setattr(blocks, "MAX_BLOCKS", 1)
    monkeypatch.setattr(blocks, "PADDING", (16.0,))
    for name, shared in (("adam", 1), ("lamb", 1), ("muon", 2), ("yogi", 2)):
        page = tiny(optimizer=Optimizer(name), axes=grid(width=(4, 8)))
        found = blocks._group([blocks._Structure(v, blocks.shape_of(v.page)) for v in resolve(page).variants], (), 16.0)
        assert len(found) == shared, name


def test_an_average_is_recorded_beside_the_loss():
    page = tiny(
        model=MLP(depth=0), optimizer=Optimizer("sgd", learning_rate=0.1, average=0.5), axes=grid(average=(0.0, 0.9)),
        precision="float64",
        record=Record(metrics=None, at=every(1), snapshots=0),
    )  # fmt: skip
    current, slow = run_lanes(page)
    np.testing.assert_allclose(current.curves["average_loss"], current.curves["loss"], rtol=1e-12)
    assert current.curves["loss"].tobytes() == slow.curves["loss"].tobytes()
    assert (slow.curves["average_loss"][2:] > slow.curves["loss"][2:]).all()
    assert "average_loss" not in tiny(record=Record(metrics=None)).metrics()
