"""A crash at every operation that writes, by count: in process, or by SIGKILL of a child that was forked for it.

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
from .trials import Campaign, Case, Said, busy, call

MOVES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.truncate"}
SECONDS = 60.0
_MODEL = re.compile(rb'"p[0-9]{4,}"')
CHILD_SECONDS = 120.0


class CrashError(BaseException):
    """The process is taken to be dead."""


class FullError(OSError):
    """The disk is taken to be full."""


@dataclass
class Watch:
    """What the one audit hook does at present; hooks cannot be taken away again.

    Args:
        folder: events outside of it are not counted.
        at: the event to act at, from 1 on; 0 only counts.
        act: called with the event's words from that event on.
        full: whether only what needs room on the disk counts: opening for writing and making folders.
    """

    folder: str = ""
    at: int = 0
    act: Callable[[str], None] = lambda said: None
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
    folder: Path, at: int = 0, act: Callable[[str], None] = lambda said: None, *, full: bool = False
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


def crash(said: str) -> None:
    """Die here, in process."""
    raise CrashError(said)


def kill(said: str) -> None:
    """Die here, for good."""
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
    """Lay out the folder that a stage begins in."""
    shutil.copytree(ready.page.parent, folder / "experiments")
    if stage != "run":
        copied(ready.store, folder / "store")


def do(stage: str, folder: Path) -> Said:
    """Do a stage in process."""
    name, args = STAGES[stage]
    with small_waves():
        return call(name, args, cwd=folder, seconds=SECONDS)


def content(folder: Path) -> dict[str, bytes]:
    """Give the files of a folder: all names, and the content of those that are the same in every run."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            same = path.suffix in (".png", ".svg", ".csv", ".html", ".parquet") or path.name == "claims.json"
            found[str(path.relative_to(folder))] = _renumbered(path) if same else b""
    return found


def _renumbered(path: Path) -> bytes:
    """Give a file's bytes, with the numbers of Bokeh's models from 0 on: they count on from report to report."""
    content = path.read_bytes()
    if path.suffix != ".html":
        return content
    names: dict[bytes, bytes] = {}
    return _MODEL.sub(lambda found: names.setdefault(found[0], b'"p%d"' % len(names)), content)


def prepared(folder: Path, *, full: bool = False) -> Prepared:
    """Do every stage once, undisturbed, and count its events."""
    page = write_page(folder)
    store = complete(page, folder / "store")
    files: dict[str, dict[str, bytes]] = {}
    events: dict[str, int] = {}
    ready = Prepared(page, store, whole(store), files, events)
    for stage in STAGES:
        place = folder / stage
        begun(ready, stage, place)
        with watching(place, full=full) as watch:
            said = do(stage, place)
        assert said.code == 0, f"{stage}, undisturbed: {said.brief()}"
        files[stage], events[stage] = content(place), watch.count
    return ready


def judge_after(ready: Prepared, stage: str, folder: Path, what: str) -> tuple[str, str]:
    """Judge what a crash left: the store opens or is refused in a line, and the stage done again ends as ever."""
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
    said = do(stage, folder)
    if said.code == 1:
        return "internal", f"{what}: done again: {said.brief()}"
    if said.code != 0:
        return ("hang" if said.code is None else "untidy"), f"{what}: can't be done again: {said.brief()}{seen}"
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

        def die(said: str) -> None:
            where.append(said)
            crash(said)

        hushed, sys.unraisablehook = sys.unraisablehook, lambda told: None  # of what would not have happened
        try:
            with watching(folder, number, die):
                with contextlib.suppress(CrashError):
                    do(stage, folder)
                gc.collect()  # what cleans up when it is forgotten is dead, too
        finally:
            sys.unraisablehook = hushed
        at = where[0].replace(str(folder), "") if where else "no event"
        with reborn():
            return judge_after(ready, stage, folder, f"crash at {at}")

    return run


@contextlib.contextmanager
def reborn() -> Iterator[None]:
    """Be another process than the one that has crashed, which has this one's number: that one is known to be dead."""
    from sweep.files import owners

    started = owners._start_of
    owners._start_of = lambda pid: f"{started(pid)}1"
    try:
        yield
    finally:
        owners._start_of = started


def child(folder: str, stage: str, number: int) -> None:
    """Do a stage in a forked process that kills itself at an event."""
    os.chdir(folder)
    quiet = os.open("said.txt", os.O_WRONLY | os.O_CREAT)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    try:
        with watching(Path(folder), number, kill):
            do(stage, Path(folder))
    except BaseException:
        traceback.print_exc()
    os._exit(0)


def forking() -> Any:
    """Give the context in which children are forked from a process that has imported all, and has no threads yet."""
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
        (folder / "said.txt").unlink(missing_ok=True)
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
