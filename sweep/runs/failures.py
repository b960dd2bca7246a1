"""The end of a run of which some waves failed again and again, while all others were trained."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sweep.base.errors import SweepError
from sweep.runs.events import Failure

if TYPE_CHECKING:
    from sweep.engine.plan import Plan


class WavesFailedError(SweepError):
    """Some waves were given up; the attribute `failures` of the store says which, and why.

    Args:
        plan: the plan.
        path: the store.
        failures: the waves that were given up.
        again: how the user tries them again.
    """

    code = 1

    def __init__(self, plan: "Plan", path: Path, failures: Sequence[Failure], again: str) -> None:
        lanes = sum(len(plan.waves[failure.wave].lanes) for failure in failures)
        others = "the others wait at a rung of Halving" if plan.rungs else "the others are stored"
        super().__init__(
            f"{len(failures)} of {len(plan.waves)} waves ({lanes:,} lanes) failed, {others} in {path}; the last error: "
            f"{failures[-1].error}; {again}, which tries them again"
        )
