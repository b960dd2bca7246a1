"""Training one lane of a stored sweep again, so that the same bits come out.

The tile fixes the bits, and neither other blocks nor other waves do. So the sweep is planned as it was, and of its
plan one lane is kept: alone in a tile of its block, which repeats it in all other seats.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import xarray as xr

from sweep.base.errors import SweepError
from sweep.engine.plan import Plan, Program, Wave
from sweep.engine.prepare import OutOfMemoryError
from sweep.engine.program import Block
from sweep.files import atomic_files
from sweep.page.experiment import Experiment
from sweep.results import store as stores
from sweep.results.dataset import LANE
from sweep.runs.coordinator import Coordinator
from sweep.runs.layout import create
from sweep.runs.planning import plan_sweep
from sweep.runs.progress import Progress
from sweep.runs.provenance import arithmetic


@dataclass(frozen=True)
class Replay:
    """A lane that was trained again.

    Args:
        curves: everything that a store would hold of it, as flat as there, without the dimension `lane`.
        block: what led it, with the tile that it was trained in.
        foreign: of what the bits depend on, how the store was made and how it is here, where these differ.
    """

    curves: xr.Dataset
    block: Block
    foreign: dict[str, tuple[Any, Any]]


def replay(
    experiment: Experiment,
    attributes: Mapping[str, Any],
    lane: int,
    *,
    memory: int | None = None,
    watch: Callable[[Progress], None] = lambda progress: None,
) -> Replay:
    """Train one lane of a stored sweep again; the store itself is not touched.

    Args:
        experiment: what the store holds.
        attributes: of the store.
        lane: the lane's number in the axes.
        memory: budget in bytes; None is half of what is free.
        watch: called between segments.

    Raises:
        SweepError: if one tile does not fit into the memory.
    """
    begun = json.loads(attributes["plan"])
    plan = plan_sweep(experiment, memory, begun["wave_lanes"], begun["chunk_lanes"])
    stored, here = json.loads(attributes["arithmetic"]), arithmetic(plan)
    # Where only the choice of tiles has changed since, those of the store still give its bits.
    alike = stored["device"] == here["device"] and len(stored["tiles"]) == len(here["tiles"])
    here["tiles"] = stored["tiles"] if alike else here["tiles"]
    own = alone(plan, lane, here["tiles"])
    foreign = {name: (stored.get(name), now) for name, now in here.items() if stored.get(name) != now}
    try:
        return Replay(_train(own, watch), own.programs[0].blocks[0], foreign)
    except OutOfMemoryError as error:
        raise SweepError(f"{error} for one lane's tile: give more with --memory") from error


def alone(plan: Plan, lane: int, tiles: list[int]) -> Plan:
    """Keep one lane of a plan, on one device, in one tile of its block.

    Args:
        plan: of all lanes.
        lane: the lane's number in the layout of the sweep.
        tiles: the tile size of each block, in the order of `Plan.blocks`.
    """
    size = iter(tiles)
    for program, steps in zip(plan.programs, plan.steps, strict=True):
        for at, (block, members, numbers) in enumerate(
            zip(program.blocks, program.members, program.numbers, strict=True)
        ):
            tile, own = next(size), np.flatnonzero(members == lane)
            if len(own) == 0:
                continue
            kept = {name: values[own] for name, values in numbers.items()}
            first = np.array([0])
            return replace(
                plan,
                programs=(Program((replace(block, tile=tile, tiles=1),), (members[own],), (kept,)),),
                waves=(Wave(0, start=0, places=1, lanes=members[own], chosen=(first,), rows=(first,)),),
                devices=replace(plan.devices, count=1),
                steps=(steps[:, [at]],),
                wave_lanes=1,
                chunk_lanes=1,
            )
    raise ValueError(f"no block has lane {lane}")


def _train(plan: Plan, watch: Callable[[Progress], None]) -> xr.Dataset:
    """Train a plan's one lane by way of a store that is gone afterwards."""
    with atomic_files.make_temporary_folder() as folder:
        path = folder / "store"
        create(plan, path)
        Coordinator(plan, stores.Store(path), watch).run()
        return stores.read(path).isel({LANE: 0})
