"""How far a sweep has come: what its store counts, and what a watcher is told."""

from dataclasses import dataclass

from sweep.engine.plan import Plan


@dataclass
class Tally:
    """Counts of a sweep, stored as its attributes and carried over resumes.

    Args:
        lane_steps: optimiser steps of real, living lanes in the stored result.
        lane_steps_executed: steps executed, those of padding lanes and repeated ones included.
        training_seconds: time inside the program.
        compile_seconds: time compiling.
    """

    lane_steps: int = 0
    lane_steps_executed: int = 0
    training_seconds: float = 0.0
    compile_seconds: float = 0.0


@dataclass(frozen=True)
class Progress:
    """What a watcher is told between segments.

    Args:
        stage: "compiling" or "training".
        plan: the plan.
        lane_steps: steps that the lanes have come so far, frozen lanes counted as if they lived.
        ended: how many lanes of the wave that came further have ended early, by status.
        tally: counts so far.
    """

    stage: str
    plan: Plan
    lane_steps: int
    ended: dict[int, int]
    tally: Tally
