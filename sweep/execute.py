"""Executing a plan: compile, begin each wave, and walk it segment by segment.

A segment ends at the next record or after about a second, whichever is first. Everything that must happen
now and then (progress, streaming, checkpoints, stopping) happens between segments, in whoever iterates.
"""

import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from math import ceil
from typing import Any, Final

import jax
import numpy as np

from sweep import train
from sweep.cost import step_seconds
from sweep.plan import Plan, Program, Wave
from sweep.train import NEVER, Block

SEGMENT_SECONDS: Final = 1.0
GROWTH: Final = 8  # a segment takes at most this many times the steps of the one before
WAIT_SECONDS: Final = 0.1  # how often a wait for the compiler looks whether it should stop


@dataclass(frozen=True)
class Position:
    """Where a wave stands: enough to go on from there.

    Args:
        wave: its place in the plan.
        record: the next record to measure.
        done: optimiser steps taken, for each block.
        leaves: the arrays of its lanes' state, lanes first, block by block in the order of the pytree.
    """

    wave: int
    record: int
    done: np.ndarray
    leaves: list[np.ndarray]


@dataclass(frozen=True)
class Finished:
    """One finished segment of a wave.

    Args:
        wave: its place in the plan.
        record: the record that the segment ended at, None between records.
        values: what was measured there, one array for each quantity and block, lanes first.
        targets: noiseless target over x, block by block, with record 0 only.
        first_bad_step: for each block, steps after which lanes were no longer finite; `NEVER` for the others.
        done: optimiser steps taken, for each block.
        executed: lane-steps executed in this segment, those of padding lanes included.
        seconds: time inside the program.
        position: takes a copy of the state, to go on from later.
    """

    wave: int
    record: int | None
    values: list[dict[str, np.ndarray]]
    targets: list[np.ndarray] | None
    first_bad_step: list[np.ndarray]
    done: np.ndarray
    executed: int
    seconds: float
    position: Callable[[], Position]


@contextmanager
def numerics(plan: Plan) -> Iterator[None]:
    """Compute in the precision that the page asks for, and never in a shortened one on accelerators."""
    with ExitStack() as stack:
        stack.enter_context(jax.enable_x64(plan.experiment.precision == "float64"))
        if plan.devices[0].platform != "cpu":
            stack.enter_context(jax.default_matmul_precision("highest"))
        yield


def prepare(plan: Plan, obey: Callable[[], None] = lambda: None) -> float:
    """Compile what a plan needs, once in a process.

    The programs that begin lanes are compiled beside the training program, in threads of their own, so that
    two cores are at work and `obey` is asked meanwhile.

    Args:
        plan: what to prepare.
        obey: raises to stop waiting.

    Returns:
        Seconds spent.
    """
    begun = time.perf_counter()
    errors: list[BaseException] = []

    def run(job: Callable[[], Any]) -> None:
        try:
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
    return time.perf_counter() - begun


def _names(program: Program) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(numbers) for numbers in program.numbers)


def _training(program: Program, plan: Plan) -> Any:
    with numerics(plan):  # `walk` may be called without `prepare`
        return train.compiled(program.blocks, _names(program), plan.devices)


def _beginnings(program: Program, plan: Plan) -> list[Any]:
    named = zip(program.blocks, _names(program), strict=True)
    with numerics(plan):
        return [train.compiled_beginning(block, names, plan.devices) for block, names in named]


def walk(plan: Plan, *, skip: Collection[int] = (), resume: Position | None = None) -> Iterator[Finished]:
    """Run a plan wave by wave, segment by segment.

    Args:
        plan: what to run.
        skip: waves that are done already.
        resume: where the first wave that is run had come to.

    Yields:
        Each segment as it finishes.
    """
    for number, wave in enumerate(plan.waves):
        if number not in skip:
            at = resume if resume is not None and resume.wave == number else None
            yield from _walk_wave(plan, number, wave, at)


def _walk_wave(plan: Plan, number: int, wave: Wave, at: Position | None) -> Iterator[Finished]:
    program, devices = plan.programs[wave.program], plan.devices
    seats = [_Seats(b, len(c), len(devices)) for b, c in zip(program.blocks, wave.chosen, strict=True)]
    with numerics(plan):  # never across a yield: the setting would leak into whoever iterates
        lanes, data, numbers = _begin(program, wave, seats, plan)
        if at is not None:
            lanes = _put_back(lanes, seats, at.leaves, devices)
    targets = [seat.taken(_target(d)) for seat, d in zip(seats, data, strict=True)] if _shows_x(data) else None
    live = jax.device_put(np.stack([seat.live for seat in seats], 1).astype(np.int32), train.sharding(devices))
    run, steps = _training(program, plan), plan.steps[wave.program]
    done = steps[0] if at is None else at.done
    pace = _Pace(program, wave, devices[0].platform, len(devices))
    for record in range(0 if at is None else at.record, len(plan.epochs)):
        arrived = False
        while not arrived:
            target = pace.next_stop(done, steps[record])
            begun = time.perf_counter()
            arrived = bool((target == steps[record]).all())
            start, taken = done.astype(np.int32), (target - done).astype(np.int32)
            with numerics(plan):
                lanes, values = run(lanes, data, numbers, start, taken, live, np.bool_(arrived))
            jax.block_until_ready(values)
            seconds = time.perf_counter() - begun
            pace.learn(target - done, seconds)
            executed = sum(int(s * seat.running()) for s, seat in zip(target - done, seats, strict=True))
            done = target
            following = record + 1 if arrived else record
            yield Finished(
                wave=number,
                record=record if arrived else None,
                values=[seat.taken(v) for seat, v in zip(seats, values, strict=True)] if arrived else [],
                targets=targets if record == 0 else None,
                first_bad_step=[seat.taken(lane.first_bad_step) for seat, lane in zip(seats, lanes, strict=True)],
                done=done,
                executed=executed,
                seconds=seconds,
                position=_copier(number, following, done, seats, lanes),
            )


def _begin(program: Program, wave: Wave, seats: list["_Seats"], plan: Plan) -> tuple[list, list, list]:
    """Draw data and initial parameters of a wave's lanes, on the devices."""
    lanes, data, numbers = [], [], []
    parts = zip(_beginnings(program, plan), program.blocks, program.numbers, wave.chosen, seats, strict=True)
    for begin, block, columns, chosen, seat in parts:
        own = {
            name: seat.seated(values[chosen].astype(train.number_dtype(name, block.shape)), plan.devices)
            for name, values in columns.items()
        }
        lane, datum = begin(own)
        lanes.append(lane)
        data.append(datum)
        numbers.append(own)
    return lanes, data, numbers


def _target(data: Any) -> Any:
    return data.clean if data.x_clean is None else data.x_clean


def _shows_x(data: list[Any]) -> bool:
    return all(datum.points.shape[-2] == 1 for datum in data)


def _copier(
    wave: int, record: int, done: np.ndarray, seats: list["_Seats"], lanes: list[Any]
) -> Callable[[], Position]:
    def position() -> Position:
        leaves = [
            leaf
            for seat, lane in zip(seats, lanes, strict=True)
            for leaf in jax.tree.leaves(seat.taken(lane))
        ]  # fmt: skip
        return Position(wave, record, done, leaves)

    return position


def _put_back(lanes: list[Any], seats: list["_Seats"], leaves: list[np.ndarray], devices: Any) -> list[Any]:
    """Put saved state in the place of the state that lanes began with."""
    given, restored = iter(leaves), []
    for seat, lane in zip(seats, lanes, strict=True):
        structure = jax.tree.structure(lane)
        own = [seat.seated(next(given), devices) for _ in range(structure.num_leaves)]
        restored.append(jax.tree.unflatten(structure, own))
    return restored


class _Seats:
    """Where the lanes of a block sit: tiles are dealt out to devices in turn.

    Args:
        block: the block.
        lanes: how many of its lanes are in the wave.
        devices: how many devices there are.
    """

    def __init__(self, block: Block, lanes: int, devices: int) -> None:
        self.block, self.rows = block, devices * block.tiles
        tiles = ceil(lanes / block.tile)
        tile = np.arange(lanes) // block.tile
        self.tile = (tile % devices) * block.tiles + tile // devices
        self.place = np.arange(lanes) % block.tile
        self.live = np.array([(tiles - device + devices - 1) // devices for device in range(devices)])

    def running(self) -> int:
        """Count the lanes that the program advances, padding included."""
        return int(self.live.sum()) * self.block.tile

    def seated(self, values: np.ndarray, devices: Any) -> jax.Array:
        """Put one value for each lane onto the devices; empty seats repeat the first lane."""
        if len(values) == 0:
            values = np.zeros((1, *values.shape[1:]), values.dtype)
        full = np.broadcast_to(values[0], (self.rows, self.block.tile, *values.shape[1:])).copy()
        full[self.tile, self.place] = values[: len(self.tile)]
        return jax.device_put(full, train.sharding(devices))

    def taken(self, tree: Any) -> Any:
        """Take the lanes' values off the devices, as copies, in the lanes' order."""
        return jax.tree.map(lambda leaf: np.asarray(leaf)[self.tile, self.place], tree)


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


def first_bad_epoch(plan: Plan, piece: Finished) -> np.ndarray:
    """Date the failures of a wave's lanes in epochs, NaN for lanes that are finite, in stored order."""
    wave = plan.waves[piece.wave]
    epochs = np.full(len(wave.lanes), np.nan)
    blocks = plan.programs[wave.program].blocks
    for block, rows, steps in zip(blocks, wave.rows, piece.first_bad_step, strict=True):
        epochs[rows] = np.where(steps == NEVER, np.nan, steps / block.shape.steps_per_epoch())
    return epochs


def living_steps(piece: Finished) -> int:
    """Count the steps that a wave's real lanes have taken while they lived."""
    steps = zip(piece.done, piece.first_bad_step, strict=True)
    return sum(int(np.where(bad == NEVER, done, np.minimum(bad, done)).sum()) for done, bad in steps)
