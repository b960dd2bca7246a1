"""Sweeps on some of the devices: the same bits on any number, also for a store that goes on with another number.

There are three devices here (conftest). Processes of their own, with up to eight, are in the campaign `devices`.
"""

import contextlib
import signal
from dataclasses import replace
from pathlib import Path

import jax
import pytest
from helpers import tiny

from sweep import SweepError, open_results, run_sweep
from sweep.base.signals import Terminated
from sweep.engine import cost
from sweep.page.axes import grid
from sweep.results import store as stores
from sweep.runs.executors.local import LocalExecutor
from sweep.runs.growing import plan_growth
from sweep.runs.layout import create
from sweep.runs.planning import plan_sweep
from sweep.specs import Optimizer, Record, linear_spaced

# Seven tiles of two lanes: three, two and two of them on three devices, and on two devices four and three.
PAGE = tiny(
    axes=grid(seed=range(13)),
    optimizer=Optimizer("sgd", learning_rate=0.3),
    batch_size=5,
    epochs=6,
    record=Record(("loss",), at=linear_spaced(3), snapshots=2, keep="state"),
)


@pytest.fixture(scope="module", autouse=True)
def small_tiles():
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(cost.TILE_LARGEST, "cpu", 2)
        yield


def chunks(store: Path) -> dict[str, bytes]:
    """Read the files of curves, networks and states."""
    return {str(path.relative_to(store)): path.read_bytes() for path in store.glob("*/c/**/*") if path.is_file()}


def test_results_have_the_same_bits_on_any_number_of_devices(tmp_path: Path) -> None:
    run_sweep(PAGE, out=tmp_path / "one", devices=1)
    expected = chunks(tmp_path / "one")
    assert {"loss/c/0/0", "parameters/c/0/0", "training_state/c/0/0"} <= {*expected}

    def stop(progress) -> None:
        if progress.lane_steps > progress.plan.lane_steps() // 2:
            signal.raise_signal(signal.SIGUSR1)

    with contextlib.suppress(Terminated):
        run_sweep(PAGE, out=tmp_path / "several", devices=2, watch=stop)
    assert not open_results(tmp_path / "several").attrs["complete"]
    run_sweep(PAGE, out=tmp_path / "several", resume=True)
    assert chunks(tmp_path / "several") == expected
    described = [stores.read_attributes(tmp_path / store)["device"].split(" x ")[0] for store in ("one", "several")]
    assert described == ["1", "2"]  # what they were begun on


def test_a_plan_uses_no_more_devices_than_asked_for() -> None:
    assert [plan_sweep(PAGE, devices=count).devices.count for count in (1, 2, 3, None)] == [1, 2, 3, 3]
    assert plan_sweep(PAGE, devices=2).devices.live() == tuple(jax.devices()[:2])


def test_a_store_grows_on_the_devices_asked_for(tmp_path: Path) -> None:
    create(plan_sweep(PAGE, devices=3), tmp_path / "store")
    held = stores.read_attributes(tmp_path / "store")
    growth = plan_growth(replace(PAGE, axes=grid(seed=range(14))), tmp_path / "store", held, LocalExecutor(devices=2))
    assert growth is not None
    assert (growth.old.devices.count, growth.new.devices.count) == (2, 2)


@pytest.mark.parametrize("count", [0, -1, True, 1.5, "two"])
def test_what_is_no_number_of_devices_is_refused(count, tmp_path: Path) -> None:
    with pytest.raises(SweepError, match=r"devices must be a whole number from 1 on, got .*: leave it out for all"):
        run_sweep(PAGE, out=tmp_path / "store", devices=count)
    assert not any(tmp_path.iterdir())


def test_more_devices_than_there_are_are_refused_before_anything_is_stored(tmp_path: Path) -> None:
    with pytest.raises(SweepError, match="devices=4 is more than there are here, 3 x cpu: give at most 3"):
        run_sweep(PAGE, out=tmp_path / "store", devices=4)
    assert not any(tmp_path.iterdir())
