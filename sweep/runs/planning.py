"""Planning a sweep on this machine, and planning it again with smaller waves when memory ran out."""

import warnings
from collections.abc import Iterable
from dataclasses import replace

from sweep.base.errors import SweepError, SweepWarning
from sweep.engine.numerics import standard_settings
from sweep.engine.plan import Devices, Fixed, Plan, pack
from sweep.engine.program import check_metrics, check_step, unused_numbers
from sweep.page.experiment import Experiment
from sweep.page.resolve import resolve
from sweep.runs.compiler_check import check_compiler
from sweep.runs.devices import check_environment, choose_devices, use_all_cores
from sweep.runs.rungs import check_rungs


def plan_sweep(
    experiment: Experiment,
    memory: int | None = None,
    fixed: Fixed = Fixed(),
    *,
    devices: int | None = None,
    parts: int = 1,
) -> Plan:
    """Plan a sweep on this machine, and make sure that code of the page can be run.

    Args:
        experiment: what to run.
        memory: budget in bytes; None is half of what is free.
        fixed: what a store has fixed of the plan, see `provenance.fixed_by`.
        devices: number of devices of this process to run on; None is all.
        parts: among how many processes the waves are shared, where no store has fixed their size.

    Raises:
        SweepError: for a sweep that does not fit, more devices than there are, a metric that fails, settings that JAX
            can't use, or a compiler that computes something wrongly.
    """
    use_all_cores()
    check_environment()
    chosen = choose_devices(devices)
    check_compiler(experiment.precision)
    return plan_for(chosen, experiment, memory, fixed, parts=parts)


def plan_for(
    devices: Devices, experiment: Experiment, memory: int | None, fixed: Fixed = Fixed(), *, parts: int = 1
) -> Plan:
    """Plan a sweep for described devices, which this process may not have: then with a budget.

    Args:
        devices: the devices of each process.
        experiment: what to run.
        memory: budget in bytes; None is half of what is free on this process's devices.
        fixed: what a store has fixed of the plan.
        parts: among how many processes the waves are shared, where no store has fixed their size.

    Raises:
        SweepError: for a sweep that does not fit, or code of the page that can't be run.
    """
    with standard_settings(experiment.precision):
        plan = pack(resolve(experiment), memory=memory, devices=devices, fixed=fixed, parts=parts)
        for program in plan.programs:
            for block, numbers in zip(program.blocks, program.numbers, strict=True):
                block.training.check_numbers(numbers)
                check_metrics(block, tuple(numbers))
                check_step(block, tuple(numbers))
    check_rungs(plan)
    return plan


def share_among(plan: Plan, fixed: Fixed, parts: int) -> Plan:
    """Plan the same sweep with its waves shared among another number of processes.

    Args:
        plan: the plan.
        fixed: what a store had fixed of it, not the size of waves.
        parts: among how many processes.
    """
    with standard_settings(plan.experiment.precision):
        return pack(plan.resolved, memory=plan.memory, devices=plan.devices, fixed=fixed, parts=parts)


def check_effect(plan: Plan) -> None:
    """Refuse an axis over a number of the page's own that is traced and that its code does not use.

    This is for sweeps that have no store yet: one that has such an axis can still be read, replayed and completed.

    Raises:
        SweepError: with the axis.
    """
    page, used = plan.experiment, set[str]()
    knobs = page.knobs()
    swept = [name for name in page.axes.knobs() if name in page.own_numbers() and knobs[name][1].traced]
    if not swept:
        return
    with standard_settings(page.precision):
        for program in plan.programs:
            for block, numbers in zip(program.blocks, program.numbers, strict=True):
                used |= {*numbers} - unused_numbers(block, tuple(numbers))
    for name in swept:
        if name not in used:
            raise SweepError(
                f"axis {name!r} has no effect, as the code of the page takes it and does not use it: use it, or leave "
                f"it out"
            )


def halve(plan: Plan, trouble: str) -> Plan:
    """Plan the same sweep with waves half as large.

    Args:
        plan: the plan that needed too much memory.
        trouble: what ran out, as the beginning of messages.

    Raises:
        SweepError: if they can't be halved.
    """
    half = _half(plan)
    if half < plan.chunk_lanes:
        raise SweepError(
            f"{trouble} with {plan.wave_lanes} lanes at once, and fewer are not possible with the store's chunks of "
            f"{plan.chunk_lanes}: start again with --fresh and a smaller --memory"
        )
    message = f"{trouble}: compiling again for waves of {half} lanes instead of {plan.wave_lanes}"
    warnings.warn(message, SweepWarning, stacklevel=2)
    return _cut(plan, half)


def follow_cut(plan: Plan, waves: Iterable[tuple[int, int]]) -> Plan:
    """Plan the same sweep with waves that are small enough for those that a store has.

    They are smaller than planned where memory ran out in a part (`runs.parts`).

    Args:
        plan: the plan.
        waves: for each wave of the store the place of its first lane, and of the lane after its last one.
    """
    edges = {edge for wave in waves for edge in wave}
    while _half(plan) >= plan.chunk_lanes and edges - _edges(plan):
        plan = _cut(plan, _half(plan))
    return plan


def _edges(plan: Plan) -> set[int]:
    return {edge for wave in plan.waves for edge in (wave.start, wave.start + wave.places)}


def _half(plan: Plan) -> int:
    """Return how many lanes smaller waves have, of which each lies within one of the plan's: half of them, or fewer."""
    most, chunk = plan.wave_lanes, plan.chunk_lanes
    if most >= len(plan.lanes):
        return 2 ** ((most - 1).bit_length() - 1) if most > 1 else 0
    return next((size for size in range(most // 2 // chunk * chunk, 0, -chunk) if most % size == 0), 0)


def _cut(plan: Plan, wave_lanes: int) -> Plan:
    fixed = replace(plan.fixed, wave_lanes=wave_lanes)
    return pack(plan.resolved, memory=plan.memory, devices=plan.devices, fixed=fixed)
