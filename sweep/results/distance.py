"""How far a replayed lane is from the stored one, for each quantity, and from which record on."""

from dataclasses import dataclass

import numpy as np
import xarray as xr

from sweep.base.labels import CUT, DIVERGED
from sweep.results.dataset import TIME

ENDINGS = ("status", "first_bad_epoch", "stop_epoch")  # how a lane ended; compared separately from its curves


@dataclass(frozen=True)
class Distance:
    """The distance between the two curves of one quantity.

    Args:
        name: the quantity.
        records: number of records compared.
        entries: number of values in each record.
        absolute: largest |replayed - stored|; infinite where only one of them is a number.
        relative: largest |replayed - stored| / |stored|; infinite where only one of
            them is a number.
        first_difference: epoch of the first record at which they differ, None if they never do.
        stored: mean of the stored values that are numbers, at the last record compared.
        replayed: the same of the replayed curve.
    """

    name: str
    records: int
    entries: int
    absolute: float
    relative: float
    first_difference: float | None
    stored: float
    replayed: float


def distances(stored: xr.Dataset, replayed: xr.Dataset) -> list[Distance]:
    """Compare a replayed lane with the stored one, each quantity over all records that both can have.

    Entries that are NaN in both count as equal, such as those after divergence, or those of a layer that the network
    does not have. A lane that was cut is compared up to the record at which it was cut.

    Args:
        stored: a lane as stored, without the dimension `lane`.
        replayed: the same lane, trained again; its dimensions may be shorter.
    """
    results = []
    for name in [str(name) for name in stored.data_vars if name not in ENDINGS]:
        time = TIME.get(name, "epoch")
        epochs = stored[time].values if time in stored[name].dims else np.zeros(1)
        old = stored[name]
        new = replayed[name].reindex_like(old).transpose(*old.dims) if name in replayed else xr.full_like(old, np.nan)
        compared = epochs <= last_epoch(stored)
        pair = [each.values.astype(float).reshape(len(epochs), -1)[compared] for each in (old, new)]
        results.append(_distance(name, epochs[compared], *pair))
    return results


def last_epoch(stored: xr.Dataset) -> float:
    """Give the epoch up to which a lane can be replayed alone: that of its cut, which depended on other lanes."""
    return float(stored.stop_epoch) if int(stored.status) == CUT else np.inf


def has_same_end(stored: xr.Dataset, replayed: xr.Dataset) -> bool:
    """Tell whether a replayed lane ended in the same way as the stored one, and at the same epoch.

    A replay has no other lanes to compare with, so a lane that was cut only has to reach the epoch of the cut.
    """
    if int(stored.status) == CUT:
        return int(replayed.status) != DIVERGED or float(replayed.first_bad_epoch) > last_epoch(stored)
    endings = [(float(stored[name]), float(replayed[name])) for name in ENDINGS if name in stored]
    return all(old == new or (np.isnan(old) and np.isnan(new)) for old, new in endings)


def _distance(name: str, epochs: np.ndarray, old: np.ndarray, new: np.ndarray) -> Distance:
    """Compare two arrays of shape (records, entries)."""
    differs = (old != new) & ~(np.isnan(old) & np.isnan(new))
    with np.errstate(divide="ignore", invalid="ignore"):
        apart = np.where(differs, np.abs(new - old), 0.0)
        share = np.where(differs, apart / np.abs(old), 0.0)
    apart, share = (np.where(np.isnan(each), np.inf, each) for each in (apart, share))
    differing = epochs[differs.any(1)]
    return Distance(
        name=name,
        records=len(epochs),
        entries=old.shape[1],
        absolute=float(apart.max(initial=0.0)),
        relative=float(share.max(initial=0.0)),
        first_difference=float(differing[0]) if len(differing) else None,
        stored=_mean(old[-1:]),
        replayed=_mean(new[-1:]),
    )


def _mean(values: np.ndarray) -> float:
    numbers = values[~np.isnan(values)]
    return float(numbers.mean()) if len(numbers) else float("nan")
