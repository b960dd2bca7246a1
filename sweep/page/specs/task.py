"""What is to be learned: where the points lie and what the target is there."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, Literal

import numpy as np

from sweep.base.errors import SweepError
from sweep.base.labels import DIMENSIONS, METRICS, RECORDED
from sweep.base.registry import Entry
from sweep.page.specs.knobs import Spec, check_finite, choice, count, knobs_of, number, to_plain
from sweep.page.specs.window import Window

LONGEST_NAME: Final = 80  # letters of a parameter, which stands on axes and in names of folders
PLACEMENTS = ("grid", "grid_with_end", "random")


@dataclass(frozen=True, kw_only=True)
class Inputs(Entry):
    """What a network sees of x: a function of task, x and training points, by which it may be standardised.

    Args:
        size: features of x to the numbers that are seen of one point.
        ranged: whether it needs the range of x.
    """

    size: Callable[[int], int] = lambda features: features
    ranged: bool = False


INPUTS: Final[dict[str, Inputs]] = {
    "scaled": Inputs("sweep.engine.regression.tasks.inputs:scaled", ranged=True),
    "as_is": Inputs("sweep.engine.regression.tasks.inputs:as_is"),
    "standardised": Inputs("sweep.engine.regression.tasks.inputs:standardised"),
    "circle": Inputs("sweep.engine.regression.tasks.inputs:circle", size=lambda features: 2, ranged=True),
    "with_constant": Inputs("sweep.engine.regression.tasks.inputs:with_constant", size=lambda features: features + 1),
    "with_copy": Inputs("sweep.engine.regression.tasks.inputs:with_copy", size=lambda features: 2 * features),
}


@dataclass(frozen=True, kw_only=True)
class Task(Spec):
    """Points x in [low, high) and a target at each; the parent of every task.

    Args:
        points: number of training points n.
        low, high: the range of x.
        placement: "grid" (n equispaced points without `high`, periodic), "grid_with_end" (with `high`) or
            "random" (uniform, drawn from `data_seed`).
        inputs: what the network sees of x: "scaled" maps [low, high] to [-1, 1]; "as_is" is x; "standardised" has
            mean 0 and deviation 1 over the training points; "circle" is (cos t, sin t), t = 2 pi x / (high - low);
            "with_constant" is (x, 1) and "with_copy" is (x, x).
        noise: standard deviation of the Gaussian noise added to the training targets.

    Raises:
        SweepError: for a value out of its range.
    """

    target_of: ClassVar[Entry]  # (task, traced numbers, uniform numbers for random phases) to f

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
            raise SweepError(f"inputs 'circle' are made of one x, not of {self.features()} features")
        for frequency in self.reported_frequencies():
            _check_frequency(frequency, self)
        unknowns = 2 * len(self.reported_frequencies()) + 1
        if self.placement == "random" and unknowns > 1 and self.points <= unknowns:
            raise SweepError(
                f"{self.points} random points are too few to tell {unknowns // 2} frequencies apart by least squares: "
                f"take more than {unknowns} points or fewer frequencies"
            )

    def features(self) -> int:
        """Tell how many numbers one point has."""
        return 1

    def input_size(self) -> int:
        """Tell how many numbers the network sees of one point."""
        return INPUTS[self.inputs].size(self.features())

    def window(self) -> Window | None:
        """Give the x that errors are shown over where the page names none; None where points are no single x."""
        return Window(self.low, self.high, self.points, self.placement != "grid") if self.features() == 1 else None

    def given_points(self) -> np.ndarray:
        """Give the training points of a task that draws none, one row for each feature, in float64: a grid."""
        grid = self.window()
        assert grid is not None
        return grid.values()[None, :]

    def random_phases(self) -> int:
        """Count the phases that are drawn."""
        return 0

    def reported_frequencies(self) -> tuple[float, ...]:
        """List the frequencies, in cycles per unit of x, at which the spectral error is read."""
        return ()


def _check_frequency(frequency: float, task: Task) -> None:
    check_finite("task.frequencies", frequency)
    if not frequency > 0:
        raise SweepError(f"task.frequencies must be greater than 0, got {frequency:g}")
    limit = task.points / (task.high - task.low) / 2
    if task.placement != "random" and frequency >= limit:
        raise SweepError(
            f"frequency {frequency:g} is not below the Nyquist limit {limit:g} cycles per unit of x of "
            f"{task.points} points on [{task.low:g}, {task.high:g}]: take more points or a lower frequency"
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
            lengths that differ.
    """

    target_of: ClassVar[Entry] = Entry("sweep.engine.regression.tasks.targets:sum_of_sines")

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
        """Count the phases that are drawn."""
        return len(self.frequencies) if self.phases == "random" else 0

    def reported_frequencies(self) -> tuple[float, ...]:
        """List k_i."""
        return self.frequencies


@dataclass(frozen=True, kw_only=True)
class Sine(Task):
    """f(x) = a sin(2 pi k x + phi), with all three numbers free to be swept.

    Args:
        target_frequency: k in cycles per unit of x.
        amplitude: a.
        phase: phi in radians.
    """

    target_of: ClassVar[Entry] = Entry("sweep.engine.regression.tasks.targets:sine")

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

    target_of: ClassVar[Entry] = Entry("sweep.engine.regression.tasks.targets:linear")

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
        """Tell how many slopes there are."""
        return len(self.slopes)


@dataclass(frozen=True, kw_only=True)
class FromFunction(Task):
    """A target of the page's own.

    Args:
        function: `function(x, **parameters)` for x of shape (points,) gives f(x) of that shape, or one number;
            traced by JAX: write it with arithmetic or with `jax.numpy` imported inside it.
        parameters: numbers handed to the function by name; each is a knob that an axis may sweep.
        frequencies: where to read the spectral error, in cycles per unit of x.
    """

    target_of: ClassVar[Entry] = Entry("sweep.engine.regression.tasks.targets:from_function")

    function: Callable[..., Any] = field()
    parameters: Mapping[str, float] = field(default_factory=dict, hash=False)
    frequencies: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        if not callable(self.function):
            raise SweepError(f"the target function must be a function of x, got {self.function!r}")
        taken = {*DIMENSIONS, *METRICS, *RECORDED, *knobs_of(type(self))}
        for name, value in self.parameters.items():
            if not isinstance(name, str) or not name.isidentifier() or len(name) > LONGEST_NAME:
                raise SweepError(
                    f"a parameter of the target function can't be named {str(name)[:40]!r}: take an identifier of at "
                    f"most {LONGEST_NAME} letters"
                )
            if name in taken:
                raise SweepError(f"parameter {name!r} of the target function has a name that is taken: rename it")
            check_finite(f"parameter {name!r} of the target function", value)

    def applicable(self) -> frozenset[str]:
        """Name the task's own knobs and the function's parameters."""
        return super().applicable() | frozenset(self.parameters)

    def reported_frequencies(self) -> tuple[float, ...]:
        """List the frequencies asked for."""
        return self.frequencies


@dataclass(frozen=True, kw_only=True)
class Table(Task):
    """Points and targets as they are given.

    Args:
        rows: one point each, a number for every feature.
        targets: one number for each row.

    Raises:
        SweepError: for fewer than two rows, or rows and targets that do not fit together.
    """

    target_of: ClassVar[Entry] = Entry("sweep.engine.regression.tasks.targets:table")

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
            raise SweepError(f"task.rows must have one length, and at least one number each, got {self.rows}")
        for number_ in (*self.targets, *(each for row in self.rows for each in row)):
            check_finite("numbers of task.rows and task.targets", number_)
        if INPUTS[self.inputs].ranged:
            raise SweepError(f"inputs {self.inputs!r} need a range, which a Table has not: take 'as_is'")
        if self.inputs == "standardised" and any(len(set(column)) == 1 for column in zip(*self.rows, strict=True)):
            raise SweepError("inputs can't be 'standardised' where a number is the same in all rows: leave it out")

    def features(self) -> int:
        """Tell how many numbers a row has."""
        return len(self.rows[0]) if self.rows else 0

    def window(self) -> None:
        """Between given rows there is no target."""

    def given_points(self) -> np.ndarray:
        """Give the rows, one row for each feature, in float64."""
        return np.array(self.rows, float).T

    def applicable(self) -> frozenset[str]:
        """Name the knobs: the points are given."""
        return super().applicable() - {"points", "low", "high", "placement"}


# Two bits, and whether they differ.
XOR: Final = Table(rows=((0, 0), (0, 1), (1, 0), (1, 1)), targets=(0, 1, 1, 0), inputs="as_is")
