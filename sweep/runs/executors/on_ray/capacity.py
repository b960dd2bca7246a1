"""How many workers a cluster has place for, and what each of them takes of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import floor


@dataclass(frozen=True)
class Node:
    """What a machine of a cluster has for workers.

    Args:
        cpus: cores.
        gpus: GPUs.
    """

    cpus: float
    gpus: float


@dataclass(frozen=True)
class Capacity:
    """The workers of a cluster.

    Args:
        workers: how many there are to be.
        places: how many have a place now.
        cpus: cores that each takes.
        gpus: GPUs that each takes.
    """

    workers: int
    places: int
    cpus: int
    gpus: int


def share_out(nodes: Sequence[Node], workers: int | None, devices: int | None) -> Capacity:
    """Decide what each worker takes: one GPU, or without GPUs as many cores as the smallest machine has.

    Args:
        nodes: the machines.
        workers: how many workers there are to be; None is as many as have a place.
        devices: devices of each; None is one GPU, or as many cores as still leave so many workers a place.
    """
    if any(node.gpus >= 1 for node in nodes):
        gpus = devices or 1
        places = sum(floor(node.gpus / gpus) for node in nodes)
        return Capacity(workers or places, places, 1, gpus)
    cores = [floor(node.cpus) for node in nodes if node.cpus >= 1]
    each = devices or _cores_of_each(cores, workers)
    places = _places(cores, each)
    return Capacity(workers or places, places, each, 0)


def _cores_of_each(cores: Sequence[int], workers: int | None) -> int:
    if workers is None:
        return min(cores, default=1)
    return next((each for each in range(max(cores, default=1), 1, -1) if _places(cores, each) >= workers), 1)


def _places(cores: Sequence[int], each: int) -> int:
    return sum(own // each for own in cores)
