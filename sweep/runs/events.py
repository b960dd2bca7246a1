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


@dataclass(frozen=True)
class Failure:
    """A wave is given up, as it failed again and again; nothing of it counts as stored.

    Args:
        wave: number of the wave in the plan.
        error: the last error, in one line.
        tries: how often it was tried.
    """

    wave: int
    error: str
    tries: int


@dataclass(frozen=True)
class WorkerShare:
    """What one of several workers has done, with all that replaced it.

    Args:
        number: the worker's number, from 1 on.
        host: the name of its machine.
        devices: its devices, in words.
        waves: number of waves that it has ended.
        executed: lane-steps that it has executed.
        seconds: time inside the program.
        lost: how often it was lost.
    """

    number: int
    host: str
    devices: str
    waves: int = 0
    executed: int = 0
    seconds: float = 0.0
    lost: int = 0


@dataclass(frozen=True)
class Staff:
    """The workers have changed, or one of them has ended a wave.

    Args:
        alive: how many are ready to train.
        wanted: how many there are to be.
        retries: how often a wave had to be run again.
        shares: what each has done.
    """

    alive: int
    wanted: int
    retries: int
    shares: tuple[WorkerShare, ...]


Event = Compiled | Executed | Saved | Ended | Advanced | Failure | Staff
