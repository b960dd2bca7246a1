"""Training a wave segment by segment.

A segment ends at the next record or after about a second, whichever is first. Progress, writing, checkpoints and
stopping happen between segments, in the code that iterates over them.
"""

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import ceil
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from sweep.engine.blocks import Program
from sweep.engine.cost import step_seconds
from sweep.engine.plan import Plan, Wave
from sweep.engine.prepare import settings_of, translate_out_of_memory
from sweep.engine.program import NEVER
from sweep.engine.stopping import Cuts
from sweep.engine.wave import Position, WaveRunner

SEGMENT_SECONDS: Final = 1.0
GROWTH: Final = 8  # a segment takes at most this many times the steps of the one before


@dataclass(frozen=True)
class Segment:
    """A finished segment of a wave.

    Args:
        wave: its place in the plan.
        record: the record that the segment ended at, None between records.
        values: what was measured there, one array for each quantity and block, lanes first; NaN for lanes that
            have diverged or were cut, the last value for those that another rule has ended.
        constants: what is stored once for each lane, such as its target, block by block; with record 0 only.
        status: for each block its lanes' status.
        ended: for each block, the steps after which its lanes ended; `NEVER` for those that run.
        done: optimiser steps taken, for each block.
        executed: lane-steps executed in this segment, with those of padding lanes and repeated ones.
        seconds: time inside the program.
        position: a function that copies the state, for a checkpoint.
        finals: a function that gives what is kept of all lanes, see `WaveRunner.finals`; called after the last record.
        waits: whether the wave waits here, at a rung that has not been judged.
    """

    wave: int
    record: int | None
    values: list[dict[str, np.ndarray]]
    constants: list[dict[str, np.ndarray]]
    status: list[np.ndarray]
    ended: list[np.ndarray]
    done: np.ndarray
    executed: int
    seconds: float
    position: Callable[[], Position]
    finals: Callable[[], list[Any]]
    waits: bool


def walk_wave(
    plan: Plan, number: int, at: Position | None = None, cuts: Cuts = MappingProxyType({})
) -> Generator[Segment, None, None]:
    """Run one wave, segment by segment, to its end or to the first rung at which it has to wait for others.

    All work on arrays, up to the next segment and in copying the state, is done inside `settings_of`; nothing below
    enters it again. It is left at each yield, so that the settings do not reach the code that iterates.

    Args:
        plan: what to run.
        number: the wave's place in it.
        at: the position to continue from; None begins the wave.
        cuts: which lanes of the sweep are cut, for each rung of `Plan.rungs` that was judged.

    Yields:
        Each segment as it finishes.
    """
    segments = _segments(plan, number, at, cuts)
    while True:
        with translate_out_of_memory(), settings_of(plan):
            segment = next(segments, None)
        if segment is None:
            return
        copies = {name: _inside_settings(plan, getattr(segment, name)) for name in ("position", "finals")}
        yield replace(segment, **copies)


def _inside_settings(plan: Plan, copy: Callable[[], Any]) -> Callable[[], Any]:
    def copy_inside() -> Any:
        with settings_of(plan):
            return copy()

    return copy_inside


def _segments(plan: Plan, number: int, at: Position | None, cuts: Cuts) -> Iterator[Segment]:
    program, steps = plan.programs[plan.waves[number].program], plan.steps[plan.waves[number].program]
    first, unjudged = 0 if at is None else at.record, {*plan.rungs} - cuts.keys()
    runner, done = WaveRunner(plan, number, at, cuts), steps[0] if at is None else at.done
    pace = _Pace(program, plan.waves[number], plan.devices.platform, plan.devices.count)
    for record in range(first, 1 + min(unjudged, default=len(plan.epochs) - 1)):
        arrived = False
        while not arrived:
            target = pace.next_stop(done, steps[record])
            arrived = bool((target == steps[record]).all())
            begun = time.perf_counter()
            values, tried = runner.advance(done, target - done, arrived)
            seconds = time.perf_counter() - begun
            pace.learn(target - done, seconds)
            done = target
            full = runner.settle(values, done, record if arrived else None)
            runner.compact()
            yield Segment(
                wave=number,
                record=record if arrived else None,
                values=full,
                constants=runner.constants if record == 0 else [],
                status=[own.status.copy() for own in runner.lane_status],
                ended=[own.ended.copy() for own in runner.lane_status],
                done=done,
                executed=int(tried.sum(0, dtype=np.int64) @ [block.tile for block in program.blocks]),
                seconds=seconds,
                position=partial(runner.position, record + 1 if arrived else record, done),
                finals=runner.finals,
                waits=arrived and record in unjudged,
            )


class _Pace:
    """Learns how fast the program is, so that a segment takes about a second."""

    def __init__(self, program: Program, wave: Wave, platform: str, devices: int) -> None:
        of_lane = [step_seconds(block.training.cost(), platform) for block in program.blocks]
        self._weights = np.array(of_lane) * [len(chosen) for chosen in wave.chosen]
        self._factor = 1 / devices  # true seconds per estimated second
        self._most = 1  # steps at most: before anything was timed, an estimate can be wrong by far

    def learn(self, steps: np.ndarray, seconds: float) -> None:
        """Compare an estimate with the measured time."""
        estimated = float(self._weights @ steps)
        if estimated > 0:
            self._factor = seconds / estimated
            self._most = GROWTH * int(steps.max())

    def next_stop(self, done: np.ndarray, target: np.ndarray) -> np.ndarray:
        """Choose the steps at which to stop: `target`, or before it if that is more than a second away."""
        ahead = target - done
        seconds = float(self._weights @ ahead) * self._factor
        return done + -(-ahead // max(1, ceil(seconds / SEGMENT_SECONDS), ceil(ahead.max() / self._most)))


def ended_epochs(plan: Plan, segment: Segment, *statuses: int) -> np.ndarray:
    """Return the epochs at which a wave's lanes ended, in stored order; NaN for lanes of another status."""
    wave = plan.waves[segment.wave]
    epochs = np.full(len(wave.lanes), np.nan)
    blocks = plan.programs[wave.program].blocks
    for block, rows, status, ended in zip(blocks, wave.rows, segment.status, segment.ended, strict=True):
        epochs[rows] = np.where(np.isin(status, statuses), ended / block.training.steps_per_epoch, np.nan)
    return epochs


def living_steps(done: np.ndarray, ended: Sequence[np.ndarray]) -> int:
    """Count the steps of a wave's lanes up to their ends, without padding lanes.

    Args:
        done: optimiser steps taken, for each block.
        ended: for each block, the steps after which its lanes ended; `NEVER` for those that run.
    """
    steps = zip(done, ended, strict=True)
    return sum(int(np.where(ended == NEVER, done, np.minimum(ended, done)).sum()) for done, ended in steps)
