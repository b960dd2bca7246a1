"""From a page to its lanes: structures, the values that each lane has, and the traced numbers of each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from sweep.base.labels import SEEDS
from sweep.page.axes import Axes, Factor, Lanes, Value, as_column, lay_out
from sweep.page.shape import Shape, blank, steps_per_epoch
from sweep.page.specs.knobs import Knob, knobs_of

if TYPE_CHECKING:
    from sweep.page.experiment import Experiment

PARTS: Final = ("task", "model", "optimizer")


@dataclass(frozen=True)
class Structure:
    """What lanes of one structure are given, without the lanes.

    Args:
        values: of the structural knobs that apply to them.
        ranges: the smallest and the largest value of each traced knob that they are given.
    """

    values: Mapping[str, Value]
    ranges: Mapping[str, tuple[Value, Value]]


def structures(page: Experiment) -> Iterator[Structure]:
    """List the structures that axes combine, in the order in which lanes have them; the lanes are not laid out."""
    knobs = {name: knob for name, (_, knob) in page.knobs().items()}
    for chosen in product(*(_groups(factor, knobs) for factor in page.axes.factors)):
        values = {name: value for each in chosen for name, value in each.values.items()}
        yield Structure(values, {name: ends for each in chosen for name, ends in each.ranges.items()})


def _groups(factor: Factor, knobs: Mapping[str, Knob]) -> list[Structure]:
    """Group the rows of a factor by structure."""
    columns = {name: as_column(factor.column(name)) for name in factor.knobs}
    structural = {name: column for name, column in columns.items() if not knobs[name].traced}
    found = []
    for values, members in _by_structure(structural, len(factor.rows)):
        traced = {name: column[members] for name, column in columns.items() if knobs[name].traced}
        found.append(Structure(values, {name: ends for name, own in traced.items() if (ends := _ends(own))}))
    return found


def _by_structure(structural: Mapping[str, np.ndarray], size: int) -> Iterator[tuple[dict[str, Value], np.ndarray]]:
    """Give each structure's values, of the structural knobs that it has, and the numbers of its rows."""
    group, rows = group_rows(list(structural.values()), size)
    for number, row in enumerate(rows):
        values = {name: _whole(value) for name, value in zip(structural, row, strict=True) if not _is_missing(value)}
        yield values, np.flatnonzero(group == number)


def _ends(column: np.ndarray) -> tuple[Value, Value] | None:
    """Give the smallest and the largest value there is."""
    present = column[~np.isnan(column)]
    return (present.min().item(), present.max().item()) if present.size else None


@dataclass(frozen=True)
class Variant:
    """The lanes of one structure.

    Args:
        page: the experiment with that structure's values put in, and no axes.
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
        """Each swept knob's value in each lane: as typed, or the default where the page leaves it open."""
        knobs = self.page.knobs()
        columns = {name: column.copy() for name, column in self.lanes.columns.items()}
        for variant in self.variants:
            own = numbers_of(variant, self.lanes)
            for name in columns:
                if knobs[name][1].traced:
                    columns[name][variant.members] = own.get(name, np.nan)
                elif name in applicable(variant.page):
                    columns[name][variant.members] = value_of(variant.page, name)
        return columns


def resolve(page: Experiment) -> Resolved:
    """Lay out the lanes of a page, and put them together by structure.

    Raises:
        SweepError: for more lanes than a sweep may have.
    """
    lanes = lay_out(page.axes)
    knobs = page.knobs()
    structural = {name: column for name, column in lanes.columns.items() if not knobs[name][1].traced}
    variants = tuple(
        Variant(with_values(page, values), members) for values, members in _by_structure(structural, len(lanes))
    )
    return Resolved(page, lanes, variants)


def with_values(page: Experiment, values: Mapping[str, Value]) -> Experiment:
    """Give a page with other values for some knobs and no axes, to be shown over the same x."""
    knobs, changed = page.knobs(), {}
    for name, value in values.items():
        part, knob = knobs[name]
        changed.setdefault(part, {})[knob.attribute] = value
    own = dict(changed.pop("", {}))
    for part, fields_ in changed.items():
        own[part] = replace(getattr(page, part), **fields_)
    return replace(page, **own, axes=Axes(), figures=(), claims=(), stop=None, _shown=page.shown())


def applicable(page: Experiment) -> frozenset[str]:
    """Name the knobs that have a meaning in a page's structure."""
    parts = [getattr(page, part).applicable() for part in PARTS]
    return frozenset(knobs_of(type(page))).union(*parts)


def value_of(page: Experiment, name: str) -> Any:
    """Give a knob's value where no axis sweeps it: the page's, or the default where the page leaves it open."""
    part, knob = page.knobs()[name]
    if part == "parameters":
        return page.task.parameters[knob.name]  # type: ignore[attr-defined]
    value = getattr(getattr(page, part) if part else page, knob.attribute)
    return page.optimizer.default(knob.name) if value is None else value


def numbers_of(variant: Variant, lanes: Lanes) -> dict[str, np.ndarray]:
    """Give every traced number of the lanes of a structure: swept, set by the page, or a default."""
    found, has = {}, applicable(variant.page)
    for name, (_, knob) in variant.page.knobs().items():
        if not knob.traced or name not in has:
            continue
        fixed = value_of(variant.page, name)
        column = lanes.columns.get(name, np.full(len(lanes), np.nan))[variant.members]
        filled = np.where(np.isnan(column.astype(float)), fixed, column) if fixed is not None else column
        found[name] = filled.astype(np.int64 if name in SEEDS else np.float64)
    return found


def shape_of(page: Experiment) -> Shape:
    """Give the Shape of lanes of a page's structure."""
    return Shape(
        task=blank(page.task),
        model=blank(page.model),
        optimizer=blank(page.optimizer),
        shown=page.shown(),
        loss=page.loss,
        batch_size=page.batch_size,
        steps=page.epochs * steps_per_epoch(page.task.points, page.batch_size),
        precision=page.precision,
        metrics=page.metrics(),
        own=page.record.own,
    )


def _is_missing(value: Any) -> bool:
    return value == "" or value != value  # NaN is the number that differs from itself


def _whole(value: Any) -> Any:
    """Undo the float that a column with gaps makes of a count; structural numbers are counts."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def group_rows(columns: Sequence[np.ndarray], size: int) -> tuple[np.ndarray, list[tuple[Any, ...]]]:
    """Number the distinct rows of some columns in order of appearance.

    Args:
        columns: of equal length; none makes one group.
        size: that length.

    Returns:
        The number of each row, and the rows.
    """
    code = np.zeros(size, np.int64)
    for column in columns:
        values, inverse = np.unique(column, return_inverse=True)
        code = np.unique(code * len(values) + inverse, return_inverse=True)[1]
    _, first, group = np.unique(code, return_index=True, return_inverse=True)
    appearance = np.argsort(first)
    rank = np.argsort(appearance)
    rows = [tuple(column[first[at]] for column in columns) for at in appearance]
    return rank[group], [tuple(v.item() if isinstance(v, np.generic) else v for v in row) for row in rows]
