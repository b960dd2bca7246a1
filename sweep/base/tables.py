"""Tables of any width, in a terminal or a file: text folds, and what finds no room stands below; no number is cut."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table
from rich.text import Text

_NUMBER: Final = 24  # signs of a word with digits that is never broken: no number has more
_WORD: Final = 12  # letters of one without
_NAME: Final = 12  # to which what names a row gives way before the other columns do
_EDGES: Final = 2  # signs of a row beside its columns ...
_BETWEEN: Final = 2  # ... and beside each column


def show(
    console: Console, heads: Sequence[str], rows: Sequence[Sequence[str]], *, names: int = 1, text: bool = False,
    most: Mapping[str, int] = MappingProxyType({}),
) -> None:  # fmt: skip
    """Print a table. Where it is too wide its columns stand in several tables, each with what names the rows.

    Args:
        console: where.
        heads: of the columns.
        rows: of cells, as plain text.
        names: how many of the first columns name the row.
        text: whether the other columns are text too, and no numbers.
        most: signs that a column asks for, by its head, where its cells are longer than is of use.
    """
    columns = list(zip(heads, *rows, strict=True))
    least = [max(map(_least, column)) for column in columns]
    asked = [
        min(max(map(_longest, column)), max(own, most.get(column[0], sys.maxsize)))
        for column, own in zip(columns, least, strict=True)
    ]
    parts = list(_parts(least, names, console.width))
    if len(parts) > 1 and any(_width([least[at] for at in part]) > console.width for part in parts):
        _list(console, heads, rows, names)
        return
    for number, part in enumerate(parts):
        if number:
            console.print("more columns of the same rows, for which a line has no room:")
        console.print(_table(heads, rows, part, _widths(asked, least, part, names, console.width), names, text))


def _parts(least: Sequence[int], names: int, width: int) -> Iterator[list[int]]:
    """Share columns out among tables that are not too wide, if they need not be."""
    first, part = list(range(names)), list(range(names))
    for at in range(names, len(least)):
        if len(part) > names and _width([least[each] for each in (*part, at)]) > width:
            yield part
            part = [*first]
        part.append(at)
    yield part


def _width(columns: Sequence[int]) -> int:
    return sum(columns) + _BETWEEN * len(columns) + _EDGES


def _widths(asked: Sequence[int], least: Sequence[int], part: Sequence[int], names: int, width: int) -> list[int]:
    """Give columns the width they ask for; where that is too much names give way first, then the widest."""
    found = [asked[at] for at in part]
    first = [max(least[at], _NAME) if at < names else asked[at] for at in part]
    for bounds in (first, [least[at] for at in part]):
        while _width(found) > width and (able := [at for at, bound in enumerate(bounds) if found[at] > bound]):
            found[max(able, key=found.__getitem__)] -= 1
    return found


def _table(
    heads: Sequence[str], rows: Sequence[Sequence[str]], part: Sequence[int], widths: Sequence[int], names: int,
    text: bool,
) -> Table:  # fmt: skip
    table = Table(box=SIMPLE, padding=(0, 1, 0, 0), width=_width(widths))
    for at, width in zip(part, widths, strict=True):
        justify = "left" if at < names or text else "right"
        table.add_column(Text(heads[at]), justify=justify, overflow="fold", width=width)
    for row in rows:
        table.add_row(*(Text(row[at]) for at in part))
    return table


def _list(console: Console, heads: Sequence[str], rows: Sequence[Sequence[str]], names: int) -> None:
    """Print rows one below the other, a line for each cell."""
    for row in rows:
        named = ", ".join(f"{head} {cell}".strip() for head, cell in zip(heads[:names], row[:names], strict=True))
        console.print(Text(named, overflow="fold", style="bold"))
        for head, cell in zip(heads[names:], row[names:], strict=True):
            console.print(Text(f"- {head}: {cell}", overflow="fold"))


def _least(cell: str) -> int:
    """Count the signs that have to stand in one line: a number, or the first of a long word."""
    return max((min(Text(word).cell_len, _NUMBER if _has_digits(word) else _WORD) for word in cell.split()), default=1)


def _has_digits(word: str) -> bool:
    return any(sign.isdigit() for sign in word)


def _longest(cell: str) -> int:
    return max((Text(line).cell_len for line in cell.splitlines()), default=1)
