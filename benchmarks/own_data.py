"""Data of one's own: `python -m benchmarks.own_data`, which `make bench-data` runs.

Classification of 60,000 rows of 784 numbers in batches of 256, 16 lanes, by `sweep` and by a `jit(vmap(train))` as one
writes it by hand, in turns in one process; the memory of a whole sweep of 64 such lanes; a page of a CSV file from the
command to its figures; and the rate of optimisers through `FromOptax` over that of the same ones built in.
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import jax
import jax.numpy as jnp
import numpy as np
import optax
import tyro

from benchmarks import report
from benchmarks.compare import PLAIN, machine
from benchmarks.service import changed_environment, run_module
from sweep import MLP, Data, Experiment, FromOptax, Optimizer, Record, SumOfSines, grid, log_spaced, run_sweep
from sweep.engine.plan import Devices, pack
from sweep.engine.prepare import prepare, settings_of
from sweep.engine.wave import WaveRunner
from sweep.page.resolve import resolve
from sweep.runs.devices import use_all_cores

RESULTS: Final = Path(__file__).parent / "own_data.json"
ROWS, FEATURES, CLASSES, BATCH, WIDTH, LANES = 60_000, 784, 10, 256, 64, 16
REPEATS: Final = 5
CSV: Final = 400  # rows of the page's file
PAGE: Final = """from sweep import MLP, Data, Experiment, grid

experiment = Experiment(
    question="Which width and rate predict the price best?",
    task=Data.read("homes.csv", targets="price", validation=0.2, standardise="both"),
    model=MLP(depth=2),
    axes=grid(width=(8, 32, 64), learning_rate=(1e-4, 1e-3, 3e-3, 1e-2, 3e-2), seed=range(8)),
    epochs=300,
)
"""


def rows() -> tuple[np.ndarray, np.ndarray]:
    """Draw rows of ten classes, each around a centre of its own."""
    rng = np.random.default_rng(0)
    classes = rng.integers(0, CLASSES, ROWS)
    centres = rng.normal(size=(CLASSES, FEATURES)).astype(np.float32)
    return centres[classes] + 3 * rng.standard_normal((ROWS, FEATURES), np.float32), classes


def page(lanes: int) -> Experiment:
    """Make the page of these rows."""
    return Experiment(
        question="?", task=Data(*rows()), model=MLP(width=WIDTH, depth=1), optimizer=Optimizer("adam"),
        axes=grid(seed=range(lanes)), loss="cross_entropy", batch_size=BATCH, epochs=1,
        record=Record(metrics=("loss",), at=log_spaced(1), snapshots=0),
    )  # fmt: skip


def by_hand(inputs: Any, classes: Any) -> Callable[..., Any]:
    """Write one epoch of one lane, jitted and mapped over lanes."""
    rule = optax.adam(1e-3)

    def loss(parameters: Any, x: Any, y: Any) -> Any:
        h = jnp.tanh(x @ parameters["layer_0"]["kernel"] + parameters["layer_0"]["bias"])
        logits = h @ parameters["layer_1"]["kernel"] + parameters["layer_1"]["bias"]
        return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean()

    def epoch(parameters: Any, state: Any, key: Any) -> Any:
        order = jax.random.permutation(key, ROWS)

        def step(at: Any, carry: Any) -> Any:
            parameters, state = carry
            chosen = jax.lax.dynamic_slice(order, (at * BATCH,), (BATCH,))
            gradient = jax.grad(loss)(parameters, inputs[chosen], classes[chosen])
            updates, state = rule.update(gradient, state, parameters)
            return optax.apply_updates(parameters, updates), state

        return jax.lax.fori_loop(0, ROWS // BATCH, step, (parameters, state))

    return jax.jit(jax.vmap(epoch))


def measure_rates() -> dict[str, list[float]]:
    """Time epochs of both sides in turns: lane-steps a second."""
    use_all_cores()
    experiment = page(LANES)
    plan = pack(resolve(experiment), devices=Devices.of(jax.devices()))
    prepare(plan)
    found: dict[str, list[float]] = {"sweep": [], "jit(vmap(train))": []}
    with settings_of(plan):
        runner = WaveRunner(plan, 0, None)
        steps = plan.programs[0].blocks[0].training.steps_per_epoch
        inputs, classes = (jnp.asarray(each) for each in rows())
        leaves = runner.position(0, np.zeros(1, np.int64)).leaves
        structure = jax.tree.structure({f"layer_{at}": {"bias": 0, "kernel": 0} for at in (0, 1)})
        parameters = jax.tree.unflatten(structure, [jnp.asarray(leaf) for leaf in leaves[:4]])
        state = jax.vmap(optax.adam(1e-3).init)(parameters)
        run, keys = by_hand(inputs, classes), jax.random.split(jax.random.key(0), LANES)
        jax.block_until_ready(run(parameters, state, keys))
        for repeat in range(REPEATS + 1):
            begun = time.perf_counter()
            runner.advance(np.array([repeat * steps]), np.array([steps]), at_record=False)
            between = time.perf_counter()
            parameters, state = jax.block_until_ready(run(parameters, state, keys))
            ended = time.perf_counter()
            if repeat:  # the first is warm-up
                found["sweep"].append(LANES * steps / (between - begun))
                found["jit(vmap(train))"].append(LANES * (ROWS // BATCH) / (ended - between))
    return found


def memory_child() -> float:
    """Run a sweep of 64 lanes; return the peak of this process's memory in GiB."""
    run_sweep(page(64))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def csv_child() -> dict[str, float]:
    """Run a page of a CSV file as a command, with an empty cache."""
    with tempfile.TemporaryDirectory() as name:
        folder, rng = Path(name), np.random.default_rng(0)
        area, age = rng.uniform(40, 200, CSV), rng.uniform(0, 80, CSV)
        price = 3000 * area * (1 + 0.1 * np.sin(area / 15)) - 1500 * age + 20_000 * rng.normal(size=CSV)
        table = "\n".join(f"{a:.1f},{b:.1f},{c:.0f}" for a, b, c in zip(area, age, price, strict=True))
        (folder / "homes.csv").write_text(f"area,age,price\n{table}\n")
        (folder / "page.py").write_text(PAGE)
        environment = changed_environment({**PLAIN, "XDG_CACHE_HOME": str(folder / "cache")})
        command = [sys.executable, "-m", "sweep.run", "page.py"]
        environment["PYTHONPATH"] = str(Path(__file__).parents[1])
        begun = time.perf_counter()
        subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True)
        return {"seconds": time.perf_counter() - begun, "lines": len(PAGE.strip().splitlines())}


def measure_own_optimizers() -> dict[str, list[float]]:
    """Time the same training by a built-in optimiser and by FromOptax: their ratio in each repeat."""

    def adam(learning_rate: Any) -> Any:
        return optax.adam(learning_rate, 0.9, 0.999, 1e-8)

    def sgd(learning_rate: Any, momentum: Any) -> Any:
        return optax.sgd(learning_rate, momentum=momentum)

    pairs = {
        "adam": (Optimizer("adam", learning_rate=1e-3), FromOptax(adam, learning_rate=1e-3)),
        "sgd": (Optimizer("sgd", learning_rate=1e-2, momentum=0.9), FromOptax(sgd, learning_rate=1e-2, momentum=0.9)),
    }
    return {name: _ratios(*pair) for name, pair in pairs.items()}


def _ratios(built_in: Optimizer, own: FromOptax) -> list[float]:
    runners = []
    for optimizer in (built_in, own):
        experiment = Experiment(
            question="?", task=SumOfSines(), model=MLP(width=32), optimizer=optimizer, axes=grid(seed=range(64)),
            epochs=2000, record=Record(metrics=("loss",), at=log_spaced(1), snapshots=0),
        )  # fmt: skip
        plan = pack(resolve(experiment), devices=Devices.of(jax.devices()))
        prepare(plan)
        with settings_of(plan):
            runners.append((plan, WaveRunner(plan, 0, None)))
    found = []
    for repeat in range(2 * REPEATS + 1):
        seconds = []
        for plan, runner in runners:
            with settings_of(plan):
                begun = time.perf_counter()
                runner.advance(np.array([repeat * 100]), np.array([100]), at_record=False)
                seconds.append(time.perf_counter() - begun)
        found.append(seconds[0] / seconds[1])
    return found[1:]


CHILDREN: Final[dict[str, Callable[[], Any]]] = {
    "rates": measure_rates, "memory": memory_child, "csv": csv_child, "own optimisers": measure_own_optimizers,
}  # fmt: skip


def main(child: str = "", write: bool = False) -> None:
    """Measure and print a table.

    Args:
        child: only this measurement, as JSON: "rates", "memory", "csv" or "own optimisers".
        write: also write own_data.json and the table in the README.
    """
    if child:
        print(json.dumps(CHILDREN[child]()))
        return
    found = {name: run_module("benchmarks.own_data", "--child", name, environment=PLAIN) for name in CHILDREN}
    lines = report.table(("figure", "goal", "measured"), list(_rows(found)))
    print(lines)
    if write:
        RESULTS.write_text(json.dumps({"machine": machine(), **report.round_numbers(found)}, indent=1) + "\n")
        report.replace_between("own data", lines)


def _rows(found: dict[str, Any]) -> Any:
    """Give the lines of the table."""
    rates = found["rates"]
    ratios = report.spread([a / b for a, b in zip(rates["sweep"], rates["jit(vmap(train))"], strict=True)])
    what = f"{ROWS:,} x {FEATURES}, {CLASSES} classes, batches of {BATCH}"
    yield f"{what}, {LANES} lanes: rate over jit(vmap(train))", "at least 1", f"{ratios.median:.2f}"
    yield f"{what}, 64 lanes: peak memory of the process, GiB", "under 2", f"{found['memory']:.2f}"
    yield "page of a CSV file, 120 lanes: lines", "15", f"{found['csv']['lines']:.0f}"
    yield "... seconds from command to figures, nothing cached", "20", f"{found['csv']['seconds']:.1f}"
    for name, values in found["own optimisers"].items():
        yield f"{name} through FromOptax over built in: rate", "1.0", f"{np.median(values):.2f}"


if __name__ == "__main__":
    tyro.cli(main)
