"""What a run writes into a store and reads from it."""

import json
import os
from collections.abc import Collection, Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
import zarr

from sweep.files.locks import Lock
from sweep.files.places import ROOT
from sweep.files.safe_files import remove
from sweep.results.checks.attributes import check_attributes
from sweep.results.digests import waves
from sweep.results.digests.checkpoints import (
    SINGLE_CHECKPOINT,
    checkpoint_file,
    key_of,
    list_checkpoints,
    read_checkpoint,
    used_checkpoints,
    write_checkpoint,
)
from sweep.results.digests.chunk_files import ChunkFiles
from sweep.results.digests.curve_records import hash_curves
from sweep.results.digests.folder import wave_file
from sweep.results.digests.layout import replace_root
from sweep.results.store.heartbeat import HEARTBEAT, list_heartbeats, read_heartbeat, write_heartbeat
from sweep.results.store.leases import ENDED, Lease, write_ended
from sweep.results.store.refusals import refuse_unstorable
from sweep.results.store.sharing import list_part_locks
from sweep.results.store.working_copies import find_copy

_TEMPORARY: Final = (ENDED, "checkpoint.npz")  # the latter is of incomplete stores of schema 1
Meta = dict[str, Any]


class Store:
    """An open store.

    Args:
        path: its folder.
        lock: the lock under which the caller holds the store, or its lease, checked before each write; None for a store
            that no other process can know yet.
        heartbeat: the name of the file of the caller's heartbeat.
    """

    def __init__(self, path: Path, lock: Lock | Lease | None = None, heartbeat: str = HEARTBEAT) -> None:
        self.path, self.lock, self._heartbeat = path, lock, heartbeat
        self._copy = find_copy(path)
        self._group = zarr.open_group(path, mode="r+", use_consolidated=False)

    @property
    def place(self) -> str:
        """Where other processes find it: its address in object storage, or its folder."""
        return str(self._copy.bucket.address if self._copy else self.path.absolute())

    def write(self, name: str, start: int, values: np.ndarray) -> None:
        """Write one variable for consecutive lanes.

        Args:
            name: the variable.
            start: place of the first lane.
            values: array of the variable's dimensions, lanes first; only complete chunks.
        """
        self._check_held()
        array = self._group[name]
        assert isinstance(array, zarr.Array)
        chunk, stop = array.chunks[0], start + len(values)
        complete = start % chunk == 0 and (stop % chunk == 0 or stop == array.shape[0])
        assert complete, "only complete chunks are written"
        # One chunk at a time: if several were written at once and one failed, Zarr would still write the others later,
        # when the lock may no longer be held, or the working directory may have changed.
        for first in range(start, stop, chunk):
            array[first : first + chunk] = values[first - start : first - start + chunk]
        if self._copy:
            self._copy.note(ChunkFiles(self.path, name).names(start, stop))

    def write_part(self, name: str, start: int, first: int, values: np.ndarray) -> None:
        """Write one chunk of an array of networks.

        Args:
            name: the array.
            start: place of the chunk's first lane.
            first: its first entry.
            values: all entries of the chunk.
        """
        self._check_held()
        self._group[name][start : start + len(values), first : first + values.shape[1]] = values  # type: ignore[index]
        lanes, entries = self.layout(name)[1]
        self._note(f"{name}/c/{start // lanes}/{first // entries}")

    def layout(self, name: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Give the shape of an array, and that of its chunks."""
        array = self._group[name]
        assert isinstance(array, zarr.Array)
        return array.shape, array.chunks

    def read(self, name: str, start: int, stop: int) -> np.ndarray:
        """Read one variable for consecutive lanes.

        Args:
            name: the variable.
            start: place of the first lane.
            stop: place of the lane after the last one.
        """
        return np.asarray(self._group[name][start:stop])  # type: ignore[index]

    def names(self) -> tuple[str, ...]:
        """Name the arrays of the store."""
        return tuple(entry.name for entry in self.path.iterdir() if (entry / ROOT).is_file())

    def attributes(self) -> Meta:
        """Give the attributes of the store."""
        return json.loads((self.path / ROOT).read_bytes())["attributes"]

    def set_attributes(self, **attributes: Any) -> None:
        """Set attributes of the store, all in one step.

        Raises:
            SweepError: for attributes with which the store could not be opened again.
        """
        self._check_held()
        with refuse_unstorable():
            check_attributes(attributes)
        root = json.loads((self.path / ROOT).read_bytes())
        root["attributes"] |= attributes
        replace_root(self.path, json.dumps(root, indent=2).encode(), self._publish)

    def begin(self, start: int, stop: int) -> None:
        """Begin a wave, and remove what an earlier attempt left of it.

        Args:
            start: place of the wave's first lane.
            stop: place of the lane after its last one.
        """
        self._check_held()
        waves.begin(self.path, (start, stop), hash_curves(self.path, self._group, {}, 0), self._publish)

    def mark_running(self, start: int, stop: int, record: int, arrays: Mapping[str, np.ndarray]) -> None:
        """Write the digest of a running wave's curves, before its next checkpoint.

        Args:
            start: place of the wave's first lane.
            stop: place of the lane after its last one.
            record: number of records that the digest covers.
            arrays: what has been written of the wave, by name.
        """
        self._check_held()
        digest = hash_curves(self.path, self._group, arrays, record)
        waves.mark_running(self.path, (start, stop), record, digest)
        self._publish(wave_file(start))

    def mark_stored(self, start: int, stop: int) -> None:
        """Write the digests of the chunks of a wave that has ended: from now on it counts as stored.

        Args:
            start: place of the wave's first lane.
            stop: place of the lane after its last one.
        """
        self._check_held()
        waves.mark_stored(self.path, (start, stop))
        self._publish(wave_file(start))

    def count_records(self, start: int, stop: int) -> int:
        """Count the records that the digest of a running wave covers; 0 if there is no such wave.

        Args:
            start: place of the wave's first lane.
            stop: place of the lane after its last one.
        """
        return waves.count_records(self.path, (start, stop))

    def begun_waves(self) -> list[tuple[int, int]]:
        """For each wave that runs or has ended, give the place of its first lane, and that after its last one."""
        return [(start, content["stop"]) for start, content in waves.read_waves(self.path) if content is not None]

    def stored_places(self) -> np.ndarray:
        """For each place of a lane, tell whether its wave has ended and is stored."""
        return waves.stored_places(self.path, self._group["status"].shape[0])  # type: ignore[union-attr]

    def save_checkpoint(self, start: int, arrays: Mapping[str, np.ndarray]) -> None:
        """Replace the checkpoint of a wave: its state, and how many steps it has trained.

        Args:
            start: place of the wave's first lane.
            arrays: by name.
        """
        self._check_held()
        write_checkpoint(self.path / checkpoint_file(start), arrays, self._key)
        self._publish(checkpoint_file(start))

    @cached_property
    def _key(self) -> bytes:
        """The key of its checkpoints' digests, read once: a save during training should not read all attributes."""
        return key_of(self.attributes())

    def load_checkpoint(self, start: int) -> dict[str, np.ndarray] | None:
        """Load the checkpoint of a wave.

        Args:
            start: place of the wave's first lane.

        Returns:
            Arrays by name, None if there is no checkpoint. Its digest was compared when the store was verified.
        """
        return read_checkpoint(self.path / checkpoint_file(start))

    def tidy_checkpoints(self) -> None:
        """Rename the checkpoint of an older store to that of its wave, and remove those of waves that have ended."""
        self._check_held()
        single = read_checkpoint(self.path / SINGLE_CHECKPOINT)
        if single is not None and single.get("place", np.empty(0)).shape == (3,):
            named = checkpoint_file(int(single["place"][2]))
            os.replace(self.path / SINGLE_CHECKPOINT, self.path / named)
            self._publish(named, SINGLE_CHECKPOINT)
        self._remove({*list_checkpoints(self.path)} - used_checkpoints(self.path))

    def remove_checkpoint(self, start: int) -> None:
        """Remove the checkpoint of a wave that has ended or starts again.

        Args:
            start: place of the wave's first lane.
        """
        self._check_held()
        self._remove([checkpoint_file(start)])

    def end_leases(self, tokens: Iterable[str]) -> None:
        """End leases under which workers write, see `leases`.

        Args:
            tokens: the names of the leases.
        """
        self._check_held()
        write_ended(self.path, tokens)

    def write_heartbeat(self, counts: Meta) -> None:
        """Replace the heartbeat.

        Args:
            counts: what has been executed so far, including repetitions, by the names of attributes.
        """
        self._check_held()
        write_heartbeat(self.path, counts, self._heartbeat)
        self._note(self._heartbeat)

    def read_heartbeat(self) -> Meta:
        """Read the heartbeat; empty if there is none, or if it is not as it was written."""
        return read_heartbeat(self.path, self._heartbeat)

    def read_other_heartbeats(self) -> list[Meta]:
        """Read the heartbeats of all processes that fill or filled parts of the store."""
        return [read_heartbeat(self.path, name) for name in list_heartbeats(self.path) if name != self._heartbeat]

    def clear(self) -> None:
        """Remove the files that only an incomplete sweep needs; no part runs."""
        self._check_held()
        listed = (*list_checkpoints(self.path), *list_heartbeats(self.path), *list_part_locks(self.path))
        self._remove((*listed, *_TEMPORARY))

    def fetch_wave(self, start: int, stop: int) -> None:
        """Fetch what other processes have published of a wave. In a folder it is there: all see the same one.

        Args:
            start: place of the wave's first lane.
            stop: place of the lane after its last one.
        """
        if self._copy is None:
            return
        self._copy.fetch([wave_file(start), checkpoint_file(start)])
        reach = max([stop, *(end for first, end in self.begun_waves() if first == start)])
        self._copy.fetch(waves.wave_chunks(self.path, (start, reach)))

    def _remove(self, names: Collection[str]) -> None:
        for name in names:
            remove(self.path / name)
        self._note(*names)
        self._publish()

    def _note(self, *names: str) -> None:
        """Tell a working copy of files that were written or removed, and that may be published a little later."""
        if self._copy:
            self._copy.note(names)

    def _publish(self, *names: str) -> None:
        """Tell a working copy to publish files that were written or removed, and what was noted before."""
        if self._copy:
            self._copy.publish(*names)

    def _check_held(self) -> None:
        """Make sure that no other process has taken the store over; a working copy does so when it publishes."""
        if self.lock is not None and self._copy is None:
            self.lock.check()
