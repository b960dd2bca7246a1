"""`sweep COMMAND`, which does what `python -m sweep.COMMAND` does."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from sweep.__main__ import COMMANDS

ROOT = Path(__file__).parents[2]


def call(folder: Path, *args: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-m", *args], cwd=folder, capture_output=True, text=True, check=False, timeout=100
    )
    return done.returncode, done.stdout, done.stderr


def test_sweep_is_installed_as_a_command() -> None:
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    assert scripts == {"sweep": "sweep.__main__:main"}


@pytest.mark.parametrize("args", [(), ("--help",), ("-h",)])
def test_help_lists_all_commands(args: tuple[str, ...], tmp_path: Path) -> None:
    code, out, err = call(tmp_path, "sweep", *args)
    assert (code, err) == (0, "")
    assert [line.split()[0] for line in out.splitlines() if line.startswith("  ")] == list(COMMANDS)


def test_every_command_can_be_called(tmp_path: Path) -> None:
    modules = {path.stem for path in (ROOT / "sweep").glob("*.py")} & {"run", "plot", "check", "merge"}
    folders = {path.parent.name for path in (ROOT / "sweep").glob("*/__main__.py")}
    assert set(COMMANDS) == modules | folders


@pytest.mark.parametrize("args", [("check", "nothing"), ("run", "--help")])
def test_a_command_does_what_its_module_does(args: tuple[str, ...], tmp_path: Path) -> None:
    assert call(tmp_path, "sweep", *args) == call(tmp_path, f"sweep.{args[0]}", *args[1:])


def test_an_unknown_command_is_refused_in_one_line(tmp_path: Path) -> None:
    assert call(tmp_path, "sweep", "rnu", "page.py") == (2, "", "sweep: unknown command 'rnu': did you mean 'run'?\n")
    code, _, err = call(tmp_path, "sweep", "train")
    assert code == 2
    assert err == "sweep: unknown command 'train': known: check, claims, compare, export, merge, plot, report, run\n"
    assert not list(tmp_path.iterdir())
