"""`Halving` over several waves: they wait for each other, and end the lanes that one wave would, whatever is killed."""

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from math import ceil
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr
from helpers import tiny

from sweep import MLP, Experiment, Metric, Record, grid, linear_spaced, open_results, run_sweep
from sweep.base.errors import SweepError, SweepWarning
from sweep.base.labels import CUT, DIVERGED, RUNNING
from sweep.base.masks import read_mask, write_mask
from sweep.base.signals import Terminated
from sweep.engine import blocks, cost
from sweep.engine.plan import Fixed, Plan
from sweep.engine.prepare import OutOfMemoryError
from sweep.page.specs.stop import Stop
from sweep.results import store as stores
from sweep.runs import coordinator, rungs, wave_writer
from sweep.runs.coordinator import Coordinator, WavesFailedError
from sweep.runs.events import Advanced, Event, Failure, Saved, Waiting
from sweep.runs.executors.local import LocalExecutor
from sweep.runs.filling import train
from sweep.runs.layout import create
from sweep.runs.planning import plan_sweep
from sweep.runs.progress import Progress
from sweep.runs.repair import repair
from sweep.runs.replay import replay
from sweep.runs.shares import Share
from sweep.specs import Halving, Optimizer

AXES = grid(width=(4, 6), seed=range(4), learning_rate=(1e-3, 3e-2, 3e38))  # the last rate loses its lanes
ROUGH = Metric("rough", lambda moment: jnp.round(moment.loss * 4), better="lower")  # so that many are equal
MEDIAN, LANES = Halving(first=0.2), Halving(keep=0.3, first=0.1, by="lane", within=("width",))
TIES = Halving(first=0.4, by="lane", metric="rough")


@pytest.fixture(scope="module", autouse=True)
def small_tiles() -> Iterator[None]:
    """Tiles of at most 4 lanes, so that few lanes make several."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(cost.TILE_LARGEST, jax.default_backend(), 4)
        yield


def page(rule: Stop | None, **changes: Any) -> Experiment:
    record = Record(("loss",), at=linear_spaced(5), snapshots=0, own=(ROUGH,))
    usual = {"model": MLP(width=6, depth=1), "optimizer": Optimizer("adam"), "axes": AXES, "epochs": 20}
    return tiny(**(usual | {"record": record, "stop": rule} | changes))


@cache
def in_one(rule: Stop | None) -> xr.Dataset:
    return run_sweep(page(rule))


@cache
def planned(rule: Stop, wave_lanes: int | None = 8) -> Plan:
    return plan_sweep(page(rule), fixed=Fixed(wave_lanes, 4))


def begun(plan: Plan, path: Path) -> stores.Store:
    create(plan, path)
    return stores.Store(path)


def ignore(progress: Progress) -> None:
    pass


def go_on(plan: Plan, path: Path, watch: Callable[[Progress], None] = ignore, **options: Any) -> xr.Dataset:
    Coordinator(Share(plan, stores.Store(path)), watch, **options).run()
    return open_results(path)


def assert_same(found: xr.Dataset, expected: xr.Dataset) -> None:
    for name in expected.variables:
        assert found[name].values.tobytes() == expected[name].values.tobytes(), name
    assert found.attrs["lane_steps"] == expected.attrs["lane_steps"]


@pytest.fixture(scope="module")
def complete(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of three waves."""
    path = tmp_path_factory.mktemp("complete") / "store"
    begun(planned(MEDIAN), path)
    go_on(planned(MEDIAN), path)
    return path


def kept_of(path: Path) -> dict[str, list[bytes]]:
    """Read what a store keeps of each lane's end, by lane."""
    store = stores.Store(path)
    arrays = {name: store.read(name, 0, store.layout(name)[0][0]) for name in ("lane", "parameters", "training_state")}
    order = [place for place in np.argsort(arrays["lane"]) if arrays["lane"][place] >= 0]
    return {name: [values[place].tobytes() for place in order] for name, values in arrays.items()}


def test_three_waves_have_the_bits_of_one(complete: Path, tmp_path: Path) -> None:
    found, one = open_results(complete), run_sweep(page(MEDIAN), out=tmp_path / "one")
    assert_same(found, one)
    assert kept_of(complete) == kept_of(tmp_path / "one")
    assert {CUT, DIVERGED} < {*found.status.values.ravel().tolist()}
    assert len(np.unique(found.stop_epoch)) == 3  # NaN, and two rungs; a third one cuts nobody
    assert "cuts" not in one.attrs


@pytest.mark.parametrize(
    ("rule", "lanes"), [(LANES, 12), (TIES, 20), pytest.param(LANES, 4, marks=pytest.mark.slow)], ids=repr
)
def test_waves_of_any_size_have_the_bits_of_one(rule: Halving, lanes: int, tmp_path: Path) -> None:
    begun(planned(rule, lanes), tmp_path / "store")
    found = go_on(planned(rule, lanes), tmp_path / "store")
    assert_same(found, in_one(rule))
    assert len(np.unique(found.stop_epoch)) > 2  # of several rungs
    if rule is TIES:
        assert len(np.unique(found.rough)) < 12


def cut_by_hand(full: xr.Dataset, keep: float, shares: Sequence[float]) -> np.ndarray:
    """From a sweep that nothing stops, say when each lane is cut by its median over seeds, all competing."""
    epochs, seeds = full.epoch.values, full.sizes["seed"]
    loss = full.loss.transpose("seed", ..., "epoch").values.reshape(seeds, -1, len(epochs))
    bad = full.first_bad_epoch.fillna(np.inf).transpose("seed", ...).values.reshape(seeds, -1)
    ends = np.full(bad.shape, np.nan)
    for share in shares:
        record = int(np.flatnonzero(epochs >= share * epochs[-1])[0])
        alive = np.flatnonzero((np.isnan(ends) & (bad > epochs[record])).any(axis=0))
        scores = np.median(np.nan_to_num(loss[:, alive, record], nan=np.inf), axis=0)
        for column in alive[np.argsort(scores, kind="stable")[ceil(keep * len(alive)) :]]:
            ends[np.isnan(ends[:, column]) & (bad[:, column] > epochs[record]), column] = epochs[record]
    return ends.reshape(full.first_bad_epoch.transpose("seed", ...).shape)


def test_waves_cut_the_lanes_that_a_sort_by_hand_cuts(complete: Path) -> None:
    found = open_results(complete)
    ends = cut_by_hand(in_one(None), 0.5, (0.2, 0.4, 0.8))
    np.testing.assert_array_equal(found.stop_epoch.transpose("seed", ...).values, ends)
    np.testing.assert_array_equal(found.status.transpose("seed", ...).values == CUT, np.isfinite(ends))
    judged = json.loads(found.attrs["cuts"])
    assert [record for record, _ in judged] == [1, 2, 4]
    for record, text in judged:
        cut = read_mask(text, 24).reshape(2, 4, 3).swapaxes(0, 1)
        np.testing.assert_array_equal(cut, ends == found.epoch.values[record])


@pytest.mark.slow
def test_lanes_of_several_programs_compete(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "MAX_BLOCKS", 1)
    axes = grid(seed=range(3), learning_rate=(1e-3, 1e-2, 3e-2), loss_function=("mean_squared", "mean_absolute"))
    plans = [plan_sweep(page(rule, axes=axes), fixed=Fixed(None, 4)) for rule in (None, MEDIAN)]
    assert len(plans[0].programs) == 2
    full, halved = [
        (begun(plan, tmp_path / str(number)), go_on(plan, tmp_path / str(number)))[1]
        for number, plan in enumerate(plans)
    ]
    ends = cut_by_hand(full, 0.5, (0.2, 0.4, 0.8))
    assert np.isfinite(ends).sum() == 15
    np.testing.assert_array_equal(halved.stop_epoch.transpose("seed", ...).values, ends)
    before = halved.epoch <= halved.stop_epoch.fillna(np.inf)
    kept = before.transpose(*halved.loss.dims).values
    np.testing.assert_array_equal(halved.loss.values[kept], full.loss.values[kept])
    assert np.isnan(halved.loss.values[~kept]).all()


# ---------------------------------------------------------------------------------------------------------
# In any order, and killed anywhere.


class Backwards(LocalExecutor):
    """Runs waves in the opposite order, and each twice, as one that is not sure of a lost worker does."""

    def run(self, plan: Plan, store: stores.Store, waves: Sequence[int], obey: Callable[[], None]) -> Iterator[Event]:
        for wave in reversed(waves):
            for _ in range(1 if plan.rungs[-1] in rungs.read_cuts(plan, store) else 2):
                yield from super().run(plan, stores.Store(store.path), [wave], obey)


def test_waves_come_to_a_rung_in_any_order_and_more_than_once(tmp_path: Path) -> None:
    begun(planned(MEDIAN, 12), tmp_path / "store")
    assert_same(go_on(planned(MEDIAN, 12), tmp_path / "store", executor=Backwards()), in_one(MEDIAN))


class KilledError(Exception):
    """Raised to end a run without a warning."""


@dataclass
class Killer:
    """Ends runs: after some segments, and once before and once after each rung is judged.

    Args:
        after: how many segments a run survives.
        moments: those before and after rungs at which one has ended.
        count: how many have ended.
    """

    after: int
    moments: set[tuple[str, int]] = field(default_factory=set)
    count: int = 0
    left: int = 0

    def watch(self, progress: Progress) -> None:
        self.left -= progress.stage == "training"
        if self.left < 0:
            raise KilledError

    def strike_once(self, moment: tuple[str, int]) -> None:
        if moment not in self.moments:
            self.moments.add(moment)
            raise KilledError

    def judge(self, plan: Plan, store: stores.Store, rung: int) -> None:
        self.strike_once(("before", rung))
        rungs.judge(plan, store, rung)
        self.strike_once(("after", rung))

    def until_it_ends(self, plan: Plan, path: Path) -> xr.Dataset:
        for self.count in range(100):
            self.left = self.after
            try:
                return go_on(plan, path, self.watch)
            except KilledError:
                continue
        raise AssertionError("it does not end")


@pytest.mark.parametrize("after", [5, pytest.param(1, marks=pytest.mark.slow)])
def test_a_store_killed_anywhere_is_continued_to_the_bits_of_one_wave(
    after: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killer, plan = Killer(after), planned(MEDIAN, 12)
    monkeypatch.setattr(wave_writer, "SAVE_SECONDS", 0.0)
    monkeypatch.setattr(wave_writer, "MOST_SAVE_SECONDS", 0.0)
    monkeypatch.setattr(coordinator, "judge", killer.judge)
    begun(plan, tmp_path / "store")
    assert_same(killer.until_it_ends(plan, tmp_path / "store"), in_one(MEDIAN))
    assert len(killer.moments) == 6
    assert killer.count > 6


@pytest.fixture(scope="module")
def waiting(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store whose three waves wait at the second rung, of which nothing is decided yet."""
    path, judged = tmp_path_factory.mktemp("waiting") / "store", 0

    def judge(*args: Any) -> None:
        nonlocal judged
        judged += 1
        if judged == 2:
            raise KilledError
        rungs.judge(*args)

    begun(planned(MEDIAN), path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(coordinator, "judge", judge)
        with pytest.raises(KilledError):
            go_on(planned(MEDIAN), path)
    return path


@pytest.fixture
def store(waiting: Path, tmp_path: Path) -> Path:
    shutil.copytree(waiting, tmp_path / "store")
    return tmp_path / "store"


def steps_until(ds: xr.Dataset, epoch: float) -> float:
    """Count the steps of all lanes up to an epoch, of which each has one."""
    return np.fmin(np.fmin(ds.stop_epoch, ds.first_bad_epoch), epoch).sum().item()


def test_waves_that_wait_can_be_read_and_checked_and_are_not_run_again(store: Path) -> None:
    assert stores.damages(store) == []
    found, expected = open_results(store), in_one(MEDIAN)
    assert (found.status == RUNNING).all()
    upto = {"epoch": slice(0, 8)}
    np.testing.assert_array_equal(found.loss.sel(upto).values, expected.loss.sel(upto).values)
    assert found.attrs["lane_steps"] == steps_until(expected, 8.0)
    steps, counted = list[int](), list[int]()

    def watch(progress: Progress) -> None:
        steps.append(progress.lane_steps)
        counted.append(stores.Store(store).attributes()["lane_steps"])

    assert_same(go_on(planned(MEDIAN), store, watch), expected)
    assert counted == sorted(counted)
    assert counted[-1] == expected.attrs["lane_steps"]
    assert steps[0] == 24 * 8  # the epoch of the second rung
    assert steps[-1] == 24 * 20
    assert steps == sorted(steps)


def test_what_is_counted_grows_while_waves_go_on_one_after_another(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a resumption too, where some of them have not been run yet."""

    def stop(progress: Progress) -> None:
        if progress.stage == "training":
            raise KilledError

    before = stores.check(store)["lane_steps"]
    monkeypatch.setattr(wave_writer, "SAVE_SECONDS", 0.0)
    with pytest.raises(KilledError):
        go_on(planned(MEDIAN), store, stop)
    assert stores.check(store)["lane_steps"] > before


def test_a_wave_that_waits_says_so_and_how_far_it_has_come(store: Path) -> None:
    plan, opened = planned(MEDIAN), stores.Store(store)

    def last_of(wave: int) -> list[Saved]:
        return [event for event in LocalExecutor().run(plan, opened, [wave], lambda: None) if isinstance(event, Saved)]

    here = last_of(1)  # with nothing to do, as where a worker was lost after it had saved
    rungs.judge(plan, opened, 2)
    there = last_of(1)
    assert [type(event) for event in (*here, *there)] == [Waiting, Waiting]
    assert 0 < here[0].living < there[0].living


def test_a_signal_at_a_rung_saves_once(tmp_path: Path) -> None:
    plan = planned(MEDIAN)
    store, events = begun(plan, tmp_path / "store"), []

    def obey() -> None:
        if any(isinstance(event, Saved) for event in events):
            raise Terminated

    with pytest.raises(Terminated):
        events.extend(LocalExecutor().run(plan, store, [0, 1], obey))
    assert sum(isinstance(event, Saved) for event in events) == 1
    assert_same(go_on(plan, tmp_path / "store"), in_one(MEDIAN))


@pytest.mark.parametrize("lanes", [None, 16], ids=["one", "several"])
def test_waves_that_need_too_much_memory_after_a_rung_are_halved(lanes: int | None, tmp_path: Path) -> None:
    class Tight(LocalExecutor):
        """Has too little memory for waves of more than 8 lanes, once one has passed the second rung."""

        def run(self, plan: Plan, store: stores.Store, *args: Any) -> Iterator[Event]:
            for event in super().run(plan, store, *args):
                yield event
                if plan.wave_lanes > 8 and isinstance(event, Advanced) and event.done > 8 * 16:
                    raise OutOfMemoryError("out of memory")

    plan = planned(MEDIAN, lanes)
    store = begun(plan, tmp_path / "store")
    with pytest.warns(SweepWarning, match="compiling again for waves of 8 lanes"):
        train(Share(plan, store), Tight(), ignore)
    found = open_results(tmp_path / "store")
    assert_same(found, in_one(MEDIAN))
    assert json.loads(found.attrs["plan"])["wave_lanes"] == 8


def test_a_damaged_wave_is_trained_again_alone(complete: Path, tmp_path: Path) -> None:
    path = tmp_path / "store"
    shutil.copytree(complete, path)
    before = stores.check(path)["lane_steps_executed"]
    shutil.rmtree(path / "loss" / "c" / "2")
    with stores.hold(path) as lock:
        repair(path, lock, stores.damages(path), page(MEDIAN))
    again = go_on(planned(MEDIAN), path)
    assert_same(again, in_one(MEDIAN))
    assert before < again.attrs["lane_steps_executed"] < 1.5 * before


def test_one_cut_lane_of_several_waves_is_replayed(complete: Path) -> None:
    flat = stores.read(complete)
    at = int(np.flatnonzero(flat.status == CUT)[0])
    stored = flat.isel(lane=at)
    again = replay(page(MEDIAN), flat.attrs, int(stored.lane), until=float(stored.stop_epoch)).curves
    known = again.loss.sel(epoch=slice(0, float(stored.stop_epoch))).values
    np.testing.assert_array_equal(known, stored.loss.values[: len(known)])


# ---------------------------------------------------------------------------------------------------------
# What is said and refused.


def test_a_plan_says_that_its_waves_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "the 3 waves wait for each other at each of these epochs, as their lanes compete" in planned(MEDIAN).reasons
    assert not any("wait" in reason for reason in planned(MEDIAN, None).reasons)
    assert planned(MEDIAN).rungs == (1, 2, 4)
    assert planned(MEDIAN, None).rungs == ()
    assert planned(replace(MEDIAN, first=0.95)).rungs == ()
    monkeypatch.setattr(blocks, "MAX_BLOCKS", 1)
    losses = page(MEDIAN, axes=grid(seed=range(6), loss_function=("mean_squared", "mean_absolute")))
    assert [wave.program for wave in plan_sweep(losses).waves] == [0, 1]
    assert plan_sweep(losses).rungs == (1, 2, 4)


def test_a_store_with_other_rungs_is_refused(store: Path) -> None:
    cuts = [[2, write_mask(np.ones(24, bool))]]
    stores.Store(store).set_attributes(cuts=json.dumps(cuts))
    with pytest.raises(SweepError, match="has rungs that its page has not: start again with --fresh"):
        go_on(planned(MEDIAN), store)


def test_more_rungs_of_lanes_than_a_store_can_hold_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(rungs.STRUCTURED, "cuts", 300)
    with pytest.raises(SweepError, match="Halving has 3 rungs for 24 lanes in 3 waves, more than a store can hold"):
        plan_sweep(page(MEDIAN), fixed=Fixed(8, 4))
    plan_sweep(page(MEDIAN), fixed=Fixed(None, 4))


def test_no_rung_is_judged_without_a_wave_that_was_given_up(tmp_path: Path) -> None:
    class Losing(LocalExecutor):
        def run(
            self, plan: Plan, store: stores.Store, waves: Sequence[int], obey: Callable[[], None]
        ) -> Iterator[Event]:
            yield from super().run(plan, store, [wave for wave in waves if wave != 1], obey)
            yield Failure(1, "broken", 3)

    begun(planned(MEDIAN), tmp_path / "store")
    with pytest.raises(WavesFailedError, match="1 of 3 waves"):
        go_on(planned(MEDIAN), tmp_path / "store", executor=Losing())
    assert "cuts" not in stores.check(tmp_path / "store")
    assert_same(go_on(planned(MEDIAN), tmp_path / "store"), in_one(MEDIAN))


def test_an_executor_that_leaves_out_a_wave_decides_nothing(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LocalExecutor, "run", lambda self, plan, store, waves, obey: iter(()))
    (store / "digests" / "wave-0000000008.json").unlink()
    with pytest.raises(AssertionError, match="an executor left out waves"):
        go_on(planned(MEDIAN), store)
    assert [record for record, _ in json.loads(stores.check(store)["cuts"])] == [1]
