"""Training one lane of a stored sweep again, to the same bits.

The bits of a lane depend on its tile, and not on other blocks or waves. So the sweep is planned as before, and all but
one lane are removed from the plan: it fills all seats of one tile of its block.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import xarray as xr

from sweep.base.errors import SweepError
from sweep.base.trees import Leaf
from sweep.engine.blocks import Program
from sweep.engine.plan import Plan, Wave
from sweep.engine.prepare import OutOfMemoryError
from sweep.engine.program import Block
from sweep.files import atomic_files
from sweep.page.experiment import Experiment
from sweep.results import store as stores
from sweep.results.dataset import LANE
from sweep.results.networks import read_parameters
from sweep.runs.coordinator import Coordinator
from sweep.runs.layout import create
from sweep.runs.planning import plan_sweep
from sweep.runs.progress import Progress
from sweep.runs.provenance import arithmetic, fixed_by
from sweep.runs.shares import Share


@dataclass(frozen=True)
class Replay:
    """A lane that was trained again.

    Args:
        curves: everything that a store would hold of it, in the store's flat form, without the dimension `lane`.
        leaves: the arrays of its own network.
        row: their entries; of a lane that diverged the last ones that were finite.
        block: its block, with the tile that it was trained in.
        foreign: what the bits depend on and is different here: values of the store and of this machine, by name.
    """

    curves: xr.Dataset
    leaves: tuple[Leaf, ...]
    row: np.ndarray
    block: Block
    foreign: dict[str, tuple[Any, Any]]


def replay(
    experiment: Experiment,
    attributes: Mapping[str, Any],
    lane: int,
    *,
    until: float | None = None,
    memory: int | None = None,
    watch: Callable[[Progress], None] = lambda progress: None,
) -> Replay:
    """Train one lane of a stored sweep again; the store itself is not changed.

    Args:
        experiment: the experiment of the store.
        attributes: the store's attributes.
        lane: the lane's number in the axes.
        until: the epoch of the last record that is computed, such as that at which the lane was cut; None for all.
        memory: budget in bytes; None is half of what is free.
        watch: called between segments.

    Raises:
        SweepError: if one tile does not fit into the memory.
    """
    single, foreign = plan_lane(experiment, attributes, lane, memory)
    try:
        curves, leaves, row = _train(single if until is None else _until(single, until), watch)
    except OutOfMemoryError as error:
        raise SweepError(f"{error} for one lane's tile: give more with --memory") from error
    return Replay(curves, leaves, row, single.programs[0].blocks[0], foreign)


def plan_lane(
    experiment: Experiment, attributes: Mapping[str, Any], lane: int, memory: int | None = None
) -> tuple[Plan, dict[str, tuple[Any, Any]]]:
    """Plan a stored sweep as it was, and reduce the plan to one lane.

    Args:
        experiment: the experiment of the store.
        attributes: the store's attributes.
        lane: the lane's number in the axes.
        memory: budget in bytes; None is half of what is free.

    Returns:
        The plan, which keeps the network's parameters; and what the bits depend on and is different here.
    """
    plan = plan_sweep(experiment, memory, replace(fixed_by(attributes), keep="parameters"))
    stored, here = json.loads(attributes["arithmetic"]), arithmetic(plan)
    # If only the choice of tile sizes has changed since, the stored sizes still give the stored bits.
    fits = stored["device"] == here["device"] and len(stored["tiles"]) == len(here["tiles"])
    here["tiles"] = stored["tiles"] if fits else here["tiles"]
    foreign = {name: (stored.get(name), now) for name, now in here.items() if stored.get(name) != now}
    return isolate_lane(plan, lane, here["tiles"]), foreign


def _until(plan: Plan, epoch: float) -> Plan:
    """End a plan at the record of an epoch."""
    records = int(np.argmin(np.abs(plan.epochs - epoch))) + 1
    return replace(
        plan,
        epochs=plan.epochs[:records],
        steps=tuple(steps[:records] for steps in plan.steps),
        snapshots=plan.snapshots[plan.snapshots < records],
    )


def isolate_lane(plan: Plan, lane: int, tiles: list[int]) -> Plan:
    """Reduce a plan to one lane, on one device, in one tile of its block.

    Args:
        plan: the plan of all lanes.
        lane: the lane's number in the axes.
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
                programs=(Program((replace(block, tile=tile, tiles=1),), (members[own],), (kept,), (1.0,)),),
                waves=(Wave(0, start=0, places=1, lanes=members[own], chosen=(first,), rows=(first,)),),
                devices=replace(plan.devices, count=1),
                steps=(steps[:, [at]],),
                wave_lanes=1,
                chunk_lanes=1,
            )
    raise ValueError(f"no block has lane {lane}")


def _train(plan: Plan, watch: Callable[[Progress], None]) -> tuple[xr.Dataset, tuple[Leaf, ...], np.ndarray]:
    """Train a plan's only lane, in a temporary store; give its curves and its network."""
    with atomic_files.make_temporary_folder() as folder:
        path = folder / "store"
        create(plan, path)
        Coordinator(Share(plan, stores.Store(path)), watch).run()
        leaves, row = (), np.empty(0)  # of a module without parameters
        if plan.keep != "nothing":
            leaves, row = read_parameters(path, stores.read_attributes(path), int(plan.order()[0]))
        return stores.read(path).isel({LANE: 0}), leaves, row
