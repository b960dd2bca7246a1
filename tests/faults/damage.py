"""Every file of a store, damaged in every way, read by every command: correct numbers or a one-line error."""

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from . import stores as made
from .stores import arrays, copied, differences, everything, opened, small_waves, write_page
from .trials import Campaign, Case, call, has, refusal, tree

FLIPS = 3  # of each file, at random places
SECONDS = 8.0  # for one command, which takes one or two
READERS = ("open", "plot", "report", "compare", "claims", "export")


@dataclass(frozen=True)
class Prepared:
    """What all cases share: the page; a complete, an interrupted and a differently seeded store; and their contents."""

    page: Path
    stores: dict[str, Path]
    other: Path
    says: dict[str, dict[str, Any]]
    whole: dict[str, Any]


def prepared(folder: Path) -> Prepared:
    """Make the stores."""
    page, foreign = write_page(folder), write_page(folder / "foreign", first=11)
    makers = {"complete": made.complete, "incomplete": made.incomplete}
    stores = {kind: make(page, folder / kind) for kind, make in makers.items()}
    other = made.complete(foreign, folder / "other")
    shutil.copy(next(stores["incomplete"].glob("checkpoint*")), other)
    says = {kind: opened(store) for kind, store in stores.items()}
    return Prepared(page, stores, other, says, made.whole(stores["complete"]))


def files(store: Path) -> list[str]:
    """List the files of a store, except figures, which are not part of its data."""
    found = (path.relative_to(store) for path in store.rglob("*") if path.is_file())
    return sorted(str(path) for path in found if path.parts[0] != "figures" and path.name != "lock")


Damage = Callable[[Path, str, Random], None]  # store, file, random


def _truncated(share: float) -> Damage:
    def damage(store: Path, file: str, random: Random) -> None:
        content = (store / file).read_bytes()
        (store / file).write_bytes(content[: int(len(content) * share)])

    return damage


def _zero(store: Path, file: str, random: Random) -> None:
    (store / file).write_bytes(bytes((store / file).stat().st_size))


def _append(store: Path, file: str, random: Random) -> None:
    (store / file).write_bytes((store / file).read_bytes() + b"\x00more")


def _flip(store: Path, file: str, random: Random) -> None:
    content = bytearray((store / file).read_bytes())
    if content:
        content[random.randrange(len(content))] ^= 1 << random.randrange(8)
    (store / file).write_bytes(content)


def _delete(store: Path, file: str, random: Random) -> None:
    (store / file).unlink()


def _folder(store: Path, file: str, random: Random) -> None:
    (store / file).unlink()
    (store / file).mkdir()


def _pipe(store: Path, file: str, random: Random) -> None:
    (store / file).unlink()
    os.mkfifo(store / file)


def _link(other: Path) -> Damage:
    """Link to the same file of another store: if the link is followed, numbers differ."""

    def damage(store: Path, file: str, random: Random) -> None:
        (store / file).unlink()
        (store / file).symlink_to(other / file)

    return damage


def _swap(store: Path, file: str, random: Random) -> None:
    """Swap with another file: half of the time one of the same array, or the same file of another array."""
    same = [each for each in files(store) if each != file and each.split("/")[0] == file.split("/")[0]]
    named = [each for each in files(store) if each != file and Path(each).name == Path(file).name]
    others = random.choice([same or named, named or same]) or [each for each in files(store) if each != file]
    twin = random.choice(others)
    one, two = (store / file).read_bytes(), (store / twin).read_bytes()
    (store / file).write_bytes(two)
    (store / twin).write_bytes(one)


def damages(other: Path) -> dict[str, Damage]:
    """Name the ways to damage a file."""
    return {
        "truncate": _truncated(0), "half": _truncated(0.5), "zero": _zero, "append": _append, "delete": _delete,
        "folder": _folder, "link": _link(other), "pipe": _pipe, "swap-1": _swap, "swap-2": _swap,
        **{f"flip-{number}": _flip for number in range(1, FLIPS + 1)},
    }  # fmt: skip


def arguments(reader: str, store: str) -> list[str]:
    """Give the command line of a command that reads one store, in the folder of a trial."""
    return {
        "open": [store],
        "plot": [store, "--out", "drawn"],
        "report": [store, "--out", "report.html"],
        "compare": ["undamaged", store, "--out", "compared"],
        "claims": [store],
        "export": [store, "--to", "csv", "--out", "exported"],
        "check": [store],
    }[reader]


def _read(ready: Prepared, kind: str, folder: Path, reader: str) -> tuple[str, str]:
    """Read a damaged store by a command, and compare the result with that of the undamaged one."""
    if reader == "compare":
        copied(ready.stores["complete"], folder / "undamaged")
    shutil.copytree(ready.page.parent, folder / "experiments")
    before = tree(folder)
    reply = call(reader, arguments(reader, "store"), cwd=folder, seconds=SECONDS)
    if judged := refusal(reply, before, tree(folder)):
        return judged
    return _numbers(folder, ready.says[kind])


def _numbers(folder: Path, expected: dict[str, Any], of: Any = everything) -> tuple[str, str]:
    """Judge the numbers of a store that a command accepted."""
    from sweep import SweepError

    try:
        found = opened(folder / "store", of)
    except SweepError as error:
        return "silent", f"code 0, where open_results refuses: {error}"
    differs = differences(found, expected)
    return ("silent", f"code 0 with other {differs}") if differs else ("right", "")


def _resume(ready: Prepared, folder: Path) -> tuple[str, str]:
    """Resume a damaged store: it must give the numbers of an uninterrupted run, or a one-line error."""
    shutil.copytree(ready.page.parent, folder / "experiments")
    before = tree(folder)
    with small_waves():
        reply = call("run", ["experiments/page.py", "--out", "store", "--resume"], cwd=folder, seconds=2 * SECONDS)
    return refusal(reply, before, tree(folder)) or _numbers(folder, ready.whole, of=arrays)


def _check(ready: Prepared, kind: str, folder: Path) -> tuple[str, str]:
    """Check a damaged store: code 0 only for the numbers of the undamaged one; code 1 names the damage."""
    before = tree(folder)
    reply = call("check", ["store"], cwd=folder, seconds=SECONDS)
    if reply.code == 1 and "internal error" not in reply.err:
        changed = before != tree(folder)
        output = reply.out[-200:] + reply.err[-200:]
        return ("litter", "the check changed the store") if changed else ("refused", output)
    return refusal(reply, before, tree(folder)) or _numbers(folder, ready.says[kind])


def _repair(ready: Prepared, kind: str, folder: Path) -> tuple[str, str]:
    """Repair and resume a damaged store: it must be equal to the uninterrupted run to the bit, or be refused."""
    reply = call("check", ["store", "--repair"], cwd=folder, seconds=SECONDS)
    if reply.code is None or "internal error" in reply.err or reply.code not in (0, 1, 2):
        return ("hang", "") if reply.code is None else ("internal", reply.brief())
    if reply.code == 2:
        return "refused", reply.brief()
    outcome, detail = _resume(ready, folder)
    if outcome == "refused" and reply.code == 0:
        return "untidy", f"repaired with code 0, and yet --resume: {detail}"
    return outcome, detail


def cases(folder: Path, random: Random) -> Sequence[Case]:
    """List every file x damage x command."""
    ready = prepared(folder)
    found = []
    actions: dict[str, Callable[[str, Path], tuple[str, str]]] = {
        reader: lambda kind, at, reader=reader: _read(ready, kind, at, reader) for reader in READERS
    }
    actions["resume"] = lambda kind, at: _resume(ready, at)
    if has("check"):
        actions["check"] = lambda kind, at: _check(ready, kind, at)
        actions["repair"] = lambda kind, at: _repair(ready, kind, at)
    for kind, store in ready.stores.items():
        for file in files(store):
            for damage, inflict in damages(ready.other).items():
                for action, judge in actions.items():
                    name = f"{kind} {file} {damage} {action}"
                    found.append(Case(name, _case(store, kind, file, damage, inflict, judge)))
    return found


def _case(store: Path, kind: str, file: str, damage: str, inflict: Damage, judge: Any) -> Any:
    def run(folder: Path) -> tuple[str, str]:
        copied(store, folder / "store")
        inflict(folder / "store", file, Random(f"{kind} {file} {damage}"))  # the same for every command
        return judge(kind, folder)

    return run


CAMPAIGN = Campaign(
    "damage", "every file of a store x ways to damage it x commands, complete and incomplete", cases,
    quick=10, sample=240,
)  # fmt: skip
