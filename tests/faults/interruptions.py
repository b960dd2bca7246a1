"""Signals at random moments of a real run, from its start to its last line; then the command that it printed."""

import json
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
from .trials import Campaign, Case, busy

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
CODES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129, signal.SIGUSR1: 138, signal.SIGUSR2: 140}
PAGE_NAME, STORE = "my page.py", "it's a store"  # a shell would not leave them as they are
COMMAND = (sys.executable, "-m", "sweep.run", PAGE_NAME, "--out", STORE, "--resume")
TRIALS = 60
SECONDS = {"train": 5.0, "draw": 1.0}  # within which a signal is to be obeyed
SLACK = 4.0  # times that, as cores are shared here: beyond it a run counts as hanging


@dataclass(frozen=True)
class Prepared:
    """The page, the results and files of an uninterrupted run, and the duration of each of its stages."""

    folder: Path
    holds: dict[str, Any]
    files: dict[str, bytes]
    stages: dict[str, tuple[float, float]]


def start(folder: Path, command: Sequence[str] = COMMAND) -> subprocess.Popen[str]:
    """Start the run with the default action for signals, even if this process runs under nohup."""
    return subprocess.Popen(
        ["env", f"--default-signal={','.join(number.name for number in CODES)}", *command],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "JAX_PLATFORMS": "cpu", "COLUMNS": "100"},
    )


def stage_of(folder: Path) -> str:
    """Return the stage of a run, judged by the files that it has written."""
    store = folder / STORE
    if not (store / "zarr.json").exists():
        return "begin"
    if '"complete": true' in (store / "zarr.json").read_text(errors="replace"):
        return "draw"
    return "train" if any(store.glob("heartbeat*")) and any(store.glob("loss/c/*")) else "compile"


def prepared(folder: Path) -> Prepared:
    """Run the page undisturbed, and note when each stage began and ended."""
    folder.mkdir(parents=True)
    (folder / PAGE_NAME).write_text(PAGE)
    run, begun, seen = start(folder), time.monotonic(), {}
    while run.poll() is None:
        stage, now = stage_of(folder), time.monotonic() - begun
        seen[stage] = (seen.get(stage, (now, now))[0], now)
        time.sleep(0.01)
    _, err = run.communicate()
    assert run.returncode == 0, err
    return Prepared(folder, whole(folder / STORE), content(folder), seen)


@dataclass(frozen=True)
class Ended:
    """How a run ended that received a signal.

    Args:
        signal: what it was sent.
        stage: where it was by then.
        gone: whether it had ended before.
        code: its exit code.
        out: its standard output.
        err: its standard error.
        seconds: from the signal to the end.
    """

    signal: signal.Signals
    stage: str
    gone: bool
    code: int
    out: str
    err: str
    seconds: float

    def printed(self) -> str:
        """Return the command that it printed to go on, "" for none."""
        last = self.out.splitlines()[-2:]
        return last[1] if len(last) == 2 and last[0].startswith("stopped; ") else ""

    def describe(self) -> str:
        """Describe it in one line."""
        return f"{self.signal.name} in {self.stage}: code {self.code} after {self.seconds:.1f} s: {self.err[-200:]}"


def _trial(ready: Prepared, number: signal.Signals, stage: str, share: float) -> Callable[[Path], tuple[str, str]]:
    def run(folder: Path) -> tuple[str, str]:
        shutil.copy(ready.folder / PAGE_NAME, folder)
        process = start(folder)
        while process.poll() is None and stage_of(folder) != stage:
            time.sleep(0.005)
        first, last = ready.stages[stage]
        time.sleep(share * (last - first))
        at, gone = stage_of(folder), process.poll() is not None
        process.send_signal(number)  # nothing is sent to what has ended
        sent = time.monotonic()
        try:
            out, err = process.communicate(timeout=60 * busy())
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            return "hang", f"{number.name} in {at}: nothing within a minute"
        ended = Ended(number, at, gone, process.returncode, out, err.strip(), time.monotonic() - sent)
        return _obeyed(ended) or _kept(folder, ended) or _gone_on(ready, folder, ended)

    return run


def _obeyed(ended: Ended) -> tuple[str, str] | None:
    """Judge how a signal was obeyed; return None if it was obeyed properly."""
    # Python itself is starting still, or it is ending, after all has been said.
    alone = -ended.signal if ended.stage == "begin" or "\nfigures " in ended.out else 0
    if ended.code == 1:
        return "internal", ended.describe()
    if ended.code == 0 and not ended.gone and ended.seconds > 0.1:
        return "untidy", f"swallowed: {ended.describe()}"
    if ended.code not in (0, CODES[ended.signal], alone):
        return "untidy", ended.describe()
    if ended.seconds > SLACK * busy() * SECONDS["draw" if ended.stage == "draw" else "train"]:
        return "hang", ended.describe()
    if ended.code and len(ended.err.splitlines()) > 1:
        return "untidy", ended.describe()
    return None


def _kept(folder: Path, ended: Ended) -> tuple[str, str] | None:
    """Judge what a run keeps that was interrupted while it trained: the last segment, and how to go on."""
    if not ended.code or ended.stage != "train":
        return None
    if not json.loads((folder / STORE / "zarr.json").read_text())["attributes"]["lane_steps"]:
        return "untidy", f"nothing is stored: {ended.describe()}"
    return None if ended.printed() else ("untidy", f"no command to go on: {ended.describe()}")


def _gone_on(ready: Prepared, folder: Path, ended: Ended) -> tuple[str, str]:
    """Go on with the printed command, as a shell reads it, and compare everything with an uninterrupted run."""
    again = start(folder, ("sh", "-c", ended.printed()) if ended.printed() else COMMAND)
    _, err = again.communicate()
    if again.returncode:
        detail = f"{ended.describe()}; --resume: code {again.returncode}: {err[-200:]}"
        return "internal" if again.returncode == 1 else "untidy", detail
    if differs := differences(opened(folder / STORE, arrays), ready.holds):
        return "silent", f"{ended.describe()}; then other {differs}"
    found = content(folder)
    if left := sorted({*found} - {*ready.files}):
        return "litter", f"{ended.describe()}; {', '.join(left[:5])} stays"
    if other := sorted(name for name in ready.files if found.get(name) != ready.files[name]):
        return "silent", f"{ended.describe()}; {', '.join(other[:5])} is other"
    return "right", f"{ended.seconds:.2f} s in {ended.stage}"


def cases(folder: Path, random: Random) -> Sequence[Case]:
    """List signals at random moments, equally many in each stage."""
    ready = prepared(folder)
    found = []
    for number in range(TRIALS):
        name, stage = list(CODES)[number % len(CODES)], list(ready.stages)[number // len(CODES) % len(ready.stages)]
        share = random.random()
        found.append(Case(f"{name.name} in {stage} at {share:.3f}", _trial(ready, name, stage, share)))
    return found


CAMPAIGN = Campaign(
    "signals", "SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2 at random moments of each stage of a real run",
    cases, quick=0, sample=10,
)  # fmt: skip
