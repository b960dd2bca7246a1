"""Where a wave stands at the end of a shorter training, from what its store holds, so that it can be trained on."""

from collections.abc import Mapping
from itertools import chain
from typing import Any

import jax
import numpy as np

from sweep.base.labels import FINISHED, RUNNING
from sweep.engine.keeping import Finals, part_of, states_of_rows
from sweep.engine.plan import Plan
from sweep.engine.prepare import settings_of
from sweep.engine.program import NEVER, Block, lane_shapes
from sweep.engine.stopping import Memory, note_improvements, remembered
from sweep.engine.wave import LaneStatus, Position
from sweep.page.specs.stop import Plateau
from sweep.results.dataset import TIME
from sweep.runs.curves import END_DATES

Arrays = Mapping[str, np.ndarray]


def position_after(plan: Plan, number: int, records: int, arrays: Arrays, states: np.ndarray) -> Position:
    """Give the position of a wave after the last record of a shorter training.

    Args:
        plan: the plan of the longer training.
        number: number of the wave in the plan.
        records: number of records of the shorter one.
        arrays: what its store holds of the wave's lanes, by variable, in stored order.
        states: the whole state of each lane at its end, as bytes.

    Returns:
        The position: lanes that have ended early stay as they are, all others go on.
    """
    wave = plan.waves[number]
    program, found = plan.programs[wave.program], []
    with settings_of(plan):
        for block, numbers, rows in zip(program.blocks, program.numbers, wave.rows, strict=True):
            own = {name: values[rows] for name, values in arrays.items()}
            found.append(_of_block(plan, block, tuple(numbers), records, own, states[rows]))
    status, seated, leaves, finals = (list(parts) for parts in zip(*found, strict=True))
    done = plan.steps[wave.program][records - 1]
    memory = _remember(plan, records, arrays)
    return Position(number, records, wave.start, done, status, memory, seated, [*chain(*leaves)], finals)


def _of_block(
    plan: Plan, block: Block, names: tuple[str, ...], records: int, arrays: Arrays, states: np.ndarray
) -> tuple[LaneStatus, np.ndarray, list[np.ndarray], Finals]:
    """Give the status of a block's lanes, those that go on with their arrays, and what is kept of the others."""
    ends = np.fmin.reduce([arrays[name] for name in END_DATES if name in arrays])
    goes_on = arrays["status"] == FINISHED
    ended = np.where(goes_on, NEVER, np.nan_to_num(ends * block.training.steps_per_epoch).round()).astype(np.int64)
    status = np.where(goes_on, RUNNING, arrays["status"]).astype(np.int8)
    seated, others = np.flatnonzero(goes_on), np.flatnonzero(~goes_on)
    leaves = states_of_rows(block, names, states)
    bad = np.full(len(seated), NEVER, np.int32)
    last = _last_values(plan, block, names, records, arrays) if plan.experiment.rules() else {}
    finals = Finals.none()
    if len(others) and plan.keep != "nothing":
        finals = Finals(others, [leaf[others] for leaf in _kept_leaves(plan, block, names, leaves)])
    return LaneStatus(status, ended, last), seated, [*(leaf[seated] for leaf in leaves), bad], finals


def _kept_leaves(plan: Plan, block: Block, names: tuple[str, ...], leaves: list[np.ndarray]) -> list[Any]:
    """Give the arrays that are kept of lanes, from those of their whole states."""
    structure = jax.tree.structure(lane_shapes(block, names)[0].lanes.state)
    return jax.tree.leaves(part_of(block, plan.keep, jax.tree.unflatten(structure, leaves)))


def _last_values(
    plan: Plan, block: Block, names: tuple[str, ...], records: int, arrays: Arrays
) -> dict[str, np.ndarray]:
    """Give the values of the last record, which lanes that a rule has ended repeat."""
    shapes, found = lane_shapes(block, names)[1], {}
    for quantity in block.training.quantities():
        if quantity.name not in arrays:  # predictions without snapshots
            continue
        last = np.count_nonzero(plan.snapshots < records) if quantity.name in TIME else records
        shape = shapes[quantity.name].shape
        found[quantity.name] = arrays[quantity.name][:, last - 1][(slice(None), *map(slice, shape))]
    return found


def _remember(plan: Plan, records: int, arrays: Arrays) -> Memory:
    """Give what the rules of the page remember of the records, by going through these again."""
    memory: dict[str, np.ndarray] = {}
    for name in remembered(plan.experiment.rules()):
        rule = plan.experiment.rules()[int(name)]
        assert isinstance(rule, Plateau)
        better = plan.experiment.better(rule.metric)
        for record in range(records):
            values = arrays[rule.metric][:, record].astype(float)
            epoch = float(plan.epochs[record])
            memory[name] = note_improvements(rule, epoch, values, memory.get(name), better)
    return memory
