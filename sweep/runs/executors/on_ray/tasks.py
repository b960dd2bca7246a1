"""Getting ready for a task, in a worker: its plan, checked against the store, and compiled."""

import socket
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from sweep.base.errors import SweepError
from sweep.engine.plan import Plan
from sweep.engine.prepare import prepare as compile_plan
from sweep.files.safe_files import exists
from sweep.page.identity import fingerprint
from sweep.results.store import Lease, Store
from sweep.runs.coordinator import refuse_other_bits
from sweep.runs.executors.on_ray.messages import Task
from sweep.runs.planning import plan_sweep
from sweep.runs.provenance import fixed_by


def prepare(task: Task, obey: Callable[[], None], known: Plan | None = None) -> tuple[Plan, Store, float]:
    """Plan and compile what a task needs; the plan comes out as that of the process that sent the task.

    Args:
        task: the task.
        obey: raises to stop.
        known: the plan, if this worker has made it for the same task before.

    Returns:
        The plan, the store under the task's lease, and the seconds of compiling.

    Raises:
        OutOfMemoryError: if a wave does not fit.
        SweepError: if this worker may not write into the store, with the reason.
    """
    host, path = socket.gethostname(), Path(task.store)
    if not exists(path):
        raise SweepError(f"{host} sees no store at {path}: name a folder with --out that all machines see")
    lease = Lease(path, task.holder, task.lease)
    lease.check()
    store = Store(path, lease)
    plan = known or _plan(task, store, host)
    begin = time.perf_counter()
    compile_plan(plan, obey)
    return plan, store, time.perf_counter() - begin


def _plan(task: Task, store: Store, host: str) -> Plan:
    experiment = task.source.load()
    if fingerprint(experiment) != task.fingerprint:
        raise SweepError(f"{host} has another version of the page: all machines need the same files")
    attributes = store.attributes()
    fixed = replace(fixed_by(attributes), wave_lanes=task.wave_lanes)
    plan = plan_sweep(experiment, task.memory, fixed, devices=task.devices)
    refuse_other_bits(attributes, plan, store.path)
    return plan
