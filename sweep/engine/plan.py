"""Plans: lanes are grouped into blocks, blocks into programs, and lanes are divided into waves that fit the memory.

Of all that a plan decides only tile sizes and, with many structures, what shares a block (`blocks`) change bits. Both
depend on the structures and the kind of device alone.
`Plan.reasons` are the sentences with which `--plan` explains a plan.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from math import ceil, gcd
from typing import Final

import jax
import numpy as np

from sweep.base.errors import SweepError
from sweep.engine.blocks import Program, make_programs
from sweep.engine.cost import (
    bytes_a_lane,
    free_memory,
    shared_bytes,
    size_words,
    tile_bytes,
    wave_bytes,
)
from sweep.engine.keeping import Keep, Network, choose, networks_of
from sweep.engine.numerics import standard_settings
from sweep.engine.program import Block, Device
from sweep.engine.seats import count_tiles, kinds_of
from sweep.engine.stopping import explain, rungs
from sweep.page.axes import Lanes
from sweep.page.experiment import Experiment
from sweep.page.resolve import Resolved
from sweep.page.specs.stop import Halving

CHUNK_LANES: Final = 1024  # a stored chunk has at least so many lanes, if there are as many,
MOST_CHUNKS: Final = 64  # of a grown store, if few lanes are new
CHUNKS: Final = 8  # and a larger wave at most twice so many chunks


@dataclass(frozen=True)
class Devices:
    """A description of the devices that a plan is made for, so that a plan can be sent to another process.

    Args:
        platform: "cpu", "gpu" or "tpu".
        kind: what JAX calls their kind.
        count: how many.
    """

    platform: str
    kind: str
    count: int

    @classmethod
    def of(cls, devices: Sequence[Device]) -> "Devices":
        """Describe devices of one kind."""
        return cls(devices[0].platform, devices[0].device_kind, len(devices))

    def live(self) -> tuple[Device, ...]:
        """Return this process's devices of this kind.

        Raises:
            SweepError: where there are fewer, or others.
        """
        found = tuple(jax.devices(self.platform)[: self.count])
        if Devices.of(found) != self:
            raise SweepError(
                f"the plan is for {self.count} x {self.kind}, here are {len(found)} x {found[0].device_kind}"
            )
        return found


@dataclass(frozen=True, eq=False)
class Fixed:
    """What a store has fixed of the plan by which it is filled; what is None or empty, the plan decides.

    Args:
        wave_lanes: lanes in a full wave.
        chunk_lanes: lanes in a chunk.
        keep: what is kept of each lane's end.
        held: for each lane whether the store was laid out with its results, when it was grown or merged. These lanes
            come first, in waves of their own.
        earlier_epochs: the lengths of the trainings before the store was grown, increasing; their records stay.
        kind: platform and kind of the devices on which it was begun; whoever has several kinds takes this one.
    """

    wave_lanes: int | None = None
    chunk_lanes: int | None = None
    keep: Keep | None = None
    held: np.ndarray | None = None
    earlier_epochs: tuple[int, ...] = ()
    kind: tuple[str, str] | None = None


@dataclass(frozen=True)
class Wave:
    """The lanes that are on the devices at once.

    Args:
        program: number of the program that trains them.
        start: place of its first lane in the store; a wave is stored in whole chunks, one after another.
        places: number of places in these chunks; those after its lanes stay empty.
        lanes: their numbers in the layout of the sweep, in stored order.
        chosen: for each block, which of its members are in this wave.
        rows: for each block, where those stand in `lanes`.
    """

    program: int
    start: int
    places: int
    lanes: np.ndarray
    chosen: tuple[np.ndarray, ...]
    rows: tuple[np.ndarray, ...]


@dataclass(frozen=True)
class Plan:
    """How a sweep will be run.

    Args:
        resolved: what is run, and its lanes.
        programs: usually one.
        waves: in the order in which they are run and stored.
        devices: over which tiles are distributed.
        epochs: epoch of each record.
        steps: optimiser steps at each record, for each program an array of shape (records, blocks).
        snapshots: the records at which predictions are kept.
        wave_lanes: lanes in a full wave.
        chunk_lanes: lanes in a stored chunk; every wave begins with a new chunk.
        wave_bytes: memory that a full wave takes, on the devices and in the host's buffers.
        memory: the budget in bytes.
        reasons: why the plan is as it is.
        keep: what is kept of each lane's end.
        held: the lanes with which the store was laid out, and
        earlier_epochs: the lengths of earlier trainings, as `Fixed` has them.
    """

    resolved: Resolved
    programs: tuple[Program, ...]
    waves: tuple[Wave, ...]
    devices: Devices
    epochs: np.ndarray
    steps: tuple[np.ndarray, ...]
    snapshots: np.ndarray
    wave_lanes: int
    chunk_lanes: int
    wave_bytes: int
    memory: int
    reasons: tuple[str, ...]
    keep: Keep = "nothing"
    held: np.ndarray | None = None
    earlier_epochs: tuple[int, ...] = ()

    @property
    def fixed(self) -> Fixed:
        """What a store of this plan fixes."""
        kind = self.devices.platform, self.devices.kind
        return Fixed(self.wave_lanes, self.chunk_lanes, self.keep, self.held, self.earlier_epochs, kind)

    @property
    def experiment(self) -> Experiment:
        """What is run."""
        return self.resolved.page

    @property
    def lanes(self) -> Lanes:
        """Its lanes."""
        return self.resolved.lanes

    def order(self) -> np.ndarray:
        """Return the lanes' numbers in stored order, -1 for an empty place."""
        order = np.full(self.waves[-1].start + self.waves[-1].places, -1)
        for wave in self.waves:
            order[wave.start : wave.start + len(wave.lanes)] = wave.lanes
        return order

    def blocks(self) -> Iterator[tuple[Block, np.ndarray]]:
        """Yield the blocks of all programs, each with the numbers of its lanes in the layout of the sweep."""
        for program in self.programs:
            yield from zip(program.blocks, program.members, strict=True)

    @cached_property
    def rungs(self) -> tuple[int, ...]:
        """The records at which its waves wait for each other, since `Halving` compares lanes of all of them."""
        rules = [rule for rule in self.experiment.rules() if isinstance(rule, Halving)] if len(self.waves) > 1 else []
        return tuple(sorted(record for rule in rules for record in rungs(rule, self.epochs)))

    @cached_property
    def networks(self) -> tuple[Network, ...]:
        """The lanes of all blocks by the arrays of their networks."""
        with standard_settings(self.experiment.precision):
            return networks_of(self.programs)

    def lane_steps(self) -> int:
        """Count the optimiser steps of all lanes."""
        return sum(block.training.steps * len(members) for block, members in self.blocks())


def pack(
    resolved: Resolved,
    *,
    memory: int | None = None,
    devices: Devices | None = None,
    fixed: Fixed = Fixed(),
    parts: int = 1,
) -> Plan:
    """Plan a sweep.

    Args:
        resolved: what to run, and its lanes.
        memory: budget in bytes; None is half of what is free.
        devices: where to run; None is all devices of this process.
        fixed: what a store has fixed. Otherwise waves fit the budget, and what is kept is as the page says.
        parts: among how many processes the waves are shared; this decides their size where no store has fixed it.

    Raises:
        SweepError: if even the smallest wave does not fit the budget.
    """
    devices = devices or Devices.of(jax.devices())
    memory = free_memory(devices.live()) // 2 if memory is None else memory
    experiment, lanes = resolved.page, resolved.lanes
    reasons: list[str] = []
    programs = make_programs(resolved, devices.platform, reasons)
    epochs, steps, snapshots = _records(experiment, programs, fixed.earlier_epochs)
    keep = choose(fixed.keep or experiment.record.keep, networks_of(programs))

    groups = _groups(fixed.held, len(lanes))

    @cache
    def costs(wave: int) -> int:
        return max(_wave_bytes(program, wave, len(epochs), devices.count, groups) for program in programs)

    enough = min(memory, wave_bytes(devices.platform))
    most = fixed.wave_lanes or _fit(costs, memory, enough, len(lanes), reasons, parts)
    chunk = fixed.chunk_lanes or _chunk_of(most, [int(group.sum()) for group in groups])
    waves: list[Wave] = []
    for group in groups:
        for number, program in enumerate(programs):
            waves += _waves(number, program, most, chunk, waves[-1].start + waves[-1].places if waves else 0, group)
    sized = [
        _with_capacity(program, [wave for wave in waves if wave.program == number], devices.count)
        for number, program in enumerate(programs)
    ]
    for rule in experiment.rules():
        reasons += explain(rule, epochs, lanes, experiment.better(rule.metric))
    plan = Plan(
        resolved, tuple(sized), tuple(waves), devices, epochs, steps, snapshots, most, chunk,
        costs(most), memory, tuple(reasons), keep, fixed.held, fixed.earlier_epochs,
    )  # fmt: skip
    return replace(plan, reasons=(*plan.reasons, *_explain_waiting(plan)))


def _explain_waiting(plan: Plan) -> Iterator[str]:
    if plan.rungs:
        yield f"the {len(plan.waves)} waves wait for each other at each of these epochs, as their lanes compete"


def _groups(held: np.ndarray | None, lanes: int) -> list[np.ndarray]:
    """Divide the lanes into those that a store was laid out with, and the others; for each group, which are in it."""
    return [np.ones(lanes, bool)] if held is None else [held, ~held]


def _records(
    experiment: Experiment, programs: list[Program], earlier_epochs: Sequence[int]
) -> tuple[np.ndarray, tuple[np.ndarray, ...], np.ndarray]:
    """Return the epochs of the records, the optimiser steps of each block at them, and which of them have predictions.

    The number of steps in an epoch depends on the batch size. Records are at whole steps of the block with the fewest
    steps, and at the nearest whole steps of the others. Of a training that was made longer, the records of the shorter
    one come first, and after its end those that the longer one has.
    """
    trainings = [block.training for program in programs for block in program.blocks]
    fewest = min(trainings, key=lambda training: training.steps_per_epoch)
    records, shown, reached = np.empty(0, np.int64), np.empty(0, np.int64), -1
    for length in (*earlier_epochs, experiment.epochs):
        own = experiment.record.at.steps(length * fewest.steps_per_epoch)
        with_predictions = np.unique(np.linspace(0, len(own) - 1, experiment.record.snapshots).round().astype(int))
        records = np.concatenate([records, own[own > reached]])
        shown = np.concatenate([shown, own[with_predictions][own[with_predictions] > reached]])
        reached = length * fewest.steps_per_epoch
    epochs = records / fewest.steps_per_epoch
    steps = tuple(
        np.stack([np.round(epochs * block.training.steps_per_epoch).astype(np.int64) for block in program.blocks], 1)
        for program in programs
    )
    return epochs, steps, np.searchsorted(records, shown)


def _wave_bytes(program: Program, lanes: int, records: int, devices: int, groups: Sequence[np.ndarray]) -> int:
    """Estimate the memory of one wave: all lanes of its tiles on the devices, and its curves in the host's buffer.

    Each block has space for its largest part of a wave, of whichever group of lanes.
    """
    total = 0
    sizes = np.array([[np.count_nonzero(group[members]) for members in program.members] for group in groups])
    of = np.maximum(1, sizes.sum(axis=1))
    shares = np.ceil(np.minimum(lanes, of)[:, None] * sizes / of[:, None]).max(axis=0).astype(int).tolist()
    for block, numbers, here in zip(program.blocks, program.numbers, shares, strict=True):
        on_device, on_host = bytes_a_lane(block, tuple(numbers), records)
        kinds = kinds_of(block, numbers).max(initial=0) + 1  # each may leave a tile that is not full
        tiles = min(here, ceil(here / block.tile) + int(kinds) - 1)
        seats = ceil(tiles / devices) * devices * block.tile
        total += seats * on_device + here * on_host
    common = shared_bytes([(block, tuple(own)) for block, own in zip(program.blocks, program.numbers, strict=True)])
    return total + devices * (common + max(tile_bytes(block) for block in program.blocks))


def _fit(costs: Callable[[int], int], memory: int, enough: int, lanes: int, reasons: list[str], parts: int) -> int:
    """Choose the number of lanes in a wave: all, or a power of two, or for several parts an equal share of each.

    Args:
        costs: bytes that a wave of so many lanes takes.
        memory: the budget, which is a strict limit.
        enough: the limit for waves of more than `CHUNK_LANES` lanes.
        lanes: number of all lanes.
        reasons: the list to which the explanation is added.
        parts: among how many processes the waves are shared.
    """
    wave = lanes
    while costs(wave) > (enough if wave > CHUNK_LANES else memory):
        if wave == 1:
            raise SweepError(
                f"the memory budget of {size_words(memory)} is too small: the smallest wave takes "
                f"{size_words(costs(1))}; give more with --memory"
            )
        wave = 2 ** ((wave - 1).bit_length() - 1)
    if parts > 1:
        wave = _divide(wave, lanes, parts)
    size = f"{size_words(costs(wave))} of {size_words(memory)}"
    if parts > 1:
        reasons.append(f"waves of up to {wave} lanes, so that {parts} parts share them, take {size} each")
    elif wave == lanes:
        reasons.append(f"one wave takes {size}")
    else:
        why = f", as waves above {size_words(enough)} train no faster" if enough < memory else ""
        reasons.append(f"waves of up to {wave} lanes take {size} each{why}")
    return wave


def _divide(most: int, lanes: int, parts: int) -> int:
    """Choose the number of lanes in a wave so that all parts have equally many waves, as far as that is possible.

    Powers of two could give some parts twice as many lanes as others. A multiple of a power of two can still be stored
    in whole chunks and be halved: the largest one is taken with which there are as many waves as parts.

    Args:
        most: lanes that fit into a wave.
        lanes: number of all lanes.
        parts: number of parts.
    """
    waves_of_each = ceil(lanes / (most * parts))
    share = ceil(lanes / (parts * waves_of_each))
    chunk = 2 ** (max(1, share // CHUNKS).bit_length() - 1)
    while chunk >= 1:
        wave = ceil(share / chunk) * chunk
        if wave <= most and ceil(lanes / wave) >= parts:
            return wave
        chunk //= 2
    return 2 ** (max(1, min(most, lanes // parts)).bit_length() - 1)


def _chunk_of(most: int, groups: Sequence[int]) -> int:
    """Choose the number of lanes in a chunk for waves of at most so many lanes.

    Args:
        most: lanes in a full wave.
        groups: the number of lanes in each group, of which each has waves of its own. A small group does not fill a
            large chunk; but chunks are not so small that all lanes make many.
    """
    lanes = sum(groups)
    smallest = min([size for size in groups if size])
    chunk = min(_chunk(most), 2 ** (max(smallest, lanes // MOST_CHUNKS).bit_length() - 1))
    return chunk if most >= lanes else gcd(chunk, most)


def _chunk(wave: int) -> int:
    """Choose the number of lanes in a chunk: a power of two, so that waves can be halved, and at most half a wave."""
    largest = max(CHUNK_LANES, wave // CHUNKS)
    return 2 ** (max(1, min(wave // 2, largest)).bit_length() - 1)


def _waves(number: int, program: Program, most: int, chunk: int, start: int, group: np.ndarray) -> list[Wave]:
    """Divide the lanes of a program that are in a group into waves, each with its share of every block."""
    own = [np.flatnonzero(group[members]) for members in program.members]
    block = np.concatenate([np.full(len(each), at) for at, each in enumerate(own)])
    index = np.concatenate(own)
    share = np.concatenate([(np.arange(len(each)) + 0.5) / max(1, len(each)) for each in own])
    order = np.lexsort((block, share))
    waves = []
    for first in range(0, len(order), most):
        here = order[first : first + most]
        rows = [np.flatnonzero(block[here] == at) for at in range(len(program.blocks))]
        chosen = [index[here][r] for r in rows]
        lanes = np.empty(len(here), np.int64)
        for at, (r, c) in enumerate(zip(rows, chosen, strict=True)):
            lanes[r] = program.members[at][c]
        places = ceil(len(here) / chunk) * chunk
        waves.append(Wave(number, start + first, places, lanes, tuple(chosen), tuple(rows)))
    return waves


def _with_capacity(program: Program, waves: list[Wave], devices: int) -> Program:
    """Give each block space for the tiles of its largest wave."""
    blocks = []
    for at, block in enumerate(program.blocks):
        kinds = kinds_of(block, program.numbers[at])
        tiles = max(count_tiles(kinds[wave.chosen[at]], block.tile) for wave in waves)
        blocks.append(replace(block, tiles=max(1, ceil(tiles / devices))))
    return replace(program, blocks=tuple(blocks))
