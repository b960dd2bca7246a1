"""A claim, and how results decide it: a measure per seed, a statistic over seeds, and a criterion."""

from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import Any, Final

from sweep.base.errors import SweepError, unknown_name
from sweep.base.registry import Entry
from sweep.base.text import check_text
from sweep.page.specs.knobs import Spec, check_finite

# How the values of a measure are combined over seeds; each statistic has a 95% interval.
STATISTICS: Final[dict[str, Entry]] = {
    "share": Entry("sweep.stats.intervals:share"),  # of seeds for which the measure is true
    "median": Entry("sweep.stats.intervals:median"),
    "mean": Entry("sweep.stats.intervals:mean"),
    "variation": Entry("sweep.stats.intervals:variation"),  # standard deviation over mean
}


@dataclass(frozen=True)
class Criterion(Spec):
    """A closed range in which a claim's statistic must lie; pages use one of the three subclasses."""

    @property
    def low(self) -> float:
        """The lower end, -inf for none."""
        raise NotImplementedError

    @property
    def high(self) -> float:
        """The upper end, +inf for none."""
        raise NotImplementedError


@dataclass(frozen=True)
class AtLeast(Criterion):
    """The statistic is `value` or more."""

    value: float

    def __post_init__(self) -> None:
        super().__post_init__()
        check_finite("AtLeast", self.value)

    @property
    def low(self) -> float:
        """The value itself."""
        return self.value

    @property
    def high(self) -> float:
        """Infinite: there is no upper end."""
        return inf

    def __str__(self) -> str:
        return f"at least {self.value:g}"


@dataclass(frozen=True)
class AtMost(Criterion):
    """The statistic is `value` or less."""

    value: float

    def __post_init__(self) -> None:
        super().__post_init__()
        check_finite("AtMost", self.value)

    @property
    def low(self) -> float:
        """Minus infinity: there is no lower end."""
        return -inf

    @property
    def high(self) -> float:
        """The value itself."""
        return self.value

    def __str__(self) -> str:
        return f"at most {self.value:g}"


@dataclass(frozen=True)
class Between(Criterion):
    """The statistic lies between two numbers, both included."""

    least: float
    most: float

    def __post_init__(self) -> None:
        super().__post_init__()
        check_finite("Between", self.least)
        check_finite("Between", self.most)
        if not self.least <= self.most:
            raise SweepError(f"Between must be given the smaller number first, got {self.least:g}, {self.most:g}")

    @property
    def low(self) -> float:
        """The smaller number."""
        return self.least

    @property
    def high(self) -> float:
        """The larger number."""
        return self.most

    def __str__(self) -> str:
        return f"between {self.least:g} and {self.most:g}"


@dataclass(frozen=True, kw_only=True)
class Claim(Spec):
    """A statement that results confirm, refute, or leave undecided.

    It is confirmed if the interval of its statistic lies inside the criterion, refuted if the interval lies completely
    outside, and undecided otherwise.

    Args:
        id: its name in tables, such as "C4".
        text: the statement, in one sentence.
        source: where the statement comes from, such as "001".
        measure: `measure(ds)` for results as `open_results` gives them; returns one number, or one truth value,
            for each seed: NaN if it can't be determined, +inf for a time or an epoch that is never reached.
        criterion: `AtLeast`, `AtMost` or `Between`, set before the run.
        statistic: one of `STATISTICS`.
        figure: the figure of the page that shows it.
        exploratory: whether the criterion was set after results had been seen; tables say so.

    Raises:
        SweepError: for an unknown statistic, or anything else as the criterion.
    """

    id: str
    text: str
    source: str
    measure: Callable[[Any], Any]
    criterion: Criterion
    statistic: str = "median"
    figure: str = ""
    exploratory: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("id", "text", "source"):
            check_text(f"{name} of a claim", getattr(self, name))
        if self.statistic not in STATISTICS:
            raise unknown_name(f"statistic of claim {self.id!r}", self.statistic, STATISTICS)
        if not isinstance(self.criterion, AtLeast | AtMost | Between):
            raise SweepError(
                f"the criterion of claim {self.id!r} must be AtLeast, AtMost or Between, got {self.criterion!r}"
            )
        if self.statistic == "share" and not (self.criterion.low <= 1 and self.criterion.high >= 0):
            raise SweepError(
                f"claim {self.id!r} has a share {self.criterion} as criterion: a share lies between 0 and 1"
            )
        if not callable(self.measure):
            raise SweepError(f"the measure of claim {self.id!r} must be a function, got {self.measure!r}")
