"""What is recorded, and when."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np

from sweep.base.errors import SweepError, unknown_name
from sweep.base.labels import DIRECTIONS, METRICS, RESERVED, Better, Quantity
from sweep.base.text import check_text
from sweep.page.specs.dimension import LONGEST_LABEL, PAGE_DIMENSIONS, Dimension, listed
from sweep.page.specs.knobs import Spec, check_finite
from sweep.page.specs.window import Window

MOST_DIMENSIONS: Final = 3  # of a metric's values; lanes and records are two more
MOST_RECORDS: Final = 1_000_000
KEEPS: Final = ("parameters", "state", "nothing")


@dataclass(frozen=True)
class Metric(Spec):
    """A metric that the page defines.

    Args:
        name: the variable's name in the results.
        function: `function(moment)` for a `sweep.Moment`, traced by JAX; returns an array with one
            axis for each of `dims`. Import `jax.numpy` inside it, so that the page loads without JAX. It may use
            all of `jax.numpy.linalg`, and any derivative of `moment.loss_at(parameters)` and of
            `moment.predict(parameters, inputs)`. Several metrics may be given the same function: it is called once,
            and returns a dict with an array for each of their names. None: `measure` of a `FromTraining` gives it.
        dims: dimensions of the value, in the order of its axes, at most three: names out of "frequency", "x" ("x1" and
            "x2" of two features), "layer", "output" and "sample", whose coordinates the page gives; and
            `Dimension(name, values, units, long_name)` of its own. A dict is short for the latter: `{"mode": 10}` has
            the coordinate 0 ... 9, `{"mode": range(1, 11)}` the one given, and in `{"layer": None, "mode": 10}` the
            page gives that of "layer".
        units: units on an axis.
        long_name: the words on an axis.
        better: which values are better, "lower" or "higher". A lost lane then counts as the worst value, figures and
            reports show the best one, and lanes can be stopped by it. None: no value is best, and lost lanes count as
            +inf. A claim that the metric is at least some value therefore needs "lower" or "higher".

    Raises:
        SweepError: for a name that is already used, or an unknown dimension or direction.
    """

    name: str
    function: Callable[[Any], Any] | None = None
    dims: Sequence[str | Dimension] | Mapping[str, int | Sequence[float] | None] = ()
    units: str = "1"
    long_name: str = ""
    better: Better = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "dims", listed(self.name, self.dims))
        super().__post_init__()
        check_text("the name of a metric", self.name, LONGEST_LABEL)
        if not self.name.isidentifier() or self.name in RESERVED:
            raise SweepError(f"a metric of the page can't be named {self.name!r}: choose another identifier")
        if not (self.function is None or callable(self.function)):
            raise SweepError(f"metric {self.name!r} must be given a function of a moment, got {self.function!r}")
        check_text(f"units of metric {self.name!r}", self.units, LONGEST_LABEL)
        check_text(f"long_name of metric {self.name!r}", self.long_name, LONGEST_LABEL)
        self._check_dims()
        if self.better is not None and self.better not in DIRECTIONS:
            raise SweepError(f"better of metric {self.name!r} must be 'lower', 'higher' or None, got {self.better!r}")

    def _check_dims(self) -> None:
        for dim in self.dims:
            if not isinstance(dim, Dimension) and dim not in PAGE_DIMENSIONS:
                error = unknown_name(f"dimension of metric {self.name!r}", dim, PAGE_DIMENSIONS)
                raise SweepError(f"{error}; one of its own has a size: dims={{{str(dim)!r}: 10}}")
        names = self.quantity().dims
        if len(set(names)) < len(names) or len(names) > MOST_DIMENSIONS:
            several = ", ".join(names)
            raise SweepError(f"metric {self.name!r} has at most {MOST_DIMENSIONS} different dimensions, got {several}")

    def own_dimensions(self) -> tuple[Dimension, ...]:
        """Return those of its dimensions that the page does not have without it."""
        return tuple(dim for dim in self.dims if isinstance(dim, Dimension))

    def quantity(self) -> Quantity:
        """Return the quantity that labels the stored values."""
        names = tuple(dim.name if isinstance(dim, Dimension) else dim for dim in self.dims)
        return Quantity(self.name, names, self.units, self.long_name, self.better)


def own_dimensions(metrics: Iterable[Metric]) -> dict[str, Dimension]:
    """Return the dimensions that some metrics of a page have of their own, by name.

    Raises:
        SweepError: if two metrics give one name different coordinates or labels.
    """
    found: dict[str, tuple[str, Dimension]] = {}
    for metric in metrics:
        for dim in metric.own_dimensions():
            first, known = found.setdefault(dim.name, (metric.name, dim))
            if not known.same_as(dim):
                raise SweepError(
                    f"metrics {first!r} and {metric.name!r} have different dimensions named {dim.name!r}: give both "
                    f"the same values and labels, or different names"
                )
    return {name: dim for name, (_, dim) in found.items()}


@dataclass(frozen=True)
class Cadence:
    """A rule for the epochs of records, relative to the length of the training.

    Args:
        form: "log" (geometric from the first step), "linear" (equispaced) or "every" (a period in optimiser steps).
        value: the number of records after record 0, or the period.
    """

    form: Literal["log", "linear", "every"]
    value: float

    def __post_init__(self) -> None:
        check_finite("record.at", self.value)
        if not self.value > 0:
            raise SweepError(f"record.at must have a number greater than 0, got {self.value!r}")
        if self.form != "every" and self.value > MOST_RECORDS:
            raise SweepError(f"record.at takes at most {MOST_RECORDS} records, got {self.value!r}")

    def steps(self, last: int) -> np.ndarray:
        """List the optimiser steps of the records: 0 first, `last` last, strictly increasing.

        Args:
            last: optimiser steps in the training.
        """
        if self.form == "every":
            steps = np.arange(0, last, max(1, round(min(self.value, last))))
        elif self.form == "linear":
            steps = np.linspace(0, last, round(self.value) + 1)
        else:
            steps = np.geomspace(1, last, round(self.value)) if self.value > 1 else np.array([last])
        return np.unique(np.concatenate([[0], np.round(steps), [last]]).astype(np.int64))


def log_spaced(records: int) -> Cadence:
    """Record 0 and about this many more, geometrically spaced from the first step to the last, without repeats."""
    return Cadence("log", records)


def linear_spaced(records: int) -> Cadence:
    """Record 0 and this many more, equally spaced."""
    return Cadence("linear", records)


def every(steps: int) -> Cadence:
    """Record 0, then after every `steps` optimiser steps, and the last step."""
    return Cadence("every", steps)


@dataclass(frozen=True)
class Record(Spec):
    """What to measure and when.

    Args:
        metrics: names from `sweep.base.labels.METRICS`; None records all that apply to the task, except `sharpness`,
            which takes as long as 100 to 200 full-batch steps. `loss` is recorded even if it is not named: the best
            learning rate and diverged lanes are determined by it.
        own: metrics that the page defines, recorded in addition.
        at: the cadence; record 0, before training, is always included.
        x: where errors and predictions are shown, also outside the training range; None means a grid of as many points
            as the page's task has, over its range.
        snapshots: number of records, evenly spread, at which predictions over x are stored.
        keep: what is kept of each lane's end: "parameters", its trained network (`sweep.trained`); "state", in addition
            the optimiser's state and all else that a step changes, from which `--grow` trains on; or "nothing". None
            keeps the states if those of all lanes together take at most 256 MiB, otherwise the parameters if these do.
            No other number depends on it.

    Raises:
        SweepError: for an unknown metric, an x that is not a Window, a negative number of snapshots, or an unknown
            word for what is kept.
    """

    metrics: tuple[str, ...] | None = None
    own: tuple[Metric, ...] = ()
    at: Cadence = Cadence("log", 50)
    x: Window | None = None
    snapshots: int = 5
    keep: Literal["parameters", "state", "nothing"] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in self.metrics or ():
            if name not in METRICS:
                raise unknown_name("metric", name, METRICS)
        names = [*(self.metrics or ()), *(metric.name for metric in self.own)]
        if len(set(names)) != len(names):
            raise SweepError(f"record.metrics must be distinct, got {', '.join(names)}")
        for metric in self.own:
            if metric.function is None:
                raise SweepError(f"metric {metric.name!r} has no function of a moment: give it one")
        own_dimensions(self.own)
        if not isinstance(self.x, Window | None):
            raise SweepError(f"record.x must be a Window or None, got {self.x!r}")
        if self.snapshots < 0:
            raise SweepError(f"record.snapshots must be at least 0, got {self.snapshots}")
        if self.keep is not None and self.keep not in KEEPS:
            raise unknown_name("value of record.keep", self.keep, KEEPS)
