"""Where JAX keeps compiled programs for later runs: in a folder of the user's own that nobody else can write to.

JAX reads these settings from the environment when it is loaded, so a command makes them before it loads a page.
"""

import os
from collections.abc import Iterator, MutableMapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from sweep.base.errors import SweepError
from sweep.files.user_cache import is_private, kind_of_processor, user_cache_folder

OFF: Final = Path("off")
MOST_BYTES: Final = 2**28  # of all programs in a folder; one takes about 100 kB
_FOLDER, _ENABLE = "JAX_COMPILATION_CACHE_DIR", "JAX_ENABLE_COMPILATION_CACHE"
_LEAST_SECONDS: Final = "0.1"  # a program that compiles faster is not kept
_PREFIX: Final = "cpu-"


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
    chosen = _default_folder(environment) if folder is None else _given_folder(folder)
    if chosen is None:
        return
    with suppress(OSError):  # another run may remove the same files
        _remove_oldest(chosen.parent)
    environment.update({_FOLDER: str(chosen.absolute()), _ENABLE: "true"})
    environment.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", _LEAST_SECONDS)


def _default_folder(environment: MutableMapping[str, str]) -> Path | None:
    """Return the folder in the user's cache, or None if it can't be used or others could put a program there."""
    folder = user_cache_folder(environment)
    try:
        own = None if folder is None else _folder_of_processor(folder)
        return own if own is not None and is_private(own) else None
    except OSError:  # on a full disk
        return None


def _given_folder(folder: Path) -> Path:
    """Return the one for this processor in a folder that the user named, after making both.

    Raises:
        SweepError: if it can't be made, or if others can write to it.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        own = _folder_of_processor(folder)
        private = is_private(folder) and is_private(own)
    except OSError as error:
        raise SweepError(f"can't use {folder} for --compile-cache: {error.strerror or error}") from error
    if not private:
        raise SweepError(
            f"others can write to {folder}, and so run code through --compile-cache: name a folder that only you can "
            f"write to"
        )
    return own


def _folder_of_processor(folder: Path) -> Path:
    """Make the folder for this kind of processor: programs compiled for another kind may end the process.

    JAX does not look for which one a program was compiled.
    """
    own = folder / f"{_PREFIX}{kind_of_processor()}"
    own.mkdir(mode=0o700, exist_ok=True)
    return own


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
