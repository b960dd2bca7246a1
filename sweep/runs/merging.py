"""Merging stores of one question into a new one, which has the lanes of all."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from itertools import combinations
from pathlib import Path
from typing import Any, Final

import numpy as np

from sweep.base.errors import SweepError
from sweep.base.labels import SCHEMA
from sweep.engine.keeping import Keep, least
from sweep.engine.numerics import standard_settings
from sweep.engine.plan import Devices, Fixed, Plan, pack
from sweep.page.axes import join
from sweep.page.experiment import Experiment
from sweep.page.identity import differing_fields
from sweep.page.load import VARIATION
from sweep.page.matching import NOWHERE, described_by, earlier, match
from sweep.page.resolve import resolve
from sweep.page.restore import restore, restore_axes
from sweep.results import store as stores
from sweep.results.checks.attributes import check_provenance
from sweep.results.dataset import LANE
from sweep.results.networks import kept
from sweep.runs.agreement import differing_lanes
from sweep.runs.composing import Source, describe, fill
from sweep.runs.curves import END_DATES
from sweep.runs.growth_checks import check_lanes, refuse_halving
from sweep.runs.layout import lay_out_store
from sweep.runs.provenance import devices_of, fixed_by, shared_blocks
from sweep.runs.shares import counted
from sweep.runs.wave_writer import stored_steps, stored_waves

_NO_LIMIT: Final = 2**62  # bytes: nothing is trained here
_MOST_NAMED: Final = 3  # lanes


@dataclass(frozen=True)
class _Part:
    """One of the stores that are merged.

    Args:
        path: the store.
        attributes: its attributes.
        plan: the plan by which it was filled.
    """

    path: Path
    attributes: Mapping[str, Any]
    plan: Plan


def merge(paths: Sequence[Path], out: Path, *, prefer: Path | None = None, page: Experiment | None = None) -> None:
    """Merge stores of one question.

    Args:
        paths: the stores, which stay as they are. Of incomplete ones the waves that have ended are taken.
        out: the store to make.
        prefer: the one of the stores whose values count where lanes differ; None refuses differing lanes.
        page: the page, needed if it has code, which no store holds.

    Raises:
        SweepError: for stores of different questions, arithmetic or schemas, or with a lane that differs; nothing is
            written then.
    """
    ordered = _in_order(paths, prefer)
    held = [_read(path) for path in ordered]
    experiment = _experiment(ordered, held, page)
    refuse_halving(ordered[0], experiment)
    devices = devices_of(held[0])
    parts = [_part(path, attributes, experiment, devices) for path, attributes in zip(ordered, held, strict=True)]
    for part in parts:
        _check_arithmetic(part, parts[0])
    lengths = parts[0].plan.earlier_epochs
    natural = _pack(experiment, devices, Fixed(earlier_epochs=lengths))
    lanes = [match(natural.resolved, part.plan.resolved) for part in parts]
    for part, numbers in zip(parts, lanes, strict=True):
        _check_found(part, parts[0], numbers)
        check_lanes(part.path, part.plan, natural, numbers)
    sources = [_source(part.path, numbers) for part, numbers in zip(parts, lanes, strict=True)]
    if prefer is None:
        _check_equal(natural, sources)
    keeps: list[Keep] = [kept(attributes) for attributes in held]
    keep = least(natural.keep, *keeps)
    mask = np.isin(np.arange(len(natural.lanes)), np.concatenate([source.stored for source in sources]))
    _write(_pack(experiment, devices, Fixed(None, None, keep, mask, lengths)), parts, sources, out)


def _part(path: Path, attributes: Mapping[str, Any], experiment: Experiment, devices: Devices) -> _Part:
    """Plan one of the stores as it was."""
    own = replace(experiment, axes=restore_axes(described_by(attributes)))
    return _Part(path, attributes, _pack(own, devices, fixed_by(attributes)))


def _in_order(paths: Sequence[Path], prefer: Path | None) -> list[Path]:
    """Give the stores with the preferred one first."""
    if len({path.resolve() for path in paths}) < len(paths):
        raise SweepError("a store is named twice: name each once")
    if len(paths) < 2:
        raise SweepError(f"there is nothing to merge with {paths[0] if paths else 'nothing'}: name two stores or more")
    chosen = [path for path in paths if prefer is not None and path.resolve() == prefer.resolve()]
    if prefer is not None and not chosen:
        raise SweepError(f"--prefer names {prefer}, which is none of the stores: name one of them")
    return [*chosen, *(path for path in paths if path not in chosen)]


def _read(path: Path) -> Mapping[str, Any]:
    """Read the attributes of a store, and make sure that it holds what was written."""
    stores.verify(path)
    attributes = stores.check(path)
    check_provenance(path, attributes)
    if attributes["schema"] != SCHEMA:
        raise SweepError(
            f"{path} is of schema {attributes['schema']}, and stores of schema {SCHEMA} can be merged: run its page "
            f"again"
        )
    return attributes


def _experiment(paths: Sequence[Path], held: Sequence[Mapping[str, Any]], page: Experiment | None) -> Experiment:
    """Give the experiment of which all stores are parts: that of the first, with the axes of all."""
    descriptions = [described_by(attributes) for attributes in held]
    try:
        first = earlier(page, descriptions[0]) if page else restore(descriptions[0])
    except SweepError as error:
        raise SweepError(f"{paths[0]} can't be merged: {error}: name its page with --page PAGE") from error
    if page and (fields := differing_fields(first, held[0])):
        raise SweepError(f"the page {page.name} is not that of {paths[0]}, it differs in {fields}: name another page")
    for path, attributes, description in zip(paths, held, descriptions, strict=True):
        own = replace(first, axes=restore_axes(description))
        if fields := differing_fields(own, attributes):
            raise SweepError(
                f"{path} holds another experiment than {paths[0]}, it differs in {fields}: only stores that differ in "
                f"their axes can be merged"
            )
    own_name = first.name.partition(VARIATION)[0]  # a variation's name tells its own axes
    return replace(first, axes=reduce(join, map(restore_axes, descriptions)), name=own_name)


def _pack(experiment: Experiment, devices: Devices, fixed: Fixed) -> Plan:
    with standard_settings(experiment.precision):
        return pack(resolve(experiment), memory=_NO_LIMIT, devices=devices, fixed=fixed)


def _check_arithmetic(part: _Part, first: _Part) -> None:
    """Refuse a store of which this version does not know the tiles, or that was computed otherwise than the first."""
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
    if part.plan.earlier_epochs != first.plan.earlier_epochs:
        raise SweepError(f"{part.path} and {first.path} were not grown in the same way, so that their records differ")


def _check_found(part: _Part, first: _Part, numbers: np.ndarray) -> None:
    """Refuse a store whose lanes are not those of the common grid."""
    if (numbers == NOWHERE).any():
        raise SweepError(
            f"{part.path} and {first.path} sweep other knobs, so that they make no grid together: sweep the same ones"
        )


def _source(path: Path, numbers: np.ndarray) -> Source:
    """Describe what a store gives: the lanes of its waves that have ended."""
    store = stores.Store(path)
    lanes = store.read(LANE, 0, store.layout(LANE)[0][0])
    taken = store.stored_places() & (lanes >= 0)
    return Source(path, np.where(taken, numbers[lanes], NOWHERE))


def _check_equal(plan: Plan, sources: Sequence[Source]) -> None:
    """Refuse lanes that two stores have with different values."""
    for one, other in combinations(sources, 2):
        differ = differing_lanes(one, other)
        if len(differ):
            named = "; ".join(_name(plan, lane) for lane in differ[:_MOST_NAMED])
            more = f" and {len(differ) - _MOST_NAMED} more" if len(differ) > _MOST_NAMED else ""
            raise SweepError(
                f"{one.path} and {other.path} differ in lane {named}{more}: --prefer names the store whose values count"
            )


def _name(plan: Plan, lane: int) -> str:
    """Name a lane by the values of its knobs."""
    return ",".join(f"{name}={column[lane]}" for name, column in plan.resolved.columns.items())


def _write(plan: Plan, parts: Sequence[_Part], sources: Sequence[Source], out: Path) -> None:
    """Make the new store."""
    held = [counted(stores.Store(part.path)) for part in parts]
    first = held[0]
    same = all(attributes["fingerprint"] == first["fingerprint"] for attributes in held)
    carried = ("page", "figures", *(("name", "arguments", "parent") if same else ()))
    kept_on = {name: first[name] for name in carried if name in first}
    attributes = describe(plan, held, {}) | kept_on | _computed(plan, first)

    def take(store: stores.Store) -> None:
        fill(plan, store, sources, len(plan.epochs))
        ends = tuple(sorted(END_DATES.keys() & set(store.names())))
        stored = stored_waves(plan, store)
        steps = sum(stored_steps(plan, number, store, ends) for number in stored)
        store.set_attributes(lane_steps=steps, complete=len(stored) == len(plan.waves))

    stores.create(out, lay_out_store(plan), plan.chunk_lanes, attributes, fill=take)


def _computed(plan: Plan, attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Say where and with what the results were computed, which is not here."""
    tiles = [block.tile for block, _ in plan.blocks()]
    arithmetic = json.loads(attributes["arithmetic"]) | {"tiles": tiles, "shared": shared_blocks(plan)}
    return {"arithmetic": json.dumps(arithmetic)} | {name: attributes[name] for name in ("device", "versions")}
