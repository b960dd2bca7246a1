"""How measurements are shown: in the terminal; and for each line of jax in a JSON file, a figure and README.md.

A line is what the two numbers of a release name, such as 0.10: Python 3.11 gets another one than later Pythons.
"""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from benchmarks.goals import GOALS, Goal

HERE: Final = Path(__file__).parent
# The colours of Okabe and Ito, which differ in every kind of colour vision, in the order of the bars.
SIDES: Final = {
    "sweep": ("sweep", "#0072b2"),
    "vmap": ("jit(vmap(train)), one program", "#e69f00"),
    "vmap_by_width": ("jit(vmap(train)), one for each width", "#f0e442"),
    "loop": ("jit(train) in a Python loop", "#d55e00"),
    "torch_vmap": ("torch.func vmap", "#009e73"),
    "torch_loops": ("PyTorch loop, a process for each core", "#56b4e9"),
    "torch_loop": ("PyTorch loop, one process", "#cc79a7"),
    "keras_fit": ("Keras model.fit", "#999999"),
}
LIMIT: Final = "limit of the machine"


class Spread(NamedTuple):
    """The median of the repeats, and the smallest and the largest."""

    median: float
    low: float
    high: float


def spread(values: Sequence[float]) -> Spread:
    """Summarise the values of all repeats."""
    return Spread(float(np.median(values)), min(values), max(values))


def ratio(result: dict[str, Any], peer: str) -> Spread:
    """Give the lane-steps per second of `sweep` over those of a peer, repeat by repeat."""
    pairs = zip(_rates(result, "sweep"), _rates(result, peer), strict=True)
    return spread([ours / theirs for ours, theirs in pairs])


def efficiency(result: dict[str, Any]) -> Spread:
    """Give the time that the machine's own rates allow over the time that `sweep` takes."""
    return spread([rate / result["limit"]["lane_steps_per_second"] for rate in _rates(result, "sweep")])


def _rates(result: dict[str, Any], side: str) -> list[float]:
    return result["sides"][side]["lane_steps_per_second"]


def case_words(result: dict[str, Any]) -> str:
    """Format the results of one case for the terminal."""
    rows = [("", "lane-steps/s (lowest-highest)", "sweep is faster by", "compile s")]
    for side in [name for name in SIDES if name in result["sides"]]:
        rate = spread(_rates(result, side))
        faster = "" if side == "sweep" else _times(ratio(result, side))
        compiled = result["sides"][side]["compile_seconds"]
        rows.append((SIDES[side][0], _span(rate), faster, f"{compiled:.1f}" if compiled else ""))
    rows.append((LIMIT, number(result["limit"]["lane_steps_per_second"]), _share(efficiency(result)), ""))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  " + "  ".join(map(str.ljust, row, widths)).rstrip() for row in rows) + "\n"


def write(found: dict[str, Any]) -> str:
    """Write the measurements, the tables in README.md and the figure of this line of jax, and return the line."""
    line = ".".join(_versions(found["cases"])["jax"].split(".")[:2])
    (HERE / f"results-jax-{line}.json").write_text(json.dumps(round_numbers(found), indent=1) + "\n")
    _draw(found["cases"]).savefig(HERE / f"benchmark-jax-{line}.svg", metadata={"Date": None})
    replace_between(f"results of jax {line}", _tables(found))
    return line


def replace_between(name: str, lines: str) -> None:
    """Replace the lines between a pair of markers in README.md."""
    readme, begin, end = HERE / "README.md", f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    pattern, text = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL), readme.read_text()
    if not pattern.search(text):
        raise SystemExit(f"README.md lacks the markers {begin} and {end}: put them where the table belongs")
    readme.write_text(pattern.sub(lambda _: f"{begin}\n{lines}\n{end}", text))


def _tables(found: dict[str, Any]) -> str:
    machine, cases = found["machine"], found["cases"]
    versions = _versions(cases)
    packages = ", ".join(f"{name} {versions[name]}" for name in sorted(versions))
    about = (
        f"{machine['cpu']}, {machine['cores']} cores, {machine['system']}, {machine['date']}; {packages}. "
        f"Medians of {found['repeats']} repeats, lowest and highest in brackets. {_agreement(cases)}"
    )
    return "\n\n".join([about, _goal_table(cases), _ratio_table(cases), _rate_table(cases), _limit_table(cases)])


def _versions(cases: dict[str, Any]) -> dict[str, str]:
    return {
        name: number for case in cases.values() for each in case["versions"].values() for name, number in each.items()
    }


def _agreement(cases: dict[str, Any]) -> str:
    largest, side, case = max(
        (measured["largest_difference"], SIDES[side][0], result["case"]["title"])
        for result in cases.values()
        for side, measured in result["sides"].items()
        if side != "sweep"
    )
    return f"All sides agreed; the largest difference of a training loss was {largest:.1e} ({side}; {case})."


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Format a table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _goal_table(cases: dict[str, Any]) -> str:
    rows = []
    for goal in GOALS:
        result = cases[goal.case]
        what, wanted, measured, met = _judge(goal, result)
        rows.append(
            (result["case"]["title"], what, wanted, measured, "yes" if met else "**no**", _ratio_at_limit(goal, result))
        )
    return table(("case", "goal", "wanted", "measured", "met", "at the limit"), rows)


def _ratio_at_limit(goal: Goal, result: dict[str, Any]) -> str:
    """Give the ratio to a peer of a program that took no longer than the limit."""
    if goal.measure != "ratio" or goal.peer == "keras_fit":
        return ""
    return f"{_digits(ratio(result, goal.peer).median / efficiency(result).median)}x"


def _judge(goal: Goal, result: dict[str, Any]) -> tuple[str, str, str, bool]:
    if goal.measure == "compile":
        seconds = result["sides"]["sweep"]["compile_seconds"]
        return "compile, cold", f"at most {goal.wanted:g} s", f"{seconds:.1f} s", seconds <= goal.wanted
    if goal.measure == "efficiency":
        share = efficiency(result)
        return "efficiency: limit / time used", f"{goal.wanted:g}", _share(share), share.median >= goal.wanted
    faster = ratio(result, goal.peer)
    return f"faster than {SIDES[goal.peer][0]}", f"{goal.wanted:g}x", _times(faster), faster.median >= goal.wanted


def _ratio_table(cases: dict[str, Any]) -> str:
    peers = [name for name in SIDES if name != "sweep"]
    rows = [
        [result["case"]["title"], *(_times(ratio(result, p)) if p in result["sides"] else "" for p in peers)]
        for result in cases.values()
    ]
    return "`sweep` is faster than\n\n" + table(["case", *(SIDES[peer][0] for peer in peers)], rows)


def _rate_table(cases: dict[str, Any]) -> str:
    rows = [
        [
            result["case"]["title"],
            *(number(spread(_rates(result, s)).median) if s in result["sides"] else "" for s in SIDES),
        ]
        for result in cases.values()
    ]
    return "Lane-steps per second\n\n" + table(["case", *(label for label, _ in SIDES.values())], rows)


def _limit_table(cases: dict[str, Any]) -> str:
    rows = []
    for result in cases.values():
        seconds, rates = result["limit"]["seconds"], result["limit"]["rates"]
        used = 1e6 / spread(_rates(result, "sweep")).median
        parts = [f"{1e6 * seconds[part]:.3g}" for part in ("products", "activations", "bytes")]
        machine = f"{rates['products'] / 1e9:.0f}, {rates['activations'] / 1e9:.2g}, {rates['bytes'] / 1e9:.0f}"
        rows.append([result["case"]["title"], *parts, f"{used:.3g}", _share(efficiency(result)), machine])
    head = (
        "case",
        "products",
        "activations",
        "optimiser",
        "used",
        "limit / used",
        "rates: Gflop/s, G activations/s, GB/s",
    )
    return "Microseconds of one lane-step at the machine's own rates, and as used by `sweep`\n\n" + table(head, rows)


def number(value: float) -> str:
    """Write a rate with three digits: "147k", "8.51k", "612"."""
    for size, unit in ((1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{_digits(value / size)}{unit}"
    return _digits(value)


def _digits(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def _span(rate: Spread) -> str:
    return f"{number(rate.median)} ({number(rate.low)}-{number(rate.high)})"


def _times(ratio: Spread) -> str:
    return f"{_digits(ratio.median)}x ({_digits(ratio.low)}-{_digits(ratio.high)})"


def _share(share: Spread) -> str:
    return f"{share.median:.2f} ({share.low:.2f}-{share.high:.2f})"


def round_numbers(tree: Any) -> Any:
    """Round every number to five digits: more are noise, and make the file hard to read."""
    if isinstance(tree, dict):
        return {name: round_numbers(value) for name, value in tree.items()}
    if isinstance(tree, list | tuple):
        return [round_numbers(value) for value in tree]
    return float(f"{tree:.5g}") if isinstance(tree, float) else tree


def _draw(cases: dict[str, Any]) -> Any:
    """Draw lane-steps per second of each side, case by case, with the machine's limit."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    plt.rcParams.update({"font.size": 9, "svg.fonttype": "none", "svg.hashsalt": "sweep", "legend.frameon": False})
    figure, axes = plt.subplots(figsize=(8.0, 1.1 + 1.25 * len(cases)), layout="constrained")
    places, place = [], 0.0
    for result in cases.values():
        first = place
        for side in [name for name in SIDES if name in result["sides"]]:
            _bar(axes, place, spread(_rates(result, side)), SIDES[side])
            place += 1
        limit = result["limit"]["lane_steps_per_second"]
        axes.plot([limit] * 2, [first - 0.5, first + 0.5], color="black", lw=1.5, ls=(0, (2, 1)), label=LIMIT)
        places.append((first + place - 1) / 2)
        place += 1.2
    axes.set(xscale="log", xlabel="lane-steps per second (optimiser steps of one network, all cores together)")
    axes.set_yticks(places, [",\n".join(result["case"]["title"].rsplit(", ", 1)) for result in cases.values()])
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(place - 1.2, -1)
    axes.margins(x=0.12)
    axes.grid(axis="x", which="major", color="#dddddd", lw=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    handles = dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    wanted = [label for label in (*(label for label, _ in SIDES.values()), LIMIT) if label in handles]
    figure.legend([handles[label] for label in wanted], wanted, loc="outside upper center", ncols=2)
    return figure


def _bar(axes: Any, place: float, rate: Spread, look: tuple[str, str]) -> None:
    label, colour = look
    axes.barh(place, rate.median, 0.9, color=colour, label=label, edgecolor="black", linewidth=0.3)
    axes.plot([rate.low, rate.high], [place, place], color="black", lw=1)
    inside = look == SIDES["sweep"]  # beside its bar the line of the limit would cross the number
    axes.annotate(
        number(rate.median), (rate.low if inside else rate.high, place), xytext=(-4 if inside else 4, 0),
        textcoords="offset points", va="center", ha="right" if inside else "left", fontsize=8,
        color="white" if inside else "black",
    )  # fmt: skip
