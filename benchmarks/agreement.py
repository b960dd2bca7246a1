"""Training in `sweep` against the code of the questions: `python -m benchmarks.agreement`, which `make agreement` runs.

The first lane of a page is trained by `sweep` and, from the same initial weights, on the same points and with the same
order of batches, by the Keras or PyTorch code in the question. The curves of the training loss have to agree.
"""

import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from math import pi
from pathlib import Path
from typing import Any, Final

import numpy as np
import tyro

from benchmarks import compare, report
from benchmarks.handover import Handover
from benchmarks.service import Worker, versions
from benchmarks.side_sweep import draw_handover
from sweep import Experiment, Record, load
from sweep.engine.plan import Plan, pack
from sweep.engine.walk import walk_wave
from sweep.page.axes import Axes
from sweep.page.resolve import resolve
from sweep.runs.devices import use_all_cores
from sweep.specs import every

ROOT: Final = Path(__file__).parents[1]
STEPS: Final = 200
TOLERANCE: Final = 1e-3  # largest difference of two losses, relative to the loss and to its decrease in all steps
ROUNDING: Final = 1e-5  # of float32, for points and targets of order 1


@dataclass(frozen=True)
class System:
    """A system, that is data, network and training, from one of the questions.

    Args:
        id: its name in the pages.
        title: what it is.
        page: the page whose first lane it is.
        variable: the name of the experiment in that page.
        side: the module that trains it with the code of the question.
        points: the number of its training points.
        low, high: the range of these points.
        target: the noiseless target as a function of x.
        noise: standard deviation of the noise on the target.
    """

    id: str
    title: str
    page: str
    variable: str
    side: str
    points: int
    low: float
    high: float
    target: Callable[[np.ndarray], np.ndarray]
    noise: float = 0.0


SYSTEMS: Final = (
    System(
        "000a", "Keras: 1-16-16-1 ReLU, Adam, batches of 32", "relu_extrapolation", "experiment", "original_keras",
        points=100, low=0.0, high=2 * pi, target=np.sin,
    ),
    System(
        "001a", "PyTorch: 1-200-200-1 ReLU, SGD, 1500 points", "centre_before_edges", "full", "original_torch",
        points=1500, low=-7.5, high=7.5, target=lambda x: np.sin(2 * x),
    ),
    System(
        "002a", "PyTorch: 1-128-1 tanh, tanh output, sum of squares", "wiggly_tanh", "experiment", "original_torch",
        points=4000, low=-1.0, high=9.0, target=lambda x: np.sin(x) / 2.5, noise=0.05,
    ),
)  # fmt: skip


def first_lane(experiment: Experiment) -> Experiment:
    """Give the first lane of a page, with its loss recorded after every step."""
    axes = Axes(tuple(replace(factor, rows=factor.rows[:1]) for factor in experiment.axes.factors))
    record = Record(metrics=("loss",), at=every(1), snapshots=0)
    return replace(experiment, axes=axes, record=record, figures=(), claims=())


def compare_system(system: System, worker: Worker, steps: int) -> dict[str, Any]:
    """Train a system with `sweep` and with the code of the question.

    Args:
        system: the system.
        worker: the process that runs the code of the question.
        steps: the number of steps.

    Returns:
        The first and the last loss, the largest relative difference of two losses, and the largest difference relative
        to the decrease of the loss, since some losses hardly decrease in so few steps.
    """
    experiment = first_lane(load(ROOT / "experiments" / "questions" / f"{system.page}.py", system.variable))
    plan = pack(resolve(experiment))
    ((block, _),) = plan.blocks()
    handover = draw_handover(plan, (block.training.shape.model.width,), steps)  # type: ignore[attr-defined]
    check_data(system, handover)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "handover.npz"
        handover.save(path)
        answer = worker.ask("train", system=system.id, path=str(path), steps=steps)
    ours, theirs = _losses(plan, steps), np.array(answer.pop("losses"))
    relative, absolute = np.abs(theirs / ours - 1), np.abs(theirs - ours)
    of_decrease = float(absolute.max() / (ours.max() - ours.min()))
    return {
        "page": system.page, "variable": system.variable, "title": system.title, "steps": steps,
        "loss_before": float(ours[0]), "loss_after": float(ours[-1]), "their_loss_after": float(theirs[-1]),
        "largest_relative_difference": float(relative.max()), "at_step": int(relative.argmax()),
        "of_what_was_learnt": of_decrease,
        "agrees": bool(max(relative.max(), of_decrease) <= TOLERANCE), **answer,
    }  # fmt: skip


def check_data(system: System, handover: Handover) -> None:
    """Check that the page's points and targets are those of the system.

    Raises:
        SystemExit: if they are not.
    """
    x, y = handover.inputs[:, 0].astype(float), handover.groups[0].target[0]
    noise = y - system.target(x)
    is_same = len(x) == system.points and x.min() >= system.low - ROUNDING and x.max() <= system.high + ROUNDING
    if system.noise:
        is_same &= (
            abs(noise.std() / system.noise - 1) < 5 / np.sqrt(2 * len(x)) and abs(noise.mean()) < system.noise / 10
        )
    else:
        is_same &= np.abs(noise).max() < ROUNDING
    if not is_same:
        raise SystemExit(
            f"the data of page {system.page} are not those of {system.id}: compare its task with the question"
        )


def _losses(plan: Plan, steps: int) -> np.ndarray:
    """Train a lane and give the loss over all points before the first step and after each."""
    losses: list[float] = []
    with closing(walk_wave(plan, 0)) as segments:
        for segment in segments:
            losses += [] if segment.record is None else [float(segment.values[0]["loss"][0])]
            if len(losses) > steps:
                break
    return np.array(losses)


@contextmanager
def start_workers(peers: str) -> Iterator[dict[str, Worker]]:
    """Start the processes that run the code of the questions, and close them at the end."""
    workers = {side: Worker(peers, f"benchmarks.{side}", compare.PLAIN) for side in {system.side for system in SYSTEMS}}
    try:
        yield workers
    finally:
        for worker in workers.values():
            worker.close()


def _table(found: dict[str, dict[str, Any]]) -> str:
    head = ("system", "what", "page", "loss before", "after", "theirs", "largest difference", "agrees")
    return report.table(head, [_row(name, result) for name, result in found.items()])


def _row(name: str, result: dict[str, Any]) -> tuple[str, ...]:
    losses = (f"{result[key]:.5g}" for key in ("loss_before", "loss_after", "their_loss_after"))
    difference = (
        f"{result['largest_relative_difference']:.1e} of the loss (step {result['at_step']}), "
        f"{result['of_what_was_learnt']:.1e} of what was learnt"
    )
    return (name, result["title"], f"`{result['page']}`", *losses, difference, "yes" if result["agrees"] else "**no**")


def main(peers: str, steps: int = STEPS) -> None:
    """Compare the curves of the training loss.

    Args:
        peers: Python of the environment with PyTorch and Keras.
        steps: number of optimiser steps; results are written only for the default.
    """
    use_all_cores()
    with start_workers(peers) as workers:
        known = versions()
        for worker in workers.values():
            known |= worker.ask("hello")["versions"]
        found = {system.id: compare_system(system, workers[system.side], steps) for system in SYSTEMS}
    print(_table(found))
    if steps == STEPS:
        machine = {"cpu": compare.machine()["cpu"], "date": compare.machine()["date"], "versions": known}
        results = {"tolerance": TOLERANCE, "machine": machine, "systems": found}
        (report.HERE / "agreement.json").write_text(json.dumps(results, indent=1) + "\n")
        report.replace_between("agreement", _table(found))
    if not all(result["agrees"] for result in found.values()):
        sys.exit(f"curves differ by more than {TOLERANCE:g}")


if __name__ == "__main__":
    tyro.cli(main)
