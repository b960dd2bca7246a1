"""Small stores of one page, complete and interrupted, and the comparison of two stores."""

import atexit
import contextlib
import shutil
import signal
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import xarray as xr

PAGE = '''
"""A page of two waves with two chunks each, every kind of array and one claim."""

from sweep import Experiment, Figure, MLP, Record, SumOfSines, grid, log_spaced, zipped
from sweep.specs import AtMost, Claim


def last(ds):
    return ds.loss.isel(epoch=-1, learning_rate=0)


experiment = Experiment(
    question="Is what is damaged seen?",
    task=SumOfSines(frequencies=(1, 2), points=8),
    model=MLP(depth=1, width=4),
    axes=zipped(seed=range(FIRST, FIRST + 4), data_seed=range(FIRST, FIRST + 4)) * grid(learning_rate=(1e-3, 1e-2)),
    epochs=20,
    record=Record(metrics=("loss", "spectral_error"), at=log_spaced(4), snapshots=2),
    figures=(Figure("loss_curves"),),
    claims=(Claim(id="C1", text="It learns.", source="001", measure=last, criterion=AtMost(2.0)),),
)
'''
WAVE = 4  # lanes: the page has eight


def write_page(folder: Path, first: int = 1) -> Path:
    """Write the page into a folder of pages."""
    page = folder / "experiments" / "page.py"
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(PAGE.replace("FIRST", str(first)))
    return page


@contextlib.contextmanager
def small_waves(lanes: int | None = WAVE) -> Iterator[None]:
    """Plan waves of a few lanes (None: as many as usual), and save at every record."""
    from sweep.engine.plan import Fixed
    from sweep.runs import wave_writer
    from sweep.runs.executors import local

    before, saving = local.plan_sweep, (wave_writer.SAVE_SECONDS, wave_writer.MOST_SAVE_SECONDS)

    def planned(experiment: Any, memory: int | None = None, fixed: Fixed = Fixed(), **options: Any) -> Any:
        return before(experiment, memory, replace(fixed, wave_lanes=fixed.wave_lanes or lanes), **options)

    local.plan_sweep = planned
    wave_writer.SAVE_SECONDS, wave_writer.MOST_SAVE_SECONDS = 0.0, 0.0
    try:
        yield
    finally:
        local.plan_sweep = before
        wave_writer.SAVE_SECONDS, wave_writer.MOST_SAVE_SECONDS = saving


def complete(page: Path, store: Path) -> Path:
    """Copy the store of the page, run to its end."""
    return copied(_complete(page.read_text()), store)


def incomplete(page: Path, store: Path) -> Path:
    """Copy the store of the page, ended by SIGTERM within the second wave, after a save."""
    return copied(_incomplete(page.read_text()), store)


ATTRIBUTES = {"page": "experiments/page.py", "arguments": "[]"}
_MADE: list[Path] = []  # folders with a page and its store, for other campaigns to copy


def remove_made() -> None:
    """Remove the stores that were copied, at the end of the process."""
    for folder in _MADE:
        shutil.rmtree(folder, ignore_errors=True)


def _new_page(text: str) -> Path:
    if not _MADE:
        atexit.register(remove_made)
    _MADE.append(Path(tempfile.mkdtemp(prefix="sweep-faults-stores-")))
    page = _MADE[-1] / "page.py"
    page.write_text(text)
    return page


@cache
def _complete(text: str) -> Path:
    from sweep import load, run_sweep

    page = _new_page(text)
    with small_waves():
        run_sweep(load(page), out=page.with_name("store"), attributes=ATTRIBUTES)
    return page.with_name("store")


@cache
def _incomplete(text: str) -> Path:
    from sweep import load, run_sweep
    from sweep.base.signals import Terminated

    def watch(progress: Any) -> None:
        if progress.lane_steps > progress.plan.lane_steps() // 2:
            signal.raise_signal(signal.SIGTERM)

    page = _new_page(text)
    store = page.with_name("store")
    with small_waves(), contextlib.suppress(Terminated):
        run_sweep(load(page), out=store, watch=watch, attributes=ATTRIBUTES)
    assert list(store.glob("checkpoint*")), "the store to damage has no checkpoint"
    return store


def copied(store: Path, to: Path) -> Path:
    """Copy a store without following links."""
    return Path(shutil.copytree(store, to, symlinks=True))


def arrays(ds: xr.Dataset) -> dict[str, Any]:
    """Return the bytes, type, dimensions and attributes of each variable."""
    return {
        str(name): (v.dims, str(v.dtype), v.values.tobytes(), repr(sorted(v.attrs.items(), key=str)))
        for name, v in ds.variables.items()
    }


def everything(ds: xr.Dataset) -> dict[str, Any]:
    """Return the arrays and the attributes of the Dataset."""
    return arrays(ds) | {f"attribute {name}": repr(value) for name, value in ds.attrs.items()}


def differences(one: dict[str, Any], other: dict[str, Any]) -> str:
    """Name what differs, "" for nothing."""
    return ", ".join(sorted(name for name in {*one, *other} if one.get(name) != other.get(name))[:6])


def opened(store: Path, of: Any = everything) -> dict[str, Any]:
    """Open a store and return its contents."""
    from sweep import open_results

    return of(open_results(store))


whole = partial(opened, of=arrays)
