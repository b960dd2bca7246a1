"""Growing a store: what is stored stays, what is new is trained, what can't grow is refused and changes nothing."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from sweep import MLP, FromFunction, Optimizer, SumOfSines, every, grid, open_results, run_sweep, trained, zipped
from sweep.base.errors import SweepError, SweepWarning
from sweep.engine import keeping
from sweep.page.identity import fingerprint
from sweep.results import store as stores
from sweep.results.digests.layout import replace_root
from sweep.results.networks import kept
from sweep.results.store import creation
from sweep.runs import provenance
from sweep.runs.executors.local import LocalExecutor
from sweep.runs.growing import plan_growth
from sweep.runs.repair import repair
from sweep.runs.replay import replay
from sweep.specs import XOR, Halving, Record, Target, log_spaced
from tests.faults.growth import at_common_records, networks
from tests.faults.stores import copied
from tests.helpers import share_blocks, tiny

RECORD = Record(metrics=("loss",), at=every(4), snapshots=2)
PAGE = tiny(axes=grid(seed=range(2), learning_rate=(1e-3, 1e-2)), record=RECORD)
MORE_SEEDS = grid(seed=range(3), learning_rate=(1e-3, 1e-2))


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store of the page as it was at first."""
    path = tmp_path_factory.mktemp("begun") / "store"
    run_sweep(PAGE, out=path)
    return path


@pytest.fixture
def store(begun: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return copied(begun, tmp_path / "store")


def contents(path: Path) -> dict[str, bytes]:
    """Return all files of a folder, apart from what a lock leaves."""
    files = (each for each in path.rglob("*") if each.is_file() and each.name != "lock")
    return {str(each.relative_to(path)): each.read_bytes() for each in files}


def interrupt(progress) -> None:
    if progress.stage == "training":
        raise KeyboardInterrupt


def assert_same(ds: xr.Dataset, other: xr.Dataset) -> None:
    assert at_common_records(ds, other) == at_common_records(other, ds)


def test_more_seeds_values_and_epochs_are_the_sweep_run_at_once(store: Path, tmp_path: Path) -> None:
    before = open_results(store)
    grown = replace(PAGE, axes=grid(seed=range(3), learning_rate=(1e-2, 3e-3, 1e-3)), epochs=20)
    ds, whole = run_sweep(grown, out=store, grow=True), run_sweep(grown, out=tmp_path / "whole")
    assert ds.attrs["complete"]
    assert_same(ds, whole)
    assert networks(store) == networks(tmp_path / "whole")
    old = ds.sel({dim: before[dim].values for dim in ("seed", "learning_rate")})
    assert_same(old, before)  # what the page has in another order by now
    assert set(before.epoch.values) < set(ds.epoch.values)
    (source,) = json.loads(stores.check(store)["sources"])
    assert source["fingerprint"] == fingerprint(PAGE)
    assert source["created"] == before.attrs["created"]


def test_a_grown_store_is_a_store(store: Path) -> None:
    """It is replayed, repaired, and its networks are read, as any other."""
    grown = replace(PAGE, axes=MORE_SEEDS)
    ds = run_sweep(grown, out=store, grow=True)
    lane = list(np.ndindex(3, 2)).index((2, 1))
    curves = replay(grown, stores.check(store), lane).curves
    assert curves.loss.values.tobytes() == ds.loss.isel(seed=2, learning_rate=1).values.tobytes()
    assert trained(store, seed=2, learning_rate=1e-2).loss == ds.loss.isel(seed=2, learning_rate=1, epoch=-1)
    (store / "lane" / "c" / "0").write_bytes(b"damaged")
    with stores.hold(store) as lock:
        repair(store, lock, stores.damages(store), None)
    assert_same(open_results(store), ds)


def test_only_what_is_new_is_trained(store: Path) -> None:
    told = []
    run_sweep(replace(PAGE, axes=MORE_SEEDS), out=store, grow=True, watch=told.append)
    assert told[0].lane_steps == PAGE.axes.size() * 12  # those that are stored, before anything is trained
    assert stores.check(store)["lane_steps"] == 6 * 12
    executed = stores.check(store)["lane_steps_executed"] - stores.check(store)["lane_steps_planned"] * 4 // 6
    assert executed < 2 * 12 * told[0].plan.programs[0].blocks[0].tile


def test_a_page_that_equals_its_store_changes_nothing(store: Path) -> None:
    before = contents(store)
    told = []
    run_sweep(PAGE, out=store, grow=True, watch=told.append)
    assert contents(store) == before
    assert told == []


def test_other_places_of_the_same_lanes_train_nothing(store: Path) -> None:
    told, before = [], open_results(store)
    turned = replace(PAGE, axes=grid(learning_rate=(1e-2, 1e-3), seed=(1, 0)))
    ds = run_sweep(turned, out=store, grow=True, watch=told.append)
    assert told == []
    assert_same(ds.sel({dim: before[dim].values for dim in ("seed", "learning_rate")}), before)


def test_fewer_lanes_are_no_growth(store: Path) -> None:
    before = contents(store)
    with pytest.warns(SweepWarning, match="has all lanes of the page and more: it keeps what it has"):
        ds = run_sweep(replace(PAGE, axes=grid(seed=(1,), learning_rate=(1e-2,))), out=store, grow=True)
    assert contents(store) == before
    assert ds.sizes["seed"] == 2


def test_fewer_lanes_do_not_complete_a_store(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        run_sweep(PAGE, out=tmp_path / "store", watch=interrupt)
    with pytest.raises(SweepError, match="has lanes that the page lacks, and is incomplete: continue it with a page"):
        run_sweep(replace(PAGE, axes=grid(seed=(1,), learning_rate=(1e-2,))), out=tmp_path / "store", grow=True)


def test_a_number_that_was_fixed_can_become_an_axis(tmp_path: Path) -> None:
    fixed = tiny(axes=grid(seed=range(2)), optimizer=Optimizer("adam", learning_rate=3e-2), record=RECORD)
    swept = replace(fixed, optimizer=Optimizer("adam"), axes=grid(seed=range(2), learning_rate=(3e-2, 1e-3)))
    before = run_sweep(fixed, out=tmp_path / "store")
    ds = run_sweep(swept, out=tmp_path / "store", grow=True)
    assert ds.loss.sel(learning_rate=3e-2).values.tobytes() == before.loss.values.tobytes()
    assert_same(ds, run_sweep(swept))


def test_a_store_that_keeps_no_states_is_trained_again_and_moved_aside(tmp_path: Path) -> None:
    bare = replace(PAGE, record=replace(RECORD, keep="parameters"))
    before = run_sweep(bare, out=tmp_path / "store")
    longer = replace(bare, epochs=16)
    growth = plan_growth(longer, tmp_path / "store", stores.check(tmp_path / "store"), LocalExecutor())
    assert growth is not None
    assert growth.stored_steps == 0
    assert any("all are trained again" in why for why in growth.new.reasons)
    with pytest.warns(SweepWarning, match="all are trained again from epoch 0, and the store is moved aside"):
        ds = run_sweep(longer, out=tmp_path / "store", grow=True)
    assert_same(ds, run_sweep(longer))
    assert_same(open_results(tmp_path / "store.old-1"), before)
    assert set(before.epoch.values) < set(ds.epoch.values)


def test_an_incomplete_store_is_completed_before_it_grows(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        run_sweep(PAGE, out=tmp_path / "store", watch=interrupt)
    grown = replace(PAGE, axes=MORE_SEEDS)
    assert_same(run_sweep(grown, out=tmp_path / "store", grow=True), run_sweep(grown))


def test_what_is_kept_stays_kept_however_large_the_sweep_becomes(store: Path, monkeypatch) -> None:
    monkeypatch.setattr(keeping, "MOST_BYTES", 1)
    run_sweep(replace(PAGE, axes=MORE_SEEDS), out=store, grow=True)
    assert kept(stores.check(store)) == "state"
    run_sweep(replace(PAGE, axes=MORE_SEEDS, record=replace(RECORD, keep="nothing"), epochs=16), out=store, grow=True)
    assert kept(stores.check(store)) == "nothing"  # since the page says so


def test_what_is_beside_the_arrays_of_a_store_stays(store: Path, tmp_path: Path) -> None:
    """Also where the store is a link to a folder elsewhere, and attributes of the command that is not given again."""
    (store / "figures").mkdir()
    (store / "figures" / "loss.png").write_text("a figure")
    (store / "notes.txt").write_text("a note")
    (store / "lockstep.txt").write_text("another one")
    with stores.hold(store) as lock:
        stores.Store(store, lock).set_attributes(page="experiments/page.py", arguments='["--full"]')
    (tmp_path / "link").symlink_to(store)
    run_sweep(replace(PAGE, axes=MORE_SEEDS), out=tmp_path / "link", grow=True)
    assert (tmp_path / "link").is_symlink()
    assert (store / "figures" / "loss.png").read_text() == "a figure"
    assert (store / "notes.txt").read_text() == "a note"
    assert (store / "lockstep.txt").read_text() == "another one"
    assert stores.check(store)["page"] == "experiments/page.py"
    assert json.loads(stores.check(store)["arguments"]) == ["--full"]
    assert sorted(each.name for each in tmp_path.iterdir() if each.name.startswith(("store", ".new"))) == ["store"]


def test_a_growth_that_is_killed_loses_nothing_of_it(store: Path, monkeypatch) -> None:
    (store / "notes.txt").write_text("a note")

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(creation.atomic_files, "sync_folder", killed)  # just after the exchange
        with pytest.raises(KeyboardInterrupt):
            run_sweep(replace(PAGE, axes=MORE_SEEDS), out=store, grow=True)
    assert run_sweep(replace(PAGE, axes=MORE_SEEDS), out=store, grow=True).attrs["complete"]
    assert (store / "notes.txt").read_text() == "a note"


def test_new_lanes_may_have_metrics_that_the_stored_ones_lack(tmp_path: Path) -> None:
    record = Record(at=every(4), snapshots=0)
    classes = tiny(task=XOR, axes=grid(loss_function=("mean_squared",)), record=record)
    more = replace(classes, axes=grid(loss_function=("mean_squared", "binary_cross_entropy_with_logits")))
    run_sweep(classes, out=tmp_path / "store")
    assert_same(run_sweep(more, out=tmp_path / "store", grow=True), run_sweep(more))


def test_a_store_without_provenance_is_refused(store: Path) -> None:
    root = json.loads((store / "zarr.json").read_text())
    del root["attributes"]["experiment"]
    replace_root(store, json.dumps(root).encode())
    with pytest.raises(SweepError, match="it states no experiment"):
        run_sweep(replace(PAGE, axes=MORE_SEEDS), out=store, grow=True)


COSINE = Optimizer("adam", learning_rate=1e-2, schedule="cosine")
REFUSED = {
    "optimizer": (
        PAGE,
        replace(PAGE, optimizer=Optimizer("sgd")),
        "than the page, it differs in optimizer",
    ),
    "task": (PAGE, replace(PAGE, task=SumOfSines(frequencies=(1, 2), points=16)), "it differs in task"),
    "function": (PAGE, replace(PAGE, task=FromFunction(function=lambda x: x, points=16)), "it differs in task"),
    "model": (PAGE, replace(PAGE, model=MLP(width=7, depth=2)), "it differs in model"),
    "precision": (PAGE, replace(PAGE, precision="float64"), "it differs in precision"),
    "batches": (PAGE, replace(PAGE, batch_size=4), "it differs in batch_size: only axes and epochs can grow"),
    "record": (PAGE, replace(PAGE, record=Record(metrics=("loss",), at=every(3), snapshots=2)), "it differs in record"),
    "fewer epochs": (PAGE, replace(PAGE, epochs=8), "for 12 epochs and the page has 8: fewer is no growth"),
    "fewer and more": (
        PAGE,
        replace(PAGE, axes=grid(seed=(0,), learning_rate=(1e-3, 1e-2, 1.0))),
        "has seed 1, which",
    ),
    "schedule": (
        replace(PAGE, optimizer=COSINE),
        replace(PAGE, optimizer=COSINE, epochs=16),
        "its schedule 'cosine' depends on the number of steps, which would be 16 instead of 12",
    ),
    "warm-up": (
        replace(PAGE, optimizer=Optimizer("adam", warmup=0.2)),
        replace(PAGE, optimizer=Optimizer("adam", warmup=0.2), epochs=16),
        "its warm-up depends on the number of steps",
    ),
    "halving": (
        replace(PAGE, stop=Halving()),
        replace(PAGE, stop=Halving(), axes=MORE_SEEDS),
        "Halving compares all lanes with each other",
    ),
    "rules at other records": (
        replace(PAGE, stop=Target(0.1), record=replace(RECORD, at=log_spaced(5))),
        replace(PAGE, stop=Target(0.1), record=replace(RECORD, at=log_spaced(5)), epochs=24),
        "its rules end lanes at records, and a run of 24 epochs has others up to epoch 12; record with every",
    ),
    "batch sizes": (
        replace(PAGE, axes=grid(batch_size=(4,), seed=(0,))),
        replace(PAGE, axes=grid(batch_size=(4, 15), seed=(0,))),
        "has records at other epochs than it would have with the new lanes",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_can_not_grow_is_refused_and_nothing_changes(begun: Path, tmp_path: Path, name: str) -> None:
    before, page, words = REFUSED[name]
    path = tmp_path / "store"
    if before is PAGE:
        copied(begun, path)
    else:
        run_sweep(before, out=path)
    held = contents(path)
    with pytest.raises(SweepError, match=words) as caught:
        run_sweep(page, out=path, grow=True)
    assert "\n" not in str(caught.value)
    assert "--out" in str(caught.value)
    assert contents(path) == held


def test_lanes_that_would_share_padded_blocks_are_refused(store: Path, monkeypatch) -> None:
    held = contents(store)
    share_blocks(monkeypatch)
    with pytest.raises(SweepError, match="its own lanes would share blocks with others and be padded"):
        run_sweep(replace(PAGE, axes=MORE_SEEDS * grid(width=(6, 5))), out=store, grow=True)
    assert contents(store) == held


def test_other_arithmetic_is_refused(store: Path, monkeypatch) -> None:
    held = contents(store)
    monkeypatch.setattr(provenance, "ENGINE", 10**6)
    with pytest.raises(SweepError, match=r"was begun with engine .*, here it is 1000000, which may change bits"):
        run_sweep(replace(PAGE, axes=MORE_SEEDS), out=store, grow=True)
    assert contents(store) == held


def test_there_must_be_a_store(tmp_path: Path) -> None:
    with pytest.raises(SweepError, match=r"there is no store at .* that could grow: name it with --out"):
        run_sweep(PAGE, out=tmp_path / "nowhere", grow=True)
    with pytest.raises(SweepError, match="grow=True needs the store that is to grow"):
        run_sweep(PAGE, grow=True)
    with pytest.raises(SweepError, match="grow and fresh exclude each other"):
        run_sweep(PAGE, out=tmp_path / "nowhere", grow=True, fresh=True)


def test_the_error_for_another_size_names_grow(store: Path) -> None:
    with pytest.raises(SweepError, match="differs in axes, epochs: --grow trains what the page has more, --fresh"):
        run_sweep(replace(PAGE, axes=MORE_SEEDS, epochs=20), out=store)
    with pytest.raises(SweepError, match="differs in model: --fresh"):
        run_sweep(replace(PAGE, model=MLP(width=7, depth=2)), out=store)


def test_what_a_grown_store_fixes_of_its_plan_is_read_again(store: Path) -> None:
    grown = replace(PAGE, axes=zipped(seed=range(3), data_seed=(0, 0, 0)) * grid(learning_rate=(1e-3, 1e-2)), epochs=16)
    run_sweep(grown, out=store, grow=True)
    fixed = provenance.fixed_by(stores.check(store))
    assert fixed.earlier_epochs == (12,)
    assert fixed.held is not None
    np.testing.assert_array_equal(fixed.held, [True, True, True, True, False, False])
    assert fixed.keep == "state"
