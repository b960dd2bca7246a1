"""Commands with wrong or unusual settings of the shell work, or name the setting in one line."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

SAYING = """
import os, sys, warnings
from sweep.cli.command import run_guarded
def main(args):
    from rich.console import Console
    if "files" in args:
        from sweep.cli import streams
        streams.ignore_output_failures()
    Console(highlight=False).print("half: ∞ \\udcff")
    print("whole", os.environ.get("COLUMNS"), os.environ.get("LINES"))
sys.exit(run_guarded(main))
"""
PAGE = """
from sweep import MLP, Experiment, Figure, Record, SumOfSines, grid, log_spaced
experiment = Experiment(question="q?", task=SumOfSines(frequencies=(1,), points=16), model=MLP(depth=1, width=4),
    axes=grid(seed=range(8)) * grid(learning_rate=(1e-3, 1e-2)), epochs=5,
    record=Record(at=log_spaced(3), snapshots=2), figures=(Figure("loss_curves"),))
"""


def shell(command: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a shell's command line, in which $python is this Python."""
    known = os.environ | {"python": sys.executable, "PYTHONPATH": str(Path(__file__).parents[2])} | environment
    return subprocess.run(command, shell=True, cwd=folder, env=known, capture_output=True, text=True, timeout=300)


@pytest.fixture
def saying(tmp_path: Path) -> Path:
    (tmp_path / "say.py").write_text(SAYING)
    return tmp_path


FULL = "can't write to standard output: No space left on device"


@pytest.mark.parametrize(
    ("command", "code", "out", "err"),
    [
        ("$python say.py", 0, "half: ∞ \\udcff\nwhole 80 24\n", ""),
        ("PYTHONIOENCODING=ascii $python say.py", 0, "half: inf \\udcff\nwhole 80 24\n", ""),
        ("LC_ALL=C PYTHONUTF8=0 PYTHONCOERCECLOCALE=0 $python say.py", 0, "half: inf \\udcff\nwhole 80 24\n", ""),
        ("COLUMNS=0 LINES=0 $python say.py", 0, "half: ∞ \\udcff\nwhole None None\n", ""),
        ("COLUMNS=² LINES=many $python say.py", 0, "half: ∞ \\udcff\nwhole None None\n", ""),
        ("COLUMNS=3 $python say.py", 0, "half: ∞ \\udcff\nwhole 20 24\n", ""),
        ("$python say.py >&-", 0, "", ""),
        ("$python say.py <&- >&- 2>&-", 0, "", ""),
        ("$python say.py > /dev/full", 2, "", f"sweep: {FULL}; redirect it to another place\n"),
        ("$python say.py files > /dev/full", 0, "", f"note: {FULL}; nothing more is printed there\n"),
        ("$python say.py > /dev/full 2> /dev/full", 2, "", ""),
        ("PYTHONWARNINGS=error $python say.py", 0, "half: ∞ \\udcff\nwhole 80 24\n", ""),
    ],
)
def test_output_under_unusual_settings_of_the_shell(saying, command, code, out, err):
    done = shell(command, saying, COLUMNS="80", LINES="24")
    assert (done.returncode, done.stdout, done.stderr) == (code, out, err)


def test_output_of_other_libraries_is_shown_only_with_debug(tmp_path):
    (tmp_path / "noise.py").write_text(
        "import asyncio, gc, logging, sys, threading, warnings\n"
        "from sweep.cli.command import run_guarded\n"
        "class Late:\n    def __del__(self): raise ValueError('noise')\n"
        "async def fails(): raise ValueError('noise')\n"
        "async def loses():\n    task = asyncio.ensure_future(fails())\n    await asyncio.sleep(0)\n"
        "def main(args):\n"
        "    asyncio.run(loses()); gc.collect()\n"
        "    logging.getLogger('other').error('noise')\n"
        "    thread = threading.Thread(target=lambda: 1 / 0); thread.start(); thread.join()\n"
        "    Late(); warnings.warn('noise', RuntimeWarning)\n"
        "sys.exit(run_guarded(main))\n"
    )
    assert shell("$python noise.py", tmp_path).stderr == ""
    error = shell("$python noise.py --debug", tmp_path).stderr
    parts = ("never retrieved", "ZeroDivisionError", "Exception ignored", "RuntimeWarning")
    assert all(part in error for part in parts)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("strange")
    (folder / "page.py").write_text(PAGE)
    done = shell("$python -m sweep.run page.py --out store", folder)
    assert done.returncode == 0, done.stderr
    return folder


def drawn(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


@pytest.mark.slow
@pytest.mark.parametrize(
    "setting",
    [
        "MPLBACKEND=nonsense",
        "MATPLOTLIBRC=matplotlibrc",
        "PYTHONWARNINGS=error",
        "PYTHONHASHSEED=7",
        "HOME=/nowhere MPLCONFIGDIR=/proc/none XDG_CONFIG_HOME=/proc/x XDG_CACHE_HOME=/proc/y",
        "TMPDIR=/nowhere",
        "TERM=dumb",
        "FORCE_COLOR=1",
    ],
)
def test_figures_are_the_same_files_under_all_settings(store, tmp_path, setting):
    settings = "text.usetex: True\nfont.size: 20\naxes.facecolor: red\nbackend: nonsense\n"
    (store / "matplotlibrc").unlink(missing_ok=True)
    done = shell(f"{setting} $python -m sweep.plot store --out {tmp_path / 'plain'}", store)
    (store / "matplotlibrc").write_text(settings)
    other = shell(f"{setting} $python -m sweep.plot store --out {tmp_path / 'other'}", store)
    assert (done.returncode, other.returncode) == (0, 0), done.stderr + other.stderr
    assert drawn(tmp_path / "plain") == drawn(tmp_path / "other") == drawn(store / "store" / "figures")


@pytest.mark.slow
@pytest.mark.parametrize("command", ["sweep.plot store --out new", "sweep.run page.py --out new"])
def test_unreadable_settings_of_matplotlib_are_named_before_anything_is_written(store, command):
    (store / "matplotlibrc").write_bytes(b"\xff\xfe\x00")
    done = shell(f"$python -m {command}", store)
    (store / "matplotlibrc").unlink()
    assert done.returncode == 2
    assert done.stderr.startswith("sweep: matplotlib can't be loaded with its settings")
    assert done.stderr.count("\n") == 1
    assert not (store / "new").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    [
        *(f"sweep.export store --to {kind}" for kind in ("csv", "parquet", "netcdf", "tensorboard")),
        "sweep.plot store",
        "sweep.report store",
        "sweep.compare store --by learning_rate",
        "sweep.run page.py",
    ],
)
def test_a_full_disk_is_reported_in_one_line_and_no_partial_file_is_left(store, command):
    done = shell(f"ulimit -f 1; $python -B -m {command} --out new", store)
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("sweep: ")
    assert "new" in done.stderr
    assert "File too large" in done.stderr
    assert done.stderr.count("\n") == 1
    assert sorted(os.listdir(store)) == ["page.py", "store"]
