"""Locks: one run at a time on a store, or on a part of it, on any file system, and who holds it said.

Two files in the folder make a lock. `NAME` is locked with `flock` where the file system can do that: the system lets
go of it when the process ends, however it ends. `NAME.json` says who holds it (host, process, since when, a token), and
its owner touches it every `BEAT` seconds. Of an owner on this kernel `flock`, or where that is missing the process's
number, tells at once whether it is still there. An owner elsewhere, on another host or in another container, is taken
to have ended when its file was not touched for `SILENT` seconds, by the clock of the file system; then the lock is
taken over.

An owner that was only asleep must not write after that, so whoever writes under a lock asks it before each write:

    with locked(folder) as lock:
        lock.check()  # raises a SweepError, one line, where another process has taken the lock over
        ...           # write

A folder that is moved while its lock is held tells the lock so: `lock.moved(new)`.
"""

import errno
import fcntl
import json
import os
import re
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from sweep.base.errors import SweepError
from sweep.files.owners import Owner, this_process, token

LOCK: Final = "lock"
BEAT: Final = 15.0  # seconds between two signs of life
SILENT: Final = 600.0  # seconds without one after which an owner elsewhere is taken to have ended
_TRIES: Final = 5  # where another process is taking or leaving the lock at this very moment
_PAUSE: Final = 0.05
_OPENING: Final = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # no link, and no waiting for the other end of a pipe
_NO_FLOCK: Final = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL)
_MOST_BYTES: Final = 4096
_LEFTOVER: Final = re.compile(r".+\.json\.[0-9a-f]{16}")


@dataclass(frozen=True)
class Holder:
    """Who holds a lock, as its file says.

    Args:
        owner: the process.
        token: of this one time that it holds it.
        since: when it took it, for people.
        flocked: whether the file system could lock the file as well.
    """

    owner: Owner
    token: str
    since: str
    flocked: bool

    def words(self) -> str:
        """Say who it is: "process 7 on HOST since 2030-01-01 12:00:00"."""
        return f"process {self.owner.pid} on {self.owner.host} since {self.since}"


class Lock:
    """A lock that is held.

    Args:
        folder: what it locks.
        name: which part of it.
        holder: this process.
    """

    def __init__(self, folder: Path, name: str, holder: Holder) -> None:
        self._folder, self._name, self._holder = folder, name, holder

    def check(self) -> None:
        """Make sure that the lock is still ours, before something is written under it.

        Raises:
            SweepError: where another process has taken it over, which happens when this one was asleep.
        """
        found = _read(self._file)
        if found is None or found.token != self._holder.token:
            by = f" by {found.words()}" if found else ""
            raise SweepError(
                f"{self._folder} was taken over{by} while this process gave no sign of life: it writes no more; "
                f"what it had saved is kept"
            )

    def moved(self, folder: Path) -> None:
        """Take note that the folder has another name now."""
        self._folder = folder

    @property
    def _file(self) -> Path:
        return _said(self._folder, self._name)

    def touch(self) -> None:
        """Give a sign of life."""
        with suppress(OSError):
            found = _read(self._file)
            if found is not None and found.token == self._holder.token:
                os.utime(self._file, follow_symlinks=False)

    def release(self) -> None:
        """Let go of it."""
        found = _read(self._file)
        if found is not None and found.token == self._holder.token:
            with suppress(OSError):
                self._file.unlink()


@contextmanager
def locked(folder: Path, name: str = LOCK) -> Iterator[Lock]:
    """Hold a folder, or a part of it, for this process.

    Args:
        folder: which; it has to be there.
        name: of the lock's file in it, one for each part that is to be held by itself.

    Raises:
        SweepError: where another process holds it, and who that is.
        OSError: where the folder can't be written.
    """
    descriptor = _open(folder, name)
    try:
        lock = _take(folder, name, descriptor)
        try:
            with _beating(lock):
                yield lock
        finally:
            lock.release()
    finally:
        os.close(descriptor)  # which ends the flock


def in_use(folder: Path, holder: Holder | None = None, name: str = LOCK) -> SweepError:
    """Build the error for a folder that another process holds.

    Args:
        folder: which.
        holder: who that is; by default whoever its file names.
        name: of the lock's file.
    """
    holder = holder or _read(_said(folder, name))
    by = holder.words() if holder else "another run"
    elsewhere = ""
    if holder and not holder.owner.shares_kernel(this_process()):
        age = f"{_age(_said(folder, name)):.0f} s ago"
        elsewhere = f" (its last sign of life was {age}; {SILENT:.0f} s after that it is taken over)"
    return SweepError(f"{folder} is in use by {by}{elsewhere}: wait for it, or name another place with --out")


def _take(folder: Path, name: str, descriptor: int) -> Lock:
    """Take the lock."""
    for _ in range(_TRIES):
        flocked = _flock(descriptor)
        if flocked is not False and not _is_at(folder / name, descriptor):
            break  # the folder was moved away or removed after its lock was opened
        if (lock := _try(folder, name, flocked)) is not None:
            return lock
        time.sleep(_PAUSE)
    raise in_use(folder, name=name)


def _try(folder: Path, name: str, flocked: bool | None) -> Lock | None:
    """Try to take it once; None where another process holds it, or is taking it just now.

    Args:
        folder: which.
        name: of the lock's file.
        flocked: whether that is locked, None where the file system can't.
    """
    file = _said(folder, name)
    before = _read(file)
    if before is None and flocked is False:
        return None  # who holds it has not yet said so, or is an older version of this program
    if _is_there(file):
        if not _has_ended(file, before, flocked):
            return None
        if not _clear(file, before):
            return None
    mine = Holder(this_process(), token(), datetime.now().strftime("%Y-%m-%d %H:%M:%S"), flocked is True)
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _OPENING, 0o666)
    except FileExistsError:
        return None
    try:
        with open(descriptor, "w") as opened:
            json.dump(asdict(mine), opened)
    except OSError:  # a full disk: a lock that nobody holds is not left there
        file.unlink()
        raise
    return Lock(folder, name, mine)


def _has_ended(file: Path, holder: Holder | None, flocked: bool | None) -> bool:
    """Tell whether whoever a lock's file names has ended.

    Args:
        file: the lock's file.
        holder: who it names, None where it can't be read: its writer has just begun it, or was killed then.
        flocked: whether this process has the `flock`, None where the file system can't.
    """
    here = this_process()
    if holder is None:
        return flocked is True or _age(file) > SILENT
    near = holder.owner.shares_kernel(here)
    if holder.flocked and flocked and (near or holder.owner.machine == here.machine):
        return True  # which it would have otherwise; if the kernel is another one, the machine has been started again
    if holder.flocked and near:
        return False
    gone = holder.owner.is_gone()
    return _age(file) > SILENT if gone is None else gone


def _clear(file: Path, holder: Holder | None) -> bool:
    """Move the file of one that has ended out of the way; of several processes that do so at once only one can.

    Where another process was quicker, and what was moved is its file already, that is put back.
    """
    aside = file.with_name(f"{file.name}.{token()}")
    try:
        os.rename(file, aside)
    except FileNotFoundError:
        return False
    moved = _read(aside)
    same = (moved and moved.token) == (holder and holder.token)
    with suppress(OSError):
        if not same:
            os.link(aside, file)
    aside.unlink(missing_ok=True)
    return same


@contextmanager
def _beating(lock: Lock) -> Iterator[None]:
    """Give signs of life meanwhile, from a thread of its own."""
    done = threading.Event()

    def beat() -> None:
        while not done.wait(BEAT):
            lock.touch()

    thread = threading.Thread(target=beat, name="sweep-lock", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _open(folder: Path, name: str) -> int:
    """Open the lock's file; nothing but a regular file will do."""
    descriptor = os.open(folder / name, os.O_RDWR | os.O_CREAT | _OPENING, 0o666)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise SweepError(f"{folder / name} is no regular file, so {folder} can't be locked: remove it")
    return descriptor


def _flock(descriptor: int) -> bool | None:
    """Lock an open file; False where another process has it, None where the file system can't."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError as error:
        if error.errno in _NO_FLOCK:
            return None
        raise
    return True


def _is_at(path: Path, descriptor: int) -> bool:
    """Tell whether an open file is what is at a path now."""
    try:
        return os.path.samestat(os.stat(path, follow_symlinks=False), os.fstat(descriptor))
    except OSError:
        return False


def _is_there(file: Path) -> bool:
    return os.path.lexists(file)


def _read(file: Path) -> Holder | None:
    """Read who holds a lock; None where that is not said, or can't be read."""
    try:
        descriptor = os.open(file, os.O_RDONLY | _OPENING)
    except OSError:
        return None
    with open(descriptor, "rb") as opened:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return None
        try:
            return _holder(json.loads(opened.read(_MOST_BYTES)))
        except (OSError, ValueError, TypeError, KeyError, RecursionError):
            return None


def _holder(told: Any) -> Holder:
    """Make a holder of what a file says, which somebody else may have written."""
    owner = {name: str(told["owner"][name]) for name in ("host", "machine", "boot", "space", "started")}
    own, since = str(told["token"]), str(told["since"])
    if not all(text.isprintable() for text in (*owner.values(), own, since)):
        raise ValueError
    return Holder(Owner(**owner, pid=int(told["owner"]["pid"])), own, since, bool(told["flocked"]))


def _age(file: Path) -> float:
    """Give the seconds since a file was touched, by the clock of its file system: clocks of hosts differ."""
    probe = file.with_name(f"{file.name}.{token()}")
    try:
        os.close(os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _OPENING, 0o666))
        now = probe.stat().st_mtime
        probe.unlink()
        return max(0.0, now - os.stat(file, follow_symlinks=False).st_mtime)
    except OSError:
        return 0.0


def _said(folder: Path, name: str) -> Path:
    return folder / f"{name}.json"


def is_leftover(name: str) -> bool:
    """Tell whether a file's name is one that a killed process may have left beside a lock."""
    return _LEFTOVER.fullmatch(name) is not None
