"""Folders that a command makes: with their parents, and gone again if what they were made for fails."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import Final

ROOT: Final = "zarr.json"  # the file that makes a folder a store, or an array of one


@contextmanager
def made(folder: Path) -> Iterator[None]:
    """Make a folder and its parents; if the body raises, remove those of them that are new and empty.

    Args:
        folder: which.

    Raises:
        OSError: where it can't be made.
    """
    new = [each for each in (folder, *folder.parents) if not each.exists()]
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
