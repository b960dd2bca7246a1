"""Parts: several processes fill one store without any service between them, each its share of the waves.

Whoever comes first makes the store. A part trains its own waves under a lock of its own, and writes nothing that others
write too; the part that ends last completes the store.
"""

import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

from sweep.base.errors import SweepError, SweepWarning
from sweep.engine.plan import Plan
from sweep.files.locks import InUseError
from sweep.files.safe_files import exists
from sweep.page.experiment import Experiment
from sweep.page.specs.stop import Halving
from sweep.results import store as stores
from sweep.results.completeness import is_complete
from sweep.results.store import Part
from sweep.runs.coordinator import explain_failure
from sweep.runs.executors.local import LocalExecutor
from sweep.runs.filling import train
from sweep.runs.layout import create
from sweep.runs.planning import check_effect
from sweep.runs.progress import Progress
from sweep.runs.provenance import fixed_by
from sweep.runs.shares import PartShare, Share, places_of, trained_steps
from sweep.runs.wave_writer import stored_waves

_MOST_NAMED: Final = 8  # parts in a message


def fill_part(
    experiment: Experiment,
    path: Path,
    part: Part,
    executor: LocalExecutor,
    attributes: Mapping[str, str],
    watch: Callable[[Progress], None],
) -> bool:
    """Train the waves of a part that the store lacks, and complete the store if this part ends last.

    Args:
        experiment: what to run.
        path: the store, which is made if there is none.
        part: the part.
        executor: runs it. Parts may have different numbers of devices.
        attributes: further attributes of a new store.
        watch: called between segments.

    Returns:
        Whether this process has completed the store.

    Raises:
        InUseError: if another process holds this part, or the whole store.
        SweepError: if the store is of another page, damaged or divided into another number of parts at present, or if
            this machine computes other bits than the stored ones.
    """
    refuse_division(experiment)
    if not exists(path):
        _create(plan_part(experiment, path, part, executor), path, attributes)
    with stores.hold_part(path, part) as lock:
        if is_complete(experiment, path):
            return False
        stores.verify(path)
        if not stores.has_digests(path):
            raise SweepError(f"{path} is of schema 1, which has no parts: continue it with --resume, without --part")
        plan = plan_part(experiment, path, part, executor)
        store = stores.Store(path, lock, part.heartbeat)
        train(PartShare(plan, store, places_of(plan, part)), executor, watch)
    return _complete(plan, path, part)


def plan_part(experiment: Experiment, path: Path, part: Part, executor: LocalExecutor) -> Plan:
    """Plan a sweep in parts, with the waves of its store if there is one.

    Args:
        experiment: what to run.
        path: the store.
        part: the part.
        executor: runs it.

    Raises:
        SweepError: for a sweep that can't be divided, or the store of another page.
    """
    refuse_division(experiment)
    if exists(path):
        is_complete(experiment, path)  # refuses the store of another page
        return executor.plan(experiment, fixed_by(stores.check(path)))
    return replace(executor, parts=part.of).plan(experiment)


def refuse_division(experiment: Experiment) -> None:
    """Refuse to divide a sweep whose lanes are compared with each other.

    Raises:
        SweepError: for one with `Halving`.
    """
    if any(isinstance(rule, Halving) for rule in experiment.rules()):
        raise SweepError(
            "Halving compares all lanes with each other, so they can't be trained in parts: leave the part out, or let "
            "lanes stop by Target or Plateau"
        )


def describe_share(plan: Plan, part: Part) -> str:
    """Return the line that says which waves of a plan a part trains, and how many lanes these are."""
    waves = plan.waves[part.number - 1 :: part.of]
    numbers = ", ".join(str(number + 1) for number in range(part.number - 1, len(plan.waves), part.of)[:_MOST_NAMED])
    more = ", ..." if len(waves) > _MOST_NAMED else ""
    if not waves:
        return f"part {part}: no wave, as there are {len(plan.waves)}: it has nothing to do"
    lanes = sum(len(wave.lanes) for wave in waves)
    return f"part {part}: wave {numbers}{more} of {len(plan.waves)}, {lanes:,} of {len(plan.lanes):,} lanes"


def _create(plan: Plan, path: Path, attributes: Mapping[str, str]) -> None:
    """Make the store, unless another part is faster."""
    check_effect(plan)
    with suppress(InUseError):
        create(plan, path, attributes)


def _complete(plan: Plan, path: Path, part: Part) -> bool:
    """Complete the store if all is stored and no other part runs, or else say what is missing.

    All parts do this one after another, each after it has released its own lock. So whoever comes last sees that no
    other runs any more.
    """
    with suppress(InUseError), stores.hold_at_end(path) as lock:
        store = stores.Store(path, lock)
        if store.attributes()["complete"]:
            return False
        stored = stored_waves(plan, store)
        if len(stored) == len(plan.waves):
            share = Share(plan, store)
            with explain_failure(path, share.again):
                tally = share.begin()
                tally.lane_steps = trained_steps(plan, store, stored)
                share.end(tally)
            return True
    _say_what_is_missing(plan, path, part)
    return False


def _say_what_is_missing(plan: Plan, path: Path, part: Part) -> None:
    """Say how much of the store is stored, which parts run, and which are missing."""
    stored, own = stored_waves(plan, stores.Store(path)), len(plan.waves[part.number - 1 :: part.of])
    lacking = [
        Part(number, part.of) for number in sorted({n % part.of + 1 for n in {*range(len(plan.waves))} - stored})
    ]
    running = [other for other in lacking if stores.find_living(path, other.__eq__)]
    waiting = [other for other in lacking if other not in running]
    words = [
        f"part {part} has {own} wave{'s' * (own != 1)}{', all stored' if own else ' to train, as there are too few'}"
    ]
    words.append(f"of all {len(plan.waves)} waves {len(stored)} are stored")
    if running:
        words.append(f"running: part {_names(running)}")
    if waiting:
        words.append(f"missing: part {_names(waiting)}; run these, or merge their stores, or --resume trains the rest")
    if not lacking:
        words.append("the part that ends last completes the store; if none runs, --resume does")
    warnings.warn("; ".join(words), SweepWarning, stacklevel=2)


def _names(parts: Sequence[Part]) -> str:
    more = f" and {len(parts) - _MOST_NAMED} more" if len(parts) > _MOST_NAMED else ""
    return ", ".join(map(str, parts[:_MOST_NAMED])) + more
