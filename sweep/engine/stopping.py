"""Rules that end lanes early: pure functions of a record's values, so that neither clocks nor waves matter.

What a rule has to know of earlier records is given to it and returned changed, as its `Memory`.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import numpy as np

from sweep.base.labels import CUT, PLATEAUED, REACHED, RUNNING, SEEDS, Better, worst
from sweep.page.axes import Lanes
from sweep.page.resolve import group_rows
from sweep.page.specs.stop import Halving, Plateau, Stop, Target

Memory = Mapping[str, np.ndarray]  # by the name of a rule, lanes of the wave first; empty before the first record
Cuts = Mapping[int, np.ndarray]  # by the record of a rung, for each lane of the sweep whether it is cut there
ROUNDING: Final = 1e-9  # epochs that differ by less, relatively, are the same


class StoppingRule:
    """A rule of a page that ends lanes early, for the lanes of one wave.

    Args:
        rule: the rule.
        name: its name in the `Memory`.
        epochs: epoch of each record.
        lanes: all lanes of the sweep.
        here: numbers of the lanes in the wave.
        better: which values of the rule's metric are better.
        cuts: which lanes `Halving` cuts at the rungs that were judged, where the sweep has several waves; at other
            rungs none is cut. None compares the lanes of the wave.
    """

    def __init__(
        self,
        rule: Stop,
        name: str,
        epochs: np.ndarray,
        lanes: Lanes,
        here: np.ndarray,
        better: Better,
        cuts: Cuts | None = None,
    ) -> None:
        self._rule, self._name, self._epochs = rule, name, epochs
        self._better: Better = better
        self._cuts = None if cuts is None else {record: cut[here] for record, cut in cuts.items()}
        if isinstance(rule, Halving):
            self._rungs = rungs(rule, epochs)
            self._competitor, self._competition = (numbers[here] for numbers in competitors(rule, lanes))

    def carries(self) -> bool:
        """Tell whether lanes that it has ended repeat their last values in later records."""
        return isinstance(self._rule, Target | Plateau)

    def metric(self) -> str:
        """Return the metric that decides."""
        return self._rule.metric

    def new_status(
        self, record: int, values: np.ndarray, running: np.ndarray, memory: Memory
    ) -> tuple[np.ndarray, Memory]:
        """Tell which lanes end at this record.

        Args:
            record: which record this is.
            values: the metric, one for each lane of the wave.
            running: which lanes have not ended.
            memory: what all rules remember of the records before.

        Returns:
            REACHED, PLATEAUED or CUT for the lanes that end, RUNNING for all others; and what to remember.
        """
        status = np.full(len(values), RUNNING, np.int8)
        if isinstance(self._rule, Target):
            status[have_reached(self._rule, values, running, self._better)] = REACHED
        if isinstance(self._rule, Halving) and record in self._rungs:
            status[self._cut(record, values, running)] = CUT
        if isinstance(self._rule, Plateau):
            epoch = float(self._epochs[record])
            noted = note_improvements(self._rule, epoch, values, memory.get(self._name), self._better)
            status[running & (epoch - noted[:, 1] >= self._rule.patience * (1 - ROUNDING))] = PLATEAUED
            memory = {**memory, self._name: noted}
        return status, memory

    def _cut(self, record: int, values: np.ndarray, running: np.ndarray) -> np.ndarray:
        """Tell which running lanes are cut at a rung."""
        assert isinstance(self._rule, Halving)
        if self._cuts is None:
            return cut_lanes(self._rule, values, running, self._competitor, self._competition, self._better)
        return running & self._cuts.get(record, False)


def remembered(rules: Sequence[Stop]) -> set[str]:
    """Name the rules, by their numbers, that remember something after a record."""
    return {str(number) for number, rule in enumerate(rules) if isinstance(rule, Plateau)}


def explain(rule: Stop, epochs: np.ndarray, lanes: Lanes, better: Better) -> list[str]:
    """Describe in sentences what a rule will do, for `--plan`."""
    if isinstance(rule, Target):
        least, most = rule.bounds(better)
        bound = f"at most {most:g}" if least is None else f"at least {least:g}"
        return [f"a lane ends at the first record with {rule.metric} {bound}; the estimate is for none"]
    if isinstance(rule, Plateau):
        return list(_explain_plateau(rule, epochs, better))
    at = sorted(rungs(rule, epochs))
    own, competition = (len(np.unique(numbers)) for numbers in competitors(rule, lanes))
    what = "lanes" if rule.by == "lane" else "combinations, by their median over seeds,"
    among = f"in each of {competition} groups" if competition > 1 else "all together"
    when = (
        ", ".join(f"{epochs[record]:g}" for record in at) or "none: no record lies between the first rung and the end"
    )
    found = [
        f"halving of {own} {what} {among}: the {rule.keep:.0%} with the {better} {rule.metric} go on at epochs {when}"
    ]
    return found + (["nothing will be cut: no competitor has another to compete with"] if own == competition else [])


def _explain_plateau(rule: Plateau, epochs: np.ndarray, better: Better) -> Iterator[str]:
    yield (
        f"a lane ends at the first record at which its {rule.metric} has not become {better}, by more than "
        f"{rule.min_improvement:.3g} of its best, for {rule.patience:g} epochs; the estimate is for none"
    )
    longest = float(np.diff(epochs).max(initial=0.0))
    if epochs[-1] - epochs[0] < rule.patience:
        yield "no lane will end: the records span fewer epochs"
    elif longest > rule.patience:
        yield f"records are up to {longest:.4g} epochs apart, so that there one without improvement ends a lane"


def note_improvements(
    rule: Plateau, epoch: float, values: np.ndarray, before: np.ndarray | None, better: Better
) -> np.ndarray:
    """Note which lanes have improved by enough, and when.

    Args:
        rule: the rule.
        epoch: epoch of the record.
        values: its metric, one for each lane; NaN is no improvement.
        before: what was returned for the record before; None for the first.
        better: which values of the metric are better.

    Returns:
        For each lane the best value that counted as an improvement, and the epoch of that record.
    """
    best, when = before.T if before is not None else np.full((2, len(values)), [[worst(better)], [epoch]])
    least = rule.min_improvement * np.abs(np.where(np.isfinite(best), best, 0.0))
    improved = values > best + least if better == "higher" else values < best - least
    return np.stack([np.where(improved, values, best), np.where(improved, epoch, when)], axis=1)


def have_reached(rule: Target, values: np.ndarray, running: np.ndarray, better: Better) -> np.ndarray:
    """Tell which running lanes have reached their target.

    Args:
        rule: the target.
        values: its metric, one for each lane.
        running: which lanes have not ended.
        better: which values of the metric are better.
    """
    least, most = rule.bounds(better)
    return running & (values <= most if least is None else values >= least)


def rungs(rule: Halving, epochs: np.ndarray) -> frozenset[int]:
    """Find the records at which competitors are cut: neither the first nor the last one.

    Args:
        rule: the rule.
        epochs: epoch of each record.
    """
    shares, share = [], rule.first
    while share < 1:
        shares.append(share)
        share /= rule.keep
    # A share that differs from a record only by rounding is that record.
    found = np.searchsorted(epochs, np.array(shares) * epochs[-1] * (1 - ROUNDING))
    return frozenset(int(record) for record in found if 0 < record < len(epochs) - 1)


def competitors(rule: Halving, lanes: Lanes) -> tuple[np.ndarray, np.ndarray]:
    """Return the number of each lane's competitor, and of the competition that it takes part in.

    Returns:
        Two arrays of shape (lanes,).
    """
    apart = [name for name in lanes.columns if rule.by == "lane" or name not in SEEDS]
    own, _ = group_rows([lanes.columns[name] for name in apart], len(lanes))
    competition, _ = group_rows([lanes.columns[name] for name in rule.within], len(lanes))
    return own, competition


def cut_lanes(
    rule: Halving,
    values: np.ndarray,
    running: np.ndarray,
    competitor: np.ndarray,
    competition: np.ndarray,
    better: Better,
) -> np.ndarray:
    """Tell which running lanes are cut at a rung.

    Of the competitors in each competition that still have a running lane, the best `keep` go on; of equal
    ones those that come first in the axes.

    Args:
        rule: the rule.
        values: its metric, one for each lane; NaN, as diverged lanes have it, counts as the worst there is.
        running: which lanes have not ended.
        competitor: number of each lane's competitor, see `competitors`.
        competition: number of the competition that it is in.
        better: which values of the metric are better.
    """
    competitor = np.unique(competitor, return_inverse=True)[1]  # 0, 1, 2, ... without gaps, in the same order
    alive = np.unique(competitor[running])
    medians = _medians(np.where(np.isnan(values), worst(better), values), competitor)[alive]
    scores, home = -medians if better == "higher" else medians, np.zeros(competitor.max() + 1, np.int64)
    home[competitor] = competition
    best_first = alive[np.lexsort((scores, home[alive]))]  # stable, so of equals the first in the axes
    _, begins, sizes = np.unique(home[best_first], return_index=True, return_counts=True)
    rank = np.arange(len(best_first)) - np.repeat(begins, sizes)
    kept = best_first[rank < np.repeat(np.ceil(rule.keep * sizes - 1e-9), sizes)]
    return running & ~np.isin(competitor, kept)


def _medians(values: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Give the median of each group 0, 1, 2, ..."""
    order = np.lexsort((values, group))
    _, begins, sizes = np.unique(group[order], return_index=True, return_counts=True)
    with np.errstate(invalid="ignore"):  # the mean of -inf and +inf is NaN, which ranks last
        return (values[order][begins + (sizes - 1) // 2] + values[order][begins + sizes // 2]) / 2
