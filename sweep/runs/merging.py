"""Merging stores of one question into a new one, which has the lanes of all."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import reduce
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
from sweep.page.matching import described_by, earlier, match
from sweep.page.resolve import Resolved, resolve
from sweep.page.restore import restore, restore_axes
from sweep.results import store as stores
from sweep.results.checks.attributes import check_provenance
from sweep.results.networks import kept
from sweep.runs.composing import Source, carried, describe, fill
from sweep.runs.growth_checks import check_lanes, refuse_halving
from sweep.runs.layout import lay_out_store
from sweep.runs.merge_checks import Merged, check_arithmetic, check_equal, check_found
from sweep.runs.provenance import devices_of, fixed_by, shared_blocks
from sweep.runs.shares import counted, trained_steps
from sweep.runs.wave_writer import stored_waves

_NO_LIMIT: Final = 2**62  # bytes: nothing is trained here


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
    attributes = [_read(path) for path in ordered]
    experiment = _experiment(ordered, attributes, page)
    refuse_halving(ordered[0], experiment)
    devices = devices_of(attributes[0])
    parts = [_part(path, own, experiment, devices) for path, own in zip(ordered, attributes, strict=True)]
    for part in parts:
        check_arithmetic(part, parts[0])
    new = resolve(experiment)
    lanes = [match(new, part.plan.resolved) for part in parts]
    for part, numbers in zip(parts, lanes, strict=True):
        check_found(part, parts[0], numbers)
    sources = [Source.of(part.path, numbers) for part, numbers in zip(parts, lanes, strict=True)]
    keeps: list[Keep] = [kept(own) for own in attributes]
    held = np.isin(np.arange(len(new.lanes)), np.concatenate([source.stored for source in sources]))
    plan = _pack(new, devices, Fixed(_wave_lanes(parts), None, least(*keeps), held, parts[0].plan.earlier_epochs))
    for part, numbers in zip(parts, lanes, strict=True):
        check_lanes(part.path, part.plan, plan, numbers, "merge it with fewer others")
    check_equal(plan, sources, sources[0] if prefer is not None else None)
    _write(plan, parts, sources, out)


def _part(path: Path, attributes: Mapping[str, Any], experiment: Experiment, devices: Devices) -> Merged:
    """Plan one of the stores as it was."""
    own = replace(experiment, axes=restore_axes(described_by(attributes)))
    return Merged(path, attributes, _pack(resolve(own), devices, fixed_by(attributes)))


def _wave_lanes(parts: Sequence[Merged]) -> int:
    """Choose the size of waves: one that fitted, as nobody knows the memory of the machine that trains the rest."""
    divided = [part.plan.wave_lanes for part in parts if len(part.plan.waves) > 1]
    return min(divided) if divided else max(part.plan.wave_lanes for part in parts)


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
    names = {str(attributes["name"]) for attributes in held}
    name = names.pop() if len(names) == 1 else first.name.partition(VARIATION)[0]  # a variation may name its own axes
    return replace(first, axes=reduce(join, map(restore_axes, descriptions)), name=name)


def _pack(resolved: Resolved, devices: Devices, fixed: Fixed) -> Plan:
    with standard_settings(resolved.page.precision):
        return pack(resolved, memory=_NO_LIMIT, devices=devices, fixed=fixed)


def _write(plan: Plan, parts: Sequence[Merged], sources: Sequence[Source], out: Path) -> None:
    """Make the new store."""
    counts = [counted(stores.Store(part.path)) for part in parts]
    first = counts[0]
    origin = carried(first)
    if "arguments" in origin:
        origin["arguments"] = json.dumps(_without_axes(json.loads(origin["arguments"])))
    figures = {name: first[name] for name in ("figures",) if name in first}
    attributes = describe(plan, counts, origin) | figures | _computed(plan, first)

    def take(store: stores.Store) -> None:
        fill(plan, store, sources, len(plan.epochs))
        stored = stored_waves(plan, store)
        steps = trained_steps(plan, store, stored)
        store.set_attributes(lane_steps=steps, complete=len(stored) == len(plan.waves))
        for part in parts:
            _refuse_changed(part)

    stores.create(out, lay_out_store(plan), plan.chunk_lanes, attributes, fill=take)


def _without_axes(arguments: Sequence[str]) -> list[str]:
    """Leave out the options of a command that replace values of axes: the merged store has other ones."""
    found, keeps = [], True
    for argument in arguments:
        keeps = not argument.startswith("--axes.") if argument.startswith("--") else keeps
        found += [argument] if keeps else []
    return found


def _refuse_changed(part: Merged) -> None:
    """Refuse a store in whose place another process has put another one while it was read: it grew, for example."""
    now = stores.read_attributes(part.path)
    if any(now[name] != part.attributes[name] for name in ("created", "plan")):
        raise SweepError(f"{part.path} has changed while it was merged: merge it again once nothing fills it")


def _computed(plan: Plan, attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Say where and with what the results were computed, which is not here."""
    tiles = [block.tile for block, _ in plan.blocks()]
    arithmetic = json.loads(attributes["arithmetic"]) | {"tiles": tiles, "shared": shared_blocks(plan)}
    return {"arithmetic": json.dumps(arithmetic)} | {name: attributes[name] for name in ("device", "versions")}
