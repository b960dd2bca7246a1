"""The executor that runs waves on Ray: how it plans, and when it stops."""

import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Final

import jax

from sweep.base.signals import Terminated
from sweep.engine.cost import step_seconds
from sweep.engine.plan import Devices, Fixed, Plan
from sweep.files.locks import Lock
from sweep.page.experiment import Experiment
from sweep.page.identity import fingerprint
from sweep.page.load import PAGE_MODULE
from sweep.results.store import Store
from sweep.runs.events import Event
from sweep.runs.executors.on_ray.connection import connected
from sweep.runs.executors.on_ray.crew import Crew
from sweep.runs.executors.on_ray.messages import Given, Ray, Settings, Source, Task, sent_environment
from sweep.runs.executors.on_ray.run import Counts, Run
from sweep.runs.planning import plan_for, share_among

WAVES_PER_WORKER: Final = (2, 1)  # two or more, so that none is long without work at the end; if that costs nothing


class RayExecutor:
    """Runs waves on workers of Ray.

    Args:
        crew: the workers.
        page: the experiment.
        source: where they get it from.
        memory: budget of each in bytes; None is half of what is free.
    """

    def __init__(self, crew: Crew, page: Experiment, source: Source, memory: int | None) -> None:
        self._crew, self._source, self._memory = crew, source, memory
        self._page, self._counts = page, Counts()

    def plan(self, experiment: Experiment, fixed: Fixed = Fixed()) -> Plan:
        """Plan a sweep for its workers: see `Executor`."""
        found = self._crew.start(lambda: None)
        kinds = Counter((each.platform, each.kind) for each in found)
        kind = fixed.kind if fixed.kind is not None and fixed.kind in kinds else kinds.most_common(1)[0][0]
        alike = [each for each in found if (each.platform, each.kind) == kind]
        together = Counter(each.host if each.platform == "cpu" else f"{each.node} {each.pid}" for each in alike)
        memory = self._memory or min(each.memory for each in alike) // 2 // max(together.values())
        devices, workers = Devices(*kind, min(each.count for each in alike)), self._crew.capacity.workers
        first, *others = WAVES_PER_WORKER
        plan = plan_for(devices, experiment, memory, fixed, parts=first * workers)
        if fixed.wave_lanes:  # by a store
            return plan
        plans = [plan, *(share_among(plan, fixed, each * workers) for each in others)]
        return min(plans, key=lambda plan: work_of_each(plan, workers))

    def run(self, plan: Plan, store: Store, waves: Sequence[int], obey: Callable[[], None]) -> Iterator[Event]:
        """Run some waves: see `Executor`."""
        run = Run(self._crew, self._task(plan, store), plan, store, waves, self._counts)
        try:
            yield from run.to_the_end(obey)
        except (KeyboardInterrupt, Terminated):
            yield from run.save()
            raise
        finally:
            run.release()

    def _task(self, plan: Plan, store: Store) -> Task:
        assert isinstance(store.lock, Lock), "who lets workers write holds the store"
        wanted = fingerprint(plan.experiment)
        own = wanted == fingerprint(self._page)  # otherwise it is what a store was that is to grow
        return Task(
            self._source if own else Given(plan.experiment), wanted, store.place, store.lock.token, "",
            plan.wave_lanes, plan.memory, plan.devices.count,
        )  # fmt: skip


def work_of_each(plan: Plan, workers: int) -> float:
    """Estimate the seconds that the busiest worker trains: a tile costs the same whether it is full or not.

    Args:
        plan: the plan.
        workers: how many workers there are.
    """
    programs = [
        sum(block.tiles * block.tile * block.training.steps * step_seconds(block.training.cost(), plan.devices.platform)
            for block in program.blocks)
        for program in plan.programs
    ]  # fmt: skip
    waves = sorted((programs[wave.program] for wave in plan.waves), reverse=True)
    return sum(waves[::workers])


@contextmanager
def _planning_on_cpu() -> Iterator[None]:
    """Leave the GPUs of this machine to the workers, unless JAX is in use already."""
    before = jax.config.jax_platforms  # pyright: ignore[reportAttributeAccessIssue]
    with suppress(RuntimeError):
        jax.config.update("jax_platforms", "cpu")
    try:
        yield
    finally:
        with suppress(RuntimeError):
            jax.config.update("jax_platforms", before)


@contextmanager
def on_ray(
    where: Ray, page: Experiment, source: Source, memory: int | None = None, devices: int | None = None
) -> Iterator[RayExecutor]:
    """Have workers on Ray within a `with` block. This process itself plans on the CPU.

    Args:
        where: the cluster, and how many workers there are to be.
        page: the experiment.
        source: where workers get it from.
        memory: budget of each in bytes; None is half of what is free.
        devices: devices of each; None is one GPU, or a share of the cores.

    Raises:
        SweepError: if there is no Ray, or if no worker can be started.
    """
    settings = Settings(os.getcwd(), sent_environment(), where.compile_cache)
    with _planning_on_cpu(), connected(where.address) as ray:
        for name, module in list(sys.modules.items()):
            if name.startswith(PAGE_MODULE):  # no worker can import it, so functions of a page are sent as they are
                ray.cloudpickle.register_pickle_by_value(module)
        crew = Crew(ray, settings, where.workers, devices)
        try:
            if where.address is None:
                crew.refuse_to_wait()
            yield RayExecutor(crew, page, source, memory)
        finally:
            for member in list(crew.members.values()):
                crew.dismiss(member)
