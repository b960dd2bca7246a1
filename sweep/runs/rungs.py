"""Rungs at which the waves of a sweep with `Halving` wait for each other, and which lanes are cut there.

Which ones depends on stored values alone, and the store holds it before any wave goes on. So lanes end at the same
records whichever process runs which wave, in any order, and whatever is killed meanwhile.
"""

import json
from typing import Final

import numpy as np

from sweep.base.errors import SweepError
from sweep.base.masks import read_mask, write_mask
from sweep.engine.plan import Plan
from sweep.engine.stopping import Cuts, competitors, cut_lanes
from sweep.page.specs.stop import Halving
from sweep.page.specs.training import LOSS
from sweep.results.checks.attributes import STRUCTURED
from sweep.results.store import Store
from sweep.runs.wave_writer import stored_waves

LANES_A_LETTER: Final = 5  # of a mask as text, at least: six bits a letter, and little for what can't be compressed


def check_rungs(plan: Plan) -> None:
    """Refuse a plan of so many lanes and rungs that a store can't hold which lanes are cut.

    Raises:
        SweepError: with both numbers.
    """
    if len(plan.rungs) * (len(plan.lanes) // LANES_A_LETTER + 100) > STRUCTURED["cuts"]:
        raise SweepError(
            f"Halving has {len(plan.rungs)} rungs for {len(plan.lanes):,} lanes in {len(plan.waves)} waves, more than "
            f"a store can hold: set a smaller keep or a later first, or sweep fewer lanes"
        )


def read_cuts(plan: Plan, store: Store) -> Cuts:
    """Read which lanes are cut at each rung that was judged.

    Args:
        plan: the plan.
        store: the store, which has been checked.

    Raises:
        SweepError: if the rungs are not those of the plan.
    """
    if not plan.rungs:
        return {}
    found = json.loads(store.attributes().get("cuts", "[]"))
    if tuple(record for record, _ in found) != plan.rungs[: len(found)]:
        raise SweepError(f"{store.path} has rungs that its page has not: start again with --fresh")
    return {record: read_mask(text, len(plan.lanes)) for record, text in found}


def find_unjudged(plan: Plan, store: Store) -> tuple[int, ...]:
    """List the rungs at which waves still have to wait, in order."""
    return plan.rungs[len(read_cuts(plan, store)) :]


def find_behind(plan: Plan, store: Store, rung: int) -> list[int]:
    """List the waves of which the store does not hold all values up to a rung."""
    stored = stored_waves(plan, store)
    return [
        number
        for number, wave in enumerate(plan.waves)
        if number not in stored and store.count_records(wave.start, wave.start + wave.places) <= rung
    ]


def judge(plan: Plan, store: Store, rung: int) -> None:
    """Decide which lanes of the sweep are cut at a rung, and write it into the store in one step.

    `Halving` is the only rule of its page. So a lane runs as long as it has a loss: that of a lane that diverged or was
    cut is NaN from then on, and one that runs has a finite one.

    Args:
        plan: the plan.
        store: the store, which holds the values of all waves up to this rung.
        rung: the record.
    """
    (rule,) = plan.experiment.rules()
    assert isinstance(rule, Halving)
    values, loss = (_read_record(plan, store, name, rung) for name in (rule.metric, LOSS))
    better = plan.experiment.better(rule.metric)
    cut = cut_lanes(rule, values, ~np.isnan(loss), *competitors(rule, plan.lanes), better)
    cuts = {**read_cuts(plan, store), rung: cut}
    store.set_attributes(cuts=json.dumps([[record, write_mask(lanes)] for record, lanes in cuts.items()]))


def _read_record(plan: Plan, store: Store, name: str, record: int) -> np.ndarray:
    """Read one record of a metric for all lanes."""
    found = np.empty(len(plan.lanes))
    for wave in plan.waves:
        found[wave.lanes] = store.read(name, wave.start, wave.start + len(wave.lanes))[:, record]
    return found
