"""Decide claims: compare the interval of a statistic over seeds with a criterion that was set before."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import xarray as xr

from sweep.base.errors import SweepError, blame
from sweep.page.load import is_unmodified
from sweep.page.specs.claim import STATISTICS, Claim, Criterion
from sweep.results.dataset import lock_values
from sweep.stats.intervals import Interval

CONFIRMED: Final = "confirmed"
REFUTED: Final = "refuted"
UNDECIDED: Final = "undecided"
FIGURES: Final = "figures"  # the folder of committed figures, relative to the project's root


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The verdict on a claim.

    Args:
        id: the claim's id.
        source: where the claim was made.
        text: the statement.
        value: its statistic over seeds, NaN where no seed has a value.
        low: lower end of the 95% interval.
        high: upper end of it.
        seeds: how many seeds were used.
        criterion: the statistic and the required range, in words.
        verdict: "confirmed", "refuted" or "undecided".
        figure: path, relative to the project's root, of the figure that shows it; "" for none.
        unknown: how many seeds were left out, because their value is NaN.
        exploratory: whether the criterion was set after results had been seen.
    """

    id: str
    source: str
    text: str
    value: float
    low: float
    high: float
    seeds: int
    criterion: str
    verdict: str
    figure: str = ""
    unknown: int = 0
    exploratory: bool = False


def judge(claim: Claim, ds: xr.Dataset, page_name: str) -> Verdict:
    """Decide a claim by results.

    Args:
        claim: the claim.
        ds: results of the page, as `open_results` gives them.
        page_name: the name of the page as it was run, such as "questions/xor" or "questions/xor@full".

    Returns:
        The verdict with the value and its interval.

    Raises:
        SweepError: for a measure that raises, or that returns anything but one number (or, for a share, one truth
            value) for each seed.
    """
    found = STATISTICS[claim.statistic].load()(_check_values(claim, _measure(claim, ds)))
    return Verdict(
        id=claim.id,
        source=claim.source,
        text=claim.text,
        value=found.value,
        low=found.low,
        high=found.high,
        seeds=found.seeds,
        criterion=f"{claim.statistic} {claim.criterion}",
        verdict=decide(found, claim.criterion),
        figure=figure_path(page_name, claim.figure),
        unknown=found.unknown,
        exploratory=claim.exploratory,
    )


def decide(found: Interval, criterion: Criterion) -> str:
    """Compare an interval with the closed range of a criterion.

    Returns:
        "confirmed" where the interval lies inside, ends included; "refuted" where they have no point in common;
        otherwise "undecided".
    """
    if criterion.low <= found.low and found.high <= criterion.high:
        return CONFIRMED
    if found.high < criterion.low or criterion.high < found.low:
        return REFUTED
    return UNDECIDED


def figure_path(page_name: str, figure: str) -> str:
    """Give the path of the committed file of a page's figure, relative to the project's root.

    Args:
        page_name: the page as it was run.
        figure: the figure's name, "" for none.

    Returns:
        A path such as "figures/questions/xor/accuracy.png", or "figures/questions/xor@full/accuracy.png" for the
        question as it was asked; "" without a figure, and for other variations, whose figures are not committed.
    """
    if not figure or not is_unmodified(page_name):
        return ""
    return Path(FIGURES, page_name, f"{figure}.png").as_posix()


def _measure(claim: Claim, ds: xr.Dataset) -> Any:
    """Call the measure, which is a function of the page."""
    with blame(_measure_name(claim)):
        try:
            return claim.measure(lock_values(ds))
        except SweepError as error:  # `blame` does not change it, so it would not name the claim
            raise SweepError(f"{_measure_name(claim)}: {error}") from error


def _measure_name(claim: Claim) -> str:
    return f"the measure of claim {claim.id!r}"


def _check_values(claim: Claim, measured: Any) -> np.ndarray:
    """Give a measure's values; refuse any but one for each seed, of the type that the statistic takes."""
    if not isinstance(measured, xr.DataArray):
        got = f"{type(measured).__name__} {' '.join(repr(measured).split())[:80]}"
        raise SweepError(f"{_measure_name(claim)} must return an xarray.DataArray over seed, got {got}")
    others = [f"{dim} {size}" for dim, size in measured.sizes.items() if dim != "seed" and size != 1]
    if others:
        raise SweepError(
            f"{_measure_name(claim)} must return one number for each seed, its values lie along {', '.join(others)} too"
        )
    if measured.dtype.kind not in "biuf":
        raise SweepError(f"{_measure_name(claim)} must return numbers or truth values, got {measured.dtype}")
    if claim.statistic != "share" and measured.dtype == bool:
        raise SweepError(f"{_measure_name(claim)} returns truth values: use statistic='share', not {claim.statistic!r}")
    values = measured.values.ravel().astype(float)
    numbers = values[~np.isin(values, (0, 1)) & ~np.isnan(values)]
    if claim.statistic == "share" and numbers.size:
        raise SweepError(f"{_measure_name(claim)} must return truth values for statistic='share', got {numbers[0]:g}")
    return values
