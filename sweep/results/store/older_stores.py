"""Stores of schema 1, which have no digests: checking them, and adding digests."""

from collections.abc import Iterable

import numpy as np
import xarray as xr

from sweep.base.labels import ENDED, SCHEMA
from sweep.results.digests.chunk_files import remove_chunks
from sweep.results.digests.layout import write_layout
from sweep.results.store.reading import read
from sweep.results.store.writer import Store


def add_digests(store: Store, waves: Iterable[tuple[int, int]]) -> None:
    """Add digests of what it holds now to an incomplete older store; a wave that has not ended will start again.

    Args:
        store: a store without digests.
        waves: for each wave the place of its first lane, and of the lane after its last one.
    """
    flat = read(store.path)
    arrays = list(map(str, flat.data_vars))
    has_ended = np.isin(flat["status"], ENDED) & ~lanes_without_loss(flat) | (flat["lane"].values < 0)
    stored = []
    for start, stop in waves:
        if has_ended[start:stop].all():
            stored.append((start, stop))
        else:
            remove_chunks(store.path, arrays, (start, stop))
    write_layout(store.path, list(map(str, flat.coords)), arrays, stored)
    store.clear()
    store.set_attributes(schema=SCHEMA)


def lanes_without_loss(ds: xr.Dataset) -> np.ndarray:
    """For each lane, tell whether it has ended by its status but has no loss, since its chunk is lost.

    Args:
        ds: results, flat or over the dimensions of the axes.
    """
    should_have = np.isin(ds["status"], ENDED) & (ds["first_bad_epoch"].values != 0)
    return should_have & np.isnan(ds["loss"].values[..., 0]) if "loss" in ds else np.zeros(should_have.shape, bool)
