"""Random numbers that depend on a lane's coordinates and on nothing else.

A key is made from a seed and the name of what is drawn, never from a lane's position, so that growing or
reordering a sweep changes no lane's draws. Keys are typed threefry keys: with `rbg` keys `vmap` would use
the first lane's key for all lanes.
"""

from collections.abc import Callable
from typing import Final

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, UInt32

# Numbers are fixed for good: renumbering a stream would change every stored result.
STREAMS: Final = {"weights": 0, "batches": 1, "points": 2, "phases": 3, "noise": 4}


def stream(seed: UInt32[Array, ""], name: str) -> Key[Array, ""]:
    """Make the key of one named stream of a seed.

    Args:
        seed: `seed` for weights and batches, `data_seed` for points, phases and noise.
        name: one of `STREAMS`.
    """
    return jax.random.fold_in(jax.random.key(seed, impl="threefry2x32"), STREAMS[name])


def by_rows(
    key: Key[Array, ""], rows: int, draw: Callable[[Key[Array, ""]], Float[Array, " columns"]]
) -> Float[Array, "rows columns"]:
    """Draw a matrix row by row, each row from a key of its own.

    A 1-D draw is a prefix of every longer one, but a 2-D draw of another width is another draw. With a key
    for each row, the matrix of a narrow network is the corner of that of a wide one.
    """
    return jax.vmap(lambda row: draw(jax.random.fold_in(key, row)))(jnp.arange(rows))
