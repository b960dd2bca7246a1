"""What users wait for beside the steps: `python -m benchmarks.waiting`, which `make bench-waiting` runs.

Starting, compiling and drawing, as commands and as parts of them; and whether `--plan` tells how long it will be. Every
measurement is a process of its own with an empty cache of compiled programs, except where the cache is measured.
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import tyro

from benchmarks import report
from benchmarks.compare import PLAIN, machine
from benchmarks.service import changed_environment
from sweep import MLP, Experiment, FromModule, Metric, Optimizer, Record, SumOfSines, grid, zipped

RESULTS: Final = Path(__file__).parent / "waiting.json"
REPEATS: Final = 3
PAGE: Final = '''"""A small page."""
from sweep import MLP, Experiment, Optimizer, SumOfSines, grid

experiment = Experiment(
    question="How long does a small page take?",
    task=SumOfSines(),
    model=MLP(width=16),
    optimizer=Optimizer("adam"),
    axes=grid(seed=range(16)),
    epochs=500,
)
'''
COMMANDS: Final = {
    "a small page (16 lanes, one width, 500 epochs), command to figures, s": ((), 6.0),
    "... with its programs in the cache, s": (("--fresh",), None),
    "... a finished one drawn again, s": ((), 2.5),
}
SMOKE: Final = ("... `--smoke` of it, CPU seconds", 5.0)
STRUCTURES: Final = 200
# In what the lanes of a block differ, and how much wider it may be; the first is what the plan chooses.
SPLITS: Final = ("plan", "activation,depth 1.25", "activation,depth 2", "activation 2", "none 2")


def main(only: tuple[str, ...] = (), write: bool = False) -> None:
    """Measure what users wait for and print it.

    Args:
        only: "commands", "estimates" or "structures"; by default all.
        write: rewrite waiting.json and the README; needs all.
    """
    found = {name: measure() for name, measure in MEASUREMENTS.items() if not only or name in only}
    for name, values in found.items():
        print(report.table(*TABLES[name](values)))
    if write and not only:
        RESULTS.write_text(json.dumps({"machine": machine(), "measured": found}, indent=1) + "\n")
        report.replace_between(
            "waiting", "\n\n".join(report.table(*TABLES[name](each)) for name, each in found.items())
        )


def _environment(cache: Path) -> dict[str, str]:
    """Give the environment of a child: that of the other benchmarks, with the user's cache in a folder of our own."""
    return changed_environment(
        {
            **PLAIN,
            "JAX_ENABLE_COMPILATION_CACHE": None,
            "PYTHONDONTWRITEBYTECODE": None,
            "PYTHONPATH": str(Path(__file__).parents[1]),
            "XDG_CACHE_HOME": str(cache),
        }
    )


def _run(command: Sequence[str], folder: Path) -> tuple[float, float, str]:
    """Run a command in a folder that has a cache; give its wall and CPU seconds, and what it printed."""
    begun, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    cache = folder / "cache"
    cache.mkdir(mode=0o700, exist_ok=True)
    done = subprocess.run(
        [sys.executable, *command], cwd=folder, env=_environment(cache), capture_output=True, text=True, check=False
    )
    wall, after = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return wall, cpu, done.stdout


def measure_commands() -> dict[str, list[float]]:
    """Time the commands of a small page, each repeat in a new folder; a command before them fills the disk's cache."""
    found: dict[str, list[float]] = {name: [] for name in (*COMMANDS, SMOKE[0])}
    for _ in range(REPEATS):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            (folder / "small.py").write_text(PAGE)
            _run(["-m", "sweep.run", "small.py", "--plan"], folder)
            for words, (options, _) in COMMANDS.items():
                found[words].append(_run(["-m", "sweep.run", "small.py", *options], folder)[0])
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            (folder / "small.py").write_text(PAGE)
            found[SMOKE[0]].append(_run(["-m", "sweep.run", "small.py", "--smoke"], folder)[1])
    return found


def _sharpness(moment: Any) -> Any:
    import jax
    import jax.numpy as jnp
    from jax.flatten_util import ravel_pytree

    flat, unravel = ravel_pytree(moment.parameters)
    residuals = lambda values: moment.apply(unravel(values), moment.data.inputs) - moment.data.target  # noqa: E731
    return jnp.linalg.norm(jax.hessian(lambda values: jnp.mean(residuals(values) ** 2))(flat))


def _normalised(width: int) -> Any:
    from flax import linen as nn

    layers = [layer for _ in range(4) for layer in (nn.Dense(width), nn.LayerNorm(), nn.gelu)]
    return nn.Sequential([*layers, nn.Dense(1)])


# What differs from 128 lanes of a network of usual size in each page whose waiting is estimated and measured.
ESTIMATED: Final[dict[str, dict[str, Any]]] = {
    "width 16": {"model": MLP(width=16)},
    "width 64, linear layers": {"model": MLP(activation="identity"), "optimizer": Optimizer("sgd")},
    "widths 16 to 128": {"axes": grid(seed=range(32), width=(16, 32, 64, 128)), "epochs": 200},
    "12 structures": {"axes": grid(seed=range(8), depth=(1, 2, 3, 4), activation=("tanh", "relu", "sine"))},
    "batches of 32": {"model": MLP(width=16, depth=2, activation="relu"), "batch_size": 32},
    "float64": {"model": MLP(width=32), "precision": "float64"},
    "a module with LayerNorm": {"model": FromModule(build=_normalised, width=32)},
    "a Hessian at each record": {
        "model": MLP(width=4, depth=2),
        "record": Record(metrics=("loss",), own=(Metric("norm", _sharpness),)),
    },
}


def estimate_child(name: str) -> dict[str, float]:
    """Plan, compile and train a page; give what was estimated and what it took."""
    usual = {"axes": grid(seed=range(128)), "epochs": 1000, "model": MLP(), "optimizer": Optimizer("adam")}
    return _compile_and_train(Experiment(question=name, task=SumOfSines(), **{**usual, **ESTIMATED[name]}))


def _compile_and_train(experiment: Experiment) -> dict[str, float]:
    from sweep.engine.estimate import estimate
    from sweep.engine.prepare import prepare
    from sweep.engine.walk import walk_wave
    from sweep.runs.planning import plan_sweep

    plan = plan_sweep(experiment)
    expected = estimate(plan)
    begun = time.perf_counter()
    prepare(plan)
    compiling = time.perf_counter() - begun
    training = sum(segment.seconds for wave in range(len(plan.waves)) for segment in walk_wave(plan, wave))
    return {
        "expected_compiling": expected.compiling,
        "compiling": compiling,
        "expected_training": expected.training,
        "training": training,
        "blocks": sum(1 for _ in plan.blocks()),
    }


def structures_child(split: str) -> dict[str, float]:
    """Compile and train the 200 structures in one split into blocks."""
    from sweep.engine import blocks

    if split != "plan":
        shared, ratio = split.split()
        blocks.SHARED = (tuple(shared.split(",")) if shared != "none" else (),)  # type: ignore[misc]
        blocks.PADDING = (float(ratio),)  # type: ignore[misc]
    draw, size = np.random.default_rng(0), STRUCTURES
    columns: dict[str, Any] = {
        "width": draw.integers(8, 65, size).tolist(),
        "depth": draw.integers(1, 5, size).tolist(),
        "activation": draw.choice(["tanh", "relu", "sine"], size).tolist(),
        "seed": range(size),
    }
    return _compile_and_train(
        Experiment(
            question="200 structures",
            task=SumOfSines(),
            model=MLP(),
            optimizer=Optimizer("adam"),
            axes=zipped(**columns),
            epochs=1000,
        )
    )


def _in_children(kind: str, names: Sequence[str]) -> dict[str, dict[str, float]]:
    found = {}
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            printed = _run(["-m", "benchmarks.waiting", "--child", kind, name], Path(folder))[2]
        found[name] = json.loads(printed.splitlines()[-1])
    return found


def _rows_of_commands(found: dict[str, list[float]]) -> tuple[Sequence[str], list[tuple[str, ...]]]:
    goals = {**{name: goal for name, (_, goal) in COMMANDS.items()}, SMOKE[0]: SMOKE[1]}
    rows = []
    for name, values in found.items():
        spread, goal = report.spread(values), goals[name]
        met = "" if goal is None else "yes" if spread.median <= goal else "no"
        measured = f"{spread.median:.1f} ({spread.low:.1f}-{spread.high:.1f})"
        rows.append((name, "" if goal is None else f"at most {goal:g}", measured, met))
    return ("figure", "goal", "measured", "met"), rows


def _rows_of_estimates(found: dict[str, dict[str, float]]) -> tuple[Sequence[str], list[tuple[str, ...]]]:
    rows = []
    for name, each in found.items():
        cells = [name, f"{each['blocks']:.0f}"]
        for part in ("compiling", "training"):
            expected, measured = each[f"expected_{part}"], each[part]
            cells += [f"{expected:.1f}", f"{measured:.1f}", f"{measured / expected:.2f}"]
        rows.append(tuple(cells))
    heads = ("compiling: estimate, s", "measured, s", "ratio", "training: estimate, s", "measured, s", "ratio")
    return ("page", "blocks", *heads), rows


def _rows_of_structures(found: dict[str, dict[str, float]]) -> tuple[Sequence[str], list[tuple[str, ...]]]:
    best = min(each["compiling"] + each["training"] for each in found.values())
    rows = []
    for name, each in found.items():
        total = each["compiling"] + each["training"]
        numbers = (each["compiling"], each["expected_compiling"], each["training"], total)
        cells = (f"{each['blocks']:.0f}", *(f"{value:.1f}" for value in numbers), f"{total / best:.2f}")
        rows.append((name, *cells))
    heads = ("blocks", "compiling, s", "estimate, s", "training, s", "together, s", "over the best")
    return ("lanes of a block differ in, widths within a factor", *heads), rows


CHILDREN: Final = {"estimates": estimate_child, "structures": structures_child}
MEASUREMENTS: Final[dict[str, Callable[[], Any]]] = {
    "commands": measure_commands,
    "estimates": lambda: _in_children("estimates", tuple(ESTIMATED)),
    "structures": lambda: _in_children("structures", SPLITS),
}
TABLES: Final[dict[str, Callable[[Any], tuple[Sequence[str], list[tuple[str, ...]]]]]] = {
    "commands": _rows_of_commands,
    "estimates": _rows_of_estimates,
    "structures": _rows_of_structures,
}


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        print(json.dumps(CHILDREN[sys.argv[2]](sys.argv[3])))
    else:
        tyro.cli(main)
