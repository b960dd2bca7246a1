"""Random numbers that depend on a lane's coordinates and on nothing else.

A key is made from a seed and the name of a stream, never from a lane's position, so that growing or reordering a
sweep changes no lane's random numbers. Keys are typed threefry keys: with `rbg` keys `vmap` would use
the first lane's key for all lanes.

Drawing takes microseconds, but XLA takes a tenth of a second to compile one hash. So all numbers of a lane's beginning
come from one hash: `uniforms` gives uniform numbers, and each distribution is a function of these.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import jax
import jax.numpy as jnp
from jax.extend.random import threefry2x32_p
from jaxtyping import Array, Float, Key, UInt32

# These numbers never change: with another number for a stream every result would be another.
STREAMS: Final = {"weights": 0, "batches": 1, "data": 2, "network": 3}
ROWS: Final = 2**20  # a counter has 32 bits for the number of a matrix and its rows
Shapes = Mapping[int, tuple[int, int]]


def stream(seed: UInt32[Array, ""], name: str) -> Key[Array, ""]:
    """Make the key of one named stream of a seed: its two words are the stream's number and the seed.

    Threefry is designed for keys that are counters; hashing them first would not improve them.

    Args:
        seed: `seed` for weights, batches and what a network draws in a step, `data_seed` for data.
        name: one of `STREAMS`.
    """
    words = jnp.stack([jnp.full_like(seed, STREAMS[name]), seed])
    return jax.random.wrap_key_data(words, impl="threefry2x32")


class Keys(NamedTuple):
    """The keys of a lane's streams: `weights` and `batches` of its `seed`, `data` of its `data_seed`."""

    weights: Key[Array, ""]
    batches: Key[Array, ""]
    data: Key[Array, ""]

    @classmethod
    def of(cls, numbers: Mapping[str, Array]) -> "Keys":
        """Make the keys of a lane from its traced numbers."""
        seed, data_seed = numbers["seed"], numbers["data_seed"]
        return cls(stream(seed, "weights"), stream(seed, "batches"), stream(data_seed, "data"))


def uniforms(
    key: Key[Array, ""], shapes: Shapes, dtype: Any, numbers: Mapping[int, Any] = MappingProxyType({})
) -> Float[Array, " entries"]:
    """Draw numbered matrices of uniform numbers on (-1, 1), all by one hash, as one flat array.

    Entry (i, j) of matrix m is the hash of the counter (m, i, j) and does not depend on shapes, so that a narrow
    network's matrix is the corner of a wide one's. `jax.random` counts through a matrix row by row; it would need a key
    for each row, which is another hash.

    Args:
        key: the key of the stream.
        shapes: of each matrix, by its number in the stream; at least one.
        dtype: precision; all its mantissa is random.
        numbers: other numbers of matrices than those in `shapes`, traced.
    """
    assert all(number < 2**32 // ROWS and rows <= ROWS for number, (rows, _) in shapes.items())
    word = jax.random.key_data(key)
    iota, drawn = jax.lax.broadcasted_iota, [(numbers.get(place, place), shape) for place, shape in shapes.items()]
    rows = jnp.concatenate(
        [(iota(jnp.uint32, shape, 0) + jnp.uint32(number) * jnp.uint32(ROWS)).ravel() for number, shape in drawn]
    )
    columns = jnp.concatenate([iota(jnp.uint32, shape, 1).ravel() for _, shape in drawn])
    high, low = threefry2x32_p.bind(word[0], word[1], rows, columns)
    bits = high if jnp.finfo(dtype).bits == 32 else high.astype(jnp.uint64) << 32 | low
    # The middles of 2^d equal cells: exact, symmetric, and never -1 or 1, where a normal number is infinite.
    digits = jnp.finfo(dtype).nmant
    cell = (bits >> (jnp.finfo(dtype).bits - digits)).astype(dtype)
    return (cell + 0.5) * 2.0 ** (1 - digits) - 1


def matrices(entries: Float[Array, " entries"], shapes: Shapes) -> dict[int, Float[Array, "rows columns"]]:
    """Cut what `uniforms` drew, or a function of it, into its matrices."""
    found, at = {}, 0
    for number, (rows, columns) in shapes.items():
        found[number] = entries[at : at + rows * columns].reshape(rows, columns)
        at += rows * columns
    return found


def normal(u: Float[Array, "..."]) -> Float[Array, "..."]:
    """Turn uniform numbers on (-1, 1) into standard normal ones."""
    return 2**0.5 * jax.lax.erf_inv(u)
