"""Sweeps on Ray: `python -m benchmarks.cluster`, which `make bench-cluster` runs; five minutes on two cores.

Measured here: two workers of one core against one, one worker of all cores against the same without Ray, in turns; what
starting takes; how many empty waves are scheduled in a second. Then a cluster of up to 1,000 workers is simulated
(`cluster_simulation`) with what was measured, and drawn.
"""

import json
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any, Final
from unittest.mock import patch

import tyro

from benchmarks import report
from benchmarks.cluster_simulation import WAVE_SECONDS, WORKERS, Cluster, simulate
from benchmarks.compare import machine
from sweep import MLP, Experiment, Ray, Record, SumOfSines, grid, linear_spaced, run_sweep, zipped
from sweep.page.identity import fingerprint
from sweep.results import store as stores
from sweep.results.store import Store
from sweep.runs.events import Ended
from sweep.runs.executors.on_ray import crew as crews
from sweep.runs.executors.on_ray.connection import connected
from sweep.runs.executors.on_ray.crew import Crew
from sweep.runs.executors.on_ray.messages import Given, Settings, Task
from sweep.runs.executors.on_ray.run import Counts, Run
from sweep.runs.executors.on_ray.worker import Worker
from sweep.runs.layout import create
from sweep.runs.planning import plan_sweep
from sweep.runs.progress import Progress

RESULTS: Final = Path(__file__).parent / "cluster.json"
FIGURE: Final = Path(__file__).parent / "cluster.svg"
EMPTY_WAVES: Final = 10_000
GOALS: Final = {"two workers over one": 1.9, "one worker over none": 1.1, "waves a second": 200}
STORE_RATE: Final = 200e6  # bytes a second, of a file system of a cluster: an assumption
HOURS_BETWEEN_LOSSES: Final = 6.0  # of a spot machine: an assumption


def page(epochs: int) -> Experiment:
    """Make a page of waves that take some seconds each."""
    return Experiment(
        question="How fast are several workers?", task=SumOfSines(frequencies=(1, 3), points=128),
        model=MLP(width=64, depth=3), epochs=epochs,
        axes=zipped(seed=range(32), data_seed=range(32)) * grid(learning_rate=(1e-3, 1e-2)),
        record=Record(metrics=("loss", "spectral_error"), at=linear_spaced(20)),
    )  # fmt: skip


class Stopwatch:
    """When the first wave began, and when all had ended, as `watch` of `run_sweep`."""

    def __init__(self) -> None:
        self.called, self.began, self.ended = time.perf_counter(), 0.0, 0.0

    def __call__(self, progress: Progress) -> None:
        """Note the time."""
        now = time.perf_counter()
        ready = progress.staff is None or progress.staff.alive == progress.staff.wanted
        if progress.stage == "training":
            if not self.began and ready:
                self.began, self.at = now, progress.lane_steps
            self.ended, self.steps = now, progress.lane_steps

    def rate(self) -> float:
        """Lane-steps a second, from when all workers were ready."""
        return (self.steps - self.at) / (self.ended - self.began)


def timed(experiment: Experiment, ray: Ray | None, devices: int) -> dict[str, float]:
    """Time one sweep."""
    watch = Stopwatch()
    run_sweep(experiment, ray=ray, devices=devices, watch=watch)
    return {"start": watch.began - watch.called, "train": watch.ended - watch.began, "rate": watch.rate()}


def compare(experiment: Experiment, repeats: int) -> dict[str, Any]:
    """Time the same sweep without Ray and on one and two workers, in turns."""
    sides: dict[str, tuple[Ray | None, int]] = {
        "no Ray, two cores": (None, 2),
        "one worker of two cores": (Ray(workers=1), 2),
        "two workers of one core": (Ray(workers=2), 1),
        "one worker of one core": (Ray(workers=1), 1),
    }
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in sides}
    for _ in range(repeats):
        for name, (ray, devices) in sides.items():
            runs[name].append(timed(experiment, ray, devices))
    found: dict[str, Any] = {
        name: {key: median(run[key] for run in own) for key in own[0]} for name, own in runs.items()
    }
    rate = {name: own["rate"] for name, own in found.items()}
    found["two workers over one"] = rate["two workers of one core"] / rate["one worker of one core"]
    found["one worker over none"] = rate["no Ray, two cores"] / rate["one worker of two cores"]
    found["two workers over none"] = rate["no Ray, two cores"] / rate["two workers of one core"]
    return found | {"repeats": repeats}


class EmptyWorker(Worker):
    """A worker whose waves end at once."""

    def begin(self, task: Task) -> None:
        """Get ready as usual, but for waves without content."""
        super().begin(task)
        assert self._shift is not None
        shift = self._shift
        shift.train = lambda wave: shift.mailbox.put(Ended(wave, 0))  # type: ignore[method-assign]


@contextmanager
def empty_workers(workers: int) -> Iterator[Crew]:
    """Have such workers within a `with` block."""
    before, crews.Worker = crews.Worker, EmptyWorker
    try:
        with connected(None) as ray:
            crew = Crew(ray, Settings(str(Path.cwd()), {}), workers, 1)
            yield crew
            for member in list(crew.members.values()):
                crew.dismiss(member)
    finally:
        crews.Worker = before


def schedule_empty_waves(folder: Path, waves: int, workers: int) -> dict[str, Any]:
    """Time the scheduling of waves without content: many with a message, as short waves have, and one, as long ones."""
    several = waves_a_second(folder / "several", waves, workers)
    with patch.object(Run, "_ahead", lambda self: 1):
        one = waves_a_second(folder / "one", waves // 4, workers)
    return {"workers": workers, "waves": waves, "waves a second": several, "waves a second, one with a message": one}


def waves_a_second(folder: Path, waves: int, workers: int) -> float:
    """Time the scheduling of waves without content."""
    folder.mkdir()
    experiment = replace(page(1), axes=grid(seed=(0,)))
    with empty_workers(workers) as crew:
        crew.start(lambda: None)
        plan = plan_sweep(experiment, devices=1)
        create(plan, folder / "store")
        with stores.hold(folder / "store") as lock:
            task = Task(
                Given(experiment), fingerprint(experiment), str(folder / "store"), lock.token, "", plan.wave_lanes,
                plan.memory, 1,
            )  # fmt: skip
            many = replace(plan, waves=plan.waves[:1] * waves)
            run = Run(crew, task, many, Store(folder / "store", lock), range(waves), Counts())
            events = run.to_the_end(lambda: None)
            ended, began = 0, 0.0
            for event in events:
                if isinstance(event, Ended):
                    began = began or time.perf_counter()
                    ended += 1
            seconds = time.perf_counter() - began
    return ended / seconds


def simulated(measured: dict[str, Any]) -> dict[str, Any]:
    """Simulate clusters with what was measured."""
    message_seconds = 1 / measured["empty"]["waves a second, one with a message"]
    assumed = Cluster(
        workers=0, wave_seconds=0.0, spread=0.1, message_seconds=message_seconds,
        wave_bytes=measured["wave_bytes"], store_rate=STORE_RATE, hours_between_losses=HOURS_BETWEEN_LOSSES,
        replacement_seconds=measured["speed"]["one worker of one core"]["start"],
    )  # fmt: skip
    rows = [simulate(replace(assumed, workers=w, wave_seconds=s)) for s in WAVE_SECONDS for w in WORKERS]
    assumptions = {name: getattr(assumed, name) for name in (
        "spread", "message_seconds", "wave_bytes", "store_rate", "hours_between_losses", "replacement_seconds",
        "waves_each",
    )}  # fmt: skip
    return {"assumptions": assumptions, "rows": rows}


def bytes_of_a_wave(folder: Path, experiment: Experiment) -> float:
    """Measure what one wave of the page writes."""
    run_sweep(replace(experiment, epochs=20), out=folder / "bytes", devices=1)
    chunks = [each.stat().st_size for each in (folder / "bytes").glob("*/c/**/*") if each.is_file()]
    return float(sum(chunks))


def draw(rows: Sequence[dict[str, Any]], file: Path) -> None:
    """Draw how much of its workers a simulated cluster uses."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot as plt

    colours = ("#d55e00", "#0072b2", "#009e73")
    figure, axes = plt.subplots(figsize=(6.0, 3.6), layout="constrained")
    for seconds, colour in zip(WAVE_SECONDS, colours, strict=True):
        own = [row for row in rows if row["wave_seconds"] == seconds]
        axes.plot([row["workers"] for row in own], [row["efficiency"] for row in own], "o-", color=colour,
                  label=f"waves of {seconds:g} s")  # fmt: skip
    axes.set_xscale("log")
    axes.set_xticks(WORKERS, [f"{workers:,}" for workers in WORKERS], minor=False)
    axes.set_xticks([], minor=True)
    axes.set_ylim(0, 1.05)
    axes.set_xlabel("workers")
    axes.set_ylabel("share of the workers' time\nthat trains what is stored")
    axes.set_title("Simulated: short waves saturate the store", fontsize="medium", loc="left")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    figure.savefig(file)


@dataclass(frozen=True)
class Options:
    """Measure sweeps on Ray, and simulate clusters.

    Args:
        write: keep the results in benchmarks/cluster.json, and the figure.
        epochs: of the page; 6,000 are more than 20 s of one core.
        repeats: of each side, in turns.
        simulate: only simulate again, with what was measured before.
    """

    write: bool = False
    epochs: int = 6000
    repeats: int = 3
    simulate: bool = False


def main(options: Options) -> None:
    """Measure, print and keep."""
    with tempfile.TemporaryDirectory() as made:
        folder, experiment = Path(made), page(options.epochs)
        if options.simulate:
            results = json.loads(RESULTS.read_text())
        else:
            results = {
                "machine": machine(),
                "goals": GOALS,
                "speed": compare(experiment, options.repeats),
                "empty": schedule_empty_waves(folder, EMPTY_WAVES, 2),
                "wave_bytes": bytes_of_a_wave(folder, experiment),
            }
        results["simulated"] = simulated(results)
    print(json.dumps(results, indent=1))
    if options.write:
        RESULTS.write_text(json.dumps(report.round_numbers(results), indent=1) + "\n")
        draw(results["simulated"]["rows"], FIGURE)


if __name__ == "__main__":
    main(tyro.cli(Options))
