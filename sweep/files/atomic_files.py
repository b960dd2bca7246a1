"""Atomic writing: a file is written under a temporary name beside its place, synced to disk, and renamed.

The temporary name says which process writes the file. So the next command that writes to the same folder can remove
what a killed process left there, and nothing else.
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
from sweep.files.owners import Owner, new_token, this_process

_NAME: Final = re.compile(r"\.new-([0-9a-f]{8})?-([0-9a-f]{8})?-([0-9a-f]{8})?-([0-9]{1,10})-([0-9]*)-[0-9a-f]{16}")
_AT_ONCE: Final = 16  # files that are synced in parallel
_OLD: Final = 86400.0  # seconds
# O_EXCL: what somebody else put at this name, such as a link, is never written to.
_CREATING: Final = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@contextmanager
def write_file(path: Path) -> Iterator[BinaryIO]:
    """Write a file atomically: it is moved to its place when the body has ended; if the body raises nothing changes.

    Args:
        path: its place. A file or a link that is there is replaced; a link is not followed.

    Yields:
        The file, in binary mode; it can be read and supports `seek`.

    Raises:
        OSError: if it can't be written; the error names `path`.
    """
    remove_abandoned(path.parent)
    beside = path.with_name(_new_name())
    with _name_in_errors(path):
        descriptor = os.open(beside, _CREATING, 0o666)
    try:
        with _name_in_errors(path), open(descriptor, "w+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        _move_to_place(beside, path)
    except BaseException:
        with suppress(OSError):
            beside.unlink()
        raise


def write_files(contents: Mapping[Path, bytes]) -> None:
    """Write several files, and move them to their places when all are written.

    Args:
        contents: the content of each file by its path.

    Raises:
        OSError: if one can't be written, which the error names; then none is changed.
    """
    ready: dict[Path, Path] = {}
    try:
        for path, content in contents.items():
            remove_abandoned(path.parent)
            beside = path.with_name(_new_name())
            ready[beside] = path
            with _name_in_errors(path), open(os.open(beside, _CREATING, 0o666), "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        for beside, path in ready.items():
            _move_to_place(beside, path)
    finally:
        for beside in ready:
            with suppress(OSError):  # usually because it has been moved
                beside.unlink()


@contextmanager
def make_folder_beside(folder: Path) -> Iterator[Path]:
    """Make a temporary folder inside another, for files that are moved to their places; it is removed afterwards.

    Args:
        folder: the outer folder, which must exist.

    Raises:
        OSError: if it can't be made.
    """
    remove_abandoned(folder)
    new = folder / _new_name()
    new.mkdir(mode=0o700)
    try:
        yield new
    finally:
        shutil.rmtree(new, ignore_errors=True)


@contextmanager
def make_temporary_folder() -> Iterator[Path]:
    """Make a temporary folder in the system's folder for temporary files; it is removed afterwards.

    Raises:
        SweepError: if there is no such folder that can be written.
        OSError: if it is full.
    """
    try:
        place = Path(tempfile.gettempdir())
    except FileNotFoundError as error:
        raise SweepError("no folder for temporary files can be written: name one with TMPDIR=FOLDER") from error
    with make_folder_beside(place) as folder:
        yield folder


def sync(path: Path) -> None:
    """Write a file, or all files of a folder, from the system's memory to disk.

    Raises:
        OSError: if that fails.
    """
    if path.is_file():
        _sync(path)
    for folder, _, files in os.walk(path):
        for each in files:
            if not Path(folder, each).is_symlink():
                _sync(Path(folder, each))
        sync_folder(Path(folder))


def sync_files(files: Iterable[Path]) -> None:
    """Write files and their entries in their folders to disk; files that do not exist are left out.

    File systems combine syncs that come at once, which is many times faster than one after the other.

    Raises:
        OSError: if that fails.
    """
    existing = [file for file in files if file.is_file()]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for paths in (existing, {file.parent for file in existing}):
            list(pool.map(_sync, paths))


def remove_abandoned(folder: Path) -> None:
    """Remove temporary files of processes that have ended from a folder, never those of a running process.

    Files from before the last restart of this machine are removed after a day, files of other machines never.

    Args:
        folder: the folder, which need not exist. What can't be removed stays.
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
    return f".new-{owner.machine}-{owner.boot}-{owner.space}-{owner.pid}-{owner.started}-{new_token()}"


def _is_abandoned(entry: os.DirEntry[str]) -> bool:
    found = _NAME.fullmatch(entry.name)
    if found is None:
        return False
    machine, boot, space, pid, started = (part or "" for part in found.groups())
    owner, here = Owner("", machine, boot, space, int(pid), started), this_process()
    if owner.machine == here.machine and not owner.shares_kernel(here):
        return time.time() - entry.stat(follow_symlinks=False).st_mtime > _OLD
    return owner.is_gone() is True


def _move_to_place(beside: Path, path: Path) -> None:
    with _name_in_errors(path):
        os.replace(beside, path)
    sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Write the entries of a folder to disk, where the file system can; they are in their places in any case."""
    with suppress(OSError):
        _sync(path)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _name_in_errors(path: Path) -> Iterator[None]:
    """Make an OSError name the file's place and not its temporary path."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error
