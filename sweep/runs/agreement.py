"""Lanes that two stores have: whether they are equal, bit by bit."""

from collections.abc import Iterator
from typing import Final

import numpy as np

from sweep.runs.composing import Source

_LANES: Final = 4096  # compared at a time


def differing_lanes(one: Source, other: Source) -> np.ndarray:
    """Find the lanes that two stores have and that are not equal in every variable that both have.

    Where arrays differ in size, as for the most layers in a store, what both have is compared.

    Returns:
        Numbers of these lanes in the new sweep.
    """
    lanes = np.intersect1d(one.stored, other.stored)
    return np.concatenate([lanes[:0], *(_differing(one, other, part) for part in _parts(lanes))])


def _parts(lanes: np.ndarray) -> Iterator[np.ndarray]:
    return (lanes[start : start + _LANES] for start in range(0, len(lanes), _LANES))


def _differing(one: Source, other: Source, lanes: np.ndarray) -> np.ndarray:
    """Find those of some lanes that differ."""
    differ = np.zeros(len(lanes), bool)
    for name in sorted({*one.variables} & {*other.variables}):
        values = [source.read(name, source.places_of(lanes)) for source in (one, other)]
        sizes = np.minimum(*(each.shape[1:] for each in values)) if values[0].ndim > 1 else ()
        rows = [_bytes_of(each[(slice(None), *map(slice, sizes))]) for each in values]
        differ |= (rows[0] != rows[1]).any(axis=1)
    return lanes[differ]


def _bytes_of(values: np.ndarray) -> np.ndarray:
    """Give the bytes of an array, a row for each entry along its first dimension, so that NaN is equal to itself."""
    return np.ascontiguousarray(values).reshape(len(values), -1).view(np.uint8)
