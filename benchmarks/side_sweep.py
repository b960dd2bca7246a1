"""The side of `sweep`: draws data and weights for all sides, and trains as `sweep.run` does, but without files."""

import time
from collections.abc import Sequence
from functools import partial
from math import pi
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import limit, service
from benchmarks.cases import CHECK_STEPS, FREQUENCIES, Case
from benchmarks.handover import Group, Handover, Trees
from sweep import MLP, Experiment, Optimizer, Record, Sine, SumOfSines, grid, log_spaced, zipped
from sweep.engine import program as programs
from sweep.engine.plan import Plan, Program, pack
from sweep.engine.prepare import prepare
from sweep.engine.training import Numbers
from sweep.engine.walk import walk_wave
from sweep.page.resolve import resolve
from sweep.page.specs.record import Cadence
from sweep.runs.devices import use_all_cores
from sweep.specs import every


class Engine:
    """The requests that `sweep` answers, one case at a time."""

    def open(self, case: dict[str, Any], path: str) -> dict[str, Any]:
        """Compile a case, and write data and initial weights of its lanes to a file."""
        work = Case.from_json(case)
        self._training = make_plan(work, log_spaced(1))
        self._compared = make_plan(work, every(CHECK_STEPS))  # the same program, which does not depend on the cadence
        begun = time.perf_counter()
        prepare(self._training)
        seconds = time.perf_counter() - begun
        draw_handover(self._training, work.widths, CHECK_STEPS).save(Path(path))
        return {"compile_seconds": seconds, "tiles": [block.tile for block, _ in self._training.blocks()]}

    def train(self, check: bool) -> dict[str, Any]:
        """Train all lanes to the end or, for a check, up to the step at which sides are compared.

        The clock starts when data and initial weights are on the devices and record 0 has been taken.
        """
        plan, begun = self._compared if check else self._training, 0.0
        for segment in walk_wave(plan, 0):
            if segment.record == 0:
                begun = time.perf_counter()
            elif segment.record == 1:
                seconds = time.perf_counter() - begun
                return {"seconds": seconds, "steps": segment.done.tolist(), "losses": _losses(plan, segment.values)}
        raise RuntimeError("the wave ended before record 1, at which its losses are compared")


def make_plan(case: Case, cadence: Cadence) -> Plan:
    """Plan a case on this machine, in one wave."""
    seeds = range(case.lanes)
    if case.task == "sines":
        # A grid with its end has no point at 0, where the kinks of ReLU lie while biases are about zero: on which side
        # of a kink such a point is would depend on rounding.
        task = SumOfSines(frequencies=FREQUENCIES, phases="random", points=case.points, placement="grid_with_end")
        axes, initializer = zipped(seed=seeds, data_seed=seeds), "lecun_normal"
    else:
        task = Sine(
            target_frequency=1 / (2 * pi), low=0.0, high=2 * pi, placement="grid_with_end", inputs="as_is",
            points=case.points,
        )  # fmt: skip
        axes, initializer = grid(seed=seeds), "glorot_uniform"
    experiment = Experiment(
        question="How fast?",
        task=task,
        model=MLP(depth=case.depth, activation=case.activation, initializer=initializer),
        optimizer=Optimizer("adam", learning_rate=case.learning_rate, epsilon=case.epsilon),
        axes=axes * grid(width=case.widths),
        epochs=case.epochs,
        batch_size=case.batch_size,
        record=Record(metrics=("loss",), at=cadence, snapshots=0),
    )
    plan = pack(resolve(experiment))
    if len(plan.waves) != 1:
        raise RuntimeError(f"{case.name} needs a plan of one wave, but has {len(plan.waves)}: reduce its lanes")
    return plan


def _losses(plan: Plan, values: list[dict[str, np.ndarray]]) -> list[list[float]]:
    """Give the losses of each block in the order in which its lanes are handed over."""
    losses = []
    for chosen, record in zip(plan.waves[0].chosen, values, strict=True):
        ordered = np.empty(len(chosen))
        ordered[chosen] = record["loss"]
        losses.append(ordered.tolist())
    return losses


def draw_handover(plan: Plan, widths: Sequence[int], steps: int) -> Handover:
    """Draw data and initial weights of all lanes with the functions of the training program.

    Args:
        plan: a plan of one program, whose lanes all have the same inputs.
        widths: the widths of its blocks, in their order.
        steps: number of steps for which orders of the points are needed.
    """
    program, groups, inputs = plan.programs[0], [], None
    for width, block, numbers in zip(widths, program.blocks, _typed_numbers(program), strict=True):
        lanes, data = jax.jit(jax.vmap(partial(programs.begin, block)))(numbers)
        inputs = np.asarray(data.inputs[0]).T
        orders = None if block.training.renewed_every is None else _orders(block, numbers, lanes, steps)
        groups.append(Group(width, _trees(block, lanes), np.asarray(data.target), orders))
    assert inputs is not None
    return Handover(inputs, tuple(groups))


def _typed_numbers(program: Program) -> list[Numbers]:
    return [
        {name: jnp.asarray(values, programs.number_dtype(name, block.training)) for name, values in numbers.items()}
        for block, numbers in zip(program.blocks, program.numbers, strict=True)
    ]


def _trees(block: programs.Block, lanes: programs.Lane) -> Trees:
    """Give the initial parameters of a block's lanes, layer by layer."""
    return jax.tree.map(np.asarray, lanes.state.parameters)


def _orders(block: programs.Block, numbers: Numbers, lanes: programs.Lane, steps: int) -> np.ndarray:
    """Give the orders of the points in the epochs of the first steps, (lanes, epochs, points)."""
    renew = jax.vmap(block.training.renew, in_axes=(0, None, None, 0, None))
    starts = range(0, steps, block.training.steps_per_epoch)
    return np.stack(
        [np.asarray(renew(lanes.state, None, (), numbers, jnp.asarray(step)).order) for step in starts], axis=1
    )


if __name__ == "__main__":
    use_all_cores()
    engine = Engine()
    service.serve({}, {"open": engine.open, "train": engine.train, "limit": limit.rates})
