"""Axes: which values of which knobs are trained, and how they become lanes.

Axes are a product of *factors*. A factor is one dimension of the results: a table with one column for each of its
knobs, whose rows are trained in turn. `grid` makes one factor for each knob; `zipped`, `table` and `sampled` (in
`sampling`) make one factor of several knobs; `a * b` joins the factors of both, and `a + b` keeps the factors that both
share and stacks the rest.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set, Sized
from dataclasses import dataclass, fields, replace
from itertools import product
from math import isfinite, prod
from typing import Any, Final, Protocol

import numpy as np

from sweep.base.errors import SweepError
from sweep.base.labels import DIMENSIONS
from sweep.page.specs.knobs import Knob, knobs_of, to_plain
from sweep.page.specs.model import Model
from sweep.page.specs.task import Task
from sweep.page.specs.update_rule import UpdateRule

Value = float | int | str
Given = Value | Sequence[float]  # what a page gives
MOST_LANES: Final = 2**24  # of a sweep, and so of a store
POINT: Final = "point"  # the dimension of a factor whose rows are not identified by one knob


@dataclass(frozen=True)
class Factor:
    """One dimension of a sweep: a table whose rows are combinations of knob values.

    Args:
        knobs: the names of its columns.
        rows: one tuple of values for each row; None where a knob does not apply (in a union, a table or under `when`).
            In the axes of a page all values are numbers and texts (`written`).
        dimension: its name in the results: a knob whose values identify the rows, or "point".
    """

    knobs: tuple[str, ...]
    rows: tuple[tuple[Value | None, ...], ...]
    dimension: str

    def column(self, knob: str) -> tuple[Value | None, ...]:
        """Return the values of one knob, row by row."""
        at = self.knobs.index(knob)
        return tuple(row[at] for row in self.rows)

    def written(self, knobs: Mapping[str, Knob]) -> Factor:
        """Write the values of these knobs as texts."""
        if not {*self.knobs} & {*knobs}:
            return self
        columns = {name: self.column(name) for name in self.knobs}
        for name in {*self.knobs} & {*knobs}:
            texts = {value: _write(knobs[name], value) for value in dict.fromkeys(columns[name])}
            columns[name] = tuple(texts[value] for value in columns[name])
        rows = tuple(zip(*columns.values(), strict=True))
        for row, count in Counter(rows).items():
            if count > 1:
                raise SweepError(f"axis {self.knobs[0]!r} has {row[0]!r} twice: give each value once")
        return replace(self, rows=rows)

    def ends(self) -> tuple[tuple[Value | None, ...], ...]:
        """Return the first and the last row, and between them the first to which a knob applies that lacks in both."""
        lacking = [at for at in range(len(self.knobs)) if self.rows[0][at] is self.rows[-1][at] is None]
        between = [next(row for row in self.rows if row[at] is not None) for at in lacking]
        return tuple(dict.fromkeys((self.rows[0], *between, self.rows[-1])))


def _write(knob: Knob, value: Any) -> str | None:
    """Write one value of a knob, or a text in another spelling; None where it does not apply."""
    if value is None:
        return None
    read = knob.read(value)
    knob.check(read)
    return knob.write(read)


@dataclass(frozen=True)
class Axes:
    """What is swept, as a product of factors; see `grid`, `zipped`, `table`, `sampled`, `*` and `+`.

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
        check_lanes(self.size())

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

    def written(self, knobs: Mapping[str, Knob]) -> Axes:
        """Write the values of knobs that are neither numbers nor names as texts, as a page holds them.

        Raises:
            SweepError: for a value that its knob does not accept, and for two of one text.
        """
        forms = {name: knobs[name] for name in self.knobs() if name in knobs and knobs[name].form}
        return Axes(tuple(factor.written(forms) for factor in self.factors)) if forms else self

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
        """Keep the first and the last row of each factor; each of its knobs applies to one that is kept.

        Args:
            most: largest number of lanes of one structure; beyond it, factors of numbers keep only their first row, and
                those that alone have a knob.
            structural: knobs whose values decide the block of a lane.
        """
        kept, lanes = [], 1
        for factor in self.factors:
            rows = factor.ends()
            if not structural & set(factor.knobs):
                rows = rows if lanes * len(rows) <= most else _covering(rows)
                lanes *= len(rows)
            kept.append(replace(factor, rows=rows))
        return Axes(tuple(kept))


def join(one: Axes, other: Axes) -> Axes:
    """Give the smallest product of factors that has the lanes of both sides.

    A factor whose knobs both sweep together has the rows of both, in increasing order if they are so on both sides. A
    factor that only one side has stays as it is.

    Raises:
        SweepError: if the sides sweep knobs together that are not the same ones.
    """
    theirs = {frozenset(factor.knobs): factor for factor in other.factors}
    joined = [_join_rows(factor, theirs.pop(frozenset(factor.knobs), factor)) for factor in one.factors]
    for factor in theirs.values():
        if shared := sorted({*factor.knobs} & {*one.knobs()}):
            raise SweepError(
                f"one sweeps {', '.join(shared)} with other knobs than the other: they make no grid together"
            )
    return Axes((*joined, *theirs.values()))


def _join_rows(one: Factor, other: Factor) -> Factor:
    """Give a factor with the rows of both sides."""
    theirs = tuple(zip(*(other.column(knob) for knob in one.knobs), strict=True))
    rows = tuple(dict.fromkeys((*one.rows, *theirs)))
    if rows == one.rows:
        return one
    if _sorted(one.rows) == one.rows and _sorted(theirs) == theirs:
        rows = _sorted(rows) or rows
    columns = dict(zip(one.knobs, zip(*rows, strict=True), strict=True))
    named = one.dimension == other.dimension and one.dimension == _naming_knob(columns)
    return Factor(one.knobs, rows, one.dimension if named else POINT)


def _sorted(rows: tuple[Any, ...]) -> tuple[Any, ...] | None:
    """Sort rows; return None if they can't be compared, as numbers and texts."""
    try:
        return tuple(sorted(rows))
    except TypeError:
        return None


def _covering(rows: Iterable[tuple[Value | None, ...]]) -> tuple[tuple[Value | None, ...], ...]:
    """Keep each row to which a knob applies that does not apply to the rows before it."""
    kept, covered = [], set()
    for row in rows:
        own = {at for at, value in enumerate(row) if value is not None}
        if not own <= covered:
            kept.append(row)
            covered |= own
    return tuple(kept)


def check_lanes(number: int) -> None:
    """Refuse more lanes than a sweep may have."""
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


def grid(**values: Iterable[Given]) -> Axes:
    """Sweep every combination: one dimension for each knob.

    Args:
        values: the values of each knob; numbers, or for structural knobs names, or what they hold: tuples for `hidden`
            and `amplitudes`, True and False for `bias`.

    Raises:
        SweepError: for an empty axis, a repeated value or a number that is not finite.
    """
    factors = []
    for knob, given in values.items():
        listed = list_values(knob, given)
        if len(set(listed)) < len(listed):
            repeated = next(value for value in listed if listed.count(value) > 1)
            raise SweepError(f"axis {knob!r} has {repeated!r} twice: give each value once")
        factors.append(Factor((knob,), tuple((value,) for value in listed), knob))
    return Axes(tuple(factors))


def zipped(**values: Iterable[Given]) -> Axes:
    """Sweep knobs together: row i takes the i-th value of each, in one dimension.

    The dimension has the name of the first knob; "seed" if the knobs are `seed` and `data_seed`; "point" if the values
    of that knob repeat.

    Raises:
        SweepError: for axes of different lengths, or a row given twice.
    """
    columns = {knob: list_values(knob, given) for knob, given in values.items()}
    _check_lengths("zipped axes", columns)
    return _one_factor(columns, _naming_knob(columns))


class Columns(Protocol):
    """Named columns: a pandas DataFrame, or a mapping."""

    def items(self) -> Iterable[tuple[Any, Any]]:
        """Give each column with its name."""
        ...


def table(columns: Columns) -> Axes:
    """Sweep the rows of a table: one lane for each row, times those of other axes.

    The dimension is named as by `zipped`. NaN and None mean that a knob does not apply to a row; a column of whole
    numbers that pandas holds as floats, because it has such gaps, is one of integers. An index is ignored.

    Args:
        columns: a pandas DataFrame, or a mapping of names to columns; the name of a column is that of a knob.

    Raises:
        SweepError: for a row given twice, a column without values or without a name, and columns of different lengths.
    """
    if not hasattr(columns, "items"):
        raise SweepError(f"table takes a DataFrame, or a mapping of knobs to columns, got {type(columns).__name__}")
    found: dict[str, list[Value | None]] = {}
    for knob, column in columns.items():
        if not isinstance(knob, str):
            raise SweepError(f"a column of the table is named {knob!r}, which is no name of a knob: rename it")
        if knob in found:
            raise SweepError(f"the table has two columns {knob!r}: leave one out")
        found[knob] = _list_column(knob, column)
    if not found:
        raise SweepError("the table has no columns: give it one for each knob")
    _check_lengths("the columns of a table", found)
    first: dict[tuple[Value | None, ...], int] = {}
    for at, row in enumerate(zip(*found.values(), strict=True)):
        if row in first:
            raise SweepError(
                f"row {at} of the table is the same as row {first[row]}, counted from 0: give each row once"
            )
        first[row] = at
    return _one_factor(found, _naming_knob(found))


def _list_column(knob: str, column: Any) -> list[Value | None]:
    """List the values of a table's column, None where there is none."""
    if not isinstance(column, Iterable) or isinstance(column, str):
        raise SweepError(f"column {knob!r} of the table must be a list of values, got {column!r}")
    from pandas import Series  # whoever has a DataFrame has imported it, and few pages have a table

    values = list(column)
    gaps = Series(values, dtype=object).isna().tolist()
    if all(gaps):
        raise SweepError(f"column {knob!r} of the table has no value: leave it out")
    present = list_values(knob, [value for value, gap in zip(values, gaps, strict=True) if not gap])
    if any(gaps) and all(isinstance(value, float) and value.is_integer() for value in present):
        present = [int(value) for value in present]
    given = iter(present)
    return [None if gap else next(given) for gap in gaps]


def _naming_knob(columns: Mapping[str, Sequence[Value | None]]) -> str:
    """Name the dimension of knobs that are swept together: by the first one, if its values identify the rows."""
    first = "seed" if set(columns) == {"seed", "data_seed"} else next(iter(columns), POINT)
    values = columns.get(first, ())
    return first if None not in values and len(set(values)) == len(values) else POINT


def _check_lengths(what: str, columns: Mapping[str, Sized]) -> None:
    lengths = {knob: len(column) for knob, column in columns.items()}
    if len(set(lengths.values())) > 1:
        listed = ", ".join(f"{knob} {length}" for knob, length in lengths.items())
        raise SweepError(f"{what} must have the same length, got {listed}")


def _one_factor(columns: Mapping[str, Sequence[Value | None]], dimension: str) -> Axes:
    rows = tuple(zip(*columns.values(), strict=True))
    if len(set(rows)) < len(rows):
        raise SweepError(f"axes {', '.join(columns)} have a row twice: give each row once")
    return Axes((Factor(tuple(columns), rows, dimension),)) if columns else Axes()


def list_values(knob: str, given: Iterable[Given]) -> list[Any]:
    """List the values of an axis, as plain numbers and names, and of knobs with a form what they hold.

    Raises:
        SweepError: if they are no list, there are none, or one of them is no finite number and no name.
    """
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise SweepError(f"axis {knob!r} must be a list of values, got {given!r}")
    if isinstance(given, Sized):
        check_lanes(len(given))  # before a large range is converted to a list
    listed = [to_plain(value) for value in given]
    if not listed:
        raise SweepError(f"axis {knob!r} is empty: give it at least one value")
    for value in listed:
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            _check_has_form(knob, value)
        if isinstance(value, float) and not isfinite(value):
            raise SweepError(f"axis {knob!r} must hold finite numbers, got {value!r}")
    if knob in DIMENSIONS:
        raise SweepError(f"{knob!r} is a dimension of results and can't be an axis (target_frequency is one)")
    return listed


def write_value(name: str, value: Any) -> Any:
    """Write a tuple, or True, as axes hold it, if a spec has a knob of this name with such values."""
    knob, plain = _knobs().get(name), to_plain(value)
    return _write(knob, plain) if knob is not None and knob.form and isinstance(plain, tuple | bool) else value


def _specs() -> list[type]:
    """List the classes of all tasks, networks and optimisers."""
    specs: list[type] = [Task, Model, UpdateRule]
    for spec in specs:
        specs += spec.__subclasses__()
    return specs


def _knobs() -> dict[str, Knob]:
    """List their knobs by the names of fields."""
    return {knob.attribute: knob for spec in _specs() for knob in knobs_of(spec).values()}


def _check_has_form(name: str, value: Any) -> None:
    """Refuse a tuple, or True, where no spec has a knob of this name with such values."""
    knobs = _knobs()
    if name in knobs and knobs[name].form and isinstance(value, tuple | bool):
        return
    if name not in knobs and name in {field.name for spec in _specs() for field in fields(spec)}:
        raise SweepError(f"{name!r} is not a knob, so no axis can sweep it: run a page for each value")
    raise SweepError(f"axis {name!r} must hold numbers or names, got {value!r}")


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
