"""The seats of lanes: a block's tiles are distributed over the devices in turn, and each lane has a place in a tile."""

from collections.abc import Sequence
from math import ceil
from typing import Any

import jax
import numpy as np

from sweep.engine.program import Block, sharding


class Seats:
    """The places of some of a block's lanes.

    Args:
        block: the block.
        lanes: numbers of these lanes among the block's lanes in the wave.
        devices: over which tiles are distributed.
        first: the device that gets the first tile, and so one more than others if the division leaves a remainder.
    """

    def __init__(self, block: Block, lanes: np.ndarray, devices: Sequence[Any], first: int = 0) -> None:
        self.block, self.lanes, self._devices = block, lanes, tuple(devices)
        count = len(self._devices)
        self.tiles = ceil(len(lanes) / block.tile)
        tile = np.arange(len(lanes)) // block.tile
        self.tile = (tile + first) % count * block.tiles + tile // count
        self.place = np.arange(len(lanes)) % block.tile
        self.live = np.bincount((np.arange(self.tiles) + first) % count, minlength=count)

    def put(self, values: np.ndarray) -> jax.Array:
        """Copy one value for each lane to the devices; unused places of the last tile repeat the first lane."""
        # Tiles after the last one are never advanced, so their values do not matter.
        full = np.empty((len(self._devices) * self.block.tiles, self.block.tile, *values.shape[1:]), values.dtype)
        if len(self.lanes):
            full[self.tile[-1]] = values[0]
            full[self.tile, self.place] = values
        return jax.device_put(full, sharding(self._devices))

    def take(self, tree: Any) -> Any:
        """Copy the lanes' values from the devices, in the lanes' order."""
        return jax.tree.map(lambda leaf: np.asarray(leaf)[self.tile, self.place], tree)

    def move(self, trees: Any, kept: np.ndarray, first: int) -> tuple["Seats", Any]:
        """Move some of the lanes into as few tiles as possible.

        Args:
            trees: arrays on the devices.
            kept: which lanes are kept.
            first: which device gets the first tile.

        Returns:
            Their seats, and their arrays.
        """
        seats = Seats(self.block, self.lanes[kept], self._devices, first)
        return seats, jax.tree.map(lambda leaf: seats.put(self.take(leaf)[kept]), trees)
