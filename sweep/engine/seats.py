"""Where lanes sit: tiles of a block dealt out to the devices in turn."""

from collections.abc import Sequence
from math import ceil
from typing import Any

import jax
import numpy as np

from sweep.engine.program import Block, sharding


class Seats:
    """The places of some lanes of a block.

    Args:
        block: the block.
        lanes: numbers of the lanes that sit, among those of the block in the wave.
        devices: where the tiles are.
        first: which device gets the first tile, and so one more than others where they don't come out even.
    """

    def __init__(self, block: Block, lanes: np.ndarray, devices: Sequence[Any], first: int = 0) -> None:
        self.block, self.lanes, self._devices = block, lanes, tuple(devices)
        count = len(self._devices)
        self.tiles = ceil(len(lanes) / block.tile)
        tile = np.arange(len(lanes)) // block.tile
        self.tile = (tile + first) % count * block.tiles + tile // count
        self.place = np.arange(len(lanes)) % block.tile
        self.live = np.bincount((np.arange(self.tiles) + first) % count, minlength=count)

    def seated(self, values: np.ndarray) -> jax.Array:
        """Put one value for each lane onto the devices; empty seats of the last tile repeat the first lane."""
        # Tiles behind the last one are never advanced, so that what they hold does not matter.
        full = np.empty((len(self._devices) * self.block.tiles, self.block.tile, *values.shape[1:]), values.dtype)
        if len(self.lanes):
            full[self.tile[-1]] = values[0]
            full[self.tile, self.place] = values
        return jax.device_put(full, sharding(self._devices))

    def taken(self, tree: Any) -> Any:
        """Take the lanes' values off the devices, as copies, in the lanes' order."""
        return jax.tree.map(lambda leaf: np.asarray(leaf)[self.tile, self.place], tree)

    def moved(self, trees: Any, kept: np.ndarray, first: int) -> tuple["Seats", Any]:
        """Seat some of the lanes closer together.

        Args:
            trees: arrays on the devices.
            kept: which lanes stay.
            first: which device gets the first tile.

        Returns:
            Their seats, and their arrays there.
        """
        seats = Seats(self.block, self.lanes[kept], self._devices, first)
        return seats, jax.tree.map(lambda leaf: seats.seated(self.taken(leaf)[kept]), trees)
