"""The digests of waves: one file for each wave, which no other wave shares.

`wave-<start>.json` is named by the place of the wave's first lane in the store. While the wave runs it holds the digest
of its curves up to some record; once the wave has ended it holds the digest of each of its chunks.
"""

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from sweep.files import atomic_files
from sweep.files.safe_files import remove
from sweep.results.digests.chunk_files import remove_chunks, wave_chunks
from sweep.results.digests.folder import FOLDER, read_json, wave_arrays, wave_file, write_json
from sweep.results.digests.hashes import hash_file

_WAVE: Final = re.compile(r"wave-([0-9]{10})\.json")


class RunningWave(NamedTuple):
    """A wave that has begun and has not ended.

    Args:
        start: place of its first lane.
        stop: place of the lane behind its last one.
        record: how many records its digest covers.
        digest: of its curves up to there.
    """

    start: int
    stop: int
    record: int
    digest: str


def begin(store: Path, lanes: tuple[int, int], digest: str) -> None:
    """Begin a wave: its chunks are known to belong to it from now on, and what an earlier attempt left is removed.

    Args:
        store: the store.
        lanes: place of the wave's first lane, and of the lane behind its last one.
        digest: of no records, see `curve_records.hash_curves`.
    """
    earlier = _parse(store / wave_file(lanes[0]), lanes[0])  # may be of a larger wave, which needed too much memory
    reach = max(lanes[1], earlier["stop"] if earlier else 0)
    content = {"stop": reach, "record": 0, "curves": digest}
    write_json(store / wave_file(lanes[0]), content)
    remove_chunks(store, wave_arrays(store), (lanes[0], reach))
    if reach > lanes[1]:
        write_json(store / wave_file(lanes[0]), content | {"stop": lanes[1]})


def mark_running(store: Path, lanes: tuple[int, int], record: int, digest: str) -> None:
    """Write down the digest of a running wave's curves, once these are on the disk.

    Args:
        store: the store.
        lanes: place of the wave's first lane, and of the lane behind its last one.
        record: how many records the digest covers.
        digest: of these records, see `curve_records.hash_curves`.
    """
    atomic_files.sync_files(store / file for file in wave_chunks(store, lanes))
    write_json(store / wave_file(lanes[0]), {"stop": lanes[1], "record": record, "curves": digest})


def mark_stored(store: Path, lanes: tuple[int, int]) -> None:
    """Write down the digests of the chunks of a wave that has ended, once these are on the disk.

    From now on the wave counts as stored.

    Args:
        store: the store.
        lanes: place of the wave's first lane, and of the lane behind its last one.
    """
    files = wave_chunks(store, lanes)
    atomic_files.sync_files(store / file for file in files)
    write_json(store / wave_file(lanes[0]), content_of_stored(store, lanes, files))


def content_of_stored(store: Path, lanes: tuple[int, int], files: Sequence[str]) -> dict[str, Any]:
    """Make the content of the file of a wave that has ended.

    Args:
        store: the store.
        lanes: place of the wave's first lane, and of the lane behind its last one.
        files: of its chunks.
    """
    return {"stop": lanes[1], "chunks": {file: hash_file(store / file) for file in files}}


def forget(store: Path, lanes: tuple[int, int]) -> None:
    """Remove the chunks of a damaged wave, and then their digests, so that it counts and reads as not run."""
    remove_chunks(store, wave_arrays(store), lanes)
    remove(store / wave_file(lanes[0]))


def stored_places(store: Path, places: int) -> np.ndarray:
    """Tell for each place of a lane whether its wave has ended and is stored.

    Args:
        store: the store.
        places: how many places it has.
    """
    return _cover(places, (wave for wave in read_waves(store) if wave[1] is not None and "chunks" in wave[1]))


def begun_places(store: Path, places: int) -> np.ndarray:
    """Tell for each place of a lane whether there are digests of its wave, which runs or has ended."""
    return _cover(places, read_waves(store))


def _cover(places: int, waves: Iterable[tuple[int, dict[str, Any] | None]]) -> np.ndarray:
    covered = np.zeros(places, bool)
    for start, content in waves:
        if content is not None:
            covered[start : content["stop"]] = True
    return covered


def running_waves(store: Path) -> list[RunningWave]:
    """List the waves that have begun and not ended."""
    return [
        RunningWave(start, content["stop"], content["record"], content["curves"])
        for start, content in read_waves(store)
        if content is not None and "curves" in content
    ]


def read_waves(store: Path) -> Iterator[tuple[int, dict[str, Any] | None]]:
    """Read the digests of all waves, in order.

    Args:
        store: the store.

    Yields:
        The place of a wave's first lane, and the content of its file, None where that is not the digests of a wave.
    """
    folder = store / FOLDER
    for name in sorted(os.listdir(folder) if folder.is_dir() else ()):
        if matched := _WAVE.fullmatch(name):
            yield int(matched[1]), _parse(folder / name, int(matched[1]))


def _parse(path: Path, start: int) -> dict[str, Any] | None:
    """Read the digests of one wave, None where the file holds something else."""
    try:
        content = read_json(path)
        stop, names = content["stop"], content.keys() - {"stop"}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    if type(stop) is not int or stop <= start:
        return None
    if names == {"chunks"} and isinstance(content["chunks"], dict):
        return content
    is_running = names == {"record", "curves"} and isinstance(content["curves"], str)
    return content if is_running and type(content["record"]) is int and content["record"] >= 0 else None
