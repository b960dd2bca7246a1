"""Where JAX keeps compiled programs for later runs: in a folder of the user's own that nobody else can write to.

JAX reads these settings from the environment when it is loaded, so a command makes them before it loads a page.
"""

import hashlib
import os
import platform
import re
import stat
from collections.abc import Iterator, MutableMapping
from contextlib import suppress
from functools import cache
from itertools import takewhile
from pathlib import Path
from typing import Final

from sweep.base.errors import SweepError

OFF: Final = Path("off")
MOST_BYTES: Final = 2**28  # of all programs in a folder; one takes about 100 kB
_FOLDER, _ENABLE = "JAX_COMPILATION_CACHE_DIR", "JAX_ENABLE_COMPILATION_CACHE"
_LEAST_SECONDS: Final = "0.1"  # a program that compiles faster is not kept
_OTHERS_WRITE: Final = stat.S_IWGRP | stat.S_IWOTH
_PREFIX: Final = "cpu-"
_PROCESSORS: Final = Path("/proc/cpuinfo")
_DETAILS: Final = r"(vendor_id|cpu family|model( name)?|flags|Features|CPU .*?)\s*:"


def use(folder: Path | None, environment: MutableMapping[str, str] = os.environ) -> None:
    """Make JAX keep compiled programs, and load those that earlier runs on such a machine have kept.

    Args:
        folder: made if needed, with access for this user only; `OFF` keeps nothing; None is the user's own, if it is
            private, unless the environment already has settings of JAX's cache.
        environment: what JAX will read.

    Raises:
        SweepError: if a folder that was given can't be made, or if others can write to it.
    """
    if folder == OFF:
        environment[_ENABLE] = "false"
        return
    if folder is None and not {_FOLDER, _ENABLE}.isdisjoint(environment):
        return
    chosen = _user_folder(environment) if folder is None else _given_folder(folder)
    if chosen is not None:
        with suppress(OSError):  # another run may remove the same files
            _remove_oldest(chosen)
        environment.update({_FOLDER: str(chosen.absolute() / _machine()), _ENABLE: "true"})
        environment.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", _LEAST_SECONDS)


def _given_folder(folder: Path) -> Path:
    """Return a folder that the user named, after making it.

    Raises:
        SweepError: if it can't be made, or if others can write to it.
    """
    try:
        _make(folder)
        is_private = _is_private(folder)
    except OSError as error:
        raise SweepError(f"can't use {folder} for --compile-cache: {error.strerror or error}") from error
    if not is_private:
        raise SweepError(
            f"others can write to {folder}, and so run code through --compile-cache: name a folder that only you can "
            f"write to"
        )
    return folder


def _user_folder(environment: MutableMapping[str, str]) -> Path | None:
    """Return the folder in the user's cache, or None if it can't be used or others could put a program there."""
    named = Path(environment.get("XDG_CACHE_HOME", ""))
    try:
        folder = (named if named.is_absolute() else Path.home() / ".cache") / "sweep"
        _make(folder)
        own = folder.resolve()
        return own if _is_private(own) and all(map(_is_safe, own.parents)) and os.access(own, os.W_OK) else None
    except (OSError, RuntimeError):  # without a home, with a read-only one or on a full disk
        return None


def _make(folder: Path) -> None:
    """Make a folder with access for this user only, and in it the one for this machine."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    (folder / _machine()).mkdir(mode=0o700, exist_ok=True)


def _is_private(folder: Path) -> bool:
    """Tell whether only this user can write to a folder, and to the one in it for this machine."""
    found = [each.stat() for each in (folder, folder / _machine())]
    return all(stat.S_ISDIR(s.st_mode) and s.st_uid == os.getuid() and not s.st_mode & _OTHERS_WRITE for s in found)


def _is_safe(folder: Path) -> bool:
    """Tell whether nobody but this user and root can put another folder in the place of one inside."""
    found = folder.stat()
    is_protected = not found.st_mode & _OTHERS_WRITE or bool(found.st_mode & stat.S_ISVTX)
    return is_protected and found.st_uid in (0, os.getuid())


@cache
def _machine() -> str:
    """Name this kind of processor: programs compiled for another one may end the process, and JAX does not look.

    A home folder may be shared by several machines. Where the system does not list what a processor can do, the
    machine's name stands for it.
    """
    try:
        with _PROCESSORS.open(errors="replace") as lines:  # only the first of them: there may be hundreds
            known = [line for line in takewhile(str.strip, lines) if re.match(_DETAILS, line)]
    except OSError:
        known = []
    named = [platform.system(), platform.machine(), *(known or [platform.node()])]
    return _PREFIX + hashlib.sha256("\n".join(named).encode()).hexdigest()[:16]


def _remove_oldest(folder: Path) -> None:
    """Remove the programs that were not used for the longest time, until all others take at most `MOST_BYTES`."""
    total = 0
    for _, size, path in sorted(_programs(folder), reverse=True):
        total += size
        if total > MOST_BYTES:
            path.unlink(missing_ok=True)


def _programs(folder: Path) -> Iterator[tuple[float, int, Path]]:
    """List the programs in a folder: when each was last used, its bytes, its file."""
    for path in folder.glob(f"{_PREFIX}*/*-cache"):
        found = path.lstat()
        yield max(found.st_atime, found.st_mtime), found.st_size, path
