"""Exchanging two folders, so that at every moment a complete one is at each of the two paths.

Python has no function for it. Linux (`renameat2`) and macOS (`renamex_np`) have one, which not every file system
supports; then three renames do it, between which one path is empty for a moment.
"""

import ctypes
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

_HERE: Final = -100  # AT_FDCWD: relative paths begin at the working directory
_EXCHANGE: Final = 2  # RENAME_EXCHANGE of Linux, RENAME_SWAP of macOS


def exchange(one: Path, other: Path) -> None:
    """Exchange two existing folders of one file system.

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
    aside = one.with_name(f"{one.name}.exchanged")
    os.rename(other, aside)
    try:
        os.rename(one, other)
    except OSError:
        os.rename(aside, other)
        raise
    os.rename(aside, one)
