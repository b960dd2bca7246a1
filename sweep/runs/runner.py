"""Running a sweep into a store: what `sweep.run` does, callable from a notebook."""

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType

import xarray as xr

from sweep.base.errors import SweepError
from sweep.engine.plan import Plan
from sweep.engine.prepare import OutOfMemoryError
from sweep.files import atomic_files
from sweep.files.places import SPARE, parse_path
from sweep.files.safe_files import exists
from sweep.page.experiment import Experiment
from sweep.page.identity import differing_fields
from sweep.results import store as stores
from sweep.results.checks.attributes import check_provenance
from sweep.results.dataset import open_results
from sweep.runs.coordinator import Coordinator
from sweep.runs.layout import create
from sweep.runs.planning import halve, plan_sweep
from sweep.runs.progress import Progress
from sweep.runs.provenance import page_attributes, provenance


def run_sweep(
    experiment: Experiment,
    *,
    out: str | Path | None = None,
    resume: bool = False,
    fresh: bool = False,
    memory: int | None = None,
    attributes: Mapping[str, str] = MappingProxyType({}),
    watch: Callable[[Progress], None] = lambda progress: None,
) -> xr.Dataset:
    """Run a sweep, or resume one, and return its results.

    Args:
        experiment: what to run.
        out: the store; None keeps nothing on disk.
        resume: continue an incomplete store.
        fresh: move an existing store away and start again.
        memory: budget in bytes; None is half of what is free.
        attributes: further attributes of the store, in addition to provenance and counts.
        watch: called between segments.

    Returns:
        The labelled Dataset, see `open_results`. A complete store of the same experiment is returned as it is.

    Raises:
        SweepError: if `out` holds another experiment, or an incomplete store without `resume` or `fresh`, or if it
            can't be written.
    """
    if not isinstance(experiment, Experiment):
        raise SweepError(f"run_sweep takes an Experiment, got {experiment!r}: sweep.load(page) returns one")
    if out is None:
        with atomic_files.make_temporary_folder() as folder:
            return run_sweep(experiment, out=folder / "store", memory=memory, attributes=attributes, watch=watch)
    path = parse_path(out, SPARE)
    in_the_way = exists(path)
    if in_the_way and not fresh:
        if not is_complete(experiment, path):
            _resume(experiment, path, resume, memory, watch)
        else:
            stores.verify(path)
            _update_complete_store(path, {**attributes, **page_attributes(experiment)})
        return open_results(path)
    plan = plan_sweep(experiment, memory)  # errors are raised before anything on disk changes
    create(plan, path, attributes, fresh=in_the_way)
    with stores.hold(path) as lock:
        is_complete(experiment, path)  # refuses a store that another run has put there meanwhile
        _train(plan, stores.Store(path, lock), watch)
    return open_results(path)


def _update_complete_store(path: Path, described: Mapping[str, str]) -> None:
    """Update the page's attributes in a complete store, and remove what a killed run left there.

    The page may have other figures by now, for example. A read-only store is left unchanged.
    """
    attributes = stores.check(path)
    with suppress(SweepError, OSError), stores.hold(path) as lock:  # taking the lock removes partial files
        store = stores.Store(path, lock)
        if any(attributes.get(name) != text for name, text in described.items()):
            store.set_attributes(**described)
        store.clear()


def _train(plan: Plan, store: stores.Store, watch: Callable[[Progress], None]) -> None:
    """Train what a store lacks; if memory runs out, with waves half as large: tiles do not change, nor do bits."""
    while (trouble := _out_of_memory(plan, store, watch)) is not None:
        plan = halve(plan, trouble)
        store.set_attributes(plan=provenance(plan)["plan"])  # so that a resumed run begins with waves of this size


def _out_of_memory(plan: Plan, store: stores.Store, watch: Callable[[Progress], None]) -> str | None:
    """Train to the end and return None, or the message of an OutOfMemoryError, after all memory was freed."""
    try:
        Coordinator(plan, store, watch).run()
    except OutOfMemoryError as error:
        return str(error)
    return None


def is_complete(experiment: Experiment, path: Path) -> bool:
    """Tell whether a store holds all results of an experiment.

    Raises:
        SweepError: if it holds another experiment.
    """
    attributes = stores.check(path)
    check_provenance(path, attributes)
    if fields := differing_fields(experiment, attributes):
        raise SweepError(
            f"{path} holds another experiment, it differs in {fields}: --fresh moves it away, --out names another place"
        )
    return bool(attributes["complete"])


def _resume(
    experiment: Experiment, path: Path, resume: bool, memory: int | None, watch: Callable[[Progress], None]
) -> None:
    """Resume an incomplete store, with waves of the size that it was begun with."""
    with stores.hold(path) as lock:
        if not resume:
            raise SweepError(f"{path} is incomplete: --resume continues it, --fresh moves it away and starts again")
        stores.verify(path)
        stored = json.loads(stores.check(path)["plan"])
        plan = plan_sweep(experiment, memory, stored["wave_lanes"], stored["chunk_lanes"])
        store = stores.Store(path, lock)
        if not stores.has_digests(path):
            stores.add_digests(store, [(wave.start, wave.start + wave.places) for wave in plan.waves])
        _train(plan, store, watch)
