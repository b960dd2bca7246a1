"""Running a sweep into a store: what `sweep.run` does, callable from a notebook."""

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import xarray as xr

from sweep.base.cores import check_device_count
from sweep.base.errors import SweepError, SweepWarning
from sweep.files import atomic_files
from sweep.files.addresses import is_address
from sweep.files.exchange import undo
from sweep.files.places import SPARE, parse_path
from sweep.files.safe_files import exists
from sweep.page.experiment import Experiment
from sweep.page.identity import page_attributes
from sweep.results import store as stores
from sweep.results.completeness import differing, is_complete, update_complete_store
from sweep.results.dataset import open_results
from sweep.results.networks import kept
from sweep.results.store import Part
from sweep.runs.executors.on_ray.messages import Given, Ray
from sweep.runs.progress import Progress

if TYPE_CHECKING:
    from sweep.runs.executors import Executor


def run_sweep(
    experiment: Experiment,
    *,
    out: str | Path | None = None,
    resume: bool = False,
    fresh: bool = False,
    grow: bool = False,
    part: tuple[int, int] | None = None,
    memory: int | None = None,
    devices: int | None = None,
    ray: Ray | None = None,
    attributes: Mapping[str, str] = MappingProxyType({}),
    watch: Callable[[Progress], None] = lambda progress: None,
) -> xr.Dataset:
    """Run a sweep, or resume one, and return its results.

    Args:
        experiment: what to run.
        out: the store: a folder, or an address such as "s3://bucket/name"; None keeps nothing.
        resume: continue an incomplete store.
        fresh: move an existing store away and start again.
        grow: let a store of the same page with fewer lanes or epochs grow, and continue it if it is incomplete. What it
            holds stays bit by bit as it is, only what is new is trained.
        part: (3, 16) trains the third of 16 parts of the waves, while other processes may train the others into the
            same store; it is made if there is none, and continued if there is one. What is missing then is not run.
        memory: budget in bytes; None is half of what is free.
        devices: use the first so many of this process's devices, which changes no bit; None is all.
        ray: run on Ray, on the workers of one or many machines; `memory` and `devices` are those of each worker.
        attributes: further attributes of the store, in addition to provenance and counts.
        watch: called between segments.

    Returns:
        The labelled Dataset, see `open_results`. A complete store of the same experiment is returned as it is.

    Raises:
        SweepError: if `out` holds another experiment, or an incomplete store without `resume`, `grow` or `fresh`, or
            none that could grow, or if it can't be written, or if there are fewer devices.
    """
    if not isinstance(experiment, Experiment):
        raise SweepError(f"run_sweep takes an Experiment, got {experiment!r}: sweep.load(page) returns one")
    check_device_count(devices)
    _check_combination(out, fresh=fresh, grow=grow, part=part)
    _check_ray(ray, out, part)
    if out is None:
        with atomic_files.make_temporary_folder() as folder:
            return run_sweep(
                experiment,
                out=folder / "store", memory=memory, devices=devices, ray=ray, attributes=attributes, watch=watch,
            )  # fmt: skip
    if is_address(out):
        with stores.in_folder(out, SPARE) as folder:
            return run_sweep(
                experiment, out=folder, resume=resume, fresh=fresh, grow=grow, part=part,
                memory=memory, devices=devices, ray=ray, attributes=attributes, watch=watch,
            )  # fmt: skip
    path = parse_path(out, SPARE)
    if part is not None:
        run_part(experiment, path, part, memory=memory, devices=devices, attributes=attributes, watch=watch)
        return open_results(path)
    _undo_exchange(path)
    in_the_way = exists(path)
    if grow and not in_the_way:
        raise SweepError(
            f"there is no store at {path} that could grow: name it with --out, or leave --grow out to begin one"
        )
    if in_the_way and stores.find_copy(path):
        _refuse_in_bucket(path, fresh=fresh, grow=grow and bool(differing(experiment, path)))
    if grow and differing(experiment, path):
        load_jax()
        from sweep.runs import filling

        with executor_for(experiment, ray, memory, devices) as executor:
            filling.grow(experiment, path, executor, attributes, watch)
        return open_results(path)
    if in_the_way and not fresh:
        if _is_up_to_date(experiment, path, attributes):
            return open_results(path)
        if not (resume or grow):
            _refuse_incomplete(path)
    load_jax()
    from sweep.runs import filling  # imports JAX, which a complete store does not need

    with executor_for(experiment, ray, memory, devices) as executor:
        if in_the_way and not fresh:
            filling.resume(experiment, path, executor, watch)
        else:
            filling.begin(experiment, path, executor, attributes, watch, fresh=in_the_way)
    return open_results(path)


@contextmanager
def executor_for(
    experiment: Experiment, ray: Ray | None, memory: int | None = None, devices: int | None = None
) -> "Iterator[Executor]":
    """Have what runs waves within a `with` block: this process, or workers.

    Args:
        experiment: what they run.
        ray: where the workers are on Ray; None is this process.
        memory: budget of each process in bytes; None is half of what is free.
        devices: devices of each process; None is all of this process, and what `Ray` gives to a worker.
    """
    from sweep.runs.executors.local import LocalExecutor

    if ray is None:
        yield LocalExecutor(memory, devices)
        return
    from sweep.runs.executors.on_ray.executor import on_ray

    with on_ray(ray, experiment, ray.source or Given(experiment), memory, devices) as executor:
        yield executor


def _check_combination(out: object, *, fresh: bool, grow: bool, part: object) -> None:
    """Refuse arguments that exclude each other, or that need a store."""
    if grow and fresh:
        raise SweepError("grow and fresh exclude each other: grow keeps what is stored, fresh starts again")
    if grow and out is None:
        raise SweepError("grow=True needs the store that is to grow: name it with out=")
    if part is not None and out is None:
        raise SweepError("part needs a store, which other parts fill too, or which is merged later: name it with out")
    if part is not None and (fresh or grow):
        raise SweepError("a part goes on with what is there: leave out fresh and grow, or leave out part")


def _refuse_in_bucket(path: Path, *, fresh: bool, grow: bool) -> None:
    """Refuse what exchanges or renames a store, which object storage can't do in one step."""
    if fresh:
        raise SweepError(
            f"{path} is in object storage, where no store is moved away: name another place with --out, or remove it "
            f"there first"
        )
    if grow:
        raise SweepError(
            f"{path} is in object storage, where no store grows: copy it to a folder, let it grow there, and copy it "
            f"to another address"
        )


def _check_ray(ray: Ray | None, out: object, part: object) -> None:
    """Refuse what workers on other machines can't do."""
    if ray is not None and part is not None:
        raise SweepError("part and ray exclude each other: Ray shares the waves among its workers itself")
    if ray is not None and ray.address is not None and out is None:
        raise SweepError("a sweep on a cluster needs a store that all machines see: name it with out=")


def run_part(
    experiment: Experiment,
    path: Path,
    part: tuple[int, int],
    *,
    memory: int | None = None,
    devices: int | None = None,
    attributes: Mapping[str, str] = MappingProxyType({}),
    watch: Callable[[Progress], None] = lambda progress: None,
) -> bool:
    """Run one part of a sweep, without opening its results, which other parts may still train.

    Args:
        experiment: what to run.
        path: the store.
        part: (3, 16) for the third of 16 parts.
        memory: budget in bytes; None is half of what is free.
        devices: number of devices to use; None is all.
        attributes: further attributes of the store.
        watch: called between segments.

    Returns:
        Whether the store was complete before, or was completed by this part.

    Raises:
        SweepError: as `run_sweep`; for a part that there can't be; and for a sweep that can't be divided.
    """
    if not isinstance(part, tuple) or len(part) != 2:
        raise SweepError(f"part takes (number, of), such as (3, 16) for the third of 16 parts, got {part!r}")
    which = Part(*part).checked()
    _undo_exchange(path)
    if exists(path) and _is_up_to_date(experiment, path, attributes):
        return True
    load_jax()
    from sweep.runs.executors.local import LocalExecutor
    from sweep.runs.parts import fill_part

    return fill_part(experiment, path, which, LocalExecutor(memory, devices), attributes, watch)


def _undo_exchange(path: Path) -> None:
    """Put a store back that a run was moving when it was killed."""
    with suppress(OSError):  # which the run will meet again
        undo(path.resolve())  # what a link leads to


def _is_up_to_date(experiment: Experiment, path: Path, attributes: Mapping[str, str]) -> bool:
    """Tell whether a store is complete; then its description of the page is brought up to date."""
    complete = is_complete(experiment, path)
    _say_what_is_kept(experiment, path)
    if complete:
        stores.verify(path)
        update_complete_store(path, {**attributes, **page_attributes(experiment)})
    return complete


def _say_what_is_kept(experiment: Experiment, path: Path) -> None:
    """Say so if a store keeps less of the trained networks than the page now wants: nothing is trained for that."""
    wanted, held = experiment.record.keep, kept(stores.check(path))
    if wanted in ("parameters", "state") and held not in (wanted, "state"):
        less = "the trained networks" if held == "nothing" else "the states of the trainings"
        message = (
            f"{path} was begun without keeping {less}, and stays so: sweep.trained(store, page=...) trains one lane "
            f"again, --fresh the sweep"
        )
        warnings.warn(message, SweepWarning, stacklevel=4)


def _refuse_incomplete(path: Path) -> None:
    """Refuse an incomplete store, or say that another run fills it."""
    with stores.hold(path):
        raise SweepError(f"{path} is incomplete: --resume continues it, --fresh moves it away and starts again")


def load_jax() -> None:
    """Import JAX, which reads its settings from the environment.

    Raises:
        SweepError: for a setting that JAX can't read.
    """
    try:
        import jax  # noqa: F401
    except ValueError as error:
        raise SweepError(f"JAX can't read a setting in the environment: {error}; unset or correct it") from error
