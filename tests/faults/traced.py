"""SIGKILL or a full disk at the n-th system call of a kind, by strace."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random

import matplotlib

from . import trials
from .crashes import STAGES, Prepared, begun, judge_after, prepared
from .stores import small_waves
from .trials import Campaign, Case

CALLS = {  # the largest number of calls that a thread makes
    "write": 120, "rename": 40, "mkdir": 20, "unlink": 60, "fsync": 12, "link": 60, "ftruncate": 4, "rmdir": 4,
}  # fmt: skip
FAULTS = {"signal=SIGKILL": 40, "error=ENOSPC": 20}  # trials of each stage
SECONDS = 300
PROGRAM = "from tests.faults.traced import main; main()"  # with the small waves that undisturbed runs have
FULL = ("write", "mkdir", "rename", "fsync")


def missing() -> str:
    """Return why it can't be run here, "" if it can."""
    if not shutil.which("strace"):
        return "strace is not installed: apt-get install strace"
    done = subprocess.run(["strace", "-e", "trace=none", "true"], capture_output=True, check=False)
    return "strace may trace nothing here" if done.returncode else ""


def main() -> None:
    """Run the command that the command line names, with small waves."""
    from sweep.cli.command import run_command

    name = sys.argv.pop(1)
    with small_waves():
        run_command(trials.command(name))


def _traced(ready: Prepared, stage: str, call: str, fault: str, at: int) -> Callable[[Path], tuple[str, str]]:
    def run(folder: Path) -> tuple[str, str]:
        begun(ready, stage, folder)
        name, args = STAGES[stage]
        inject = f"{call}:{fault}:when={at}" + ("+" if "error" in fault else "")
        options = f"-f --seccomp-bpf -qq -o /dev/null -e trace={call} -e inject={inject}"
        env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "JAX_PLATFORMS": "cpu", "HOME": str(folder)}
        env["MPLCONFIGDIR"] = matplotlib.get_cachedir()
        try:
            done = subprocess.run(
                ["strace", *options.split(), sys.executable, "-B", "-c", PROGRAM, name, *args],
                cwd=folder, env=env, capture_output=True, text=True, timeout=SECONDS, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return "hang", f"{inject}: {SECONDS} s"
        reply = f"{inject}: code {done.returncode}: {done.stderr.strip()[-200:]}"
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        if "error" in fault and done.returncode not in (0, 2):
            return "internal", reply
        if "error" in fault and done.returncode == 2 and len(lines) > 1:
            return "untidy", reply
        outcome, detail = judge_after(ready, stage, folder, reply)
        return ("refused" if outcome == "right" and done.returncode == 2 else outcome), detail

    return run


def cases(folder: Path, random: Random) -> Sequence[Case]:
    """List faults at drawn counts of each call in each stage."""
    ready = prepared(folder)
    found = []
    for stage in STAGES:
        for fault, most in FAULTS.items():
            names = FULL if "error" in fault else tuple(CALLS)
            for number in range(most):
                call = names[number % len(names)]
                at = random.randint(1, CALLS[call])
                found.append(Case(f"{stage} {call} {at} {fault}", _traced(ready, stage, call, fault, at)))
    return found


CAMPAIGN = Campaign(
    "traced", "SIGKILL or ENOSPC at the n-th system call of a kind", cases, quick=0, sample=20, missing=missing
)
