"""The seats of lanes: a block's tiles are distributed over the devices in turn, and each lane has a place in a tile."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from sweep.engine.program import Block, sharding
from sweep.page.resolve import group_rows


def kinds_of(block: Block, numbers: Mapping[str, np.ndarray]) -> np.ndarray:
    """Number the kinds of lanes: those of one kind have their training's common numbers in common.

    Args:
        block: the block.
        numbers: traced numbers of some of its lanes, by name.
    """
    return group_rows([numbers[name] for name in block.training.common], len(next(iter(numbers.values()))))[0]


def count_tiles(kinds: np.ndarray, tile: int) -> int:
    """Count the tiles that lanes of these kinds need, if a tile has lanes of one kind only."""
    return int((-(-np.bincount(kinds) // tile)).sum())


class Seats:
    """The places of some of a block's lanes.

    Args:
        block: the block.
        lanes: numbers of these lanes among the block's lanes in the wave.
        kinds: the kind of each; a tile has lanes of one kind only.
        devices: over which tiles are distributed.
        first: the device that gets the first tile, and so one more than others if the division leaves a remainder.
    """

    def __init__(
        self, block: Block, lanes: np.ndarray, kinds: np.ndarray, devices: Sequence[Any], first: int = 0
    ) -> None:
        self.block, self.lanes, self._kinds, self._devices = block, lanes, kinds, tuple(devices)
        count = len(self._devices)
        tile, self.place = _places(kinds, block.tile)
        self.tiles = count_tiles(kinds, block.tile)
        self.tile = (tile + first) % count * block.tiles + tile // count
        self.live = np.bincount((np.arange(self.tiles) + first) % count, minlength=count)

    def put(self, values: np.ndarray) -> jax.Array:
        """Copy one value for each lane to the devices; unused places of a tile repeat its first lane."""
        # Tiles after the last one are never advanced, so their values do not matter.
        full = np.empty((len(self._devices) * self.block.tiles, self.block.tile, *values.shape[1:]), values.dtype)
        begins = self.place == 0
        full[self.tile[begins]] = values[begins][:, None]
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
        seats = Seats(self.block, self.lanes[kept], self._kinds[kept], self._devices, first)
        return seats, jax.tree.map(lambda leaf: seats.put(self.take(leaf)[kept]), trees)

    def count_if(self, kept: np.ndarray) -> int:
        """Count the tiles that these of the lanes would need."""
        return count_tiles(self._kinds[kept], self.block.tile)


def _places(kinds: np.ndarray, tile: int) -> tuple[np.ndarray, np.ndarray]:
    """Give each lane a tile and a place in it: kind after kind, each beginning with a new tile."""
    order = np.argsort(kinds, kind="stable")
    sizes = np.bincount(kinds)
    tiles = -(-sizes // tile)
    within = np.arange(len(kinds)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    tile_of, place = np.empty(len(kinds), np.int64), np.empty(len(kinds), np.int64)
    tile_of[order] = np.repeat(np.cumsum(tiles) - tiles, sizes) + within // tile
    place[order] = within % tile
    return tile_of, place
