"""The rates of false and true positives of `sweep.compare --check`: `python -m benchmarks.false_positives`.

Pairs of results are drawn, not trained: losses of 24 combinations of two knobs, with normal logarithms that are
correlated between neighbouring combinations and, since a seed has the same weights and data on both sides, between the
two sides. Without a difference the share of pairs that the test rejects is its false-positive rate, with one its power.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from benchmarks.report import replace_between
from sweep.compare.permutation import ALPHA, maxima, paired_scores, pooled_scores, relabellings, sign_flips, subtract

PAIRS: Final = 2000
SEEDS: Final = (8, 16, 64)
ROWS, COLUMNS = 6, 4  # of cells
SPREAD: Final = 1.0  # of the logarithm of a loss over seeds
SHARED: Final = 0.5  # share of the variance that a seed has in common on both sides
NEIGHBOURS: Final = 0.8  # correlation of neighbouring cells
EXCHANGES: Final = 1000  # only the first ones, so that all takes a minute: the level is the same, p is coarser
LOST: Final = (0.02, 0.4)  # share of lost lanes: in most cells, and in the last column


@dataclass(frozen=True)
class Setting:
    """How pairs of results are drawn.

    Args:
        seeds: number of seeds on each side.
        paired: whether these are the same on both sides.
        lossy: whether lanes are lost.
        shift: shift of the second side's logarithms, in standard deviations over seeds.
        shifted: number of cells that are shifted.
    """

    seeds: int
    paired: bool
    lossy: bool
    shift: float = 0.0
    shifted: int = 0


def draw(setting: Setting, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw logarithms of losses of both sides, seeds by cells; lost lanes are +inf."""
    level = rng.normal(0, 2, ROWS * COLUMNS)
    common = _noise(setting.seeds, rng) * np.sqrt(SHARED)
    sides = []
    for side in range(2):
        if side and not setting.paired:
            common = _noise(setting.seeds, rng) * np.sqrt(SHARED)
        values = level + SPREAD * (common + _noise(setting.seeds, rng) * np.sqrt(1 - SHARED))
        if setting.lossy:
            rate = np.where(np.arange(ROWS * COLUMNS) % COLUMNS == COLUMNS - 1, LOST[1], LOST[0])
            values[rng.random(values.shape) < rate] = np.inf
        sides.append(values)
    sides[1][:, : setting.shifted] += setting.shift * SPREAD
    return sides[0], sides[1]


def _noise(seeds: int, rng: np.random.Generator) -> np.ndarray:
    """Draw normal noise of variance 1, correlated between neighbouring cells along both knobs."""
    noise = rng.normal(size=(seeds, ROWS, COLUMNS))
    for axis in (1, 2):
        noise = np.moveaxis(noise, axis, 0)
        for place in range(1, len(noise)):
            noise[place] = NEIGHBOURS * noise[place - 1] + np.sqrt(1 - NEIGHBOURS**2) * noise[place]
        noise = np.moveaxis(noise, 0, axis)
    return noise.reshape(seeds, -1)


def p_value(first: np.ndarray, second: np.ndarray, *, paired: bool) -> float:
    """Give p of the test over all cells as `differences` does, but with fewer exchanges."""
    if paired:
        scores, exchanges = paired_scores(subtract(second, first)), sign_flips(*map(len, (first, second)))
    else:
        scores, exchanges = pooled_scores(np.concatenate([first, second])), relabellings(len(first), len(second))
    largest, observed = maxima(scores, exchanges[:EXCHANGES])
    return float(np.mean(largest >= observed.max() * (1 - 1e-9)))


def share_rejected(setting: Setting, pairs: int = PAIRS, seed: int = 0) -> float:
    """Give the share of pairs that the test rejects at 5%."""
    rng = np.random.default_rng([seed, setting.seeds, setting.paired, setting.lossy, setting.shifted])
    return float(np.mean([p_value(*draw(setting, rng), paired=setting.paired) <= ALPHA for _ in range(pairs)]))


def rows(pairs: int = PAIRS) -> Iterator[str]:
    """Give the lines of the table in README.md."""
    yield "| seeds | design | lost lanes | false positives | power: 1 sd in one cell | in six | in all 24 |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    for seeds in SEEDS:
        for paired in (True, False):
            for lossy in (False, True):
                shares = [share_rejected(Setting(seeds, paired, lossy), pairs)]
                few = max(pairs // 4, 1)
                shares += [share_rejected(Setting(seeds, paired, lossy, 1.0, cells), few) for cells in (1, 6, 24)]
                words = "paired" if paired else "two samples", "2%, one column 40%" if lossy else "none"
                yield f"| {seeds} | {' | '.join(words)} | {' | '.join(f'{share:.1%}' for share in shares)} |"


def main() -> None:
    """Print the table; with `--write` also write it into README.md."""
    lines = []
    for line in rows():
        print(line, flush=True)
        lines.append(line)
    if "--write" in sys.argv[1:]:
        replace_between("false positives", "\n".join(lines))


if __name__ == "__main__":
    main()
