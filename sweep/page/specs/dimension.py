"""Dimensions that metrics of a page have of their own."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from sweep.base.errors import SweepError
from sweep.base.labels import RESERVED, Quantity
from sweep.base.text import check_text
from sweep.page.specs.knobs import Spec, check_finite

PAGE_DIMENSIONS: Final = (
    "frequency",
    "x",
    "x1",
    "x2",
    "layer",
    "output",
    "sample",
)  # whose coordinates follow from a page's task and model
MOST_ENTRIES: Final = 100_000
LONGEST_LABEL: Final = 200  # characters on an axis


@dataclass(frozen=True)
class Dimension(Spec):
    """A dimension of a page's own metrics, stored with a coordinate: `Dimension("share", (0, 0.5, 1))`.

    Args:
        name: its name in the results, an identifier that no knob, metric or other dimension has.
        values: the coordinate, distinct finite numbers in any order; or how many entries there are, which are then
            numbered from 0.
        units: units on an axis.
        long_name: the words on an axis.

    Raises:
        SweepError: for a name that is already used, for values that are not distinct numbers, and for none of them or
            more than 100,000.
    """

    name: str
    values: int | tuple[float, ...]
    units: str = "1"
    long_name: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_text("the name of a dimension", self.name, LONGEST_LABEL)
        if not self.name.isidentifier() or self.name in RESERVED:
            raise SweepError(f"a dimension of a metric can't be named {self.name!r}: choose another identifier")
        check_text(f"units of dimension {self.name!r}", self.units, LONGEST_LABEL)
        check_text(f"long_name of dimension {self.name!r}", self.long_name, LONGEST_LABEL)
        self._check_values()

    def _check_values(self) -> None:
        given = self.values
        is_count = isinstance(given, int) and not isinstance(given, bool)
        if not is_count and not isinstance(given, tuple):
            raise SweepError(f"dimension {self.name!r} needs a number of entries or their values, got {given!r}")
        size = given if isinstance(given, int) else len(given)
        if not 1 <= size <= MOST_ENTRIES:
            raise SweepError(f"dimension {self.name!r} must have from 1 to {MOST_ENTRIES:,} entries, got {size:,}")
        for value in () if isinstance(given, int) else given:
            check_finite(f"a value of dimension {self.name!r}", value)
        if len(np.unique(self.coordinate())) < size:
            raise SweepError(f"dimension {self.name!r} has a value twice: give distinct values")

    def coordinate(self) -> np.ndarray:
        """Return the coordinate: int64 if all values are whole numbers, else float64.

        Returns:
            An array of shape (entries,).
        """
        if isinstance(self.values, int):
            return np.arange(self.values)
        whole = all(isinstance(value, int) and abs(value) < 2**63 for value in self.values)
        return np.array(self.values, np.int64 if whole else np.float64)

    def attributes(self) -> dict[str, str]:
        """Return the attributes of the stored coordinate."""
        return Quantity(self.name, units=self.units, long_name=self.long_name).attributes()

    def same_as(self, other: "Dimension") -> bool:
        """Tell whether another dimension has the same name, coordinate and labels."""
        labels = (self.name, self.units, self.long_name) == (other.name, other.units, other.long_name)
        return labels and np.array_equal(self.coordinate(), other.coordinate())


def listed(metric: str, dims: Any) -> tuple[str | Dimension, ...]:
    """List the dimensions of a page's metric.

    Args:
        metric: its name.
        dims: as a page gives them, see `Metric`.

    Returns:
        Names of dimensions that the page has anyway, and dimensions of the metric's own.

    Raises:
        SweepError: for anything else.
    """
    if isinstance(dims, str | Dimension):
        dims = (dims,)
    if isinstance(dims, Mapping):
        return tuple(_of_entry(metric, name, values) for name, values in dims.items())
    if not isinstance(dims, Iterable):
        raise SweepError(f"dims of metric {metric!r} must be names, Dimensions or a dict of sizes, got {dims!r}")
    return tuple(dims)


def _of_entry(metric: str, name: Any, values: Any) -> str | Dimension:
    """Make a dimension from an entry of a dict: its name, and its size, its values, or None for one of the page."""
    if name not in PAGE_DIMENSIONS:
        return Dimension(name, values)
    if values is not None:
        raise SweepError(f"dimension {name!r} of metric {metric!r} is the page's, which gives its size: write None")
    return name
