"""The first minutes on an accelerator: `python -m benchmarks.accelerator`, which `make bench-accelerator` runs.

In under eight minutes: the rates of the card; checks of its numbers; `sweep` beside plain JAX and PyTorch with few and
many lanes; other sizes of tiles than the plan's; a profile of one segment; the engine's core tests. Each part is a
process of its own with a time limit, so that a crash or a hang ends one part, and what was found is written after each
step, to benchmarks/accelerator-<card>.json. On CPU nothing is written but with `--out`.

Where there is no network, lay wheels beside the repository's files first, on a machine that has one (7 MB):

    python -m pip download --no-deps --only-binary=:all: --python-version 3.12 --implementation cp \
        --platform manylinux_2_28_x86_64 --platform manylinux_2_17_x86_64 --platform manylinux2014_x86_64 \
        -c constraints.txt -r benchmarks/accelerator-wheels.txt -d wheels

and then this is all, with Python 3.12 and jax with CUDA, flax, optax, scipy, pandas, xarray, matplotlib and pytest:

    python -m pip install --no-index --no-deps --find-links wheels --target deps -r benchmarks/accelerator-wheels.txt \
        && PYTHONPATH=deps python -m benchmarks.accelerator
"""

import importlib.util
import json
import os
import re
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import tyro
from rich.console import Console

from benchmarks.accelerator_constants import wanted_constants
from benchmarks.accelerator_parts import ROOT, Part, run_part
from benchmarks.accelerator_report import problems, show
from benchmarks.accelerator_work import FIXED, SIZES
from benchmarks.compare import machine
from benchmarks.service import versions
from sweep.files.atomic_files import write_file

HERE: Final = Path(__file__).parent
PARTS: Final = ("limits", "checks", "cells", "torch", "tiles", "profile", "tests")
OF_ITEMS: Final = ("cells", "torch", "tiles")  # each item of these has a time limit of its own
_WIDTH: Final = 120  # of tables in a file
# One card, also where there are several.
_ONE_CARD: Final = {"CUDA_VISIBLE_DEVICES": "0"}
# Several processes share the card in these parts, so that none may take most of its memory at once.
_SHARED: Final = {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"}


def main(parts: tuple[str, ...] = PARTS, small: bool = False, out: Path | None = None) -> None:
    """Measure what `sweep` does on this machine's accelerator, and print it.

    Args:
        parts: what to measure; other parts that the file has already are kept.
        small: the same with tiny networks, to see that it runs; also on CPU.
        out: the JSON file; by default benchmarks/accelerator-<card>.json, and none on CPU.
    """
    if unknown := set(parts) - set(PARTS):
        raise SystemExit(f"unknown part {', '.join(sorted(unknown))}: choose from {', '.join(PARTS)}")
    run = Run("small" if small else "full", out)
    for part in [part for part in PARTS if part in parts]:
        run.measure(part)
    show(run.found, Console(width=None if sys.stdout.isatty() else _WIDTH))
    if wrong := problems(run.found):
        raise SystemExit("\n".join(["wrong:", *wrong]))


class Run:
    """What one run has found so far, and its file.

    Args:
        size: name of the size of all measurements.
        out: the file; None chooses it by the card.
    """

    def __init__(self, size: str, out: Path | None) -> None:
        self._size, self._out = size, out
        self._folder = tempfile.TemporaryDirectory()
        self._before = None if out is None else _parts_in(out, size)  # parts of the file, once it is known
        self.found: dict[str, Any] = {"machine": machine(), "versions": versions(), "size": size, "parts": {}}

    def measure(self, part: str) -> None:
        """Measure one part, to its end or its time limit."""
        size, begun = SIZES[self._size], datetime.now(UTC).isoformat(timespec="seconds")
        seconds, seen = size.seconds[part], set()

        def save(now: Part) -> None:
            for item in [item for item in now.items if item not in seen]:
                print(f"{part}: {item}", flush=True)
                seen.add(item)
            own = {"begun": begun, "seconds": now.seconds, "failed": now.failed, "items": now.items}
            self._save(part, own, now.about)

        if part == "torch" and (why := self._why_no_torch()):
            save(Part(failed=why))
            return
        item_seconds = size.item_seconds if part in OF_ITEMS else seconds
        run_part(command(part, self._size, self._folder.name), environment(part), seconds, item_seconds, save)

    def _why_no_torch(self) -> str:
        if importlib.util.find_spec("torch") is None:
            return "PyTorch is not installed"
        return "" if any(Path(self._folder.name).glob("*.npz")) else "it needs the part cells in the same run"

    def _save(self, part: str, own: dict[str, Any], about: dict[str, Any]) -> None:
        self.found |= about
        self.found["parts"][part] = own
        path = self._path()
        if path is not None:
            self._before = _parts_in(path, self._size) if self._before is None else self._before
            self.found["parts"] = self._before | self.found["parts"]
        self.found["constants"] = wanted_constants(self.found["parts"])
        if path is not None:
            with write_file(path) as file:
                file.write((json.dumps(self.found, indent=1) + "\n").encode())

    def _path(self) -> Path | None:
        """Return the file, once the card is known; none on CPU, whose figures say nothing about an accelerator."""
        if self._out is not None or self.found.get("platform", "cpu") == "cpu":
            return self._out
        return HERE / f"accelerator-{re.sub(r'[^a-z0-9]+', '-', self.found['card'].lower()).strip('-')}.json"


def _parts_in(path: Path, size: str) -> dict[str, Any]:
    """Return the parts that a file of this command has; none if there is no file, or one of another size."""
    if not path.exists():
        return {}
    try:
        found = json.loads(path.read_text())
        return found["parts"] if found["size"] == size else {}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SystemExit(f"{path} is not a file of this command: choose another --out") from error


def command(part: str, size: str, folder: str) -> list[str]:
    """Return the command of a part's process."""
    return [sys.executable, "-m", "benchmarks.accelerator_child", part, size, folder]


def environment(part: str) -> dict[str, str]:
    """Return the environment of a part's process: programs are compiled anew, and tests run with fixed kernels."""
    paths = [str(ROOT), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    found = _ONE_CARD | os.environ | {
        "JAX_ENABLE_COMPILATION_CACHE": "false", "PYTHONPATH": os.pathsep.join(filter(None, paths)),
    }  # fmt: skip
    if part in ("tests", "checks"):
        found |= _SHARED
    if part == "tests":
        # The plain loops that lanes are compared with have JAX's own precision.
        found["JAX_DEFAULT_MATMUL_PRECISION"] = "highest"
        found["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {FIXED}".strip()
    return found


if __name__ == "__main__":
    tyro.cli(main)
