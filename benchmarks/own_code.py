"""Networks and trainings of one's own: `python -m benchmarks.own_code`, which `make bench-own-code` runs.

Each case is trained by `sweep` and by a `jit(vmap(train))` as one writes it by hand in the same framework, in turns in
one process: modules of Flax linen, Flax NNX and Equinox, four widths of them, a convolution, a GRU, a transformer
block, and a training that is no regression.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import tyro

from benchmarks import report
from benchmarks.compare import PLAIN, machine
from benchmarks.service import changed_environment, run_module
from sweep import (
    Data,
    Experiment,
    FromModule,
    FromTraining,
    Optimizer,
    Record,
    SumOfSines,
    grid,
    load,
    log_spaced,
    open_results,
)  # fmt: skip
from sweep.engine.plan import Devices, pack
from sweep.engine.prepare import prepare, settings_of
from sweep.engine.wave import WaveRunner
from sweep.page.resolve import resolve
from sweep.runs.devices import use_all_cores

RESULTS: Final = Path(__file__).parent / "own_code.json"
RECIPES: Final = Path(__file__).parents[1] / "experiments" / "recipes"
LANES, POINTS, REPEATS, RATE = 64, 128, 7, 1e-3
MIXED_GOAL: Final = 1.3  # of several widths; of all others it is 1
GROKKED: Final = 0.95  # accuracy in validation
WIDTHS: Final = (16, 32, 64, 128)  # of the mixed case, a quarter of the lanes each


class Side(NamedTuple):
    """One way to train the lanes of a case.

    Args:
        advance: takes so many steps more with all lanes.
        steps: of one measurement.
    """

    advance: Callable[[int], Any]
    steps: int


class Case(NamedTuple):
    """What both sides train.

    Args:
        page: makes the page.
        by_hand: makes one function for each block, which takes so many steps with its lanes.
        steps: of one measurement; with batches the whole ones of an epoch, for each of which both sides draw an order.
    """

    page: Callable[[], Experiment]
    by_hand: Callable[[], Sequence[Callable[[int], Any]]]
    steps: int


# ---------------------------------------------------------------------------------------------------------
# The same network in each framework: three hidden layers of tanh.


def of_linen(width):
    """Build it in Flax linen."""
    from flax import linen as nn

    layers = [layer for _ in range(3) for layer in (nn.Dense(width), nn.tanh)]
    return nn.Sequential([*layers, nn.Dense(1)])


def of_nnx(width, rngs):
    """Build it in Flax NNX."""
    from flax import nnx

    class Net(nnx.Module):
        def __init__(self):
            sizes = zip((1, width, width), (width, width, width), strict=True)
            self.hidden = nnx.List([nnx.Linear(a, b, rngs=rngs) for a, b in sizes])
            self.last = nnx.Linear(width, 1, rngs=rngs)

        def __call__(self, x):
            for layer in self.hidden:
                x = jnp.tanh(layer(x))
            return self.last(x)

    return Net()


def of_equinox(width, key):
    """Build it in Equinox."""
    import equinox as eqx

    return eqx.nn.MLP(1, 1, width, 3, activation=jnp.tanh, key=key)


# ---------------------------------------------------------------------------------------------------------
# By hand: for each framework the functions that its users write, and one training loop over them.

Network = tuple[Callable[..., Any], Callable[..., Any]]  # init(key), and apply(parameters, x)


def hand_linen(module: Any, x: Any) -> Network:
    """Give the functions of a linen module."""
    return lambda key: module.init(key, x[:1]), module.apply


def hand_nnx(width: int) -> Network:
    """Give the functions of the NNX network: split, and merged again in the step."""
    from flax import nnx

    def init(key: Any) -> Any:
        return nnx.split(of_nnx(width, nnx.Rngs(key)))[1]

    graph = nnx.split(of_nnx(width, nnx.Rngs(0)))[0]
    return init, lambda parameters, x: nnx.merge(graph, parameters)(x)


def hand_equinox(width: int) -> Network:
    """Give the functions of the Equinox network: partitioned, and combined again in the step."""
    import equinox as eqx

    static = eqx.partition(of_equinox(width, jax.random.key(0)), eqx.is_inexact_array)[1]

    def init(key: Any) -> Any:
        return eqx.filter(of_equinox(width, key), eqx.is_inexact_array)

    return init, lambda parameters, x: jax.vmap(eqx.combine(parameters, static))(x)


def train_by_hand(
    network: Network, rule: Any, loss: Callable[[Any, Any], Any], x: Any, y: Any, batch: int | None, lanes: int
) -> Callable[[int], Any]:
    """Write the training of one lane, jitted and mapped over lanes, and begin it; with batches an epoch at a time."""
    init, apply = network

    def objective(parameters: Any, x: Any, y: Any) -> Any:
        return loss(apply(parameters, x), y)

    def step(carry: Any, mine: Any) -> Any:
        parameters, state = carry
        gradient = jax.grad(objective)(parameters, *mine)
        updates, state = rule.update(gradient, state, parameters)
        return optax.apply_updates(parameters, updates), state

    def full_batch(carry: Any, _: Any, steps: Any) -> Any:
        return jax.lax.fori_loop(0, steps, lambda _, carry: step(carry, (x, y)), carry)

    def epoch(carry: Any, key: Any, steps: Any) -> Any:
        order, size = jax.random.permutation(key, len(x)), batch or len(x)

        def one(at: Any, carry: Any) -> Any:
            chosen = jax.lax.dynamic_slice(order, (at * size,), (size,))
            return step(carry, (x[chosen], y[chosen]))

        return jax.lax.fori_loop(0, steps, one, carry)

    keys = jax.random.split(jax.random.key(0), lanes)
    parameters = jax.vmap(init)(keys)
    carry = [parameters, jax.vmap(rule.init)(parameters)]
    run = jax.jit(jax.vmap(full_batch if batch is None else epoch, in_axes=(0, 0, None)))

    def advance(steps: int) -> None:
        carry[:] = jax.block_until_ready(run(tuple(carry), keys, steps))

    return advance


# ---------------------------------------------------------------------------------------------------------
# Cases.


def sines() -> tuple[Any, Any]:
    """Give points and targets of the regression."""
    x = jnp.linspace(-1, 1, POINTS)[:, None]
    return x, jnp.sin(np.pi * x)


def squared(made: Any, y: Any) -> Any:
    """Give the mean squared error."""
    return jnp.mean((made - y) ** 2)


def classes(made: Any, y: Any) -> Any:
    """Give the mean cross-entropy."""
    return optax.softmax_cross_entropy_with_integer_labels(made, y).mean()


def regression(build: Callable[..., Any], hand: Callable[[int], Network], widths: Sequence[int]) -> Case:
    """Make the case of a module that learns a sine, full batch."""
    axes = grid(seed=range(LANES // len(widths)), width=tuple(widths))

    def page() -> Experiment:
        return Experiment(
            question="?", task=SumOfSines(points=POINTS), model=FromModule(build), optimizer=Optimizer("adam", RATE),
            axes=axes, epochs=10**6, record=Record(metrics=("loss",), at=log_spaced(1), snapshots=0),
        )  # fmt: skip

    def by_hand() -> list[Callable[[int], Any]]:
        lanes = LANES // len(widths)
        return [train_by_hand(hand(width), optax.adam(RATE), squared, *sines(), None, lanes) for width in widths]

    return Case(page, by_hand, 100)


def recipe(name: str, steps: int) -> Case:
    """Make the case of a page of `experiments/recipes`, with 64 seeds of its own settings."""
    known = load(RECIPES / f"{name}.py")
    model, rule = known.model, optax.adam(RATE)
    assert isinstance(model, FromModule)
    batch = known.batch_size

    def page() -> Experiment:
        record = Record(metrics=("loss",), at=log_spaced(1), snapshots=0)
        return Experiment(
            question="?", task=known.task, model=model, optimizer=Optimizer("adam", RATE), loss=known.loss,
            axes=grid(seed=range(LANES)), epochs=10**5, batch_size=batch, record=record,
        )  # fmt: skip

    def by_hand() -> list[Callable[[int], Any]]:
        module = model.build(model.width, **model.numbers)
        if isinstance(known.task, Data):
            training = known.task.points
            x = jnp.asarray(known.task.inputs.array[:training], jnp.float32)
            y = jnp.asarray(known.task.targets.array[:training], jnp.int32)
            return [train_by_hand(hand_linen(module, x), rule, classes, x, y, batch, LANES)]
        x = jax.random.uniform(jax.random.key(1), (known.task.points, known.task.count_features()), minval=-1)
        return [train_by_hand(hand_linen(module, x), rule, squared, x, x[:, -1:], batch, LANES)]

    return Case(page, by_hand, steps)


def begin(key):
    """Begin a policy in eight states with sixteen actions each."""
    return {"logits": 0.1 * jax.random.normal(key, (8, 16)), "baseline": jnp.zeros(8)}


def step(state, key, rate):
    """Take a step of its gradient, with a baseline."""
    actions = jax.random.categorical(key, state["logits"])
    rewards = jnp.cos(jnp.arange(8) * 0.7 + actions * 0.3)
    advantage = rewards - state["baseline"]

    def gain(logits):
        return jnp.sum(advantage * jax.nn.log_softmax(logits)[jnp.arange(8), actions])

    logits = state["logits"] + rate * jax.grad(gain)(state["logits"])
    return {"logits": logits, "baseline": state["baseline"] + 0.1 * advantage}


def measure(state):
    """Measure its reward."""
    return {"loss": -state["baseline"].mean()}


def own_training() -> Case:
    """Make the case of a training that is no regression."""

    def page() -> Experiment:
        training = FromTraining(begin, step, measure, rate=0.1)
        return Experiment(
            question="?", training=training, axes=grid(seed=range(LANES)), epochs=10**6, record=Record(at=log_spaced(1))
        )

    def by_hand() -> list[Callable[[int], Any]]:
        def train(state: Any, key: Any, rate: Any, first: Any, steps: Any) -> Any:
            return jax.lax.fori_loop(
                first, first + steps, lambda at, state: step(state, jax.random.fold_in(key, at), rate), state
            )

        keys, rates = jax.random.split(jax.random.key(0), LANES), jnp.full(LANES, 0.1)
        carry = [jax.vmap(begin)(keys), 0]
        run = jax.jit(jax.vmap(train, in_axes=(0, 0, 0, None, None)))

        def advance(steps: int) -> None:
            carry[:] = jax.block_until_ready(run(carry[0], keys, rates, carry[1], steps)), carry[1] + steps

        return [advance]

    return Case(page, by_hand, 5000)


CASES: Final[dict[str, Callable[[], Case]]] = {
    "Flax linen, 64-64-64": lambda: regression(of_linen, lambda w: hand_linen(of_linen(w), sines()[0]), (64,)),
    "Flax NNX, 64-64-64": lambda: regression(of_nnx, hand_nnx, (64,)),
    "Equinox, 64-64-64": lambda: regression(of_equinox, hand_equinox, (64,)),
    "Flax linen, widths 16 to 128": lambda: regression(of_linen, lambda w: hand_linen(of_linen(w), sines()[0]), WIDTHS),
    "convolution, 8 x 8 digits": lambda: recipe("convolution", 5),
    "GRU, 12 steps": lambda: recipe("recurrent", 10),
    "transformer block, mod 97": lambda: recipe("transformer", 9),
    "policy gradient, FromTraining": own_training,
}


def by_sweep(case: Case) -> Side:
    """Begin the lanes of a case in `sweep`."""
    plan = pack(resolve(case.page()), devices=Devices.of(jax.devices()))
    prepare(plan)
    with settings_of(plan):
        runner = WaveRunner(plan, 0, None)
    done = np.zeros(len(plan.programs[0].blocks), np.int64)

    def advance(steps: int) -> None:
        with settings_of(plan):
            runner.advance(done, np.full_like(done, steps), at_record=False)
        done[:] += steps

    return Side(advance, case.steps)


def in_hand(case: Case) -> Side:
    """Begin the lanes of a case in the code that is written by hand, one program after another."""
    parts = case.by_hand()
    return Side(lambda steps: [advance(steps) for advance in parts], case.steps)


def measure_case(name: str) -> dict[str, list[float]]:
    """Time both sides in turns: lane-steps a second."""
    use_all_cores()
    case = CASES[name]()
    sides = {"sweep": by_sweep(case), "jit(vmap(train))": in_hand(case)}
    found: dict[str, list[float]] = {side: [] for side in sides}
    for repeat in range(REPEATS + 1):
        for side, own in sides.items():
            begun = time.perf_counter()
            own.advance(own.steps)
            if repeat:  # the first is warm-up
                found[side].append(LANES * own.steps / (time.perf_counter() - begun))
    return found


def measure_grokking() -> dict[str, Any]:
    """Run the page of modular addition as a command, with nothing cached: seconds, and how many lanes got there."""
    with tempfile.TemporaryDirectory() as name:
        store = Path(name) / "store"
        environment = changed_environment({**PLAIN, "XDG_CACHE_HOME": name})
        command = [sys.executable, "-m", "sweep.run", str(RECIPES / "modular_addition.py"), "--out", str(store)]
        begun = time.perf_counter()
        subprocess.run(command, env=environment, check=True, capture_output=True)
        seconds, ds = time.perf_counter() - begun, open_results(store)
        reached = ds["validation_accuracy"].max("epoch") >= GROKKED
        return {"seconds": seconds, "lanes": int(reached.size), "reached": int(reached.sum())}


def main(case: str = "", write: bool = False) -> None:
    """Measure and print a table.

    Args:
        case: only this one, as JSON.
        write: also write own_code.json and the table in the README.
    """
    if case:
        print(json.dumps(measure_case(case)))
        return
    found = {name: run_module("benchmarks.own_code", "--case", name, environment=PLAIN) for name in CASES}
    grokking = measure_grokking()
    table = report.table(("64 lanes", "sweep / jit(vmap(train))", "goal", "lane-steps/s"), list(_rows(found)))
    lines = f"{table}\n\n{_say_grokking(grokking)}"
    print(lines)
    if write:
        kept = {"machine": machine(), "grokking": grokking, **report.round_numbers(found)}
        RESULTS.write_text(json.dumps(kept, indent=1) + "\n")
        report.replace_between("own code", lines)


def _rows(found: dict[str, Any]) -> Any:
    """Give the lines of the table."""
    for name, rates in found.items():
        ratio = report.spread([a / b for a, b in zip(rates["sweep"], rates["jit(vmap(train))"], strict=True)])
        goal = MIXED_GOAL if "widths" in name else 1
        yield name, f"{ratio.median:.2f}", f"{goal:g}", f"{np.median(rates['sweep']):,.0f}"


def _say_grokking(found: dict[str, Any]) -> str:
    return (
        f"Modular addition, p = 31: {found['reached']} of {found['lanes']} lanes reach {GROKKED}, the command takes "
        f"{found['seconds']:.0f} s (goal: half of the lanes in 300 s)."
    )


if __name__ == "__main__":
    tyro.cli(main)
