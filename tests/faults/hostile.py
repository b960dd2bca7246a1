"""Hostile stores: every command reads one or says one line, and nothing else happens."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random

from .damage import READERS, arguments
from .hostile_stores import hostile, kind
from .stores import complete, copied, write_page
from .trials import Campaign, Case, call, has, refusal, tree

STORES = 300
SECONDS = 15.0


def _tried(store: Path, number: int, seed: int, page: Path, reader: str) -> Callable[[Path], tuple[str, str]]:
    def run(folder: Path) -> tuple[str, str]:
        changed = hostile(store, folder / "store", number, seed)
        shutil.copytree(page.parent, folder / "experiments")
        if reader == "compare":
            copied(store, folder / "undamaged")
        before = tree(folder)
        args = ["experiments/page.py", "--out", "store"] if reader == "run" else arguments(reader, "store")
        reply = call(reader, args, cwd=folder, seconds=SECONDS)
        if reader == "check" and reply.code == 1 and "internal error" not in reply.err:
            return "refused", reply.out[:200]
        if reply.code == 0 and (raw := [text for text in (reply.out, reply.err) if "\x1b" in text or "\x9b" in text]):
            return "untidy", f"escapes reach the terminal: {raw[0][:200]!r}"
        if "\x1b" in reply.err:
            return "untidy", f"escapes reach the terminal: {reply.err[:200]!r}"
        outcome, detail = refusal(reply, before, tree(folder)) or ("right", "")
        return outcome, f"{changed}: {detail}"

    return run


def cases(folder: Path, random: Random) -> Sequence[Case]:
    """List every store x command."""
    page = write_page(folder)
    store = complete(page, folder / "store")
    readers = (*READERS, "run", *(["check"] if has("check") else []))
    seed = random.getrandbits(32)
    return [
        Case(f"{number} {kind(number).__name__} {reader}", _tried(store, number, seed, page, reader))
        for number in range(STORES)
        for reader in readers
    ]


CAMPAIGN = Campaign("hostile", "generated hostile stores x commands", cases, quick=8, sample=200)
