"""Whether stored lanes can be lanes of another plan: computed by the same code, with the same records."""

from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import NoReturn

import numpy as np

from sweep.base.errors import SweepError
from sweep.engine.plan import Plan
from sweep.engine.prepare import settings_of
from sweep.engine.program import Block, code_of
from sweep.engine.training import ShapeTraining
from sweep.page.experiment import Experiment
from sweep.page.specs.stop import Halving

OWN_STORE = "give the page a store of its own with --out"


def check_lanes(path: Path, old: Plan, new: Plan, lanes: np.ndarray, remedy: str = OWN_STORE) -> None:
    """Refuse a plan in which stored lanes would have other bits, or other records.

    Args:
        path: the store.
        old: the plan by which the store was filled.
        new: the plan of the store into which its lanes are taken.
        lanes: for each lane of the old plan its number in the new one.
        remedy: what can be done where it can't be.

    Raises:
        SweepError: with the reason, and what can be done.
    """
    _check_records(path, old, new, remedy)
    blocks, block_of = _blocks_of_lanes(new)
    for block, names, members in _blocks(old):
        for number in np.unique(block_of[lanes[members]]):
            _check_block(path, block, blocks[number], remedy)
            if block.training.steps != blocks[number].training.steps:
                _check_length(path, block, blocks[number], names, new)


def _blocks(plan: Plan) -> Iterator[tuple[Block, tuple[str, ...], np.ndarray]]:
    """Yield the blocks of a plan, with the names of their numbers and with their lanes."""
    for program in plan.programs:
        for block, numbers, members in zip(program.blocks, program.numbers, program.members, strict=True):
            yield block, tuple(numbers), members


def _blocks_of_lanes(plan: Plan) -> tuple[list[Block], np.ndarray]:
    """List the blocks of a plan, and give for each lane the number of its block."""
    blocks, block_of = [], np.empty(len(plan.lanes), np.int64)
    for number, (block, _, members) in enumerate(_blocks(plan)):
        blocks.append(block)
        block_of[members] = number
    return blocks, block_of


def refuse_halving(path: Path, page: Experiment) -> None:
    """Refuse to change which lanes a sweep has, if its lanes are compared with each other.

    Args:
        path: the store.
        page: its page.

    Raises:
        SweepError: if they are.
    """
    if any(isinstance(rule, Halving) for rule in page.rules()):
        raise SweepError(
            f"{path} can't take more: Halving compares all lanes with each other, so that more of them, or longer "
            f"trainings, would have ended others; {OWN_STORE}"
        )


def _check_records(path: Path, old: Plan, new: Plan, remedy: str) -> None:
    """Refuse a plan with other records up to the end of the old one."""
    if not np.array_equal(new.epochs[: len(old.epochs)], old.epochs):
        raise SweepError(
            f"{path} has records at other epochs than it would have with the new lanes, whose batches are larger: "
            f"{remedy}"
        )
    longer = len(new.epochs) > len(old.epochs)
    if longer and new.experiment.rules() and not _has_same_records(old, new):
        raise SweepError(
            f"{path} can't be trained on: its rules end lanes at records, and a run of {new.experiment.epochs} epochs "
            f"has others up to epoch {old.experiment.epochs}; record with every(...), at a period that divides both "
            f"lengths, or {OWN_STORE}"
        )


def _has_same_records(old: Plan, new: Plan) -> bool:
    """Tell whether a run of the new length at once would have the old records up to their end, and no others."""
    trainings = [block.training for block, _ in new.blocks()]
    a_pass = min(training.steps_per_epoch for training in trainings)
    steps = new.experiment.record.at.steps(new.experiment.epochs * a_pass)
    before = np.round(old.epochs * a_pass)
    return np.array_equal(steps[steps <= before[-1]], before)


def _check_block(path: Path, old: Block, new: Block, remedy: str) -> None:
    """Refuse another code, or another tile, apart from the length of the training."""
    assert isinstance(old.training, ShapeTraining)
    assert isinstance(new.training, ShapeTraining)
    same = new.training.with_steps(old.training.steps) == old.training
    if same and new.tile == old.tile:
        return
    if new.training.padded or old.training.padded:
        _refuse(path, "would share blocks with others and be padded, as there are so many structures", remedy)
    one, other = old.training.shape, new.training.with_steps(old.training.steps).shape
    names = [f.name for f in fields(one) if getattr(one, f.name) != getattr(other, f.name)]
    words = ", ".join(names).replace("_", " ") or "what lanes of a block have in common"
    _refuse(path, f"would be computed by other code ({words} of their block would be another)", remedy)


def _refuse(path: Path, why: str, remedy: str) -> NoReturn:
    raise SweepError(f"{path} can't be with the new lanes in one store: its own lanes {why}; {remedy}")


def _check_length(path: Path, old: Block, new: Block, names: tuple[str, ...], plan: Plan) -> None:
    """Refuse a longer training in which a step is another one, as by a schedule that depends on the length."""
    with settings_of(plan):
        same = code_of(old, names) == code_of(new, names)
    if not same:
        _refuse_length(path, old, new)


def _refuse_length(path: Path, old: Block, new: Block) -> NoReturn:
    assert isinstance(old.training, ShapeTraining)
    optimizer = old.training.shape.optimizer
    schedule, warms = getattr(optimizer, "schedule", "constant"), getattr(optimizer, "warmup", None) is not None
    what = f"schedule {schedule!r}" if schedule != "constant" else "warm-up" if warms else "training"
    raise SweepError(
        f"{path} can't be trained on: its {what} depends on the number of steps, which would be {new.training.steps:,} "
        f"instead of {old.training.steps:,}; {OWN_STORE}"
    )
