"""Checks that only mean something on an accelerator: real lack of memory, bits in another process, float32 products.

`python -m benchmarks.accelerator_checks train|replay SIZE STORE` is a process of its own for the second of these.
"""

import json
import os
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.accelerator_child import Report
from benchmarks.accelerator_work import FIXED, SIZES, Size
from sweep import MLP, Experiment, Optimizer, Record, SumOfSines, grid, open_results, run_sweep, zipped
from sweep.engine.numerics import standard_settings
from sweep.engine.plan import Fixed, Plan
from sweep.engine.prepare import prepare, program_bytes
from sweep.results.distance import distances, has_same_end
from sweep.results.lane_choice import read_lane
from sweep.results.store import check
from sweep.runs.executors import local
from sweep.runs.planning import plan_sweep
from sweep.runs.replay import replay
from sweep.specs import linear_spaced

LOST: Final = 1e30  # a learning rate at which lanes diverge
_UNLIMITED: Final = 2**60
_TOO_LARGE: Final = 2.0  # times the memory that a wave should take
_ROUNDING: Final = 1e-5  # of a product of 1024 terms in float32; with shorter formats it is 3e-4 or more


def measure(report: Report) -> None:
    """Make all checks; each tells "ok"."""
    report.do("float32", lambda: report.tell("float32", **check_products()))
    report.do("replay, fixed", lambda: _check_replay(report, "replay, fixed", FIXED))
    report.do("out of memory", lambda: report.tell("out of memory", **check_out_of_memory(report.size.crowd)))
    report.do("replay, as it is", lambda: _check_replay(report, "replay, as it is", ""))


def check_products() -> dict[str, Any]:
    """Compare a product under the engine's settings, and under JAX's own, with one in float64."""
    a = np.random.default_rng(0).standard_normal((1024, 1024)).astype(np.float32)
    exact = a.astype(float) @ a.astype(float)

    def error() -> float:
        found = np.asarray(jax.jit(jnp.matmul)(a, a), float)
        return float(np.linalg.norm(found - exact) / np.linalg.norm(exact))

    by_default = error()
    with standard_settings("float32"):
        ours = error()
    return {"ok": ours <= _ROUNDING, "error": ours, "error_with_defaults": by_default}


# ---------------------------------------------------------------------------------------------------------
# The same bits in another process.


def _check_replay(report: Report, item: str, more_flags: str) -> None:
    """Train a store in one process; in another one train it again, and some of its lanes alone.

    Args:
        report: where the outcome is told.
        item: under which name.
        more_flags: flags of XLA, in addition to those of the environment.
    """
    stores = report.folder / item.replace(" ", "-")
    size = next(name for name, size in SIZES.items() if size is report.size)
    flags = " ".join([os.environ.get("XLA_FLAGS", ""), more_flags]).strip()
    for action in ("train", "replay"):
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.accelerator_checks", action, size, str(stores)],
            env={**os.environ, "XLA_FLAGS": flags}, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"{action} ended with {done.returncode}: {done.stderr[-300:]}")
        report.tell(item, XLA_FLAGS=flags, **json.loads(done.stdout.splitlines()[-1]))


def small_page(size: Size) -> Experiment:
    """Make an experiment of lanes that live and lanes that diverge, of two widths, in batches."""
    seeds = range(size.replayed * 8)
    narrow, wide = min(size.widths.values()), max(size.widths.values())
    return Experiment(
        question="Is it the same again?", task=SumOfSines(frequencies=(1, 3), points=128, noise=0.1),
        model=MLP(depth=3), optimizer=Optimizer("adam"), epochs=20, batch_size=32,
        axes=zipped(seed=seeds, data_seed=seeds) * grid(learning_rate=(1e-3, 1e-2, LOST), width=(narrow[0], wide[-1])),
        record=Record(metrics=("loss",), at=linear_spaced(5), snapshots=2),
    )  # fmt: skip


def train(size: Size, stores: Path) -> dict[str, Any]:
    """Train the store that is compared."""
    begun = time.perf_counter()
    ds = run_sweep(small_page(size), out=stores / "first")
    return {
        "arithmetic": json.loads(ds.attrs["arithmetic"]), "sweep_seconds": time.perf_counter() - begun,
        "training_seconds": ds.attrs["training_seconds"], "compile_seconds": ds.attrs["compile_seconds"],
    }  # fmt: skip


def again(size: Size, stores: Path) -> dict[str, Any]:
    """Train all lanes again, and some of them alone, and compare bits with the store of the other process."""
    page, path = small_page(size), stores / "first"
    before = open_results(path)
    after = run_sweep(page)
    different = [name for name in before.variables if before[name].values.tobytes() != after[name].values.tobytes()]
    alone = []
    for wanted in _some_lanes(size):
        lane, knobs = read_lane(path, wanted)
        found = replay(page, check(path), int(lane.lane))
        far = [each.name for each in distances(lane, found.curves) if each.first_difference is not None]
        if far or found.foreign or not has_same_end(lane, found.curves):
            alone.append({**knobs, "differs_in": far, "arithmetic": [*found.foreign]})
    return {
        "ok": not different and not alone, "different_variables": different, "replayed": len(_some_lanes(size)),
        "different_lanes": alone, "again_seconds": after.attrs["training_seconds"],
    }  # fmt: skip


def _some_lanes(size: Size) -> list[dict[str, str]]:
    """Choose lanes of both widths, with one that diverges."""
    widths = small_page(size).axes.values("width")
    rates = [1e-2, LOST, 1e-3][: size.replayed]
    return [
        {"seed": str(3 * at), "width": str(widths[at % 2]), "learning_rate": str(rate)} for at, rate in enumerate(rates)
    ]


# ---------------------------------------------------------------------------------------------------------
# A wave that does not fit.


def check_out_of_memory(lanes: int) -> dict[str, Any]:
    """Sweep with a first wave that does not fit, and compare bits with a sweep whose waves do.

    On an accelerator the wave is larger than its memory and the budget has no limit, so that an allocation fails; on a
    machine that does not say how much memory it has, the budget is smaller than what the compiled program takes.
    """
    stats = jax.devices()[0].memory_stats() or {}
    limit = stats.get("bytes_limit")
    page = _heavy_page(lanes, 8) if limit is None else _page_beyond(lanes, limit)
    budget = _UNLIMITED if limit is not None else _budget_below(page, lanes)

    def plan_one_wave(experiment: Experiment, memory: int | None = None, *_: Any, **__: Any) -> Plan:
        return plan_sweep(experiment, memory, Fixed(lanes, lanes // 8))

    with patch.object(local, "plan_sweep", plan_one_wave), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        halved = run_sweep(page, memory=budget)
    said = [str(each.message) for each in caught if "compiling again for waves of" in str(each.message)]
    fitting = run_sweep(page)
    same = halved.loss.values.tobytes() == fitting.loss.values.tobytes()
    return {
        "ok": bool(said) and same, "said": said, "same_bits": same, "memory_bytes": limit,
        "wave_bytes": _one_wave(page, lanes).wave_bytes,
    }  # fmt: skip


def _page_beyond(lanes: int, memory: int) -> Experiment:
    """Make lanes so wide that all of them take much more than this memory, but an eighth of them does not."""
    width = 16
    while _one_wave(_heavy_page(lanes, width), lanes).wave_bytes < _TOO_LARGE * memory:
        width += width // 4
    return _heavy_page(lanes, width)


def _heavy_page(lanes: int, width: int) -> Experiment:
    return Experiment(
        question="Is a wave that does not fit halved?", task=SumOfSines(frequencies=(1,), points=16),
        model=MLP(width=width, depth=2), optimizer=Optimizer("adam"), axes=grid(seed=range(lanes)), epochs=2,
        record=Record(metrics=("loss",), at=linear_spaced(1), snapshots=0),
    )  # fmt: skip


def _one_wave(page: Experiment, lanes: int) -> Plan:
    return plan_sweep(page, _UNLIMITED, Fixed(lanes, lanes // 8))


def _budget_below(page: Experiment, lanes: int) -> int:
    """Return two thirds of what the program of one wave takes."""
    plan = _one_wave(page, lanes)
    prepare(plan)
    return program_bytes(plan.programs[0], plan) * 2 // 3


if __name__ == "__main__":
    action, size_name, store = sys.argv[1:]
    print(json.dumps({"train": train, "replay": again}[action](SIZES[size_name], Path(store))))
