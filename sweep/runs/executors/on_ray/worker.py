"""A worker: the process that Ray starts, in which waves are trained.

JAX is loaded after the process was set up, so nothing here imports it before.
"""

import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Final

from sweep.base.errors import REMEDIES, SweepError
from sweep.base.signals import Terminated
from sweep.runs import compile_cache
from sweep.runs.events import Compiled, Ended
from sweep.runs.executors.on_ray.mailbox import Mailbox
from sweep.runs.executors.on_ray.messages import Description, Failed, News, Refused, Settings, Stopped, Task

if TYPE_CHECKING:
    from sweep.engine.plan import Plan
    from sweep.results.store import Store

_MOST_CHARACTERS: Final = 300  # of an error


class _Shift:
    """A task that a worker has, and what is heard of it.

    Args:
        task: the task.
        before: what the worker did before; a sweep that waits for others at a rung comes back as a new task.
    """

    def __init__(self, task: Task, before: "_Shift | None") -> None:
        self.task, self.mailbox, self.stopping = task, Mailbox(), threading.Event()
        same = before is not None and replace(before.task, lease=task.lease) == task
        self._before = before if same else None
        self.ready: tuple[Plan, Store] | None = None
        self._held = ExitStack()

    def obey(self) -> None:
        """Raise if it was asked to stop."""
        if self.stopping.is_set():
            raise Terminated(signal.SIGTERM)

    def prepare(self) -> None:
        """Plan and compile."""
        from sweep.engine.prepare import prepare
        from sweep.runs.executors.on_ray.tasks import open_store, plan_task

        with self._telling(-1):
            store = self._held.enter_context(open_store(self.task))
            known = self._before and self._before.ready
            plan = known[0] if known else plan_task(self.task, store)
            begin = time.perf_counter()
            prepare(plan, self.obey)
            self.ready, self._before = (plan, store), None
            self.mailbox.put(Compiled(time.perf_counter() - begin))

    def close(self) -> None:
        """Leave the store."""
        with suppress(Exception):  # the lease may have ended, or a bucket may not answer
            self._held.close()

    def train(self, wave: int) -> None:
        """Run a wave, unless it was asked to stop, or could not get ready."""
        from sweep.runs.executors.local import run_wave
        from sweep.runs.shares import trained_steps

        if self.ready is None or self.stopping.is_set():
            return
        with self._telling(wave):
            plan, store = self.ready
            own = plan.waves[wave]
            store.fetch_wave(own.start, own.start + own.places)
            if store.stored_places()[own.start]:  # by a worker that was lost before it could tell
                self.mailbox.put(Ended(wave, trained_steps(plan, store, {wave})))
                return
            for event in run_wave(plan, wave, store, self.obey):
                self.mailbox.put(event)

    @contextmanager
    def _telling(self, wave: int) -> Iterator[None]:
        """Put errors into the mailbox as plain values."""
        from sweep.engine.prepare import OutOfMemoryError

        try:
            yield
        except Terminated:
            pass  # `stop` is answered after what was ordered before it
        except OutOfMemoryError as error:
            self.mailbox.put(Failed(wave, str(error), out_of_memory=True))
        except Exception as error:
            if isinstance(error, OSError) and error.errno in REMEDIES:  # of the store, such as a full disk
                self.mailbox.put(Failed(wave, str(error.strerror), error.errno))
                return
            self.mailbox.put(Refused(_one_line(error)) if wave < 0 else Failed(wave, _one_line(error)))


class Worker:
    """A process that trains waves. Ray calls its methods one after another; a thread of its own trains.

    Args:
        settings: how the process is set up.
    """

    def __init__(self, settings: Settings) -> None:
        self._trouble: SweepError | None = None
        try:
            set_up(settings)
        except SweepError as error:  # raised here it would come as a long text of Ray's
            self._trouble = error
        self._shift: _Shift | None = None
        self._orders: SimpleQueue[Callable[[], None]] = SimpleQueue()
        threading.Thread(target=self._work, name="training", daemon=True).start()

    def _work(self) -> None:
        while True:
            self._orders.get()()

    def describe(self) -> Description:
        """Describe the process and its devices.

        Raises:
            SweepError: if JAX can't be used here.
        """
        if self._trouble is not None:
            raise self._trouble
        return describe()

    def begin(self, task: Task) -> None:
        """Get ready for a task, which takes as long as compiling: then there is a `Compiled`, or a `Refused`."""
        if self._shift is not None:
            self._shift.stopping.set()
            self._orders.put(self._shift.close)
        self._shift = _Shift(task, self._shift)
        self._orders.put(self._shift.prepare)

    def exchange(self, waves: list[int], patience: float) -> tuple[str, list[News]]:
        """Take over waves, and tell what has happened.

        Args:
            waves: numbers of waves, which are run after those that it has.
            patience: for how many seconds it waits for something to happen.

        Returns:
            The lease of its task, "" if it has none; and the news.
        """
        if self._shift is None:
            return "", []
        for wave in waves:
            self._orders.put(partial(self._shift.train, wave))
        return self._shift.task.lease, self._shift.mailbox.take(patience)

    def stop(self) -> None:
        """Save what is being trained and drop all other waves; then there is a `Stopped`."""
        if self._shift is not None:
            self._shift.stopping.set()
            self._orders.put(partial(self._shift.mailbox.put, Stopped()))


def set_up(settings: Settings) -> None:
    """Set this process up, before it loads JAX.

    Raises:
        SweepError: if its machine has not the working directory.
    """
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        with suppress(ValueError):  # Ray may call from another thread
            signal.signal(number, signal.SIG_IGN)  # they are for the process that started the sweep, which tells us
    os.environ.update(settings.environment)
    try:
        os.chdir(settings.directory)
    except OSError as error:
        raise SweepError(
            f"{socket.gethostname()} has no folder {settings.directory} ({error.strerror}), where the sweep was "
            f"started: all machines need that folder, with the page"
        ) from error
    compile_cache.use(Path(settings.compile_cache) if settings.compile_cache else None)


def describe() -> Description:
    """Describe this process and its devices.

    Raises:
        SweepError: if JAX can't be used here.
    """
    import jax
    import ray

    from sweep.engine.cost import free_memory
    from sweep.runs.devices import check_environment, use_all_cores
    from sweep.runs.provenance import common_versions

    use_all_cores()
    check_environment()
    devices, node = jax.devices(), ray.get_runtime_context().get_node_id()
    return Description(
        node=node,
        host=socket.gethostname(),
        pid=os.getpid(),
        platform=devices[0].platform,
        kind=devices[0].device_kind,
        count=len(devices),
        memory=free_memory(devices),
        versions=common_versions(),
    )


def _one_line(error: Exception) -> str:
    first = next(iter(str(error).strip().splitlines()), "")
    return f"{type(error).__name__}: {first}"[:_MOST_CHARACTERS]
