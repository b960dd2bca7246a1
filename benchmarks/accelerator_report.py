"""How the measurements of `benchmarks.accelerator` are shown."""

from collections.abc import Iterator
from operator import itemgetter
from statistics import median
from typing import Any, Final

from rich.console import Console

from benchmarks import limit
from benchmarks.accelerator_constants import best_tiles, rate_of
from benchmarks.accelerator_work import DIFFER
from benchmarks.cases import Case
from benchmarks.report import number
from sweep.base.tables import print_table

SIDES: Final = {
    "sweep": "sweep", "vmap": "jit(vmap)", "vmap_by_width": "jit(vmap), one a width", "loop": "jit in a loop",
    "torch": "torch.func",
}  # fmt: skip
_NOT_SHOWN: Final = ("ok", "failed", "arithmetic", "XLA_FLAGS")  # of a check
_CELL_HEADS: Final = (
    "cell", "side", "lane-steps/s", "sweep is faster by", "of the limit", "compile s", "losses differ by",
)  # fmt: skip
_SHOWN: Final = 12  # operations of a profile
# Wanted ratios of `sweep` to one program of plain JAX.
GOALS: Final = {"width16": 2.0, "width64": 1.5, "width128": 1.3, "mixed": 5.0}


def show(found: dict[str, Any], console: Console) -> None:
    """Print all that was found, part by part."""
    parts = found["parts"]
    console.print(f"{found.get('card', 'unknown card')}; jax {found['versions'].get('jax', 'not installed')}")
    for part, own in parts.items():
        if own["failed"]:
            console.print(f"{part}: {own['failed']}", style="bold", markup=False)
    for part, table in TABLES.items():
        if parts.get(part, {}).get("items"):
            table(parts, console)
    if found.get("constants"):
        rows = [
            (name, f"{value:,}" if isinstance(value, int) else f"{value:.2g}")
            for name, value in found["constants"].items()
        ]
        print_table(console, ("constant of sweep/engine/cost.py", "by this run"), rows)


def _show_tests(parts: dict[str, Any], console: Console) -> None:
    for item in parts["tests"]["items"].values():
        failed, skipped = item.get("failed_tests", {}), item.get("skipped", {})
        console.print(f"tests: {item.get('passed', 0)} passed, {len(failed)} failed, {len(skipped)} skipped")
        rows = [(name.rsplit("/", 1)[-1], why) for name, why in failed.items()]
        if rows:
            print_table(console, ("failed test", "why"), rows, text=True, max_widths={"failed test": 60})
        if "failed" in item:
            console.print(f"tests: {item['failed']}", markup=False)


def _show_checks(parts: dict[str, Any], console: Console) -> None:
    rows = [(name, _verdict(item), _details(item)) for name, item in parts["checks"]["items"].items()]
    print_table(console, ("check", "holds", "details"), rows, text=True, max_widths={"details": 90})


def _verdict(item: dict[str, Any]) -> str:
    return item["failed"] if "failed" in item else "yes" if item.get("ok") else "NO"


def _details(item: dict[str, Any]) -> str:
    shown = {name: value for name, value in item.items() if name not in _NOT_SHOWN}
    return "; ".join(f"{name} {f'{v:.3g}' if isinstance(v, float) else v}" for name, v in shown.items())


def _show_limits(parts: dict[str, Any], console: Console) -> None:
    rates, loop = (parts["limits"]["items"].get(name, {}) for name in ("rates", "loop"))
    rows = [
        (title, f"{rates[name] / scale:,.3g} {unit}")
        for name, (title, scale, unit) in {
            "products": ("products, float32", 1e12, "Tflop/s"), "activations": ("tanh and derivative", 1e9, "G/s"),
            "bytes": ("memory", 1e9, "GB/s"), "bytes_in_cache": ("... in a cache", 1e9, "GB/s"),
        }.items()
        if name in rates
    ]  # fmt: skip
    if "step_seconds" in loop:
        rows.append(("step of an empty loop", f"{1e6 * loop['step_seconds']:.3g} us"))
    print_table(console, ("limit of the card", "measured"), rows)


def _show_cells(parts: dict[str, Any], console: Console) -> None:
    rates = parts.get("limits", {}).get("items", {}).get("rates", {})
    rows = [row for name, cell in parts["cells"]["items"].items() for row in _cell_rows(name, cell, parts, rates)]
    print_table(console, _CELL_HEADS, rows, label_columns=2)
    _show_goals(parts["cells"]["items"], console)


def _show_goals(cells: dict[str, Any], console: Console) -> None:
    """Print how much faster than one program of plain JAX `sweep` is, beside what it is meant to be."""
    lanes = sorted({int(name.split("/")[1]) for name in cells})
    rows = []
    for network, wanted in GOALS.items():
        found = [cells.get(f"{network}/{each}", {}).get("sides", {}) for each in lanes]
        ratios = [ratio(sides["sweep"], sides["vmap"]) if "vmap" in sides else None for sides in found]
        rows.append((network, f"{wanted:g}x", *("" if each is None else f"{each:.2f}x" for each in ratios)))
    if any(any(row[2:]) for row in rows):
        print_table(console, ("sweep / jit(vmap)", "wanted", *(f"{each:,} lanes" for each in lanes)), rows)


def _cell_rows(
    name: str, cell: dict[str, Any], parts: dict[str, Any], rates: dict[str, float]
) -> Iterator[tuple[str, ...]]:
    sides = sides_of(name, cell, parts)
    if "failed" in cell:
        yield name, "", cell["failed"], "", "", "", ""
    for side, own in sides.items():
        rate = rate_of(own)
        compiled = f"{own['compile_seconds']:.1f}" if "compile_seconds" in own else ""
        differs = f"{own['largest_difference']:.1e}" if "largest_difference" in own else ""
        if rate is None:
            yield name, SIDES[side], own.get("failed", "not timed"), "", "", compiled, differs
            continue
        faster = ratio(sides.get("sweep", {}), own)
        share = share_of_limit(cell, rate, rates)
        yield (
            name, SIDES[side], number(rate), "" if side == "sweep" or faster is None else f"{faster:.2f}x",
            "" if share is None else f"{share:.0%}", compiled, differs,
        )  # fmt: skip


def sides_of(name: str, cell: dict[str, Any], parts: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Give the sides of a cell, with PyTorch, which is a part of its own."""
    torch = parts.get("torch", {}).get("items", {}).get(name)
    return cell.get("sides", {}) | ({"torch": torch} if torch else {})


def ratio(ours: dict[str, Any], theirs: dict[str, Any]) -> float | None:
    """Return the median ratio of the rates of two sides, repeat by repeat; None if one was not timed."""
    if rate_of(ours) is None or rate_of(theirs) is None:
        return None
    pairs = zip(ours["lane_steps_per_second"], theirs["lane_steps_per_second"], strict=False)
    return median(own / other for own, other in pairs)


def share_of_limit(cell: dict[str, Any], rate: float, rates: dict[str, float]) -> float | None:
    """Return the time of a lane-step at the card's limits over the time taken; None where these are unknown."""
    if not rates.keys() >= {"products", "activations", "bytes"}:
        return None
    return rate * sum(limit.seconds(Case.from_json(cell["case"]), rates).values())


def _show_tiles(parts: dict[str, Any], console: Console) -> None:
    items = parts["tiles"]["items"]
    best = best_tiles(items)
    rows = []
    for name, item in items.items():
        rate, own = rate_of(item), best.get(name.split("/")[0], {})
        said = item.get("failed", "not timed") if rate is None else number(rate)
        share = "" if rate is None else f"{rate / own['rates'][own['best']]:.0%}"
        rows.append((name, str(item.get("tile", "")), said, share))
    print_table(console, ("tried", "tile", "lane-steps/s", "of the best"), sorted(rows, key=itemgetter(0)))
    for network, own in best.items():
        console.print(
            f"{network}: the best tile is {own['best']}; the plan chooses {own['chosen']}, which reaches "
            f"{own['share_of_best']:.0%} of its rate"
        )


def _show_profile(parts: dict[str, Any], console: Console) -> None:
    for name, item in parts["profile"]["items"].items():
        if not item.get("busy_seconds"):
            console.print(f"profile of {name}: {item.get('failed', 'no operation was seen')}", markup=False)
            continue
        busy = item["busy_seconds"]
        console.print(
            f"profile of {name}: {item['steps']} steps, {1e6 * item['segment_seconds'] / item['steps']:.3g} us a step, "
            f"{item['events'] / item['steps']:.1f} operations a step, busy {busy / item['segment_seconds']:.0%}; "
            + ", ".join(f"{kind} {seconds / busy:.0%}" for kind, seconds in item["kinds"].items())
        )
        rows = [
            (each["name"][:60], f"{each['seconds'] / busy:.1%}", f"{1e6 * each['seconds'] / each['times']:.3g}",
             f"{each['times']:,}")
            for each in item["operations"][:_SHOWN]
        ]  # fmt: skip
        print_table(console, ("operation", "of the time", "us each", "times"), rows)


def problems(found: dict[str, Any]) -> list[str]:
    """List what is wrong: numbers that are not what they should be, and parts that have crashed."""
    parts = found["parts"]
    wrong = [f"{part}: {own['failed']}" for part, own in parts.items() if own["failed"] and part != "torch"]
    for name, item in parts.get("checks", {}).get("items", {}).items():
        if not item.get("ok"):
            wrong.append(f"checks: {name}: {item.get('failed', 'does not hold')}")
    for item in parts.get("tests", {}).get("items", {}).values():
        wrong += [f"tests: {name}: {why}" for name, why in item.get("failed_tests", {}).items()]
        if "failed" in item or item.get("exit_code") not in (0, 1):
            wrong.append(f"tests: {item.get('failed') or 'pytest ended with exit code ' + str(item.get('exit_code'))}")
    for name, cell in parts.get("cells", {}).get("items", {}).items():
        sides = sides_of(name, cell, parts).items()
        wrong += [f"cells: {name}: {side}: {own['failed']}" for side, own in sides if DIFFER in own.get("failed", "")]
    return wrong


TABLES: Final = {
    "tests": _show_tests, "checks": _show_checks, "limits": _show_limits, "cells": _show_cells,
    "profile": _show_profile, "tiles": _show_tiles,
}  # fmt: skip
