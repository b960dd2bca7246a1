"""Signals at random moments of a real run, from its first moment to its last line, and the run that goes on."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from .crashes import content
from .stores import arrays, differences, opened, whole
from .trials import Campaign, Case

PAGE = """
from sweep import Experiment, Figure, MLP, Record, SumOfSines, grid, log_spaced, zipped
experiment = Experiment(
    question="Is a signal obeyed?",
    task=SumOfSines(frequencies=(1, 2), points=64),
    model=MLP(depth=2, width=16),
    axes=zipped(seed=range(16), data_seed=range(16)) * grid(learning_rate=(1e-3, 1e-2)),
    epochs=4000,
    record=Record(at=log_spaced(20), snapshots=4),
    figures=(Figure("loss_curves"), Figure("frequency_epoch"), Figure("curves"), Figure("fits"), Figure("space_epoch")),
)
"""
CODES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}
TRIALS = 60
SECONDS = {"train": 5.0, "draw": 1.0}  # within which a signal is to be obeyed
SLACK = 4.0  # times that, as cores here are shared: beyond it a run is taken to hang


@dataclass(frozen=True)
class Prepared:
    """The page, what an undisturbed run of it holds and leaves, and how long each of its stages took."""

    folder: Path
    holds: dict[str, Any]
    files: dict[str, bytes]
    stages: dict[str, tuple[float, float]]


def start(folder: Path) -> subprocess.Popen[str]:
    """Start the run."""
    return subprocess.Popen(
        [sys.executable, "-m", "sweep.run", "page.py", "--out", "store", "--resume"],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "JAX_PLATFORMS": "cpu", "COLUMNS": "100"},
    )


def stage_of(folder: Path) -> str:
    """Tell where a run is by what it has written."""
    store = folder / "store"
    if not (store / "zarr.json").exists():
        return "begin"
    if '"complete": true' in (store / "zarr.json").read_text(errors="replace"):
        return "draw"
    return "train" if any(store.glob("heartbeat*")) and any(store.glob("loss/c/*")) else "compile"


def prepared(folder: Path) -> Prepared:
    """Run the page undisturbed, and note when each stage began and ended."""
    folder.mkdir(parents=True)
    (folder / "page.py").write_text(PAGE)
    run, begun, seen = start(folder), time.monotonic(), {}
    while run.poll() is None:
        stage, now = stage_of(folder), time.monotonic() - begun
        seen[stage] = (seen.get(stage, (now, now))[0], now)
        time.sleep(0.01)
    out, err = run.communicate()
    assert run.returncode == 0, err
    return Prepared(folder, whole(folder / "store"), content(folder), seen)


def _trial(ready: Prepared, number: signal.Signals, stage: str, share: float) -> Callable[[Path], tuple[str, str]]:
    def run(folder: Path) -> tuple[str, str]:
        shutil.copy(ready.folder / "page.py", folder)
        process = start(folder)
        while process.poll() is None and stage_of(folder) != stage:
            time.sleep(0.005)
        first, last = ready.stages[stage]
        time.sleep(share * (last - first))
        at = stage_of(folder)
        gone = process.poll() is not None
        if not gone:
            process.send_signal(number)
        sent = time.monotonic()
        limit = SECONDS["draw" if at == "draw" else "train"]
        try:
            out, err = process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            return "hang", f"{number.name} in {at}: nothing within 60 s"
        return _judged(ready, folder, number, at, process.returncode, err, time.monotonic() - sent, limit, gone)

    return run


def _judged(
    ready: Prepared,
    folder: Path,
    number: signal.Signals,
    at: str,
    code: int,
    err: str,
    took: float,
    limit: float,
    gone: bool,
) -> tuple[str, str]:
    told = f"{number.name} in {at}: code {code} after {took:.1f} s: {err.strip()[-200:]}"
    if code == 1:
        return "internal", told
    if code == 0 and not gone and took > 0.1:
        return "untidy", f"swallowed: {told}"
    if code not in (0, CODES[number], -number if at == "begin" else 0):
        return "untidy", told
    if took > SLACK * limit:
        return "hang", told
    if code != 0 and len([line for line in err.splitlines() if line.strip()]) > 1:
        return "untidy", told
    again = start(folder)
    _, err = again.communicate()
    if again.returncode != 0:
        return (
            "internal" if again.returncode == 1 else "untidy",
            f"{told}; --resume: code {again.returncode}: {err[-200:]}",
        )
    if differs := differences(opened(folder / "store", arrays), ready.holds):
        return "silent", f"{told}; then other {differs}"
    found = content(folder)
    if left := sorted({*found} - {*ready.files}):
        return "litter", f"{told}; {', '.join(left[:5])} stays"
    if other := sorted(name for name in ready.files if found.get(name) != ready.files[name]):
        return "silent", f"{told}; {', '.join(other[:5])} is other"
    return "right", f"{took:.2f} s in {at}"


def cases(folder: Path, random: Random) -> Sequence[Case]:
    """List signals at random moments, as many in each stage."""
    ready = prepared(folder)
    found = []
    for number in range(TRIALS):
        name, stage = list(CODES)[number % 3], list(ready.stages)[number // 3 % len(ready.stages)]
        share = random.random()
        found.append(Case(f"{name.name} in {stage} at {share:.3f}", _trial(ready, name, stage, share)))
    return found


CAMPAIGN = Campaign(
    "signals", "SIGINT, SIGTERM, SIGHUP at random moments of each stage of a real run", cases, quick=0, sample=12
)
