"""Stores: a Zarr hierarchy that is laid out through xarray and filled chunk by chunk while a sweep runs.

Zarr does not write a chunk that equals the fill value, so that a missing chunk says nothing: how far a lane
has come stands in `status`. Beside the arrays lie a checkpoint of the present wave and a heartbeat (what
the run has executed so far); both are replaced in one move and gone when the sweep is complete.
"""

import json
import os
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np
import xarray as xr
import zarr
from filelock import FileLock, Timeout

from sweep import schema
from sweep.bounded_json import parse
from sweep.errors import SweepError
from sweep.labels import SCHEMA
from sweep.places import ROOT, made
from sweep.safe_files import check_regular, listed, load_arrays, read_regular, replacing

CHECKPOINT: Final = "checkpoint.npz"
HEARTBEAT: Final = "heartbeat.json"
LOCK: Final = "lock"
MOST_CHECKPOINT_BYTES: Final = 2**40
MOST_HEARTBEAT_BYTES: Final = 2**16
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
        with _storable():
            schema.check_attributes(attributes)
        self._group.attrs.update(attributes)

    def save_checkpoint(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Replace the checkpoint: the state of the present wave, and where it stands."""
        with replacing(self.path / CHECKPOINT) as file:
            np.savez(file, allow_pickle=False, **arrays)

    def load_checkpoint(self) -> dict[str, np.ndarray] | None:
        """Load the checkpoint, None where there is none that can be read: then the wave starts anew."""
        try:
            return load_arrays(self.path / CHECKPOINT, MOST_CHECKPOINT_BYTES)
        except (FileNotFoundError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return None

    def beat(self, counts: Meta) -> None:
        """Replace the heartbeat: what has been executed so far, repeats included."""
        with replacing(self.path / HEARTBEAT) as file:
            file.write(json.dumps(counts).encode())

    def last_beat(self) -> Meta:
        """Read the heartbeat, empty where there is none that can be read."""
        try:
            counts = parse(read_regular(self.path / HEARTBEAT, MOST_HEARTBEAT_BYTES).decode())
            schema.check_attributes(counts)
            return dict(counts)
        except (FileNotFoundError, ValueError, TypeError):
            return {}

    def clear(self) -> None:
        """Remove what only an incomplete sweep needs."""
        for name in (CHECKPOINT, HEARTBEAT):
            (self.path / name).unlink(missing_ok=True)


def create(path: Path, skeleton: xr.Dataset, chunk_lanes: int, attributes: Mapping[str, Any]) -> Store:
    """Make a store, all NaN.

    The folder is prepared beside its place and moved there, so that a store exists whole or not at all.

    Args:
        path: where.
        skeleton: the flat Dataset, see `sweep.results.skeleton`.
        chunk_lanes: lanes in a chunk.
        attributes: of the store, beside the skeleton's.

    Raises:
        SweepError: where the place can't be written.
    """
    encoding = {
        name: {"chunks": (chunk_lanes, *variable.shape[1:])}
        for name, variable in skeleton.variables.items()
        if variable.dims[:1] == ("lane",)
    }
    whole = skeleton.assign_attrs({**attributes, "arrays": sorted(map(str, skeleton.variables))})
    try:
        with made(path.parent), TemporaryDirectory(prefix=".new-", dir=path.parent) as beside:
            ready = Path(beside) / "store"
            whole.to_zarr(ready, mode="w", encoding=encoding, zarr_format=3, consolidated=False)
            with _storable():
                schema.examine(ready, schema.attributes(ready), listed(ready))
            os.replace(ready, path)
    except OSError as error:
        raise unwritable(path, error) from error
    return Store(path)


@contextmanager
def _storable() -> Iterator[None]:
    """Refuse to write, and so to train, what nobody could open again, such as a name of a thousand letters."""
    try:
        yield
    except ValueError as error:
        raise SweepError(f"the page can't be stored: {error}; docs/store.md has the limits") from error


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
    if not (path / ROOT).is_file():
        raise _not_a_store(path)
    with locked(path):
        return _moved(path)


def _moved(path: Path) -> Path:
    number = 1
    while (aside := path.with_name(f"{path.name}.old-{number}")).exists():
        number += 1
    os.replace(path, aside)
    return aside


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a store for one run; the operating system lets go of it when the process ends, however it ends.

    Raises:
        SweepError: where another process holds it.
    """
    lock = FileLock(path / LOCK)
    try:
        if exists(path / LOCK):
            check_regular(path / LOCK)  # a link would be followed, and what it leads to be emptied
        lock.acquire(timeout=0)
    except Timeout as error:
        raise SweepError(f"{path} is in use by another run: wait for it, or name another place with --out") from error
    except OSError as error:
        raise unwritable(path, error) from error
    try:
        yield
    finally:
        lock.release()


def check(path: Path) -> Meta:
    """Read a store's attributes, having made sure that it is one.

    Raises:
        SweepError: for a path without a store, a root that can't be read, or another schema.
    """
    if not path.exists():
        raise SweepError(f"no store at {path}: run the page first, or name another store")
    if not exists(path / ROOT):
        raise _not_a_store(path)
    attributes = schema.attributes(path)
    if not {"schema", "arrays", "dimensions"} <= set(attributes):
        raise SweepError(f"{path} is not a store of sweep: it states no schema or no arrays; name another place")
    if attributes["schema"] != SCHEMA:
        raise SweepError(
            f"{path} has schema {attributes['schema']}, this version reads schema {SCHEMA}: "
            f"use the version of sweep that wrote it, or run the page again with --fresh"
        )
    schema.check(path, attributes)
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
    check(path)
    try:
        with warnings.catch_warnings():
            # The checkpoint, heartbeat and lock beside the arrays are ours.
            warnings.filterwarnings("ignore", "Object at .* is not recognized", category=UserWarning)
            # Units are words here: "seconds" are no dates to decode.
            with xr.open_zarr(path, consolidated=False, chunks=None, zarr_format=3, decode_times=False) as lazy:
                yield schema.checked(lazy)
    except SweepError:
        raise
    except Exception as error:  # whatever a damaged chunk or a missing array makes of itself
        told = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise SweepError(f"{path} is truncated or damaged: {told}; run the page again with --fresh") from error
