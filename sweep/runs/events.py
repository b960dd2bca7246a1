"""What happens while waves are trained, as small plain values that can be sent between processes."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Compiled:
    """The programs of some waves have been compiled.

    Args:
        seconds: time spent compiling.
    """

    seconds: float


@dataclass(frozen=True)
class Executed:
    """The program has run a segment; nothing of it is stored yet.

    Args:
        wave: number of the wave in the plan.
        executed: steps of all lanes, including padding lanes and repeated steps.
        seconds: time inside the program.
    """

    wave: int
    executed: int
    seconds: float


@dataclass(frozen=True)
class Advanced:
    """A wave has completed a segment, and what had to be stored of it is stored.

    Args:
        wave: number of the wave in the plan.
        done: steps that its lanes have completed, counting frozen lanes as if they still trained.
        ended: number of its lanes that have ended early, by status.
    """

    wave: int
    done: int
    ended: dict[int, int]


@dataclass(frozen=True)
class Saved:
    """A checkpoint of a wave was saved, from which it can be resumed.

    Args:
        wave: number of the wave in the plan.
        living: steps that its lanes have trained, frozen lanes not counted.
    """

    wave: int
    living: int


@dataclass(frozen=True)
class Waiting(Saved):
    """A wave waits at a rung that has not been judged, saved; it is run again once it has been."""


@dataclass(frozen=True)
class Ended:
    """A wave has ended, and is stored.

    Args:
        wave: number of the wave in the plan.
        living: steps that its lanes have trained, frozen lanes not counted.
    """

    wave: int
    living: int


Event = Compiled | Executed | Saved | Ended | Advanced
