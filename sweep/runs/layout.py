"""The store that a plan will fill, laid out before anything is trained."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from types import MappingProxyType

import numpy as np
import xarray as xr

from sweep.engine.plan import Plan
from sweep.results import store as stores
from sweep.results.networks import Arrays
from sweep.results.skeleton import skeleton, with_networks
from sweep.runs.progress import Tally
from sweep.runs.provenance import provenance


def create(
    plan: Plan, path: Path, attributes: Mapping[str, str] = MappingProxyType({}), *, fresh: bool = False
) -> None:
    """Make the store that a plan will fill.

    Args:
        plan: the plan.
        path: the store's folder.
        attributes: further attributes of the store, in addition to provenance and counts.
        fresh: move an existing store away.

    Raises:
        SweepError: if the store can't be written.
    """
    counts = {**asdict(Tally()), "lane_steps_planned": plan.lane_steps()}
    described = {**attributes, **provenance(plan), **counts, "complete": False}
    stores.create(path, lay_out_store(plan), plan.chunk_lanes, described, fresh=fresh)


def lay_out_store(plan: Plan) -> xr.Dataset:
    """Lay out the Dataset that a plan will fill: its coordinates have values, its variables are NaN."""
    steps = np.concatenate(plan.steps, axis=1)
    trainings = [block.training for block, _ in plan.blocks()]
    flat = skeleton(
        plan.experiment,
        plan.resolved.columns,
        order=plan.order(),
        epochs=plan.epochs,
        steps=steps[:, 0] if (steps == steps[:, :1]).all() else None,
        snapshots=plan.snapshots,
        quantities=list({q.name: q for training in trainings for q in training.quantities()}.values()),
        constants=list({q.name: q for training in trainings for q in training.constants()}.values()),
        sizes=dimension_values(plan),
    )
    return flat if plan.keep == "nothing" else with_networks(flat, _networks(plan), plan.keep)


def _networks(plan: Plan) -> list[tuple[Arrays, np.ndarray]]:
    """Describe the networks of a plan, each with the numbers of its lanes."""
    with_state = plan.keep == "state"
    return [(Arrays(each.parameters, each.state if with_state else ()), each.members) for each in plan.networks]


def dimension_values(plan: Plan) -> dict[str, np.ndarray]:
    """Return the coordinates of the dimensions of quantities; where lengths differ, as of layers, the longest ones."""
    trainings = [block.training for block, _ in plan.blocks()]
    used = {
        dim
        for training in trainings
        for quantity in (*training.quantities(), *training.constants())
        for dim in quantity.dims
    }
    found: dict[str, np.ndarray] = {}
    for training in trainings:
        for dim, values in training.dimensions().items():
            if dim in used and len(values) > len(found.get(dim, ())):
                found[dim] = values
    return found
