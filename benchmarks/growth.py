"""Growing and opening grown stores: `python -m benchmarks.growth`, which `make bench-growth` runs.

A sweep of eight seeds is run at once, and grown from seven seeds to eight, in turns in one process. Compiled programs
are there after the first run of each kind, and planning is subtracted, so that start-up is left aside. Then a store of
10^5 lanes that was run at once and one that was grown are opened in turns.
"""

import json
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any, Final
from unittest.mock import patch

import tyro

from benchmarks import report
from benchmarks.compare import machine
from sweep import MLP, Experiment, Record, SumOfSines, grid, linear_spaced, load, open_results, run_sweep, zipped
from sweep.runs.executors import local
from sweep.runs.planning import plan_sweep

RESULTS: Final = Path(__file__).parent / "growth.json"
PAGE: Final = Path(__file__).parents[1] / "experiments" / "freq_principle.py"
SEEDS: Final = 8
LANES: Final = 10**5
REPEATS: Final = 3
OPENINGS: Final = 9
GOAL_SHARE: Final = 1.3  # of an eighth of the time
GOAL_OPENING: Final = 1.1


@dataclass
class _Planning:
    seconds: float = 0.0


@contextmanager
def timed_planning() -> Iterator[_Planning]:
    """Count the seconds of planning within a `with` block."""
    spent = _Planning()

    def planned(*args: Any, **options: Any) -> Any:
        begun = time.perf_counter()
        try:
            return plan_sweep(*args, **options)
        finally:
            spent.seconds += time.perf_counter() - begun

    with patch.object(local, "plan_sweep", planned):
        yield spent


def page(seeds: int, longer: int) -> Experiment:
    """Make the page of the frequency principle with some of its seeds, and so many times its epochs."""
    experiment = load(PAGE)
    experiment = replace(experiment, epochs=longer * experiment.epochs)
    _, *others = experiment.axes.factors
    axes = zipped(seed=range(seeds), data_seed=range(seeds))
    return replace(experiment, axes=replace(axes, factors=(*axes.factors, *others)))


def seconds(run: Callable[[], Any]) -> dict[str, float]:
    """Time a run: all of it, its planning and its compiling."""
    with timed_planning() as planning:
        begun = time.perf_counter()
        compiled = run()
        whole = time.perf_counter() - begun
    return {"seconds": whole, "planning": planning.seconds, "aside": whole - planning.seconds - compiled}


def grow_one_seed(folder: Path, repeats: int, longer: int) -> dict[str, Any]:
    """Time a sweep of eight seeds, and growing it from seven to eight, in turns."""
    run_sweep(page(SEEDS - 1, longer), out=folder / "seven")
    runs = [_both(folder, number, longer) for number in range(repeats + 1)][1:]  # the first ones compile
    middle = {
        name: {key: median(run[name][key] for run in runs) for key in runs[0][name]} for name in ("whole", "grown")
    }
    loss = [open_results(folder / f"{name}-{repeats}").loss.values.tobytes() for name in ("whole", "grown")]
    share = middle["grown"]["aside"] / (middle["whole"]["aside"] / SEEDS)
    return {**middle, "over an eighth": share, "goal": GOAL_SHARE, "same bits": loss[0] == loss[1], "repeats": repeats}


def _both(folder: Path, number: int, longer: int) -> dict[str, dict[str, float]]:
    """Time one run of the whole, and one growth."""
    whole, grown, eight = folder / f"whole-{number}", folder / f"grown-{number}", page(SEEDS, longer)
    shutil.copytree(folder / "seven", grown)
    before = open_results(grown).attrs["compile_seconds"]
    return {
        "whole": seconds(lambda: run_sweep(eight, out=whole).attrs["compile_seconds"]),
        "grown": seconds(lambda: run_sweep(eight, out=grown, grow=True).attrs["compile_seconds"] - before),
    }


def many(lanes: int) -> Experiment:
    """Make a page of many tiny lanes."""
    return Experiment(
        question="How fast does a large store open?", task=SumOfSines(frequencies=(1, 2), points=8),
        model=MLP(depth=1, width=2), axes=grid(learning_rate=(1e-3, 1e-2), seed=range(lanes // 2)), epochs=10,
        record=Record(metrics=("loss", "spectral_error"), at=linear_spaced(10), snapshots=0),
    )  # fmt: skip


def open_many(folder: Path, lanes: int) -> dict[str, Any]:
    """Time the opening of a store that was run at once and of one that was grown, in turns."""
    run_sweep(many(lanes), out=folder / "once")
    for part in (lanes // 8, lanes // 2, lanes):
        run_sweep(many(part), out=folder / "grown", grow=part > lanes // 8)
    times: dict[str, list[float]] = {"once": [], "grown": []}
    for _ in range(OPENINGS):
        for name, own in times.items():
            begun = time.perf_counter()
            open_results(folder / name)
            own.append(time.perf_counter() - begun)
    ratios = [grown / once for once, grown in zip(times["once"], times["grown"], strict=True)]
    files = {name: sum(1 for each in (folder / name).rglob("*") if each.is_file()) for name in times}
    middle = {name: median(own) for name, own in times.items()}
    return {**middle, "ratio": median(ratios), "goal": GOAL_OPENING, "files": files, "lanes": lanes}


@dataclass(frozen=True)
class Options:
    """Measure growing and the opening of grown stores.

    Args:
        write: keep the results in benchmarks/growth.json.
        lanes: of the large store.
        repeats: of growing.
        longer: how many times the epochs of the page; copying what is stored takes the same time for a longer training.
    """

    write: bool = False
    lanes: int = LANES
    repeats: int = REPEATS
    longer: int = 1


def main(options: Options) -> None:
    """Measure, print and keep."""
    with tempfile.TemporaryDirectory() as folder:
        results = {
            "machine": machine(),
            f"grow one seed of eight, {options.longer} x the epochs": grow_one_seed(
                Path(folder), options.repeats, options.longer
            ),
            "open": open_many(Path(folder), options.lanes),
        }
    print(json.dumps(results, indent=1))
    if options.write:
        kept = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
        RESULTS.write_text(json.dumps(kept | report.round_numbers(results), indent=1) + "\n")


if __name__ == "__main__":
    main(tyro.cli(Options))
