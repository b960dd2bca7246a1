"""Reading files from a folder of an untrusted source: only regular files are opened, and links are never followed.

The folder itself may be a link; nothing in it may be one.
"""

import errno
import os
import stat
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from math import prod
from pathlib import Path
from typing import Final

import numpy as np

MOST_FILES: Final = 2_000_000  # in a folder and all folders in it
MOST_NESTED: Final = 64  # folders inside each other
_PLAIN: Final = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
_BINARY: Final = getattr(os, "O_BINARY", 0)


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
    """Read the first `count` bytes of a file; otherwise like `read_regular`."""
    check_regular(path)  # before opening: opening a device or a pipe may already have an effect
    with open(os.open(path, os.O_RDONLY | _PLAIN | _BINARY), "rb") as file:
        state = os.fstat(file.fileno())
        _check_kind(state.st_mode, path)
        if state.st_size > most:
            raise OSError(errno.EFBIG, f"is larger than {most:,} bytes", str(path))
        return file.read(min(count, state.st_size + 1))  # the buffer is no larger than the file


def check_regular(path: Path) -> None:
    """Make sure that a path is a regular file.

    Raises:
        OSError: if nothing is there, or something else.
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
    check_regular(path)
    with open(os.open(path, os.O_RDONLY | _PLAIN | _BINARY), "rb") as file:
        _check_kind(os.fstat(file.fileno()).st_mode, path)
        if os.fstat(file.fileno()).st_size > most:
            raise OSError(errno.EFBIG, f"is larger than {most:,} bytes", str(path))
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
