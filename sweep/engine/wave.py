"""One wave on the devices: its lanes' state and status, advanced segment by segment."""

from collections.abc import Hashable, Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any, Final

import jax
import numpy as np

from sweep.base.labels import CARRIED, CUT, DIVERGED, RUNNING, STOPPED
from sweep.engine.cost import step_seconds
from sweep.engine.keeping import Finals, part_of
from sweep.engine.plan import Plan
from sweep.engine.prepare import beginning_programs, names_of, settings_of, sharing_programs, training_program
from sweep.engine.program import (
    NEVER,
    Block,
    BlockArrays,
    lane_shapes,
    number_dtype,
    sharding,
    shared_by_key,
)
from sweep.engine.seats import Seats, kinds_of
from sweep.engine.stopping import Cuts, Memory, StoppingRule, remembered
from sweep.engine.training import Shared

WORTH_MOVING: Final = 0.05  # share of a block's tiles that must become free before lanes are moved


@dataclass
class LaneStatus:
    """The status of a block's lanes in a wave.

    Args:
        status: RUNNING, or how each lane has ended.
        ended: number of steps after which it ended; `NEVER` while it runs.
        last: values of the last record, if lanes that the page's rule has ended repeat them.
    """

    status: np.ndarray
    ended: np.ndarray
    last: dict[str, np.ndarray]

    def is_of(self, lanes: int) -> bool:
        """Tell whether all arrays have this many lanes."""
        return all(len(values) == lanes for values in (self.status, self.ended, *self.last.values()))

    def end(self, lanes: np.ndarray, status: int, steps: Any) -> None:
        """Record that some lanes have ended."""
        self.status[lanes], self.ended[lanes] = status, steps


@dataclass(frozen=True)
class Position:
    """The position of a wave in its training: all that is needed to continue.

    Args:
        wave: its place in the plan.
        record: the next record to measure.
        start: place of the wave's first lane in the store.
        done: optimiser steps taken, for each block.
        lane_status: the status of each block's lanes.
        memory: what the page's rules remember of the wave's lanes.
        seated: for each block, which of its lanes are on the devices.
        leaves: the arrays of the seated lanes' state, lanes first, block by block in the order of the pytree.
        finals: for each block, what is kept of its lanes that have ended.
    """

    wave: int
    record: int
    start: int
    done: np.ndarray
    lane_status: list[LaneStatus]
    memory: Memory
    seated: list[np.ndarray]
    leaves: list[np.ndarray]
    finals: list[Finals]

    def arrays(self) -> dict[str, np.ndarray]:
        """Return everything as named arrays, as a checkpoint holds them."""
        found = {"place": np.array([self.wave, self.record, self.start]), "done": self.done}
        for at, (own_status, seated) in enumerate(zip(self.lane_status, self.seated, strict=True)):
            found |= {f"{at}/status": own_status.status, f"{at}/ended": own_status.ended, f"{at}/seated": seated}
            found |= {f"{at}/last/{name}": values for name, values in own_status.last.items()}
            found[f"{at}/final"] = self.finals[at].lanes
            found |= {f"{at}/final/{number:05d}": leaf for number, leaf in enumerate(self.finals[at].leaves)}
        found |= {f"memory/{name}": values for name, values in self.memory.items()}
        return found | {f"leaf/{at:05d}": leaf for at, leaf in enumerate(self.leaves)}

    def fits(self, plan: Plan) -> bool:
        """Tell whether a plan has this wave, with a state of the same arrays; another version may have other ones."""
        if self.wave >= len(plan.waves) or plan.waves[self.wave].start != self.start:
            return False
        wave = plan.waves[self.wave]
        program = plan.programs[wave.program]
        with settings_of(plan):
            named = zip(program.blocks, names_of(program), strict=True)
            described = [lane_shapes(block, names)[0].lanes for block, names in named]
            kept = [_kept_leaves(plan, *each) for each in zip(program.blocks, described, strict=True)]
        wanted = [
            ((len(seated), *leaf.shape), leaf.dtype)
            for lanes, seated in zip(described, self.seated, strict=False)
            for leaf in jax.tree.leaves(lanes)
        ]
        held = [(leaf.shape, leaf.dtype) for leaf in self.leaves]
        sizes = [len(chosen) for chosen in wave.chosen]
        parts = zip(self.lane_status, self.seated, self.finals, sizes, kept, strict=False)
        known = remembered(plan.experiment.rules()) if self.record else set()
        return (
            len(self.lane_status) == len(self.seated) == len(sizes) == self.done.size
            and all(
                own_status.is_of(size) and _are_places(seated, size) and _are_finals(finals, size, leaves)
                for own_status, seated, finals, size, leaves in parts
            )
            and known == self.memory.keys()
            and all(len(values) == len(wave.lanes) for values in self.memory.values())
            and held == wanted
        )

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "Position":
        """Make a position from the arrays of `arrays`.

        Raises:
            KeyError: if one is missing.
        """
        wave, record, start = arrays["place"].tolist()
        blocks = range(len(arrays["done"]))
        lane_status = [
            LaneStatus(
                arrays[f"{at}/status"],
                arrays[f"{at}/ended"],
                {name.split("/", 2)[2]: values for name, values in arrays.items() if name.startswith(f"{at}/last/")},
            )
            for at in blocks
        ]
        memory = {name.removeprefix("memory/"): arrays[name] for name in arrays if name.startswith("memory/")}
        seated = [arrays[f"{at}/seated"] for at in blocks]
        leaves = [arrays[name] for name in sorted(arrays) if name.startswith("leaf/")]
        finals = [
            Finals(
                arrays.get(f"{at}/final", np.empty(0, np.int64)),  # a checkpoint of an older store has none
                [arrays[name] for name in sorted(arrays) if name.startswith(f"{at}/final/")],
            )
            for at in blocks
        ]
        return cls(wave, record, start, arrays["done"], lane_status, memory, seated, leaves, finals)


class WaveRunner:
    """The lanes of a wave on the devices, and their status on the host.

    Args:
        plan: the plan.
        number: the wave's place in it.
        at: the position to continue from; None begins the wave.
        cuts: which lanes of the sweep are cut at the rungs that were judged; only used where waves wait at rungs.
    """

    def __init__(self, plan: Plan, number: int, at: Position | None, cuts: Cuts = MappingProxyType({})) -> None:
        self._plan, self._number, self._devices = plan, number, plan.devices.live()
        self._wave = plan.waves[number]
        self._program = plan.programs[self._wave.program]
        sizes = [len(chosen) for chosen in self._wave.chosen]
        self.lane_status = [_running_lanes(size) for size in sizes] if at is None else deepcopy(at.lane_status)
        self._finals = [Finals.none() for _ in sizes] if at is None else deepcopy(at.finals)
        own = [np.arange(size) for size in sizes] if at is None else at.seated
        self._seats: list[Seats] = []
        for block, numbers, chosen, lanes in zip(
            self._program.blocks, self._program.numbers, self._wave.chosen, own, strict=True
        ):
            kinds = kinds_of(block, {name: values[chosen[lanes]] for name, values in numbers.items()})
            self._seats.append(Seats(block, lanes, kinds, self._devices, self._least_loaded(self._seats)))
        page, own_lanes, judged = plan.experiment, self._wave.lanes, cuts if plan.rungs else None
        self._rules = [
            StoppingRule(rule, str(number), plan.epochs, plan.lanes, own_lanes, page.better(rule.metric), judged)
            for number, rule in enumerate(page.rules())
        ]
        self._memory: Memory = {} if at is None else at.memory
        self._shared: dict[Hashable, Shared] = {}
        self._arrays = [self._begin(block) for block in range(len(sizes))]
        if at is not None:
            self._restore(at.leaves)
        self.constants = self._constants() if at is None or at.record == 0 else []
        self._count_live_tiles()
        if at is not None and judged and at.record - 1 in judged:
            self._cut_waiting(at.record - 1, judged)

    def _begin(self, at: int) -> BlockArrays:
        """Draw data and initial parameters of a block's seated lanes, on the devices."""
        block, seats = self._program.blocks[at], self._seats[at]
        chosen = self._wave.chosen[at][seats.lanes]
        with np.errstate(over="ignore"):  # a number too large for this precision becomes infinite, and its lane is lost
            numbers = {
                name: seats.put(values[chosen].astype(number_dtype(name, block.training)))
                for name, values in self._program.numbers[at].items()
            }
        shared = self._share(at)
        lanes, data = beginning_programs(self._program, self._plan)[at](numbers, shared)
        return BlockArrays(lanes, data, numbers, shared)

    def _share(self, at: int) -> Shared:
        """Return what a block's lanes have in common, which several blocks may share."""
        block = self._program.blocks[at]
        key = block.training.shared_by
        if key is None:
            return ()
        if key not in self._shared:
            numbers = self._program.numbers[at].items()
            first = {name: values[0].astype(number_dtype(name, block.training)) for name, values in numbers}
            self._shared[key] = sharing_programs(self._program, self._plan)[key](block.training.arrays(), first)
        return self._shared[key]

    def _restore(self, leaves: list[np.ndarray]) -> None:
        """Replace the initial state by a saved one."""
        given = iter(leaves)
        for at, (seats, arrays) in enumerate(zip(self._seats, self._arrays, strict=True)):
            structure = jax.tree.structure(arrays.lanes)
            own = [seats.put(next(given)) for _ in range(structure.num_leaves)]
            self._arrays[at] = arrays._replace(lanes=jax.tree.unflatten(structure, own))

    def _constants(self) -> list[dict[str, np.ndarray]]:
        """Copy from the devices what is stored once for each lane."""
        return [
            seats.take(seats.block.training.constant_values(arrays.data, arrays.shared, arrays.numbers))
            for seats, arrays in zip(self._seats, self._arrays, strict=True)
        ]

    def _cut_waiting(self, record: int, cuts: Cuts) -> None:
        """End the lanes that were cut at a rung while the wave waited there; what passed it before has none left."""
        steps = self._plan.steps[self._wave.program][record]
        for at, (rows, own_status) in enumerate(zip(self._wave.rows, self.lane_status, strict=True)):
            cut = cuts[record][self._wave.lanes[rows]]
            own_status.end(cut & (own_status.status == RUNNING), CUT, steps[at])
            self._keep_ended(at)
        self.compact()

    def _least_loaded(self, others: Iterable[Seats]) -> int:
        """Return the device with the least work for the tiles of other blocks."""
        platform = self._plan.devices.platform
        load = [each.live * each.block.tile * step_seconds(each.block.training.cost(), platform) for each in others]
        return int(np.argmin(np.sum(load, axis=0))) if load else 0

    def _count_live_tiles(self) -> None:
        counts = np.stack([seats.live for seats in self._seats], 1).astype(np.int32)
        self._live = jax.device_put(counts, sharding(self._devices))

    def advance(
        self, done: np.ndarray, steps: np.ndarray, at_record: bool
    ) -> tuple[list[dict[str, np.ndarray]], np.ndarray]:
        """Run the program; return the values that it measured, and the number of steps that tiles executed."""
        lanes, data, numbers, shared = (list(part) for part in zip(*self._arrays, strict=True))
        run = training_program(self._program, self._plan)
        lanes, values, tried = run(
            lanes, data, numbers, shared_by_key(self._program.blocks, shared),
            done.astype(np.int32), steps.astype(np.int32), self._live, np.bool_(at_record),
        )  # fmt: skip
        jax.block_until_ready(values)
        self._arrays = [arrays._replace(lanes=own) for arrays, own in zip(self._arrays, lanes, strict=True)]
        return values, np.asarray(tried)

    def settle(self, values: list[Any], done: np.ndarray, record: int | None) -> list[dict[str, np.ndarray]]:
        """Record which lanes diverged or were ended by the page's rule; return a record's values for all lanes."""
        for seats, own_status, arrays in zip(self._seats, self.lane_status, self._arrays, strict=True):
            bad = np.full(len(own_status.status), NEVER)
            bad[seats.lanes] = seats.take(arrays.lanes.first_bad_step)
            lost = (own_status.status == RUNNING) & (bad != NEVER)
            own_status.end(lost, DIVERGED, bad[lost])
        if record is None:
            return []
        full = [
            {name: _for_all(seats, own_status, name, seats.take(value)) for name, value in own.items()}
            for seats, own_status, own in zip(self._seats, self.lane_status, values, strict=True)
        ]
        for rule in self._rules:
            self._end_by_rule(rule, full, done, record)
        if self._rules:
            for block in range(len(self._seats)):
                self._keep_ended(block)
        return full

    def _end_by_rule(
        self, rule: StoppingRule, full: list[dict[str, np.ndarray]], done: np.ndarray, record: int
    ) -> None:
        """End the lanes that one of the page's rules ends at this record."""
        metric, running = np.empty(len(self._wave.lanes)), np.empty(len(self._wave.lanes), bool)
        for rows, own_status, values in zip(self._wave.rows, self.lane_status, full, strict=True):
            metric[rows], running[rows] = values[rule.metric()], own_status.status == RUNNING
        verdict, self._memory = rule.new_status(record, metric, running, self._memory)
        for rows, own_status, values, steps in zip(self._wave.rows, self.lane_status, full, done, strict=True):
            for status in STOPPED:
                own_status.end(verdict[rows] == status, status, steps)
            own_status.last = values if rule.carries() else {}

    def _keep_ended(self, at: int) -> None:
        """Copy what is kept of the lanes of a block that have ended: they may be trained on, and leave their seats."""
        seats, finals = self._seats[at], self._finals[at]
        ended = self.lane_status[at].status[seats.lanes] != RUNNING
        new = ended & ~np.isin(seats.lanes, finals.lanes)
        if self._plan.keep != "nothing" and new.any():
            finals.add(seats.lanes[new], [leaf[new] for leaf in jax.tree.leaves(self._seated_part(at))])

    def _seated_part(self, at: int) -> Any:
        """Copy from the devices what is kept of the seated lanes of a block."""
        seats = self._seats[at]
        return seats.take(part_of(seats.block, self._plan.keep, self._arrays[at].lanes.state))

    def finals(self) -> list[Any]:
        """Give what is kept of all lanes, block by block, lanes first, as they are now or as they ended."""
        return [
            finals.with_seated(seats.lanes, self._seated_part(at), len(self.lane_status[at].status))
            for at, (seats, finals) in enumerate(zip(self._seats, self._finals, strict=True))
        ]

    def compact(self) -> None:
        """Move the running lanes into fewer tiles, if that frees enough of them."""
        moved = False
        for at, (seats, own_status) in enumerate(zip(self._seats, self.lane_status, strict=True)):
            running = own_status.status[seats.lanes] == RUNNING
            saved = seats.tiles - seats.count_if(running)
            if saved > WORTH_MOVING * seats.tiles:
                self._keep_ended(at)
                others = self._seats[:at] + self._seats[at + 1 :]
                lanes, data, numbers, shared = self._arrays[at]
                own = (lanes, data, numbers)
                self._seats[at], own = seats.move(own, running, self._least_loaded(others))
                self._arrays[at] = BlockArrays(own[0], own[1], own[2], shared)
                moved = True
        if moved:
            self._count_live_tiles()

    def position(self, record: int, done: np.ndarray) -> Position:
        """Copy the state, for a checkpoint."""
        leaves = [
            leaf
            for seats, arrays in zip(self._seats, self._arrays, strict=True)
            for leaf in jax.tree.leaves(seats.take(arrays.lanes))
        ]  # fmt: skip
        seated = [seats.lanes for seats in self._seats]
        status, finals = deepcopy(self.lane_status), deepcopy(self._finals)
        return Position(self._number, record, self._wave.start, done, status, self._memory, seated, leaves, finals)

    def set_parameters(self, parameters: list[Any]) -> None:
        """Replace the parameters of the seated lanes.

        Args:
            parameters: for each block, a pytree of arrays, lanes first.
        """
        for at, (seats, arrays, own) in enumerate(zip(self._seats, self._arrays, parameters, strict=True)):
            state = seats.block.training.with_parameters(arrays.lanes.state, jax.tree.map(seats.put, own))
            self._arrays[at] = arrays._replace(lanes=arrays.lanes._replace(state=state))

    def one_lane(self, at: int) -> BlockArrays:
        """Copy the arrays of a block's first seated lane from the devices."""
        lanes, data, numbers, shared = self._arrays[at]
        first = jax.tree.map(lambda leaf: leaf[0], self.take(at, (lanes, data, numbers)))
        return BlockArrays(first[0], first[1], first[2], shared)

    def take(self, at: int, values: Any) -> Any:
        """Copy values of a block's seated lanes from the devices, lanes first."""
        return self._seats[at].take(values)


def _are_places(seated: np.ndarray, lanes: int) -> bool:
    """Tell whether these are distinct numbers of lanes, out of so many lanes."""
    return len(np.unique(seated)) == len(seated) and bool(np.isin(seated, np.arange(lanes)).all())


def _kept_leaves(plan: Plan, block: Block, lanes: Any) -> list[Any]:
    """Describe the arrays that are kept of one lane of a block."""
    if plan.keep == "nothing":
        return []
    return jax.tree.leaves(jax.eval_shape(partial(part_of, block, plan.keep), lanes.state))


def _are_finals(finals: Finals, lanes: int, leaves: list[Any]) -> bool:
    """Tell whether these are arrays of the described shapes, of some out of so many lanes."""
    wanted = [((len(finals.lanes), *leaf.shape), leaf.dtype) for leaf in leaves] if len(finals.lanes) else []
    return _are_places(finals.lanes, lanes) and [(leaf.shape, leaf.dtype) for leaf in finals.leaves] == wanted


def _running_lanes(size: int) -> LaneStatus:
    return LaneStatus(np.full(size, RUNNING, np.int8), np.full(size, NEVER), {})


def _for_all(seats: Seats, own_status: LaneStatus, name: str, measured: np.ndarray) -> np.ndarray:
    """Return a quantity for all lanes of a block, also those that have ended and left the devices."""
    full = np.full((len(own_status.status), *measured.shape[1:]), np.nan, measured.dtype)
    full[seats.lanes] = measured
    full[own_status.status == CUT] = np.nan
    if name in own_status.last:
        carried = np.isin(own_status.status, CARRIED)
        full[carried] = own_status.last[name][carried]
    return full
