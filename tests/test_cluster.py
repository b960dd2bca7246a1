"""The scripts of docs/cluster.md, with commands in place of Slurm's and of Python's that say how they were called."""

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from sweep.cli.command import parse_known
from sweep.results.store import Part
from sweep.run import PROG, Options

TEXT = (Path(__file__).parents[1] / "docs" / "cluster.md").read_text()
SCRIPTS = re.findall(r"```bash\n(.*?)```", TEXT, re.DOTALL)
STUBS = {
    "srun": 'shift; exec "$@"',
    "ssh": 'shift; eval "$1"',
    "scontrol": 'echo "scontrol $*" >> "$LOG"',
    "python": 'echo "GPU=$CUDA_VISIBLE_DEVICES $*" >> "$LOG"\n'
    'while [ $# -gt 1 ]; do if [ "$1" = --out ]; then mkdir -p "$2"; echo more >> "$2/held"; fi; shift; done\n'
    "exit $CODE",
}


@pytest.fixture
def run(tmp_path: Path):
    (tmp_path / "bin").mkdir()
    for name, text in STUBS.items():
        (tmp_path / "bin" / name).write_text(f"#!/bin/bash\n{text}\n")
        (tmp_path / "bin" / name).chmod(0o755)

    def called(script: str, *args: str, code: int = 0) -> tuple[int, list[str]]:
        log = tmp_path / "log"
        log.unlink(missing_ok=True)
        env = {
            **os.environ, "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}", "LOG": str(log), "CODE": str(code),
            "SLURM_ARRAY_TASK_ID": "3", "SLURM_JOB_ID": "77", "TMPDIR": str(tmp_path / "local"),
            "CUDA_VISIBLE_DEVICES": "",
        }  # fmt: skip
        done = subprocess.run(["bash", "-c", script, "script", *args], cwd=tmp_path, env=env, check=False)
        return done.returncode, sorted(log.read_text().splitlines())

    return called


def parts_of(lines: list[str]) -> list[Part]:
    found = []
    for line in lines:
        options, rest = parse_known(Options, shlex.split(line.partition("sweep.run ")[2]), PROG)
        assert not rest
        assert options.page == Path("experiments/page.py")
        found.append(Part.parse(options.part or ""))
    return found


def test_loops_start_each_part_once(run) -> None:
    code, lines = run(SCRIPTS[0])
    assert code == 0
    assert parts_of(lines) == [Part(number, 4) for number in (1, 2, 3, 4)]
    assert [line.split()[0] for line in lines] == ["GPU=0", "GPU=1", "GPU=2", "GPU=3"]
    assert parts_of(run(SCRIPTS[3])[1]) == [Part(number, 3) for number in (1, 2, 3)]


@pytest.mark.parametrize("script", SCRIPTS[1:3])
def test_a_task_trains_its_part_and_is_queued_again_when_its_time_is_over(run, script: str, tmp_path: Path) -> None:
    for code, queued in ((0, []), (138, ["scontrol requeue 77"]), (143, []), (2, [])):
        ended, lines = run(script, "16", "experiments/page.py", code=code)
        assert ended == code
        assert parts_of(lines[:1]) == [Part(3, 16)]
        assert lines[1:] == queued
    if "results/parts" in script:  # each start went on with the copy of the one before
        assert (tmp_path / "results" / "parts" / "3" / "held").read_text() == "more\n" * 4
        assert not list((tmp_path / "local").glob("*"))
