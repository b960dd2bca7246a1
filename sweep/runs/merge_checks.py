"""Whether stores can be merged: of one question, computed in one way, and equal where they have the same lanes."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any, Final

import numpy as np

from sweep.base.errors import SweepError
from sweep.engine.plan import Plan
from sweep.page.matching import NOWHERE
from sweep.runs.agreement import differing_lanes
from sweep.runs.composing import Source
from sweep.runs.provenance import shared_blocks

_MOST_NAMED: Final = 3  # lanes


@dataclass(frozen=True)
class Merged:
    """One of the stores that are merged.

    Args:
        path: the store.
        attributes: its attributes.
        plan: the plan by which it was filled.
    """

    path: Path
    attributes: Mapping[str, Any]
    plan: Plan


def check_arithmetic(part: Merged, first: Merged) -> None:
    """Refuse a store of which this version does not know the tiles, or that was computed otherwise than the first.

    Raises:
        SweepError: with what differs.
    """
    own, other = (json.loads(each.attributes["arithmetic"]) for each in (part, first))
    for name in sorted({*own, *other} - {"tiles", "shared"}):
        if own.get(name) != other.get(name):
            raise SweepError(
                f"{part.path} was computed with {name} {own.get(name)}, {first.path} with {other.get(name)}, which may "
                f"change bits: run one of them again with that of the other"
            )
    tiles = [block.tile for block, _ in part.plan.blocks()]
    if own["tiles"] != tiles or own.get("shared") != shared_blocks(part.plan):
        raise SweepError(f"{part.path} was computed in other tiles or blocks than this version has: run its page again")
    for name in ("epochs", "snapshots"):
        if not np.array_equal(getattr(part.plan, name), getattr(first.plan, name)):
            raise SweepError(
                f"{part.path} and {first.path} have other records, as they grew from other lengths: run one of them "
                f"again with --fresh"
            )


def check_found(part: Merged, first: Merged, numbers: np.ndarray) -> None:
    """Refuse a store whose lanes are not those of the common grid.

    Args:
        part: the store.
        first: the first of the stores.
        numbers: for each lane of the store its number in the grid.

    Raises:
        SweepError: naming both stores.
    """
    if (numbers == NOWHERE).any():
        raise SweepError(
            f"{part.path} and {first.path} sweep other knobs, so that they make no grid together: sweep the same ones"
        )


def check_equal(plan: Plan, sources: Sequence[Source], preferred: Source | None) -> None:
    """Refuse lanes that two stores have with different values.

    Args:
        plan: the plan of the common grid.
        sources: the stores.
        preferred: the one whose values count in any case.

    Raises:
        SweepError: with the stores and the lanes.
    """
    settled = np.empty(0, int) if preferred is None else preferred.stored
    for one, other in combinations(sources, 2):
        differ = np.setdiff1d(differing_lanes(one, other), settled)
        if len(differ):
            named = "; ".join(_name(plan, lane) for lane in differ[:_MOST_NAMED])
            more = f" and {len(differ) - _MOST_NAMED} more" if len(differ) > _MOST_NAMED else ""
            raise SweepError(
                f"{one.path} and {other.path} differ in lane {named}{more}: --prefer names the store whose values count"
            )


def _name(plan: Plan, lane: int) -> str:
    """Name a lane by the values of its knobs."""
    return ",".join(f"{name}={column[lane]}" for name, column in plan.resolved.columns.items())
