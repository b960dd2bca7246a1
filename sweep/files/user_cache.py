"""The folder in which commands keep what can be computed again, such as compiled programs."""

import os
import stat
from pathlib import Path


def user_cache_folder() -> Path | None:
    """Return this user's cache folder of `sweep`, and make it if it is not there.

    It is `$XDG_CACHE_HOME/sweep`, or `~/.cache/sweep` where that variable is unset or no absolute path. Only this user
    may write there: what is read from it is trusted, and some of it is executed.

    Returns:
        The folder; None if it can't be made, or belongs to another user, or if others can write to it.
    """
    try:
        folder = _cache_home() / "sweep"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return folder if is_private(folder) else None
    except (OSError, RuntimeError):  # RuntimeError: the user has no home folder
        return None


def is_private(folder: Path) -> bool:
    """Tell whether a folder belongs to this user and nobody else can write to it.

    Raises:
        OSError: if there is none.
    """
    found = folder.stat()
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o022


def _cache_home() -> Path:
    given = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return given if given.is_absolute() else Path.home() / ".cache"
