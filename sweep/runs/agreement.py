"""Lanes that two stores have: whether they are equal, bit by bit."""

from collections.abc import Iterator
from typing import Final

import numpy as np

from sweep.runs.composing import Source

_BYTES: Final = 2**26  # compared at a time


def differing_lanes(one: Source, other: Source) -> np.ndarray:
    """Find the lanes that two stores have and that are not equal in every variable that both have.

    Where arrays differ in size, as for the most layers in a store, what both have is compared.

    Returns:
        Numbers of these lanes in the new sweep.
    """
    lanes = np.intersect1d(one.stored, other.stored)
    differ = np.zeros(len(lanes), bool)
    for name in sorted({*one.variables} & {*other.variables}):
        for part in _parts(len(lanes), max(source.bytes_a_lane(name) for source in (one, other))):
            differ[part] |= _differ(name, one, other, lanes[part])
    return lanes[differ]


def _parts(lanes: int, bytes_a_lane: int) -> Iterator[slice]:
    """Divide lanes into parts that take little memory."""
    size = max(1, _BYTES // max(1, bytes_a_lane))
    return (slice(start, start + size) for start in range(0, lanes, size))


def _differ(name: str, one: Source, other: Source, lanes: np.ndarray) -> np.ndarray:
    """For each of some lanes, tell whether a variable differs."""
    values = [source.read(name, source.places_of(lanes)) for source in (one, other)]
    sizes = np.minimum(*(each.shape[1:] for each in values)) if values[0].ndim > 1 else ()
    rows = [_bytes_of(each[(slice(None), *map(slice, sizes))]) for each in values]
    return (rows[0] != rows[1]).any(axis=1)


def _bytes_of(values: np.ndarray) -> np.ndarray:
    """Give the bytes of an array, a row for each entry along its first dimension, so that NaN is equal to itself."""
    return np.ascontiguousarray(values).reshape(len(values), -1).view(np.uint8)
