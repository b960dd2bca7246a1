"""Exchanging two folders, so that at every moment a complete one is at each of the two paths.

Python has no function for it. Linux (`renameat2`) and macOS (`renamex_np`) have one, which not every file system
supports, NFS for example. Then three renames do it, between which one path is empty for a moment: if the process is
killed in this moment, `undo` returns the folder to its path.
"""

import ctypes
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

_HERE: Final = -100  # AT_FDCWD: relative paths begin at the working directory
_ASIDE: Final = ".exchanged"  # appended to the name of a folder between the renames
_EXCHANGE: Final = 2  # RENAME_EXCHANGE of Linux, RENAME_SWAP of macOS


def exchange(one: Path, other: Path) -> None:
    """Exchange two existing folders of one file system.

    Args:
        one: a folder.
        other: another one, which is never lost, even if the process is killed.

    Raises:
        OSError: if they can't be renamed; then both are as they were.
    """
    if not _exchange_at_once(one, other):
        _exchange_by_renames(one, other)


def _exchange_at_once(one: Path, other: Path) -> bool:
    """Exchange two folders in one step; return False if the system or the file system can't."""
    library, paths = ctypes.CDLL(None, use_errno=True), (os.fsencode(one), os.fsencode(other))
    calls: dict[str, Callable[[Callable[..., int]], int]] = {
        "renameat2": lambda rename: rename(_HERE, paths[0], _HERE, paths[1], _EXCHANGE),
        "renamex_np": lambda rename: rename(paths[0], paths[1], _EXCHANGE),
    }
    for name, call in calls.items():
        with suppress(AttributeError):  # a library of another system
            return call(getattr(library, name)) == 0
    return False


def _exchange_by_renames(one: Path, other: Path) -> None:
    aside = _aside(other)
    shutil.rmtree(aside, ignore_errors=True)  # of a process that was killed before the last renaming: it is older
    os.rename(other, aside)
    try:
        os.rename(one, other)
    except OSError:
        os.rename(aside, other)
        raise
    os.rename(aside, one)


def undo(path: Path) -> None:
    """Return a folder to its path from which a killed process has moved it, if nothing is there.

    Raises:
        OSError: if it can't be renamed.
    """
    if not os.path.lexists(path) and _aside(path).is_dir():
        os.rename(_aside(path), path)


def _aside(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}{_ASIDE}")
