"""The files of the chunks of an array: none may decompress to more than a chunk of this array holds."""

import re
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Final

from sweep.files.safe_files import read_beginning
from sweep.results.checks.arrays import Array
from sweep.results.checks.scalars import require

MOST_EXPANSION: Final = 32_768  # bytes that one byte of a zstd frame can become: a block of 128 KiB in four bytes

_CHUNK: Final = re.compile(r"([^/]+)/c/([0-9/]+)")
_CHECKSUM: Final = 4  # bytes
_ZSTD: Final = b"\x28\xb5\x2f\xfd"  # how a zstd frame begins
_ZSTD_HEADER: Final = 18  # bytes at most


def list_chunks(files: Mapping[str, int]) -> dict[str, dict[tuple[int, ...], int]]:
    """Group the files of chunks by array.

    Args:
        files: sizes by path, as `safe_files.list_files` gives them.

    Returns:
        For each array, by name, the sizes of its files by their place in the grid of chunks.
    """
    found: dict[str, dict[tuple[int, ...], int]] = {}
    for file, size in files.items():
        if match := _CHUNK.fullmatch(file):
            place = tuple(int(each) for each in match[2].split("/") if len(each) < 12)
            found.setdefault(match[1], {})[place] = size
    return found


def check_chunks(path: Path, array: Array, sizes: Mapping[tuple[int, ...], int]) -> int:
    """Make sure that each file of a chunk decompresses to exactly the bytes of a chunk.

    Args:
        path: the store.
        array: the array.
        sizes: sizes of the files of its chunks, by place in the grid of chunks.

    Returns:
        The number of bytes that the chunks without a file would have.

    Raises:
        OSError: if a file can't be read.
        ValueError: naming a file that is too small or too large.
    """
    inside = {
        place: size
        for place, size in sizes.items()
        if len(place) == len(array.grid) and all(at < most for at, most in zip(place, array.grid, strict=True))
    }
    for place, size in inside.items():
        file = Path(array.name, "c", *map(str, place))
        _check_chunk(path / file, file.as_posix(), array, size)
    return (prod(array.grid) - len(inside)) * array.chunk_bytes


def _check_chunk(path: Path, name: str, array: Array, size: int) -> None:
    expected = array.chunk_bytes + _CHECKSUM * (array.codecs[1:2] == ("crc32c",))  # before compression
    if "zstd" not in array.codecs:
        require(size == expected, f"chunk {name} has {size:,} bytes and not {expected:,}")
        return
    enough = expected <= size * MOST_EXPANSION
    require(enough, f"chunk {name} has {size:,} bytes, which can't decompress to {expected:,}")
    most = 2 * expected + 1024  # zstd never writes more for so many bytes
    try:
        header = read_beginning(path, _ZSTD_HEADER, most)
    except FileNotFoundError:  # a run in progress is just replacing it
        return
    stated = _stated_size(header)
    size_in_words = "an unknown number of" if stated is None else f"{stated:,}"
    require(stated == expected, f"chunk {name} decompresses to {size_in_words} bytes and not {expected:,}")


def _stated_size(header: bytes) -> int | None:
    """Read the decompressed size from the header of a zstd frame; None if it is not stated."""
    if header[:4] != _ZSTD or len(header) < 6:
        return None
    flags = header[4]
    single = flags >> 5 & 1
    start = 5 + (1 - single) + (0, 1, 2, 4)[flags & 3]
    count = (single, 2, 4, 8)[flags >> 6]
    field = header[start : start + count]
    if not count or len(field) < count:
        return None
    return int.from_bytes(field, "little") + (256 if count == 2 else 0)
