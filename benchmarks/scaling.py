"""How cost grows with the work: `python -m benchmarks.scaling`, which `make bench-scaling` runs.

Each measurement runs in a separate process that prints its time and memory at its end, so that the memory of one is not
counted in another; `make run` is timed from outside, as a user sees it.
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any, Final

import tyro

from benchmarks import report
from benchmarks.compare import PLAIN, machine
from benchmarks.service import changed_environment

RESULTS: Final = Path(__file__).parent / "scaling.json"
PAGE: Final = "experiments/freq_principle.py"
MANY, FEW, EPOCHS = 65_536, 1_024, 300
STOPS: Final = ("none", "target", "halving")
STOPPED_ROUNDS: Final = {400: 3, 2000: 3}  # number of repeats, by epochs
GIB: Final = 2**30


def main(only: tuple[str, ...] = ()) -> None:
    """Measure how `sweep` scales, print it, and rewrite scaling.json and the README.

    Args:
        only: names of the measurements to repeat; by default all.
    """
    before = json.loads(RESULTS.read_text())["measured"] if only and RESULTS.exists() else {}
    found = {name: measure() if not only or name in only else before[name] for name, measure in MEASUREMENTS.items()}
    rows = [row for name, values in found.items() for row in ROWS[name](values)]
    text = report.table(("figure", "goal", "measured", "met"), rows)
    print(text)
    RESULTS.write_text(json.dumps({"machine": machine(), "measured": found}, indent=1) + "\n")
    report.replace_between("scaling", text)


def run_child(name: str, *args: Any) -> dict[str, Any]:
    """Run one of `CHILDREN` in a fresh process; give what it prints, and the seconds of the whole process."""
    command = [sys.executable, "-m", "benchmarks.scaling", "--child", name, *map(str, args)]
    begun = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, env=changed_environment(PLAIN), check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1]) | {"process_seconds": time.perf_counter() - begun}


# ---------------------------------------------------------------------------------------------------------
# What the child processes do. JAX is imported only there.


def _run_sweep(experiment: Any, out: Path, figures: bool = False) -> dict[str, Any]:
    """Run a sweep into a store, draw its figures if requested, and give its times and memory."""
    from sweep.plots.gallery import choose_figures, draw_figures
    from sweep.runs.runner import run_sweep

    begun = time.perf_counter()
    ds = run_sweep(experiment, out=out)
    ended = time.perf_counter()
    drawn = draw_figures(ds, choose_figures(ds), out / "figures") if figures else []
    names = ("lane_steps", "lane_steps_executed", "lane_steps_planned", "training_seconds", "compile_seconds")
    return {
        **{name: ds.attrs[name] for name in names},
        "sweep_seconds": ended - begun,
        "drawing_seconds": time.perf_counter() - ended,
        "figures": len(list(drawn)),
        "resident_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }


def _small_page(width: int, lanes: int, epochs: int, records: int) -> Any:
    """Describe a sweep over seeds and sixteen learning rates that records full loss curves."""
    import numpy as np

    from sweep import MLP, Experiment, Optimizer, Record, SumOfSines, grid, log_spaced

    return Experiment(
        question="Which learning rates fit three sines, and how soon?",
        task=SumOfSines(frequencies=(1, 2, 3), points=128),
        model=MLP(width=width, depth=3),
        optimizer=Optimizer("adam"),
        axes=grid(seed=range(lanes // 16), learning_rate=np.geomspace(1e-4, 1e-1, 16).round(6)),
        epochs=epochs,
        record=Record(metrics=("loss",), at=log_spaced(records), snapshots=0),
    )


def child_lanes(lanes: str) -> dict[str, Any]:
    """Train a number of lanes of width 8 with 60 records."""
    with tempfile.TemporaryDirectory() as folder:
        return _run_sweep(_small_page(8, int(lanes), EPOCHS, 60), Path(folder, "store"))


def child_million() -> dict[str, Any]:
    """Train 1,048,576 lanes of width 4 for 50 epochs and draw the heatmap of the learning rates."""
    with tempfile.TemporaryDirectory() as folder:
        return _run_sweep(_small_page(4, 2**20, 50, 20), Path(folder, "store"), figures=True)


def child_stopped(rule: str, epochs: str) -> dict[str, Any]:
    """Train 4,096 lanes of width 16, all of them to the end or stopped by a rule."""
    from sweep.specs import Halving, Target, linear_spaced

    rules = {"none": None, "target": Target(0.3), "halving": Halving()}
    page = _small_page(16, 4096, int(epochs), 20)
    page = replace(page, record=replace(page.record, at=linear_spaced(20)), stop=rules[rule])
    with tempfile.TemporaryDirectory() as folder:
        return _run_sweep(page, Path(folder, "store"))


CHILDREN: Final[dict[str, Callable[..., dict[str, Any]]]] = {
    "lanes": child_lanes,
    "million": child_million,
    "stopped": child_stopped,
}


# ---------------------------------------------------------------------------------------------------------
# The measurements.


def measure_lanes() -> dict[str, Any]:
    """Measure the cost of a lane-step with many lanes and with few, the latter before and after the former."""
    few = [run_child("lanes", FEW) for _ in range(3)]
    many = run_child("lanes", MANY)
    few += [run_child("lanes", FEW) for _ in range(3)]
    return {"few": few, "many": many}


def measure_stopped() -> dict[str, Any]:
    """Measure stopped sweeps and the full one, interleaved: short ones and some as long as those of pages."""
    return {
        str(epochs): [{rule: run_child("stopped", rule, epochs) for rule in STOPS} for _ in range(rounds)]
        for epochs, rounds in STOPPED_ROUNDS.items()
    }


def measure_make_run() -> dict[str, Any]:
    """Run the page of `make run` as a user does, with the environment installed, into an empty folder."""
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder, "store")
        begun = time.perf_counter()
        command = [
            sys.executable,
            "-m",
            "sweep.run",
            PAGE,
            "--out",
            str(store),
            "--figures-dir",
            str(store / "figures"),
        ]
        subprocess.run(command, capture_output=True, env=changed_environment(PLAIN), check=True)
        seconds = time.perf_counter() - begun
        attributes = json.loads((store / "zarr.json").read_text())["attributes"]
    names = ("training_seconds", "compile_seconds", "lane_steps")
    return {"process_seconds": seconds, **{name: attributes[name] for name in names}}


MEASUREMENTS: Final[dict[str, Callable[[], dict[str, Any]]]] = {
    "lanes": measure_lanes,
    "million": lambda: run_child("million"),
    "stopped": measure_stopped,
    "make_run": measure_make_run,
}


def _rows_lanes(found: dict[str, Any]) -> list[tuple[str, ...]]:
    def cost(one: dict[str, Any]) -> float:
        return one["training_seconds"] / one["lane_steps"]

    ratio = cost(found["many"]) / median(map(cost, found["few"]))
    resident = found["many"]["resident_bytes"] / GIB
    return [
        _row(f"cost of a lane-step, {MANY:,} lanes of width 8 over {FEW:,}", "at most 1.05", ratio, 1.05, ""),
        _row(f"resident memory of {MANY:,} lanes, 60 records", "at most 1.5 GiB", resident, 1.5, " GiB"),
    ]


def _rows_million(found: dict[str, Any]) -> list[tuple[str, ...]]:
    measured = (
        f"{found['process_seconds']:.0f} s, of which training {found['training_seconds']:.0f} s and drawing "
        f"{found['drawing_seconds']:.1f} s; {found['resident_bytes'] / GIB:.2f} GiB resident"
    )
    return [("1,048,576 lanes of width 4, 50 epochs, to a drawn heatmap", "runs", measured, "yes")]


def _rows_stopped(found: dict[str, Any]) -> list[tuple[str, ...]]:
    rows = []
    for epochs, rule in product(found, STOPS[1:]):
        ratios, shares, walls = [], [], []
        for each in found[epochs]:
            shares.append(each[rule]["lane_steps"] / each["none"]["lane_steps"])
            stopped, full = (each[name]["sweep_seconds"] - each[name]["compile_seconds"] for name in (rule, "none"))
            ratios.append(stopped / full / shares[-1])
            walls.append(full)
        kept = f"{median(walls):.0f} s, x share kept, {median(shares):.0%}"
        name = f"wall time over (that of the full sweep, {kept}), {rule}"
        rows.append(_row(name, "at most 1.2", median(ratios), 1.2, ""))
    return rows


def _rows_make_run(found: dict[str, Any]) -> list[tuple[str, ...]]:
    rest = found["process_seconds"] - found["training_seconds"]
    name = f"`make run` but for training ({found['training_seconds']:.1f} s)"
    return [_row(name, "at most 15 s", rest, 15.0, " s")]


def _row(name: str, goal: str, value: float, most: float, units: str) -> tuple[str, ...]:
    return (name, goal, f"{value:.2f}{units}", "yes" if value <= most else "no")


ROWS: Final[dict[str, Callable[[dict[str, Any]], list[tuple[str, ...]]]]] = {
    "lanes": _rows_lanes,
    "million": _rows_million,
    "stopped": _rows_stopped,
    "make_run": _rows_make_run,
}


def _child(args: Sequence[str]) -> None:
    name, *rest = args
    print(json.dumps(CHILDREN[name](*rest)))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        _child(sys.argv[2:])
    else:
        tyro.cli(main)
