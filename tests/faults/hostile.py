"""Hostile stores: every command reads one or says one line, and nothing else happens."""

import importlib
import importlib.util
import shutil
import subprocess
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from random import Random

import numpy as np

from .damage import READERS, arguments
from .stores import complete, copied, write_page
from .trials import Campaign, Case, call, has, refusal, tree

STORES = 300
SECONDS = 15.0
GENERATOR = f"{__package__}.hostile_stores"


def missing() -> str:
    """Say why it can't be run."""
    return "" if importlib.util.find_spec(GENERATOR) else "there is no generator, hostile_stores.py"


def _stores(store: Path, into: Path, random: Random) -> list[tuple[str, Path]]:
    """Draw stores."""
    into.mkdir(parents=True)
    hostile = importlib.import_module(GENERATOR).hostile
    return list(islice(hostile(store, into, np.random.default_rng(random.getrandbits(32))), STORES))


def _copied(store: Path, to: Path) -> None:
    """Copy a store with whatever is in it: links, pipes, sockets, devices."""
    subprocess.run(["cp", "-a", str(store), str(to)], check=True)


def _tried(made: Path, page: Path, undamaged: Path, reader: str) -> Callable[[Path], tuple[str, str]]:
    def run(folder: Path) -> tuple[str, str]:
        _copied(made, folder / "store")
        shutil.copytree(page.parent, folder / "experiments")
        if reader == "compare":
            copied(undamaged, folder / "undamaged")
        before = tree(folder)
        args = ["experiments/page.py", "--out", "store"] if reader == "run" else arguments(reader, "store")
        said = call(reader, args, cwd=folder, seconds=SECONDS)
        if reader == "check" and said.code == 1 and "internal error" not in said.err:
            return "refused", said.out[:200]
        if said.code == 0 and (raw := [text for text in (said.out, said.err) if "\x1b" in text or "\x9b" in text]):
            return "untidy", f"escapes reach the terminal: {raw[0][:200]!r}"
        if "\x1b" in said.err:
            return "untidy", f"escapes reach the terminal: {said.err[:200]!r}"
        return refusal(said, before, tree(folder)) or ("right", "")

    return run


def cases(folder: Path, random: Random) -> Sequence[Case]:
    """List every store x command."""
    page = write_page(folder)
    store = complete(page, folder / "store")
    readers = (*READERS, "run", *(["check"] if has("check") else []))
    return [
        Case(f"{name} {reader}", _tried(made, page, store, reader))
        for name, made in _stores(store, folder / "made", random)
        for reader in readers
    ]


CAMPAIGN = Campaign("hostile", "generated hostile stores x commands", cases, quick=16, sample=400, missing=missing)
