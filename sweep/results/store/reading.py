"""Reading a store, after it has been verified, as it is laid out: with lanes along one flat dimension."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import xarray as xr

from sweep.base.errors import SweepWarning
from sweep.base.labels import ENDED, NETWORK_DIMS, RUNNING
from sweep.results.checks.values import check_values
from sweep.results.digests.folder import has_digests
from sweep.results.digests.waves import running_waves, stored_places
from sweep.results.store.refusals import blame_store
from sweep.results.store.verification import verify


def read(path: Path) -> xr.Dataset:
    """Read all of a store into memory, as it is laid out.

    Args:
        path: the store.

    Raises:
        SweepError: if there is no readable store.
    """
    with open_flat(path) as flat:
        return flat.load()


@contextmanager
def open_flat(path: Path) -> Iterator[xr.Dataset]:
    """Open a store as it is laid out, within a `with` block.

    Args:
        path: the store.

    Yields:
        A Dataset over the flat dimension `lane`, without networks. A variable is read from the disk when its values are
        used.

    Raises:
        SweepError: if there is no readable store, or for damage that is found within the block.
    """
    verify(path)
    with blame_store(path), warnings.catch_warnings():
        # Zarr warns of files that it does not know: the checkpoint, heartbeat and lock beside the arrays are ours.
        warnings.filterwarnings("ignore", "Object at .* is not recognized", category=UserWarning)
        # Units are only words: values in "seconds" are no dates to decode.
        with xr.open_zarr(path, consolidated=False, chunks=None, zarr_format=3, decode_times=False) as flat:
            yield check_values(_count_as_running(flat, path)).drop_dims(NETWORK_DIMS, errors="ignore")
    if not has_digests(path):  # after it was read, so that a store that is refused gives no warning as well
        message = f"{path} has no digests, as it is of schema {flat.attrs['schema']}: damage is not noticed"
        warnings.warn(message, SweepWarning, stacklevel=3)


def _count_as_running(flat: xr.Dataset, path: Path) -> xr.Dataset:
    """Set the status to running for lanes whose wave has a checkpoint, or has ended without being marked as stored."""
    if flat.attrs.get("complete") or not has_digests(path):
        return flat
    status = flat["status"].load()
    running = np.isin(status.values, ENDED) & ~stored_places(path, status.size)
    for wave in running_waves(path):
        places = slice(wave.start, wave.stop)
        running[places] |= wave.record > 0 and flat["lane"].values[places] >= 0
    return flat.assign(status=status.copy(data=np.where(running, np.int8(RUNNING), status.values)))
