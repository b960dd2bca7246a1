"""Axes: which values of which knobs are trained, and how they become lanes.

Axes are a product of *factors*. A factor is one dimension of the results: a table with one column for each of its
knobs, whose rows are trained in turn. `grid` makes one factor for each knob, `zipped` and `sampled` make one factor of
several knobs, `a * b` joins the factors of both, and `a + b` keeps the factors that both share and stacks the rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set, Sized
from dataclasses import dataclass, fields, replace
from itertools import product
from math import isfinite, log, prod
from typing import Final, Literal

import numpy as np

from sweep.base.errors import SweepError
from sweep.base.labels import DIMENSIONS
from sweep.page.specs.knobs import knobs_of
from sweep.page.specs.model import Model
from sweep.page.specs.task import Task
from sweep.page.specs.update_rule import UpdateRule

Value = float | int | str
MOST_LANES: Final = 2**24  # of a sweep, and so of a store
POINT: Final = "point"  # the dimension of a factor whose rows are not identified by one knob


@dataclass(frozen=True)
class Factor:
    """One dimension of a sweep: a table whose rows are combinations of knob values.

    Args:
        knobs: the names of its columns.
        rows: one tuple of values for each row; None where a knob does not apply (in a union).
        dimension: its name in the results: a knob whose values identify the rows, or "point".
    """

    knobs: tuple[str, ...]
    rows: tuple[tuple[Value | None, ...], ...]
    dimension: str

    def column(self, knob: str) -> tuple[Value | None, ...]:
        """Return the values of one knob, row by row."""
        at = self.knobs.index(knob)
        return tuple(row[at] for row in self.rows)


@dataclass(frozen=True)
class Axes:
    """What is swept, as a product of factors; see `grid`, `zipped`, `sampled`, `*` and `+`.

    Raises:
        SweepError: for a knob that is given twice, an axis without values, and more than 2^24 lanes.
    """

    factors: tuple[Factor, ...] = ()

    def __post_init__(self) -> None:
        names = [knob for factor in self.factors for knob in factor.knobs]
        for name in names:
            if names.count(name) > 1:
                raise SweepError(f"axis {name!r} is given twice in a product: give it once, or add axes with +")
        for factor in self.factors:
            if not factor.rows:
                raise SweepError(f"axis {factor.knobs[0]!r} is empty: give it at least one value")
        _check_lanes(self.size())

    def __mul__(self, other: Axes) -> Axes:
        """Combine every row of one with every row of the other."""
        return Axes(self.factors + other.factors)

    def __add__(self, other: Axes) -> Axes:
        """Take the lanes of both; a knob that only one side has does not apply to the lanes of the other.

        Factors that both sides share remain dimensions; all others become one dimension. Lanes that both
        sides have are taken once.
        """
        shared = tuple(factor for factor in self.factors if factor in other.factors)
        left, right = (_table(set(side.factors) - set(shared), side) for side in (self, other))
        if not left.knobs and not right.knobs:
            return self
        knobs = tuple(dict.fromkeys(left.knobs + right.knobs))
        rows = dict.fromkeys(_spread(left, knobs) + _spread(right, knobs))
        return Axes((Factor(knobs, tuple(rows), knobs[0] if len(knobs) == 1 else POINT), *shared))

    def knobs(self) -> tuple[str, ...]:
        """Name the swept knobs, in the order of the factors."""
        return tuple(knob for factor in self.factors for knob in factor.knobs)

    def values(self, knob: str) -> tuple[Value | None, ...]:
        """Return the values of one knob along its factor."""
        return next(factor for factor in self.factors if knob in factor.knobs).column(knob)

    def size(self) -> int:
        """Count the lanes."""
        return prod(len(factor.rows) for factor in self.factors)

    def dimensions(self) -> tuple[str, ...]:
        """Name the factors as dimensions of the results; if several are called "point" they are numbered."""
        names: list[str] = []
        for factor in self.factors:
            name, number = factor.dimension, 2
            while name in names:
                name, number = f"{factor.dimension}_{number}", number + 1
            names.append(name)
        return tuple(names)

    def keep_ends(self, most: int, structural: Set[str]) -> Axes:
        """Keep the first and the last row of each factor.

        Args:
            most: largest number of lanes of one structure; beyond it, factors of numbers keep only their first row.
            structural: knobs whose values decide the block of a lane.
        """
        kept, lanes = [], 1
        for factor in self.factors:
            rows = tuple(dict.fromkeys((factor.rows[0], factor.rows[-1])))
            if not structural & set(factor.knobs):
                rows = rows if lanes * len(rows) <= most else rows[:1]
                lanes *= len(rows)
            kept.append(replace(factor, rows=rows))
        return Axes(tuple(kept))


def _check_lanes(number: int) -> None:
    if number > MOST_LANES:
        raise SweepError(
            f"axes make {number:,} lanes, and a sweep has {MOST_LANES:,} at most: give fewer values, or divide the "
            f"sweep among several pages"
        )


def _table(factors: set[Factor], axes: Axes) -> Factor:
    chosen = [factor for factor in axes.factors if factor in factors]
    knobs = tuple(knob for factor in chosen for knob in factor.knobs)
    return Factor(knobs, tuple(sum(rows, ()) for rows in product(*(factor.rows for factor in chosen))), POINT)


def _spread(table: Factor, knobs: tuple[str, ...]) -> list[tuple[Value | None, ...]]:
    at = {knob: index for index, knob in enumerate(table.knobs)}
    return [tuple(row[at[knob]] if knob in at else None for knob in knobs) for row in table.rows]


def grid(**values: Iterable[Value]) -> Axes:
    """Sweep every combination: one dimension for each knob.

    Args:
        values: the values of each knob; numbers, or names for structural knobs.

    Raises:
        SweepError: for an empty axis, a repeated value or a number that is not finite.
    """
    factors = []
    for knob, given in values.items():
        listed = _list_values(knob, given)
        if len(set(listed)) < len(listed):
            repeated = next(value for value in listed if listed.count(value) > 1)
            raise SweepError(f"axis {knob!r} has {repeated!r} twice: give each value once")
        factors.append(Factor((knob,), tuple((value,) for value in listed), knob))
    return Axes(tuple(factors))


def zipped(**values: Iterable[Value]) -> Axes:
    """Sweep knobs together: row i takes the i-th value of each, in one dimension.

    The dimension has the name of the first knob; "seed" if the knobs are `seed` and `data_seed`; "point" if the values
    of that knob repeat.

    Raises:
        SweepError: for axes of different lengths, or a row given twice.
    """
    columns = {knob: _list_values(knob, given) for knob, given in values.items()}
    lengths = {knob: len(column) for knob, column in columns.items()}
    if len(set(lengths.values())) > 1:
        listed = ", ".join(f"{knob} {length}" for knob, length in lengths.items())
        raise SweepError(f"zipped axes must have the same length, got {listed}")
    first = "seed" if set(columns) == {"seed", "data_seed"} else next(iter(columns), POINT)
    return _one_factor(columns, first if len(set(columns.get(first, ()))) == lengths.get(first) else POINT)


@dataclass(frozen=True)
class Range:
    """A continuous range to sample from; made by `uniform` and `log_uniform`."""

    low: float
    high: float
    form: Literal["uniform", "log_uniform"]

    def at(self, unit: np.ndarray) -> np.ndarray:
        """Map numbers in [0, 1) to the range."""
        if self.form == "uniform":
            return self.low + (self.high - self.low) * unit
        return np.exp(log(self.low) + (log(self.high) - log(self.low)) * unit)


def uniform(low: float, high: float) -> Range:
    """Sample uniformly between two numbers."""
    if not low < high:
        raise SweepError(f"uniform needs low < high, got {low!r}, {high!r}")
    return Range(low, high, "uniform")


def log_uniform(low: float, high: float) -> Range:
    """Sample uniformly in the logarithm between two positive numbers."""
    if not 0 < low < high:
        raise SweepError(f"log_uniform needs 0 < low < high, got {low!r}, {high!r}")
    return Range(low, high, "log_uniform")


def sampled(
    points: int, *, method: Literal["random", "sobol"] = "random", sample_seed: int = 0, **ranges: Range
) -> Axes:
    """Sweep points drawn from ranges: one dimension, with the knobs as its coordinates.

    Args:
        points: number of points.
        method: "random" (independent) or "sobol" (scrambled Sobol sequence of `scipy.stats.qmc`).
        sample_seed: fixes the draw; a Sobol sample is a prefix of every larger one.
        ranges: `uniform(low, high)` or `log_uniform(low, high)` for each knob.

    Raises:
        SweepError: for fewer than one point, no range, or an unknown method.
    """
    if points < 1 or not ranges:
        raise SweepError(f"sampled needs at least one point and one range, got {points} and {len(ranges)}")
    _check_lanes(points)
    if method == "random":
        unit = np.random.default_rng(sample_seed).random((points, len(ranges)))
    elif method == "sobol":
        from scipy.stats import qmc  # half a second to import, and few pages sample

        power = (points - 1).bit_length()  # Sobol points are balanced in powers of two; the prefix is kept
        unit = qmc.Sobol(len(ranges), rng=np.random.default_rng(sample_seed)).random_base2(power)[:points]
    else:
        raise SweepError(f"sampled knows the methods random and sobol, got {method!r}")
    for knob, span in ranges.items():
        if not isinstance(span, Range):
            raise SweepError(f"sampled needs uniform(...) or log_uniform(...) for {knob!r}, got {span!r}")
    columns: dict[str, list[Value]] = {
        knob: span.at(unit[:, i]).tolist() for i, (knob, span) in enumerate(ranges.items())
    }
    return _one_factor(columns, next(iter(ranges)) if len(ranges) == 1 else POINT)


def _one_factor(columns: Mapping[str, list[Value]], dimension: str) -> Axes:
    rows = tuple(zip(*columns.values(), strict=True))
    if len(set(rows)) < len(rows):
        raise SweepError(f"axes {', '.join(columns)} have a row twice: give each row once")
    return Axes((Factor(tuple(columns), rows, dimension),)) if columns else Axes()


def _list_values(knob: str, given: Iterable[Value]) -> list[Value]:
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise SweepError(f"axis {knob!r} must be a list of values, got {given!r}")
    if isinstance(given, Sized):
        _check_lanes(len(given))  # before a large range is converted to a list
    listed = [value.item() if isinstance(value, np.generic) else value for value in given]
    if not listed:
        raise SweepError(f"axis {knob!r} is empty: give it at least one value")
    for value in listed:
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            if _is_plain_field(knob):
                raise SweepError(f"{knob!r} is not a knob, so no axis can sweep it: run a page for each value")
            raise SweepError(f"axis {knob!r} must hold numbers or names, got {value!r}")
        if isinstance(value, float) and not isfinite(value):
            raise SweepError(f"axis {knob!r} must hold finite numbers, got {value!r}")
    if knob in DIMENSIONS:
        raise SweepError(f"{knob!r} is a dimension of results and can't be an axis (target_frequency is one)")
    return listed


def _is_plain_field(name: str) -> bool:
    """Tell whether a name is a field of some spec that no axis can sweep, such as `bias`."""
    specs: list[type] = [Task, Model, UpdateRule]
    for spec in specs:
        specs += spec.__subclasses__()
    knobs = {knob.attribute for spec in specs for knob in knobs_of(spec).values()}
    return name not in knobs and name in {field.name for spec in specs for field in fields(spec)}


@dataclass(frozen=True)
class Lanes:
    """The lanes of a sweep: a table with one row for each training.

    Args:
        dimensions: name and size of each factor; lanes are in C order over them.
        columns: one array of shape (lanes,) for each knob; NaN or "" where a knob does not apply.
    """

    dimensions: tuple[tuple[str, int], ...]
    columns: Mapping[str, np.ndarray]

    def __len__(self) -> int:
        """Count the lanes."""
        return prod(size for _, size in self.dimensions)


def lay_out(axes: Axes) -> Lanes:
    """Lay axes out as lanes, in C order over their factors (the last factor changes fastest)."""
    sizes = [len(factor.rows) for factor in axes.factors]
    columns = {}
    for at, factor in enumerate(axes.factors):
        inner, outer = prod(sizes[at + 1 :]), prod(sizes[:at])
        for knob in factor.knobs:
            columns[knob] = np.tile(np.repeat(to_column(factor.column(knob)), inner), outer)
    return Lanes(tuple(zip(axes.dimensions(), sizes, strict=True)), columns)


def to_column(values: Iterable[Value | None]) -> np.ndarray:
    """Make an array of one type: text ("" for None), int64, or float64 (NaN for None)."""
    listed = list(values)
    present = [value for value in listed if value is not None]
    if any(isinstance(value, str) for value in present):
        return np.array(["" if value is None else str(value) for value in listed], dtype=object)
    if len(present) == len(listed) and all(isinstance(value, int) for value in present):
        return np.array(listed, dtype=np.int64)
    return np.array([np.nan if value is None else value for value in listed], dtype=np.float64)
