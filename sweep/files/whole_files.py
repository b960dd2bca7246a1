"""Files that are there whole or not at all: written beside their place, synced to disk, and moved there.

What is written beside has a name that says which process writes it, so that the next command that writes to the same
folder removes what a killed one left there, and nothing else.
"""

import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final

from sweep.base.errors import SweepError
from sweep.files.owners import Owner, this_process, token

_NAME: Final = re.compile(r"\.new-([0-9a-f]{8})?-([0-9a-f]{8})?-([0-9a-f]{8})?-([0-9]{1,10})-([0-9]*)-[0-9a-f]{16}")
_AT_ONCE: Final = 16  # files that are asked to be on disk
_OLD: Final = 86400.0  # seconds
# Exclusively: what somebody else put at this name, such as a link, is never written to.
_CREATING: Final = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@contextmanager
def writing(path: Path) -> Iterator[BinaryIO]:
    """Open a file to write that takes its place once the body has ended; a body that raises changes nothing.

    Args:
        path: its place. A file or a link that is there is replaced, and never written through.

    Yields:
        The file, binary; it can seek, and be read.

    Raises:
        OSError: where it can't be written, by the name of its place.
    """
    remove_abandoned(path.parent)
    beside = path.with_name(_new_name())
    with _named(path):
        descriptor = os.open(beside, _CREATING, 0o666)
    try:
        with _named(path), open(descriptor, "w+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        _take_place(beside, path)
    except BaseException:
        with suppress(OSError):
            beside.unlink()
        raise


def write(contents: Mapping[Path, bytes]) -> None:
    """Write files, and move them to their places once all are written.

    Args:
        contents: what each is to hold.

    Raises:
        OSError: where one can't be written, by its name; then none is changed.
    """
    ready: dict[Path, Path] = {}
    try:
        for path, content in contents.items():
            remove_abandoned(path.parent)
            beside = path.with_name(_new_name())
            ready[beside] = path
            with _named(path), open(os.open(beside, _CREATING, 0o666), "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        for beside, path in ready.items():
            _take_place(beside, path)
    finally:
        for beside in ready:
            with suppress(OSError):  # most often because it has been moved
                beside.unlink()


@contextmanager
def beside(folder: Path) -> Iterator[Path]:
    """Give a new, empty folder within another, for what is moved to its place when it is whole; it is gone afterwards.

    Args:
        folder: which has to be there.

    Raises:
        OSError: where it can't be made.
    """
    remove_abandoned(folder)
    new = folder / _new_name()
    new.mkdir(mode=0o700)
    try:
        yield new
    finally:
        shutil.rmtree(new, ignore_errors=True)


@contextmanager
def temporary() -> Iterator[Path]:
    """Give a new, empty folder among the system's temporary ones, as `beside` does.

    Raises:
        SweepError: where there is no such folder that can be written.
        OSError: where it is full.
    """
    try:
        place = Path(tempfile.gettempdir())
    except FileNotFoundError as error:
        raise SweepError("no folder for temporary files can be written: name one with TMPDIR=FOLDER") from error
    with beside(place) as folder:
        yield folder


def sync(path: Path) -> None:
    """Have all that a file or a folder holds on disk, and not only in the system's memory.

    Raises:
        OSError: where that fails.
    """
    if path.is_file():
        _sync(path)
    for folder, _, files in os.walk(path):
        for each in files:
            if not Path(folder, each).is_symlink():
                _sync(Path(folder, each))
        _sync_folder(Path(folder))


def sync_files(files: Iterable[Path]) -> None:
    """Have files on disk, with their places in their folders; those that are not there are left out.

    File systems take what is asked for at once together, which is many times as fast as one after the other.

    Raises:
        OSError: where that fails.
    """
    there = [file for file in files if file.is_file()]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for places in (there, {file.parent for file in there}):
            list(pool.map(_sync, places))


def remove_abandoned(folder: Path) -> None:
    """Remove what processes that have ended were writing beside its place in a folder; never what one still writes.

    Of processes from before this machine was last started that is known after a day; of those of other machines never.

    Args:
        folder: which need not be there. What can't be removed stays.
    """
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if _is_abandoned(entry):
                _remove(entry)


def _remove(entry: os.DirEntry[str]) -> None:
    if entry.is_dir(follow_symlinks=False):
        shutil.rmtree(entry.path, ignore_errors=True)
    else:
        with suppress(OSError):
            os.unlink(entry.path)


def _new_name() -> str:
    owner = this_process()
    return f".new-{owner.machine}-{owner.boot}-{owner.space}-{owner.pid}-{owner.started}-{token()}"


def _is_abandoned(entry: os.DirEntry[str]) -> bool:
    found = _NAME.fullmatch(entry.name)
    if found is None:
        return False
    machine, boot, space, pid, started = (part or "" for part in found.groups())
    owner, here = Owner("", machine, boot, space, int(pid), started), this_process()
    if owner.machine == here.machine and not owner.shares_kernel(here):
        return time.time() - entry.stat(follow_symlinks=False).st_mtime > _OLD
    return owner.is_gone() is True


def _take_place(beside: Path, path: Path) -> None:
    with _named(path):
        os.replace(beside, path)
    _sync_folder(path.parent)


def _sync_folder(path: Path) -> None:
    with suppress(OSError):  # some file systems can't, and what was moved is in its place all the same
        _sync(path)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Have a failure name the place, and not what lies beside it."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error
