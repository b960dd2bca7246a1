"""Waves in this process: run in any order, twice or several at once, they give the same bits."""

import shutil
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import pytest
import xarray as xr
from helpers import tiny

from sweep import MLP, Record, grid, linear_spaced, open_results, zipped
from sweep.base.signals import Terminated
from sweep.engine.plan import Fixed
from sweep.results import store as stores
from sweep.runs.coordinator import Coordinator
from sweep.runs.events import Advanced, Compiled, Ended, Event, Saved
from sweep.runs.executors.local import LocalExecutor
from sweep.runs.layout import create
from sweep.runs.planning import plan_sweep
from sweep.runs.repair import repair
from sweep.runs.shares import Share
from sweep.runs.wave_writer import WaveWriter

AXES = zipped(seed=range(6), data_seed=range(6)) * grid(learning_rate=(1e-3, 1e-2))
RECORD = Record(("loss", "parameter_norm"), at=linear_spaced(3), snapshots=2)
EXPERIMENT = tiny(axes=AXES, model=MLP(width=6, depth=1), record=RECORD)


def begun(path: Path) -> tuple[Callable[..., Iterator[Event]], stores.Store]:
    plan = plan_sweep(EXPERIMENT, fixed=Fixed(4, 2))
    create(plan, path, {"page": "page.py", "arguments": '["--epochs", "12"]'})
    store = stores.Store(path)
    return partial(LocalExecutor().run, plan, store), store


def nothing() -> None:
    pass


def interrupt(run: Callable[..., Iterator[Event]], wave: int) -> list[Event]:
    """Run a wave, and interrupt it after its fourth segment."""
    events: list[Event] = []

    def obey() -> None:
        if sum(isinstance(event, Advanced) for event in events) == 4:
            raise Terminated

    with pytest.raises(Terminated):
        events.extend(run([wave], obey))
    return events


def finish(path: Path) -> xr.Dataset:
    """Run the remaining waves, and open the results."""
    Coordinator(Share(plan_sweep(EXPERIMENT, fixed=Fixed(4, 2)), stores.Store(path)), lambda progress: None).run()
    return open_results(path)


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> xr.Dataset:
    """What the waves give if they run one after another, without a break."""
    return finish(begun(tmp_path_factory.mktemp("expected") / "store")[1].path)


def assert_same(one: xr.Dataset, other: xr.Dataset) -> None:
    for name in other.variables:
        assert one[name].values.tobytes() == other[name].values.tobytes(), name


@pytest.mark.parametrize("order", [pytest.param((2, 0, 1), marks=pytest.mark.slow), (1, 1, 2, 0, 1)])
def test_waves_in_any_order_and_more_than_once_are_the_same(
    order: Sequence[int], expected: xr.Dataset, tmp_path: Path
) -> None:
    run, store = begun(tmp_path / "store")
    events = list(run(order, nothing))
    assert isinstance(events[0], Compiled)
    assert [event.wave for event in events if isinstance(event, Ended)] == list(order)
    assert not list(store.path.glob("checkpoint*"))
    assert_same(finish(store.path), expected)


def test_several_interrupted_waves_resume_each_from_its_own_checkpoint(expected: xr.Dataset, tmp_path: Path) -> None:
    run, store = begun(tmp_path / "store")
    for wave in (1, 2):
        assert isinstance(interrupt(run, wave)[-1], Saved)
    assert sorted(path.name for path in store.path.glob("checkpoint*")) == [
        "checkpoint-0000000004", "checkpoint-0000000008",
    ]  # fmt: skip
    plan = plan_sweep(EXPERIMENT, fixed=Fixed(4, 2))
    standing = {number: WaveWriter(plan, number, stores.Store(store.path)).position for number in (1, 2)}
    assert all(position is not None and position.done.min() > 0 for position in standing.values())
    shutil.copytree(store.path, tmp_path / "other")
    other = stores.Store(tmp_path / "other")
    list(LocalExecutor().run(plan, other, [1], nothing))  # its checkpoint is not needed after its end
    assert [path.name for path in (tmp_path / "other").glob("checkpoint*")] == ["checkpoint-0000000008"]
    again, whole = (ds.attrs["lane_steps_executed"] for ds in (finish(store.path), expected))
    assert again < 0.6 * whole  # two waves after their checkpoints, and all of the third
    assert_same(open_results(store.path), expected)
    assert not list(store.path.glob("checkpoint*"))


def test_the_checkpoint_of_an_older_store_is_resumed_from(expected: xr.Dataset, tmp_path: Path) -> None:
    """It had one for all waves."""
    run, store = begun(tmp_path / "store")
    interrupt(run, 1)
    (store.path / "checkpoint-0000000004").rename(store.path / "checkpoint")
    plan = plan_sweep(EXPERIMENT, fixed=Fixed(4, 2))
    store.tidy_checkpoints()  # as the coordinator does
    assert [path.name for path in store.path.glob("checkpoint*")] == ["checkpoint-0000000004"]
    position = WaveWriter(plan, 1, stores.Store(store.path)).position
    assert position is not None
    assert position.done.min() > 0
    assert_same(finish(store.path), expected)
    assert not list(store.path.glob("checkpoint*"))


def test_checkpoints_of_waves_that_do_not_run_are_neither_read_nor_kept(expected: xr.Dataset, tmp_path: Path) -> None:
    run, store = begun(tmp_path / "store")
    list(run([0], nothing))
    for name in (
        "checkpoint-0000000000",
        "checkpoint-0000000008",
    ):  # of one that has ended, and of one that never began
        (store.path / name).write_bytes(b"x" * 100)
    assert stores.damages(store.path) == []
    store.tidy_checkpoints()
    assert not list(store.path.glob("checkpoint*"))
    assert_same(finish(store.path), expected)


def test_a_damaged_checkpoint_does_not_hide_other_damage(tmp_path: Path) -> None:
    run, store = begun(tmp_path / "store")
    interrupt(run, 1)
    (store.path / "checkpoint-0000000004").write_bytes(b"x")
    for chunk in (store.path / "loss" / "c").glob("2/*"):
        chunk.write_bytes(b"x")
    found = [damage.file for damage in stores.damages(store.path)]
    assert found == ["checkpoint-0000000004", "the wave that was running at place 4"]
    with stores.hold(store.path) as lock:
        repair(store.path, lock, stores.damages(store.path), EXPERIMENT)
    assert stores.damages(store.path) == []


def test_a_sweep_with_missing_waves_is_not_complete(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, store = begun(tmp_path / "store")
    monkeypatch.setattr(LocalExecutor, "run", lambda *_: iter(()))
    with pytest.raises(AssertionError, match="an executor left out waves"):
        finish(store.path)
    assert not stores.check(store.path)["complete"]


def test_a_metric_that_the_store_does_not_have_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, store = begun(tmp_path / "store")
    names = set(store.names()) - {"parameter_norm"}
    monkeypatch.setattr(store, "names", lambda: tuple(names))
    assert "parameter_norm" in EXPERIMENT.metrics()
    assert isinstance(list(run([0], nothing))[-2], Ended)
