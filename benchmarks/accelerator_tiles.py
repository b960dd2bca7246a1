"""Other sizes of tiles than the plan's, each with the same lanes and steps."""

import gc
from collections.abc import Sequence
from dataclasses import replace
from math import ceil

import jax

from benchmarks.accelerator_cells import make_sweep
from benchmarks.accelerator_child import Report
from benchmarks.accelerator_work import tile_case, tile_names
from benchmarks.cases import CHECK_STEPS, Case
from sweep.engine import cost
from sweep.engine.plan import Plan, Program


def measure(report: Report) -> None:
    """Measure all sizes."""
    for name in tile_names(report.size):
        network, tile = name.split("/")
        case = tile_case(report.size, network)
        report.do(name, lambda name=name, case=case, tile=int(tile): _measure_tile(report, name, case, tile))
        gc.collect()


def _measure_tile(report: Report, name: str, case: Case, tile: int) -> None:
    plans: list[Plan] = []

    def change(plan: Plan) -> Plan:
        plans.append(plan)
        return with_tile(plan, tile)

    side = make_sweep(case, change)
    training = plans[0].programs[0].blocks[0].training
    step = training.cost()
    report.tell(
        name, tile=tile, chosen=cost.tile_size(step, jax.default_backend()), **side.about,
        cost={"bytes": step.bytes, "flops": step.flops, "activations": step.activations},
    )  # fmt: skip
    side.run(CHECK_STEPS)
    seconds = [side.run(case.steps())[0] for _ in range(report.size.repeats)]
    report.tell(name, seconds=seconds, lane_steps_per_second=[side.lanes * case.steps() / each for each in seconds])


def with_tile(plan: Plan, tile: int) -> Plan:
    """Change the size of all tiles; the waves stay, so that each block has space for as many lanes as before."""
    programs = []
    for number, program in enumerate(plan.programs):
        waves = [wave for wave in plan.waves if wave.program == number]
        blocks = [
            replace(block, tile=tile, tiles=_tiles(tile, [len(wave.chosen[at]) for wave in waves], plan.devices.count))
            for at, block in enumerate(program.blocks)
        ]
        programs.append(Program(tuple(blocks), program.members, program.numbers))
    return replace(plan, programs=tuple(programs))


def _tiles(tile: int, lanes: Sequence[int], devices: int) -> int:
    """Count the tiles that each device needs for a wave's lanes."""
    return ceil(max(lanes) / tile / devices)
