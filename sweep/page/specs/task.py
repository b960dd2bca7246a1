"""The task: the training points, and the target at each."""

import inspect
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, Literal

import numpy as np

from sweep.base.errors import SweepError
from sweep.base.registry import Entry
from sweep.base.text import check_text
from sweep.page.specs.knobs import (
    LONGEST_NAME,
    Spec,
    check_count,
    check_finite,
    check_parameter_name,
    choice,
    count,
    knobs_of,
    number,
    to_plain,
    written,
)
from sweep.page.specs.window import MAP_POINTS, MOST_FEATURES, Window
from sweep.page.specs.written import NUMBERS

MOST_GIVEN_FEATURES: Final = 1024  # of a function of the page
PLACEMENTS = ("grid", "grid_with_end", "random", "quasi_random")
DRAWN: Final = ("random", "quasi_random")  # placements that depend on `data_seed`


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
        placement: "grid" (n equispaced points without `high`, periodic), "grid_with_end" (with `high`), "random"
            (uniform, drawn from `data_seed`) or "quasi_random" (a Sobol sequence, shifted as a whole by `data_seed`).
        inputs: the network's inputs: "scaled" maps [low, high] to [-1, 1]; "as_is" is x; "standardised" has
            mean 0 and deviation 1 over the training points; "circle" is (cos t, sin t), t = 2 pi x / (high - low);
            "with_constant" is (x, 1) and "with_copy" is (x, x).
        noise: standard deviation of the Gaussian noise added to the training targets.

    Raises:
        SweepError: for a value out of its range.
    """

    # Maps (task, traced numbers, what was drawn) to f; of given rows, (Shape, key, traced numbers, rows) to all data.
    target_builder: ClassVar[Entry]

    points: int = count(128, at_least=2)
    low: float = number(0.0, units="units of x", traced=False)
    high: float = number(1.0, units="units of x", traced=False)
    placement: Literal["grid", "grid_with_end", "random", "quasi_random"] = choice("grid", PLACEMENTS, kind="placement")
    inputs: str = choice("scaled", INPUTS, kind="inputs")
    noise: float = number(0.0, at_least=0.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        for low, high in zip(*self.ends(), strict=True):
            if not low < high:
                raise SweepError(f"task.high must be greater than task.low, got low {low:g}, high {high:g}")
        if not self.draws_points() and self.count_features() > 1:
            self._check_grid()
        if self.inputs == "circle" and self.count_features() > 1:
            raise SweepError(f"inputs 'circle' need one feature x, got {self.count_features()}: choose other inputs")
        for frequency in self.reported_frequencies():
            _check_frequency(frequency, self)
        unknowns = 2 * len(self.reported_frequencies()) + 1
        if self.draws_points() and unknowns > 1 and self.points <= unknowns:
            raise SweepError(
                f"{self.points} random points are too few to fit {unknowns // 2} frequencies by least squares: "
                f"use more than {unknowns} points, or fewer frequencies"
            )

    def _check_grid(self) -> None:
        """Refuse a number of points that no grid over several features has."""
        count = self.count_features()
        if self._side() ** count != self.points:
            raise SweepError(
                f"a grid over {count} features has as many points along each: take {self._side() ** count} points, or "
                f"placement='random', got {self.points}"
            )

    def count_features(self) -> int:
        """Count the numbers of one point."""
        return 1

    def ends(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Give the lower and the upper end of each feature's range."""
        count = self.count_features()
        for name in ("low", "high"):
            given = getattr(self, name)
            if isinstance(given, tuple) and len(given) != count:
                raise SweepError(f"task.{name} must be one number, or one for each of {count} features, got {given}")
        low, high = (each if isinstance(each, tuple) else (each,) * count for each in (self.low, self.high))
        return low, high

    def draws_points(self) -> bool:
        """Tell whether points are drawn from `data_seed`, and do not lie on a grid."""
        return self.placement in DRAWN

    def input_size(self) -> int:
        """Count the network's inputs."""
        return INPUTS[self.inputs].size(self.count_features())

    def window(self) -> Window | None:
        """Give the x over which errors are shown if the page names none; None if points have more than two features."""
        features = self.count_features()
        if features > MOST_FEATURES:
            return None
        if features == 1:
            return Window(self.ends()[0][0], self.ends()[1][0], self.points, self.placement != "grid")
        side = MAP_POINTS if self.draws_points() else self._side()
        return Window(*self.ends(), (side, side), self.placement != "grid")

    def _side(self) -> int:
        """Count the points along each feature of a grid."""
        return round(self.points ** (1 / self.count_features()))

    def given_points(self) -> np.ndarray:
        """Give the training points of a task without random ones, one row for each feature, in float64: a grid."""
        grid = self.window()
        assert grid is not None
        return grid.positions()

    def output_names(self) -> tuple[str, ...]:
        """Name the network's outputs; none for a single one, of which arrays have no axis."""
        return ()

    def class_names(self) -> tuple[str, ...]:
        """Name the classes that targets can be; none if targets are numbers."""
        return ()

    def has_only_classes(self) -> bool:
        """Tell whether targets are classes whatever the loss, since they are words."""
        return False

    def has_noiseless_target(self) -> bool:
        """Tell whether the target without noise is known."""
        return True

    def validation_rows(self) -> int:
        """Count the points for validation, which no step sees."""
        return 0

    def samples(self) -> np.ndarray | None:
        """Give the numbers of the rows of which predictions are stored; None for a task without rows."""
        return None

    def feature_names(self) -> tuple[str, ...]:
        """Name the features of rows; none for a task without rows."""
        return ()

    def coordinates(self) -> dict[str, tuple[tuple[str, ...], np.ndarray]]:
        """Give what is known of rows, dimensions and values by name; nothing for a task without rows."""
        return {}

    def standardises(self) -> bool:
        """Tell whether inputs or targets of given rows are standardised."""
        return False

    def is_common(self, swept: Collection[str]) -> bool:
        """Tell whether lanes have the same data, which are then held once on a device.

        Args:
            swept: the knobs in which lanes differ.
        """
        return False

    def has_target_at_x(self) -> bool:
        """Tell whether there is a noiseless target at any x, and not only at the training points."""
        return True

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
    if not task.draws_points() and frequency >= limit:
        raise SweepError(
            f"frequency {frequency:g} is not below the Nyquist limit {limit:g} cycles per unit of x of "
            f"{task.points} points on [{task.low:g}, {task.high:g}]: use more points or a lower frequency"
        )


def _check_amplitudes(label: str, value: Any) -> None:
    """Refuse anything but a number, or a tuple of them."""
    for each in value if isinstance(value, tuple) else (value,):
        check_finite(f"task.{label}", each)


@dataclass(frozen=True, kw_only=True)
class SumOfSines(Task):
    """f(x) = sum_i a_i sin(2 pi k_i x + phi_i).

    Args:
        frequencies: k_i in cycles per unit of x.
        amplitudes: one number for all, or one for each frequency. In results it is written "1, 0.5".
        phases: "random" (uniform on [0, 2 pi), drawn from `data_seed`), or phi_i in radians.

    Raises:
        SweepError: for a frequency at or above the Nyquist limit of a grid, repeated frequencies, or
            different numbers of frequencies, amplitudes and phases.
    """

    target_builder: ClassVar[Entry] = Entry("sweep.engine.regression.tasks.targets:sum_of_sines")

    frequencies: tuple[float, ...] = (1.0,)
    amplitudes: float | tuple[float, ...] = written(1.0, NUMBERS, check=_check_amplitudes)
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
        if len(self.slopes) > 1 and not self.draws_points():
            raise SweepError(f"a linear task with {len(self.slopes)} features needs placement='random'")

    def count_features(self) -> int:
        """Count the slopes."""
        return len(self.slopes)

    def _check_grid(self) -> None:
        """Check nothing: several features are drawn."""

    def window(self) -> Window | None:
        """Give the x over which errors are shown if the page names none; None if points have several features."""
        return super().window() if self.count_features() == 1 else None


@dataclass(frozen=True, kw_only=True)
class FromFunction(Task):
    """A target that the page defines.

    Args:
        function: `function(x, **parameters)` for x of shape (points,), or (points, features) for several features,
            returns f(x) of shape (points,) or one number; for several outputs of shape (points, outputs). Traced by
            JAX: write it with arithmetic or with `jax.numpy` imported inside it. If it has a parameter `key`, it is
            given a key of JAX, drawn from `data_seed` and the same for all points, and can draw a random function.
        parameters: numbers passed to the function by name; each is a knob that an axis may sweep.
        frequencies: where to compute the spectral error, in cycles per unit of x, for one feature.
        features: number of features; with two, predictions and errors are shown as maps.
        low, high: the range of x, or a tuple with one number for each feature.
        placement: as for other tasks, or `placement(key, points)`, which draws points of shape (points, features), or
            (points,) for one feature, from a density of its own. A grid of several features has points along each
            feature whose product is `points`.
        outputs: names of the outputs, if there are several; they are the coordinate of the dimension `output`.
    """

    target_builder: ClassVar[Entry] = Entry("sweep.engine.regression.tasks.targets:from_function")

    function: Callable[..., Any] = field()
    parameters: Mapping[str, float] = field(default_factory=dict, hash=False)
    frequencies: tuple[float, ...] = ()
    features: int = 1
    low: float | tuple[float, ...] = number(0.0, units="units of x", traced=False, each=True)  # type: ignore[assignment]
    high: float | tuple[float, ...] = number(1.0, units="units of x", traced=False, each=True)  # type: ignore[assignment]
    placement: Any = choice("grid", PLACEMENTS, kind="placement", or_a=Callable)  # type: ignore[assignment]
    outputs: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_count("task.features", self.features, MOST_GIVEN_FEATURES)
        for name in ("low", "high"):  # one number is the same as a tuple of it
            given = to_plain(getattr(self, name))
            if self.features == 1 and isinstance(given, tuple) and len(given) == 1:
                object.__setattr__(self, name, given[0])
        super().__post_init__()
        if self.frequencies and self.features > 1:
            raise SweepError(f"task.frequencies are of one feature, got {self.features} features: leave them out")
        self._check_outputs()
        if not callable(self.function):
            raise SweepError(f"the target function must be a function of x, got {self.function!r}")
        for name, value in self.parameters.items():
            check_parameter_name("a parameter of the target function", name)
            if name in knobs_of(type(self)):
                raise SweepError(
                    f"parameter {name!r} of the target function has a name that is already used: rename it"
                )
            check_finite(f"parameter {name!r} of the target function", value)

    def _check_outputs(self) -> None:
        """Refuse names of outputs that are not different texts."""
        names = self.outputs
        are_texts = isinstance(names, tuple) and all(isinstance(name, str) for name in names)
        if not are_texts or len({*names}) < len(names):
            raise SweepError(f"task.outputs must be different names, as in ('u', 'v'), got {names!r}")
        for name in names:
            check_text("the name of an output", name, LONGEST_NAME)

    def applicable(self) -> frozenset[str]:
        """Name the task's knobs, including the function's parameters."""
        return super().applicable() | frozenset(self.parameters)

    def reported_frequencies(self) -> tuple[float, ...]:
        """List the frequencies that the page names."""
        return self.frequencies

    def count_features(self) -> int:
        """Count the features."""
        return self.features

    def draws_points(self) -> bool:
        """Tell whether points are drawn from `data_seed`, by the page's function too."""
        return callable(self.placement) or super().draws_points()

    def draws_targets(self) -> bool:
        """Tell whether the function draws, with a key."""
        return "key" in inspect.signature(self.function).parameters

    def output_names(self) -> tuple[str, ...]:
        """Name the outputs as the page does."""
        return self.outputs


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

    def count_features(self) -> int:
        """Count the numbers of a row."""
        return len(self.rows[0]) if self.rows else 0

    def _check_grid(self) -> None:
        """Check nothing: rows are given."""

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
