"""The digests of the layout: of the metadata of a store and its arrays, and of the chunks of its coordinates.

`layout.json` is made with the store. The attributes of the root change while a sweep runs. Therefore it also holds a
copy of the root's file, and during a change both the old and the new digest, so that a process that is killed in
between leaves no damage.
"""

import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from sweep.files import atomic_files
from sweep.files.places import ROOT
from sweep.results.digests.chunk_files import ChunkFiles, name_chunks
from sweep.results.digests.damage import Damage, compare_file, size_of
from sweep.results.digests.folder import FOLDER, LAYOUT, read_json, wave_file, write_json
from sweep.results.digests.hashes import hash_bytes, hash_file
from sweep.results.digests.waves import wave_content

# In a file of metadata or of a coordinate's chunk: more than twice the eight bytes for each of 2^24 lanes.
_MOST_FILE_BYTES: Final = 2**29
_ATTEMPTS: Final = 3  # to read a root that another process may be replacing


def write_layout(
    store: Path, coordinates: Sequence[str], waves: Sequence[str], stored: Iterable[tuple[int, int]] = ()
) -> None:
    """Write the digests of a store that has none yet, and make sure that all of the store is on the disk.

    Args:
        store: the store.
        coordinates: its arrays that are complete from the beginning.
        waves: its arrays that waves fill.
        stored: for each wave that is already stored, the place of its first lane and of the lane after its last one.
    """
    metadata = [ROOT, *(f"{name}/{ROOT}" for name in (*coordinates, *waves))]
    chunks = [file for name in coordinates for file in ChunkFiles(store, name).names()]
    files = {file: [hash_file(store / file)] for file in (*metadata, *chunks)}
    content = {"files": files, "waves": sorted(waves), "root": (store / ROOT).read_text()}
    atomic_files.sync(store)
    with atomic_files.make_folder_beside(store) as beside:  # so that a store has the complete folder or none
        (beside / FOLDER).mkdir()
        write_json(beside / FOLDER / LAYOUT, content)
        for lanes in stored:
            digests = wave_content(store, lanes, name_chunks(store, waves, lanes))
            write_json(beside / wave_file(lanes[0]), digests)
        os.replace(beside / FOLDER, store / FOLDER)
    atomic_files.sync(store / FOLDER)


def replace_root(store: Path, text: bytes, written: Callable[..., None] = lambda *files: None) -> None:
    """Replace the file that holds a store's attributes; at every moment the digest of its content is stored.

    Args:
        store: the store.
        text: the new content of the file.
        written: called after each file that was written.
    """
    place = store / FOLDER / LAYOUT
    if not place.is_file():  # a store from before there were digests
        _write_root(store, text)
        written(ROOT)
        return
    layout = read_json(place)
    layout["root"] = text.decode()
    layout["files"][ROOT] = [hash_file(store / ROOT), hash_bytes(text)]
    write_json(place, layout)
    written(f"{FOLDER}/{LAYOUT}")
    _write_root(store, text)
    written(ROOT)
    layout["files"][ROOT] = [hash_bytes(text)]
    write_json(place, layout)
    written(f"{FOLDER}/{LAYOUT}")


def restore_root(store: Path) -> None:
    """Write the root again, from the copy that is stored with the digests."""
    _write_root(store, _layout(store)["root"].encode())


def _write_root(store: Path, text: bytes) -> None:
    with atomic_files.write_file(store / ROOT) as file:
        file.write(text)


def accept_root(store: Path) -> None:
    """Replace the digest and the copy of the root by those of the root as it now is."""
    layout = _layout(store)
    layout["root"] = (store / ROOT).read_text()
    layout["files"][ROOT] = [hash_file(store / ROOT)]
    write_json(store / FOLDER / LAYOUT, layout)


def known_digests(store: Path) -> Mapping[str, list[str | None]]:
    """For each file of the layout, give the digests that it may have."""
    return _layout(store)["files"]


def is_complete(store: Path) -> bool:
    """Tell whether a store says that all its lanes have ended."""
    return bool(root_attributes(store).get("complete"))


def root_attributes(store: Path) -> dict[str, Any]:
    """Read the attributes of a store that may be damaged.

    Raises:
        OSError, ValueError: if they can't be read.
    """
    return read_json(store / ROOT)["attributes"]


def layout_damages(store: Path) -> list[Damage]:
    """Compare metadata and coordinates with their digests."""
    return _compare(store)


def root_damages(store: Path) -> list[Damage]:
    """Compare the file that holds a store's attributes with its digest, if that can be read."""
    return [damage for damage in _compare(store, (ROOT,)) if damage.file == ROOT]


def _compare(store: Path, only: Collection[str] = ()) -> list[Damage]:
    """Compare files of the layout, by default all; try again if only the root differs: it may just be replaced."""
    damages: list[Damage] = []
    for _ in range(_ATTEMPTS):
        layout = _read_layout(store)
        if layout is None:
            return [Damage(f"{FOLDER}/{LAYOUT}", "is lost or can't be read")]
        files = only or layout["files"]
        large = [file for file in files if size_of(store / file) > _MOST_FILE_BYTES]
        if large:  # refused by its size alone, without being read
            return [Damage(file, "is larger than it can be") for file in large]
        damages = [damage for file in files if (damage := compare_file(store, file, layout["files"][file]))]
        if [damage.file for damage in damages] != [ROOT]:
            break
    return damages


def _layout(store: Path) -> dict[str, Any]:
    layout = _read_layout(store)
    assert layout is not None, "the layout's digests are damaged, and must be repaired first"
    return layout


def _read_layout(store: Path) -> dict[str, Any] | None:
    """Read the digests of the layout, None if the file holds something else."""
    try:
        layout = read_json(store / FOLDER / LAYOUT)
        return layout if _is_layout(layout) else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _is_layout(found: Any) -> bool:
    files, waves = found["files"], found["waves"]
    return (
        bool(waves)
        and all(map(_is_within, files))
        and all(isinstance(known, list) for known in files.values())
        and all(name.isidentifier() and f"{name}/{ROOT}" in files for name in waves)
        and hash_bytes(found["root"].encode()) in files[ROOT]
    )


def _is_within(file: Any) -> bool:
    """Tell whether a path is a text and stays within the store."""
    return isinstance(file, str) and not Path(file).is_absolute() and ".." not in Path(file).parts
