"""Reading files from a folder of an untrusted source: only regular files are opened, and links are never followed.

The folder itself may be a link; nothing in it may be one.
"""

import errno
import os
import shutil
import stat
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from math import prod
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np

MOST_FILES: Final = 2_000_000  # in a folder and all folders in it
MOST_NESTED: Final = 64  # folders inside each other
_PLAIN: Final = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
_BINARY: Final = getattr(os, "O_BINARY", 0)


def exists(path: Path) -> bool:
    """Tell whether there is anything at a path, be it a link that leads nowhere."""
    return path.exists() or path.is_symlink()


def remove(path: Path) -> None:
    """Remove whatever is at a path, a folder with all that is in it; of a link only the link is removed."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def open_regular(path: Path) -> Iterator[BinaryIO]:
    """Open a regular file for reading, within a `with` block.

    Args:
        path: the file.

    Yields:
        The open file.

    Raises:
        OSError: for a file that is not there, that is not a regular file, or that can't be opened.
    """
    check_regular(path)  # before it is opened: opening a device or a pipe can already have an effect
    with open(os.open(path, os.O_RDONLY | _PLAIN | _BINARY), "rb") as file:
        _check_kind(os.fstat(file.fileno()).st_mode, path)
        yield file


def read_regular(path: Path, most: int) -> bytes:
    """Read all bytes of a file.

    Args:
        path: the file.
        most: the largest number of bytes that it may have.

    Raises:
        OSError: for a file that does not exist, is not a regular file, or is larger.
    """
    return read_beginning(path, most + 1, most)


def read_beginning(path: Path, count: int, most: int) -> bytes:
    """Read the first bytes of a file.

    Args:
        path: the file.
        count: how many bytes to read.
        most: bytes that the file may have.

    Raises:
        OSError: as `read_regular`.
    """
    with open_regular(path) as file:
        size = _check_size(file, path, most)
        return file.read(min(count, size + 1))  # `read` allocates as much as it is asked for


def _check_size(file: BinaryIO, path: Path, most: int) -> int:
    """Refuse an open file that is too large; returns its size in bytes."""
    size = os.fstat(file.fileno()).st_size
    if size > most:
        raise OSError(errno.EFBIG, f"is larger than {most:,} bytes", str(path))
    return size


def check_regular(path: Path) -> None:
    """Make sure that a path leads to a regular file.

    Raises:
        OSError: if there is nothing, or something else.
    """
    _check_kind(os.lstat(path).st_mode, path)


def _check_kind(mode: int, path: Path) -> None:
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, f"is {_kind(mode)} instead of a file", str(path))


def _kind(mode: int) -> str:
    kinds = {
        stat.S_ISLNK: "a link", stat.S_ISDIR: "a folder", stat.S_ISFIFO: "a pipe", stat.S_ISSOCK: "a socket",
        stat.S_ISCHR: "a device", stat.S_ISBLK: "a device",
    }  # fmt: skip
    return next((name for test, name in kinds.items() if test(mode)), "something unknown")


def list_files(folder: Path) -> dict[str, int]:
    """List the files of a folder and of all folders in it, with their sizes; files removed meanwhile are left out.

    Args:
        folder: the folder; it may be a link itself.

    Returns:
        Sizes in bytes by path relative to the folder, with "/" between names.

    Raises:
        OSError: for a link, a pipe, a socket or a device anywhere in it, for too many files, too deep nesting, or a
            folder that can't be read.
    """
    found: dict[str, int] = {}
    waiting = [(folder, "", 0)]
    while waiting:
        here, prefix, depth = waiting.pop()
        if depth > MOST_NESTED:
            raise OSError(errno.ELOOP, f"holds folders nested deeper than {MOST_NESTED}", str(folder))
        for name, mode, size in _entries(here):
            if stat.S_ISDIR(mode):
                waiting.append((here / name, f"{prefix}{name}/", depth + 1))
                continue
            _check_kind(mode, here / name)
            found[prefix + name] = size
            if len(found) > MOST_FILES:
                raise OSError(errno.EFBIG, f"holds more than {MOST_FILES:,} files", str(folder))
    return found


def _entries(folder: Path) -> Iterator[tuple[str, int, int]]:
    """Yield the name, mode and size of everything in a folder."""
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):
                    state = entry.stat(follow_symlinks=False)
                    yield entry.name, state.st_mode, state.st_size
    except FileNotFoundError:
        return


def load_arrays(path: Path, most: int, skip: int = 0) -> dict[str, np.ndarray]:
    """Load the arrays of a file that `numpy.savez` wrote; arrays of objects, or larger than the file, are refused.

    Args:
        path: the file.
        most: the largest number of bytes that it may have.
        skip: bytes before the part that NumPy wrote.

    Raises:
        OSError: as `read_regular`.
        ValueError: for an array whose header claims more bytes than there are, or that is compressed.
        KeyError, EOFError, zipfile.BadZipFile: for a damaged file.
    """
    with open_regular(path) as file:
        _check_size(file, path, most)
        with zipfile.ZipFile(file) as archive:
            for entry in archive.infolist():
                _check_entry(archive, entry)
        file.seek(skip)
        with np.load(file, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}


def _check_entry(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> None:
    """Refuse an array with fewer bytes than its header claims, before NumPy allocates memory for it."""
    if entry.compress_type != zipfile.ZIP_STORED or entry.file_size != entry.compress_size:
        raise ValueError(f"{entry.filename} is compressed")
    with archive.open(entry) as content:
        version = np.lib.format.read_magic(content)
        if version != (1, 0):
            raise ValueError(f"{entry.filename} has a header of an unknown version")
        shape, _, dtype = np.lib.format.read_array_header_1_0(content)
        if dtype.hasobject or prod(shape) * dtype.itemsize > entry.file_size:
            raise ValueError(f"{entry.filename} is shorter than it claims")
