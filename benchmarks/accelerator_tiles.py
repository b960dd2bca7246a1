"""Other sizes of tiles than the plan's, each with the same lanes and steps."""

import gc
from collections.abc import Sequence
from dataclasses import replace
from math import ceil
from typing import Final

from benchmarks.accelerator_cells import make_sweep
from benchmarks.accelerator_child import Report
from benchmarks.accelerator_work import PLANNED, tile_case, tile_names
from benchmarks.cases import CHECK_STEPS
from benchmarks.side_sweep import make_plan
from sweep.engine.plan import Plan
from sweep.specs import log_spaced

_REPEATS: Final = 2


def measure(report: Report) -> None:
    """Measure all sizes."""
    report.plan(tile_names(report.size))
    for name in tile_names(report.size):
        report.do(name, lambda name=name: _measure_tile(report, name))
        gc.collect()


def _measure_tile(report: Report, name: str) -> None:
    network, tile = name.split("/")
    case = tile_case(report.size, network)
    plan = make_plan(case, log_spaced(1))
    block = plan.programs[0].blocks[0]
    step = block.training.cost()
    side = make_sweep(case, plan if tile == PLANNED else with_tile(plan, int(tile)))
    report.tell(
        name, tile=block.tile if tile == PLANNED else int(tile), chosen=block.tile, **side.about,
        cost={"bytes": step.bytes, "flops": step.flops, "activations": step.activations},
    )  # fmt: skip
    side.run(CHECK_STEPS)
    seconds = [side.run(case.steps())[0] for _ in range(_REPEATS)]
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
        programs.append(replace(program, blocks=tuple(blocks)))
    return replace(plan, programs=tuple(programs))


def _tiles(tile: int, lanes: Sequence[int], devices: int) -> int:
    """Count the tiles that each device needs for a wave's lanes."""
    return ceil(max(lanes) / tile / devices)
