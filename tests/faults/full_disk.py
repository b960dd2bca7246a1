"""A full disk: simulated at every opened file, and real on small disks of many sizes where one can be mounted."""

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
from .trials import Campaign, Case, Reply, busy

SIZES = 24  # of the small disk, for each stage
MORE = {"netcdf": ("export", ["store", "--to", "netcdf", "--out", "exported.nc", "--force"])}


def full(event: str) -> None:
    """Raise the error of a full disk."""
    raise FullError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _judged(ready: Prepared, stage: str, before: set[str], folder: Path, reply: Reply) -> tuple[str, str] | None:
    """Judge a reply while the disk was full; return None if the command needed no more space.

    Args:
        ready: what all cases share.
        stage: what was done.
        before: the files that were there before it.
        folder: where it was done.
        reply: what the command answered.
    """
    if reply.code == 0:
        return None
    if reply.code != 2:
        return ("hang" if reply.code is None else "internal" if reply.code == 1 else "untidy"), reply.brief()
    if len(reply.lines()) != 1:
        return "untidy", reply.brief()
    running = {f"store/{checkpoint_file(start)}" for start in range(0, 8, 2)}
    known = {*before, *ready.files.get(stage, ()), *running, f"store/{HEARTBEAT}", "store/lock"}
    left = sorted(name for name in content(folder) if name not in known and Path(name).name != "lock")
    return ("litter", f"{', '.join(left[:4])} left after {reply.brief()}") if left else None


def _at_event(ready: Prepared, stage: str, number: int) -> Callable[[Path], tuple[str, str]]:
    def run(folder: Path) -> tuple[str, str]:
        begun(ready, stage, folder)
        before = set(content(folder))
        with crashes.watching(folder, number, full, full=True):
            reply = crashes.do(stage, folder)
            gc.collect()
        if judged := _judged(ready, stage, before, folder, reply):
            return judged
        outcome, detail = judge_after(ready, stage, folder, f"full at event {number}")
        return ("refused" if outcome == "right" and reply.code else outcome), detail or reply.brief()

    return run


@contextlib.contextmanager
def small_disk(folder: Path, size: int) -> Iterator[Path]:
    """Mount a disk of a number of bytes."""
    place = folder / "disk"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)], check=True, capture_output=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True, capture_output=True)


def unmountable() -> str:
    """Return why no small disk can be mounted here, "" if one can."""
    probe = Path("/tmp") / f"sweep-faults-{os.getpid()}"
    probe.mkdir()
    try:
        with small_disk(probe, 2**16):
            return ""
    except (OSError, subprocess.CalledProcessError):
        return "a small disk can't be mounted here"
    finally:
        shutil.rmtree(probe, ignore_errors=True)


def run_stage(folder: str, stage: str, answers: "multiprocessing.Queue[tuple[int | None, str, str]]") -> None:
    """Run a stage in a forked process, which a full disk may end, and send its reply."""
    STAGES.update(MORE)
    reply = crashes.do(stage, Path(folder))
    answers.put((reply.code, reply.out, reply.err))


def _on_small_disk(ready: Prepared, stage: str, share: float) -> Callable[[Path], tuple[str, str]]:
    def run(folder: Path) -> tuple[str, str]:
        begun(ready, stage, folder / "begun")
        have, need = size_of(folder / "begun"), NEED[stage]
        with small_disk(folder, have + int(share * need)) as disk:
            place = Path(shutil.copytree(folder / "begun", disk / "here", symlinks=True))
            context = crashes.forking()
            answers = context.SimpleQueue()
            process = context.Process(target=run_stage, args=(str(place), stage, answers))
            process.start()
            process.join(CHILD_SECONDS * busy())
            if process.exitcode is None:
                process.kill()
                return "hang", ""
            if answers.empty():
                return "internal", f"the process ended with {process.exitcode}"
            reply = Reply(*answers.get())
            if judged := _judged(ready, stage, set(content(folder / "begun")), place, reply):
                return judged
            shutil.copytree(place, folder / "after", symlinks=True)
        if stage in MORE:
            return ("refused" if reply.code else "right"), reply.brief()
        outcome, detail = judge_after(ready, stage, folder / "after", f"a disk with {share:.2f} of the space")
        return ("refused" if outcome == "right" and reply.code else outcome), detail or reply.brief()

    return run


def size_of(folder: Path) -> int:
    """Sum the sizes of files on such a disk, each rounded up to whole memory pages."""
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
        Case(f"{stage} with {share:.3f} of the space", _on_small_disk(ready, stage, share))
        for stage in (*STAGES, *MORE)
        for share in ((number + random.random()) / SIZES for number in range(SIZES))
    ]


CAMPAIGN = Campaign("full", "a full disk at each file that is opened, in process", cases, quick=0, sample=30)
SMALL = Campaign("small", "small disks of many sizes, in children", mounted, quick=0, sample=16, missing=unmountable)
