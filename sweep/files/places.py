"""Paths that users give, and folders that a command makes and removes again if it fails."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import Final

from sweep.base.errors import SweepError
from sweep.base.text import check_characters
from sweep.files.addresses import is_address, parse_address

ROOT: Final = "zarr.json"  # the file that makes a folder a store, or an array of a store
LONGEST: Final = 255  # bytes of one name in a path, the limit of file systems
LONGEST_PATH: Final = 3500  # bytes of a path: below the limit of 4096, since commands append names to it
SPARE: Final = 15  # bytes that may be appended to the name of a store, as in "page.old-1"


def parse_path(path: str | Path, spare: int = 0) -> Path:
    """Check a path that a user gave, and replace "~" at its beginning by the home folder.

    Args:
        path: the path; it need not exist.
        spare: bytes that the last name must leave free, for what is appended to it.

    Raises:
        SweepError: for an address in object storage, and for a path that can't exist: with control characters or
            surrogates, with a name that is too long, or in the home folder of an unknown user.
    """
    if is_address(path):
        raise SweepError(f"{parse_address(path)} is in object storage, where only stores can be: name a place here")
    path = Path(path)
    check_characters("a path", str(path))
    if path.parts[:1] and path.parts[0].startswith("~"):
        try:
            path = path.expanduser()
        except RuntimeError:
            raise SweepError(
                f"there is no home folder {path.parts[0]}: give the absolute path in place of {path}"
            ) from None
    for name in path.parts:
        most = LONGEST - (spare if name == path.name else 0)
        _check_length("name", name, most, LONGEST - SPARE)  # the advice is short enough for every use
    _check_length("path", str(path.absolute()), LONGEST_PATH, LONGEST_PATH)
    return path


def _check_length(kind: str, text: str, most: int, advised: int) -> None:
    size = len(os.fsencode(text))
    if size > most:
        shown = text if len(text) <= 40 else f"{text[:20]}...{text[-12:]}"
        raise SweepError(f"the {kind} {shown} has {size} bytes: take one of at most {advised}")


@contextmanager
def make_folder(folder: Path) -> Iterator[None]:
    """Make a folder and its parents; if the body raises, remove those of them that are new and empty.

    Args:
        folder: the folder.

    Raises:
        OSError: if it can't be made.
    """
    new = [each for each in (folder, *folder.parents) if not each.exists()]
    if not new and not folder.is_dir():  # the "File exists" of `mkdir` would be misleading
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except BaseException:
        remove_empty(new)
        raise


def remove_empty(folders: list[Path]) -> None:
    """Remove those folders that are empty.

    Args:
        folders: innermost first.
    """
    for folder in folders:
        with suppress(OSError):
            folder.rmdir()


def try_writing(folder: Path) -> None:
    """Find out whether files can be written to a folder, which need not exist; nothing is left there.

    Raises:
        OSError: if they can't.
    """
    new = [each for each in (folder, *folder.parents) if not each.exists()]
    with make_folder(folder), TemporaryFile(dir=folder):
        pass
    remove_empty(new)
