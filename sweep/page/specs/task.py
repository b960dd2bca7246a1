"""The task: the training points, and the target at each."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, Literal

import numpy as np

from sweep.base.errors import SweepError
from sweep.base.labels import DIMENSIONS, METRICS, NETWORKS, RECORDED, STORE_FILES
from sweep.base.registry import Entry
from sweep.page.specs.knobs import LONGEST_NAME, Spec, check_finite, choice, count, knobs_of, number, to_plain
from sweep.page.specs.window import Window

PLACEMENTS = ("grid", "grid_with_end", "random")


@dataclass(frozen=True, kw_only=True)
class Inputs(Entry):
    """How the network's inputs are computed: a function of task, x, and the training points, which may standardise x.

    Args:
        size: maps the number of features of x to the number of inputs.
        needs_range: whether it needs the range of x.
    """

    size: Callable[[int], int] = lambda features: features
    needs_range: bool = False


INPUTS: Final[dict[str, Inputs]] = {
    "scaled": Inputs("sweep.engine.regression.tasks.inputs:scaled", needs_range=True),
    "as_is": Inputs("sweep.engine.regression.tasks.inputs:as_is"),
    "standardised": Inputs("sweep.engine.regression.tasks.inputs:standardised"),
    "circle": Inputs("sweep.engine.regression.tasks.inputs:circle", size=lambda features: 2, needs_range=True),
    "with_constant": Inputs("sweep.engine.regression.tasks.inputs:with_constant", size=lambda features: features + 1),
    "with_copy": Inputs("sweep.engine.regression.tasks.inputs:with_copy", size=lambda features: 2 * features),
}


@dataclass(frozen=True, kw_only=True)
class Task(Spec):
    """Points x in [low, high) and a target at each; the base class of all tasks.

    Args:
        points: number of training points n.
        low, high: the range of x.
        placement: "grid" (n equispaced points without `high`, periodic), "grid_with_end" (with `high`) or
            "random" (uniform, drawn from `data_seed`).
        inputs: the network's inputs: "scaled" maps [low, high] to [-1, 1]; "as_is" is x; "standardised" has
            mean 0 and deviation 1 over the training points; "circle" is (cos t, sin t), t = 2 pi x / (high - low);
            "with_constant" is (x, 1) and "with_copy" is (x, x).
        noise: standard deviation of the Gaussian noise added to the training targets.

    Raises:
        SweepError: for a value out of its range.
    """

    target_builder: ClassVar[Entry]  # maps (task, traced numbers, uniform numbers for random phases) to f

    points: int = count(128, at_least=2)
    low: float = number(0.0, units="units of x", traced=False)
    high: float = number(1.0, units="units of x", traced=False)
    placement: Literal["grid", "grid_with_end", "random"] = choice("grid", PLACEMENTS, kind="placement")
    inputs: str = choice("scaled", INPUTS, kind="inputs")
    noise: float = number(0.0, at_least=0.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.low < self.high:
            raise SweepError(f"task.high must be greater than task.low, got low {self.low:g}, high {self.high:g}")
        if self.inputs == "circle" and self.features() > 1:
            raise SweepError(f"inputs 'circle' need one feature x, got {self.features()}: choose other inputs")
        for frequency in self.reported_frequencies():
            _check_frequency(frequency, self)
        unknowns = 2 * len(self.reported_frequencies()) + 1
        if self.placement == "random" and unknowns > 1 and self.points <= unknowns:
            raise SweepError(
                f"{self.points} random points are too few to fit {unknowns // 2} frequencies by least squares: "
                f"use more than {unknowns} points, or fewer frequencies"
            )

    def features(self) -> int:
        """Count the numbers of one point."""
        return 1

    def input_size(self) -> int:
        """Count the network's inputs."""
        return INPUTS[self.inputs].size(self.features())

    def window(self) -> Window | None:
        """Give the x over which errors are shown if the page names none; None if points have several features."""
        return Window(self.low, self.high, self.points, self.placement != "grid") if self.features() == 1 else None

    def given_points(self) -> np.ndarray:
        """Give the training points of a task without random ones, one row for each feature, in float64: a grid."""
        grid = self.window()
        assert grid is not None
        return grid.values()[None, :]

    def random_phases(self) -> int:
        """Count the random phases."""
        return 0

    def reported_frequencies(self) -> tuple[float, ...]:
        """List the frequencies, in cycles per unit of x, at which the spectral error is computed."""
        return ()


def _check_frequency(frequency: float, task: Task) -> None:
    check_finite("task.frequencies", frequency)
    if not frequency > 0:
        raise SweepError(f"task.frequencies must be greater than 0, got {frequency:g}")
    limit = task.points / (task.high - task.low) / 2
    if task.placement != "random" and frequency >= limit:
        raise SweepError(
            f"frequency {frequency:g} is not below the Nyquist limit {limit:g} cycles per unit of x of "
            f"{task.points} points on [{task.low:g}, {task.high:g}]: use more points or a lower frequency"
        )


@dataclass(frozen=True, kw_only=True)
class SumOfSines(Task):
    """f(x) = sum_i a_i sin(2 pi k_i x + phi_i).

    Args:
        frequencies: k_i in cycles per unit of x.
        amplitudes: one number for all, or one for each frequency.
        phases: "random" (uniform on [0, 2 pi), drawn from `data_seed`), or phi_i in radians.

    Raises:
        SweepError: for a frequency at or above the Nyquist limit of a grid, repeated frequencies, or
            different numbers of frequencies, amplitudes and phases.
    """

    target_builder: ClassVar[Entry] = Entry("sweep.engine.regression.tasks.targets:sum_of_sines")

    frequencies: tuple[float, ...] = (1.0,)
    amplitudes: float | tuple[float, ...] = 1.0
    phases: Literal["random"] | tuple[float, ...] = "random"

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "frequencies", tuple(map(float, self.frequencies)))
        n = len(self.frequencies)
        if n == 0 or len(set(self.frequencies)) != n:
            raise SweepError(f"task.frequencies must be distinct and at least one, got {self.frequencies}")
        if self.phases != "random" and not isinstance(self.phases, tuple):
            raise SweepError(f"task.phases must be 'random' or one for each of {n} frequencies, got {self.phases!r}")
        given = {"amplitudes": self.amplitudes} | ({} if self.phases == "random" else {"phases": self.phases})
        for name, values in given.items():
            if isinstance(values, tuple) and len(values) != n:
                raise SweepError(f"task.{name} must have one value for each of {n} frequencies, got {len(values)}")
            for value in values if isinstance(values, tuple) else (values,):
                check_finite(f"task.{name}", value)
        if any(a == 0 for a in self.amplitude_list()):
            raise SweepError("task.amplitudes must not be 0: the relative error of that frequency has no meaning")

    def amplitude_list(self) -> tuple[float, ...]:
        """Give one amplitude for each frequency."""
        if isinstance(self.amplitudes, tuple):
            return self.amplitudes
        return (self.amplitudes,) * len(self.frequencies)

    def random_phases(self) -> int:
        """Count the random phases."""
        return len(self.frequencies) if self.phases == "random" else 0

    def reported_frequencies(self) -> tuple[float, ...]:
        """List k_i."""
        return self.frequencies


@dataclass(frozen=True, kw_only=True)
class Sine(Task):
    """f(x) = a sin(2 pi k x + phi), where all three numbers can be swept.

    Args:
        target_frequency: k in cycles per unit of x.
        amplitude: a.
        phase: phi in radians.
    """

    target_builder: ClassVar[Entry] = Entry("sweep.engine.regression.tasks.targets:sine")

    target_frequency: float = number(1.0, above=0.0, units="cycles per unit of x")
    amplitude: float = number(1.0, above=0.0)
    phase: float = number(0.0, units="radians")

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_frequency(self.target_frequency, self)


@dataclass(frozen=True, kw_only=True)
class Linear(Task):
    """f(x) = w . x + b with each x_j uniform on [low, high); one feature may also lie on a grid.

    Args:
        slopes: w, one number for each feature.
        intercept: b.
    """

    target_builder: ClassVar[Entry] = Entry("sweep.engine.regression.tasks.targets:linear")

    slopes: tuple[float, ...] = (2.0,)
    intercept: float = number(1.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.slopes:
            raise SweepError("task.slopes must have at least one number, got none")
        for slope in self.slopes:
            check_finite("task.slopes", slope)
        if len(self.slopes) > 1 and self.placement != "random":
            raise SweepError(f"a linear task with {len(self.slopes)} features needs placement='random'")

    def features(self) -> int:
        """Count the slopes."""
        return len(self.slopes)


@dataclass(frozen=True, kw_only=True)
class FromFunction(Task):
    """A target that the page defines.

    Args:
        function: `function(x, **parameters)` for x of shape (points,) returns f(x) of that shape, or one number;
            traced by JAX: write it with arithmetic or with `jax.numpy` imported inside it.
        parameters: numbers passed to the function by name; each is a knob that an axis may sweep.
        frequencies: where to compute the spectral error, in cycles per unit of x.
    """

    target_builder: ClassVar[Entry] = Entry("sweep.engine.regression.tasks.targets:from_function")

    function: Callable[..., Any] = field()
    parameters: Mapping[str, float] = field(default_factory=dict, hash=False)
    frequencies: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        if not callable(self.function):
            raise SweepError(f"the target function must be a function of x, got {self.function!r}")
        taken = {*DIMENSIONS, *METRICS, *RECORDED, *NETWORKS, *STORE_FILES, *knobs_of(type(self))}
        for name, value in self.parameters.items():
            if not isinstance(name, str) or not name.isidentifier() or len(name) > LONGEST_NAME:
                raise SweepError(
                    f"a parameter of the target function can't be named {str(name)[:40]!r}: choose an identifier of at "
                    f"most {LONGEST_NAME} letters"
                )
            if name in taken:
                raise SweepError(
                    f"parameter {name!r} of the target function has a name that is already used: rename it"
                )
            check_finite(f"parameter {name!r} of the target function", value)

    def applicable(self) -> frozenset[str]:
        """Name the task's knobs, including the function's parameters."""
        return super().applicable() | frozenset(self.parameters)

    def reported_frequencies(self) -> tuple[float, ...]:
        """List the frequencies that the page names."""
        return self.frequencies


@dataclass(frozen=True, kw_only=True)
class Table(Task):
    """Points and targets as they are given.

    Args:
        rows: one point each, a number for every feature.
        targets: one number for each row.

    Raises:
        SweepError: for fewer than two rows, rows of different lengths, or another number of targets than rows.
    """

    target_builder: ClassVar[Entry] = Entry("sweep.engine.regression.tasks.targets:table")

    rows: tuple[tuple[float, ...], ...] = ()
    targets: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        rows = to_plain(self.rows)
        if not isinstance(rows, tuple) or not all(isinstance(row, tuple) for row in rows):
            raise SweepError(f"task.rows must hold a tuple of numbers for each point, as in ((0.5,), (1,)), got {rows}")
        for name in ("points", "low", "high", "placement"):
            if getattr(self, name) not in (getattr(Task, name), len(rows)):
                raise SweepError(f"a Table takes no {name}, got {getattr(self, name)!r}: its rows are its points")
        object.__setattr__(self, "points", len(rows))
        super().__post_init__()
        if not isinstance(self.targets, tuple) or len(self.targets) != len(self.rows):
            raise SweepError(f"task.targets must have one number for each of {len(self.rows)} rows, got {self.targets}")
        if not self.rows[0] or any(len(row) != len(self.rows[0]) for row in self.rows):
            raise SweepError(f"task.rows must all have the same length, at least 1, got {self.rows}")
        for number_ in (*self.targets, *(each for row in self.rows for each in row)):
            check_finite("numbers of task.rows and task.targets", number_)
        if INPUTS[self.inputs].needs_range:
            raise SweepError(f"inputs {self.inputs!r} need a range, which a Table does not have: use 'as_is'")
        if self.inputs == "standardised" and any(len(set(column)) == 1 for column in zip(*self.rows, strict=True)):
            raise SweepError("inputs can't be 'standardised' if a feature is the same in all rows: leave it out")

    def features(self) -> int:
        """Count the numbers of a row."""
        return len(self.rows[0]) if self.rows else 0

    def window(self) -> None:
        """Return None: between the rows there is no target."""

    def given_points(self) -> np.ndarray:
        """Give the rows, one row for each feature, in float64."""
        return np.array(self.rows, float).T

    def applicable(self) -> frozenset[str]:
        """Name the knobs, without those of the points, which are given."""
        return super().applicable() - {"points", "low", "high", "placement"}


# Exclusive or: the target tells whether two bits differ.
XOR: Final = Table(rows=((0, 0), (0, 1), (1, 0), (1, 1)), targets=(0, 1, 1, 0), inputs="as_is")
