"""Results compared in one metric: how they differ from the first of them, and how soon they reach a threshold."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
import pandas as pd
import xarray as xr

from sweep import stats
from sweep.base import labels
from sweep.base.errors import SweepError
from sweep.compare.alignment import align
from sweep.compare.permutation import ALPHA, TOO_FEW, are_seeds_independent, differences, is_ratio, shared_seeds
from sweep.results import schema
from sweep.stats import intervals, measures
from sweep.stats.intervals import FEWEST, Interval

NAMES: Final = ("first_name", "second_name")  # columns of the table that say what is compared with what
_STATISTICS: Final = ("low", "high", "p", "seeds", "lost_first", "lost_second")  # of a cell, beside its medians


def _directions(gaps: xr.DataArray) -> tuple[tuple[str, xr.DataArray], ...]:
    return ("lower", gaps < 0), ("higher", gaps > 0), ("different", gaps == 0)


@dataclass(frozen=True)
class Comparison:
    """Results compared in one metric, all with the first.

    Args:
        metric: its name.
        better: which values of it are better.
        ratio: whether differences are of logarithms.
        epoch: the record that is compared, None for all of them.
        parts: aligned results by name, see `alignment.Aligned`.
        values: for each part the metric over `seed` and the cells; lost lanes have the worst value.
        found: for each part but the first its `differences` from the first.
        equal: for each part but the first whether the metric is bitwise equal wherever both have it.
        notes: what only some parts have.
    """

    metric: str
    better: labels.Better
    ratio: bool
    epoch: float | None
    parts: Mapping[str, xr.Dataset]
    values: Mapping[str, xr.DataArray]
    found: Mapping[str, xr.Dataset]
    equal: Mapping[str, bool]
    notes: tuple[str, ...]

    @property
    def first(self) -> str:
        """The name of the part that the others are compared with."""
        return next(iter(self.parts))

    @property
    def words(self) -> str:
        """What is compared: "training loss at epoch 2000"."""
        name = labels.long_name(self.metric, self.parts[self.first][self.metric].attrs)
        return name if self.epoch is None else f"{name} at epoch {self.epoch:g}"

    @property
    def gap_words(self) -> str:
        """What a difference is: "ratio of training loss", with units unless they cancel."""
        array = self.parts[self.first][self.metric]
        units = str(array.attrs.get("units", "1"))
        unit = f" ({units})" if units not in ("", "1") and not self.ratio else ""
        return f"{'ratio' if self.ratio else 'difference'} of {labels.long_name(self.metric, array.attrs)}{unit}"

    def name_difference(self, other: str) -> str:
        """Name a difference: "B / A"."""
        return f"{other} / {self.first}" if self.ratio else f"{other} \N{MINUS SIGN} {self.first}"

    @property
    def finding(self) -> str:
        """The outcome of all parts in one sentence."""
        outcomes = "; ".join(f"{name} {self.outcome(name)}" for name in self.found)
        return f"{self.metric.replace('_', ' ').capitalize()} against {self.first}: {outcomes}"

    def outcome(self, name: str) -> str:
        """The outcome of one part: in how many cells it differs from the first beyond seed noise."""
        found = self.found[name]
        if self.equal[name]:
            return "equal to the last bit wherever both have it"
        if found.attrs["design"] == TOO_FEW:
            return f"can't be judged: too few seeds, {FEWEST} shared ones are needed"
        significant = found["p"] <= ALPHA
        counts = {word: int((significant & direction).sum()) for word, direction in _directions(found["difference"])}
        outcome = " and ".join(f"{word} in {count}" for word, count in counts.items() if count)
        if not outcome:
            return "not different beyond seed noise"
        return f"{outcome} of {found.attrs['tested']} cells, beyond seed noise"

    @cached_property
    def table(self) -> Any:
        """A pandas.DataFrame with a row for each cell of each part but the first; with ratios instead of logarithms."""
        gap = "ratio" if self.ratio else "difference"
        columns = ["first", "second", gap, *_STATISTICS]
        frame = pd.concat([self._rows(name, gap) for name in self.found], ignore_index=True)
        return frame[[*NAMES, *(name for name in frame if name not in (*NAMES, *columns)), *columns]]

    def _rows(self, name: str, gap: str) -> Any:
        found = self.found[name].rename(difference=gap)
        if self.ratio:
            found = found.assign({key: np.exp(found[key]) for key in (gap, "low", "high")})
        rows = found.to_dataframe().reset_index() if found.sizes else pd.DataFrame([found.to_pandas()])
        return rows.assign(**dict(zip(NAMES, (self.first, name), strict=True)))


def compare(stores: Mapping[str, xr.Dataset], metric: str = "loss", epoch: float | None = None) -> Comparison:
    """Compare results with the first of them.

    Args:
        stores: two or more, as `open_results` or `alignment.slice_by` gives them, by name.
        metric: a metric over epochs that all have.
        epoch: the record to compare. By default the last that all have; or all records, where combinations vary along
            fewer than two dimensions.

    Returns:
        The comparison.

    Raises:
        SweepError: for fewer than two stores, for results that share nothing, lack the metric or disagree on which
            values of it are better, and for an epoch that not all have recorded.
    """
    if len(stores) < 2:
        raise SweepError("a comparison takes two stores or more, or one and --by KNOB")
    aligned = align(stores, metric)
    better = _better(aligned.parts, metric)
    parts = {name: _keep_apart(_set_direction(part, metric, better)) for name, part in aligned.parts.items()}
    one = next(iter(parts.values()))
    if epoch is not None:
        _check_epoch(epoch, one["epoch"].values)
    elif one[metric].ndim - 2 >= 2:  # seed and epoch aside
        epoch = float(one["epoch"][-1])
    values = {name: _values(part, metric, epoch) for name, part in parts.items()}
    ratio = is_ratio(better, *values.values())
    before, *others = values
    found = {name: differences(values[before], values[name], ratio=ratio) for name in others}
    equal = {name: _are_equal(parts[before], parts[name], metric) for name in others}
    notes = (*aligned.notes, *_unfinished_notes(stores), *_dependence_notes(parts))
    return Comparison(metric, better, ratio, epoch, parts, values, found, equal, notes)


def _better(parts: Mapping[str, xr.Dataset], metric: str) -> labels.Better:
    """Give which values of the metric are better, as stated by one part or more."""
    stated: dict[str, labels.Better] = {name: schema.better(part[metric]) for name, part in parts.items()}
    found: labels.Better = None
    for better in stated.values():
        if found and better and better != found:
            statements = ", ".join(f"{each} in {name}" for name, each in stated.items() if each)
            raise SweepError(f"which values of {metric!r} are better differs: {statements}; compare another metric")
        found = found or better
    return found


def _set_direction(part: xr.Dataset, metric: str, better: labels.Better) -> xr.Dataset:
    """Set which values of the metric are better, since a part older than the others may not state it."""
    return part.assign({metric: part[metric].assign_attrs(better=better)}) if better else part


def _keep_apart(part: xr.Dataset) -> xr.Dataset:
    """Rename knobs that have the name of something that is found: "low" is "low_knob" in a comparison."""
    taken = {"first", "second", "ratio", "difference", *_STATISTICS, *NAMES}
    return part.rename({name: f"{name}_knob" for name in taken & {*part.coords}})


def _check_epoch(epoch: float, recorded: np.ndarray) -> None:
    if epoch not in recorded:
        nearest = recorded[np.argmin(np.abs(recorded - epoch))]
        raise SweepError(f"--epoch {epoch:g} is not a record that all have: the nearest is {nearest:g}")


def _values(part: xr.Dataset, metric: str, epoch: float | None) -> xr.DataArray:
    selected = part if epoch is None else part.sel(epoch=epoch, drop=True)
    return stats.measured(selected[[metric, "status"]], metric)


def _are_equal(first: xr.Dataset, second: xr.Dataset, metric: str) -> bool:
    places = shared_seeds(first, second)
    one, other = (each[metric].isel(seed=places[:, side]).values for side, each in enumerate((first, second)))
    return bool(places.size) and one.dtype == other.dtype and one.tobytes() == other.tobytes()


def _unfinished_notes(stores: Mapping[str, xr.Dataset]) -> list[str]:
    """Note the stores of which not all lanes have run."""
    counts = {name: schema.count_unseen(ds) for name, ds in stores.items()}
    return [
        f"{name} is incomplete: {count} of {stores[name]['status'].size} lanes have not run to their end"
        for name, count in counts.items()
        if count
    ]


def _dependence_notes(parts: Mapping[str, xr.Dataset]) -> list[str]:
    """Note the parts whose lanes are not independent samples."""
    return [
        f"{name}: some of its lanes share a seed or a data_seed and others do not, so that its {part.sizes['seed']} "
        "are not independent: nothing is tested, and intervals are too narrow; zip seed and data_seed"
        for name, part in parts.items()
        if not are_seeds_independent(part)
    ]


@dataclass(frozen=True)
class Times:
    """How soon a metric reaches a threshold.

    Args:
        threshold: in the metric's units.
        at_least: whether values of at least the threshold reach it, as for an accuracy; otherwise at most.
        share: for each part the share of its lanes that reach it, those that have not run left out; NaN if none has.
        median: for each part the median over these lanes, in epochs; +inf where less than half reach it.
        ratio: for each part but the first its epochs over those of the first: for each shared seed the median over
            cells where either reaches it, then the median over seeds with its 95% interval.
    """

    threshold: float
    at_least: bool
    share: Mapping[str, float]
    median: Mapping[str, float]
    ratio: Mapping[str, Interval]


def times(compared: Comparison, threshold: float | None = None) -> Times:
    """Measure how soon the parts of a comparison reach a threshold.

    Args:
        compared: the comparison.
        threshold: by default 0.9 for an accuracy and 0.5 for a relative spectral error. For other metrics of which
            higher values are better, half way from the first part's median at the first record to that at the last;
            for all others a tenth of the first part's median at the first record.

    Raises:
        SweepError: for a threshold that is no finite number, and where the first part gives no default.
    """
    if threshold is None:
        threshold = _default_threshold(compared)
        if not np.isfinite(threshold):
            problem = f"{compared.metric} has no finite median in {compared.first}, which a default threshold needs"
            raise SweepError(f"{problem}: run it to its end, or give one with --threshold")
    if not np.isfinite(threshold):
        raise SweepError(f"--threshold {threshold} is no finite number: give one in the units of {compared.metric}")
    rises = compared.better == "higher"
    bound = {"at_least": threshold} if rises else {"threshold": threshold}
    epochs = {
        name: stats.epochs_to(stats.measured(part, compared.metric), status=part["status"], **bound)["epoch"]
        for name, part in compared.parts.items()
    }
    known = {name: intervals.median(each) for name, each in epochs.items()}
    shares = {name: float(stats.finite(each).where(each.notnull()).mean()) for name, each in epochs.items()}
    ratios = {
        name: _ratio_of_times(epochs[compared.first], epochs[name])
        for name, found in compared.found.items()
        if found.attrs["paired"]
    }
    return Times(threshold, rises, shares, {name: each.value for name, each in known.items()}, ratios)


def _default_threshold(compared: Comparison) -> float:
    known = {"accuracy": 0.9, "spectral_error": stats.HALVED}
    if compared.metric in known:
        return known[compared.metric]
    start = _initial_median(compared)
    if compared.better != "higher":
        return 0.1 * start
    last = stats.final(compared.parts[compared.first], compared.metric).values
    reached = float(np.median(last[np.isfinite(last)])) if np.isfinite(last).any() else start
    return float(f"{(start + reached) / 2:.2g}")


def _initial_median(compared: Comparison) -> float:
    return float(f"{stats.initial(compared.parts[compared.first], compared.metric):.2g}")


def _ratio_of_times(first: xr.DataArray, second: xr.DataArray) -> Interval:
    places = shared_seeds(first, second)
    one, other = (each.isel(seed=places[:, side]).drop_vars("seed") for side, each in enumerate((first, second)))
    ratio = measures.ratio_of_times(one, other).transpose("seed", ...).values.reshape(len(places), -1)
    return intervals.median([intervals.median(each).value for each in ratio])
