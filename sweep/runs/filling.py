"""Filling a store: a new one, or one that an earlier run left incomplete; with smaller waves if memory runs out."""

import warnings
from collections.abc import Callable, Mapping
from pathlib import Path

from sweep.base.errors import SweepError, SweepWarning
from sweep.engine.plan import Plan
from sweep.engine.prepare import OutOfMemoryError
from sweep.files.locks import Lock
from sweep.page.experiment import Experiment
from sweep.page.identity import differing_fields
from sweep.results import store as stores
from sweep.results.completeness import is_complete
from sweep.runs.composing import carried
from sweep.runs.coordinator import Coordinator
from sweep.runs.executors import Executor
from sweep.runs.growing import grown, has_all, plan_growth
from sweep.runs.layout import create
from sweep.runs.planning import check_effect
from sweep.runs.progress import Progress
from sweep.runs.provenance import fixed_by
from sweep.runs.shares import Share


def begin(
    experiment: Experiment,
    path: Path,
    executor: Executor,
    attributes: Mapping[str, str],
    watch: Callable[[Progress], None],
    *,
    fresh: bool,
) -> None:
    """Make a store and train all of its lanes.

    Args:
        experiment: what to run.
        path: the store.
        executor: runs it.
        attributes: further attributes of the store.
        watch: called between segments.
        fresh: move an existing store away.

    Raises:
        SweepError: if the store can't be written, or if another run has put one there meanwhile.
    """
    plan = executor.plan(experiment)  # errors are raised before anything on disk changes
    check_effect(plan)
    create(plan, path, attributes, fresh=fresh)
    with stores.hold(path) as lock:
        is_complete(experiment, path)  # refuses a store that another run has put there meanwhile
        _go_on(plan, path, lock, executor, watch)


def resume(
    experiment: Experiment,
    path: Path,
    executor: Executor,
    watch: Callable[[Progress], None],
) -> None:
    """Train what an incomplete store lacks, with waves of the size that it was begun with.

    Args:
        experiment: what to run.
        path: the store.
        executor: runs it.
        watch: called between segments.

    Raises:
        SweepError: if the store is damaged, or if the executor computes other bits than the stored ones.
    """
    with stores.hold(path) as lock:
        stores.verify(path)
        _go_on(executor.plan(experiment, fixed_by(stores.check(path))), path, lock, executor, watch)


def _go_on(plan: Plan, path: Path, lock: Lock, executor: Executor, watch: Callable[[Progress], None]) -> None:
    """Train what a store lacks that this process holds."""
    store = stores.Store(path, lock)
    if not stores.has_digests(path):
        stores.add_digests(store, [(wave.start, wave.start + wave.places) for wave in plan.waves])
    train(Share(plan, store), executor, watch)


def grow(
    experiment: Experiment,
    path: Path,
    executor: Executor,
    attributes: Mapping[str, str],
    watch: Callable[[Progress], None],
) -> None:
    """Grow a store to a page with more lanes or epochs, and train what it then lacks.

    Args:
        experiment: the grown page.
        path: the store.
        executor: runs it.
        attributes: further attributes of the grown store.
        watch: called between segments.

    Raises:
        SweepError: if it can't grow so; then nothing has changed.
    """
    with stores.hold(path) as lock:
        stores.verify(path)
        stored = stores.check(path)
        if not differing_fields(experiment, stored):  # another process was faster
            _go_on(executor.plan(experiment, fixed_by(stored)), path, lock, executor, watch)
            return
        growth = plan_growth(experiment, path, stored, executor)
        if growth is None and not stored["complete"]:
            raise SweepError(
                f"{path} has lanes that the page lacks, and is incomplete: continue it with a page that has all of its "
                f"lanes"
            )
        if growth is None:
            _say(has_all(path))
            return
        check_effect(growth.new)
        if not growth.trains_again:
            if not stored["complete"]:
                _go_on(growth.old, path, lock, executor, watch)
            with grown(growth, path, lock, attributes) as new:
                _go_on(growth.new, path, new, executor, watch)
            return
    _say(
        f"{path} keeps no states from which its lanes could be trained on: all are trained again from epoch 0, and the "
        f"store is moved aside"
    )
    create(growth.new, path.resolve(), {**carried(stored), **attributes}, fresh=True)
    with stores.hold(path) as lock:
        _go_on(growth.new, path, lock, executor, watch)


def _say(message: str) -> None:
    warnings.warn(message, SweepWarning, stacklevel=4)


def train(share: Share, executor: Executor, watch: Callable[[Progress], None]) -> None:
    """Train what a store lacks; if memory runs out, with waves half as large: tiles do not change, nor do bits.

    Args:
        share: the waves.
        executor: runs them.
        watch: called between segments.

    Raises:
        SweepError: if the store can't be written, or if the executor computes other bits than the stored ones.
    """
    while (trouble := _out_of_memory(share, executor, watch)) is not None:
        share = share.halve(trouble)


def _out_of_memory(share: Share, executor: Executor, watch: Callable[[Progress], None]) -> str | None:
    """Train to the end and return None, or the message of an OutOfMemoryError, after all memory was freed."""
    try:
        Coordinator(share, watch, executor).run()
    except OutOfMemoryError as error:
        return str(error)
    return None
