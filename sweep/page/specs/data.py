"""Data of one's own: rows of inputs and targets, from arrays or from a file."""

import sys
from collections.abc import Collection, Sequence
from dataclasses import KW_ONLY, dataclass, field
from functools import cached_property
from operator import lt
from pathlib import Path
from typing import Any, ClassVar, Final, Literal

import numpy as np

from sweep.base.errors import SweepError
from sweep.base.registry import Entry
from sweep.base.text import check_text
from sweep.page.specs.knobs import LARGEST_COUNT, LONGEST_NAME, check_number, choice, number
from sweep.page.specs.tables import plain_column
from sweep.page.specs.tables import read as read_table
from sweep.page.specs.task import Task
from sweep.page.specs.values import MOST_CLASSES, Values
from sweep.page.specs.window import MAP_POINTS, MOST_FEATURES, Window

STANDARDISED: Final = ("nothing", "inputs", "targets", "both")
SHOWN_SAMPLES: Final = 256  # rows of which predictions are stored
STORED_FEATURES: Final = 32  # of more, the inputs of these rows are not stored
_GIVEN: Final = {"placement", "low", "high", "points"}  # what a Task chooses and Data have


def _held(name: str, given: Any) -> Values:
    """Hold an array of numbers or words.

    Raises:
        SweepError: for anything else.
    """
    if isinstance(given, Values):
        return given
    if np.ma.is_masked(given):
        raise SweepError(f"{name} must have no masked entries: leave their rows out")
    try:
        array = np.asarray(given)
    except ValueError as error:
        raise SweepError(f"{name} must be an array, with rows of one length: {' '.join(str(error).split())}") from error
    if array.dtype.kind == "O":
        array = plain_column(name, array)
    if "inputs" in name and array.ndim == 1 and array.dtype.kind in "biuf":
        array = array[:, None]
    if array.dtype.kind == "b":
        array = array.astype(np.int8)
    if array.dtype.kind not in ("iufU" if "targets" in name else "iuf"):
        shown = f", such as {array.flat[:1].tolist()[0]!r}" if array.size else ""
        raise SweepError(f"{name} must be numbers, got {array.dtype}{shown}")
    if array.ndim and len(array) > LARGEST_COUNT:
        raise SweepError(f"{name} must have at most {LARGEST_COUNT} rows, got {len(array)}")
    return Values(array)


def _numbered(words: np.ndarray, names: tuple[str, ...], what: str) -> Values:
    """Turn words into the places of their classes."""
    place = {name: number for number, name in enumerate(names)}
    for word in words.tolist():
        if word not in place:
            fix = "leave its rows out" if what != "targets" else "name all of them"
            raise SweepError(f"class {word!r} of the {what} is not one of {', '.join(names[:8])}: {fix}")
    return Values(np.array([place[word] for word in words.tolist()], np.int32))


def _check_numbers(name: str, values: np.ndarray, columns: Sequence[str]) -> None:
    """Refuse numbers that are not finite; columns have names, or only numbers."""
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        row, *column = np.argwhere(~np.isfinite(values))[0].tolist()
        named = [repr(columns[at]) if len(columns) == values.shape[1] else at for at in column]
        place = f"row {row}" + (f", column {named[0]}" if column else "")
        raise SweepError(f"{name} must be finite, got {values[(row, *column)]} in {place}: leave that row out")


def _check_columns(name: str, values: Values, precision: str) -> None:
    """Refuse columns whose numbers, or their differences, a precision does not hold."""
    largest, digits = (1e18, 1e6) if precision == "float32" else (1e150, 1e14)
    fix = "subtract and divide in the page" + (", or take precision='float64'" if precision == "float32" else "")
    for column, (top, spread) in enumerate(zip(*values.ranges, strict=True)):
        what = f"column {column} of the {name}"
        if top > largest or 0 < spread < 1 / largest:
            raise SweepError(f"{what} goes to {top:.3g}, whose squares {precision} does not hold: {fix}")
        if spread > 0 and top / spread > digits:
            raise SweepError(f"{what} differs by {spread:.3g} around {top:.3g}, too little for {precision}: {fix}")


@dataclass(frozen=True)
class Data(Task):
    """Rows of inputs and targets, as measured. They are held once on each device, unless lanes differ in them.

    Args:
        inputs: an array of shape (rows, features), or (rows,) for one feature.
        targets: an array of shape (rows,), or (rows, outputs) for several outputs. Words are classes. Whole numbers are
            classes if the loss is one of classes, and numbers if not.
        validation: rows that no step sees: a share of them, drawn from `data_seed`; or further rows, as a pair
            (inputs, targets).
        standardise: whether "inputs", "targets" or "both" are shifted and scaled to mean 0 and deviation 1 over the
            training rows, column by column. Losses and predictions are then those of standardised targets.
        input_names: the features.
        target_names: the outputs, if there are several; they are the coordinate of the dimension `output`.
        classes: the names of classes, in order, for targets that are whole numbers from 0 on.
        noise: standard deviation of Gaussian noise added to the training targets, if these are numbers.

    Raises:
        SweepError: for arrays that do not fit each other, that hold words or numbers that are not finite, or are too
            small, and for classes that only validation has.
    """

    target_builder: ClassVar[Entry] = Entry("sweep.engine.regression.tasks.rows:draw_rows")

    inputs: Any = field()  # type: ignore[assignment]
    targets: Any = field()
    _: KW_ONLY
    low: float | tuple[float, ...] = number(0.0, units="units of x", traced=False, each=True)  # type: ignore[assignment]
    high: float | tuple[float, ...] = number(1.0, units="units of x", traced=False, each=True)  # type: ignore[assignment]
    validation: Any = 0.0
    standardise: Literal["nothing", "inputs", "targets", "both"] = choice("nothing", STANDARDISED, kind="standardise")
    input_names: tuple[str, ...] = ()
    target_names: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()

    @classmethod
    def read(
        cls,
        file: str | Path,
        *,
        targets: str | Sequence[str],
        inputs: str | Sequence[str] | None = None,
        validation: Any = 0.0,
        standardise: Literal["nothing", "inputs", "targets", "both"] = "nothing",
        noise: float = 0.0,
        classes: Sequence[str] = (),
    ) -> "Data":
        """Read inputs and targets from a CSV, Parquet or NPZ file.

        Args:
            file: its path; a relative one is relative to the file that calls this, as a page does.
            targets: the column of the targets, or several; in an NPZ file the names of arrays.
            inputs: the columns of the inputs; None for all others.
            validation: the share of rows for validation, or the path of a file with the same columns.
            standardise: as for `Data`.
            noise: as for `Data`.
            classes: as for `Data`.

        Raises:
            SweepError: for a file that is missing, empty or of another kind, a column that it does not have, and all
                that `Data` refuses.
        """
        if not isinstance(file, str | Path):
            raise SweepError(f"file must be the path of a CSV, Parquet or NPZ file, got {file!r}")
        caller = sys._getframe(1).f_globals.get("__file__")
        folder = Path(caller).parent if caller else Path()
        table = read_table(folder / file)
        x, y = table.columns(inputs, targets)
        if isinstance(validation, str | Path):
            other = read_table(folder / validation)
            x_there, y_there = other.columns(x, y)
            validation = (other.select(x_there), other.select(y_there, alone=isinstance(targets, str)))
        return cls(
            table.select(x), table.select(y, alone=isinstance(targets, str)), validation=validation,
            standardise=standardise, noise=noise, classes=tuple(classes), input_names=table.names(x),
            target_names=() if isinstance(targets, str) else table.names(y),
        )  # fmt: skip

    def __post_init__(self) -> None:
        self._check_given()
        for name in ("inputs", "targets"):
            object.__setattr__(self, name, _held(name, getattr(self, name)))
        if isinstance(self.validation, tuple | list):
            if len(self.validation) != 2:
                raise SweepError(f"validation must be a share, or a pair (inputs, targets), got {len(self.validation)}")
            inputs, targets = self.validation
            pair = (_held("validation inputs", inputs), _held("validation targets", targets))
            object.__setattr__(self, "validation", pair)
        if isinstance(self.validation, np.generic):
            object.__setattr__(self, "validation", self.validation.item())
        self._name_classes()
        self._check_rows()
        object.__setattr__(self, "points", self._training_rows())
        if self.count_features() <= MOST_FEATURES:  # the range of the features, for figures
            for name, ends in (("low", self.rows().min(axis=1)), ("high", self.rows().max(axis=1))):
                object.__setattr__(self, name, tuple(map(float, ends)))
        super().__post_init__()

    def _check_given(self) -> None:
        """Refuse names that are one text, and what a task without rows chooses."""
        chosen = _GIVEN if not isinstance(self.inputs, Values) else {"placement"}  # a copy has those of its rows
        for name in sorted(chosen):
            if getattr(self, name) != getattr(type(self), name):
                raise SweepError(f"Data take no {name}, got {getattr(self, name)!r}: their rows are their points")
        for what in ("input_names", "target_names", "classes"):
            if isinstance(names := getattr(self, what), str):
                raise SweepError(f"{what} must be a tuple of names, got {names!r}")

    def _name_classes(self) -> None:
        """Turn words into the numbers of classes, in alphabetical order; check the names that are given."""
        words = self.targets.array
        if words.dtype.kind == "U":
            if words.ndim != 1:
                raise SweepError("targets that are words must be one column: they are classes")
            names = tuple(map(str, self.classes)) or tuple(sorted({*words.tolist()}))
            object.__setattr__(self, "classes", names)
            object.__setattr__(self, "targets", _numbered(words, names, "targets"))
        if isinstance(self.validation, tuple) and self.validation[1].array.dtype.kind == "U":
            inputs, targets = self.validation
            numbers = _numbered(targets.array, self.classes, "validation targets")
            object.__setattr__(self, "validation", (inputs, numbers))
        for what in ("classes", "target_names", "input_names"):
            names = tuple(map(str, getattr(self, what)))
            object.__setattr__(self, what, names)
            for name in names:
                check_text("the name of a column or class", name, LONGEST_NAME)
                if not name.isprintable():
                    raise SweepError(f"the name of a column or class must be one line, got {name!r}")

    def _check_rows(self) -> None:
        """Refuse arrays that do not fit each other."""
        parts = [("inputs", "targets", self.inputs, self.targets)]
        if isinstance(self.validation, tuple):
            parts.append(("validation inputs", "validation targets", *self.validation))
        for one, other, inputs, targets in parts:
            if not inputs.array.size or not targets.array.size:
                raise SweepError(f"{one} and {other} must have at least one row and one column each")
            if inputs.array.ndim != 2 or targets.array.ndim not in (1, 2):
                raise SweepError(
                    f"{one} must have shape (rows, features) and {other} (rows,) or (rows, outputs), got "
                    f"{inputs.array.shape} and {targets.array.shape}"
                )
            if len(inputs.array) != len(targets.array):
                raise SweepError(
                    f"{one} and {other} must have the same number of rows, got {len(inputs.array)} and "
                    f"{len(targets.array)}"
                )
            _check_numbers(one, inputs.array, self.input_names)
            _check_numbers(other, targets.array, self.target_names)
            if inputs.array.shape[1:] != self.inputs.array.shape[1:]:
                raise SweepError(f"{one} must have the {self.count_features()} features of the training inputs")
            if targets.array.shape[1:] != self.targets.array.shape[1:]:
                raise SweepError(f"{other} must have the columns of the training targets, got {targets.array.shape}")
        self._check_names()

    def _check_names(self) -> None:
        """Refuse names that are not one for each column, and classes that targets do not fit."""
        for names, what, count in (
            (self.input_names, "input_names", self.count_features()),
            (self.target_names, "target_names", self.targets.array[0].size),
        ):
            if names and what == "target_names" and self.targets.array.ndim == 1:
                raise SweepError(f"target_names are of several outputs, and targets are one column, got {names}")
            if names and (len(names) != count or len({*names}) != count):
                raise SweepError(f"{what} must be {count} different names, one for each column, got {names}")
        if not self.classes:
            return
        if len({*self.classes}) != len(self.classes):
            raise SweepError(f"classes must be different names, got {self.classes}")
        if not self._is_whole():
            raise SweepError(f"classes are of targets that are words or whole numbers, got {self.targets!r}")
        if self.targets.array.min() < 0 or self.targets.array.max() >= len(self.classes):
            raise SweepError(f"targets must be numbers of the {len(self.classes)} classes, from 0 on")

    def check_inputs(self, precision: str) -> None:
        """Refuse inputs, of validation too, that the precision of a run does not hold.

        Raises:
            SweepError: for a column that overflows, or that differs less than its digits can tell.
        """
        _check_columns("inputs", self.inputs, precision)
        if isinstance(self.validation, tuple):
            _check_columns("validation inputs", self.validation[0], precision)

    def check_targets(self, precision: str) -> None:
        """Refuse targets that are numbers, and that the precision of a run does not hold, as `check_inputs` does."""
        _check_columns("targets", self.targets, precision)
        if isinstance(self.validation, tuple):
            _check_columns("validation targets", self.validation[1], precision)

    def _is_whole(self) -> bool:
        return self.targets.array.ndim == 1 and self.targets.array.dtype.kind in "iu"

    @cached_property
    def labels(self) -> np.ndarray:
        """The distinct targets, if these are whole numbers or words and can be classes; else none."""
        if self.classes:
            return np.arange(len(self.classes))
        found = np.unique(self.targets.array) if self._is_whole() else np.array([], int)
        return found if len(found) <= MOST_CLASSES else found[:0]

    def class_names(self) -> tuple[str, ...]:
        """Name the classes, by their words, or by their numbers."""
        return self.classes or tuple(map(str, self.labels.tolist()))

    def has_only_classes(self) -> bool:
        """Tell whether the targets are words, which are no numbers."""
        return bool(self.classes)

    def targets_as(self, classes: bool) -> np.ndarray:
        """Give the targets of all rows, those for validation last: numbers of classes, or as they are.

        Raises:
            SweepError: for a class that only validation has.
        """
        parts = [self.targets.array] + ([self.validation[1].array] if isinstance(self.validation, tuple) else [])
        if not classes or not self.labels.size:
            return np.concatenate(parts)
        for part in parts:
            if unseen := sorted({*part.tolist()} - {*self.labels.tolist()}):
                name = self.classes[unseen[0]] if self.classes else unseen[0]
                raise SweepError(f"class {name!r} is only in the validation targets: leave its rows out")
        return np.searchsorted(self.labels, np.concatenate(parts)).astype(np.int32)

    def rows(self) -> np.ndarray:
        """Give the inputs of all rows, those of a validation of its own last, of shape (features, rows)."""
        parts = [self.inputs.array] + ([self.validation[0].array] if isinstance(self.validation, tuple) else [])
        return np.concatenate(parts).T if len(parts) > 1 else parts[0].T

    def validation_rows(self) -> int:
        """Count the rows for validation."""
        if isinstance(self.validation, tuple):
            return len(self.validation[0].array)
        rows = len(self.inputs.array)
        return min(rows - 2, max(1, round(self.validation * rows))) if self.validation else 0

    def draws_validation(self) -> bool:
        """Tell whether the rows for validation are drawn, from `data_seed`."""
        return not isinstance(self.validation, tuple) and self.validation > 0

    def _training_rows(self) -> int:
        """Count the rows that are trained on.

        Raises:
            SweepError: for a share that is not between 0 and 1, or too few rows.
        """
        rows = len(self.inputs.array)
        if not isinstance(self.validation, tuple):
            check_number({"at_least": 0.0, "below": 1.0}, "validation", self.validation)
            if self.validation and rows < 3:
                raise SweepError(f"{rows} rows are too few to leave some out for validation")
        left = rows if isinstance(self.validation, tuple) else rows - self.validation_rows()
        if left < 2:
            raise SweepError(f"Data need at least 2 rows to train on, got {left}")
        return left

    def count_features(self) -> int:
        """Count the columns of the inputs."""
        return self.inputs.array.shape[1]

    def output_names(self) -> tuple[str, ...]:
        """Name the outputs, by their columns or by numbers; none if there is only one column."""
        if self.targets.array.ndim == 1:
            return ()
        return self.target_names or tuple(map(str, range(self.targets.array.shape[1])))

    def input_size(self) -> int:
        """Count the network's inputs."""
        return self.count_features()

    def ends(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Give the range of up to two features that differ; of none else."""
        given = isinstance(self.low, tuple) and len(self.low) <= MOST_FEATURES
        has_range = given and all(map(lt, self.low, self.high))  # type: ignore[arg-type]
        return (self.low, self.high) if has_range else ((), ())  # type: ignore[return-value]

    def draws_points(self) -> bool:
        """Return True: rows do not lie on a grid."""
        return True

    def window(self) -> Window | None:
        """Give the range of one or two features, over which predictions are shown."""
        low, high = self.ends()
        if not low:
            return None
        return Window(low[0], high[0]) if len(low) == 1 else Window(low, high, (MAP_POINTS,) * 2)

    def samples(self) -> np.ndarray:
        """Give the numbers of the rows of which predictions are stored: evenly spread, of validation too."""
        rows = self.points + self.validation_rows()
        return np.unique(np.linspace(0, rows - 1, min(rows, SHOWN_SAMPLES)).round().astype(int))

    def standardises(self) -> bool:
        """Tell whether inputs or targets are standardised."""
        return self.standardise != "nothing"

    def coordinates(self) -> dict[str, tuple[tuple[str, ...], np.ndarray]]:
        """Give what is known of the rows of which predictions are stored: dimensions and values by name."""
        parts = [self.targets.array] + ([self.validation[1].array] if isinstance(self.validation, tuple) else [])
        targets = np.concatenate(parts)[self.samples()].astype(float)
        found = {"sample_target": (("sample", "output")[: targets.ndim], targets)}
        if self.count_features() <= STORED_FEATURES:
            inputs = self.rows().T[self.samples()].astype(float)
            found["sample_input"] = ("sample", "feature"), inputs
        return found

    def feature_names(self) -> tuple[str, ...]:
        """Name the features, by their columns or by numbers."""
        return self.input_names or tuple(map(str, range(self.count_features())))

    def is_common(self, swept: Collection[str]) -> bool:
        """Tell whether no lane draws other rows for validation, or other noise."""
        draws = self.draws_validation() or self.noise != 0
        return "noise" not in swept and not ("data_seed" in swept and draws)

    def has_noiseless_target(self) -> bool:
        """Return False: what is measured may hold noise."""
        return False

    def has_target_at_x(self) -> bool:
        """Return False: between the rows there is no target."""
        return False

    def derived(self) -> frozenset[str]:
        """Name what its rows decide."""
        return frozenset(_GIVEN)

    def applicable(self) -> frozenset[str]:
        """Name the knobs, without those of points, which are given."""
        return super().applicable() - _GIVEN
