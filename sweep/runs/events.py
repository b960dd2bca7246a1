"""What happens while waves are trained, as small plain values that can be sent from wherever a wave runs."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Compiled:
    """The programs of some waves have been compiled.

    Args:
        seconds: that it took.
    """

    seconds: float


@dataclass(frozen=True)
class Advanced:
    """A wave has come one segment further.

    Args:
        wave: its place in the plan.
        done: steps that its lanes have come, frozen lanes counted as if they lived.
        executed: lane-steps executed in this segment, those of padding lanes and repeated ones included.
        seconds: time inside the program.
        ended: how many of its lanes have ended early, by status.
    """

    wave: int
    done: int
    executed: int
    seconds: float
    ended: dict[int, int]


@dataclass(frozen=True)
class Saved:
    """A wave can be gone on with from here.

    Args:
        wave: its place in the plan.
        living: steps that its lanes have taken while they lived.
    """

    wave: int
    living: int


@dataclass(frozen=True)
class Ended:
    """A wave has ended, and is stored.

    Args:
        wave: its place in the plan.
        living: steps that its lanes have taken while they lived.
    """

    wave: int
    living: int


Event = Compiled | Advanced | Saved | Ended
