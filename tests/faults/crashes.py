"""A crash at each writing operation in turn: simulated in this process, or by SIGKILL of a forked child.

Python tells of every file that it opens, moves or removes (audit events). At the n-th such event a crash begins: in
process an exception that no `except Exception` catches, after which every further event of that kind fails as well, so
that no cleaning up succeeds, as after a kill; in a child a real SIGKILL.
"""

import contextlib
import gc
import multiprocessing
import os
import re
import shutil
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from .stores import arrays, complete, copied, differences, opened, small_waves, whole, write_page
from .trials import Campaign, Case, Reply, busy, call

MOVES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.truncate"}
SECONDS = 60.0
_MODEL = re.compile(rb'"p[0-9]{4,}"')
CHILD_SECONDS = 120.0


class CrashError(BaseException):
    """A simulated death of the process."""


class FullError(OSError):
    """A simulated full disk."""


@dataclass
class Watch:
    """What the only audit hook does at present; a hook can't be removed.

    Args:
        folder: events outside of it are not counted.
        at: the event to act at, from 1 on; 0 only counts.
        act: called with the event's words from that event on.
        full: whether only what needs space on the disk counts: opening for writing and making folders.
    """

    folder: str = ""
    at: int = 0
    act: Callable[[str], None] = lambda event: None
    full: bool = False
    count: int = 0


_WATCH = Watch()
_HOOKED: list[bool] = []


def _hook(event: str, args: tuple[Any, ...]) -> None:
    if not _WATCH.folder or not (event == "open" or event in MOVES):
        return
    if event == "open" and not args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
        return
    if _WATCH.full and event not in ("open", "os.mkdir"):
        return
    place = os.fsdecode(args[0]) if isinstance(args[0], str | bytes | os.PathLike) else ""
    if not os.path.abspath(place).startswith(_WATCH.folder) and args[0] is not None and os.path.isabs(place):
        return
    _WATCH.count += 1
    if 0 < _WATCH.at <= _WATCH.count:
        _WATCH.act(f"{event} {place}")


@contextlib.contextmanager
def watching(
    folder: Path, at: int = 0, act: Callable[[str], None] = lambda event: None, *, full: bool = False
) -> Iterator[Watch]:
    """Count the events under a folder, and act from the n-th on."""
    if not _HOOKED:
        sys.addaudithook(_hook)
        _HOOKED.append(True)
    _WATCH.folder, _WATCH.at, _WATCH.act, _WATCH.full, _WATCH.count = str(folder), at, act, full, 0
    try:
        yield _WATCH
    finally:
        _WATCH.folder = ""


def crash(event: str) -> None:
    """Simulate the death of this process."""
    raise CrashError(event)


def kill(event: str) -> None:
    """Kill this process."""
    os.kill(os.getpid(), signal.SIGKILL)


STAGES: dict[str, tuple[str, list[str]]] = {
    # creation, chunks, checkpoints, end, figures
    "run": ("run", ["experiments/page.py", "--out", "store", "--resume"]),
    "plot": ("plot", ["store", "--out", "drawn"]),
    "export": ("export", ["store", "--to", "csv", "--out", "exported", "--force"]),
    "parquet": ("export", ["store", "--to", "parquet", "--out", "exported.parquet", "--force"]),
    "report": ("report", ["store", "--out", "report.html"]),
    "compare": ("compare", ["store", "store", "--out", "compared"]),
    "claims": ("claims", ["store", "--out", "claims.json"]),
}


@dataclass(frozen=True)
class Prepared:
    """What all cases share: the page, its store, what that holds; for each stage its files and its number of events."""

    page: Path
    store: Path
    holds: dict[str, Any]
    files: dict[str, dict[str, bytes]]
    events: dict[str, int]


def begun(ready: Prepared, stage: str, folder: Path) -> None:
    """Make the folder in which a stage begins."""
    shutil.copytree(ready.page.parent, folder / "experiments")
    if stage != "run":
        copied(ready.store, folder / "store")


def do(stage: str, folder: Path) -> Reply:
    """Run a stage in this process."""
    name, args = STAGES[stage]
    with small_waves():
        return call(name, args, cwd=folder, seconds=SECONDS)


def content(folder: Path) -> dict[str, bytes]:
    """Return the files of a folder by name, with the content of those that are the same in every run."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            same = path.suffix in (".png", ".svg", ".csv", ".html", ".parquet") or path.name == "claims.json"
            found[str(path.relative_to(folder))] = _renumbered(path) if same else b""
    return found


def _renumbered(path: Path) -> bytes:
    """Return a file's bytes with Bokeh's model numbers counted from 0, which continue from report to report."""
    content = path.read_bytes()
    if path.suffix != ".html":
        return content
    names: dict[bytes, bytes] = {}
    return _MODEL.sub(lambda found: names.setdefault(found[0], b'"p%d"' % len(names)), content)


def prepared(folder: Path, *, full: bool = False) -> Prepared:
    """Run every stage once, without faults, and count its events."""
    page = write_page(folder)
    store = complete(page, folder / "store")
    files: dict[str, dict[str, bytes]] = {}
    events: dict[str, int] = {}
    ready = Prepared(page, store, whole(store), files, events)
    for stage in STAGES:
        place = folder / stage
        begun(ready, stage, place)
        with watching(place, full=full) as watch:
            reply = do(stage, place)
        assert reply.code == 0, f"{stage}, undisturbed: {reply.brief()}"
        files[stage], events[stage] = content(place), watch.count
    return ready


def judge_after(ready: Prepared, stage: str, folder: Path, what: str) -> tuple[str, str]:
    """Judge what a crash left: the store opens or is refused, and the repeated stage gives the same files."""
    from sweep import SweepError

    try:
        if (folder / "store").exists():
            opened(folder / "store", arrays)
    except SweepError as error:
        seen = f"; in between refused: {error}"
    except Exception as error:
        return "internal", f"{what}: open_results raised {type(error).__name__}: {error}"
    else:
        seen = ""
    reply = do(stage, folder)
    if reply.code == 1:
        return "internal", f"{what}: done again: {reply.brief()}"
    if reply.code != 0:
        return ("hang" if reply.code is None else "untidy"), f"{what}: can't be done again: {reply.brief()}{seen}"
    if differs := differences(opened(folder / "store", arrays), ready.holds):
        return "silent", f"{what}: other {differs}"
    found, expected = content(folder), ready.files[stage]
    if left := sorted({*found} - {*expected}):
        return "litter", f"{what}: {', '.join(left[:5])} stays"
    if other := sorted(name for name in expected if found.get(name) != expected[name]):
        return "silent", f"{what}: {', '.join(other[:5])} is other or gone"
    return "right", ""


def _in_process(ready: Prepared, stage: str, number: int) -> Callable[[Path], tuple[str, str]]:
    def run(folder: Path) -> tuple[str, str]:
        begun(ready, stage, folder)
        where: list[str] = []

        def die(event: str) -> None:
            where.append(event)
            crash(event)

        hushed, sys.unraisablehook = (
            sys.unraisablehook,
            lambda _: None,
        )  # for exceptions that only the simulation causes
        try:
            with watching(folder, number, die):
                with contextlib.suppress(CrashError):
                    do(stage, folder)
                gc.collect()  # so that finalisers also run while the process counts as dead
        finally:
            sys.unraisablehook = hushed
        at = where[0].replace(str(folder), "") if where else "no event"
        with reborn():
            return judge_after(ready, stage, folder, f"crash at {at}")

    return run


@contextlib.contextmanager
def reborn() -> Iterator[None]:
    """Make this process count as another one than the crashed one, which has the same number and counts as dead."""
    from sweep.files import owners

    started = owners._start_of
    owners._start_of = lambda pid: f"{started(pid)}1"
    try:
        yield
    finally:
        owners._start_of = started


def child(folder: str, stage: str, number: int) -> None:
    """Run a stage in a forked process that kills itself at an event."""
    os.chdir(folder)
    quiet = os.open("reply.txt", os.O_WRONLY | os.O_CREAT)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    try:
        with watching(Path(folder), number, kill):
            do(stage, Path(folder))
    except BaseException:
        traceback.print_exc()
    os._exit(0)


def forking() -> Any:
    """Return the context in which children are forked from a process with all imports and without threads."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([f"{__package__}.imported"])
    return context


def _in_a_child(ready: Prepared, stage: str, number: int) -> Callable[[Path], tuple[str, str]]:
    def run(folder: Path) -> tuple[str, str]:
        begun(ready, stage, folder)
        process = forking().Process(target=child, args=(str(folder), stage, number))
        process.start()
        process.join(CHILD_SECONDS * busy())
        if process.exitcode is None:
            process.kill()
            process.join()
            return "hang", f"the child at event {number}"
        (folder / "reply.txt").unlink(missing_ok=True)
        return judge_after(ready, stage, folder, f"SIGKILL at event {number}, exit code {process.exitcode}")

    return run


def cases(folder: Path, random: Random) -> Sequence[Case]:
    """List a crash at each event of each stage."""
    ready = prepared(folder)
    return [
        Case(f"{stage} event {number} of {count}", _in_process(ready, stage, number))
        for stage, count in ready.events.items()
        for number in range(1, count + 1)
    ]


def killed(folder: Path, random: Random) -> Sequence[Case]:
    """List a SIGKILL at each event of each stage."""
    ready = prepared(folder)
    return [
        Case(f"{stage} event {number} of {count}", _in_a_child(ready, stage, number))
        for stage, count in ready.events.items()
        for number in range(1, count + 1)
    ]


CAMPAIGN = Campaign(
    "crashes", "a crash in process at each opening, moving, making or removing of a file", cases, quick=3, sample=40
)
KILLS = Campaign("kills", "SIGKILL of a child at each of these", killed, quick=0, sample=20)
