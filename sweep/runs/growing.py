"""Growing a store: more lanes or longer trainings, while what it holds stays bit by bit as it is.

The store is first completed as it is. Then a new one is laid out for the grown page, filled from the old one, and put
in its place in one step; what it lacks is trained as in any other incomplete store.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from sweep.base.errors import SweepError
from sweep.engine.keeping import least
from sweep.engine.plan import Fixed, Plan
from sweep.files.locks import Lock
from sweep.page.experiment import Experiment
from sweep.page.identity import differing_fields
from sweep.page.matching import NOWHERE, described_by, earlier, lacking, match
from sweep.page.resolve import resolve
from sweep.results import store as stores
from sweep.results.checks.attributes import check_provenance
from sweep.results.networks import kept
from sweep.runs.composing import Source, carried, describe, fill
from sweep.runs.coordinator import refuse_other_bits
from sweep.runs.executors import Executor
from sweep.runs.growth_checks import check_lanes, refuse_halving
from sweep.runs.layout import lay_out_store
from sweep.runs.provenance import fixed_by


@dataclass(frozen=True)
class Growth:
    """How a store grows.

    Args:
        old: the plan by which it was filled.
        new: the plan of the grown page; it holds the lanes that are taken over.
        lanes: for each lane of the old plan its number in the new one.
    """

    old: Plan
    new: Plan
    lanes: np.ndarray

    @property
    def trains_again(self) -> bool:
        """Whether trainings become longer and the store does not keep the states from which they could go on."""
        return self.new.held is None

    @property
    def stored_steps(self) -> int:
        """The lane-steps of the new plan that are stored and stay as they are."""
        return 0 if self.trains_again else self.old.lane_steps()


def plan_growth(page: Experiment, path: Path, attributes: Mapping[str, Any], executor: Executor) -> Growth | None:
    """Plan how a store grows to a page, and make sure that it can.

    Args:
        page: the grown page.
        path: the store.
        attributes: its attributes.
        executor: runs what is new.

    Returns:
        The plans; None if the store has all lanes of the page and more.

    Raises:
        SweepError: if the page is another one, or can't grow so; with what differs and what can be done.
    """
    check_provenance(path, attributes)
    before = _stored_experiment(page, path, attributes)
    if page.epochs < before.epochs:
        raise SweepError(
            f"{path} was trained for {before.epochs} epochs and the page has {page.epochs}: fewer is no growth; give "
            f"the page at least as many, or a store of its own with --out"
        )
    refuse_halving(path, page)
    old, new = executor.plan(before, fixed_by(attributes)), resolve(page)
    lanes = match(new, old.resolved)
    if lost := lacking(new, old.resolved, lanes):
        if page.epochs == before.epochs and (match(old.resolved, new) != NOWHERE).all():
            return None
        raise SweepError(
            f"{path} has {lost}, which the page lacks: fewer is no growth; add what is missing to the page, or give "
            f"it a store of its own with --out"
        )
    held = np.isin(np.arange(len(new.lanes)), lanes)
    growth = Growth(old, executor.plan(page, _fixed(page, attributes, old, held)), lanes)
    check_lanes(path, old, growth.new, lanes)
    if not growth.trains_again:
        refuse_other_bits(attributes, old, path)
    return replace(growth, new=replace(growth.new, reasons=(*growth.new.reasons, f"{path} {_words(growth)}")))


def _stored_experiment(page: Experiment, path: Path, attributes: Mapping[str, Any]) -> Experiment:
    """Give the experiment of a store, from the page as it is now."""
    where = f"{path} holds another experiment than the page"
    remedy = "only axes and epochs can grow; --out names another place, --fresh moves the store away"
    try:
        before = earlier(page, described_by(attributes))
    except SweepError as error:
        raise SweepError(f"{where}, which can't have its axes ({error}): {remedy}") from error
    if fields := differing_fields(before, attributes):
        raise SweepError(f"{where}, it differs in {fields}: {remedy}")
    return before


def _fixed(page: Experiment, attributes: Mapping[str, Any], old: Plan, held: np.ndarray) -> Fixed:
    """Give what the old store fixes of the plan of the new one."""
    longer, keeps = page.epochs > old.experiment.epochs, kept(attributes)
    lengths = (*old.earlier_epochs, *([old.experiment.epochs] if longer else []))
    if longer and keeps != "state":
        return Fixed(earlier_epochs=lengths, kind=old.fixed.kind)
    # Waves that go on are those of the old plan, which fitted: in halved ones they would have to begin again.
    waves = old.wave_lanes if longer and len(old.waves) > 1 else None
    return Fixed(waves, None, least(page.record.keep or keeps, keeps), held, lengths, old.fixed.kind)


def _words(growth: Growth) -> str:
    """Say how a store grows."""
    old, new = growth.old, growth.new
    sizes = {"lanes": [len(plan.lanes) for plan in (old, new)], "epochs": [p.experiment.epochs for p in (old, new)]}
    grows = " and ".join(f"from {one:,} to {two:,} {name}" for name, (one, two) in sizes.items() if one != two)
    if growth.trains_again:
        return f"grows {grows}; it keeps no states of its lanes: all are trained again from epoch 0"
    return f"grows {grows}" if grows else "has the lanes of the page"


def has_all(path: Path) -> str:
    """Say that a store has more than the page."""
    return f"{path} has all lanes of the page and more: it keeps what it has, and nothing is trained"


@contextmanager
def grown(growth: Growth, path: Path, lock: Lock, attributes: Mapping[str, str]) -> Iterator[Lock]:
    """Put the grown store, with what the complete old one holds, in its place.

    Args:
        growth: how it grows.
        path: the store.
        lock: its lock, which the caller holds.
        attributes: further attributes of the grown store.

    Yields:
        The lock of the grown store, which is held within the `with` block.
    """
    stored = stores.check(path)
    described = describe(growth.new, [stored], {**carried(stored), **attributes})
    source = Source.of(path, growth.lanes)
    with stores.put_in_place(
        path, lock, lay_out_store(growth.new), growth.new.chunk_lanes, described,
        lambda store: fill(growth.new, store, [source], len(growth.old.epochs)),
    ) as new:  # fmt: skip
        yield new
