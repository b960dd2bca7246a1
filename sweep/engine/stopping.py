"""Rules that end lanes early: pure functions of a record's values, so that neither clocks nor waves matter."""

import numpy as np

from sweep.base.labels import CUT, REACHED, RUNNING, SEEDS, Better, worst
from sweep.page.axes import Lanes
from sweep.page.resolve import group_rows
from sweep.page.specs.stop import Halving, Stop, Target


class StoppingRule:
    """The rule of a page that ends lanes early, for the lanes of one wave.

    Args:
        rule: the rule, None for none.
        epochs: epoch of each record.
        lanes: all lanes of the sweep.
        here: numbers of the lanes in the wave.
        better: which values of the rule's metric are better.
    """

    def __init__(self, rule: Stop | None, epochs: np.ndarray, lanes: Lanes, here: np.ndarray, better: Better) -> None:
        self._rule = rule
        self._better: Better = better
        if isinstance(rule, Halving):
            self._rungs = rungs(rule, epochs)
            self._competitor, self._competition = (numbers[here] for numbers in competitors(rule, lanes))

    def exists(self) -> bool:
        """Tell whether there is a rule."""
        return self._rule is not None

    def carries(self) -> bool:
        """Tell whether lanes that it has ended repeat their last values in later records."""
        return isinstance(self._rule, Target)

    def metric(self) -> str:
        """Return the metric that decides."""
        assert self._rule is not None
        return self._rule.metric

    def new_status(self, record: int, values: np.ndarray, running: np.ndarray) -> np.ndarray:
        """Return REACHED or CUT for the lanes that end at this record, RUNNING for all others.

        Args:
            record: which record this is.
            values: the metric, one for each lane of the wave.
            running: which lanes have not ended.
        """
        status = np.full(len(values), RUNNING, np.int8)
        if isinstance(self._rule, Target):
            status[have_reached(self._rule, values, running, self._better)] = REACHED
        if isinstance(self._rule, Halving) and record in self._rungs:
            out = cut_lanes(self._rule, values, running, self._competitor, self._competition, self._better)
            status[out] = CUT
        return status


def explain(rule: Stop, epochs: np.ndarray, lanes: Lanes, better: Better) -> list[str]:
    """Describe in sentences what a rule will do, for `--plan`."""
    if isinstance(rule, Target):
        least, most = rule.bounds(better)
        bound = f"at most {most:g}" if least is None else f"at least {least:g}"
        return [f"a lane ends at the first record with {rule.metric} {bound}; the estimate is for none"]
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
    found = np.searchsorted(epochs, np.array(shares) * epochs[-1] * (1 - 1e-9))
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
