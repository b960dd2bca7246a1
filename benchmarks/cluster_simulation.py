"""A cluster of 10 to 1,000 workers, simulated event by event with the schedule that real runs use.

A worker waits for the driver, which serves one message at a time; trains a wave; and writes it into a store that all
share, one after another at the store's rate. Workers are lost at random and replaced, and their waves go on from the
last save. What each of these takes was measured (`benchmarks.cluster`), or is an assumption that is stated with the results.
"""

import heapq
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from random import Random
from typing import Any, Final

from sweep.runs.executors.schedule import Schedule

WORKERS: Final = (10, 30, 100, 300, 1000)
WAVE_SECONDS: Final = (1.0, 10.0, 60.0)
SAVE_SECONDS: Final = 10.0  # between two saves of a wave: what is trained after one is lost with the worker


@dataclass(frozen=True)
class Cluster:
    """What a cluster is assumed to be.

    Args:
        workers: how many.
        wave_seconds: for which a worker trains a wave.
        spread: standard deviation of that, as a share of it.
        message_seconds: of the driver, for all messages of one wave.
        wave_bytes: that are written of one wave.
        store_rate: bytes a second that the store takes from all workers together.
        hours_between_losses: of one worker, on average; exponentially distributed.
        replacement_seconds: until a lost worker trains again: start, JAX, compiling.
        waves_each: how many waves there are for each worker.
    """

    workers: int
    wave_seconds: float
    spread: float
    message_seconds: float
    wave_bytes: float
    store_rate: float
    hours_between_losses: float
    replacement_seconds: float
    waves_each: int = 20


class _Queue:
    """Something that serves one after another."""

    def __init__(self) -> None:
        self.free, self.busy = 0.0, 0.0

    def serve(self, now: float, seconds: float) -> float:
        """Return when what comes now has been served."""
        self.free = max(self.free, now) + seconds
        self.busy += seconds
        return self.free


class _Simulation:
    def __init__(self, cluster: Cluster, seed: int) -> None:
        self.cluster, self.chance = cluster, Random(seed)
        self.schedule = Schedule(range(cluster.workers * cluster.waves_each))
        self.driver, self.store = _Queue(), _Queue()
        self.left: dict[int, float] = {}  # seconds that a wave still has to be trained, where it was saved
        self.lost, self.events, self._number = 0, list[tuple[float, int, Callable[[float], None]]](), count()

    def at(self, time: float, what: Callable[[float], None]) -> None:
        heapq.heappush(self.events, (time, next(self._number), what))

    def run(self) -> float:
        """Return the seconds until all waves have ended."""
        for worker in range(self.cluster.workers):
            self.at(0.0, lambda now, worker=worker: self.ask(worker, now))
        now = 0.0
        while not self.schedule.is_done():
            now, _, what = heapq.heappop(self.events)
            what(now)
        return now

    def ask(self, worker: int, now: float) -> None:
        """Let the driver give a wave to a worker."""
        ready = self.driver.serve(now, self.cluster.message_seconds)
        if waves := self.schedule.assign(worker, 1, self.cluster.workers):
            self.train(worker, waves[0], ready)
        else:  # a lost wave may come back
            self.at(now + 5.0, lambda later: self.ask(worker, later))

    def train(self, worker: int, wave: int, now: float) -> None:
        one = self.cluster
        seconds = self.left.setdefault(wave, one.wave_seconds * max(0.1, self.chance.gauss(1.0, one.spread)))
        until_lost = self.chance.expovariate(1 / (3600 * one.hours_between_losses))
        if until_lost < seconds:
            self.left[wave] = seconds - until_lost // SAVE_SECONDS * SAVE_SECONDS
            self.at(now + until_lost, lambda later: self.lose(worker, later))
        else:
            self.at(now + seconds, lambda later: self.write(worker, wave, later))

    def write(self, worker: int, wave: int, now: float) -> None:
        def end(later: float) -> None:
            self.schedule.ended(worker, wave)
            self.ask(worker, later)

        self.at(self.store.serve(now, self.cluster.wave_bytes / self.cluster.store_rate), end)

    def lose(self, worker: int, now: float) -> None:
        self.lost += 1
        self.schedule.gone(worker)
        self.at(now + self.cluster.replacement_seconds, lambda later: self.ask(worker, later))


def simulate(cluster: Cluster, seed: int = 0) -> dict[str, Any]:
    """Simulate one sweep.

    Returns:
        The speed-up over one worker that is never lost and waits for nothing; how much of that is reached of the number
        of workers; the shares of the time in which the driver and the store were busy; and losses.
    """
    simulation = _Simulation(cluster, seed)
    seconds = simulation.run()
    alone = cluster.workers * cluster.waves_each * cluster.wave_seconds
    return {
        "workers": cluster.workers,
        "wave_seconds": cluster.wave_seconds,
        "speed_up": alone / seconds,
        "efficiency": alone / seconds / cluster.workers,
        "driver_busy": simulation.driver.busy / seconds,
        "store_busy": simulation.store.busy / seconds,
        "lost": simulation.lost,
    }
