"""The workers of a sweep: starting them, hearing from them, replacing those that were lost."""

import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from threading import Thread
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
MOST_FALLS: Final = 5  # of a worker that has told nothing in between
DESERTED: Final = 600.0  # seconds without any worker after which the run ends
_LONG_POLL: Final = 0.5  # seconds that a worker waits for something to tell
_AGAIN: Final = 1.0  # seconds between two questions to a worker that is being started
_ANSWERING: Final = 3.0  # seconds in which the head of a cluster should answer
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
        asked_at: when that question was sent.
        heard: when it last told something, or was given something to do.
        busy: whether it compiles or has waves, so that there must be news.
        silence: seconds without news after which it is given up while it is busy.
        falls: how often it was lost since it last told something.
    """

    number: int
    actor: Any
    pending: Any = None
    description: Description | None = None
    lease: str = ""
    asked: str = ""
    orders: list[int] = field(default_factory=list)
    asked_at: float = 0.0
    busy: bool = False
    heard: float = field(default_factory=time.monotonic)
    silence: float = COMPILING
    falls: int = 0

    def is_silent(self) -> bool:
        """Tell whether it has told nothing for too long: it does not answer, or says each time that there is nothing.

        What counts is when a question was sent, so that nobody is given up after this process itself stood still.
        """
        unanswered = self.pending is not None and time.monotonic() - self.asked_at > self.silence
        return bool(self.lease) and self.busy and (unanswered or self.asked_at - self.heard > self.silence)

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
        self._nodes = Nodes(ray)
        self.capacity = self._look(devices)
        self.members: dict[int, Member] = {}
        self._there = time.monotonic()  # when a worker was last there
        self._next_look = self._there + _LOOKING
        self._next_number = self._dismissed = 0
        self._hire()

    def _look(self, devices: int | None) -> Capacity:
        nodes = [Node(own.get("CPU", 0.0), own.get("GPU", 0.0)) for own in self._nodes.alive()]
        return share_out(nodes, self._wanted, devices)

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
            devices = (self.capacity.gpus or self.capacity.cpus) if self.members else self._devices
            found = self._look(devices)
            if found.places and bool(found.gpus) == bool(self.capacity.gpus or not self.members):
                self.capacity = found
                self._hire()

    def refuse_to_wait(self) -> None:
        """Refuse workers that will never have a place: on one machine, which no other joins.

        Raises:
            SweepError: if there are to be more than there are places.
        """
        capacity, wanted = self.capacity, max(1, self.capacity.workers)
        if len(self._nodes.alive()) == 1 and wanted > capacity.places:
            each = capacity.gpus or capacity.cpus
            raise SweepError(
                f"this machine has place for {capacity.places} worker{'s' * (capacity.places != 1)} of {each} "
                f"device{'s' * (each != 1)}, and {wanted} should run: ask for less with --workers or --devices, or "
                f"name a cluster with --address"
            )

    def is_deserted(self) -> bool:
        """Tell whether no worker was there for `DESERTED` seconds."""
        now = time.monotonic()
        if self.ready():
            self._there = now
        return now > self._there + DESERTED

    def start(self, obey: Callable[[], None]) -> list[Description]:
        """Wait until the workers that have a place have described themselves.

        Raises:
            SweepError: if none has within `STARTING`, or if none can be used.
        """
        begun, reason, told = time.monotonic(), "", False
        while len(self.ready()) < max(1, min(self.capacity.places, len(self.members))):
            obey()
            for member, news in self.collect(_LONG_POLL):
                reason = news.reason if isinstance(news, Lost | Unfit) else reason
                if isinstance(news, Unfit):
                    self.dismiss(member)
            self.grow()
            waited = time.monotonic() - begun
            if not told and waited > TELLING:
                told = True
                self._say_who_is_there()
            if waited > STARTING and self.ready():
                break
            if waited > STARTING or (self._dismissed and not self.members):
                raise SweepError(
                    f"no worker could be started{f': {reason}' if reason else ''}: the cluster has place for "
                    f"{self.capacity.places}"
                )
        return [member.description for member in self.ready() if member.description]

    def _say_who_is_there(self) -> None:
        warnings.warn(
            f"{len(self.ready())} of {self.capacity.workers} workers have started; the cluster has place for "
            f"{self.capacity.places}, if nobody else uses it",
            SweepWarning,
            stacklevel=2,
        )

    def ready(self) -> list[Member]:
        """List the workers that have described themselves."""
        return [member for member in self.members.values() if member.description is not None]

    def begin(self, member: Member, task: Task) -> None:
        """Let a worker get ready for a task."""
        member.lease, member.silence, member.orders, member.busy = task.lease, COMPILING, [], True
        member.heard = member.asked_at = time.monotonic()
        member.pending = member.actor.begin.remote(task)

    def give(self, member: Member, waves: Sequence[int]) -> None:
        """Give waves to a worker, with the next question."""
        if not member.busy:
            member.heard = time.monotonic()
        member.busy = True
        member.orders.extend(waves)

    def stop(self, member: Member) -> None:
        """Let a worker save and stop."""
        member.actor.stop.remote()

    def dismiss(self, member: Member) -> None:
        """End a worker for good."""
        self._dismissed += self.members.pop(member.number, None) is not None
        with suppress(Exception):  # of a cluster that has ended, or a connection that was lost
            self._ray.kill(member.actor)

    def collect(self, patience: float) -> Iterator[tuple[Member, News | Arrived | Lost | Unfit]]:
        """Hear from workers.

        Args:
            patience: for how many seconds to wait if nobody says anything.

        Yields:
            Workers, each with something that it has told, or that has happened to it.
        """
        now = time.monotonic()
        for member in self.members.values():
            if member.pending is None and member.description is None:
                if now > member.asked_at + _AGAIN:
                    member.pending, member.asked_at = member.actor.describe.remote(), now
            elif member.pending is None and member.lease:
                member.pending = member.actor.exchange.remote(member.orders, _LONG_POLL)
                member.orders, member.asked, member.asked_at = [], member.lease, now
        for member, reference in self._answers(patience):
            member.pending = None
            for news in self._hear(member, reference):
                yield member, news
        for member in [each for each in self.members.values() if each.is_silent()]:
            yield member, self._lose(member, f"it gave no sign of life for {member.silence:.0f} s")
        for member in [each for each in self.members.values() if each.falls >= MOST_FALLS]:
            self.dismiss(member)
            yield member, Unfit(f"it was lost {MOST_FALLS} times before it was ready")

    def _answers(self, patience: float) -> list[tuple[Member, Any]]:
        """Wait until a worker has answered, and give all answers that are there."""
        asked = {member.pending: member for member in self.members.values() if member.pending is not None}
        if not asked:
            time.sleep(patience)
            return []
        try:
            answered, others = self._ray.wait(list(asked), timeout=patience)
            if answered and others:
                answered += self._ray.wait(others, num_returns=len(others), timeout=0)[0]
        except ConnectionError as error:  # of Ray's client
            raise SweepError(f"the connection to Ray was lost ({error}): --resume goes on") from error
        return [(asked[reference], reference) for reference in answered]

    def _hear(self, member: Member, reference: Any) -> Iterator[News | Arrived | Lost | Unfit]:
        errors = self._ray.exceptions
        try:
            answer = self._ray.get(reference)
        except errors.RayTaskError as error:  # raised by our own code in the worker
            yield Unfit(_last_line(error))
        except errors.ActorUnavailableError:
            if member.description is not None:
                yield self._lose(member, "its process ended")
            # else it is being started, and is asked again
        except errors.RayError as error:
            if member.description is None and isinstance(error, errors.ActorDiedError):  # it can't even be started
                owner = "owner" in str(error)  # this process, in Ray's words: what connects it to Ray has ended
                yield Unfit("Ray has ended on this machine" if owner else _last_line(error))
            else:
                yield self._lose(member, "its process ended")
        else:
            if isinstance(answer, Description):
                member.description, member.heard = answer, time.monotonic()
                yield Arrived()
                return
            if answer is None:  # it has begun
                return
            lease, news = answer
            if lease != member.lease:
                if member.asked == member.lease:  # it was started again, and knows nothing of its task
                    yield self._lose(member, "its process ended")
                return
            if news:
                member.heard, member.falls = time.monotonic(), 0
            yield from news

    def _lose(self, member: Member, reason: str) -> Lost:
        """Let Ray replace a worker that was lost."""
        with_node, name, lease = self._is_node_gone(member), member.name(), member.lease
        if member.pending is not None:  # it hangs
            self._ray.kill(member.actor, no_restart=False)
        member.description, member.lease, member.orders, member.busy = None, "", [], False
        member.falls += not with_node
        member.pending, member.asked_at = None, time.monotonic()
        return Lost(name, lease, "its machine is gone" if with_node else reason, with_node)

    def _is_node_gone(self, member: Member) -> bool:
        """Tell whether the machine of a worker is gone, if Ray knows that already, which may take it some seconds."""
        return member.description is not None and member.description.node in self._nodes.gone()


class Nodes:
    """The machines of a cluster, asked for in a thread: Ray waits for its head for ever, we do not.

    Args:
        ray: the package, connected.
    """

    def __init__(self, ray: ModuleType) -> None:
        self._ray, self._known, self._asking = ray, list[dict[str, Any]](), Thread()

    def _ask(self) -> list[dict[str, Any]]:
        def ask() -> None:
            with suppress(Exception):
                self._known = self._ray.nodes()

        if not self._asking.is_alive():
            self._asking = Thread(target=ask, daemon=True)
            self._asking.start()
        self._asking.join(_ANSWERING)
        return self._known

    def alive(self) -> list[dict[str, float]]:
        """List what each machine has, as far as is known."""
        return [node["Resources"] for node in self._ask() if node["Alive"]]

    def gone(self) -> set[str]:
        """Name the machines that are known to be gone."""
        return {node["NodeID"] for node in self._ask() if not node["Alive"]}


def _last_line(error: Exception) -> str:
    """Give the message of an error that was raised in a worker: the last line of its traceback, without the kind."""
    line = [line for line in str(error).strip().splitlines() if line.strip()][-1].strip()
    return line.partition("SweepError: ")[2] or line
