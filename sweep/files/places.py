"""Paths that users give, and folders that a command makes: with their parents, and gone again if that fails."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import Final

from sweep.base.errors import SweepError
from sweep.base.text import check_characters

ROOT: Final = "zarr.json"  # the file that makes a folder a store, or an array of one
LONGEST: Final = 255  # bytes of a name in a path: what file systems take
LONGEST_PATH: Final = 3500  # bytes of a whole path: of 4096, as commands put names of their own behind it
SPARE: Final = 15  # bytes that may come behind the name of a store, as in "page.old-1"


def as_given(path: str | Path, spare: int = 0) -> Path:
    """Read a path as it was given: "~" is the home folder, whoever opens it.

    Args:
        path: the path; it need not exist.
        spare: bytes of its last name to be left free.

    Raises:
        SweepError: for a path that can't be, before anything is made: with control characters or letters that are no
            text in it, with a name that is too long, or of the home folder of a user that there is not.
    """
    path = Path(path)
    check_characters("a path", str(path))
    if path.parts[:1] and path.parts[0].startswith("~"):
        try:
            path = path.expanduser()
        except RuntimeError:
            raise SweepError(
                f"there is no home folder {path.parts[0]}: give the whole path in place of {path}"
            ) from None
    for name in path.parts:
        _check_length("name", name, LONGEST - (spare if name == path.name else 0))
    _check_length("path", str(path.absolute()), LONGEST_PATH)
    return path


def _check_length(kind: str, text: str, most: int) -> None:
    size = len(os.fsencode(text))
    if size > most:
        shown = text if len(text) <= 40 else f"{text[:20]}...{text[-12:]}"
        raise SweepError(f"the {kind} {shown} has {size} bytes: take one of at most {most}")


@contextmanager
def made(folder: Path) -> Iterator[None]:
    """Make a folder and its parents; if the body raises, remove those of them that are new and empty.

    Args:
        folder: which.

    Raises:
        OSError: where it can't be made.
    """
    new = [each for each in (folder, *folder.parents) if not each.exists()]
    if not new and not folder.is_dir():  # which `mkdir` would call "File exists", as if another had just made it
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except BaseException:
        remove_empty(new)
        raise


def remove_empty(folders: list[Path]) -> None:
    """Remove folders, innermost first, as far as they are empty."""
    for folder in folders:
        with suppress(OSError):
            folder.rmdir()


def try_writing(folder: Path) -> None:
    """Find out whether files can be written to a folder, which need not exist, and leave all as it was.

    Raises:
        OSError: if not.
    """
    new = [each for each in (folder, *folder.parents) if not each.exists()]
    with made(folder), TemporaryFile(dir=folder):
        pass
    remove_empty(new)
