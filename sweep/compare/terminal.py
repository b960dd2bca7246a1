"""What a comparison prints: what only some stores have, what differs in the pages, what differs in the outcome."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import numpy as np
import pandas as pd
from rich.console import Console

from sweep.base import labels, tables
from sweep.base.text import short_number
from sweep.compare.permutation import ALPHA, CONTROL, PAIRED, TOO_FEW
from sweep.compare.summary import NAMES, Comparison, Times

MOST_ROWS: Final = 8  # differences shown for each part


def show_comparison(
    console: Console, compared: Comparison, fields: Mapping[str, Sequence[str]] | None, reached: Times
) -> None:
    """Print a comparison.

    Args:
        console: where to print.
        compared: the comparison.
        fields: what differs in pages and versions, as `compare_pages` gives it; None for slices of one store.
        reached: how soon the parts reach a threshold.
    """
    for line in (*_shared_words(compared), *compared.notes):
        console.print(line, soft_wrap=True)
    if fields is not None:
        _show_fields(console, list(compared.parts), fields)
    _show_outcomes(console, compared, reached)
    for name in compared.found:
        outcome = f"{name} against {compared.first}: {compared.outcome(name)}"
        console.print(outcome, style="bold", soft_wrap=True)
        console.print(_test_words(compared, name), soft_wrap=True)
        if not compared.equal[name]:
            _show_differences(console, compared, name)


def _shared_words(compared: Comparison) -> Iterator[str]:
    """Say what is compared, and over what."""
    found = next(iter(compared.found.values()))
    cells = " x ".join(f"{dim} {size}" for dim, size in found["difference"].sizes.items()) or "one cell"
    seeds = {array.sizes["seed"] for array in compared.values.values()}
    yield f"{compared.words}: {cells}; seeds: {' and '.join(map(str, sorted(seeds)))}"


def _show_fields(console: Console, names: Sequence[str], fields: Mapping[str, Sequence[str]]) -> None:
    if not fields:
        console.print("no difference in pages, versions, device and arithmetic")
        return
    rows = [(name, *values) for name, values in fields.items()]
    tables.print_table(console, ("differs in", *names), rows, text=True)


def _show_outcomes(console: Console, compared: Comparison, reached: Times) -> None:
    """Print, for each part, how many lanes were lost and how soon the others reach the threshold."""
    bound = f"{'at least' if reached.at_least else 'at most'} {short_number(reached.threshold)}"
    rows = []
    for name, part in compared.parts.items():
        status = part["status"].values
        ran = int(np.sum(~np.isin(status, labels.WITHOUT_DATA)))
        lost = int(np.isin(status, labels.LOST).sum())
        ratio = reached.ratio.get(name)
        times = (
            f"{short_number(ratio.value)} {_interval(ratio.low, ratio.high)}"
            if ratio and ratio.value == ratio.value
            else ""
        )
        share = f"{lost} of {ran} ({lost / max(ran, 1):.1%})"
        rows.append((name, share, _share(reached.share[name]), short_number(reached.median[name]), times))
    tables.print_table(console, ("", "lost", bound, "epochs", "times the first's"), rows)
    metric = labels.words(compared.metric)
    note = f"epochs: the median over lanes to reach a {metric} of {bound}, within the records that all have"
    more = "; times the first's, with its interval at 95%: over combinations where either reaches it"
    console.print(note + more * bool(reached.ratio), soft_wrap=True)


def _share(share: float) -> str:
    return "unknown" if np.isnan(share) else f"{share:.1%}"


def _interval(low: float, high: float) -> str:
    return f"[{short_number(low)}, {short_number(high)}]"


def _test_words(compared: Comparison, name: str) -> str:
    """Describe the test and its result."""
    found = compared.found[name].attrs
    if found["design"] == TOO_FEW:
        return "no test: too few seeds, and no cell is masked"
    how = "sign flips of paired seeds" if found["design"] == PAIRED else "relabelled lanes of two samples"
    rest = int(compared.found[name]["p"].isnull().sum())
    untested = f"; not tested, with too few seeds: {rest}" if rest else ""
    return (
        f"p = {short_number(found['p'])} for no difference in any of {found['tested']} cells "
        f"({found['exchanges']} {how}; cells: {CONTROL}){untested}"
    )


def _show_differences(console: Console, compared: Comparison, name: str) -> None:
    """Print the largest differences, those beyond seed noise first."""
    table = compared.table
    rows_of_part = table[table["second_name"] == name]
    gap = "ratio" if compared.ratio else "difference"
    with np.errstate(divide="ignore"):  # of 0, where only the first is lost
        size = np.abs(np.log(rows_of_part["ratio"])) if compared.ratio else rows_of_part["difference"].abs()
    order = pd.DataFrame({"noise": ~(rows_of_part["p"] <= ALPHA), "size": -size}).sort_values(["noise", "size"]).index
    knobs = [column for column in rows_of_part.columns[: rows_of_part.columns.get_loc("first")] if column not in NAMES]
    rows = []
    for _, row in rows_of_part.loc[order[:MOST_ROWS]].iterrows():
        places = [row[knob] if isinstance(row[knob], str) else f"{row[knob]:g}" for knob in knobs]
        numbers = [short_number(row[each]) for each in ("first", "second", gap)]
        lost = f"{row['lost_first']:.0f}, {row['lost_second']:.0f}"
        rows.append((*places, *numbers, _interval(row["low"], row["high"]), short_number(row["p"]), lost))
    heads = (*map(labels.words, knobs), "first", "second", gap, "95% interval", "p", "lost")
    tables.print_table(console, heads, rows, label_columns=len(knobs))
    if len(rows_of_part) > MOST_ROWS:
        console.print(f"the largest {MOST_ROWS} of {len(rows_of_part)} differences, those beyond seed noise first")
