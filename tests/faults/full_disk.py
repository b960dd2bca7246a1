"""A full disk: at every file that is opened, and at every size of a small disk where one may be mounted."""

import contextlib
import errno
import gc
import multiprocessing
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from random import Random

from sweep.results.digests import checkpoint_file
from sweep.results.store import HEARTBEAT

from . import crashes
from .crashes import CHILD_SECONDS, STAGES, FullError, Prepared, begun, content, judge_after, prepared
from .trials import Campaign, Case, Said, busy

SIZES = 24  # of the small disk, for each stage
MORE = {"netcdf": ("export", ["store", "--to", "netcdf", "--out", "exported.nc", "--force"])}


def full(said: str) -> None:
    """Say what a full disk says."""
    raise FullError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _judged(ready: Prepared, stage: str, before: set[str], folder: Path, said: Said) -> tuple[str, str] | None:
    """Judge what was said while the disk was full; None where the command needed no more room.

    Args:
        ready: what all cases share.
        stage: what was done.
        before: the files that were there before it.
        folder: where it was done.
        said: what the command said.
    """
    if said.code == 0:
        return None
    if said.code != 2:
        return ("hang" if said.code is None else "internal" if said.code == 1 else "untidy"), said.brief()
    if len(said.lines()) != 1:
        return "untidy", said.brief()
    running = {f"store/{checkpoint_file(start)}" for start in range(0, 8, 2)}
    known = {*before, *ready.files.get(stage, ()), *running, f"store/{HEARTBEAT}", "store/lock"}
    left = sorted(name for name in content(folder) if name not in known and Path(name).name != "lock")
    return ("litter", f"{', '.join(left[:4])} left after {said.brief()}") if left else None


def _at_event(ready: Prepared, stage: str, number: int) -> Callable[[Path], tuple[str, str]]:
    def run(folder: Path) -> tuple[str, str]:
        begun(ready, stage, folder)
        before = set(content(folder))
        with crashes.watching(folder, number, full, full=True):
            said = crashes.do(stage, folder)
            gc.collect()
        if judged := _judged(ready, stage, before, folder, said):
            return judged
        outcome, detail = judge_after(ready, stage, folder, f"full at event {number}")
        return ("refused" if outcome == "right" and said.code else outcome), detail or said.brief()

    return run


@contextlib.contextmanager
def small_disk(folder: Path, size: int) -> Iterator[Path]:
    """Mount a disk of so many bytes."""
    place = folder / "disk"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)], check=True, capture_output=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True, capture_output=True)


def unmountable() -> str:
    """Say why no small disk can be mounted here."""
    probe = Path("/tmp") / f"sweep-faults-{os.getpid()}"
    probe.mkdir()
    try:
        with small_disk(probe, 2**16):
            return ""
    except (OSError, subprocess.CalledProcessError):
        return "a small disk can't be mounted here"
    finally:
        shutil.rmtree(probe, ignore_errors=True)


def told(folder: str, stage: str, answer: "multiprocessing.Queue[tuple[int | None, str, str]]") -> None:
    """Do a stage in a forked process, which a full disk may bring down, and give what it said."""
    STAGES.update(MORE)
    said = crashes.do(stage, Path(folder))
    answer.put((said.code, said.out, said.err))


def _on_small_disk(ready: Prepared, stage: str, share: float) -> Callable[[Path], tuple[str, str]]:
    def run(folder: Path) -> tuple[str, str]:
        begun(ready, stage, folder / "begun")
        have, need = size_of(folder / "begun"), NEED[stage]
        with small_disk(folder, have + int(share * need)) as disk:
            place = Path(shutil.copytree(folder / "begun", disk / "here", symlinks=True))
            context = crashes.forking()
            answer = context.SimpleQueue()
            process = context.Process(target=told, args=(str(place), stage, answer))
            process.start()
            process.join(CHILD_SECONDS * busy())
            if process.exitcode is None:
                process.kill()
                return "hang", ""
            if answer.empty():
                return "internal", f"the process ended with {process.exitcode}"
            said = Said(*answer.get())
            if judged := _judged(ready, stage, set(content(folder / "begun")), place, said):
                return judged
            shutil.copytree(place, folder / "after", symlinks=True)
        if stage in MORE:
            return ("refused" if said.code else "right"), said.brief()
        outcome, detail = judge_after(ready, stage, folder / "after", f"a disk with {share:.2f} of the room")
        return ("refused" if outcome == "right" and said.code else outcome), detail or said.brief()

    return run


def size_of(folder: Path) -> int:
    """Add up what files take on such a disk, in whole pages."""
    return sum(-(-path.lstat().st_size // 4096) * 4096 for path in folder.rglob("*") if path.is_file())


NEED = {  # bytes, a little more than each stage writes
    "run": 500_000, "plot": 120_000, "export": 40_000, "parquet": 60_000, "netcdf": 80_000, "report": 1_500_000,
    "compare": 200_000, "claims": 8_000,
}  # fmt: skip


def cases(folder: Path, random: Random) -> Sequence[Case]:
    """List a full disk at each file that is opened."""
    ready = prepared(folder, full=True)
    return [
        Case(f"{stage} opening {number} of {count}", _at_event(ready, stage, number))
        for stage, count in ready.events.items()
        for number in range(1, count + 1)
    ]


def mounted(folder: Path, random: Random) -> Sequence[Case]:
    """List disks of many sizes for each stage."""
    ready = prepared(folder)
    return [
        Case(f"{stage} with {share:.3f} of the room", _on_small_disk(ready, stage, share))
        for stage in (*STAGES, *MORE)
        for share in ((number + random.random()) / SIZES for number in range(SIZES))
    ]


CAMPAIGN = Campaign("full", "a full disk at each file that is opened, in process", cases, quick=0, sample=30)
SMALL = Campaign("small", "small disks of many sizes, in children", mounted, quick=0, sample=16, missing=unmountable)
