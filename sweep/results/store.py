"""Stores: a Zarr hierarchy that is laid out through xarray and filled chunk by chunk while a sweep runs.

Zarr does not write a chunk that equals the fill value, so that a missing chunk alone says nothing: how far a lane
has come stands in `status`, and what was written where in the digests (see `digests`). Beside the arrays lie a
checkpoint of each running wave and a heartbeat (what the run has executed so far); all are replaced in one move and
gone when the sweep is complete.
"""

import errno
import json
import os
import re
import warnings
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import numpy as np
import xarray as xr
import zarr
from zarr.codecs import Crc32cCodec, ZstdCodec

from sweep.base.errors import REMEDIES, SweepError, SweepWarning
from sweep.base.labels import ENDED, READABLE, RUNNING, SCHEMA, UNDIGESTED
from sweep.files import atomic_files, locks
from sweep.files.bounded_json import parse
from sweep.files.locks import Lock
from sweep.files.places import ROOT, make_folder
from sweep.files.safe_files import list_files, load_arrays, read_regular
from sweep.results import attribute_checks, digests
from sweep.results.digests import Damage

HEARTBEAT: Final = "heartbeat.json"
SINGLE_CHECKPOINT: Final = "checkpoint"  # of older stores, whichever wave was running
OLDER: Final = ("checkpoint.npz",)  # what stores of schema 1 had beside their arrays while they were incomplete
_TIMES: Final = ("epoch", "snapshot_epoch")  # dimensions along which curves grow
# The checksum at the end of each chunk is for whoever reads a store with Zarr alone.
_CODECS: Final = (ZstdCodec(), Crc32cCodec())
MOST_CHECKPOINT_BYTES: Final = 2**40
MOST_HEARTBEAT_BYTES: Final = 2**16
_PARTIAL: Final = re.compile(r".+\.[0-9a-f]{32}\.partial")  # what Zarr writes beside a chunk's place
Meta = dict[str, Any]


class Store:
    """An open store.

    Args:
        path: its folder.
        lock: by which the caller holds it, None for one that nobody else can know yet. It is asked before each write.
    """

    def __init__(self, path: Path, lock: Lock | None = None) -> None:
        self.path, self._lock = path, lock
        self._group = zarr.open_group(path, mode="r+", use_consolidated=False)

    def write(self, name: str, start: int, values: np.ndarray) -> None:
        """Write one variable for a run of lanes.

        Args:
            name: the variable.
            start: place of the first lane.
            values: array of the variable's dimensions, lanes first; whole chunks only.
        """
        self._check_held()
        array = self._group[name]
        assert isinstance(array, zarr.Array)
        chunk, stop = array.chunks[0], start + len(values)
        whole = start % chunk == 0 and (stop % chunk == 0 or stop == array.shape[0])
        assert whole, "a chunk would be torn"
        # One at a time: of several at once zarr would still write the others after one had failed, be it in a lock that
        # is no longer held, or in another working directory.
        for first in range(start, stop, chunk):
            array[first : first + chunk] = values[first - start : first - start + chunk]

    def read(self, name: str, start: int, stop: int) -> np.ndarray:
        """Read one variable for a run of lanes."""
        return np.asarray(self._group[name][start:stop])  # type: ignore[index]

    def names(self) -> tuple[str, ...]:
        """Name the arrays of the store."""
        return tuple(entry.name for entry in self.path.iterdir() if (entry / ROOT).is_file())

    def attributes(self) -> Meta:
        """Give the attributes of the store."""
        return json.loads((self.path / ROOT).read_bytes())["attributes"]

    def note(self, **attributes: Any) -> None:
        """Set attributes of the store, in one move."""
        self._check_held()
        with _storable():
            attribute_checks.check_attributes(attributes)
        root = json.loads((self.path / ROOT).read_bytes())
        root["attributes"] |= attributes
        digests.replace_root(self.path, json.dumps(root, indent=2).encode())

    def mark_running(self, start: int, stop: int, record: int, arrays: Mapping[str, np.ndarray]) -> None:
        """Note what the curves of a running wave hold, before a checkpoint counts on them.

        Args:
            start: place of the wave's first lane.
            stop: of the first behind it.
            record: how many records count.
            arrays: what has been written of the wave, by name.
        """
        self._check_held()
        digests.mark_running(self.path, (start, stop), record, self._digest_of(arrays, record))

    def _digest_of(self, arrays: Mapping[str, np.ndarray], record: int) -> str:
        counts = _entries_of(self.path, self._group, record)
        none = {name: np.empty((0, 0)) for name in counts} if record == 0 else arrays
        return digests.of_records(none, counts)

    def seal(self, start: int, stop: int) -> None:
        """Note what the chunks of a wave hold that has ended: from now on it counts as stored."""
        self._check_held()
        digests.seal(self.path, (start, stop))

    def begin(self, start: int, stop: int) -> None:
        """Begin a wave: nothing of it is stored, whatever an earlier try left."""
        self._check_held()
        digests.begin(self.path, (start, stop), self._digest_of({}, 0))

    def recorded(self, start: int, stop: int) -> int:
        """Tell how many records of a running wave its digest is of; 0 for one that has none."""
        return max((record for *lanes, record, _ in digests.running(self.path) if lanes == [start, stop]), default=0)

    def sealed(self) -> np.ndarray:
        """Tell of each place for a lane whether its wave has ended and is stored."""
        return digests.sealed_places(self.path, self._group["status"].shape[0])  # type: ignore[union-attr]

    def save_checkpoint(self, start: int, arrays: Mapping[str, np.ndarray]) -> None:
        """Replace the checkpoint of a wave: its state, and where it stands, behind its digest.

        Args:
            start: place of the wave's first lane.
            arrays: by name.
        """
        self._check_held()
        with atomic_files.write_file(self.path / digests.checkpoint_file(start)) as file:
            file.write(bytes(digests.HEADER))
            np.savez(file, allow_pickle=False, **arrays)
            digest = digests.of_rest(file, digests.HEADER)
            file.seek(0)
            file.write(digest.encode())

    def load_checkpoint(self, start: int) -> dict[str, np.ndarray] | None:
        """Load the checkpoint of a wave.

        Args:
            start: place of the wave's first lane.

        Returns:
            Arrays by name, None where there is none. Whether it is whole was seen when the store was verified.
        """
        return self._load(digests.checkpoint_file(start))

    def _load(self, name: str) -> dict[str, np.ndarray] | None:
        with suppress(FileNotFoundError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return load_arrays(self.path / name, MOST_CHECKPOINT_BYTES, digests.HEADER)
        return None

    def settle_checkpoints(self) -> None:
        """Give the checkpoint of an older store to its wave, and remove those of waves that no longer run."""
        self._check_held()
        single = self._load(SINGLE_CHECKPOINT)
        if single is not None and single.get("place", np.empty(0)).shape == (3,):
            os.replace(self.path / SINGLE_CHECKPOINT, self.path / digests.checkpoint_file(int(single["place"][2])))
        used = {digests.checkpoint_file(start) for start, *_ in digests.running(self.path)}
        for name in digests.checkpoints(self.path):
            if name not in used:
                digests.remove(self.path / name)

    def drop_checkpoint(self, start: int) -> None:
        """Remove the checkpoint of a wave, which has ended."""
        self._check_held()
        digests.remove(self.path / digests.checkpoint_file(start))

    def beat(self, counts: Meta) -> None:
        """Replace the heartbeat: what has been executed so far, repeats included."""
        self._check_held()
        with atomic_files.write_file(self.path / HEARTBEAT) as file:
            file.write(json.dumps(counts | {"digest": _digest(counts)}).encode())

    def last_beat(self) -> Meta:
        """Read the heartbeat, empty where there is none that is as it was written."""
        try:
            counts = dict(parse(read_regular(self.path / HEARTBEAT, MOST_HEARTBEAT_BYTES).decode()))
            whole = counts.pop("digest") == _digest(counts)
            attribute_checks.check_attributes(counts)
            return counts if whole else {}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return {}

    def _check_held(self) -> None:
        """Make sure that no other process has taken the store over."""
        if self._lock is not None:
            self._lock.check()

    def clear(self) -> None:
        """Remove what only an incomplete sweep needs."""
        self._check_held()
        for name in (*digests.checkpoints(self.path), HEARTBEAT, *OLDER):
            digests.remove(self.path / name)


def _digest(counts: Meta) -> str:
    return digests.of_bytes(json.dumps(counts).encode())


def create(
    path: Path, skeleton: xr.Dataset, chunk_lanes: int, attributes: Mapping[str, Any], *, fresh: bool = False
) -> Store:
    """Make a store, all NaN.

    The folder is prepared beside its place and moved there, so that a store exists whole or not at all.

    Args:
        path: where.
        skeleton: the flat Dataset, see `dataset.skeleton`.
        chunk_lanes: lanes in a chunk.
        attributes: of the store, beside the skeleton's.
        fresh: move a store that is there aside, once the new one is ready.

    Raises:
        SweepError: where the place can't be written, or another run has just made a store there.
    """
    encoding: dict[Any, Meta] = {name: {"compressors": _CODECS} for name in skeleton.variables}
    for name, variable in skeleton.variables.items():
        if variable.dims[:1] == ("lane",):
            encoding[name]["chunks"] = (chunk_lanes, *variable.shape[1:])
    whole = skeleton.assign_attrs({**attributes, "arrays": sorted(map(str, skeleton.variables))})
    try:
        with make_folder(path.parent), atomic_files.make_folder_beside(path.parent) as beside:
            ready = beside / "store"
            whole.to_zarr(ready, mode="w", encoding=encoding, zarr_format=3, consolidated=False)
            with _storable():
                attribute_checks.examine(ready, attribute_checks.attributes(ready), list_files(ready))
            digests.write_layout(ready, list(map(str, skeleton.coords)), list(map(str, skeleton.data_vars)))
            if fresh and exists(path):
                move_aside(path)
            os.replace(ready, path)
            atomic_files.sync_files([path / ROOT])
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            raise locks.in_use_error(path) from error
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
    if not exists(path):
        raise locks.in_use_error(path)  # another run has moved it away just now
    if not ((path / ROOT).is_file() or has_digests(path)):
        raise _not_a_store(path)
    with locked(path) as lock:
        aside = _free_place(path)
        lock.set_folder(aside)
        return aside


def _free_place(path: Path) -> Path:
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
            lock = held.enter_context(locks.lock_folder(path))
        except FileNotFoundError as error:
            raise locks.in_use_error(path) from error  # another run has moved it away just now
        except OSError as error:
            raise unwritable(path, error) from error
        _remove_leftovers(path)
        yield lock


def _remove_leftovers(path: Path) -> None:
    """Remove what runs that were killed had begun to write in a store that is held, and what bars a heartbeat."""
    if (path / HEARTBEAT).is_dir():
        digests.remove(path / HEARTBEAT)
    for folder, _, names in os.walk(path):
        atomic_files.remove_abandoned(Path(folder))
        for name in names:
            if _PARTIAL.fullmatch(name) or locks.is_leftover(name):
                with suppress(OSError):
                    os.unlink(Path(folder, name))


def check(path: Path) -> Meta:
    """Read a store's attributes, having made sure that it is one.

    Raises:
        SweepError: for a path without a store, a root that can't be read, another schema, or what no store holds.
    """
    attributes = read_attributes(path)
    try:
        attribute_checks.check(path, attributes)
    except SweepError:
        if has_digests(path):  # by which damage is told from what never was a store of ours
            _refuse(path, digests.damages(path) or _loose_damages(path))
        raise
    return attributes


def read_attributes(path: Path) -> Meta:
    """Read a store's attributes, whatever else is wrong with it.

    Raises:
        SweepError: for a path without a store, a root that can't be read, or another schema.
    """
    if not path.exists():
        raise SweepError(f"no store at {path}: run the page first, or name another store")
    if not exists(path / ROOT) and not has_digests(path):
        raise _not_a_store(path)
    try:
        attributes = attribute_checks.attributes(path)
    except SweepError:
        _refuse(path, _root_damages(path))  # can be mended
        raise
    if attributes.get("schema", SCHEMA) not in READABLE:  # whose digests may be of another form, too
        raise SweepError(
            f"{path} has schema {attributes['schema']}, this version reads {' and '.join(map(str, READABLE))}: "
            f"use the version of sweep that wrote it, or run the page again with --fresh"
        )
    _refuse(path, _root_damages(path))
    if not {"schema", "arrays", "dimensions"} <= set(attributes):
        raise SweepError(f"{path} is not a store of sweep: it states no schema or no arrays; name another place")
    return attributes


def _root_damages(path: Path) -> list[Damage]:
    return digests.root_damages(path) if has_digests(path) else []


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
    verify(path)
    with blamed(path), warnings.catch_warnings():
        # The checkpoint, heartbeat and lock beside the arrays are ours.
        warnings.filterwarnings("ignore", "Object at .* is not recognized", category=UserWarning)
        # Units are words here: "seconds" are no dates to decode.
        with xr.open_zarr(path, consolidated=False, chunks=None, zarr_format=3, decode_times=False) as lazy:
            yield attribute_checks.check_values(_without_unsealed(lazy, path))
    if not has_digests(path):  # said of what could be read alone: a refusal is one line
        told = f"{path} carries no digests, as it is of schema {lazy.attrs['schema']}: damage is not seen"
        warnings.warn(told, SweepWarning, stacklevel=3)


def damage_words(path: Path, what: str) -> str:
    """Say that a store is damaged, and what can be done about it."""
    if not has_digests(path):
        return f"{path} is truncated or damaged: {what}; run the page again with --fresh"
    return f"{path} is damaged: {what}; `python -m sweep.check {path}` names all, and mends what it can with --repair"


def has_digests(path: Path) -> bool:
    """Tell whether a store has digests; those of schema 1 have none, unless a run has gone on with them."""
    return (path / digests.FOLDER).exists()


def adopt(store: Store, waves: Iterable[tuple[int, int]]) -> None:
    """Give an incomplete store of an older layout digests, of what it holds now; its running wave starts anew.

    Args:
        store: a store without digests.
        waves: place of the first lane of each wave, and of the first behind it.
    """
    flat = read(store.path)
    arrays = list(map(str, flat.data_vars))
    whole = np.isin(flat["status"], ENDED) & ~without_loss(flat) | (flat["lane"].values < 0)
    ended = []
    for start, stop in waves:
        if whole[start:stop].all():
            ended.append((start, stop))
        else:
            digests.remove_chunks(store.path, arrays, (start, stop))
    digests.write_layout(store.path, list(map(str, flat.coords)), arrays, ended)
    store.clear()
    store.note(schema=SCHEMA)


def without_loss(ds: xr.Dataset) -> np.ndarray:
    """Tell of each lane whether it has ended, as its status says, and yet has no loss: its chunk is lost."""
    there = np.isin(ds["status"], ENDED) & (ds["first_bad_epoch"].values != 0)
    return there & np.isnan(ds["loss"].values[..., 0]) if "loss" in ds else np.zeros(there.shape, bool)


def verify(path: Path) -> None:
    """Make sure that a store holds what was written.

    Raises:
        SweepError: for a path that holds no store, or a damaged one. Of a store without digests only missing arrays
            are seen, which is said in a warning when it is read.
    """
    attributes = read_attributes(path)
    if not has_digests(path):
        attribute_checks.check(path, attributes)
        if attributes["schema"] not in UNDIGESTED:
            raise SweepError(f"{path} is damaged: its digests are lost; run the page again with --fresh")
        return
    with blamed(path):
        _refuse_linked_folders(path)
        _refuse(path, digests.damages(path) or _loose_damages(path))
        attribute_checks.check(path, attributes)
        _refuse(path, _running_damages(path))


@contextmanager
def blamed(path: Path) -> Iterator[None]:
    """Blame a store for whatever reading it raises: it may be damaged, or a stranger's with digests that fit.

    Raises:
        SweepError: in place of any other exception.
    """
    try:
        yield
    except SweepError:
        raise
    except OSError as error:
        if error.errno in REMEDIES:
            raise unwritable(path, error) from error
        raise SweepError(damage_words(path, f"{error.filename or ''} {error.strerror or error}".strip())) from error
    except Exception as error:
        raise SweepError(damage_words(path, str(error).partition("\n")[0] or type(error).__name__)) from error


def _refuse(path: Path, found: Sequence[Damage]) -> None:
    """Refuse a store with damages."""
    if found:
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        raise SweepError(damage_words(path, f"{found[0].file} {found[0].what}{more}"))


def damages(path: Path) -> list[Damage]:
    """Compare a store with its digests: all that is stored, and what a running wave had at its last checkpoint."""
    with blamed(path):
        _refuse_linked_folders(path)
        found = digests.damages(path)
        layout = [each for each in found if each.lanes is None and not digests.CHECKPOINT.fullmatch(each.file)]
        if layout:  # without it a store says nothing
            return found
        found += _loose_damages(path)
        if not found:
            attribute_checks.check(path, read_attributes(path))
        return [*found, *_running_damages(path)]


def _refuse_linked_folders(path: Path) -> None:
    """Refuse a store one of whose folders is a link, before anything beyond it is read, or mended."""
    for folder, folders, _ in os.walk(path):
        if linked := [name for name in folders if Path(folder, name).is_symlink()]:
            raise SweepError(
                f"{path} is refused: {Path(folder, linked[0])} is a link where a folder belongs: remove it"
            )


def _loose_damages(path: Path) -> list[Damage]:
    """Find chunks of waves that have no digests, and yet every wave has some before it has chunks."""
    grids, found = [digests.Grid(path, name) for name in digests.wave_arrays(path)], []
    begun = digests.begun_places(path, grids[0].shape[0])
    for grid in grids:
        for start in map(int, np.flatnonzero(~begun[:: grid.chunks[0]]) * grid.chunks[0]):
            lanes = start, min(start + grid.chunks[0], grid.shape[0])
            there = [file for file in grid.files(*lanes) if exists(path / file)]
            found += [Damage(file, "is of a wave whose digests are lost", lanes) for file in there]
    return found


def _running_damages(path: Path) -> list[Damage]:
    """Compare the curves of waves that have begun; what came after the last checkpoint does not count."""
    found, group = [], zarr.open_group(path, mode="r", use_consolidated=False)
    for start, stop, record, digest in digests.running(path):
        try:
            counts = _entries_of(path, group, record)
            names = digests.wave_arrays(path)  # all, as all must be such that they can be read
            arrays = {name: np.asarray(group[name][start:stop]) for name in names}  # type: ignore[index]
            whole = digests.of_records(arrays, counts) == digest
        except Exception:  # whatever a damaged chunk makes of itself
            whole = False
        if not whole:
            found.append(
                Damage(
                    f"the wave that was running at place {start}",
                    "does not hold what it did at its checkpoint",
                    (start, stop),
                )
            )
    return found


def _entries_of(path: Path, group: zarr.Group, record: int) -> dict[str, int]:
    """Tell for each array of curves how many entries of its second dimension are of the first records.

    Whether and when lanes have ended, which changes between records, is known from the checkpoint.
    """
    epochs = np.asarray(group["epoch"][:])  # type: ignore[index]
    reached, found = epochs[record] if record < len(epochs) else np.inf, {}
    for name in digests.wave_arrays(path):
        array = group[name]
        assert isinstance(array, zarr.Array)
        along = (array.metadata.dimension_names or ())[1:2]  # type: ignore[union-attr]
        if along and along[0] in _TIMES:
            found[name] = int(np.count_nonzero(np.asarray(group[along[0]][:]) < reached))  # type: ignore[index]
        elif along:  # the target, which is there from record 0 on
            found[name] = array.shape[1] if record else 0
    return found


def _without_unsealed(lazy: xr.Dataset, path: Path) -> xr.Dataset:
    """Count lanes as running whose wave has a checkpoint, or has ended but is not known to be whole on the disk."""
    if lazy.attrs.get("complete") or not has_digests(path):
        return lazy
    status = lazy["status"].load()
    running = np.isin(status.values, ENDED) & ~digests.sealed_places(path, status.size)
    for start, stop, record, _ in digests.running(path):
        running[start:stop] |= record > 0 and lazy["lane"].values[start:stop] >= 0
    return lazy.assign(status=status.copy(data=np.where(running, np.int8(RUNNING), status.values)))
