"""Parts of a sweep in one store: in any order, interrupted, with too little memory, they give the bits of the whole."""

import json
import shutil
import signal
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import zarr
from helpers import tiny

from sweep import MLP, Halving, Record, grid, linear_spaced, open_results, run_sweep, zipped
from sweep.base.errors import SweepError, SweepWarning
from sweep.base.signals import Terminated
from sweep.engine.prepare import OutOfMemoryError
from sweep.results import store as stores
from sweep.results.store import Part
from sweep.runs import parts, wave_writer
from sweep.runs.executors import local
from sweep.runs.executors.local import LocalExecutor
from sweep.runs.merging import merge
from sweep.runs.parts import describe_share, plan_part
from sweep.runs.progress import Progress
from sweep.runs.runner import run_part

AXES = zipped(seed=range(6), data_seed=range(6)) * grid(learning_rate=(1e-3, 1e-2))
RECORD = Record(("loss", "parameter_norm"), at=linear_spaced(3), snapshots=2, keep="parameters")
EXPERIMENT = tiny(axes=AXES, model=MLP(width=6, depth=1), record=RECORD)
COUNTS = ("lane_steps", "lane_steps_planned")

pytestmark = pytest.mark.filterwarnings("ignore:part ./. has")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store of the sweep that was run at once."""
    path = tmp_path_factory.mktemp("whole") / "store"
    run_sweep(EXPERIMENT, out=path)
    return path


@pytest.fixture(scope="module")
def first_half(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("half") / "store"
    assert not run_part(EXPERIMENT, path, (1, 2))
    return path


@pytest.fixture
def half(first_half: Path, tmp_path: Path) -> Path:
    """A copy of a store of which the first of two parts has trained its half."""
    return Path(shutil.copytree(first_half, tmp_path / "store"))


def networks(path: Path) -> dict[int, bytes]:
    group = zarr.open_group(path, mode="r", use_consolidated=False)
    return {
        int(lane): row.tobytes()
        for lane, row in zip(group["lane"][:], group["parameters"][:], strict=True)
        if lane >= 0
    }


def assert_same(path: Path, whole: Path) -> None:
    assert stores.damages(path) == []
    one, other = open_results(path), open_results(whole)
    for name in other.variables:
        assert one[name].values.tobytes() == other[name].values.tobytes(), name
    assert [one.attrs[name] for name in COUNTS] == [other.attrs[name] for name in COUNTS]
    assert one.attrs["complete"]
    assert networks(path) == networks(whole)
    marks = ("lock-", "heartbeat", "checkpoint")
    assert not [entry.name for entry in path.iterdir() if entry.name.startswith(marks)]


class Stop:
    """A callback that sends SIGTERM after so many reports."""

    def __init__(self, reports: int) -> None:
        self.left = reports

    def __call__(self, progress: Progress) -> None:
        self.left -= 1
        if self.left == 0:
            signal.raise_signal(signal.SIGTERM)


@pytest.mark.parametrize("order", [(2, 3, 1), (1, 2)])
def test_parts_in_any_order_give_the_bits_of_the_whole(order: Sequence[int], whole: Path, tmp_path: Path) -> None:
    path, said = tmp_path / "store", []
    for number in order[:-1]:
        with pytest.warns(SweepWarning, match="part ./. has 1 wave, all stored") as told:
            ds = run_sweep(EXPERIMENT, out=path, part=(number, len(order)))
        assert not ds.attrs["complete"]
        assert int((ds.status == 0).sum()) == 12 - 12 // len(order) * (len(said) + 1)
        said += [str(each.message) for each in told]
    executed = [counts["lane_steps_executed"] for counts in stores.Store(path).read_other_heartbeats()]
    assert run_part(EXPERIMENT, path, (order[-1], len(order)))
    assert open_results(path).attrs["lane_steps_executed"] == sum(executed) // (len(order) - 1) * len(order)
    assert_same(path, whole)
    assert f"of all {len(order)} waves 1 are stored; missing: part " in said[0]
    assert run_part(EXPERIMENT, path, (1, 7)), "a complete store has nothing to do for any part"


def test_parts_in_stores_of_their_own_are_merged(whole: Path, half: Path, tmp_path: Path) -> None:
    other, merged = tmp_path / "other", tmp_path / "merged"
    assert not run_part(EXPERIMENT, other, (2, 2))
    merge([half, other], merged)
    assert_same(merged, whole)
    executed = [stores.Store(path).read_other_heartbeats()[0]["lane_steps_executed"] for path in (half, other)]
    assert open_results(merged).attrs["lane_steps_executed"] == sum(executed)


def test_a_part_that_was_stopped_goes_on_from_its_checkpoint(
    whole: Path, first_half: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, begun, seen = tmp_path / "store", [], []
    with pytest.raises(Terminated):
        run_sweep(EXPERIMENT, out=path, part=(2, 2), watch=Stop(4))
    heartbeat = (path / "heartbeat-part-2-of-2.json").read_text()
    assert not (path / "lock-part-2-of-2.json").exists()
    assert [entry.name for entry in path.glob("checkpoint*")] == ["checkpoint-0000000006"]
    monkeypatch.setattr(stores.Store, "begin", lambda *_: begun.append(1))
    assert not run_part(EXPERIMENT, path, (2, 2), watch=seen.append)
    assert not begun, "the wave does not begin again"
    assert seen[-1].total == seen[-1].lane_steps == 72, "progress is that of the part"
    executed, same = (stores.Store(store).read_other_heartbeats()[0] for store in (path, first_half))
    assert json.loads(heartbeat)["lane_steps_executed"] < executed["lane_steps_executed"] == same["lane_steps_executed"]
    monkeypatch.undo()
    with pytest.raises(SweepError, match="is incomplete: --resume continues it"):
        run_sweep(EXPERIMENT, out=path)
    run_sweep(EXPERIMENT, out=path, resume=True)
    assert_same(path, whole)


def test_waves_that_were_too_large_in_a_part_are_smaller_there_and_for_who_comes_later(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Scarce(local.LocalExecutor):
        def run(self, plan, *args):
            if plan.wave_lanes > 2:
                raise OutOfMemoryError("no memory")
            return super().run(plan, *args)

    path = tmp_path / "store"
    monkeypatch.setattr(local, "LocalExecutor", Scarce)
    with (
        pytest.warns(SweepWarning, match="no memory: compiling again for waves of 2 lanes instead of 6"),
        pytest.raises(Terminated),
    ):
        run_sweep(EXPERIMENT, out=path, part=(1, 2), watch=Stop(9))
    waves = stores.Store(path).begun_waves()
    assert waves[0] == (0, 2)
    monkeypatch.undo()
    before = stores.check(path)["plan"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local, "LocalExecutor", Scarce)
        run_sweep(EXPERIMENT, out=path, part=(1, 2))  # it follows what is there, and needs not run out of memory again
    assert stores.check(path)["plan"] == before
    assert stores.Store(path).begun_waves() == [(0, 2), (2, 4), (4, 6)]
    run_sweep(EXPERIMENT, out=path, part=(2, 2))
    assert_same(path, whole)


def test_of_two_parts_that_make_the_store_at_once_the_second_goes_on_with_that_of_the_first(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, create = tmp_path / "store", parts.create

    def slowly(*args) -> None:
        create(*args)
        create(*args)  # the other one's was just made

    monkeypatch.setattr(parts, "create", slowly)
    run_sweep(EXPERIMENT, out=path, part=(1, 2))
    run_sweep(EXPERIMENT, out=path, part=(2, 2))
    assert_same(path, whole)


def test_the_part_that_ends_last_completes_the_store_and_the_other_does_not(whole: Path, half: Path) -> None:
    with (
        stores.hold_part(half, Part(1, 2)),
        pytest.warns(SweepWarning, match="waves 2 are stored; the part that ends last"),
    ):
        assert not run_part(EXPERIMENT, half, (2, 2)), "part 1 has not ended"
    assert run_part(EXPERIMENT, half, (1, 2))
    assert_same(half, whole)


def test_who_waited_for_the_one_that_completed_does_not_complete_again(half: Path) -> None:
    plan: list[Any] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parts, "_complete", lambda *args: plan.extend(args))
        run_sweep(EXPERIMENT, out=half, part=(2, 2))
    assert parts._complete(*plan)
    assert not parts._complete(*plan)


def test_results_can_be_read_and_checked_while_parts_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, seen = tmp_path / "store", []
    monkeypatch.setattr(wave_writer, "SAVE_SECONDS", 0.0)
    monkeypatch.setattr(wave_writer, "MOST_SAVE_SECONDS", 0.0)
    run_sweep(EXPERIMENT, out=path, part=(1, 3))
    common = [(path / name).read_bytes() for name in ("zarr.json", "digests/layout.json")]

    def look(progress: Progress) -> None:
        seen.append((len(stores.damages(path)), int((open_results(path).status == 2).sum())))

    run_sweep(EXPERIMENT, out=path, part=(2, 3), watch=look)
    assert {damages for damages, _ in seen} == {0}
    assert seen[0][1] < seen[-1][1]
    assert common == [(path / name).read_bytes() for name in ("zarr.json", "digests/layout.json")]


def test_a_wave_that_begins_while_the_store_is_checked_is_no_damage(
    half: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sweep.results.digests import store_damages, wave_damages

    begun, calls = wave_damages.begun_places, []

    def begun_then_written(store: Path, places: int):
        found = begun(store, places)
        if not calls:
            calls.append(1)
            stores.Store(half).begin(6, 12)
            (half / "loss" / "c" / "3").mkdir()
            (half / "loss" / "c" / "3" / "0").write_bytes(b"just written")
        return found

    monkeypatch.setattr(wave_damages, "begun_places", begun_then_written)
    assert store_damages.content_damages(half) == []
    assert calls
    (half / "digests" / "wave-0000000006.json").unlink()
    assert [damage.file for damage in store_damages.content_damages(half)] == ["loss/c/3/0"]


def test_a_part_of_another_page_and_of_a_store_in_other_parts_is_refused(half: Path) -> None:
    with pytest.raises(SweepError, match="holds another experiment, it differs in epochs"):
        run_sweep(replace(EXPERIMENT, epochs=13), out=half, part=(2, 2))
    with stores.hold_part(half, Part(1, 2)), pytest.raises(SweepError, match="is being filled by part 1/2"):
        run_sweep(EXPERIMENT, out=half, part=(2, 3))


@pytest.mark.parametrize(
    "part", [(0, 2), (3, 2), (1, 0), (-1, 2), 3, "1/2", (1, 2, 3), (1.0, 2), (True, 2), (1, 10**6)]
)
def test_what_is_no_part_is_refused(part, tmp_path: Path) -> None:
    with pytest.raises(SweepError, match=r"^(part takes \(number, of\)|there is no part )"):
        run_sweep(EXPERIMENT, out=tmp_path / "store", part=part)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("options", "message"),
    [({"fresh": True}, "a part goes on"), ({"grow": True}, "a part goes on"), ({"out": None}, "part needs a store")],
)
def test_a_part_has_a_store_and_goes_on_with_it(options, message: str, tmp_path: Path) -> None:
    with pytest.raises(SweepError, match=message):
        run_sweep(EXPERIMENT, **{"out": tmp_path / "store", "part": (1, 2)} | options)
    assert not list(tmp_path.iterdir())


def test_lanes_that_are_compared_with_each_other_are_not_divided(tmp_path: Path) -> None:
    with pytest.raises(
        SweepError, match="Halving compares all lanes with each other, so they can't be trained in parts"
    ):
        run_sweep(replace(EXPERIMENT, stop=Halving()), out=tmp_path / "store", part=(1, 2))
    assert not list(tmp_path.iterdir())


def test_more_parts_than_lanes_leave_some_with_nothing_to_do(tmp_path: Path) -> None:
    plan = plan_part(EXPERIMENT, tmp_path / "store", Part(14, 16), LocalExecutor())
    assert [len(wave.lanes) for wave in plan.waves] == [1] * 12
    assert describe_share(plan, Part(14, 16)) == "part 14/16: no wave, as there are 12: it has nothing to do"
    assert describe_share(plan, Part(12, 16)) == "part 12/16: wave 12 of 12, 1 of 12 lanes"
    assert describe_share(plan, Part(2, 5)) == "part 2/5: wave 2, 7, 12 of 12, 3 of 12 lanes"
    with pytest.warns(SweepWarning, match=r"part 14/16 has 0 waves to train, as there are too few; of all 12 waves 0"):
        assert not run_part(EXPERIMENT, tmp_path / "store", (14, 16))
