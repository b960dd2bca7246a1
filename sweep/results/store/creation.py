"""A new store: laid out through xarray in a temporary folder, checked, and moved to its path."""

import errno
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
import xarray as xr
import zarr
from zarr.codecs import Crc32cCodec, ZstdCodec

from sweep.base.errors import SweepError
from sweep.base.labels import NETWORK_DIMS
from sweep.files import atomic_files, locks
from sweep.files.exchange import exchange
from sweep.files.places import ROOT, make_folder
from sweep.files.safe_files import exists, list_files
from sweep.results.checks.attributes import read_root
from sweep.results.checks.hierarchy import examine
from sweep.results.digests.checkpoints import list_checkpoints
from sweep.results.digests.folder import FOLDER
from sweep.results.digests.layout import write_layout
from sweep.results.store.heartbeat import list_heartbeats
from sweep.results.store.locking import move_aside
from sweep.results.store.refusals import refuse_unstorable, unwritable_error
from sweep.results.store.sharing import list_part_locks
from sweep.results.store.working_copies import find_copy
from sweep.results.store.writer import Store

# The checksum at the end of each chunk is for readers that use Zarr without sweep.
_CODECS: Final = (ZstdCodec(), Crc32cCodec())
# Digits of trained networks are random: a higher level takes four times as long and saves a twelfth.
_NETWORK_CODECS: Final = (ZstdCodec(level=-5), Crc32cCodec())
_NETWORK_CHUNK_BYTES: Final = 2**26  # of a chunk of an array of networks, before compression


def create(
    path: Path,
    skeleton: xr.Dataset,
    chunk_lanes: int,
    attributes: Mapping[str, Any],
    *,
    fresh: bool = False,
    fill: Callable[[Store], None] = lambda store: None,
) -> Store:
    """Make a store in which all variables are NaN, except what `fill` writes.

    The folder is prepared beside its path and then moved there, so that there is a complete store or none.

    Args:
        path: the store to make.
        skeleton: the flat Dataset, see `skeleton.skeleton`.
        chunk_lanes: number of lanes in a chunk.
        attributes: attributes of the store, in addition to the skeleton's.
        fresh: if there is a store, move it aside once the new one is ready.
        fill: writes into the store before it is moved to its path.

    Returns:
        The store, opened; no lock is held.

    Raises:
        SweepError: if the path can't be written, if another run has just made a store there, or if the store could
            not be opened again.
    """
    _refuse_inside(path)
    try:
        with make_folder(path.parent), atomic_files.make_folder_beside(path.parent) as beside:
            ready = beside / "store"
            fill(_lay_out(ready, skeleton, chunk_lanes, attributes))
            if fresh and exists(path):
                move_aside(path)
            os.replace(ready, path)
            atomic_files.sync_files([path / ROOT])
            if copy := find_copy(path):
                copy.create()
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            raise locks.in_use_error(path) from error
        raise unwritable_error(path, error) from error
    return Store(path)


def _refuse_inside(path: Path) -> None:
    """Refuse a place in another store, which could not be opened any more."""
    for parent in path.absolute().parents:
        if (parent / ROOT).is_file():
            raise SweepError(f"{path} lies in {parent}, which is a store: name another place with --out")


@contextmanager
def put_in_place(
    path: Path,
    lock: locks.Lock,
    skeleton: xr.Dataset,
    chunk_lanes: int,
    attributes: Mapping[str, Any],
    fill: Callable[[Store], None],
) -> Iterator[locks.Lock]:
    """Put a new store in the place of an old one, in one step, once it is filled; the old one is removed.

    What is in the old one beside its own files, such as figures, is copied to the new one.

    Args:
        path: the old store; if it is a link, what the link leads to is replaced.
        lock: its lock, which the caller holds.
        skeleton: the flat Dataset of the new one.
        chunk_lanes: number of lanes in a chunk.
        attributes: attributes of the new one, in addition to the skeleton's.
        fill: writes into the new store what it takes from the old one.

    Yields:
        The lock of the new store, which is held within the `with` block.

    Raises:
        SweepError: if the new store can't be written; then the old one is as it was.
    """
    with ExitStack() as held:
        try:
            place = path.resolve()
            with atomic_files.make_folder_beside(place.parent) as beside:
                ready = beside / "store"
                fill(_lay_out(ready, skeleton, chunk_lanes, attributes))
                _copy_others(place, ready)
                new = held.enter_context(locks.lock_folder(ready))
                lock.check()
                exchange(ready, place)
                lock.set_folder(ready)
                new.set_folder(path)
                for folder in (place, place.parent, beside):
                    atomic_files.sync_folder(folder)
        except OSError as error:
            raise unwritable_error(path, error) from error
        yield new


def _copy_others(old: Path, new: Path) -> None:
    """Copy what is in an old store beside its own files to the new one."""
    running = (*list_checkpoints(old), *list_heartbeats(old), *list_part_locks(old), locks.LOCK, f"{locks.LOCK}.json")
    own = {*read_root(old)["arrays"], ROOT, FOLDER, *running}
    for entry in sorted(old.iterdir()):
        if entry.name not in own and not locks.is_leftover(entry.name):
            copy = shutil.copytree if entry.is_dir() else shutil.copy2
            copy(entry, new / entry.name)


def _lay_out(path: Path, skeleton: xr.Dataset, chunk_lanes: int, attributes: Mapping[str, Any]) -> Store:
    """Write coordinates and metadata, make sure that they can be opened again, and write their digests."""
    dataset = skeleton.assign_attrs({**attributes, "arrays": sorted(map(str, skeleton.variables))})
    networks = [str(name) for name, array in dataset.data_vars.items() if array.dims[-1] in NETWORK_DIMS]
    curves = dataset.drop_vars(networks)
    encoding = _encoding(curves, chunk_lanes)
    curves.to_zarr(path, mode="w", encoding=encoding, zarr_format=3, consolidated=False)
    for name in networks:  # not through xarray, which would go through all of their empty chunks
        _add_networks(path, dataset[name], chunk_lanes)
    with refuse_unstorable():
        examine(path, read_root(path), list_files(path))
    write_layout(path, list(map(str, dataset.coords)), list(map(str, dataset.data_vars)))
    return Store(path)


def _add_networks(path: Path, array: xr.DataArray, chunk_lanes: int) -> None:
    """Add an array of networks, divided along its entries too, so that parts that no lane of a chunk has stay empty."""
    entries = max(1, _NETWORK_CHUNK_BYTES // (chunk_lanes * array.dtype.itemsize))
    zarr.open_group(path, mode="r+", use_consolidated=False).create_array(
        str(array.name),
        shape=array.shape,
        chunks=(chunk_lanes, min(entries, array.shape[1])),
        dtype=array.dtype,
        fill_value=array.dtype.type(np.nan if array.dtype.kind == "f" else 0),
        compressors=_NETWORK_CODECS,
        dimension_names=[str(dim) for dim in array.dims],
        attributes=dict(array.attrs),
    )


def _encoding(dataset: xr.Dataset, chunk_lanes: int) -> dict[Any, dict[str, Any]]:
    """Choose codecs and chunks: arrays are divided along lanes and along no other dimension."""
    encoding: dict[Any, dict[str, Any]] = {name: {"compressors": _CODECS} for name in dataset.variables}
    for name, variable in dataset.variables.items():
        if variable.dims[:1] == ("lane",):
            encoding[name]["chunks"] = (chunk_lanes, *variable.shape[1:])
    return encoding
