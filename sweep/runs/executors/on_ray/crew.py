"""The workers of a sweep: starting them, hearing from them, replacing those that were lost."""

import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, Final

from sweep.base.errors import SweepError, SweepWarning
from sweep.runs.executors.on_ray.capacity import Capacity, Node, share_out
from sweep.runs.executors.on_ray.messages import Description, News, Settings, Task
from sweep.runs.executors.on_ray.worker import Worker

STARTING: Final = 180.0  # seconds in which at least one worker must have started
TELLING: Final = 20.0  # seconds of waiting for them after which that is said
SILENCE: Final = 600.0  # seconds without news after which a worker that trains is given up
COMPILING: Final = 3600.0  # the same for one that compiles
_LONG_POLL: Final = 0.5  # seconds that a worker waits for something to tell
_LOOKING: Final = 5.0  # seconds between two looks for machines that have joined


@dataclass(frozen=True)
class Arrived:
    """A worker has started, or was started again."""


@dataclass(frozen=True)
class Lost:
    """A worker was lost; Ray starts another in its place.

    Args:
        name: its name for users.
        lease: the name of the lease that it had; "" if it had none.
        reason: why, in words.
        with_node: whether its machine is gone, so that it is not the fault of what it did.
    """

    name: str
    lease: str
    reason: str
    with_node: bool


@dataclass(frozen=True)
class Unfit:
    """A worker can't be used, and is not replaced.

    Args:
        reason: why, in one line.
    """

    reason: str


@dataclass
class Member:
    """A worker as it is seen from here.

    Args:
        number: its number, which its replacements have too.
        actor: Ray's handle.
        pending: Ray's reference to the answer that is awaited; None for a worker that is not asked anything.
        description: as it has described itself; None while it starts.
        lease: the name of its lease; "" before it has one.
        asked: the lease under which it was asked; the answer may come when it has another one.
        orders: waves that it will be given with the next question.
        seen: number of its last answer that has arrived.
        heard: when it last told something.
        silence: seconds without news after which it is given up.
    """

    number: int
    actor: Any
    pending: Any = None
    description: Description | None = None
    lease: str = ""
    asked: str = ""
    orders: list[int] = field(default_factory=list)
    seen: int = 0
    heard: float = field(default_factory=time.monotonic)
    silence: float = COMPILING

    def name(self) -> str:
        """Name it for users."""
        known = self.description
        return f"worker {self.number + 1}" + (f" (process {known.pid} on {known.host})" if known else "")


class Crew:
    """Workers, of which Ray replaces those that die.

    Args:
        ray: the package, connected.
        settings: how their processes are set up.
        workers: how many; None is as many as the cluster has a place for, also later when machines join.
        devices: devices of each; None is one GPU, or a share of the cores.
    """

    def __init__(self, ray: ModuleType, settings: Settings, workers: int | None, devices: int | None) -> None:
        self._ray, self._settings, self._wanted, self._devices = ray, settings, workers, devices
        self.capacity = self._look()
        self.members: dict[int, Member] = {}
        self._next_look = time.monotonic() + _LOOKING
        self._next_number = 0
        self._hire()

    def _look(self) -> Capacity:
        nodes = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        return share_out(
            [Node(each.get("CPU", 0.0), each.get("GPU", 0.0)) for each in nodes], self._wanted, self._devices
        )

    def _hire(self) -> None:
        """Start workers until there are as many as there are to be."""
        capacity = self.capacity
        environment = dict(self._settings.environment)
        if not capacity.gpus:
            environment |= {"JAX_NUM_CPU_DEVICES": str(capacity.cpus), "PJRT_NPROC": str(capacity.cpus)}
            environment.setdefault("JAX_PLATFORMS", "cpu")
        settings = Settings(self._settings.directory, environment, self._settings.compile_cache)
        kind = self._ray.remote(Worker).options(
            num_cpus=capacity.cpus, num_gpus=capacity.gpus, max_restarts=-1, max_task_retries=0,
            scheduling_strategy="SPREAD",
        )  # fmt: skip
        while self._next_number < capacity.workers:
            member = Member(self._next_number, kind.remote(settings))
            member.pending = member.actor.describe.remote()
            self.members[member.number] = member
            self._next_number += 1

    def grow(self) -> None:
        """Start workers for machines that have joined, if as many are wanted as have a place."""
        now = time.monotonic()
        if self._wanted is None and now > self._next_look:
            self._next_look = now + _LOOKING
            found = self._look()
            if (found.cpus, found.gpus) == (self.capacity.cpus, self.capacity.gpus):
                self.capacity = found
                self._hire()

    def start(self, obey: Callable[[], None]) -> list[Description]:
        """Wait until the workers that have a place have described themselves.

        Raises:
            SweepError: if none has within `STARTING`, or if none can be used.
        """
        now, reason, told = time.monotonic(), "", False
        deadline = now + STARTING
        while (ready := self.ready()) != list(self.members.values())[: max(1, self.capacity.places)]:
            obey()
            for _, news in self.collect(_LONG_POLL):
                reason = news.reason if isinstance(news, Lost | Unfit) else reason
            if not told and time.monotonic() > now + TELLING:
                told = True
                warnings.warn(
                    f"{len(self.ready())} of {len(self.members)} workers have started; the cluster has place for "
                    f"{self.capacity.places}, if nobody else uses it",
                    SweepWarning,
                    stacklevel=2,
                )
            if not self.members or (not self.ready() and time.monotonic() > deadline):
                raise SweepError(
                    f"no worker could be started{f': {reason}' if reason else ''}: the cluster has place for "
                    f"{self.capacity.places}"
                )
            if time.monotonic() > deadline:
                break
        return [member.description for member in ready if member.description]

    def ready(self) -> list[Member]:
        """List the workers that have described themselves."""
        return [member for member in self.members.values() if member.description is not None]

    def begin(self, member: Member, task: Task) -> None:
        """Let a worker get ready for a task."""
        member.lease, member.silence, member.heard = task.lease, COMPILING, time.monotonic()
        member.seen = 0
        member.actor.begin.remote(task)

    def stop(self, member: Member) -> None:
        """Let a worker save and stop."""
        member.actor.stop.remote()

    def dismiss(self, member: Member) -> None:
        """End a worker for good."""
        self.members.pop(member.number, None)
        self._ray.kill(member.actor)

    def collect(self, patience: float) -> Iterator[tuple[Member, News | Arrived | Lost | Unfit]]:
        """Hear from workers.

        Args:
            patience: for how many seconds to wait if nobody says anything.

        Yields:
            Workers, each with something that it has told, or that has happened to it.
        """
        for member in self.members.values():
            if member.lease and member.pending is None:
                member.pending = member.actor.exchange.remote(member.orders, member.seen, _LONG_POLL)
                member.orders, member.asked = [], member.lease
        asked = {member.pending: member for member in self.members.values() if member.pending is not None}
        answered, _ = self._ray.wait(list(asked), timeout=patience) if asked else ([], [])
        if not asked:
            time.sleep(patience)
        for reference in answered:
            member = asked[reference]
            member.pending = None
            for news in self._hear(member, reference):
                yield member, news
        for member in self._silent():
            yield member, self._lose(member, f"it gave no sign of life for {member.silence:.0f} s")

    def _hear(self, member: Member, reference: Any) -> Iterator[News | Arrived | Lost | Unfit]:
        errors = self._ray.exceptions
        try:
            answer = self._ray.get(reference)
        except errors.RayTaskError as error:  # raised by our own code in the worker
            self.dismiss(member)
            yield Unfit(_last_line(error))
        except errors.RayError as error:
            if member.description is None and isinstance(error, errors.ActorDiedError):  # it can't even be started
                self.dismiss(member)
                yield Unfit(_last_line(error))
            else:
                yield self._lose(member, "its process ended")
        else:
            if isinstance(answer, Description):
                member.description, member.heard = answer, time.monotonic()
                yield Arrived()
                return
            lease, number, news = answer
            if lease != member.lease:
                if member.asked == member.lease:  # it was started again, and knows nothing of its task
                    yield self._lose(member, "its process ended")
                return
            member.seen = number
            if news:
                member.heard = time.monotonic()
            yield from news

    def _silent(self) -> list[Member]:
        now = time.monotonic()
        return [each for each in self.members.values() if each.lease and now - each.heard > each.silence]

    def _lose(self, member: Member, reason: str) -> Lost:
        """Let Ray replace a worker that was lost."""
        with_node, name, lease = self._is_node_gone(member), member.name(), member.lease
        if member.pending is not None:  # it hangs
            self._ray.kill(member.actor, no_restart=False)
        member.description, member.lease, member.orders = None, "", []
        member.pending = member.actor.describe.remote()
        return Lost(name, lease, "its machine is gone" if with_node else reason, with_node)

    def _is_node_gone(self, member: Member) -> bool:
        node = member.description and member.description.node
        return any(each["NodeID"] == node and not each["Alive"] for each in self._ray.nodes())


def _last_line(error: Exception) -> str:
    """Give the message of an error that was raised in a worker: the last line of its traceback, without the kind."""
    line = [line for line in str(error).strip().splitlines() if line.strip()][-1].strip()
    return line.partition("SweepError: ")[2] or line
