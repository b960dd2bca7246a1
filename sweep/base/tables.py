"""Tables of any width, in a terminal or a file: text folds, columns that don't fit stand below, no number is cut."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table
from rich.text import Text

_NUMBER: Final = 24  # characters of a word with digits that is never broken: no number has more
_WORD: Final = 12  # the same for a word without digits
_LABEL: Final = 12  # the label columns are narrowed to this width before any other column is
_EDGES: Final = 2  # characters of a row in addition to its columns
_BETWEEN: Final = 2  # characters beside each column


def print_table(
    console: Console, heads: Sequence[str], rows: Sequence[Sequence[str]], *, label_columns: int = 1,
    text: bool = False, max_widths: Mapping[str, int] = MappingProxyType({}),
) -> None:  # fmt: skip
    """Print a table. If it is too wide, its columns are divided among several tables that repeat the label columns.

    Args:
        console: where to print.
        heads: the headers of the columns.
        rows: the cells of each row, as plain text.
        label_columns: how many of the first columns are labels of the row.
        text: whether the other columns hold text instead of numbers.
        max_widths: the largest width that a column with long cells takes, by its header.
    """
    columns = list(zip(heads, *rows, strict=True))
    minimal = [max(map(_minimal_width, column)) for column in columns]
    wanted = [
        min(max(map(_longest_line, column)), max(minimum, max_widths.get(column[0], sys.maxsize)))
        for column, minimum in zip(columns, minimal, strict=True)
    ]
    parts = list(_parts(minimal, label_columns, console.width))
    if len(parts) > 1 and any(_width([minimal[at] for at in part]) > console.width for part in parts):
        _print_list(console, heads, rows, label_columns)
        return
    for number, part in enumerate(parts):
        if number:
            console.print("more columns of the same rows, which do not fit beside the others:")
        console.print(
            _table(heads, rows, part, _widths(wanted, minimal, part, label_columns, console.width), label_columns, text)
        )


def _parts(minimal: Sequence[int], label_columns: int, width: int) -> Iterator[list[int]]:
    """Divide columns among tables that are at most `width` wide, where that is possible."""
    first, part = list(range(label_columns)), list(range(label_columns))
    for at in range(label_columns, len(minimal)):
        if len(part) > label_columns and _width([minimal[column] for column in (*part, at)]) > width:
            yield part
            part = [*first]
        part.append(at)
    yield part


def _width(columns: Sequence[int]) -> int:
    return sum(columns) + _BETWEEN * len(columns) + _EDGES


def _widths(
    wanted: Sequence[int], minimal: Sequence[int], part: Sequence[int], label_columns: int, width: int
) -> list[int]:
    """Return the widths of a table's columns: those wanted, or narrower, first the label columns, then the widest."""
    found = [wanted[at] for at in part]
    first = [max(minimal[at], _LABEL) if at < label_columns else wanted[at] for at in part]
    for bounds in (first, [minimal[at] for at in part]):
        while _width(found) > width and (able := [at for at, bound in enumerate(bounds) if found[at] > bound]):
            found[max(able, key=found.__getitem__)] -= 1
    return found


def _table(
    heads: Sequence[str], rows: Sequence[Sequence[str]], part: Sequence[int], widths: Sequence[int], label_columns: int,
    text: bool,
) -> Table:  # fmt: skip
    table = Table(box=SIMPLE, padding=(0, 1, 0, 0), width=_width(widths))
    for at, width in zip(part, widths, strict=True):
        justify = "left" if at < label_columns or text else "right"
        table.add_column(Text(heads[at]), justify=justify, overflow="fold", width=width)
    for row in rows:
        table.add_row(*(Text(row[at]) for at in part))
    return table


def _print_list(console: Console, heads: Sequence[str], rows: Sequence[Sequence[str]], label_columns: int) -> None:
    """Print rows one below the other, with a line for each cell."""
    for row in rows:
        label = ", ".join(
            f"{head} {cell}".strip() for head, cell in zip(heads[:label_columns], row[:label_columns], strict=True)
        )
        console.print(Text(label, overflow="fold", style="bold"))
        for head, cell in zip(heads[label_columns:], row[label_columns:], strict=True):
            console.print(Text(f"- {head}: {cell}", overflow="fold"))


def _minimal_width(cell: str) -> int:
    """Return how many characters must stand in one line: those of a number, or the first ones of a long word."""
    return max((min(Text(word).cell_len, _NUMBER if _has_digits(word) else _WORD) for word in cell.split()), default=1)


def _has_digits(word: str) -> bool:
    return any(character.isdigit() for character in word)


def _longest_line(cell: str) -> int:
    return max((Text(line).cell_len for line in cell.splitlines()), default=1)
