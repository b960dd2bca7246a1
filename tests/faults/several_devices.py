"""Pages on 1, 2, 3 and 8 CPU devices, begun on some and resumed on others: the files with numbers are equal."""

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random

from .device_pages import PAGES
from .stores import differences
from .trials import Campaign, Case

SECONDS = 600.0
WHOLE = 2.0  # a share of the steps that is never reached


@dataclass(frozen=True)
class Part:
    """A part of a run.

    Args:
        there: number of devices that the process has.
        used: number of them that the sweep uses; 0 is all.
        share: of the steps, after which the process is interrupted.
    """

    there: int
    used: int = 0
    share: float = WHOLE


WAYS = {
    "2": (Part(2),),
    "3": (Part(3),),
    "8": (Part(8),),
    "2 of 3": (Part(3, used=2),),
    "3, then 8": (Part(3, share=0.4), Part(8)),
    "3, then 1": (Part(3, share=0.6), Part(1)),
    "1, then 8": (Part(1, share=0.5), Part(8)),
    "8, then 1 of 3, then 2": (Part(8, share=0.2), Part(3, used=1, share=0.7), Part(2)),
}


def _run(name: str, store: Path, part: Part, compiled: Path) -> str:
    """Run a part of a page's sweep in a process of its own; return what went wrong, "" for nothing.

    Args:
        name: of the page.
        store: where its results go.
        part: how it is run.
        compiled: folder of the compiled programs that all parts share.
    """
    settings = {
        "PYTHONPATH": str(Path(__file__).parents[2]), "JAX_PLATFORMS": "cpu", "JAX_NUM_CPU_DEVICES": str(part.there),
        "JAX_ENABLE_COMPILATION_CACHE": "true", "JAX_COMPILATION_CACHE_DIR": str(compiled),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "XLA_FLAGS": "",  # compiled as for users, whatever the tests do
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.device_pages", name, str(store), str(part.used), str(part.share)],
        cwd=Path(__file__).parents[2], env={**os.environ, **settings},
        capture_output=True, text=True, check=False, timeout=SECONDS,
    )  # fmt: skip
    return f"code {done.returncode}: {done.stderr.strip()[-300:]}" if done.returncode else ""


def chunks(store: Path) -> dict[str, bytes]:
    """Read the files with the numbers of a store: of curves, networks and states of trainings."""
    files = (path for path in store.glob("*/c/**/*") if path.is_file())
    return {str(path.relative_to(store)): path.read_bytes() for path in files}


def _trial(
    name: str, parts: Sequence[Part], alone: Callable[[str], dict[str, bytes]], compiled: Path
) -> Callable[[Path], tuple[str, str]]:
    def trial(folder: Path) -> tuple[str, str]:
        store = folder / "store"
        for part in parts:
            if wrong := _run(name, store, part, compiled):
                return "internal", f"{part}: {wrong}"
            is_complete = '"complete": true' in (store / "zarr.json").read_text()
            if is_complete != (part.share == WHOLE):
                return "untidy", f"{part}: complete is {is_complete}"
        differs = differences(chunks(store), alone(name))
        return ("silent", f"other {differs}") if differs else ("right", "")

    return trial


def cases(folder: Path, random: Random) -> Sequence[Case]:
    """List each page with each way to run it."""
    compiled = folder / "compiled"

    @cache
    def alone(name: str) -> dict[str, bytes]:
        store = folder / name.replace(" ", "-")
        assert not (wrong := _run(name, store, Part(1), compiled)), wrong
        return chunks(store)

    return [
        Case(f"{name} on {way} devices", _trial(name, parts, alone, compiled))
        for name in PAGES
        for way, parts in WAYS.items()
    ]


CAMPAIGN = Campaign(
    "devices", "pages on 1, 2, 3 and 8 devices, begun on some and resumed on others: the same bits",
    cases, quick=0, sample=8,
)  # fmt: skip
