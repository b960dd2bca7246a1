"""Executing a plan: compile, begin each wave, and walk it segment by segment.

A segment ends at the next record or after about a second, whichever is first. Everything that must happen
now and then (progress, streaming, checkpoints, stopping) happens between segments, in whoever iterates.
"""

import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import partial
from math import ceil
from typing import Any, Final

import jax
import numpy as np

from sweep.base.labels import CUT, DIVERGED, REACHED, RUNNING
from sweep.engine import train
from sweep.engine.cost import size_words, step_seconds
from sweep.engine.numerics import settled
from sweep.engine.plan import Plan, Program, Wave
from sweep.engine.seats import Seats
from sweep.engine.stopping import Judge
from sweep.engine.train import NEVER

SEGMENT_SECONDS: Final = 1.0
WORTH_MOVING: Final = 0.05  # share of a block's live tiles that must be saved before lanes change seats
GROWTH: Final = 8  # a segment takes at most this many times the steps of the one before
WAIT_SECONDS: Final = 0.1  # how often a wait for the compiler looks whether it should stop


@dataclass
class Fate:
    """How it goes with a block's lanes in a wave.

    Args:
        status: RUNNING, or how the lane has ended.
        ended: steps after which it had, `NEVER` for those that run.
        last: what the last record holds, where reached lanes have to carry it forward.
    """

    status: np.ndarray
    ended: np.ndarray
    last: dict[str, np.ndarray]

    def end(self, lanes: np.ndarray, status: int, steps: Any) -> None:
        """Note that some of the lanes have ended."""
        self.status[lanes], self.ended[lanes] = status, steps


@dataclass(frozen=True)
class Position:
    """Where a wave stands: enough to go on from there.

    Args:
        wave: its place in the plan.
        record: the next record to measure.
        start: place of the wave's first lane in the store.
        done: optimiser steps taken, for each block.
        fates: of each block's lanes.
        seated: for each block, which of its lanes are on the devices.
        leaves: the arrays of the seated lanes' state, lanes first, block by block in the order of the pytree.
    """

    wave: int
    record: int
    start: int
    done: np.ndarray
    fates: list[Fate]
    seated: list[np.ndarray]
    leaves: list[np.ndarray]

    def arrays(self) -> dict[str, np.ndarray]:
        """Give all of it as named arrays, as a checkpoint holds them."""
        found = {"place": np.array([self.wave, self.record, self.start]), "done": self.done}
        for at, (fate, seated) in enumerate(zip(self.fates, self.seated, strict=True)):
            found |= {f"{at}/status": fate.status, f"{at}/ended": fate.ended, f"{at}/seated": seated}
            found |= {f"{at}/last/{name}": values for name, values in fate.last.items()}
        return found | {f"leaf/{at:05d}": leaf for at, leaf in enumerate(self.leaves)}

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "Position":
        """Make a position of what `arrays` gave.

        Raises:
            KeyError: if something is missing.
        """
        wave, record, start = arrays["place"].tolist()
        blocks = range(len(arrays["done"]))
        fates = [
            Fate(
                arrays[f"{at}/status"],
                arrays[f"{at}/ended"],
                {name.split("/", 2)[2]: values for name, values in arrays.items() if name.startswith(f"{at}/last/")},
            )
            for at in blocks
        ]
        leaves = [arrays[name] for name in sorted(arrays) if name.startswith("leaf/")]
        return cls(wave, record, start, arrays["done"], fates, [arrays[f"{at}/seated"] for at in blocks], leaves)


@dataclass(frozen=True)
class Finished:
    """One finished segment of a wave.

    Args:
        wave: its place in the plan.
        record: the record that the segment ended at, None between records.
        values: what was measured there, one array for each quantity and block, lanes first; NaN for lanes that
            have diverged or were cut, the last value for those that have reached their target.
        targets: noiseless target over x, block by block, with record 0 only.
        status: for each block its lanes' status.
        ended: for each block, steps after which lanes ended; `NEVER` for those that run.
        done: optimiser steps taken, for each block.
        executed: lane-steps executed in this segment, those of padding lanes and repeated ones included.
        seconds: time inside the program.
        position: takes a copy of the state, to go on from later.
    """

    wave: int
    record: int | None
    values: list[dict[str, np.ndarray]]
    targets: list[np.ndarray] | None
    status: list[np.ndarray]
    ended: list[np.ndarray]
    done: np.ndarray
    executed: int
    seconds: float
    position: Callable[[], Position]


class OutOfMemoryError(Exception):
    """A wave does not fit into the memory of its devices, or takes more than its budget."""


@contextmanager
def _noticing_memory() -> Iterator[None]:
    """Turn the device's complaint about memory into `OutOfMemoryError`."""
    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        raise OutOfMemoryError("out of memory on the device") from error


def numerics(plan: Plan) -> AbstractContextManager[None]:
    """Compute in the precision that the page asks for."""
    return settled(plan.experiment.precision)


def prepare(plan: Plan, obey: Callable[[], None] = lambda: None) -> float:
    """Compile what a plan needs, once in a process.

    The programs that begin lanes are compiled beside the training program, in threads of their own, so that
    two cores are at work and `obey` is asked meanwhile.

    Args:
        plan: what to prepare.
        obey: raises to stop waiting.

    Returns:
        Seconds spent.

    Raises:
        OutOfMemoryError: if the compiled program takes more than the plan's budget.
    """
    begun = time.perf_counter()
    errors: list[BaseException] = []

    def run(job: Callable[[], Any]) -> None:
        try:
            with _noticing_memory(), numerics(plan):  # each thread has settings of its own
                job()
        except BaseException as error:
            errors.append(error)

    def beginnings() -> None:
        for program in plan.programs:
            _beginnings(program, plan)

    def trainings() -> None:
        for program in plan.programs:
            _training(program, plan)

    threads = [threading.Thread(target=run, args=(job,), daemon=True) for job in (trainings, beginnings)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        threads[0 if threads[0].is_alive() else 1].join(WAIT_SECONDS)
        obey()
    for error in errors:
        raise error
    taken = max(_taken_bytes(program, plan) for program in plan.programs)
    if taken > plan.memory:
        raise OutOfMemoryError(f"the program takes {size_words(taken)}, which is more than {size_words(plan.memory)}")
    return time.perf_counter() - begun


def _taken_bytes(program: Program, plan: Plan) -> int:
    """Ask the compiler what a program takes, on all devices together; 0 where it can't tell."""
    analysis = _training(program, plan).memory_analysis()
    if analysis is None:
        return 0
    fixed = analysis.argument_size_in_bytes + analysis.output_size_in_bytes - analysis.alias_size_in_bytes
    return (fixed + analysis.temp_size_in_bytes) * len(plan.devices)


def _names(program: Program) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(numbers) for numbers in program.numbers)


def _training(program: Program, plan: Plan) -> Any:
    return train.compiled(program.blocks, _names(program), plan.devices)


def _beginnings(program: Program, plan: Plan) -> list[Any]:
    named = zip(program.blocks, _names(program), strict=True)
    return [train.compiled_beginning(block, names, plan.devices) for block, names in named]


def walk(plan: Plan, *, skip: Collection[int] = (), resume: Position | None = None) -> Iterator[Finished]:
    """Run a plan wave by wave, segment by segment.

    Everything that is done with arrays, up to the next segment and in taking a copy of the state, is done inside
    `numerics`; nothing below enters it again. It is left at each yield, else it would leak into whoever iterates.

    Args:
        plan: what to run.
        skip: waves that are done already.
        resume: where the first wave that is run had come to.

    Yields:
        Each segment as it finishes.
    """
    segments = _segments(plan, skip, resume)
    while True:
        with _noticing_memory(), numerics(plan):
            piece = next(segments, None)
        if piece is None:
            return
        yield replace(piece, position=_inside_numerics(plan, piece.position))


def _inside_numerics(plan: Plan, position: Callable[[], Position]) -> Callable[[], Position]:
    def settled_position() -> Position:
        with numerics(plan):
            return position()

    return settled_position


def _segments(plan: Plan, skip: Collection[int], resume: Position | None) -> Iterator[Finished]:
    for number in range(len(plan.waves)):
        if number not in skip:
            at = resume if resume is not None and resume.wave == number else None
            yield from _walk_wave(plan, number, at)


def _walk_wave(plan: Plan, number: int, at: Position | None) -> Iterator[Finished]:
    program, steps = plan.programs[plan.waves[number].program], plan.steps[plan.waves[number].program]
    crew, done = _Crew(plan, number, at), steps[0] if at is None else at.done
    pace = _Pace(program, plan.waves[number], plan.devices[0].platform, len(plan.devices))
    for record in range(0 if at is None else at.record, len(plan.epochs)):
        arrived = False
        while not arrived:
            target = pace.next_stop(done, steps[record])
            arrived = bool((target == steps[record]).all())
            begun = time.perf_counter()
            values, tried = crew.advance(done, target - done, arrived)
            seconds = time.perf_counter() - begun
            pace.learn(target - done, seconds)
            done = target
            full = crew.settle(values, done, record if arrived else None)
            crew.close_ranks()
            yield Finished(
                wave=number,
                record=record if arrived else None,
                values=full,
                targets=crew.targets if record == 0 else None,
                status=[fate.status.copy() for fate in crew.fates],
                ended=[fate.ended.copy() for fate in crew.fates],
                done=done,
                executed=int(tried.sum(0, dtype=np.int64) @ [block.tile for block in program.blocks]),
                seconds=seconds,
                position=partial(crew.position, record + 1 if arrived else record, done),
            )


class _Crew:
    """The lanes of a wave on the devices, and what the host knows of them.

    Args:
        plan: the plan.
        number: the wave's place in it.
        at: where to go on from.
    """

    def __init__(self, plan: Plan, number: int, at: Position | None) -> None:
        self._plan, self._number = plan, number
        self._wave = plan.waves[number]
        self._program = plan.programs[self._wave.program]
        sizes = [len(chosen) for chosen in self._wave.chosen]
        self.fates = [_beginning(size) for size in sizes] if at is None else deepcopy(at.fates)
        own = [np.arange(size) for size in sizes] if at is None else at.seated
        self._seats: list[Seats] = []
        for block, lanes in zip(self._program.blocks, own, strict=True):
            self._seats.append(Seats(block, lanes, plan.devices, self._least_loaded(self._seats)))
        experiment = plan.experiment
        self._judge = Judge(experiment.stop, plan.epochs, plan.lanes, self._wave.lanes, better=experiment.stop_better())
        self._rooms = [self._begin(block) for block in range(len(sizes))]
        if at is not None:
            self._put_back(at.leaves)
        self.targets = self._target() if at is None or at.record == 0 else None
        self._seat_count()

    def _begin(self, at: int) -> train.Room:
        """Draw data and initial parameters of a block's seated lanes, on the devices."""
        block, seats = self._program.blocks[at], self._seats[at]
        chosen = self._wave.chosen[at][seats.lanes]
        with np.errstate(over="ignore"):  # a number that this precision can't hold is infinite, and its lane lost
            numbers = {
                name: seats.seated(values[chosen].astype(train.number_dtype(name, block.shape)))
                for name, values in self._program.numbers[at].items()
            }
        lanes, data = _beginnings(self._program, self._plan)[at](numbers)
        return train.Room(lanes, data, numbers)

    def _put_back(self, leaves: list[np.ndarray]) -> None:
        """Put saved state in the place of the state that lanes began with."""
        given = iter(leaves)
        for at, (seats, room) in enumerate(zip(self._seats, self._rooms, strict=True)):
            structure = jax.tree.structure(room.lanes)
            own = [seats.seated(next(given)) for _ in range(structure.num_leaves)]
            self._rooms[at] = room._replace(lanes=jax.tree.unflatten(structure, own))

    def _target(self) -> list[np.ndarray] | None:
        if any(own.block.shape.shown is None for own in self._seats):
            return None
        shown = [room.data.clean if room.data.x_clean is None else room.data.x_clean for room in self._rooms]
        return [seats.taken(own) for seats, own in zip(self._seats, shown, strict=True)]

    def _least_loaded(self, others: Iterable[Seats]) -> int:
        """Find the device that has least to do with the tiles of other blocks."""
        platform = self._plan.devices[0].platform
        load = [each.live * each.block.tile * step_seconds(each.block.shape, platform) for each in others]
        return int(np.argmin(np.sum(load, axis=0))) if load else 0

    def _seat_count(self) -> None:
        counts = np.stack([seats.live for seats in self._seats], 1).astype(np.int32)
        self._live = jax.device_put(counts, train.sharding(self._plan.devices))

    def advance(
        self, done: np.ndarray, steps: np.ndarray, at_record: bool
    ) -> tuple[list[dict[str, np.ndarray]], np.ndarray]:
        """Run the program; give what it measured of the seated lanes, and how many steps tiles have tried."""
        lanes, data, numbers = (list(part) for part in zip(*self._rooms, strict=True))
        run = _training(self._program, self._plan)
        lanes, values, tried = run(
            lanes, data, numbers, done.astype(np.int32), steps.astype(np.int32), self._live, np.bool_(at_record)
        )
        jax.block_until_ready(values)
        self._rooms = [room._replace(lanes=own) for room, own in zip(self._rooms, lanes, strict=True)]
        return values, np.asarray(tried)

    def settle(self, values: list[Any], done: np.ndarray, record: int | None) -> list[dict[str, np.ndarray]]:
        """Note who has diverged, reached the target or was cut; give a record's values for all lanes."""
        for seats, fate, room in zip(self._seats, self.fates, self._rooms, strict=True):
            bad = np.full(len(fate.status), NEVER)
            bad[seats.lanes] = seats.taken(room.lanes.first_bad_step)
            lost = (fate.status == RUNNING) & (bad != NEVER)
            fate.end(lost, DIVERGED, bad[lost])
        if record is None:
            return []
        full = [
            {name: _for_all(seats, fate, name, seats.taken(value)) for name, value in own.items()}
            for seats, fate, own in zip(self._seats, self.fates, values, strict=True)
        ]
        if self._judge.wanted():
            self._judged(full, done, record)
        return full

    def _judged(self, full: list[dict[str, np.ndarray]], done: np.ndarray, record: int) -> None:
        """End the lanes that the page's rule ends at this record."""
        metric, running = np.empty(len(self._wave.lanes)), np.empty(len(self._wave.lanes), bool)
        for rows, fate, values in zip(self._wave.rows, self.fates, full, strict=True):
            metric[rows], running[rows] = values[self._judge.metric()], fate.status == RUNNING
        verdict = self._judge.ended(record, metric, running)
        for rows, fate, values, steps in zip(self._wave.rows, self.fates, full, done, strict=True):
            for status in (REACHED, CUT):
                fate.end(verdict[rows] == status, status, steps)
            fate.last = values if self._judge.carries() else {}

    def close_ranks(self) -> None:
        """Take lanes that have ended out of their tiles, where enough of them make whole tiles."""
        moved = False
        for at, (seats, fate) in enumerate(zip(self._seats, self.fates, strict=True)):
            running = fate.status[seats.lanes] == RUNNING
            saved = seats.tiles - ceil(np.count_nonzero(running) / seats.block.tile)
            if saved > WORTH_MOVING * seats.tiles:
                others = self._seats[:at] + self._seats[at + 1 :]
                self._seats[at], room = seats.moved(self._rooms[at], running, self._least_loaded(others))
                self._rooms[at] = train.Room(*room)
                moved = True
        if moved:
            self._seat_count()

    def position(self, record: int, done: np.ndarray) -> Position:
        """Copy the state, to go on from later."""
        leaves = [
            leaf
            for seats, room in zip(self._seats, self._rooms, strict=True)
            for leaf in jax.tree.leaves(seats.taken(room.lanes))
        ]  # fmt: skip
        seated = [seats.lanes for seats in self._seats]
        return Position(self._number, record, self._wave.start, done, deepcopy(self.fates), seated, leaves)


def _beginning(size: int) -> Fate:
    return Fate(np.full(size, RUNNING, np.int8), np.full(size, NEVER), {})


def _for_all(seats: Seats, fate: Fate, name: str, measured: np.ndarray) -> np.ndarray:
    """Give a quantity for all lanes of a block, those that have left their seats too."""
    full = np.full((len(fate.status), *measured.shape[1:]), np.nan, measured.dtype)
    full[seats.lanes] = measured
    full[fate.status == CUT] = np.nan
    if name in fate.last:
        reached = fate.status == REACHED
        full[reached] = fate.last[name][reached]
    return full


class _Pace:
    """Learns how fast the program is, so as to stop about every second."""

    def __init__(self, program: Program, wave: Wave, platform: str, devices: int) -> None:
        self._weights = np.array(
            [step_seconds(b.shape, platform) * len(c) for b, c in zip(program.blocks, wave.chosen, strict=True)]
        )
        self._factor = 1 / devices  # of true seconds to estimated ones
        self._most = 1  # steps that are dared: an estimate may be far off before anything was timed

    def learn(self, steps: np.ndarray, seconds: float) -> None:
        """Compare an estimate with what it took."""
        estimated = float(self._weights @ steps)
        if estimated > 0:
            self._factor = seconds / estimated
            self._most = GROWTH * int(steps.max())

    def next_stop(self, done: np.ndarray, target: np.ndarray) -> np.ndarray:
        """Choose the steps at which to stop: `target`, or before it if that is more than a second away."""
        ahead = target - done
        seconds = float(self._weights @ ahead) * self._factor
        return done + -(-ahead // max(1, ceil(seconds / SEGMENT_SECONDS), ceil(ahead.max() / self._most)))


def ended_epochs(plan: Plan, piece: Finished, *statuses: int) -> np.ndarray:
    """Date the ends of a wave's lanes in epochs, NaN for lanes of another status, in stored order."""
    wave = plan.waves[piece.wave]
    epochs = np.full(len(wave.lanes), np.nan)
    blocks = plan.programs[wave.program].blocks
    for block, rows, status, ended in zip(blocks, wave.rows, piece.status, piece.ended, strict=True):
        epochs[rows] = np.where(np.isin(status, statuses), ended / block.shape.steps_per_epoch(), np.nan)
    return epochs


def living_steps(piece: Finished) -> int:
    """Count the steps that a wave's real lanes have taken while they lived."""
    steps = zip(piece.done, piece.ended, strict=True)
    return sum(int(np.where(ended == NEVER, done, np.minimum(ended, done)).sum()) for done, ended in steps)
