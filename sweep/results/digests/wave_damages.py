"""What is damaged in the waves of a store: chunks that differ from their digests, and digests that are lost."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sweep.files.safe_files import exists
from sweep.results.digests.chunk_files import ChunkFiles, list_chunk_files
from sweep.results.digests.damage import Damage, compare_file, size_of
from sweep.results.digests.folder import wave_file
from sweep.results.digests.layout import is_complete
from sweep.results.digests.waves import begun_places, read_waves


def wave_damages(store: Path) -> list[Damage]:
    """Compare the chunks of stored waves with their digests, and find waves that are missing in a complete sweep."""
    return list(_wave_damages(store, list_chunk_files(store), complete=is_complete(store)))


def _wave_damages(store: Path, arrays: Sequence[ChunkFiles], complete: bool) -> Iterator[Damage]:
    reached, places = 0, arrays[0].shape[0]
    for start, content in read_waves(store):
        if content is None or start < reached or content["stop"] > places:
            lanes = start, _next_start(store, start, places)
            yield Damage(wave_file(start), "does not hold the digests of this wave", lanes)
            continue
        if complete and reached < start:
            yield Damage(wave_file(reached), "is lost", (reached, start))
        reached = content["stop"]
        if "chunks" in content:
            yield from _chunk_damages(store, arrays, content["chunks"], (start, reached))
        elif complete:
            yield Damage(wave_file(start), "belongs to a wave that has not ended", (start, reached))
    if complete and reached < places:
        yield Damage(wave_file(reached), "is lost", (reached, places))


def _next_start(store: Path, start: int, places: int) -> int:
    """Give the place at which the next known wave begins, or the number of places if there is none."""
    later = [other for other, content in read_waves(store) if content is not None and other > start]
    return min([*later, places])


def _chunk_damages(
    store: Path, arrays: Sequence[ChunkFiles], known: Mapping[str, Any], lanes: tuple[int, int]
) -> list[Damage]:
    """Compare the chunks of a stored wave with their digests."""
    most = {file: array.most_bytes for array in arrays for file in array.names(*lanes)}
    if set(known) != set(most):
        return [Damage(wave_file(lanes[0]), "holds the digests of other chunks", lanes)]
    large = [file for file in most if size_of(store / file) > most[file]]
    if large:  # refused by its size alone, without being read
        return [Damage(file, "is larger than a chunk can be", lanes) for file in large]
    return [damage for file in most if (damage := compare_file(store, file, [known[file]], lanes))]


def stray_chunks(store: Path) -> list[Damage]:
    """Find chunks of waves without digests: digests are written before chunks, so they were lost."""
    arrays, strays = list_chunk_files(store), []
    begun = begun_places(store, arrays[0].shape[0])
    for array in arrays:
        for start in map(int, np.flatnonzero(~begun[:: array.chunks[0]]) * array.chunks[0]):
            lanes = start, min(start + array.chunks[0], array.shape[0])
            files = [file for file in array.names(*lanes) if exists(store / file)]
            strays += [Damage(file, "belongs to a wave whose digests are lost", lanes) for file in files]
    return strays
