"""Sweeps that grow step by step, with crashes in between, against the whole sweep run at once."""

import contextlib
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import xarray as xr
import zarr

from .crashes import CrashError, crash, watching
from .stores import ATTRIBUTES, small_waves
from .trials import Campaign, Case

TRIALS = 50
MOST_EVENTS = 400  # of writing to the disk, in a growth
TIMES = ("epoch", "snapshot_epoch")


@dataclass(frozen=True)
class Size:
    """How large a sweep is: numbers of seeds, of learning rates and of parts of a union, and epochs."""

    seeds: int = 2
    rates: int = 1
    parts: int = 1
    epochs: int = 6

    def larger(self, random: Random) -> "Size":
        """Grow in one respect or in several."""
        steps = {"seeds": 1 + random.randrange(2), "rates": 1, "parts": 1, "epochs": random.choice((1, 4, 7))}
        most = {"seeds": 6, "rates": 3, "parts": 3, "epochs": 24}
        open_ = [name for name in steps if getattr(self, name) < most[name]]
        chosen = random.sample(open_, random.choice((1, 1, 2)))
        return replace(self, **{name: getattr(self, name) + steps[name] for name in chosen})


def page(kind: str, size: Size) -> Any:
    """Make a page of a kind and a size."""
    from sweep import MLP, Experiment, Record, SumOfSines, every, log_spaced, zipped
    from sweep.specs import Plateau, Target

    seeds, rates = range(size.seeds), RATES[kind][: size.rates]
    record = Record(metrics=("loss", "spectral_error"), at=log_spaced(4), snapshots=2)
    experiment = Experiment(
        question="Does it grow?",
        task=SumOfSines(frequencies=(1, 2), points=8),
        model=MLP(depth=1, width=4),
        axes=zipped(seed=seeds, data_seed=seeds) * _union(rates, size.parts),
        epochs=size.epochs,
        record=record,
    )
    if kind == "minibatches":
        return replace(experiment, batch_size=3)
    if kind == "rules":
        rules = Target(1.2), Plateau(patience=3.0, min_improvement=0.05)
        return replace(experiment, stop=rules, record=replace(record, at=every(1)))
    if kind == "code":
        return replace(experiment, record=replace(record, own=(_metric(),)))
    return replace(experiment, precision="float64") if kind == "float64" else experiment


RATES = {
    "full batch": (1e-2, 1e-1, 1e-3),
    "minibatches": (1e-2, 1e-1, 1e-3),
    "diverging": (1e-2, 1e25, 3e8),
    "rules": (1e-1, 1e-3, 3e-2),
    "code": (1e-2, 1e-1, 1e-3),
    "float64": (1e-2, 1e-1, 1e-3),
}


def _union(rates: Sequence[float], parts: int) -> Any:
    from sweep import grid

    widths = grid(learning_rate=rates, width=(4,))
    if parts > 1:
        widths = widths + grid(learning_rate=rates[:1], width=(5, 6))
    return widths + grid(learning_rate=(3e-3,), depth=(2,)) if parts > 2 else widths


@cache
def _metric() -> Any:
    from sweep.specs import Metric

    return Metric("norm", _norm, better="lower")


def _norm(moment: Any) -> Any:
    import jax
    import jax.numpy as jnp

    return sum(jnp.sum(jnp.abs(leaf)) for leaf in jax.tree.leaves(moment.parameters))


def run(experiment: Any, store: Path, *, grow: bool, watch: Callable[[Any], None] = lambda progress: None) -> None:
    """Run or grow a sweep, with small waves and a save at every record."""
    from sweep import run_sweep

    with small_waves():
        run_sweep(experiment, out=store, grow=grow, resume=not grow, watch=watch, attributes=ATTRIBUTES)


def interrupted(experiment: Any, store: Path, random: Random, *, grow: bool) -> None:
    """Run or grow a sweep that crashes at a random moment, or gets a signal between two segments."""
    from sweep.base.signals import Terminated

    if random.random() < 0.5:
        with contextlib.suppress(CrashError), watching(store.parent, random.randrange(1, MOST_EVENTS), crash):
            run(experiment, store, grow=grow)
        return
    left = random.randrange(12)

    def count(progress: Any) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            signal.raise_signal(signal.SIGTERM)

    with contextlib.suppress(Terminated):
        run(experiment, store, grow=grow, watch=count)


def at_common_records(ds: xr.Dataset, other: xr.Dataset) -> dict[str, bytes]:
    """Return the bytes of each variable at the records that another sweep has too, whatever the order of axes."""
    common = {dim: np.intersect1d(ds[dim].values, other[dim].values) for dim in TIMES if dim in ds.dims}
    found = {}
    for name in {*ds.variables} - {*TIMES}:
        values = ds[name].transpose(*sorted(map(str, ds[name].dims)))
        found[str(name)] = values.sel(
            {dim: here for dim, here in common.items() if dim in values.dims}
        ).values.tobytes()
    return found


def networks(store: Path) -> dict[str, bytes]:
    """Return the kept networks and states of a store, lane by lane in the order of the axes."""
    group: Any = zarr.open_group(store, mode="r", use_consolidated=False)
    lanes = np.asarray(group["lane"][:])
    order = np.argsort(lanes)[np.count_nonzero(lanes < 0) :]
    return {name: np.asarray(group[name][:])[order].tobytes() for name in ("parameters", "training_state", "network")}


def differences(store: Path, whole: Path) -> str:
    """Name what differs from the whole sweep run at once, "" for nothing."""
    from sweep import open_results
    from sweep.results.store import damages

    if found := damages(store):
        return f"damage: {found[0]}"
    ds, other = open_results(store), open_results(whole)
    if not ds.attrs["complete"]:
        return "it is not complete"
    here = at_common_records(ds, other) | networks(store)
    there = at_common_records(other, ds) | networks(whole)
    return ", ".join(name for name in sorted({*here, *there}) if here.get(name) != there.get(name))


@dataclass(frozen=True)
class Trial:
    """One sweep that grows: its kind, its sizes one after another, and a seed for its crashes."""

    kind: str
    sizes: tuple[Size, ...]
    seed: int

    def run(self, folder: Path) -> tuple[str, str]:
        """Grow it, and compare it with the whole."""
        random, store = Random(self.seed), folder / "grown" / "store"
        store.parent.mkdir(parents=True)
        for at, size in enumerate(self.sizes):
            experiment, last = page(self.kind, size), at == len(self.sizes) - 1
            for _ in range(random.randrange(3)):
                interrupted(experiment, store, random, grow=store.exists() and at > 0)
            if last or not store.exists() or random.random() < 0.5:  # otherwise it grows while it is incomplete
                run(experiment, store, grow=store.exists() and at > 0)
        run(experiment, folder / "whole", grow=False)
        differs = differences(store, folder / "whole")
        return ("silent", f"{self.sizes}: {differs}") if differs else ("right", "")


def cases(folder: Path, random: Random) -> Sequence[Case]:
    """List the trials, each kind in turn."""
    found = []
    for number in range(TRIALS):
        sizes = [Size(random.choice((1, 2, 3)), 1, random.choice((1, 1, 2)), random.choice((2, 6)))]
        for _ in range(random.choice((1, 2, 3))):
            sizes.append(sizes[-1].larger(random))
        trial = Trial([*RATES][number % len(RATES)], tuple(sizes), random.randrange(2**32))
        found.append(Case(f"{number}: {trial.kind}", trial.run))
    return found


CAMPAIGN = Campaign(
    "grow", "sweeps that grow in every order, interrupted, against the whole run at once", cases, quick=1, sample=50
)
