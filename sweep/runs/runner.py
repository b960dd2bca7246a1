"""Running a sweep into a store: what the command does, callable from a notebook."""

import json
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from types import MappingProxyType

import numpy as np
import xarray as xr

from sweep.base.errors import SweepError, SweepWarning
from sweep.engine.numerics import settled
from sweep.engine.plan import Plan, pack
from sweep.engine.prepare import OutOfMemoryError
from sweep.engine.program import check_metrics
from sweep.files import whole_files
from sweep.files.places import SPARE, given
from sweep.page.axes import Lanes, lay_out
from sweep.page.experiment import Experiment
from sweep.page.identity import differing
from sweep.page.specs.stop import Halving
from sweep.results import store as stores
from sweep.results.attribute_checks import needed
from sweep.results.dataset import open_results, skeleton
from sweep.runs.coordinator import Coordinator, Progress, Tally
from sweep.runs.devices import check_environment, use_all_cores
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
        with whole_files.temporary() as folder:
            return run_sweep(experiment, out=folder / "store", memory=memory, attributes=attributes, watch=watch)
    path = given(out, SPARE)
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
        plan = _halved(plan, trouble)
        store.note(plan=provenance(plan)["plan"])  # a resume need not learn it again


def _out_of_memory(plan: Plan, store: stores.Store, watch: Callable[[Progress], None]) -> str | None:
    """Train to the end and give None, or say what memory was lacking; by then all of it is free again."""
    try:
        Coordinator(plan, store, watch).run()
    except OutOfMemoryError as error:
        return str(error)
    return None


def _halved(plan: Plan, trouble: str) -> Plan:
    """Plan the same with waves half as large.

    Raises:
        SweepError: if they can't be halved.
    """
    half = 2 ** ((plan.wave_lanes - 1).bit_length() - 1)
    if isinstance(plan.experiment.stop, Halving):
        raise SweepError(
            f"{trouble} with {plan.wave_lanes} lanes at once, and Halving compares all of them: sweep fewer lanes, "
            f"or give more with --memory"
        )
    if half < plan.chunk_lanes:
        raise SweepError(
            f"{trouble} with {plan.wave_lanes} lanes at once, and fewer are not possible with the store's chunks of "
            f"{plan.chunk_lanes}: start anew with --fresh and a smaller --memory"
        )
    told = f"{trouble}: compiling again for waves of {half} lanes instead of {plan.wave_lanes}"
    warnings.warn(told, SweepWarning, stacklevel=2)
    return pack(
        plan.lanes, plan.experiment, memory=plan.memory, devices=plan.devices,
        wave_lanes=half, chunk_lanes=plan.chunk_lanes,
    )  # fmt: skip


def is_complete(experiment: Experiment, path: Path) -> bool:
    """Tell whether a store holds all results of an experiment.

    Raises:
        SweepError: if it belongs to another experiment.
    """
    attributes = stores.check(path)
    needed(path, attributes)
    if fields := differing(experiment, attributes):
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


def plan_sweep(
    experiment: Experiment, memory: int | None = None, wave_lanes: int | None = None, chunk_lanes: int | None = None
) -> Plan:
    """Plan a sweep on this machine, and make sure that its metrics have the dimensions they state."""
    use_all_cores()
    check_environment()
    with settled(experiment.precision):
        plan = pack(lay_out(experiment.axes), experiment, memory=memory, wave_lanes=wave_lanes, chunk_lanes=chunk_lanes)
        for program in plan.programs:
            for block, numbers in zip(program.blocks, program.numbers, strict=True):
                check_metrics(block, tuple(numbers))
    return plan


def dimension_values(plan: Plan) -> dict[str, np.ndarray]:
    """Give the coordinates of the dimensions that quantities have, the longest there are, as of the deepest network."""
    trainings = [block.training for block, _ in plan.blocks()]
    used = {dim for training in trainings for quantity in training.quantities() for dim in quantity.dims}
    found: dict[str, np.ndarray] = {}
    for training in trainings:
        for dim, values in training.dimensions().items():
            if dim in used and len(values) > len(found.get(dim, ())):
                found[dim] = values
    return found


def columns_of(experiment: Experiment, lanes: Lanes) -> dict[str, np.ndarray]:
    """Give each swept knob's value in each lane: as typed, or the default where the page leaves it open."""
    knobs = experiment.knobs()
    columns = {name: column.copy() for name, column in lanes.columns.items()}
    for variant, members in experiment.variants(lanes):
        numbers = variant.numbers(lanes, members)
        for name in columns:
            if knobs[name][1].traced:
                columns[name][members] = numbers.get(name, np.nan)
            elif name in variant.applicable():
                columns[name][members] = variant.value(name)
    return columns


def create(
    plan: Plan, path: Path, attributes: Mapping[str, str] = MappingProxyType({}), *, fresh: bool = False
) -> None:
    """Make the store that a plan will fill.

    Args:
        plan: the plan.
        path: where.
        attributes: of the store, beside those that say where its numbers come from.
        fresh: move a store that is there aside.

    Raises:
        SweepError: where the place can't be written.
    """
    counts = {**asdict(Tally()), "lane_steps_planned": plan.lane_steps()}
    told = {**attributes, **provenance(plan), **counts, "complete": False}
    stores.create(path, laid_out(plan), plan.chunk_lanes, told, fresh=fresh)


def laid_out(plan: Plan) -> xr.Dataset:
    """Lay out the Dataset that a plan will fill: coordinates in full, variables all NaN."""
    steps = np.concatenate(plan.steps, axis=1)
    trainings = [block.training for block, _ in plan.blocks()]
    return skeleton(
        plan.experiment,
        columns_of(plan.experiment, plan.lanes),
        order=plan.order(),
        epochs=plan.epochs,
        steps=steps[:, 0] if (steps == steps[:, :1]).all() else None,
        snapshots=plan.snapshots,
        quantities=list({q.name: q for training in trainings for q in training.quantities()}.values()),
        sizes=dimension_values(plan),
    )
