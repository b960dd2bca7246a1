"""Which files of a store hold the chunks of an array, and those of consecutive lanes."""

from collections.abc import Iterable
from itertools import product
from math import ceil
from pathlib import Path

from sweep.base.errors import SweepError
from sweep.files.safe_files import remove
from sweep.results.checks.arrays import read_array
from sweep.results.digests.folder import wave_arrays


class ChunkFiles:
    """The files of the chunks of one array.

    Args:
        store: the store.
        name: the array.

    Raises:
        SweepError: if its metadata are not those of an array of sweep, even if their digest is right.
    """

    def __init__(self, store: Path, name: str) -> None:
        try:
            array = read_array(store, name)
        except (ValueError, OSError) as error:
            raise SweepError(f"{store} is refused: {error}; name another store") from error
        self.shape, self.chunks, self._name = array.shape, array.chunks, name
        self.most_bytes = 2 * array.chunk_bytes + 1024  # of one file; zstd never writes more for a chunk

    def names(self, start: int = 0, stop: int | None = None) -> list[str]:
        """Name the files that hold some entries of the first dimension, in order.

        Only arrays of networks are divided along another dimension.

        Args:
            start: the first entry.
            stop: the entry after the last one; None for the end of the array.

        Returns:
            Paths relative to the store.
        """
        stop = self.shape[0] if stop is None else stop
        if 0 in self.shape:
            return []
        numbers = range(start // self.chunks[0], ceil(stop / self.chunks[0]))
        others = [range(ceil(size / chunk)) for size, chunk in zip(self.shape[1:], self.chunks[1:], strict=True)]
        return [f"{self._name}/c/{'/'.join(map(str, place))}" for place in product(numbers, *others)]


def list_chunk_files(store: Path) -> list[ChunkFiles]:
    """List the files of each array that waves fill."""
    return [ChunkFiles(store, name) for name in wave_arrays(store)]


def wave_chunks(store: Path, lanes: tuple[int, int]) -> list[str]:
    """Name the files of all chunks that hold consecutive lanes.

    Args:
        store: the store.
        lanes: place of the first lane, and of the lane after the last one.
    """
    return name_chunks(store, wave_arrays(store), lanes)


def name_chunks(store: Path, arrays: Iterable[str], lanes: tuple[int, int]) -> list[str]:
    """Name the files of the chunks of some arrays that hold consecutive lanes."""
    return [file for name in arrays for file in ChunkFiles(store, name).names(*lanes)]


def remove_chunks(store: Path, arrays: Iterable[str], lanes: tuple[int, int]) -> None:
    """Remove the chunks of some arrays that hold consecutive lanes; these lanes then read as not run."""
    for file in name_chunks(store, arrays, lanes):
        remove(store / file)
