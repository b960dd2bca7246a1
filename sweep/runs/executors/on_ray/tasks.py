"""Getting ready for a task, in a worker: its store, and its plan, which is checked against the store."""

import socket
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

from sweep.base.errors import SweepError
from sweep.engine.plan import Plan
from sweep.files.addresses import is_address
from sweep.files.safe_files import exists
from sweep.page.identity import fingerprint
from sweep.results.store import Store, open_leased
from sweep.runs.coordinator import refuse_other_bits
from sweep.runs.executors.on_ray.messages import Task
from sweep.runs.planning import plan_sweep
from sweep.runs.provenance import fixed_by


def open_store(task: Task) -> AbstractContextManager[Store]:
    """Open the store of a task under its lease, within a `with` block.

    Raises:
        SweepError: if this machine does not see it, or if the lease has ended.
    """
    if not is_address(task.store) and not exists(Path(task.store)):
        raise SweepError(
            f"{socket.gethostname()} sees no store at {task.store}: name a folder with --out that all machines see"
        )
    return open_leased(task.store, task.holder, task.lease)


def plan_task(task: Task, store: Store) -> Plan:
    """Plan what a task needs; the plan comes out as that of the process that sent the task.

    Args:
        task: the task.
        store: its store.

    Raises:
        SweepError: if this worker may not write into the store, with the reason.
    """
    experiment = task.source.load()
    if fingerprint(experiment) != task.fingerprint:
        raise SweepError(f"{socket.gethostname()} has another version of the page: all machines need the same files")
    attributes = store.attributes()
    fixed = replace(fixed_by(attributes), wave_lanes=task.wave_lanes)
    plan = plan_sweep(experiment, task.memory, fixed, devices=task.devices)
    refuse_other_bits(attributes, plan, store.path)
    return plan
