"""Running a sweep into a store: what the command does, callable from a notebook."""

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
from sweep.page.experiment import Experiment
from sweep.page.identity import differing_fields
from sweep.results import store as stores
from sweep.results.attribute_checks import check_provenance
from sweep.results.dataset import open_results
from sweep.runs.coordinator import Coordinator
from sweep.runs.layout import create
from sweep.runs.planning import halve, plan_sweep
from sweep.runs.progress import Progress
from sweep.runs.provenance import page, provenance


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
    """Run a sweep, or go on with one, and return its results.

    Args:
        experiment: what to run.
        out: the store; None keeps nothing on disk.
        resume: go on with an incomplete store.
        fresh: move a store that is in the way aside.
        memory: budget in bytes; None is half of what is free.
        attributes: of the store, beside those that say where its numbers come from.
        watch: called between segments.

    Returns:
        The labelled Dataset, see `open_results`. A complete store of the same experiment is returned as it is.

    Raises:
        SweepError: if another experiment's store, or an incomplete one without `resume`, is in the way, or the
            place can't be written.
    """
    if not isinstance(experiment, Experiment):
        raise SweepError(f"run_sweep takes an Experiment, got {experiment!r}: sweep.load(page) makes one of a page")
    if out is None:
        with atomic_files.make_temporary_folder() as folder:
            return run_sweep(experiment, out=folder / "store", memory=memory, attributes=attributes, watch=watch)
    path = parse_path(out, SPARE)
    in_the_way = stores.exists(path)
    if in_the_way and not fresh:
        if not is_complete(experiment, path):
            _go_on(experiment, path, resume, memory, watch)
        else:
            stores.verify(path)
            _settle(path, {**attributes, **page(experiment)})
        return open_results(path)
    plan = plan_sweep(experiment, memory)  # refuses, if it must, before anything on disk changes
    create(plan, path, attributes, fresh=in_the_way)
    with stores.locked(path) as lock:
        is_complete(experiment, path)  # refuses what another run has put there meanwhile
        _train(plan, stores.Store(path, lock), watch)
    return open_results(path)


def _settle(path: Path, told: Mapping[str, str]) -> None:
    """Have a complete store say what its page says now, and free it of what a run that was killed at its end left.

    Its page may ask for other figures by now. A store that is only to be read stays as it is.
    """
    attributes = stores.check(path)
    with suppress(SweepError, OSError), stores.locked(path) as lock:  # which removes what was half written
        store = stores.Store(path, lock)
        if any(attributes.get(name) != text for name, text in told.items()):
            store.note(**told)
        store.clear()


def _train(plan: Plan, store: stores.Store, watch: Callable[[Progress], None]) -> None:
    """Train what a store lacks; where memory runs out, with waves half as large: tiles, and so bits, stay."""
    while (trouble := _out_of_memory(plan, store, watch)) is not None:
        plan = halve(plan, trouble)
        store.note(plan=provenance(plan)["plan"])  # a resume need not learn it again


def _out_of_memory(plan: Plan, store: stores.Store, watch: Callable[[Progress], None]) -> str | None:
    """Train to the end and give None, or say what memory was lacking; by then all of it is free again."""
    try:
        Coordinator(plan, store, watch).run()
    except OutOfMemoryError as error:
        return str(error)
    return None


def is_complete(experiment: Experiment, path: Path) -> bool:
    """Tell whether a store holds all results of an experiment.

    Raises:
        SweepError: if it belongs to another experiment.
    """
    attributes = stores.check(path)
    check_provenance(path, attributes)
    if fields := differing_fields(experiment, attributes):
        raise SweepError(
            f"{path} holds another experiment, it differs in {fields}: "
            f"--fresh moves it aside, --out names another place"
        )
    return bool(attributes["complete"])


def _go_on(
    experiment: Experiment, path: Path, resume: bool, memory: int | None, watch: Callable[[Progress], None]
) -> None:
    """Go on with an incomplete store, with the waves that it was begun with."""
    with stores.locked(path) as lock:
        if not resume:
            raise SweepError(f"{path} is incomplete: --resume goes on with it, --fresh moves it aside and starts anew")
        stores.verify(path)
        begun = json.loads(stores.check(path)["plan"])
        plan = plan_sweep(experiment, memory, begun["wave_lanes"], begun["chunk_lanes"])
        store = stores.Store(path, lock)
        if not stores.has_digests(path):
            stores.adopt(store, [(wave.start, wave.start + wave.places) for wave in plan.waves])
        _train(plan, store, watch)
