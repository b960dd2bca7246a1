"""Leases: a worker that was given up, or whose sweep was taken over, no longer writes."""

from pathlib import Path

import numpy as np
import pytest
from helpers import tiny

from sweep.base.errors import SweepError
from sweep.results import store as stores
from sweep.results.store import Lease, Store
from sweep.runs.layout import create
from sweep.runs.planning import plan_sweep


@pytest.fixture
def path(tmp_path: Path) -> Path:
    create(plan_sweep(tiny()), tmp_path / "store")
    return tmp_path / "store"


def test_a_lease_ends_alone_and_stays_ended(path: Path) -> None:
    with stores.hold(path) as lock:
        one, other = (Store(path, Lease(path, lock.token, name)) for name in ("one", "other"))
        one.begin(0, 1)
        holder = Store(path, lock)
        holder.end_leases(["one"])
        holder.end_leases(["third"])
        for write in (lambda: one.begin(0, 1), lambda: one.write("status", 0, np.zeros(1, np.int8))):
            with pytest.raises(SweepError, match="this worker's lease has ended, and its waves run elsewhere"):
                write()
        other.begin(0, 1)
        assert stores.damages(path) == []


def test_all_leases_end_with_the_lock_of_the_store(path: Path) -> None:
    with stores.hold(path) as lock:
        store = Store(path, Lease(path, lock.token, "one"))
        store.begin(0, 1)
    with pytest.raises(SweepError, match="no longer held by the process that this worker works for"):
        store.begin(0, 1)
    with stores.hold(path), pytest.raises(SweepError, match="no longer held by the process"):  # by another one
        store.begin(0, 1)


def test_who_no_longer_holds_a_store_ends_no_leases(path: Path) -> None:
    with stores.hold(path) as lock:
        store = Store(path, lock)
    with stores.hold(path), pytest.raises(SweepError, match="was taken over"):
        store.end_leases(["one"])
    assert not (path / "ended-leases.json").exists()
