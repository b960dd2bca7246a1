"""The cells: `sweep` and plain JAX train the same lanes, are compared after a few steps, and are timed in turn.

Both run in one process and so on one allocator, which has the whole memory of the card. Initial weights and data of the
compared lanes are those of `sweep`; further lanes of plain JAX repeat them on the device, which changes no time.
"""

import gc
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.accelerator_child import Report, is_broken, reason
from benchmarks.accelerator_work import AGREEMENT, DIFFER, Size, cells, check_lanes, largest_difference, network_of
from benchmarks.cases import CHECK_STEPS, Case
from benchmarks.handover import Group, Handover
from benchmarks.side_jax import merge, training
from benchmarks.side_sweep import draw_handover, make_plan
from sweep.engine.plan import Plan
from sweep.engine.prepare import prepare, program_bytes
from sweep.engine.walk import walk_wave
from sweep.specs import log_spaced

Run = Callable[[int], tuple[float, list[np.ndarray]]]  # of a number of steps: seconds, and each width's first losses


@dataclass(frozen=True)
class Made:
    """A side that is ready to train a cell.

    Args:
        run: trains from the initial weights.
        lanes: how many it trains, all widths together.
        about: what is known before it has run.
    """

    run: Run
    lanes: int
    about: dict[str, Any]


def measure(report: Report) -> None:
    """Measure all cells."""
    report.plan(cells(report.size))
    for case in cells(report.size).values():
        report.do(case.name, lambda case=case: _measure_cell(report, case))
        gc.collect()


def _measure_cell(report: Report, case: Case) -> None:
    report.tell(case.name, case=asdict(case))
    handover = _draw(case, check_lanes(report.size))
    made, sides = {}, {}
    for name, make in _makers(report.size, case, handover).items():
        try:
            made[name] = make()
            sides[name] = made[name].about | {"lanes": made[name].lanes, "seconds": []}
            losses = made[name].run(CHECK_STEPS)[1]
            sides[name]["first_losses"] = [
                own[: len(group.target)].tolist() for own, group in zip(losses, handover.groups, strict=True)
            ]
        except Exception as error:
            made.pop(name, None)
            sides[name] = {"failed": reason(error)}
            if is_broken(error):
                raise
        report.tell(case.name, sides=sides)
    compare(sides)
    if "first_losses" in sides["sweep"]:
        _hand_over(report, case, handover, sides["sweep"]["first_losses"])
    for side in sides.values():
        side.pop("first_losses", None)
    _time_in_turn(report, case, {name: side for name, side in made.items() if "failed" not in sides[name]}, sides)


def _makers(size: Size, case: Case, handover: Handover) -> dict[str, Callable[[], Made]]:
    """List how each side of a cell is made."""
    groups = handover.groups
    makers: dict[str, Callable[[], Made]] = {
        "sweep": lambda: make_sweep(case, make_plan(case, log_spaced(1))),
        "vmap": lambda: make_vmap(case, handover, [groups]),
    }
    if len(groups) > 1:
        makers["vmap_by_width"] = lambda: make_vmap(case, handover, [(group,) for group in groups])
    if case.lanes * len(groups) == check_lanes(size):
        makers["loop"] = lambda: _make_loop(case, handover, size.loop_lanes)
    return makers


def _hand_over(report: Report, case: Case, handover: Handover, losses: list[list[float]]) -> None:
    """Leave initial weights and losses for PyTorch, which has a process of its own."""
    path = report.folder / network_of(case)
    if not path.with_suffix(".json").exists():
        handover.save(path.with_suffix(".npz"))
        path.with_suffix(".json").write_text(json.dumps(losses))


def _time_in_turn(report: Report, case: Case, made: dict[str, Made], sides: dict[str, Any]) -> None:
    begun = time.monotonic()
    for repeat in range(report.size.repeats):
        if repeat and time.monotonic() - begun > report.size.timing_seconds:
            break
        for name in list(made):
            try:
                sides[name]["seconds"].append(made[name].run(case.steps())[0])
            except Exception as error:
                sides[name]["failed"] = reason(error)
                del made[name]
                if is_broken(error):
                    raise
        for side in sides.values():
            if side.get("seconds"):
                side["lane_steps_per_second"] = [side["lanes"] * case.steps() / each for each in side["seconds"]]
        report.tell(case.name, sides=sides)


def compare(sides: dict[str, dict[str, Any]]) -> None:
    """Note for each side by which part of the loss its first lanes differ from those of `sweep`; a large one fails."""
    reference = sides["sweep"].get("first_losses")
    for name, side in sides.items():
        if name == "sweep" or reference is None or "first_losses" not in side:
            continue
        side["largest_difference"] = largest_difference(side["first_losses"], reference)
        if not side["largest_difference"] <= AGREEMENT:
            side["failed"] = f"{DIFFER} by {side['largest_difference']:.2g} of these"


def make_sweep(case: Case, plan: Plan) -> Made:
    """Compile a case for `sweep`.

    Args:
        case: the work.
        plan: its plan, of one program.
    """
    begun = time.perf_counter()
    prepare(plan)
    seconds = time.perf_counter() - begun

    def run(steps: int) -> tuple[float, list[np.ndarray]]:
        ending = end_plan_at(plan, steps)
        seconds, losses = 0.0, [np.full(len(members), np.nan) for _, members in plan.blocks()]
        for number, wave in enumerate(plan.waves):
            wave_seconds, values = _train_wave(ending, number)
            seconds += wave_seconds
            for own, chosen, value in zip(losses, wave.chosen, values, strict=True):
                own[chosen] = value
        return seconds, losses

    return Made(
        run, case.lanes * len(case.widths), {
            "compile_seconds": seconds, "tiles": [block.tile for block, _ in plan.blocks()],
            "waves": len(plan.waves), "wave_bytes": plan.wave_bytes,
            "program_bytes": max(program_bytes(program, plan) for program in plan.programs),
        },
    )  # fmt: skip


def end_plan_at(plan: Plan, steps: int) -> Plan:
    """Change at which step a plan of full batches has its second and last record; its programs are the same."""
    records = tuple(np.repeat([[0], [steps]], len(program.blocks), 1) for program in plan.programs)
    return replace(plan, epochs=np.array([0.0, steps]), steps=records)


def _train_wave(plan: Plan, number: int) -> tuple[float, list[np.ndarray]]:
    """Train a wave; give the seconds from record 0 to record 1, and each block's losses there."""
    begun = 0.0
    for segment in walk_wave(plan, number):
        if segment.record == 0:
            begun = time.perf_counter()
        elif segment.record == 1:
            return time.perf_counter() - begun, [values["loss"] for values in segment.values]
    raise RuntimeError("the wave ended before record 1, at which its losses are compared")


def _draw(case: Case, lanes: int) -> Handover:
    """Draw data and initial weights of the first lanes of a case."""
    few = replace(case, lanes=lanes // len(case.widths))
    return draw_handover(make_plan(few, log_spaced(1)), few.widths, CHECK_STEPS)


def make_vmap(case: Case, handover: Handover, programs: list[tuple[Group, ...]]) -> Made:
    """Compile `jit(vmap(train))`: one program for each tuple of groups, whose widths are padded to the largest.

    Products have the precision of those of `sweep`.
    """
    train = jax.jit(jax.vmap(training(case, jnp.asarray(handover.inputs)), in_axes=(0, 0, None, None, None)))
    calls, taken, seconds = [], 0, 0.0
    for groups in programs:
        first = [len(group.target) for group in groups]
        arrays = _repeat(merge(list(groups)), case.lanes * len(groups))
        compiled, own_seconds = _compile(train, arrays)
        calls.append((compiled, arrays, first))
        taken, seconds = max(taken, _bytes_of(compiled)), seconds + own_seconds

    def run(steps: int) -> tuple[float, list[np.ndarray]]:
        begun = time.perf_counter()
        found = [np.asarray(compiled(*arrays, None, None, steps)) for compiled, arrays, _ in calls]
        seconds = time.perf_counter() - begun
        ends = [np.cumsum(first) for _, _, first in calls]
        return seconds, [part for loss, end in zip(found, ends, strict=True) for part in np.split(loss, end)[:-1]]

    return Made(run, case.lanes * len(case.widths), {"compile_seconds": seconds, "program_bytes": taken})


def _compile(train: Any, arrays: tuple[Any, Any]) -> tuple[Any, float]:
    """Compile a training for parameters and targets of these shapes; give the seconds that it took."""
    begun = time.perf_counter()
    with jax.default_matmul_precision("highest"):
        compiled = train.lower(*arrays, None, None, CHECK_STEPS).compile()
    return compiled, time.perf_counter() - begun


def _repeat(group: Group, lanes: int) -> tuple[Any, Any]:
    """Put a group's parameters and targets on the device, its lanes repeated up to a number."""
    times = -(-lanes // len(group.target))

    def repeat(leaf: np.ndarray) -> Any:
        return jnp.tile(jnp.asarray(leaf), (times, *(1,) * (leaf.ndim - 1)))[:lanes]

    return jax.block_until_ready((jax.tree.map(repeat, group.trees), repeat(group.target)))


def _bytes_of(compiled: Any) -> int:
    analysis = compiled.memory_analysis()
    if analysis is None:
        return 0
    return analysis.argument_size_in_bytes + analysis.output_size_in_bytes + analysis.temp_size_in_bytes


def _make_loop(case: Case, handover: Handover, lanes: int) -> Made:
    """Compile `jit(train)`, which is called for one lane after another, each width's first ones."""
    train, each = jax.jit(training(case, jnp.asarray(handover.inputs))), max(1, lanes // len(handover.groups))
    calls, seconds = [], 0.0
    for group in handover.groups:
        arrays = [_repeat(group.part(lane, lane + 1), 1) for lane in range(each)]
        own = [jax.tree.map(lambda leaf: leaf[0], one) for one in arrays]
        compiled, own_seconds = _compile(train, own[0])
        calls.append((compiled, own))
        seconds += own_seconds

    def run(steps: int) -> tuple[float, list[np.ndarray]]:
        begun = time.perf_counter()
        results = [[compiled(*arrays, None, None, steps) for arrays in own] for compiled, own in calls]
        losses = [np.array([float(loss) for loss in own]) for own in results]
        return time.perf_counter() - begun, losses

    return Made(run, each * len(handover.groups), {"compile_seconds": seconds})
