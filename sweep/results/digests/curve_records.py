"""The curves of a running wave up to a record: their digest, and whether they still agree with it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import zarr

from sweep.base.labels import NETWORK_DIMS
from sweep.results.digests.damage import Damage, found_twice
from sweep.results.digests.folder import wave_arrays
from sweep.results.digests.hashes import hash_records
from sweep.results.digests.waves import RunningWave, running_waves

_TIMES: Final = ("epoch", "snapshot_epoch")  # dimensions along which curves grow


def hash_curves(store: Path, group: zarr.Group, arrays: Mapping[str, np.ndarray], record: int) -> str:
    """Compute the digest of a running wave's curves.

    Args:
        store: the store.
        group: the same, opened.
        arrays: what the wave holds, by name; not used for record 0.
        record: number of records that the digest covers.
    """
    counts = _count_entries(store, group, record)
    nothing = {name: np.empty((0, 0)) for name in counts}
    return hash_records(nothing if record == 0 else arrays, counts)


def running_damages(store: Path) -> list[Damage]:
    """Compare the curves of running waves with their digests; records after the last checkpoint do not count."""
    group = zarr.open_group(store, mode="r", use_consolidated=False)
    return found_twice(lambda: [_damage(wave) for wave in running_waves(store) if not _is_intact(store, group, wave)])


def _damage(wave: RunningWave) -> Damage:
    return Damage(
        f"the wave that was running at place {wave.start}",
        "does not hold what it did at its checkpoint",
        (wave.start, wave.stop),
    )


def _is_intact(store: Path, group: zarr.Group, wave: RunningWave) -> bool:
    try:
        counts = _count_entries(store, group, wave.record)
        # All of them, since a damaged chunk of any is damage; but networks are written when the wave has ended.
        names = [name for name in wave_arrays(store) if not _holds_networks(group[name])]
        arrays = {name: np.asarray(group[name][wave.start : wave.stop]) for name in names}  # type: ignore[index]
        return hash_records(arrays, counts) == wave.digest
    except Exception:  # a damaged chunk may raise anything
        return False


def _holds_networks(array: Any) -> bool:
    return (array.metadata.dimension_names or (None,))[-1] in NETWORK_DIMS


def _count_entries(store: Path, group: zarr.Group, record: int) -> dict[str, int]:
    """For each array of curves, count the entries along its second dimension that the first records fill.

    Arrays with one value for each lane, such as the status, are left out: they change between records, and the
    checkpoint holds the values from which they are computed.
    """
    epochs = np.asarray(group["epoch"][:])  # type: ignore[index]
    reached, counts = epochs[record] if record < len(epochs) else np.inf, {}
    for name in wave_arrays(store):
        array = group[name]
        assert isinstance(array, zarr.Array)
        along = (array.metadata.dimension_names or ())[1:2]  # type: ignore[union-attr]
        if along and along[0] in _TIMES:
            counts[name] = int(np.count_nonzero(np.asarray(group[along[0]][:]) < reached))  # type: ignore[index]
        elif along and not _holds_networks(array):  # the target, all of which is written with record 0
            counts[name] = array.shape[1] if record else 0
    return counts
