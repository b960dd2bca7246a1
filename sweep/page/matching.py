"""Lanes of two sweeps that are the same trainings, whatever their places in the axes."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from sweep.page.axes import Axes
from sweep.page.experiment import Experiment
from sweep.page.identity import fill_defaults
from sweep.page.resolve import Resolved, applicable_knobs, number_rows, numbers_of, value_of
from sweep.page.restore import restore_axes

NOWHERE = -1  # of a lane that the other sweep does not have


def match(new: Resolved, old: Resolved) -> np.ndarray:
    """Find each lane of a sweep in another sweep of the same page with other axes, by the values that it resolves to.

    Args:
        new: the sweep in which lanes are looked for.
        old: the sweep whose lanes these are.

    Returns:
        For each lane of `old` the number of that lane in `new`; `NOWHERE` if it has none. Lanes that several times
        resolve to the same values are matched one by one.
    """
    names = sorted({*new.lanes.columns, *old.lanes.columns})
    texts: dict[Any, int] = {}
    pairs = zip(_columns(new, names, texts), _columns(old, names, texts), strict=True)
    size = len(new.lanes), len(old.lanes)
    codes = number_rows([np.concatenate(pair) for pair in pairs], sum(size))
    wanted, known = _one_by_one(codes[size[0] :], sum(size)), _one_by_one(codes[: size[0]], sum(size))
    order = np.argsort(known)
    place = np.searchsorted(known, wanted, sorter=order).clip(max=size[0] - 1)
    found = order[place]
    return np.where(known[found] == wanted, found, NOWHERE)


def _columns(resolved: Resolved, names: Sequence[str], texts: dict[Any, int]) -> Iterator[np.ndarray]:
    """Yield the value of each knob in each lane: of a number itself, of anything else the number that `texts` gives."""
    knobs, lanes = resolved.page.knobs(), resolved.lanes
    columns = {name: np.full(len(lanes), np.nan) for name in names}
    for variant in resolved.variants:
        numbers, has = numbers_of(variant, lanes), applicable_knobs(variant.page)
        for name in names:
            if knobs[name][1].traced:
                columns[name][variant.members] = numbers.get(name, np.nan)
            elif name in has:
                value = knobs[name][1].write(value_of(variant.page, name))
                columns[name][variant.members] = texts.setdefault(value, len(texts))
    yield from columns.values()


def _one_by_one(codes: np.ndarray, most: int) -> np.ndarray:
    """Make codes distinct: each with how many equal ones come before it."""
    order = np.argsort(codes, kind="stable")
    ordered = codes[order]
    first = np.searchsorted(ordered, ordered)
    before = np.empty(len(codes), np.int64)
    before[order] = np.arange(len(codes)) - first
    return codes * most + before


def lacking(new: Resolved, old: Resolved, found: np.ndarray) -> str:
    """Say which values the lanes of a sweep have that another one lacks; "" if it lacks none.

    Args:
        new: the sweep in which lanes were looked for.
        old: the sweep whose lanes these are.
        found: what `match` returned.
    """
    if (found != NOWHERE).all():
        return ""
    lanes = np.flatnonzero(found == NOWHERE)
    for name, column in old.columns.items():
        if name in new.columns:
            known = {*new.columns[name].tolist()}
            values = dict.fromkeys(column[lanes].tolist())
            lost = [value for value in values if value not in known and value == value and value != ""]
            if lost:
                return f"{name} {', '.join(map(str, lost[:4]))}{', ...' if len(lost) > 4 else ''}"
    return f"{len(lanes):,} combinations"


def earlier(page: Experiment, description: Mapping[str, Any]) -> Experiment:
    """Make the experiment of a store from a page that may have other axes and epochs by now.

    The code is the page's, which no store holds. Whether the rest of the page is that of the store, must be compared
    with `identity.differing_fields`.

    Args:
        page: the page as it is now.
        description: the store's description of its experiment.

    Raises:
        SweepError: if the page can't have the store's axes.
    """
    described = fill_defaults(description)
    axes = restore_axes(described)
    changed = _fixed_before(page, axes, described)
    return replace(page, axes=axes, epochs=described["epochs"], figures=(), claims=(), **changed)


def _fixed_before(page: Experiment, axes: Axes, described: Mapping[str, Any]) -> dict[str, Any]:
    """Give the parts of a page whose knobs it sweeps by now, with the values that these had before they were swept."""
    changed: dict[str, dict[str, Any]] = {}
    for name in page.axes.knobs():
        part, knob = page.knobs()[name]
        own = described.get(part) if part in page.parts() else {} if part else described
        value = own.get(knob.attribute) if isinstance(own, Mapping) else None
        if name not in axes.knobs() and value is not None and not isinstance(value, Mapping):
            changed.setdefault(part, {})[name if part else knob.attribute] = (
                tuple(value) if isinstance(value, list) else value
            )
    own_fields = changed.pop("", {})
    return own_fields | {part: getattr(page, part).with_knobs(values) for part, values in changed.items()}


def described_by(attributes: Mapping[str, Any]) -> Mapping[str, Any]:
    """Read a store's description of its experiment."""
    return json.loads(attributes["experiment"])
