"""What a trained network gives at any points, with parameters from a store; nothing is trained.

At the points of a record the sweep's own program computes it, without a step: the same code in the same tile, and so
the same bits. At other points the same functions are compiled for that many points.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from sweep.engine.compiler_options import compiler_options
from sweep.engine.keeping import pad
from sweep.engine.plan import Plan
from sweep.engine.prepare import names_of, settings_of, translate_out_of_memory
from sweep.engine.program import Block, lane_shapes
from sweep.engine.wave import WaveRunner


def measure(plan: Plan, row: np.ndarray) -> Mapping[str, np.ndarray]:
    """Compute the last record of a plan's only lane from its parameters.

    Args:
        plan: a plan of one lane.
        row: the entries of the lane's own network.

    Returns:
        The values of the record, as the sweep computed them at its end; NaN if the loss is not finite.
    """
    with translate_out_of_memory(), settings_of(plan):
        runner = _runner(plan, row)
        done = plan.steps[0][-1]
        (values,), _ = runner.advance(done, np.zeros_like(done), at_record=True)
        return {name: value[0] for name, value in runner.take(0, values).items()}


def predict(plan: Plan, row: np.ndarray, x: np.ndarray, constants: Mapping[str, np.ndarray]) -> np.ndarray:
    """Compute the outputs of a plan's only lane at some points.

    Args:
        plan: a plan of one lane.
        row: the entries of the lane's own network.
        x: of shape (features, points), in the plan's precision.
        constants: what the store holds once of the lane.
    """
    program = plan.programs[0]
    with translate_out_of_memory(), settings_of(plan):
        compiled = _compile(program.blocks[0], names_of(program)[0], x.shape, x.dtype, plan.devices.platform)
        lane = _runner(plan, row).one_lane(0)
        training = program.blocks[0].training
        parameters = training.parameters(lane.lanes.state)
        data, shared = training.with_constants(
            lane.data, lane.shared, {name: jnp.asarray(values) for name, values in constants.items()}
        )
        return np.asarray(compiled(parameters, x, data, shared, lane.numbers))


@lru_cache(maxsize=64)
def _compile(block: Block, names: tuple[str, ...], shape: tuple[int, ...], dtype: Any, platform: str) -> Any:
    lane = lane_shapes(block, names)[0]
    parameters = jax.eval_shape(block.training.parameters, lane.lanes.state)
    described = (parameters, jax.ShapeDtypeStruct(shape, dtype), lane.data, lane.shared, lane.numbers)
    return jax.jit(block.training.predict).lower(*described).compile(compiler_options(platform))


def _runner(plan: Plan, row: np.ndarray) -> WaveRunner:
    """Put the only lane of a plan on its device, with these parameters."""
    runner = WaveRunner(plan, 0, None)
    block, sizes = plan.programs[0].blocks[0], plan.networks[0].sizes
    parameters = pad(block, block.training.parameters(runner.one_lane(0).lanes.state), row, sizes)
    runner.set_parameters([jax.tree.map(lambda leaf: leaf[None], parameters)])
    return runner
