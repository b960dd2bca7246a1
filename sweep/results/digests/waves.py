"""The digests of waves: one file for each wave.

`wave-<start>.json` is named by the place of the wave's first lane in the store. While the wave runs, the file holds the
digest of its curves up to some record; after the wave has ended, it holds the digest of each of its chunks.
"""

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
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
        stop: place of the lane after its last one.
        record: number of records that its digest covers.
        digest: the digest of its curves up to this record.
    """

    start: int
    stop: int
    record: int
    digest: str


def begin(store: Path, lanes: tuple[int, int], digest: str, written: Callable[..., None] = lambda *files: None) -> None:
    """Begin a wave: mark its places as begun, and remove what an earlier attempt left.

    Args:
        store: the store.
        lanes: place of the wave's first lane, and of the lane after its last one.
        digest: that of no records, see `curve_records.hash_curves`.
        written: called after each step with the files that were written or removed.
    """
    earlier = _parse(store / wave_file(lanes[0]), lanes[0])  # perhaps a larger wave, which needed too much memory
    reach = max(lanes[1], earlier["stop"] if earlier else 0)
    content = {"stop": reach, "record": 0, "curves": digest}
    write_json(store / wave_file(lanes[0]), content)
    written(wave_file(lanes[0]))
    remove_chunks(store, wave_arrays(store), (lanes[0], reach))
    written(*wave_chunks(store, (lanes[0], reach)))
    if reach > lanes[1]:
        write_json(store / wave_file(lanes[0]), content | {"stop": lanes[1]})
        written(wave_file(lanes[0]))


def mark_running(store: Path, lanes: tuple[int, int], record: int, digest: str) -> None:
    """Sync the chunks of a running wave to the disk, then write the digest of its curves.

    Args:
        store: the store.
        lanes: place of the wave's first lane, and of the lane after its last one.
        record: number of records that the digest covers.
        digest: that of these records, see `curve_records.hash_curves`.
    """
    atomic_files.sync_files(store / file for file in wave_chunks(store, lanes))
    write_json(store / wave_file(lanes[0]), {"stop": lanes[1], "record": record, "curves": digest})


def mark_stored(store: Path, lanes: tuple[int, int]) -> None:
    """Sync the chunks of a wave that has ended to the disk, then write their digests.

    From now on the wave counts as stored.

    Args:
        store: the store.
        lanes: place of the wave's first lane, and of the lane after its last one.
    """
    files = wave_chunks(store, lanes)
    atomic_files.sync_files(store / file for file in files)
    write_json(store / wave_file(lanes[0]), wave_content(store, lanes, files))


def wave_content(store: Path, lanes: tuple[int, int], files: Sequence[str]) -> dict[str, Any]:
    """Compute the content of the file of digests of a wave that has ended.

    Args:
        store: the store.
        lanes: place of the wave's first lane, and of the lane after its last one.
        files: the files of its chunks.
    """
    return {"stop": lanes[1], "chunks": {file: hash_file(store / file) for file in files}}


def forget(store: Path, lanes: tuple[int, int]) -> None:
    """Remove the chunks of a damaged wave, and then their digests, so that its lanes count and read as not run."""
    remove_chunks(store, wave_arrays(store), lanes)
    remove(store / wave_file(lanes[0]))


def stored_places(store: Path, places: int) -> np.ndarray:
    """For each place of a lane, tell whether its wave has ended and is stored.

    Args:
        store: the store.
        places: the number of its places.
    """
    return _cover(places, (wave for wave in read_waves(store) if wave[1] is not None and "chunks" in wave[1]))


def begun_places(store: Path, places: int) -> np.ndarray:
    """For each place of a lane, tell whether its wave has digests: it runs or has ended."""
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


def count_records(store: Path, lanes: tuple[int, int]) -> int:
    """Count the records that the digest of a running wave covers; 0 if there is no such wave.

    Args:
        store: the store.
        lanes: place of the wave's first lane, and of the lane after its last one.
    """
    content = _parse(store / wave_file(lanes[0]), lanes[0])
    return content["record"] if content and "curves" in content and content["stop"] == lanes[1] else 0


def read_waves(store: Path) -> Iterator[tuple[int, dict[str, Any] | None]]:
    """Read the digests of all waves, in order.

    Args:
        store: the store.

    Yields:
        The place of a wave's first lane, and the content of its file, None if that is not the digests of a wave.
    """
    folder = store / FOLDER
    for name in sorted(os.listdir(folder) if folder.is_dir() else ()):
        if matched := _WAVE.fullmatch(name):
            yield int(matched[1]), _parse(folder / name, int(matched[1]))


def _parse(path: Path, start: int) -> dict[str, Any] | None:
    """Read the digests of one wave, None if the file holds something else."""
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
