"""How verdicts are stored and shown: the JSON list of all of them, and the tables of the answers file."""

import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from math import isfinite
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from sweep.base.errors import SweepError
from sweep.base.text import short_number
from sweep.claims.verdicts import Verdict
from sweep.files import atomic_files
from sweep.files.bounded_json import parse
from sweep.stats.intervals import skewed_coverage

HEADER: Final = ("claim", "said by", "criterion", "measured, 95% interval", "seeds", "verdict", "figure")
END: Final = "<!-- end of claims -->"
_MARKS: Final = re.compile(rf"(<!-- claims \S+ -->|{END})")
_NONE: Final = "No claim of this source has been decided yet."
_NUMBERS: Final = ("value", "low", "high")


def load(path: Path) -> list[Verdict]:
    """Read the verdicts in a file; none if there is no file.

    Raises:
        SweepError: for a file that is no list of verdicts.
    """
    try:
        return _verdicts(parse(path.read_bytes().decode()))
    except FileNotFoundError:
        return []
    except (OSError, ValueError, TypeError, KeyError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise SweepError(f"{path} is not a list of verdicts ({reason}): repair it, or name another --out") from error


def _verdicts(entries: Any) -> list[Verdict]:
    if not isinstance(entries, list):
        raise TypeError("not a list")
    return [Verdict(**{**entry, **{name: float(entry[name]) for name in _NUMBERS}}) for entry in entries]


def merge(kept: Iterable[Verdict], new: Iterable[Verdict]) -> list[Verdict]:
    """Replace verdicts by new ones of the same id; order them by source, then by id, with C2 before C10."""
    by_id = {verdict.id: verdict for verdict in (*kept, *new)}
    return sorted(by_id.values(), key=lambda verdict: (verdict.source, _natural_order(verdict.id)))


def _natural_order(name: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdecimal() else (0, part) for part in re.split(r"([0-9]+)", name)]


def format_json(verdicts: Iterable[Verdict]) -> str:
    """Format verdicts as a JSON list; numbers that JSON cannot express are "inf", "-inf" or "nan"."""
    return json.dumps([_entry(verdict) for verdict in verdicts], indent=1, allow_nan=False, ensure_ascii=False) + "\n"


def _entry(verdict: Verdict) -> dict[str, Any]:
    entry = asdict(verdict)
    for name in ("unknown", "exploratory"):  # left out where they are 0 or false, as in most verdicts
        if not entry[name]:
            del entry[name]
    return entry | {name: entry[name] if isfinite(entry[name]) else str(entry[name]) for name in _NUMBERS}


def fill_tables(text: str, verdicts: Sequence[Verdict], folder: Path) -> str:
    """Write the tables into the text of an answers file.

    The text between `<!-- claims 001 -->` and `<!-- end of claims -->` is replaced by the table of all claims whose
    source begins with 001, unless another block has a longer name with which it begins. The rest is not changed.

    Args:
        text: the text.
        verdicts: all verdicts, in the order in which they are shown.
        folder: the file's folder relative to the project's root; links to figures are relative to it.

    Raises:
        SweepError: for a source without a block, and for a block without an end.
    """
    parts = _MARKS.split(text)
    names = [_block_name(mark) for mark in parts[1::2]]
    _check_pairs(names)
    blocks = {verdict.source: _block_of(verdict, names) for verdict in verdicts}
    for number, name in enumerate(names):
        if name:
            rows = [verdict for verdict in verdicts if blocks[verdict.source] == name]
            parts[2 * number + 2] = f"\n{table(rows, folder) if rows else _NONE}\n"
    return "".join(parts)


def _block_name(mark: str) -> str:
    """Give the name of the block that a mark begins; "" if it ends a block."""
    return "" if mark == END else mark.split()[2]


def _check_pairs(names: Sequence[str]) -> None:
    """Refuse a mark that begins a block without one that ends it, and the reverse."""
    for number, name in enumerate(names):
        if name and (number + 1 == len(names) or names[number + 1]):
            raise SweepError(f"the answers file's block of claims {name} has no end: write {END} below it")
        if not name and (number == 0 or not names[number - 1]):
            raise SweepError(f"the answers file has {END} without a beginning: write <!-- claims SOURCE --> above it")


def _block_of(verdict: Verdict, names: Sequence[str]) -> str:
    """Find the block that a verdict belongs to."""
    found = max((name for name in names if name and verdict.source.startswith(name)), key=len, default="")
    if not found:
        raise SweepError(
            f"the answers file has no block for claim {verdict.id!r} of {verdict.source!r}: "
            f"write <!-- claims {verdict.source} --> and {END} into it"
        )
    return found


def table(verdicts: Iterable[Verdict], folder: Path) -> str:
    """Write verdicts as a Markdown table.

    Args:
        verdicts: one for each row.
        folder: the folder of the file that will hold the table; links to figures are relative to it.
    """
    rows = [HEADER, ["---"] * len(HEADER), *(_cells(verdict, folder) for verdict in verdicts)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _cells(verdict: Verdict, folder: Path) -> list[str]:
    *words, verdict_word = (" ".join(cell.split()).replace("|", "\\|") for cell in verdict_words(verdict))
    return [*words, f"**{verdict_word}**", _link(verdict.figure, folder)]


def verdict_words(verdict: Verdict) -> list[str]:
    """Give the cells of a verdict, in the order of `HEADER`, without the figure."""
    claim = f"{verdict.id}: {verdict.text}"
    measured = (
        f"{short_number(verdict.value)} [{short_number(verdict.low)}, {short_number(verdict.high)}]{_coverage(verdict)}"
    )
    seeds = f"{verdict.seeds} (+{verdict.unknown} unknown)" if verdict.unknown else str(verdict.seeds)
    outcome = f"{verdict.verdict} (exploratory)" if verdict.exploratory else verdict.verdict
    return [claim, verdict.source, verdict.criterion, measured, seeds, outcome]


def _coverage(verdict: Verdict) -> str:
    """Give the coverage for skewed values beside the interval of a mean, unless it is 95%."""
    share = skewed_coverage(verdict.seeds) if verdict.criterion.startswith("mean ") else None
    return "" if share is None else f" ({share:.0%} if values are skewed)"


def _link(figure: str, folder: Path) -> str:
    if not figure:
        return ""
    path = quote(Path(os.path.relpath(figure, folder)).as_posix(), safe="/@")
    return f"[{Path(figure).stem}]({path})"


def read_answers(path: Path) -> str:
    """Read an answers file without changing its line ends.

    Raises:
        SweepError: if it cannot be read.
    """
    try:
        return path.read_bytes().decode()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise SweepError(f"can't read the answers file {path}: {reason}; name another with --answers") from error


def replace_files(texts: Mapping[Path, str]) -> None:
    """Write files under temporary names, and rename them once all are written.

    Raises:
        SweepError: if one cannot be written; then none is changed.
    """
    try:
        atomic_files.write_files({path: text.encode() for path, text in texts.items()})
    except OSError as error:
        raise SweepError(f"can't write {error.filename}: {error.strerror}; name another file") from error
