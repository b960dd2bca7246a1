"""Estimates of how long compiling and training take, from the operations of a plan's functions.

They are shown by `--plan` and decide nothing: no bit of a result depends on them.
"""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import jax
import numpy as np

from sweep.engine.operations import GUESSED, RATES, Operations, operations_of
from sweep.engine.plan import Plan
from sweep.engine.prepare import names_of, settings_of
from sweep.engine.program import Block, lane_shapes
from sweep.engine.seats import count_tiles, kinds_of

FIRST: Final = 0.4  # seconds of beginning a wave, and of short segments while the pace is not known
# Seconds of compiling on two cores: for a block, for each operation in its step and record, and for each of those that
# differ in name or shapes from all others of the program, since XLA compiles equal ones once.
COMPILE_A_BLOCK: Final = 0.9
COMPILE_AN_OPERATION: Final = 0.002
COMPILE_A_KIND: Final = 0.012


class Estimate(NamedTuple):
    """How long a plan takes, in seconds.

    Args:
        compiling: on two cores.
        training: all steps and records of all tiles.
        is_measured: whether the rates were measured on devices of this kind; if not, they are guesses.
    """

    compiling: float
    training: float
    is_measured: bool


def estimate(plan: Plan) -> Estimate:
    """Estimate how long a plan takes."""
    rates = RATES.get(plan.devices.platform, GUESSED)
    size = np.dtype(plan.experiment.precision).itemsize
    compiling, training = 0.0, FIRST * len(plan.waves)
    with settings_of(plan):
        for program in plan.programs:
            code = Operations()
            parts = zip(program.blocks, program.numbers, program.shares, names_of(program), strict=True)
            for block, numbers, share, names in parts:
                step, record = _of_block(block, names)
                code += step + record
                seats = count_tiles(kinds_of(block, numbers), block.tile) * block.tile
                steps = share * block.training.steps * step.seconds(rates, block.tile)
                seconds = steps + len(plan.epochs) * record.seconds(rates, block.tile)
                training += seats * seconds * size / 4 / plan.devices.count
            compiling += COMPILE_A_BLOCK * len(program.blocks) + COMPILE_AN_OPERATION * code.count
            compiling += COMPILE_A_KIND * len(code.kinds)
    return Estimate(compiling, training, rates is not GUESSED)


def _of_block(block: Block, names: tuple[str, ...]) -> tuple[Operations, Operations]:
    training, (arrays, _) = block.training, lane_shapes(block, names)
    lane = (arrays.lanes.state, arrays.data, arrays.shared, arrays.numbers, jax.ShapeDtypeStruct((), np.int32))

    def count(function: Callable[..., Any]) -> Operations:
        return operations_of(function, *lane)

    step, period = count(training.step), training.renewed_every
    if period is not None:
        step += count(training.renew).repeated(1 / period)
    return step, count(training.measure)
