"""Writing the trained networks of a wave that has ended: each lane's own, in the parts of chunks that some lane has."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

import jax
import numpy as np

from sweep.engine.keeping import groups, parameter_rows, state_rows
from sweep.engine.plan import Plan
from sweep.results.store import Store

FILLS: Final = {"parameters": np.nan, "training_state": 0}  # what follows the end of a row
Rows = list[tuple[np.ndarray, np.ndarray]]  # of some lanes: their places in the wave, and a row for each


def write_networks(plan: Plan, number: int, store: Store, finals: Sequence[Any]) -> None:
    """Write what a plan keeps of the ends of a wave's lanes.

    Args:
        plan: the plan.
        number: number of the wave in the plan.
        store: the store to write to.
        finals: what `Segment.finals` gives.
    """
    parameters, states = [], []
    for places, rows, state in _rows(plan, number, finals):
        parameters.append((places, rows))
        states += [] if state is None else [(places, state)]
    wave = plan.waves[number]
    write_rows(store, "parameters", wave.start, wave.places, parameters)
    if states:
        write_rows(store, "training_state", wave.start, wave.places, states)


def _rows(plan: Plan, number: int, finals: Sequence[Any]) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray | None]]:
    """Yield lanes of one network: their places in the wave, the rows of their parameters, and those of their states."""
    wave = plan.waves[number]
    program = plan.programs[wave.program]
    parts = zip(program.blocks, program.numbers, wave.chosen, wave.rows, finals, strict=True)
    for block, numbers, chosen, places, kept in parts:
        here = {name: values[chosen] for name, values in numbers.items()}
        for group, sizes in groups(block, here, len(chosen)):
            own = jax.tree.map(lambda leaf, group=group: leaf[group], kept)
            if plan.keep == "state":
                yield places[group], parameter_rows(block, block.training.parameters(own), sizes), state_rows(own)
            else:
                yield places[group], parameter_rows(block, own, sizes), None


def write_rows(store: Store, name: str, start: int, places: int, parts: Rows) -> None:
    """Write rows of networks of a wave chunk by chunk; chunks that no row reaches are left out.

    Args:
        store: the store to write to.
        name: the array.
        start: place of the wave's first lane.
        places: number of its places.
        parts: of some lanes at a time their places in the wave, and their rows.
    """
    (_, entries), (lanes, width) = store.layout(name)
    for first in range(0, places, lanes):
        inside = [(at[here] - first, rows[here]) for at, rows in parts if (here := at // lanes == first // lanes).any()]
        longest = max((rows.shape[1] for _, rows in inside), default=0)
        for begin in range(0, longest, width):
            values = np.full((lanes, min(width, entries - begin)), FILLS[name], parts[0][1].dtype)
            for at, rows in inside:
                part = rows[:, begin : begin + width]
                values[at, : part.shape[1]] = part
            store.write_part(name, start + first, begin, values)
