"""Locks: one run at a time writes a store, or a part of it, on any file system; a lock's file names its holder.

A lock consists of two files in the folder. `NAME` is locked with `flock` where the file system supports that; the
operating system releases it when the process ends in any way. `NAME.json` names the holder (host, process, time, a
token), which touches the file every `BEAT` seconds. For a holder on the same kernel, `flock`, or the process number
where there is no `flock`, shows at once whether the process still runs. A holder elsewhere, on another host or in
another container, is assumed to have ended when its file was not touched for `SILENT` seconds, by the clock of the file
system; then the lock is taken over.

A holder that was only suspended must not write after that. So every process that writes under a lock checks it before
each write:

    with lock_folder(folder) as lock:
        lock.check()  # raises a SweepError if another process has taken over the lock
        ...           # write

If the folder is moved while its lock is held, call `lock.set_folder(new)`.

Parts of a folder have locks of their own, each with its name. Who needs the whole folder calls `evict` for each of
them: it refuses if the holder lives, and else takes the lock away from it.
"""

import errno
import fcntl
import json
import os
import re
import stat
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from sweep.base.errors import SweepError
from sweep.files.owners import Owner, new_token, this_process

LOCK: Final = "lock"
BEAT: Final = 15.0  # seconds between two heartbeats
SILENT: Final = 600.0  # seconds without a heartbeat after which a holder elsewhere is assumed to have ended
_TRIES: Final = 5  # needed where another process takes or releases the lock at the same moment
_PAUSE: Final = 0.05  # seconds between two tries
_OPENING: Final = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # follow no link, wait for no pipe
_NO_FLOCK: Final = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL)
_MOST_BYTES: Final = 4096
_LEFTOVER: Final = re.compile(r".+\.json\.[0-9a-f]{16}")


class InUseError(SweepError):
    """Another process holds a lock."""


@dataclass(frozen=True)
class Holder:
    """The holder of a lock, as its file names it.

    Args:
        owner: the process.
        token: a random name; each time that a lock is taken has another.
        since: when it was taken, as text for users.
        flocked: whether it is also locked with `flock`.
    """

    owner: Owner
    token: str
    since: str
    flocked: bool

    def describe(self) -> str:
        """Return who it is in words: "process 7 on HOST since 2030-01-01 12:00:00"."""
        return f"process {self.owner.pid} on {self.owner.host} since {self.since}"


class Lock:
    """A lock that this process holds.

    Args:
        folder: the locked folder.
        name: name of the lock's file, one for each part of the folder.
        holder: this process.
    """

    def __init__(self, folder: Path, name: str, holder: Holder) -> None:
        self._folder, self._name, self._holder = folder, name, holder

    def check(self) -> None:
        """Make sure that this process still holds the lock, before it writes.

        Raises:
            SweepError: if another process has taken over the lock, because this one was suspended.
        """
        found = _read_holder(self._file)
        if found is None or found.token != self._holder.token:
            raise taken_over_error(self._folder, found)

    @property
    def token(self) -> str:
        """The random name of this holding of the lock."""
        return self._holder.token

    def set_folder(self, folder: Path) -> None:
        """Set the new path of the folder, after it was moved."""
        self._folder = folder

    @property
    def _file(self) -> Path:
        return _holder_file(self._folder, self._name)

    def touch(self) -> None:
        """Touch the holder's file as a heartbeat."""
        with suppress(OSError):
            found = _read_holder(self._file)
            if found is not None and found.token == self._holder.token:
                os.utime(self._file, follow_symlinks=False)

    def release(self) -> None:
        """Remove the holder's file, if it is still that of this process."""
        found = _read_holder(self._file)
        if found is not None and found.token == self._holder.token:
            with suppress(OSError):
                self._file.unlink()


@contextmanager
def lock_folder(folder: Path, name: str = LOCK) -> Iterator[Lock]:
    """Hold the lock of a folder, or of a part of it, during the body.

    Args:
        folder: the folder, which must exist.
        name: name of the lock's file in it, one for each part that is locked separately.

    Raises:
        InUseError: if another process holds it; the message names that process.
        SweepError: if the lock's file is not a regular file.
        OSError: if the folder can't be written.
    """
    descriptor = _open_lock(folder, name)
    try:
        lock = _take(folder, name, descriptor)
        try:
            with send_heartbeats(lock.touch):
                yield lock
        finally:
            lock.release()
    finally:
        os.close(descriptor)  # this releases the flock


def evict(folder: Path, name: str) -> None:
    """Take a lock away from a holder that has ended, or was silent for as long as if it had.

    If it was only suspended, it notices before it writes.

    Args:
        folder: the folder.
        name: name of the lock's file.

    Raises:
        InUseError: if the holder lives.
        OSError: if the folder can't be written.
    """
    file = _holder_file(folder, name)
    if not _is_there(file):
        return
    descriptor = _open_lock(folder, name)
    try:
        holder = _read_holder(file)
        ended = _has_ended(file, holder, _flock(descriptor))
        if not ended or (not _remove_holder_file(file, holder) and _is_there(file)):
            raise in_use_error(folder, holder, name)
    finally:
        os.close(descriptor)


def sign_of_life(folder: Path, name: str) -> tuple[str, int] | None:
    """Return what changes with each sign of life of a lock's holder, None for a holder on this kernel or for none.

    Args:
        folder: the folder.
        name: name of the lock's file.
    """
    file = _holder_file(folder, name)
    holder = _read_holder(file)
    if holder is None or holder.owner.shares_kernel(this_process()):
        return None
    try:
        return holder.token, os.stat(file, follow_symlinks=False).st_mtime_ns
    except OSError:
        return None


def token_of(folder: Path, name: str = LOCK) -> str | None:
    """Return the token of a lock's holder, None if nobody holds the lock.

    Args:
        folder: the folder.
        name: name of the lock's file.
    """
    holder = _read_holder(_holder_file(folder, name))
    return holder and holder.token


def in_use_error(folder: Path, holder: Holder | None = None, name: str = LOCK) -> InUseError:
    """Build the error for a folder whose lock another process holds.

    Args:
        folder: the folder.
        holder: the other process; by default the one that the lock's file names.
        name: name of the lock's file.
    """
    file = _holder_file(folder, name)
    return describe_use(folder, holder or _read_holder(file), lambda: _age(file))


def describe_use(place: object, holder: Holder | None, age: Callable[[], float]) -> InUseError:
    """Build the error for a place that another process holds.

    Args:
        place: what it holds, as users call it.
        holder: the other process, None if it is unknown.
        age: gives the seconds since its last sign of life.
    """
    by = holder.describe() if holder else "another run"
    elsewhere = ""
    if holder and not holder.owner.shares_kernel(this_process()):
        elsewhere = (
            f" (its last sign of life was {age():.0f} s ago; after {SILENT:.0f} s without one the lock is taken over)"
        )
    return InUseError(f"{place} is in use by {by}{elsewhere}: wait until it ends, or name another place with --out")


def taken_over_error(place: object, by: Holder | None) -> SweepError:
    """Build the error for a process that was suspended, and whose lock another one has now.

    Args:
        place: what was locked.
        by: the other process, None if it is unknown.
    """
    name = f" by {by.describe()}" if by else ""
    return SweepError(
        f"{place} was taken over{name} while this process was suspended: it stops writing; what it has saved is kept"
    )


def _take(folder: Path, name: str, descriptor: int) -> Lock:
    """Take the lock, with several tries."""
    for _ in range(_TRIES):
        flocked = _flock(descriptor)
        if flocked is not False and not _is_same_file(folder / name, descriptor):
            break  # the folder was moved or removed after its lock was opened
        if (lock := _try_to_take(folder, name, flocked)) is not None:
            return lock
        time.sleep(_PAUSE)
    raise in_use_error(folder, name=name)


def _try_to_take(folder: Path, name: str, flocked: bool | None) -> Lock | None:
    """Try once to take the lock; return None if another process holds it, or is taking it at this moment.

    Args:
        folder: the folder.
        name: name of the lock's file.
        flocked: whether this process has the `flock`; None where the file system has none.
    """
    file = _holder_file(folder, name)
    before = _read_holder(file)
    if before is None and flocked is False:
        return None  # the holder has not written its file yet, or is an older version of this program
    if _is_there(file):
        if not _has_ended(file, before, flocked):
            return None
        if not _remove_holder_file(file, before):
            return None
    mine = new_holder(flocked=flocked is True)
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _OPENING, 0o666)
    except FileExistsError:
        return None
    try:
        with open(descriptor, "w") as opened:
            json.dump(asdict(mine), opened)
    except OSError:  # a full disk: leave no lock behind that nobody holds
        file.unlink()
        raise
    return Lock(folder, name, mine)


def new_holder(*, flocked: bool) -> Holder:
    """Describe this process as the holder of a lock, with a new token."""
    return Holder(this_process(), new_token(), datetime.now().strftime("%Y-%m-%d %H:%M:%S"), flocked)


def _has_ended(file: Path, holder: Holder | None, flocked: bool | None) -> bool:
    """Tell whether the process that a lock's file names has ended.

    Args:
        file: the holder's file.
        holder: what it says; None where it can't be read, because its writer has just begun it or was killed then.
        flocked: whether this process has the `flock`; None where the file system has none.
    """
    here = this_process()
    if holder is None:
        return flocked is True or _age(file) > SILENT
    near = holder.owner.shares_kernel(here)
    if holder.flocked and flocked and (near or holder.owner.machine == here.machine):
        return True  # a living holder would have the flock; another kernel means that the machine was restarted
    if holder.flocked and near:
        return False
    gone = holder.owner.is_gone()
    return _age(file) > SILENT if gone is None else gone


def _remove_holder_file(file: Path, holder: Holder | None) -> bool:
    """Remove the file of a holder that has ended; if several processes try this at once, only one succeeds.

    The file is renamed first. If another process was faster and the renamed file is already its own, it is put back.
    """
    aside = file.with_name(f"{file.name}.{new_token()}")
    try:
        os.rename(file, aside)
    except FileNotFoundError:
        return False
    moved = _read_holder(aside)
    same = (moved and moved.token) == (holder and holder.token)
    with suppress(OSError):
        if not same:
            os.link(aside, file)
    aside.unlink(missing_ok=True)
    return same


@contextmanager
def send_heartbeats(touch: Callable[[], None]) -> Iterator[None]:
    """Give a sign of life every `BEAT` seconds during the body, from a second thread.

    Args:
        touch: gives it.
    """
    done = threading.Event()

    def beat() -> None:
        while not done.wait(BEAT):
            touch()

    thread = threading.Thread(target=beat, name="sweep-lock", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _open_lock(folder: Path, name: str) -> int:
    """Open the lock's file, which must be a regular file."""
    descriptor = os.open(folder / name, os.O_RDWR | os.O_CREAT | _OPENING, 0o666)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise SweepError(f"{folder / name} is not a regular file, so {folder} can't be locked: remove it")
    return descriptor


def _flock(descriptor: int) -> bool | None:
    """Lock an open file; return False if another process has the lock, None where the file system has no locks."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError as error:
        if error.errno in _NO_FLOCK:
            return None
        raise
    return True


def _is_same_file(path: Path, descriptor: int) -> bool:
    """Tell whether an open file is the one at a path now."""
    try:
        return os.path.samestat(os.stat(path, follow_symlinks=False), os.fstat(descriptor))
    except OSError:
        return False


def _is_there(file: Path) -> bool:
    return os.path.lexists(file)


def _read_holder(file: Path) -> Holder | None:
    """Read who holds a lock; return None if there is no file or it can't be read."""
    try:
        descriptor = os.open(file, os.O_RDONLY | _OPENING)
    except OSError:
        return None
    with open(descriptor, "rb") as opened:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return None
        try:
            return parse_holder(json.loads(opened.read(_MOST_BYTES)))
        except (OSError, ValueError, TypeError, KeyError, RecursionError):
            return None


def parse_holder(data: Any) -> Holder:
    """Build a holder from the content of a file, which is not trusted.

    Raises:
        ValueError, TypeError, KeyError: for anything but what a holder writes.
    """
    owner = {name: str(data["owner"][name]) for name in ("host", "machine", "boot", "space", "started")}
    token, since = str(data["token"]), str(data["since"])
    if not all(text.isprintable() for text in (*owner.values(), token, since)):
        raise ValueError
    return Holder(Owner(**owner, pid=int(data["owner"]["pid"])), token, since, bool(data["flocked"]))


def _age(file: Path) -> float:
    """Return the seconds since a file was touched, by the clock of its file system: the clocks of hosts differ."""
    probe = file.with_name(f"{file.name}.{new_token()}")
    try:
        os.close(os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _OPENING, 0o666))
        now = probe.stat().st_mtime
        probe.unlink()
        return max(0.0, now - os.stat(file, follow_symlinks=False).st_mtime)
    except OSError:
        return 0.0


def _holder_file(folder: Path, name: str) -> Path:
    return folder / f"{name}.json"


def is_leftover(name: str) -> bool:
    """Tell whether a file's name is one that a killed process may have left beside a lock."""
    return _LEFTOVER.fullmatch(name) is not None
