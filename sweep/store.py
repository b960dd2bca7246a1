"""Stores: a Zarr hierarchy that is laid out through xarray and filled chunk by chunk while a sweep runs.

Zarr does not write a chunk that equals the fill value, so that a missing chunk says nothing: how far a lane
has come stands in `status`. Beside the arrays lie a checkpoint of the present wave and a heartbeat (what
the run has executed so far); both are replaced in one move and gone when the sweep is complete.
"""

import errno
import json
import os
import re
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import numpy as np
import xarray as xr
import zarr

from sweep import locks, whole_files
from sweep.errors import SweepError
from sweep.labels import SCHEMA
from sweep.places import ROOT, made

CHECKPOINT: Final = "checkpoint.npz"
HEARTBEAT: Final = "heartbeat.json"
_PARTIAL: Final = re.compile(r".+\.[0-9a-f]{32}\.partial")  # what Zarr writes beside a chunk's place
Meta = dict[str, Any]


class Store:
    """An open store.

    Args:
        path: its folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._group = zarr.open_group(path, mode="r+", use_consolidated=False)

    def write(self, name: str, start: int, values: np.ndarray) -> None:
        """Write one variable for a run of lanes.

        Args:
            name: the variable.
            start: place of the first lane.
            values: array of the variable's dimensions, lanes first; whole chunks only.
        """
        array = self._group[name]
        assert isinstance(array, zarr.Array)
        chunk, stop = array.chunks[0], start + len(values)
        whole = start % chunk == 0 and (stop % chunk == 0 or stop == array.shape[0])
        assert whole, "a chunk would be torn"
        array[start:stop] = values

    def read(self, name: str, start: int, stop: int) -> np.ndarray:
        """Read one variable for a run of lanes."""
        return np.asarray(self._group[name][start:stop])  # type: ignore[index]

    def names(self) -> tuple[str, ...]:
        """Name the arrays of the store."""
        return tuple(entry.name for entry in self.path.iterdir() if (entry / ROOT).is_file())

    def attributes(self) -> Meta:
        """Give the attributes of the store."""
        return dict(self._group.attrs)

    def note(self, **attributes: Any) -> None:
        """Set attributes of the store."""
        self._group.attrs.update(attributes)

    def save_checkpoint(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Replace the checkpoint: the state of the present wave, and where it stands."""
        with _replacing(self.path / CHECKPOINT) as file:
            np.savez(file, allow_pickle=False, **arrays)

    def load_checkpoint(self) -> dict[str, np.ndarray] | None:
        """Load the checkpoint, None where there is none that can be read: then the wave starts anew."""
        try:
            with np.load(self.path / CHECKPOINT, allow_pickle=False) as archive:
                return {name: archive[name] for name in archive.files}
        except (FileNotFoundError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return None

    def beat(self, counts: Meta) -> None:
        """Replace the heartbeat: what has been executed so far, repeats included."""
        with _replacing(self.path / HEARTBEAT) as file:
            file.write(json.dumps(counts).encode())

    def last_beat(self) -> Meta:
        """Read the heartbeat, empty where there is none that can be read."""
        try:
            return json.loads((self.path / HEARTBEAT).read_text())
        except (FileNotFoundError, ValueError):
            return {}

    def clear(self) -> None:
        """Remove what only an incomplete sweep needs."""
        for name in (CHECKPOINT, HEARTBEAT):
            (self.path / name).unlink(missing_ok=True)


@contextmanager
def _replacing(path: Path) -> Iterator[Any]:
    """Write a file beside its place and move it there: readers see the old one or the new one, whole."""
    beside = path.with_suffix(".new")
    with open(beside, "wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())
    os.replace(beside, path)


def create(
    path: Path, skeleton: xr.Dataset, chunk_lanes: int, attributes: Mapping[str, Any], *, fresh: bool = False
) -> Store:
    """Make a store, all NaN.

    The folder is prepared beside its place and moved there, so that a store exists whole or not at all.

    Args:
        path: where.
        skeleton: the flat Dataset, see `sweep.results.skeleton`.
        chunk_lanes: lanes in a chunk.
        attributes: of the store, beside the skeleton's.
        fresh: move a store that is there aside, once the new one is ready.

    Raises:
        SweepError: where the place can't be written, or another run has just made a store there.
    """
    encoding = {
        name: {"chunks": (chunk_lanes, *variable.shape[1:])}
        for name, variable in skeleton.variables.items()
        if variable.dims[:1] == ("lane",)
    }
    whole = skeleton.assign_attrs({**attributes, "arrays": sorted(map(str, skeleton.variables))})
    try:
        with made(path.parent), whole_files.beside(path.parent) as beside:
            ready = beside / "store"
            whole.to_zarr(ready, mode="w", encoding=encoding, zarr_format=3, consolidated=False)
            whole_files.sync(ready)
            if fresh and exists(path):
                move_aside(path)
            os.replace(ready, path)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            raise locks.in_use(path) from error
        raise unwritable(path, error) from error
    return Store(path)


def unwritable(path: Path, error: OSError) -> SweepError:
    """Build the error for a place that can't be written."""
    return SweepError(f"can't write {path}: {error.strerror or error}; name another place with --out")


def exists(path: Path) -> bool:
    """Tell whether there is anything at a place."""
    return path.exists() or path.is_symlink()


def move_aside(path: Path) -> Path:
    """Give a store another name, so that its place is free; returns the new path.

    Raises:
        SweepError: for a path that holds something else than a store, damaged or not, or one in use.
    """
    if not exists(path):
        raise locks.in_use(path)  # another run has moved it away just now
    if not (path / ROOT).is_file():
        raise _not_a_store(path)
    with locked(path) as lock:
        aside = _moved(path)
        lock.moved(aside)
        return aside


def _moved(path: Path) -> Path:
    number = 1
    while (aside := path.with_name(f"{path.name}.old-{number}")).exists():
        number += 1
    os.replace(path, aside)
    return aside


@contextmanager
def locked(path: Path) -> Iterator[locks.Lock]:
    """Hold a store for one run, and remove what killed ones left in it; `locks` tells how it is let go of.

    Yields:
        The lock, which is asked before each write whether it is still ours.

    Raises:
        SweepError: where another process holds it, or it can't be written.
    """
    with ExitStack() as held:
        try:
            lock = held.enter_context(locks.locked(path))
        except FileNotFoundError as error:
            raise locks.in_use(path) from error  # another run has moved it away just now
        except OSError as error:
            raise unwritable(path, error) from error
        _remove_leftovers(path)
        yield lock


def _remove_leftovers(path: Path) -> None:
    """Remove what runs that were killed had begun to write in a store that is held."""
    for folder, _, names in os.walk(path):
        whole_files.remove_abandoned(Path(folder))
        for name in names:
            if _PARTIAL.fullmatch(name) or locks.is_leftover(name):
                with suppress(OSError):
                    os.unlink(Path(folder, name))


def check(path: Path) -> Meta:
    """Read a store's attributes, having made sure that it is one.

    Raises:
        SweepError: for a path without a store, a root that can't be read, or another schema.
    """
    if not path.exists():
        raise SweepError(f"no store at {path}: run the page first, or name another store")
    root = path / ROOT
    if not root.is_file():
        raise _not_a_store(path)
    try:
        attributes = dict(json.loads(root.read_text())["attributes"])
    except (ValueError, TypeError, KeyError, OSError) as error:
        raise SweepError(f"{path} is truncated: {ROOT} can't be read ({error}); run again with --fresh") from error
    if not {"schema", "arrays", "dimensions"} <= set(attributes):
        raise SweepError(f"{path} is not a store of sweep: it states no schema or no arrays; name another place")
    if attributes["schema"] != SCHEMA:
        raise SweepError(
            f"{path} has schema {attributes['schema']}, this version reads schema {SCHEMA}: "
            f"use the version of sweep that wrote it, or run the page again with --fresh"
        )
    return attributes


def _not_a_store(path: Path) -> SweepError:
    return SweepError(f"{path} is not a store of sweep: it has no {ROOT}; name another place")


def read(path: Path) -> xr.Dataset:
    """Read a store as it is laid out, lanes flat, into memory.

    Raises:
        SweepError: for a path that holds no readable store.
    """
    with reading(path) as lazy:
        return lazy.load()


@contextmanager
def reading(path: Path) -> Iterator[xr.Dataset]:
    """Open a store as it is laid out, lanes flat, each variable read from disk when its values are asked for.

    Raises:
        SweepError: for a path that holds no readable store, or damage that is met within the context.
    """
    missing = [name for name in check(path)["arrays"] if not (path / name / ROOT).is_file()]
    if missing:
        raise SweepError(f"{path} is truncated: it lacks {', '.join(missing)}; run the page again with --fresh")
    try:
        with warnings.catch_warnings():
            # The checkpoint, heartbeat and lock beside the arrays are ours.
            warnings.filterwarnings("ignore", "Object at .* is not recognized", category=UserWarning)
            with xr.open_zarr(path, consolidated=False, chunks=None) as lazy:
                yield lazy
    except Exception as error:  # whatever a damaged chunk or a missing array makes of itself
        told = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise SweepError(f"{path} is truncated or damaged: {told}; run the page again with --fresh") from error
