"""Running the waves of one plan on workers: who gets which wave, and what happens when a worker is lost."""

import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from math import ceil
from typing import Final

from sweep.base.errors import SweepError, SweepWarning
from sweep.engine.plan import Plan
from sweep.engine.prepare import OutOfMemoryError
from sweep.files.owners import new_token
from sweep.results.store import Store
from sweep.runs.events import Advanced, Compiled, Ended, Event, Executed, Staff, Waiting, WorkerShare
from sweep.runs.executors.on_ray.crew import DESERTED, SILENCE, Arrived, Crew, Lost, Member, Unfit
from sweep.runs.executors.on_ray.messages import Failed, News, Refused, Stopped, Task
from sweep.runs.executors.schedule import Schedule
from sweep.runs.provenance import common_versions

WAIT: Final = 0.2  # seconds between two looks for signals
SAVING: Final = 60.0  # seconds in which workers must have saved after a signal
SHORT: Final = 0.5  # seconds of work that a worker has ahead, of waves that are shorter


class Run:
    """The waves of one plan, and who has them.

    Args:
        crew: the workers.
        task: what they are told.
        plan: the plan.
        store: the store.
        waves: numbers of the waves in the plan.
        counts: what is counted of workers, also in the runs before.
    """

    def __init__(
        self, crew: Crew, task: Task, plan: Plan, store: Store, waves: Sequence[int], counts: "Counts"
    ) -> None:
        self._crew, self._task, self._plan, self._store, self._counts = crew, task, plan, store, counts
        self._schedule = Schedule(waves)
        self._working: dict[int, Member] = {}
        self._retries = counts.retries
        self._begin, self._ended = time.monotonic(), 0
        self._reason = "no worker is left"

    def to_the_end(self, obey: Callable[[], None]) -> Iterator[Event]:
        """Run all waves.

        Args:
            obey: raises an exception if a signal has come.

        Raises:
            OutOfMemoryError: if a wave does not fit.
            SweepError: if no worker can be used.
        """
        self._store.end_leases([])  # from now on there is a file, which is read anew each time, also on NFS
        for member in self._crew.ready():
            self._begin_with(member)
        while not self._schedule.is_done():
            obey()
            for member, news in self._crew.collect(WAIT):
                yield from self._take(member, news)
            self._crew.grow()
            self._give()
            if not self._crew.members:
                raise SweepError(f"no worker can be used: {self._reason}; finished lanes are stored, --resume goes on")
            if self._crew.is_deserted():
                raise SweepError(
                    f"no worker was there for {DESERTED:.0f} s: finished lanes are stored, --resume goes on when the "
                    f"cluster has machines again"
                )

    def save(self) -> Iterator[Event]:
        """Let all workers save and stop, and wait until they have."""
        busy = {number for number in self._working if self._schedule.held_by(number)}
        for number in busy:
            self._crew.stop(self._working[number])
        deadline = time.monotonic() + SAVING
        while busy and time.monotonic() < deadline:
            for member, news in self._crew.collect(WAIT):
                if isinstance(news, Stopped | Lost | Unfit | Failed):
                    busy.discard(member.number)
                elif not isinstance(news, Arrived | Refused):
                    yield from self._note(member, news)

    def release(self) -> None:
        """End the leases of all workers, which then have no task."""
        leases = [member.lease for member in self._crew.members.values() if member.lease]
        for member in self._crew.members.values():
            member.lease, member.busy = "", False
        if leases:
            with suppress(SweepError):  # if the store was taken over, they have ended with its lock
                self._store.end_leases(leases)

    def _begin_with(self, member: Member) -> None:
        """Give the task to a worker, if its device and packages are those of the plan."""
        devices, known = self._plan.devices, member.description
        assert known is not None
        if (known.platform, known.kind) != (devices.platform, devices.kind) or known.count < devices.count:
            wanted = f"{devices.count} x {devices.kind} ({devices.platform})"
            self._refuse(member, f"it has {known.words()}, and the store holds results of {wanted}")
            return
        for package, version in common_versions().items():
            if known.versions.get(package) != version:
                self._refuse(member, f"it has {package} {known.versions.get(package)}, here it is {version}")
                return
        self._crew.begin(member, replace(self._task, lease=new_token()))
        self._counts.shares.setdefault(member.number, WorkerShare(member.number + 1, known.host, known.words()))

    def _refuse(self, member: Member, reason: str) -> None:
        if member.lease:
            self._store.end_leases([member.lease])
        self._reason = f"{member.name()}: {reason}"
        _say(f"{member.name()} is not used: {reason}")
        self._working.pop(member.number, None)
        self._crew.dismiss(member)

    def _take(self, member: Member, news: News | Arrived | Lost | Unfit) -> Iterator[Event]:
        """Take what a worker has told, or what has happened to it."""
        if isinstance(news, Arrived):
            again = member.number in self._counts.shares and self._counts.shares[member.number].lost
            self._begin_with(member)
            if again and member.number in self._crew.members:
                _say(f"{member.name()} is there in place of the one that was lost")
        elif isinstance(news, Lost):
            yield from self._lost(member, news)
        elif isinstance(news, Unfit | Refused):
            self._refuse(member, news.reason)
            self._schedule.gone(member.number)
        elif isinstance(news, Failed):
            yield from self._failed(member, news)
        elif not isinstance(news, Stopped):
            yield from self._note(member, news)
        if isinstance(news, Arrived | Lost | Unfit | Refused | Compiled | Ended):
            yield self._staff()

    def _note(self, member: Member, event: Event) -> Iterator[Event]:
        """Count an event, and pass it on."""
        share = self._counts.shares[member.number]
        if isinstance(event, Compiled):
            member.silence, member.busy = SILENCE, False
            self._working[member.number] = member
        elif isinstance(event, Advanced):
            self._schedule.advanced(event.wave, event.done)
        elif isinstance(event, Executed):
            executed, seconds = share.executed + event.executed, share.seconds + event.seconds
            self._counts.shares[member.number] = replace(share, executed=executed, seconds=seconds)
        elif isinstance(event, Ended | Waiting):
            own = self._plan.waves[event.wave]
            self._store.fetch_wave(own.start, own.start + own.places)  # if only the worker has what it wrote
            self._schedule.ended(member.number, event.wave)
            member.busy = bool(self._schedule.held_by(member.number))
            self._ended += 1
            self._counts.shares[member.number] = replace(share, waves=share.waves + isinstance(event, Ended))
        yield event

    def _failed(self, member: Member, news: Failed) -> Iterator[Event]:
        if news.out_of_memory:
            raise OutOfMemoryError(news.error)
        if news.number:
            raise OSError(news.number, news.error)
        failure = self._schedule.failed(member.number, news.wave, news.error)
        member.busy = bool(self._schedule.held_by(member.number))
        if failure is None:
            _say(f"wave {news.wave + 1} failed on {member.name()} ({news.error}): it is tried again")
        else:
            yield failure

    def _lost(self, member: Member, news: Lost) -> Iterator[Event]:
        """End the lease of a worker that was lost, and give its waves to others."""
        self._working.pop(member.number, None)
        share = self._counts.shares[member.number]
        self._counts.shares[member.number] = replace(share, lost=share.lost + 1)
        if news.lease:
            self._store.end_leases([news.lease])
        running = self._schedule.held_by(member.number)
        failure = None
        if news.with_node:
            self._schedule.gone(member.number)
        else:
            failure = self._schedule.died(member.number, f"its worker was lost, as {news.reason}")
        again = f": wave {running[0] + 1} runs again from its last checkpoint" if running and not failure else ""
        _say(f"{news.name} was lost, as {news.reason}{again}")
        if failure:
            yield failure

    def _give(self) -> None:
        """Give waves to all workers that have too few."""
        for number, member in self._working.items():
            if new := self._schedule.assign(number, self._ahead(), len(self._working)):
                self._crew.give(member, new)

    def _ahead(self) -> int:
        """Give the number of waves that a worker should have: one, but some of short ones."""
        if not self._ended:
            return 1
        seconds = (time.monotonic() - self._begin) * len(self._working) / self._ended
        return max(1, ceil(SHORT / seconds))

    def _staff(self) -> Staff:
        self._counts.retries = self._retries + self._schedule.retries
        shares = tuple(self._counts.shares[number] for number in sorted(self._counts.shares))
        return Staff(len(self._working), self._crew.capacity.workers, self._counts.retries, shares)


@dataclass
class Counts:
    """What is counted of workers, from rung to rung and with waves that were halved.

    Args:
        shares: what each has done, by its number.
        retries: how often a wave had to be run again.
    """

    shares: dict[int, WorkerShare] = field(default_factory=dict)
    retries: int = 0


def _say(message: str) -> None:
    warnings.warn(message, SweepWarning, stacklevel=3)
