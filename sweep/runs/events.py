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
class Executed:
    """The program has run for a segment, of which nothing is stored yet.

    Args:
        wave: its place in the plan.
        executed: lane-steps, those of padding lanes and repeated ones included.
        seconds: time inside the program.
    """

    wave: int
    executed: int
    seconds: float


@dataclass(frozen=True)
class Advanced:
    """A wave has come one segment further, and what was to be stored of it is.

    Args:
        wave: its place in the plan.
        done: steps that its lanes have come, frozen lanes counted as if they lived.
        ended: how many of its lanes have ended early, by status.
    """

    wave: int
    done: int
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


Event = Compiled | Executed | Saved | Ended | Advanced
