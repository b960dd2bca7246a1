"""From a page to its lanes: their structures, the values of each lane, and its traced numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from sweep.base.labels import SEEDS
from sweep.page.axes import Axes, Factor, Lanes, Value, lay_out, to_column
from sweep.page.shape import Shape, blank, steps_per_epoch
from sweep.page.specs.knobs import Knob, knobs_of
from sweep.page.specs.loss import as_loss

if TYPE_CHECKING:
    from sweep.page.experiment import Experiment


@dataclass(frozen=True)
class Structure:
    """The values that lanes of one structure have, without the lanes.

    Args:
        values: values of the structural knobs that apply to them.
        ranges: the smallest and the largest value of each swept traced knob that applies to them.
    """

    values: Mapping[str, Value]
    ranges: Mapping[str, tuple[Value, Value]]


def structures(page: Experiment) -> Iterator[Structure]:
    """List the structures of a page's axes, in the order in which they first occur, without laying out the lanes."""
    knobs = {name: knob for name, (_, knob) in page.knobs().items()}
    for chosen in product(*(_groups(factor, knobs) for factor in page.axes.factors)):
        values = {name: value for each in chosen for name, value in each.values.items()}
        yield Structure(values, {name: ends for each in chosen for name, ends in each.ranges.items()})


def _groups(factor: Factor, knobs: Mapping[str, Knob]) -> list[Structure]:
    """Group the rows of a factor by structure."""
    columns = {name: to_column(factor.column(name)) for name in factor.knobs}
    structural = _structural(columns, knobs)
    found = []
    for values, members in _group_by_structure(structural, len(factor.rows)):
        traced = {name: column[members] for name, column in columns.items() if knobs[name].traced}
        found.append(Structure(values, {name: ends for name, own in traced.items() if (ends := _ends(own))}))
    return found


def _structural(columns: Mapping[str, np.ndarray], knobs: Mapping[str, Knob]) -> dict[str, np.ndarray]:
    """Choose the columns that decide the code: structural knobs, and options, of which it counts who has one."""
    found = {}
    for name, column in columns.items():
        if not knobs[name].traced:
            found[name] = column
        elif knobs[name].option:
            has = ~np.isnan(column)
            found[name] = np.where(has, column[has].min(), np.nan)
    return found


def _group_by_structure(
    structural: Mapping[str, np.ndarray], size: int
) -> Iterator[tuple[dict[str, Value], np.ndarray]]:
    """Yield the values of the structural knobs of each structure, and the numbers of its rows."""
    group, rows = group_rows(list(structural.values()), size)
    for number, row in enumerate(rows):
        present = [(name, value) for name, value in zip(structural, row, strict=True) if not _is_missing(value)]
        values = {name: _to_integer(value) for name, value in present}
        yield values, np.flatnonzero(group == number)


def _ends(column: np.ndarray) -> tuple[Value, Value] | None:
    """Return the smallest and the largest value that is not missing; None if all are."""
    present = column[~np.isnan(column)]
    return (present.min().item(), present.max().item()) if present.size else None


@dataclass(frozen=True)
class Variant:
    """The lanes of one structure.

    Args:
        page: the experiment with that structure's values, and without axes.
        members: numbers of its lanes in the layout of the sweep.
    """

    page: Experiment
    members: np.ndarray


@dataclass(frozen=True)
class Resolved:
    """A page and its lanes.

    Args:
        page: the page.
        lanes: all its lanes.
        variants: the lanes by structure.
    """

    page: Experiment
    lanes: Lanes
    variants: tuple[Variant, ...]

    @cached_property
    def columns(self) -> dict[str, np.ndarray]:
        """Each swept knob's value in each lane: as given, or its default where none is given."""
        knobs = self.page.knobs()
        columns = {name: column.copy() for name, column in self.lanes.columns.items()}
        for variant in self.variants:
            own = numbers_of(variant, self.lanes)
            for name in columns:
                if knobs[name][1].traced:
                    columns[name][variant.members] = own.get(name, np.nan)
                elif name in applicable_knobs(variant.page):
                    columns[name][variant.members] = knobs[name][1].write(value_of(variant.page, name))
        return columns


def resolve(page: Experiment) -> Resolved:
    """Lay out the lanes of a page, and group them by structure.

    Raises:
        SweepError: for more lanes than a sweep may have.
    """
    lanes = lay_out(page.axes)
    structural = _structural(lanes.columns, {name: knob for name, (_, knob) in page.knobs().items()})
    variants = tuple(
        Variant(with_values(page, values), members) for values, members in _group_by_structure(structural, len(lanes))
    )
    return Resolved(page, lanes, variants)


def with_values(page: Experiment, values: Mapping[str, Value]) -> Experiment:
    """Return a page with other values for some knobs and without axes, shown at the same x."""
    knobs, changed = page.knobs(), {}
    for name, value in values.items():
        part, knob = knobs[name]
        changed.setdefault(part, {})[name if part else knob.attribute] = knob.read(value)
    own = dict(changed.pop("", {}))
    for part, of_part in changed.items():
        own[part] = getattr(page, part).with_knobs(of_part)
    return replace(
        page, **own, axes=Axes(), figures=(), claims=(), stop=None, _shown=page.shown(), _swept=page.swept()
    )  # fmt: skip


def applicable_knobs(page: Experiment) -> frozenset[str]:
    """Name the knobs that have an effect in a page's structure."""
    parts = [getattr(page, part).applicable() for part in page.parts()]
    return frozenset(knobs_of(type(page))).union(as_loss(page.loss).values(), *parts)


def value_of(page: Experiment, name: str) -> Any:
    """Return a knob's value where no axis sweeps it: the page's, or the default if the page sets none."""
    part, knob = page.knobs()[name]
    if part == "parameters":
        return page.task.parameters[knob.name]  # type: ignore[attr-defined]
    if part == "loss":
        return as_loss(page.loss).values()[knob.name]
    return getattr(page, part).knob_value(name) if part else getattr(page, knob.attribute)


def numbers_of(variant: Variant, lanes: Lanes) -> dict[str, np.ndarray]:
    """Return every traced number of the lanes of a structure: swept, set by the page, or a default."""
    found, has = {}, applicable_knobs(variant.page)
    for name, (_, knob) in variant.page.knobs().items():
        if not knob.traced or name not in has:
            continue
        fixed = value_of(variant.page, name)
        column = lanes.columns.get(name, np.full(len(lanes), np.nan))[variant.members]
        filled = np.where(np.isnan(column.astype(float)), fixed, column) if fixed is not None else column
        found[name] = filled.astype(np.int64 if name in SEEDS else np.float64)
    return found


def shape_of(page: Experiment) -> Shape:
    """Return the Shape of lanes with a page's structure."""
    return Shape(
        task=blank(page.task),
        common_data=page.task.is_common(page.swept()),
        model=blank(page.model),
        optimizer=blank(page.optimizer),
        shown=page.shown(),
        loss=as_loss(page.loss),
        batch_size=page.batch_size,
        steps=page.epochs * steps_per_epoch(page.task.points, page.batch_size),
        precision=page.precision,
        metrics=page.metrics(),
        own=page.own_metrics(),
        training=page.training and blank(page.training),
    )


def _is_missing(value: Any) -> bool:
    return value == "" or value != value  # NaN is the number that differs from itself


def _to_integer(value: Any) -> Any:
    """Convert a float back to an integer: structural numbers are integers, but a column with gaps holds floats."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def number_rows(columns: Sequence[np.ndarray], size: int) -> np.ndarray:
    """Give equal rows of some columns equal numbers, from 0 on without gaps; NaN is equal to NaN.

    Args:
        columns: arrays of shape (size,); without any, all rows are equal.
        size: number of rows.
    """
    code = np.zeros(size, np.int64)
    for column in columns:
        values, inverse = np.unique(column, return_inverse=True)
        code = np.unique(code * len(values) + inverse, return_inverse=True)[1]
    return code


def group_rows(columns: Sequence[np.ndarray], size: int) -> tuple[np.ndarray, list[tuple[Any, ...]]]:
    """Number the distinct rows of some columns in order of appearance.

    Args:
        columns: arrays of shape (size,); without any, all rows form one group.
        size: number of rows.

    Returns:
        The number of each row, and the distinct rows.
    """
    _, first, group = np.unique(number_rows(columns, size), return_index=True, return_inverse=True)
    appearance = np.argsort(first)
    rank = np.argsort(appearance)
    rows = [tuple(column[first[at]] for column in columns) for at in appearance]
    return rank[group], [tuple(v.item() if isinstance(v, np.generic) else v for v in row) for row in rows]
