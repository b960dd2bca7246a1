"""Which worker runs which wave: pure bookkeeping, without processes or clocks."""

from collections import deque
from collections.abc import Hashable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Final

from sweep.runs.events import Failure

MOST_ERRORS: Final = 3  # tries of a wave in which its code raised an error
MOST_DEATHS: Final = 5  # workers that died over a wave, one after another, none further than the ones before


class Schedule:
    """The waves that wait, those that each worker has, and how often each was tried.

    Args:
        waves: numbers of the waves, in the order in which they are given to workers.
    """

    def __init__(self, waves: Iterable[int]) -> None:
        self._waiting = deque(waves)
        self._held: dict[Hashable, deque[int]] = {}
        self._errors: dict[int, int] = {}
        self._shunned: dict[int, set[Hashable]] = {}  # by whom a wave has raised an error
        self._deaths: dict[int, int] = {}
        self._furthest: dict[int, int] = {}
        self._failures: list[Failure] = []
        self.retries = 0

    def is_done(self) -> bool:
        """Tell whether all waves have ended or are given up."""
        return not self._waiting and not any(self._held.values())

    def failures(self) -> list[Failure]:
        """List the waves that are given up, as they came."""
        return list(self._failures)

    def held_by(self, worker: Hashable) -> Sequence[int]:
        """List the waves that a worker has; it runs the first of them."""
        return tuple(self._held.get(worker, ()))

    def assign(self, worker: Hashable, ahead: int, workers: int) -> list[int]:
        """Give waves to a worker.

        It has one at a time, and more only of short waves, and only while there are enough for all: at the end none
        should have to wait for a worker that has several.

        Args:
            worker: the worker.
            ahead: how many it should have, if waves are short.
            workers: how many workers there are.

        Returns:
            The waves that are new for it.
        """
        held = self._held.setdefault(worker, deque())
        share = max(1, min(ahead, len(self._waiting) // (2 * workers)))
        new = list(islice(self._for(worker, workers), max(0, share - len(held))))
        for wave in new:
            self._waiting.remove(wave)
        held.extend(new)
        return new

    def _for(self, worker: Hashable, workers: int) -> Iterator[int]:
        """Yield the waves that wait, without those that have raised an error in this worker: it may be its fault."""
        for wave in self._waiting:
            shunned = self._shunned.get(wave, ())
            if worker not in shunned or len(shunned) >= workers:
                yield wave

    def advanced(self, wave: int, done: int) -> None:
        """Note how many steps a wave has completed: who gets further than others before did not die in vain."""
        if done > self._furthest.get(wave, 0):
            self._furthest[wave] = done
            self._deaths.pop(wave, None)

    def ended(self, worker: Hashable, wave: int) -> None:
        """Note that a worker has ended a wave."""
        self._held[worker].remove(wave)

    def failed(self, worker: Hashable, wave: int, error: str) -> Failure | None:
        """Note that a wave has raised an error in its worker; it waits again, unless that was its last try."""
        self._held[worker].remove(wave)
        self._shunned.setdefault(wave, set()).add(worker)
        return self._again(wave, error, self._errors, MOST_ERRORS)

    def died(self, worker: Hashable, error: str) -> Failure | None:
        """Note that a worker has died, or hangs, which may be the fault of the wave that it ran; all its waves wait."""
        held = self._held.pop(worker, deque[int]())
        if not held:
            return None
        running = held.popleft()
        self._waiting.extendleft(reversed(held))
        return self._again(running, error, self._deaths, MOST_DEATHS)

    def gone(self, worker: Hashable) -> None:
        """Note that a worker is gone through no fault of its wave, such as with its node: all its waves wait again."""
        waves = self._held.pop(worker, ())
        self.retries += bool(waves)
        self._waiting.extendleft(reversed(waves))

    def _again(self, wave: int, error: str, counts: dict[int, int], most: int) -> Failure | None:
        counts[wave] = counts.get(wave, 0) + 1
        if counts[wave] < most:
            self.retries += 1
            self._waiting.appendleft(wave)
            return None
        self._failures.append(Failure(wave, error, counts[wave]))
        return self._failures[-1]
