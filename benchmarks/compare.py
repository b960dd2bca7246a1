"""The benchmark: `python -m benchmarks.compare`, which `make bench` and `make bench-quick` run.

For each case all sides are started, given the same data and initial weights, compared after a few steps, tuned if they
have settings, and then timed in turn: one repeat of each side, then the next repeat.
"""

import os
import platform
import re
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import chain, pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
import tyro

from benchmarks import limit, report
from benchmarks.cases import CASES, CHECK_STEPS, QUICK, Case
from benchmarks.service import Choice, Worker

CORES: Final = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
TOLERANCE: Final = 1e-4
CHECK_LANES: Final = 4  # of each width, for sides that train one lane after another
TRIAL_SECONDS: Final = 0.4
# JAX by default, without its cache on disk, so that compilation is cold; TensorFlow without its log.
PLAIN: Final[dict[str, str | None]] = {
    "JAX_PLATFORMS": "cpu", "JAX_ENABLE_COMPILATION_CACHE": "false", "JAX_NUM_CPU_DEVICES": None, "XLA_FLAGS": None,
    "OMP_NUM_THREADS": None, "MKL_NUM_THREADS": None,
    "CUDA_VISIBLE_DEVICES": "", "TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": "tensorflow",
}  # fmt: skip


@dataclass(frozen=True)
class Kind:
    """A side in the benchmark.

    Args:
        name: its name in the results.
        workers: names of the processes that do the work, each an equal part of the lanes.
        side: its name in these processes.
        batched: whether lanes are trained together; then a short measurement takes fewer steps, otherwise fewer lanes.
        threads: number of threads of each process; None if it is tuned.
    """

    name: str
    workers: tuple[str, ...]
    side: str
    batched: bool
    threads: int | None = None


SWEEP: Final = Kind("sweep", ("sweep",), "sweep", True)
KINDS: Final = (
    Kind("vmap", ("jax",), "vmap", True),
    Kind("vmap_by_width", ("jax",), "vmap_by_width", True),
    Kind("loop", ("jax",), "loop", False),
    Kind("torch_loop", ("torch0",), "torch_loop", False),
    Kind("torch_loops", tuple(f"torch{core}" for core in range(CORES)), "torch_loop", False, threads=1),
    Kind("torch_vmap", ("torch0",), "torch_vmap", True),
    Kind("keras_fit", ("keras",), "keras_fit", False),
)
MODULES: Final = {"sweep": "side_sweep", "jax": "side_jax", "torch": "side_torch", "keras": "side_keras"}


def kinds(case: Case, peers: bool) -> list[Kind]:
    """List the peers that take part in a case."""
    left_out = set() if len(case.widths) > 1 else {"vmap_by_width"}
    left_out |= set() if case.batch_size else {"keras_fit"}
    if not peers:
        left_out |= {kind.name for kind in KINDS if kind.workers[0] != "jax"}
    return [kind for kind in KINDS if kind.name not in left_out]


class Contender:
    """A side with its processes, for one case.

    Args:
        kind: which side.
        case: the work.
        workers: all processes by name.
    """

    def __init__(self, kind: Kind, case: Case, workers: dict[str, Worker]) -> None:
        self.kind, self._case = kind, case
        self._workers = [workers[name] for name in kind.workers]

    def choices(self) -> dict[str, list[Any]]:
        """Give the settings that may be tuned, with their values, each once."""
        found = self._workers[0].ask("choices", side=self.kind.side)
        if self.kind.threads is not None:
            found["threads"] = [self.kind.threads]
        return {name: list(dict.fromkeys(values)) for name, values in found.items()}

    def train(self, lanes: int, steps: int, choice: Choice, check: bool = False) -> dict[str, Any]:
        """Train the first lanes of each width; with several processes the slowest one counts."""
        cuts = np.linspace(0, lanes, len(self._workers) + 1).round().astype(int).tolist()
        for worker, (start, stop) in zip(self._workers, pairwise(cuts), strict=True):
            worker.send(
                "train", side=self.kind.side, start=start, stop=stop, steps=steps, choice=choice,
                check=check,
            )  # fmt: skip
        answers = [worker.receive() for worker in self._workers]
        return {
            "seconds": max(answer["seconds"] for answer in answers),
            "compile_seconds": max(answer["compile_seconds"] for answer in answers),
            "losses": [list(chain(*parts)) for parts in zip(*(answer["losses"] for answer in answers), strict=True)],
        }

    def amount(self, rate: float, seconds: float) -> tuple[int, int]:
        """Choose numbers of lanes of each width and of steps that take about `seconds`, up to those of the case."""
        case, least = self._case, self._case.steps_per_epoch()
        lane_steps = rate * seconds / len(case.widths)  # of each width
        most = case.lanes
        lanes = most if self.kind.batched else min(most, max(len(self._workers), int(lane_steps / case.steps())))
        lanes -= lanes % len(self._workers) if lanes > len(self._workers) else 0
        steps = min(case.steps(), max(least, int(lane_steps / lanes) // least * least))
        return lanes, steps


def run_case(case: Case, peers: str | None, repeats: int, seconds: float, tune: bool) -> dict[str, Any]:
    """Compare, tune and time all sides of one case.

    Args:
        case: the work.
        peers: the interpreter of the peers' environment; None leaves those sides out.
        repeats: how often each side is timed.
        seconds: about how long a peer trains in one repeat.
        tune: whether to tune settings; otherwise the first value of each is used.
    """
    taking_part = kinds(case, peers is not None)
    names = dict.fromkeys(["sweep", *(name for kind in taking_part for name in kind.workers)])
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        workers = {}
        for name in names:
            module = MODULES[name.rstrip("0123456789")]
            python = sys.executable if name in ("sweep", "jax") else peers
            workers[name] = Worker(str(python), f"benchmarks.{module}", PLAIN)
            stack.callback(workers[name].close)
        versions = {name: worker.ask("hello")["versions"] for name, worker in workers.items()}
        opened = {
            name: worker.ask("open", case=asdict(case), path=str(folder / "handover.npz"))
            for name, worker in workers.items()
        }
        reference = _train_sweep(workers["sweep"], case, check=True)["losses"]
        _say(f"{case.title}: compiled in {opened['sweep']['compile_seconds']:.1f} s")
        sides: dict[str, Any] = {
            "sweep": {"lanes": case.lanes, "steps": case.steps(), "choice": {"tile": opened["sweep"]["tiles"]}}
            | {"compile_seconds": opened["sweep"]["compile_seconds"]}
        }
        contenders = [Contender(kind, case, workers) for kind in taking_part]
        for contender in contenders:
            sides[contender.kind.name] = _tune(contender, case, reference, seconds, tune)
            _say(f"  {contender.kind.name}: {_choice_words(sides[contender.kind.name])}")
        timed = _time_sides(case, workers["sweep"], contenders, sides, repeats)
    return {"case": asdict(case), "sides": sides, "versions": versions} | timed


def _train_sweep(sweep: Worker, case: Case, check: bool) -> dict[str, Any]:
    """Train with `sweep`, and check that it took all steps."""
    answer, steps = sweep.ask("train", check=check), CHECK_STEPS if check else case.steps()
    if set(answer["steps"]) != {steps}:
        raise SystemExit(f"sweep took {answer['steps']} steps in {case.name} instead of {steps}")
    return answer


def _tune(contender: Contender, case: Case, reference: list[list[float]], seconds: float, tune: bool) -> dict[str, Any]:
    """Tune a side's settings one after another; each choice is compared with `sweep` before it is timed."""
    options = contender.choices()
    best = {name: values[0] for name, values in options.items()}
    tried = [_try_choice(contender, case, reference, best)]
    for name, values in options.items() if tune else ():
        for value in values:
            choice = best | {name: value}
            if all(choice != trial["choice"] for trial in tried):
                tried.append(_try_choice(contender, case, reference, choice))
        best = max(tried, key=lambda trial: trial["rate"])["choice"]
    fastest = max(tried, key=lambda trial: trial["rate"])
    lanes, steps = contender.amount(fastest["rate"], seconds)
    return {
        "lanes": lanes, "steps": steps, "choice": fastest["choice"], "tried": len(tried),
        "compile_seconds": fastest["compile_seconds"],
        "largest_difference": max(trial["difference"] for trial in tried),
    }  # fmt: skip


def _try_choice(contender: Contender, case: Case, reference: list[list[float]], choice: Choice) -> dict[str, Any]:
    lanes = case.lanes if contender.kind.batched else min(case.lanes, max(CHECK_LANES, len(contender.kind.workers)))
    checked = contender.train(lanes, CHECK_STEPS, choice, check=True)
    difference = max(
        float(np.max(np.abs(np.subtract(theirs, ours[:lanes]))))
        for theirs, ours in zip(checked["losses"], reference, strict=True)
    )
    if not difference <= TOLERANCE:
        raise SystemExit(
            f"{contender.kind.name} and sweep disagree in {case.name}: training losses after {CHECK_STEPS} steps "
            f"differ by up to {difference:.3g}, more than {TOLERANCE:g}; nothing was timed"
        )
    rate = _lane_steps(case, lanes, CHECK_STEPS) / checked["seconds"]
    lanes, steps = contender.amount(rate, TRIAL_SECONDS)
    trained = contender.train(lanes, steps, choice)
    return {
        "choice": choice, "rate": _lane_steps(case, lanes, steps) / trained["seconds"], "difference": difference,
        # With batches, the timed program draws its orders, and is another one than the compared program.
        "compile_seconds": max(trained["compile_seconds"], checked["compile_seconds"]),
    }  # fmt: skip


def _lane_steps(case: Case, lanes: int, steps: int) -> int:
    return lanes * len(case.widths) * steps


def _time_sides(
    case: Case, sweep: Worker, contenders: Sequence[Contender], sides: dict[str, Any], repeats: int
) -> dict[str, Any]:
    """Time all sides in turn, and measure the machine's rates in each repeat."""
    rates: list[dict[str, float]] = []
    for side in sides.values():
        side["seconds"] = []
    for _ in range(repeats):
        sides["sweep"]["seconds"].append(_train_sweep(sweep, case, check=False)["seconds"])
        for contender in contenders:
            side = sides[contender.kind.name]
            side["seconds"].append(contender.train(side["lanes"], side["steps"], side["choice"])["seconds"])
        rates.append(sweep.ask("limit", activation=case.activation))
    for side in sides.values():
        side["lane_steps_per_second"] = [_lane_steps(case, side["lanes"], side["steps"]) / s for s in side["seconds"]]
    best = {name: max(rate[name] for rate in rates) for name in rates[0]}
    parts = limit.seconds(case, best)
    return {"limit": {"rates": best, "seconds": parts, "lane_steps_per_second": 1 / sum(parts.values())}}


def _choice_words(side: dict[str, Any]) -> str:
    return f"agrees within {side['largest_difference']:.1e}; {side['choice'] or 'nothing to tune'}"


def _say(line: str) -> None:
    print(line, flush=True)


def machine() -> dict[str, Any]:
    """Describe the machine, without its name."""
    try:
        found = re.search(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text())
    except OSError:
        found = None
    return {
        "cpu": found[1] if found else platform.processor() or platform.machine(),
        "cores": CORES,
        "system": platform.system(),
        "date": datetime.now(UTC).date().isoformat(),
        "load_before": round(os.getloadavg()[0], 2),
    }


def main(
    cases: tuple[str, ...] = tuple(CASES),
    repeats: int = 5,
    seconds: float = 1.0,
    peers: str | None = None,
    quick: bool = False,
) -> None:
    """Time the same work for sweep and its peers.

    Args:
        cases: names of the cases; results, tables and figure of this line of jax are rewritten only if all are run with
            all peers.
        repeats: how often each side is timed.
        seconds: about how long a peer trains in one repeat.
        peers: Python of the environment with PyTorch and Keras; without it, only sides in JAX take part.
        quick: run one small case against JAX alone, in under a minute.
    """
    if unknown := set(cases) - set(CASES):
        raise SystemExit(f"unknown case {', '.join(sorted(unknown))}: choose from {', '.join(CASES)}")
    chosen = [QUICK] if quick else [CASES[name] for name in dict.fromkeys(cases)]
    found: dict[str, Any] = {"machine": machine(), "repeats": repeats, "seconds": seconds, "cases": {}}
    for case in chosen:
        found["cases"][case.name] = run_case(case, peers, repeats, seconds, tune=not quick)
        _say(report.case_words(found["cases"][case.name]))
    if peers and len(chosen) == len(CASES):
        line = report.write(found)
        _say(f"wrote results-jax-{line}.json, benchmark-jax-{line}.svg and the tables in README.md, all in benchmarks/")
    elif not quick:
        _say("not all cases and peers took part, so the results in benchmarks/ are not changed")


if __name__ == "__main__":
    tyro.cli(main)
