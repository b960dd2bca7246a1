"""The progress of a sweep: the counts in its store, and what the `watch` callback receives."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sweep.runs.events import Staff

if TYPE_CHECKING:
    from sweep.engine.plan import Plan


@dataclass
class Tally:
    """Counts of a sweep, which are stored as attributes and continued when it is resumed.

    Args:
        lane_steps: optimiser steps in the stored result, without padding lanes and frozen lanes.
        lane_steps_executed: steps executed, including padding lanes and repeated steps.
        training_seconds: time inside the program.
        compile_seconds: time compiling.
    """

    lane_steps: int = 0
    lane_steps_executed: int = 0
    training_seconds: float = 0.0
    compile_seconds: float = 0.0


@dataclass(frozen=True)
class Progress:
    """What the `watch` callback receives between segments.

    Args:
        stage: "compiling" or "training".
        plan: the plan.
        lane_steps: steps that the lanes have completed, counting frozen lanes as if they still trained.
        total: steps of all lanes, or of those of the part that this process trains.
        ended: number of lanes of the current wave that have ended early, by status.
        tally: counts so far.
        staff: the workers, if there are several processes.
        lanes: number of lanes of waves that have ended.
    """

    stage: str
    plan: "Plan"
    lane_steps: int
    total: int
    ended: dict[int, int]
    tally: Tally
    staff: Staff | None = None
    lanes: int = 0
