"""The folder in which commands keep what can be computed again, such as compiled programs."""

import hashlib
import os
import platform
import re
import stat
from collections.abc import Mapping
from functools import cache
from itertools import takewhile
from pathlib import Path
from typing import Final

_OTHERS_WRITE: Final = stat.S_IWGRP | stat.S_IWOTH
_PROCESSORS: Final = Path("/proc/cpuinfo")
_DETAILS: Final = r"(vendor_id|cpu family|model( name)?|flags|Features|CPU .*?)\s*:"


def user_cache_folder(environment: Mapping[str, str] = os.environ) -> Path | None:
    """Return this user's cache folder of `sweep`, and make it if it is not there.

    It is `$XDG_CACHE_HOME/sweep`, or `~/.cache/sweep` where that variable is unset or no absolute path. Only this user
    may write there: what is read from it is trusted, and some of it is executed.

    Args:
        environment: where the variable is looked up.

    Returns:
        The folder; None if it can't be made or written to, if it belongs to another user, or if others can write to
        it, or put another folder in its place.
    """
    named = Path(environment.get("XDG_CACHE_HOME", ""))
    try:
        folder = (named if named.is_absolute() else Path.home() / ".cache") / "sweep"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return folder if is_private(folder) and os.access(folder, os.W_OK) else None
    except (OSError, RuntimeError):  # RuntimeError: the user has no home folder
        return None


def is_private(folder: Path) -> bool:
    """Tell whether a folder belongs to this user, and nobody else can write to it or put another one in its place.

    Raises:
        OSError: if there is none.
    """
    own = folder.resolve(strict=True)
    found = own.stat()
    is_own = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & _OTHERS_WRITE
    return is_own and all(map(_is_safe, own.parents))


def _is_safe(folder: Path) -> bool:
    """Tell whether nobody but this user and root can put another folder in the place of one inside."""
    found = folder.stat()
    is_protected = not found.st_mode & _OTHERS_WRITE or bool(found.st_mode & stat.S_ISVTX)
    return is_protected and found.st_uid in (0, os.getuid())


@cache
def kind_of_processor() -> str:
    """Name this kind of processor, for which XLA compiles on CPU: a home folder may be shared by several machines.

    Where the system does not list what a processor can do, the machine's name stands for it.
    """
    try:
        with _PROCESSORS.open(errors="replace") as lines:  # only the first of them: there may be hundreds
            known = [line for line in takewhile(str.strip, lines) if re.match(_DETAILS, line)]
    except OSError:
        known = []
    named = [platform.system(), platform.machine(), *(known or [platform.node()])]
    return hashlib.sha256("\n".join(named).encode()).hexdigest()[:16]
