"""The fused training kernel: step by step the numbers of the engine, and of optax in float64.

On the CPU it is interpreted. Where JAX has a GPU (`JAX_PLATFORMS=cuda`) the same tests run the kernel itself.
"""

from functools import cache, partial
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import make_plan, tiny
from jax.flatten_util import ravel_pytree

from benchmarks.fused_kernel import RULES, Kernel, Lanes, begin, lower_for_h100, train_lanes
from benchmarks.fused_timing import TOLERANCE as LOSS_TOLERANCE
from benchmarks.fused_timing import measure, table
from sweep.engine import program as programs
from sweep.engine.plan import Plan
from sweep.engine.prepare import settings_of
from sweep.page.axes import grid
from sweep.specs import MLP, Optimizer, SumOfSines

INTERPRET = jax.default_backend() != "gpu"
STEPS = 20
SIZES = (1, 64, 64, 64, 1)
TOLERANCE = 1e-6  # of one step, as a share of the largest parameter
FUNCTIONS: dict[str, Any] = {"tanh": jnp.tanh, "relu": jax.nn.relu, "sine": jnp.sin}
RATES = {"sgd": (0.003, 0.01, 0.03), "adam": (0.0003, 0.001, 0.003)}


def error(ours: Any, theirs: Any) -> float:
    """Give the largest difference of parameters, as a share of the largest one."""
    pairs = list(zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True))
    largest = max(float(np.max(np.abs(other))) for _, other in pairs)
    return max(float(np.max(np.abs(np.asarray(one, float) - np.asarray(other)))) for one, other in pairs) / largest


def rule_of(optimizer: str) -> optax.GradientTransformation:
    return optax.scale_by_adam(np.float32(0.9), np.float32(0.999)) if optimizer == "adam" else optax.identity()


@partial(jax.jit, static_argnames=("optimizer", "activation"))
def one_step(lanes: Any, inputs: Any, targets: Any, rates: Any, optimizer: str, activation: str) -> Any:
    """Take one step by automatic differentiation and optax, in the precision of its arguments."""

    def loss(parameters: Any, target: Any) -> Any:
        h = inputs.T
        for layer in range(len(parameters) - 1):
            h = FUNCTIONS[activation](h @ parameters[f"layer_{layer}"]["kernel"] + parameters[f"layer_{layer}"]["bias"])
        end = parameters[f"layer_{len(parameters) - 1}"]
        return jnp.mean(((h @ end["kernel"] + end["bias"])[:, 0] - target) ** 2)

    def step(parameters: Any, moments: Any, target: Any, rate: Any) -> Any:
        state = optax.ScaleByAdamState(lanes.step, *moments) if moments else optax.EmptyState()
        updates, _ = rule_of(optimizer).update(jax.grad(loss)(parameters, target), state, parameters)
        return jax.tree.map(lambda value, update: value - rate * update, parameters, updates)

    return jax.vmap(step)(lanes.parameters, lanes.moments, targets, rates)


def exact_step(lanes: Lanes, inputs: Any, targets: Any, rates: Any, optimizer: str, activation: str) -> Any:
    """Take one step in float64 from float32 values."""
    with jax.enable_x64(True):
        double = partial(jax.tree.map, lambda leaf: jnp.asarray(np.asarray(leaf), jnp.float64))
        exact = Lanes(double(lanes.parameters), double(lanes.moments), jnp.asarray(np.asarray(lanes.step)))
        found = one_step(exact, *double((inputs, targets, np.float32(rates))), optimizer, activation)
        return jax.tree.map(np.asarray, found)


def drawn(sizes: tuple[int, ...], lanes: int) -> Any:
    """Draw weights and biases of layers of these sizes."""
    rng = np.random.default_rng(0)
    return {
        f"layer_{at}": {
            "kernel": rng.normal(size=(lanes, ins, outs)).astype(np.float32) / np.float32(ins**0.5),
            "bias": rng.normal(size=(lanes, outs)).astype(np.float32),
        }
        for at, (ins, outs) in enumerate(pairwise(sizes))
    }


def plan_of(width: int, optimizer: str) -> Plan:
    """Plan three lanes that differ in all that may differ inside a launch."""
    return make_plan(
        tiny(
            task=SumOfSines(frequencies=(1, 2, 3), phases="random", points=128),
            model=MLP(width=width, depth=3),
            optimizer=Optimizer(optimizer),
            axes=grid(seed=range(3)) * grid(learning_rate=RATES[optimizer]),
            epochs=STEPS,
        )
    )


@cache
def walked(width: int, optimizer: str) -> tuple[list[Lanes], np.ndarray, np.ndarray, np.ndarray]:
    """Take the engine's own steps; give what each begins and ends with, inputs, targets and learning rates."""
    plan = plan_of(width, optimizer)
    (program,) = plan.programs
    (block,), (numbers,) = program.blocks, program.numbers
    typed = {name: jnp.asarray(v, programs.number_dtype(name, block.training)) for name, v in numbers.items()}
    with settings_of(plan):
        lanes, data = jax.jit(jax.vmap(partial(programs.begin, block)))(typed)
        step = jax.jit(jax.vmap(block.training.step, in_axes=(0, 0, None, 0, None)))
        states = [lanes.state]
        for at in range(STEPS):
            states.append(step(states[-1], data, (), typed, jnp.int32(at))[0])
    found = [lanes_of(state, at) for at, state in enumerate(states)]
    return found, np.asarray(data.inputs[0]), np.asarray(data.target), np.asarray(typed["learning_rate"])


def lanes_of(state: Any, step: int) -> Lanes:
    """Take the parameters and the flat moments out of a state of the engine."""
    flat = [
        part
        for part in jax.tree.leaves(state.optimizer_state, is_leaf=lambda x: isinstance(x, optax.ScaleByAdamState))
        if isinstance(part, optax.ScaleByAdamState)
    ]
    one = jax.tree.map(lambda leaf: leaf[0], state.parameters)
    moments = [jax.vmap(ravel_pytree(one)[1])(vectors) for part in flat for vectors in (part.mu, part.nu)]
    return Lanes(state.parameters, tuple(moments), jnp.int32(step))


@pytest.mark.parametrize(
    ("width", "optimizer"),
    [
        (16, "sgd"),
        (16, "adam"),
        pytest.param(32, "sgd", marks=pytest.mark.slow),
        pytest.param(32, "adam", marks=pytest.mark.slow),
        pytest.param(64, "sgd", marks=pytest.mark.slow),
        pytest.param(64, "adam", marks=pytest.mark.slow),
    ],
)
def test_each_step_is_that_of_the_engine_and_of_optax_in_float64(width: int, optimizer: str) -> None:
    states, inputs, targets, rates = walked(width, optimizer)
    kernel = Kernel(optimizer, interpret=INTERPRET)
    for before, after in pairwise(states):
        ours = train_lanes(before, inputs, targets, rates, 1, kernel)
        exact = exact_step(before, inputs, targets, rates, optimizer, "tanh")
        assert error(ours.parameters, after.parameters) <= TOLERANCE
        assert error(ours.parameters, exact) <= TOLERANCE
        assert error(before.parameters, exact) > 100 * TOLERANCE  # a step is seen at all
        if optimizer == "adam":
            assert error(ours.moments, after.moments) <= TOLERANCE


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_many_steps_in_one_launch_are_as_many_launches_of_one(optimizer: str) -> None:
    states, inputs, targets, rates = walked(16, optimizer)
    kernel = Kernel(optimizer, interpret=INTERPRET)
    together = train_lanes(states[0], inputs, targets, rates, STEPS, kernel)
    alone = states[0]
    for _ in range(STEPS):
        alone = train_lanes(alone, inputs, targets, rates, 1, kernel)
    assert int(together.step) == STEPS
    for one, other in zip(jax.tree.leaves(together), jax.tree.leaves(alone), strict=True):
        np.testing.assert_array_equal(one, other)
    assert error(together.parameters, states[STEPS].parameters) <= STEPS * TOLERANCE


@pytest.mark.parametrize(
    ("activation", "depth"), [pytest.param("tanh", 1, marks=pytest.mark.slow), ("relu", 2), ("sine", 1)]
)
def test_other_sizes_are_padded_for_every_activation(activation: str, depth: int) -> None:
    """100 points, 24 neurons and 3 features, which Triton has no arrays of."""
    rng = np.random.default_rng(0)
    inputs = rng.uniform(-1, 1, (3, 100)).astype(np.float32)
    targets, rates = np.sin(3 * inputs[:2]), np.array([0.01, 0.03], np.float32)
    parameters = drawn((3, *(24,) * depth, 1), 2)
    before = begin(parameters, "adam")
    ours = train_lanes(before, inputs, targets, rates, 1, Kernel(activation=activation, points=16, interpret=INTERPRET))
    exact = exact_step(before, inputs, targets, rates, "adam", activation)
    assert jax.tree.map(np.shape, ours.parameters) == jax.tree.map(np.shape, parameters)
    assert error(ours.parameters, exact) <= TOLERANCE


@pytest.mark.parametrize("products", ["float32", "tf32x3"])
@pytest.mark.parametrize("optimizer", sorted(RULES))
def test_it_can_be_compiled_for_a_gpu_as_far_as_a_machine_without_one_can_tell(optimizer: str, products: str) -> None:
    """Pallas translates every operation to Triton's language, with its sizes checked, before a GPU is needed."""
    lowered = lower_for_h100(SIZES, 128, 8, Kernel(optimizer, products=products)).as_text()
    assert lowered.count("custom_call @__gpu$xla.gpu.triton") == 1
    assert "grid_x = 8 : i32" in lowered


@pytest.mark.parametrize(("products", "named"), [("float32", "Precision.HIGHEST"), ("tf32x3", "TF32_TF32_F32_X3")])
def test_every_product_states_its_precision(products: str, named: str) -> None:
    """Otherwise a GPU would shorten the factors, which no test on a CPU would notice."""
    lanes, inputs = begin(drawn(SIZES, 2), "adam"), np.zeros((1, 128), np.float32)
    kernel = Kernel(products=products)
    text = str(train_lanes.trace(lanes, inputs, np.zeros((2, 128), np.float32), np.ones(2), 1, kernel).jaxpr)
    assert text.count("dot_general[") == text.count(named) // (2 if products == "float32" else 1) == 6


@pytest.mark.slow
@pytest.mark.skipif(not INTERPRET, reason="on a GPU the command times everything")
def test_the_command_compares_all_sides_and_times_nothing_without_a_gpu() -> None:
    report = measure(60.0)
    assert [row["side"].split(",")[0] for row in report["rows"]] == ["plain", "sweep", "fused"]
    assert all(row["failed"] is None and row["difference"] <= LOSS_TOLERANCE for row in report["rows"])
    assert all(row["rate"] is None for row in report["rows"])
    lines = table(report)
    assert "nothing is timed" in lines[1]
    assert len(lines) == 3 + len(report["rows"])


def test_a_side_that_does_not_agree_has_no_ratio() -> None:
    row = {"width": 16, "lanes": 8, "flops": 6.69e6, "failed": None, "rate": 1e6, "difference": 0.0}
    rows = [
        row | {"side": "plain, float32"},
        row | {"side": "one", "rate": 3e6, "difference": LOSS_TOLERANCE},
        row | {"side": "other", "rate": 9e6, "difference": 2 * LOSS_TOLERANCE},
        row | {"side": "none", "failed": "RuntimeError: too many resources"},
    ]
    lines = table({"device": "NVIDIA H100 80GB HBM3", "jax": "0", "interpreted": False, "rows": rows})[2:]
    assert lines[0].split()[-3:] == ["1e+06", "1.00", "10%"]
    assert lines[1].split()[-3:] == ["3e+06", "3.00", "30%"]
    assert lines[2].endswith("differs")
    assert lines[3].endswith("too many resources")
