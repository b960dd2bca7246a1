"""Rough costs of lanes: cache, time and memory.

Bits of results depend on the sizes of tiles and, with many structures, on the times, which decide what shares a block:
whoever changes one of these figures raises `ENGINE` in `runs.provenance`.
"""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import jax
import numpy as np

from sweep.engine.program import Block, Device, lane_shapes
from sweep.engine.training import Cost

# Rough figures of one CPU core of the 2020s.
COMPILE_SECONDS_A_BLOCK: Final = 1.8
COMPILE_SECONDS_A_LAYER: Final = 0.1
FLOPS: Final = {"cpu": 1.0e11}  # matrix products, per device and second
FLOPS_ACCELERATOR: Final = 5.0e12
ACTIVATIONS: Final = {"cpu": 1.5e9}  # one activation and its derivative, per device and second
ACTIVATIONS_ACCELERATOR: Final = 1.0e11
# A tile's arrays should stay in a core's second-level cache. On an accelerator they should fill the device.
TILE_BYTES: Final = {"cpu": 2 * 2**20}
TILE_BYTES_ACCELERATOR: Final = 2**28
TILE_LARGEST: Final = {"cpu": 32}
TILE_LARGEST_ACCELERATOR: Final = 4096
# Larger waves train no faster: each device has many tiles already. Smaller ones are saved sooner, since a save rewrites
# a wave, and leave memory to other programs.
WAVE_BYTES: Final = {"cpu": 2**29}
WAVE_BYTES_ACCELERATOR: Final = 2**32


def tile_size(cost: Cost, platform: str) -> int:
    """Choose how many lanes are advanced together: a power of two, from the training and the device kind alone.

    The tile fixes the order of additions and so the bits of every result; it must never depend on timings,
    free memory or the number of lanes or devices.
    """
    wanted = TILE_BYTES.get(platform, TILE_BYTES_ACCELERATOR) / cost.bytes
    largest = TILE_LARGEST.get(platform, TILE_LARGEST_ACCELERATOR)
    return min(largest, 2 ** max(0, int(np.log2(max(1.0, wanted)))))


def wave_bytes(platform: str) -> int:
    """Return the bytes that a wave should take at most, even if there is more memory."""
    return WAVE_BYTES.get(platform, WAVE_BYTES_ACCELERATOR)


def tile_bytes(block: Block) -> int:
    """Estimate the bytes that a tile takes while it is advanced, without the state and data of its lanes."""
    return int(block.training.cost().bytes) * block.tile


def step_seconds(cost: Cost, platform: str) -> float:
    """Estimate the seconds that one device takes for one step of one lane."""
    products = cost.flops / FLOPS.get(platform, FLOPS_ACCELERATOR)
    return products + cost.activations / ACTIVATIONS.get(platform, ACTIVATIONS_ACCELERATOR)


def compile_seconds(cost: Cost) -> float:
    """Estimate the seconds that compiling a block takes."""
    return COMPILE_SECONDS_A_BLOCK + COMPILE_SECONDS_A_LAYER * cost.layers


def free_memory(devices: Sequence[Device]) -> int:
    """Return the bytes that are free on all devices together; CPU devices share the memory of the machine."""
    stats = [device.memory_stats() for device in devices]
    if all(stats):
        return min(each["bytes_limit"] - each["bytes_in_use"] for each in stats) * len(devices)
    return _free_on_host()


def _free_on_host() -> int:
    """Return the memory that Linux says is available; on other systems half of the machine's."""
    try:
        found = re.search(r"MemAvailable: +([0-9]+) kB", Path("/proc/meminfo").read_text())
        if found:
            return int(found[1]) * 1024
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    except (AttributeError, ValueError, OSError):
        return 4 * 2**30  # an operating system that does not say


def bytes_a_lane(block: Block, names: tuple[str, ...], records: int) -> tuple[int, int]:
    """Estimate a lane's memory on its device, and that of its curves in the host's buffer."""
    arrays, recorded = lane_shapes(block, names)
    values = _bytes(recorded)
    # The state twice, since the update is not in place, or what drawing it takes; the values on the device and while
    # they are copied.
    must = jax.eval_shape(block.training.must_be_finite, arrays.lanes.state)
    beside = max(_bytes(arrays.lanes), 4 * _bytes(must))
    return _bytes((arrays.lanes, arrays.data, arrays.numbers)) + beside + 2 * values, values * records


def shared_bytes(program: Sequence[tuple[Block, tuple[str, ...]]]) -> int:
    """Estimate the memory that what lanes have in common takes on each device, and what making it takes.

    Args:
        program: its blocks, each with the names of its traced numbers.
    """
    found = {block.training.shared_by: _bytes(lane_shapes(block, names)[0].shared) for block, names in program}
    return sum(found.values()) + max(found.values(), default=0)


def _bytes(tree: Any) -> int:
    return sum(int(np.prod(leaf.shape)) * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))


def size_words(count: float) -> str:
    """Write a number of bytes: "321 KiB", "1.5 GiB"."""
    units = ["GiB", "MiB", "KiB", "B"]
    while count >= 1000 and len(units) > 1:
        count /= 1024
        units.pop()
    return f"{count:.3g} {units[-1]}"
