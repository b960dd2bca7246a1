"""Verdicts as they are kept and shown: the JSON list of all of them, and the tables of the answer page."""

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

HEAD: Final = ("claim", "said by", "criterion", "measured, 95% interval", "seeds", "verdict", "figure")
END: Final = "<!-- end of claims -->"
_MARKS: Final = re.compile(rf"(<!-- claims \S+ -->|{END})")
_NONE: Final = "No claim of this source has been decided yet."
_NUMBERS: Final = ("value", "low", "high")


def load(path: Path) -> list[Verdict]:
    """Read the verdicts that a file keeps; none where it is not there.

    Raises:
        SweepError: for a file that is not such a list.
    """
    try:
        return _verdicts(parse(path.read_bytes().decode()))
    except FileNotFoundError:
        return []
    except (OSError, ValueError, TypeError, KeyError) as error:
        told = f"{type(error).__name__}: {error}"
        raise SweepError(f"{path} is not a list of verdicts ({told}): mend it, or name another --out") from error


def _verdicts(entries: Any) -> list[Verdict]:
    if not isinstance(entries, list):
        raise TypeError("no list")
    return [Verdict(**{**entry, **{name: float(entry[name]) for name in _NUMBERS}}) for entry in entries]


def merge(kept: Iterable[Verdict], new: Iterable[Verdict]) -> list[Verdict]:
    """Put new verdicts in the place of those of the same id, ordered by source, then id, where C2 is before C10."""
    by_id = {verdict.id: verdict for verdict in (*kept, *new)}
    return sorted(by_id.values(), key=lambda verdict: (verdict.source, _natural(verdict.id)))


def _natural(name: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdecimal() else (0, part) for part in re.split(r"([0-9]+)", name)]


def as_json(verdicts: Iterable[Verdict]) -> str:
    """Write verdicts as a JSON list; a number that JSON does not know as "inf", "-inf" or "nan"."""
    return json.dumps([_entry(verdict) for verdict in verdicts], indent=1, allow_nan=False, ensure_ascii=False) + "\n"


def _entry(verdict: Verdict) -> dict[str, Any]:
    entry = asdict(verdict)
    for name in ("unknown", "exploratory"):  # most often there is none of it
        if not entry[name]:
            del entry[name]
    return entry | {name: entry[name] if isfinite(entry[name]) else str(entry[name]) for name in _NUMBERS}


def fill(page: str, verdicts: Sequence[Verdict], folder: Path) -> str:
    """Write the tables into the text of an answer page.

    What stands between `<!-- claims 001 -->` and `<!-- end of claims -->` is replaced by the table of all claims whose
    source begins with 001, or with no longer name of a block; the rest stays as it is.

    Args:
        page: the text.
        verdicts: all there are, in the order in which they are shown.
        folder: where the page lies, seen from the project's root: links to figures start there.

    Raises:
        SweepError: for a source without a block, and a block without an end.
    """
    parts = _MARKS.split(page)
    names = [_block(mark) for mark in parts[1::2]]
    _check_pairs(names)
    homes = {verdict.source: _home(verdict, names) for verdict in verdicts}
    for number, name in enumerate(names):
        if name:
            rows = [verdict for verdict in verdicts if homes[verdict.source] == name]
            parts[2 * number + 2] = f"\n{table(rows, folder) if rows else _NONE}\n"
    return "".join(parts)


def _block(mark: str) -> str:
    """Give the name of the block that a mark begins, "" for one that ends a block."""
    return "" if mark == END else mark.split()[2]


def _check_pairs(names: Sequence[str]) -> None:
    """Make sure that each mark that begins a block is followed by one that ends it."""
    for number, name in enumerate(names):
        if name and (number + 1 == len(names) or names[number + 1]):
            raise SweepError(f"the answer page's block of claims {name} has no end: write {END} below it")
        if not name and (number == 0 or not names[number - 1]):
            raise SweepError(f"the answer page has {END} without a beginning: write <!-- claims SOURCE --> above it")


def _home(verdict: Verdict, names: Sequence[str]) -> str:
    """Find the block that a verdict belongs to."""
    found = max((name for name in names if name and verdict.source.startswith(name)), key=len, default="")
    if not found:
        raise SweepError(
            f"the answer page has no block for claim {verdict.id!r} of {verdict.source!r}: "
            f"write <!-- claims {verdict.source} --> and {END} into it"
        )
    return found


def table(verdicts: Iterable[Verdict], folder: Path) -> str:
    """Write verdicts as a Markdown table.

    Args:
        verdicts: one for each row.
        folder: where the page lies that will hold it.
    """
    rows = [HEAD, ["---"] * len(HEAD), *(_cells(verdict, folder) for verdict in verdicts)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _cells(verdict: Verdict, folder: Path) -> list[str]:
    *words, decided = (" ".join(cell.split()).replace("|", "\\|") for cell in verdict_words(verdict))
    return [*words, f"**{decided}**", _link(verdict.figure, folder)]


def verdict_words(verdict: Verdict) -> list[str]:
    """Give what is shown of a verdict, in the order of `HEAD`, without the figure."""
    claim = f"{verdict.id}: {verdict.text}"
    measured = (
        f"{short_number(verdict.value)} [{short_number(verdict.low)}, {short_number(verdict.high)}]{_coverage(verdict)}"
    )
    seeds = f"{verdict.seeds} (+{verdict.unknown} unknown)" if verdict.unknown else str(verdict.seeds)
    outcome = f"{verdict.verdict} (exploratory)" if verdict.exploratory else verdict.verdict
    return [claim, verdict.source, verdict.criterion, measured, seeds, outcome]


def _coverage(verdict: Verdict) -> str:
    """Say of the interval of a mean what it held in, where values were skewed, if that is not 95%."""
    share = skewed_coverage(verdict.seeds) if verdict.criterion.startswith("mean ") else None
    return "" if share is None else f" ({share:.0%} if values are skewed)"


def _link(figure: str, folder: Path) -> str:
    if not figure:
        return ""
    path = quote(Path(os.path.relpath(figure, folder)).as_posix(), safe="/@")
    return f"[{Path(figure).stem}]({path})"


def read_page(path: Path) -> str:
    """Read an answer page, line ends as they are.

    Raises:
        SweepError: where there is none.
    """
    try:
        return path.read_bytes().decode()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise SweepError(f"can't read the answer page {path}: {reason}; name another with --answers") from error


def replace_files(texts: Mapping[Path, str]) -> None:
    """Write files, each beside its place, and move them there once all are written.

    Raises:
        SweepError: where one can't be written; then none is changed.
    """
    try:
        atomic_files.write_files({path: text.encode() for path, text in texts.items()})
    except OSError as error:
        raise SweepError(f"can't write {error.filename}: {error.strerror}; name another place") from error
