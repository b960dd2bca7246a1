"""Columns of CSV, Parquet and NPZ files."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from sweep.base.errors import SweepError, unknown_name

KINDS: Final = (".csv", ".parquet", ".npz")


@dataclass(frozen=True)
class Columns:
    """The columns of a file.

    Args:
        file: its name.
        arrays: by name; those of an NPZ file may have several columns themselves.
    """

    file: str
    arrays: Mapping[str, np.ndarray]

    def columns(self, inputs: str | Sequence[str] | None, targets: str | Sequence[str]) -> tuple[list[str], list[str]]:
        """List the columns of inputs and of targets.

        Args:
            inputs: their names; None for all that are not targets.
            targets: their names.

        Raises:
            SweepError: for a column that the file does not have, no column, or one that is input and target.
        """
        for what, given in (("inputs", inputs), ("targets", targets)):
            if not isinstance(given, str | Sequence) and (what == "targets" or given is not None):
                raise SweepError(f"{what} of {self.file} must be names of columns, got {given!r}")
        y = [targets] if isinstance(targets, str) else list(targets)
        x = [name for name in self.arrays if name not in y] if inputs is None else inputs
        x = [x] if isinstance(x, str) else list(x)
        for name in (*x, *y):
            if name not in self.arrays:
                raise unknown_name(f"column of {self.file}", name, self.arrays)
        for names, what in ((x, "inputs"), (y, "targets")):
            if not names or len({*names}) != len(names):
                raise SweepError(f"{what} of {self.file} must be different columns, at least one, got {names}")
        if both := [name for name in x if name in y]:
            raise SweepError(f"column {both[0]!r} of {self.file} can't be an input and a target")
        return x, y

    def select(self, names: Sequence[str], alone: bool = False) -> np.ndarray:
        """Give columns side by side, of shape (rows, columns).

        Args:
            names: the columns.
            alone: whether a single one is given as it is, of shape (rows,).

        Raises:
            SweepError: for words in one of several columns, or columns of different lengths.
        """
        parts = [plain_column(f"column {name!r} of {self.file}", self.arrays[name]) for name in names]
        if alone:
            return parts[0]
        for name, part in zip(names, parts, strict=True):
            if part.dtype.kind not in "biuf":
                raise SweepError(f"column {name!r} of {self.file} must hold numbers, got {_first_word(part)}")
            if len(part) != len(parts[0]):
                rows = f"{names[0]!r} has {len(parts[0])}, {name!r} has {len(part)}"
                raise SweepError(f"columns of {self.file} must have the same number of rows: {rows}")
        return np.column_stack(parts)

    def names(self, columns: Sequence[str]) -> tuple[str, ...]:
        """Name each of some columns, those of an array by numbers: `select` gives as many."""
        found: list[str] = []
        for name in columns:
            array = self.arrays[name]
            found += [name] if array.ndim == 1 else [f"{name}_{number}" for number in range(array.shape[1])]
        return tuple(found)


def read(path: Path) -> Columns:
    """Read a file's columns.

    Raises:
        SweepError: for a file that is missing, empty, of another kind, or that can't be read.
    """
    if path.suffix not in KINDS:
        raise SweepError(f"data must be a file of {', '.join(KINDS)}, got {path.name!r}: convert it")
    if not path.is_file():
        raise SweepError(f"there is no file {str(path)!r} of data: a relative path begins at the page's folder")
    try:
        arrays = _read_arrays(path) if path.suffix == ".npz" else _read_frame(path)
    except ImportError as error:
        raise SweepError(f"reading {path.name} needs pyarrow: pip install 'sweep-lanes[parquet]'") from error
    except Exception as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise SweepError(f"can't read {path.name} as {path.suffix[1:]}: {reason}") from error
    if not arrays or not all(len(array) for array in arrays.values()):
        raise SweepError(f"{path.name} has no rows: give a file with data")
    return Columns(path.name, arrays)


def _read_arrays(path: Path) -> dict[str, np.ndarray]:
    with np.load(path, allow_pickle=False) as file:
        return {name: np.atleast_1d(file[name]) for name in file.files}


def _read_frame(path: Path) -> dict[str, np.ndarray]:
    import pandas as pd  # a third of a second to import, and few pages read files

    frame = _read_csv(path) if path.suffix == ".csv" else pd.read_parquet(path)
    return {str(name): _to_array(frame[name]) for name in frame.columns}


def _read_csv(path: Path) -> Any:
    """Read a CSV file; pandas alone would rename columns of one name, and take a first field too many as an index."""
    import pandas as pd

    # "NA" may be a class; only an empty field is a gap.
    frame = pd.read_csv(path, keep_default_na=False, na_values=[""], skipinitialspace=True)
    with path.open(newline="", encoding="utf-8-sig") as file:
        lines = csv.reader(file)
        names = [name.strip() for name in next(lines)]
        fields = len(next(lines, names))
    if repeated := [name for name in names if names.count(name) > 1]:
        raise ValueError(f"two columns are named {repeated[0]!r}")
    if fields > len(names):
        raise ValueError("rows have more fields than the header has names")
    return frame


def _to_array(column: Any) -> np.ndarray:
    """Turn a column into an array: numbers, or objects where it has words; a missing number is NaN."""
    if column.dtype.kind in "biuf":
        return column.to_numpy()
    return column.astype(object).to_numpy()


def plain_column(name: str, column: np.ndarray) -> np.ndarray:
    """Turn objects into numbers or words.

    Raises:
        SweepError: for a column of both, or with gaps.
    """
    if column.dtype.kind != "O":
        return column
    kinds = {isinstance(value, str) for value in column.ravel().tolist()}
    if kinds == {True}:
        return column.astype(str)
    if kinds == {True, False}:
        is_gap = [value is None or value != value for value in column.ravel().tolist()]
        if any(is_gap):
            raise SweepError(f"{name} has no value in row {is_gap.index(True)}: leave that row out")
        raise SweepError(f"{name} holds numbers and words, got {_first_word(column)}: give one kind")
    try:
        return column.astype(float)
    except (TypeError, ValueError) as error:
        raise SweepError(f"{name} must hold numbers or words: {error}") from error


def _first_word(column: np.ndarray) -> str:
    flat = column.ravel().tolist()
    row = next((row for row, value in enumerate(flat) if isinstance(value, str) and not _is_number(value)), 0)
    return f"{flat[row]!r} in row {row}"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
