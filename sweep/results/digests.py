"""Digests of what a store holds, by place, so that a damaged, lost or swapped file is seen.

Two kinds of files lie in the folder `digests` of a store:

- `layout.json`, made with the store: the digest of every file that describes it (`zarr.json` of the root and of each
  array) and of every chunk of its coordinates. Of the root, whose attributes change while a sweep runs, it holds a
  copy, and for as long as a change takes the digests from before and after it, so that a kill in between is no damage.
- `wave-<start>.json`, one for each wave, named by the place of its first lane in the store: while the wave runs, what
  its curves held up to some record; once it has ended, the digest of each of its chunks. No file is shared by waves.

A digest is the BLAKE2b hash, 16 bytes in hexadecimal, of a file's bytes; None stands for a chunk that is not there
because all of it equals the fill value, which Zarr does not write.
"""

import json
import os
import re
import shutil
import stat
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from math import ceil
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np

from sweep.base.errors import SweepError
from sweep.files import atomic_files
from sweep.files.bounded_json import parse
from sweep.files.places import ROOT
from sweep.files.safe_files import read_regular
from sweep.results.array_checks import read_array

FOLDER: Final = "digests"
LAYOUT: Final = "layout.json"
_WAVE: Final = re.compile(r"wave-([0-9]{10})\.json")
# The file that an incomplete wave goes on from begins with its own digest. Older stores have one for all waves.
CHECKPOINT: Final = re.compile(r"checkpoint(-[0-9]{10})?")
_LENGTH: Final = 16  # bytes of a digest
HEADER: Final = 2 * _LENGTH  # bytes of a digest in hexadecimal
_ROWS: Final = 1024
_BLOCK: Final = 2**20  # bytes of a file that are read at a time
_MOST_BYTES: Final = 2**28  # of a file of digests, one of which holds the root too
_MOST_LAYOUT_BYTES: Final = 2**29  # of metadata, or of a coordinate's chunk: eight bytes for each of 2^24 lanes, twice
_TRIES: Final = 3  # at a root that somebody else replaces meanwhile


@dataclass(frozen=True)
class Damage:
    """One file of a store that is not what was written.

    Args:
        file: its path in the store.
        what: what is wrong with it.
        lanes: the places of the first lane of its wave and of the first behind it; None for what no wave wrote.
    """

    file: str
    what: str
    lanes: tuple[int, int] | None = None


def of_bytes(content: bytes) -> str:
    """Give the digest of bytes."""
    return blake2b(content, digest_size=_LENGTH).hexdigest()


def of_file(path: Path) -> str | None:
    """Give the digest of a file, None where there is none.

    Raises:
        OSError: for what is no regular file, which is neither followed nor waited for, or can't be read.
    """
    try:
        with _regular(path) as file:
            return of_rest(file, 0)
    except FileNotFoundError:
        return None


@contextmanager
def _regular(path: Path) -> Iterator[BinaryIO]:
    """Open a regular file to read; anything else is neither followed nor waited for."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with open(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError("no regular file")
        yield file


def of_rest(file: BinaryIO, skip: int) -> str:
    """Give the digest of an open file, but for some bytes at its beginning."""
    file.seek(skip)
    found = blake2b(digest_size=_LENGTH)
    while block := file.read(_BLOCK):
        found.update(block)
    return found.hexdigest()


def of_records(arrays: Mapping[str, np.ndarray], counts: Mapping[str, int]) -> str:
    """Give the digest of what a wave's arrays hold up to a record.

    Args:
        arrays: lanes first, then the time dimension.
        counts: for each of them how many entries of the time dimension count.
    """
    found = blake2b(digest_size=_LENGTH)
    for name in sorted(counts):
        found.update(name.encode())
        for start in range(0, len(arrays[name]), _ROWS):  # of which copies are made, so not all at once
            part = np.ascontiguousarray(arrays[name][start : start + _ROWS, : counts[name]])
            found.update(part.data.cast("B") if part.size else b"")
    return found.hexdigest()


def _read(path: Path) -> Any:
    """Read JSON that somebody may have damaged.

    Raises:
        OSError, ValueError: for what can't be read.
    """
    return parse(read_regular(path, _MOST_BYTES).decode())


def _write(path: Path, content: Any) -> None:
    with atomic_files.write_file(path) as file:
        file.write(json.dumps(content, separators=(",", ":")).encode())


class Grid:
    """Where the chunks of one array lie.

    Args:
        store: the store.
        name: the array.

    Raises:
        SweepError: for one that no store of sweep has, though its digest is right.
    """

    def __init__(self, store: Path, name: str) -> None:
        try:
            array = read_array(store, name)
        except (ValueError, OSError) as error:
            raise SweepError(f"{store} is refused: {error}; name another store") from error
        self.shape, self.chunks, self._name = array.shape, array.chunks, name
        self.most = 2 * array.chunk_bytes + 1024  # bytes of a chunk's file, more than zstd ever makes of so much

    def files(self, start: int = 0, stop: int | None = None) -> list[str]:
        """List the files of the chunks that hold some entries of the first dimension, in order.

        All other dimensions lie in one chunk.
        """
        stop = self.shape[0] if stop is None else stop
        rest = "/0" * (len(self.shape) - 1)
        numbers = range(start // self.chunks[0], ceil(stop / self.chunks[0])) if 0 not in self.shape else range(0)
        return [f"{self._name}/c/{number}{rest}" for number in numbers]


def write_layout(
    store: Path, coordinates: Sequence[str], waves: Sequence[str], ended: Iterable[tuple[int, int]] = ()
) -> None:
    """Write the digests of a store that has none yet, and have all of it on the disk.

    Args:
        store: the store.
        coordinates: its arrays that are there in full.
        waves: its arrays that waves fill.
        ended: place of the first lane, and of the first behind it, of each wave that is stored already.
    """
    described = [ROOT, *(f"{name}/{ROOT}" for name in (*coordinates, *waves))]
    chunks = [file for name in coordinates for file in Grid(store, name).files()]
    files = {file: [of_file(store / file)] for file in (*described, *chunks)}
    content = {"files": files, "waves": sorted(waves), "root": (store / ROOT).read_text()}
    atomic_files.sync(store)
    with atomic_files.make_folder_beside(
        store
    ) as beside:  # a store has the folder with what is in it, or does not have it
        (beside / FOLDER).mkdir()
        _write(beside / FOLDER / LAYOUT, content)
        for lanes in ended:
            _write(beside / _wave_file(lanes[0]), _of_ended(store, lanes, _chunks(waves, store, lanes)))
        os.replace(beside / FOLDER, store / FOLDER)
    atomic_files.sync(store / FOLDER)


def replace_root(store: Path, text: bytes) -> None:
    """Replace the file that holds a store's attributes; whenever this is broken off, old or new one are known."""
    place = store / FOLDER / LAYOUT
    if not place.is_file():  # a store from before digests
        with atomic_files.write_file(store / ROOT) as file:
            file.write(text)
        return
    layout = _read(place)
    layout["root"] = text.decode()
    layout["files"][ROOT] = [of_file(store / ROOT), of_bytes(text)]
    _write(place, layout)
    with atomic_files.write_file(store / ROOT) as file:
        file.write(text)
    layout["files"][ROOT] = [of_bytes(text)]
    _write(place, layout)


def _wave_file(start: int) -> str:
    """Name the file of a wave's digests, in the store."""
    return f"{FOLDER}/wave-{start:010d}.json"


def checkpoint_file(start: int) -> str:
    """Name the checkpoint of a wave, in the store."""
    return f"checkpoint-{start:010d}"


def checkpoints(store: Path) -> list[str]:
    """List the checkpoints that there are."""
    return sorted(name for name in os.listdir(store) if CHECKPOINT.fullmatch(name))


def begin(store: Path, lanes: tuple[int, int], digest: str) -> None:
    """Begin a wave: from now on its chunks are known to be its own, and whatever an earlier try left of it is gone.

    Args:
        store: the store.
        lanes: place of the wave's first lane, and of the first behind it.
        digest: of no records, see `of_records`.
    """
    earlier = _parse(store / _wave_file(lanes[0]), lanes[0])  # of a larger wave, for which memory ran out
    reach = max(lanes[1], earlier["stop"] if earlier else 0)
    begun = {"stop": reach, "record": 0, "curves": digest}
    _write(store / _wave_file(lanes[0]), begun)
    remove_chunks(store, wave_arrays(store), (lanes[0], reach))
    if reach > lanes[1]:
        _write(store / _wave_file(lanes[0]), begun | {"stop": lanes[1]})


def mark_running(store: Path, lanes: tuple[int, int], record: int, digest: str) -> None:
    """Note what a running wave's curves hold, once they are on the disk.

    Args:
        store: the store.
        lanes: place of the wave's first lane, and of the first behind it.
        record: how many records count.
        digest: of these, see `of_records`.
    """
    atomic_files.sync_files(store / file for file in wave_chunks(store, lanes))
    _write(store / _wave_file(lanes[0]), {"stop": lanes[1], "record": record, "curves": digest})


def seal(store: Path, lanes: tuple[int, int]) -> None:
    """Note what a wave's chunks hold, once it has ended and they are on the disk: from now on it counts as stored.

    Args:
        store: the store.
        lanes: place of the wave's first lane, and of the first behind it.
    """
    files = wave_chunks(store, lanes)
    atomic_files.sync_files(store / file for file in files)
    _write(store / _wave_file(lanes[0]), _of_ended(store, lanes, files))


def _of_ended(store: Path, lanes: tuple[int, int], files: Sequence[str]) -> dict[str, Any]:
    return {"stop": lanes[1], "chunks": {file: of_file(store / file) for file in files}}


def wave_arrays(store: Path) -> list[str]:
    """Name the arrays that waves fill."""
    return _read(store / FOLDER / LAYOUT)["waves"]


def wave_chunks(store: Path, lanes: tuple[int, int]) -> list[str]:
    """List the files of all chunks that hold a run of lanes."""
    return _chunks(wave_arrays(store), store, lanes)


def _chunks(arrays: Iterable[str], store: Path, lanes: tuple[int, int]) -> list[str]:
    return [file for name in arrays for file in Grid(store, name).files(*lanes)]


def _grids(store: Path) -> list[Grid]:
    return [Grid(store, name) for name in wave_arrays(store)]


def sealed_places(store: Path, places: int) -> np.ndarray:
    """Tell of each place for a lane whether its wave has ended and is stored.

    Args:
        store: the store.
        places: how many places it has.
    """
    return _cover(places, ((n, each) for n, each in _waves(store) if each is not None and "chunks" in each))


def begun_places(store: Path, places: int) -> np.ndarray:
    """Tell of each place for a lane whether there are digests of its wave, which has ended or is running."""
    return _cover(places, _waves(store))


def _cover(places: int, waves: Iterable[tuple[int, dict[str, Any] | None]]) -> np.ndarray:
    found = np.zeros(places, bool)
    for start, content in waves:
        if content is not None:
            found[start : content["stop"]] = True
    return found


def running(store: Path) -> list[tuple[int, int, int, str]]:
    """List the waves that have begun: place of the first lane, of the first behind, records that count, digest."""
    return [
        (start, content["stop"], content["record"], content["curves"])
        for start, content in _waves(store)
        if content is not None and "curves" in content
    ]


def _waves(store: Path) -> Iterator[tuple[int, dict[str, Any] | None]]:
    """Read the digests of all waves, in order: place of the first lane, and what is there, None for nonsense."""
    folder = store / FOLDER
    for name in sorted(os.listdir(folder) if folder.is_dir() else ()):
        if matched := _WAVE.fullmatch(name):
            yield int(matched[1]), _parse(folder / name, int(matched[1]))


def _parse(path: Path, start: int) -> dict[str, Any] | None:
    """Read the digests of a wave, None where they are no such thing."""
    try:
        content = _read(path)
        stop, names = content["stop"], content.keys() - {"stop"}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    if type(stop) is not int or stop <= start:
        return None
    if names == {"chunks"} and isinstance(content["chunks"], dict):
        return content
    is_running = names == {"record", "curves"} and isinstance(content["curves"], str)
    return content if is_running and type(content["record"]) is int and content["record"] >= 0 else None


def damages(store: Path) -> list[Damage]:
    """Compare a store with its digests: metadata, coordinates, and the chunks of all waves that have ended.

    Args:
        store: a store that has digests.

    Returns:
        What is not as it was written; a wave that is missing from a complete sweep, too.
    """
    # Without metadata chunks say nothing.
    return _layout_damages(store) or [*_waves_damages(store), *_checkpoint_damages(store)]


def root_damages(store: Path) -> list[Damage]:
    """Compare the file that holds a store's attributes with its digest, if that can be read."""
    return [damage for damage in _layout_damages(store, (ROOT,)) if damage.file == ROOT]


def is_complete(store: Path) -> bool:
    """Tell whether a store says that all its lanes have ended."""
    return bool(_read(store / ROOT)["attributes"].get("complete"))


def _checkpoint_damages(store: Path) -> list[Damage]:
    """Compare checkpoints with the digests that they begin with, those of waves that run: others are of no use."""
    if is_complete(store):
        return []
    used = {checkpoint_file(start) for start, *_ in running(store)}
    names = [name for name in checkpoints(store) if name in used or not CHECKPOINT.fullmatch(name)[1]]  # type: ignore[index]
    return [damage for name in names if (damage := _checkpoint_damage(store, name))]


def _checkpoint_damage(store: Path, name: str) -> Damage | None:
    """Compare one; the file is opened once, as a run that goes on may replace it meanwhile."""
    try:
        with _regular(store / name) as file:
            whole = file.read(HEADER) == of_rest(file, HEADER).encode()
    except FileNotFoundError:
        return None
    except OSError as error:
        return Damage(name, f"can't be read ({error.strerror or error})")
    return None if whole else Damage(name, "is not what was written")


def _layout_damages(store: Path, only: Collection[str] = ()) -> list[Damage]:
    """Compare metadata and coordinates, or only some, with their digests; the root again if it was just replaced."""
    wrong: list[Damage] = []
    for _ in range(_TRIES):
        layout = _layout(store)
        if layout is None:
            return [Damage(f"{FOLDER}/{LAYOUT}", "is lost or can't be read")]
        files = only or layout["files"]
        large = [file for file in files if _size(store / file) > _MOST_LAYOUT_BYTES]  # not read for their digests
        if large:
            return [Damage(file, "is larger than it can be") for file in large]
        wrong = [damage for file in files if (damage := _compare(store, file, layout["files"][file]))]
        if [damage.file for damage in wrong] != [ROOT]:
            break
    return wrong


def _waves_damages(store: Path) -> list[Damage]:
    """Compare the chunks of waves with their digests, and find waves that a complete sweep lacks."""
    complete = is_complete(store)
    found: list[Damage] = []
    grids = _grids(store)
    reached, total = 0, grids[0].shape[0]

    def missing(stop: int) -> list[Damage]:
        return [Damage(_wave_file(reached), "is lost", (reached, stop))] if complete and reached < stop else []

    for start, content in _waves(store):
        if content is None or start < reached or content["stop"] > total:
            found.append(Damage(_wave_file(start), "is no list of digests of this wave", (start, _next(store, start))))
            continue
        found += missing(start)
        reached = content["stop"]
        if "chunks" in content:
            files = {file: grid.most for grid in grids for file in grid.files(start, reached)}
            found += _chunk_damages(store, content["chunks"], (start, reached), files)
        elif complete:
            found.append(Damage(_wave_file(start), "is of a wave that has not ended", (start, reached)))
    return found + missing(total)


def _layout(store: Path) -> dict[str, Any] | None:
    """Read the digests of the layout, None where they are no such thing."""
    place = store / FOLDER / LAYOUT
    try:
        layout = _read(place)
        ours = all(map(_is_within, layout["files"]))
        ours = ours and all(name.isidentifier() and f"{name}/{ROOT}" in layout["files"] for name in layout["waves"])
        ours = ours and all(isinstance(known, list) for known in layout["files"].values())
        ours = ours and of_bytes(layout["root"].encode()) in layout["files"][ROOT]
        return layout if ours and layout["waves"] else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _is_within(file: Any) -> bool:
    """Tell whether something names a file in the store."""
    return isinstance(file, str) and not Path(file).is_absolute() and ".." not in Path(file).parts


def _compare(
    store: Path, file: str, known: Sequence[str | None], lanes: tuple[int, int] | None = None
) -> Damage | None:
    """Compare a file with the digests that it may have."""
    try:
        found = of_file(store / file)
    except OSError as error:
        return Damage(file, f"can't be read ({error.strerror or error})", lanes)
    if found in known:
        return None
    return Damage(file, "is lost" if found is None else "is not what was written", lanes)


def _chunk_damages(
    store: Path, known: Mapping[str, Any], lanes: tuple[int, int], files: Mapping[str, int]
) -> list[Damage]:
    """Compare the chunks of a wave that has ended, by their files and the bytes these may have, with their digests."""
    if set(known) != set(files):
        return [Damage(_wave_file(lanes[0]), "is of other chunks", lanes)]
    large = [file for file, most in files.items() if _size(store / file) > most]
    if large:  # what is no chunk by its size is not read for its digest
        return [Damage(file, "is larger than a chunk can be", lanes) for file in large]
    return [damage for file in files if (damage := _compare(store, file, [known[file]], lanes))]


def _size(path: Path) -> int:
    try:
        return os.lstat(path).st_size
    except OSError:
        return 0


def _places(store: Path) -> int:
    """Count the places for lanes in a store."""
    return Grid(store, wave_arrays(store)[0]).shape[0]


def _next(store: Path, start: int) -> int:
    """Give the place at which the next wave that is known begins, or the end."""
    later = [other for other, content in _waves(store) if content is not None and other > start]
    return min([*later, _places(store)])


def restore_root(store: Path) -> None:
    """Write the root anew from the copy among the digests."""
    layout = _layout(store)
    assert layout is not None
    with atomic_files.write_file(store / ROOT) as file:
        file.write(layout["root"].encode())


def accept_root(store: Path) -> None:
    """Take the root as it is for what was written."""
    layout = _layout(store)
    assert layout is not None
    layout["root"] = (store / ROOT).read_text()
    layout["files"][ROOT] = [of_file(store / ROOT)]
    _write(store / FOLDER / LAYOUT, layout)


def known_digests(store: Path) -> dict[str, list[str | None]] | None:
    """Give for each file of the layout the digests that it may have, None where that can't be read."""
    layout = _layout(store)
    return None if layout is None else layout["files"]


def forget(store: Path, lanes: tuple[int, int]) -> None:
    """Take away the chunks of a damaged wave, and then their digests, so that it counts and reads as not run."""
    remove_chunks(store, wave_arrays(store), lanes)
    remove(store / _wave_file(lanes[0]))


def remove_chunks(store: Path, arrays: Iterable[str], lanes: tuple[int, int]) -> None:
    """Take away all chunks that hold a run of lanes, which then read as not run."""
    for file in _chunks(arrays, store, lanes):
        remove(store / file)


def remove(path: Path) -> None:
    """Remove whatever is at a place; what a link points to stays."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
