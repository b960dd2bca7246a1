"""Stores: laid out completely or not at all, written in complete chunks, and refused in one line when damaged."""

import json
import os
import shutil
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from sweep import SweepError, open_results
from sweep.base.labels import SCHEMA, STORE_FILES
from sweep.files.locks import LOCK
from sweep.results import dataset
from sweep.results import store as stores
from sweep.results.store import Store


def skeleton(lanes: int = 6) -> xr.Dataset:
    loss = (("lane", "epoch"), np.broadcast_to(np.float32(np.nan), (lanes, 3)))
    dimensions = json.dumps([["seed", lanes, ["seed"]]])
    coords = {
        "lane": np.arange(lanes)[::-1],
        "epoch": [0.0, 1.0, 2.0],
        "seed": ("lane", np.arange(lanes)[::-1] * 10),
    }
    variables = {
        "loss": loss,
        "status": ("lane", np.zeros(lanes, np.int8)),
        "first_bad_epoch": ("lane", np.full(lanes, np.nan)),
    }
    return xr.Dataset(variables, coords, {"dimensions": dimensions, "schema": SCHEMA})


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return stores.create(tmp_path / "store", skeleton(), 2, {"name": "page"})


@pytest.mark.core
def test_lanes_written_out_of_order_come_back_as_a_grid(store: Store) -> None:
    values = np.arange(18, dtype=np.float32).reshape(6, 3)
    store.begin(0, 6)
    store.write("loss", 2, values[2:])
    store.write("loss", 0, values[:2])
    ds = open_results(store.path)
    assert ds.loss.dims == ("seed", "epoch")
    assert ds.seed.values.tolist() == [0, 10, 20, 30, 40, 50]
    np.testing.assert_array_equal(ds.loss.values, values[::-1])
    assert ds.loss.sel(seed=50, epoch=0.0) == 0


def test_after_a_write_that_failed_nothing_more_is_written(tmp_path: Path) -> None:
    store = stores.create(tmp_path / "store", skeleton(64), 2, {})
    store.begin(0, 64)
    (store.path / "loss/c/0/0").mkdir(parents=True)  # where the first chunk's file belongs
    with pytest.raises(OSError, match="c/0"):
        store.write("loss", 0, np.zeros((64, 3), np.float32))
    time.sleep(0.2)
    assert [path.name for path in (store.path / "loss/c").iterdir()] == ["0"]


def test_opening_reads_block_by_block_and_holds_nothing_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dataset, "_BLOCK_BYTES", 2**20)
    lanes, chunk, shape = 2560, 64, (10, 100)
    order = np.full(lanes + chunk, -1)  # a chunk of empty places in the middle, as at the end of a wave
    order[: 20 * chunk] = np.random.default_rng(0).permutation(lanes)[: 20 * chunk]
    order[21 * chunk :] = np.setdiff1d(np.arange(lanes), order)
    flat = skeleton(len(order)).drop_dims("epoch").assign_coords(lane=order, seed=("lane", order * 10))
    flat = flat.assign_coords(epoch=np.arange(shape[0], dtype=float), x=np.arange(shape[1], dtype=float))
    flat = flat.assign_attrs(dimensions=f'[["seed", {lanes}, ["seed"]]]')
    flat["spatial_error"] = ("lane", "epoch", "x"), np.broadcast_to(np.float32(np.nan), (len(order), *shape))
    store = stores.create(tmp_path / "store", flat, chunk, {})
    store.write("spatial_error", 0, np.broadcast_to(np.float32(order)[:, None, None], flat.spatial_error.shape))
    store.write("status", 0, np.where(order < 0, 0, 2).astype(np.int8))
    store.mark_stored(0, len(order))
    open_results(store.path)  # what is imported once is not counted
    peaks = []
    for _ in range(3):  # what else goes on in this process can only add
        tracemalloc.start()
        ds = open_results(store.path)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert min(peaks) < 1.3 * ds.nbytes
    assert (ds.spatial_error == np.arange(lanes)[:, None, None]).all()
    np.testing.assert_array_equal(ds.seed, np.arange(lanes) * 10)
    assert (ds.status == 2).all()


def test_what_was_not_written_is_nan(store: Store) -> None:
    store.begin(0, 6)
    store.write("loss", 0, np.zeros((2, 3), np.float32))
    flat = stores.read(store.path)
    assert np.isnan(flat.loss.values[2:]).all()
    assert not np.isnan(flat.loss.values[:2]).any()


@pytest.mark.parametrize(("start", "size"), [(1, 2), (0, 3), (4, 1)])
def test_writing_an_incomplete_chunk_is_an_error(store: Store, start: int, size: int) -> None:
    with pytest.raises(AssertionError, match="only complete chunks"):
        store.write("loss", start, np.zeros((size, 3), np.float32))


def test_attributes_survive_being_set(store: Store) -> None:
    store.set_attributes(lane_steps=5)
    assert stores.check(store.path)["lane_steps"] == 5
    assert open_results(store.path).attrs["name"] == "page"


def test_a_checkpoint_comes_back_bit_by_bit(store: Store) -> None:
    assert store.load_checkpoint(2) is None
    arrays = {"leaf/1": np.array([1.5, np.nan]), "leaf/0": np.arange(12, dtype=np.int32).reshape(3, 4)}
    arrays["0/last/loss"] = np.float32([0.1])
    store.save_checkpoint(2, arrays)
    loaded = store.load_checkpoint(2)
    assert loaded is not None
    assert {name: (own.dtype, own.shape, own.tobytes()) for name, own in loaded.items()} == {
        name: (own.dtype, own.shape, own.tobytes()) for name, own in arrays.items()
    }
    store.clear()
    assert store.load_checkpoint(2) is None


def test_a_checkpoint_that_could_not_be_written_leaves_the_last_one(store: Store) -> None:
    store.save_checkpoint(2, {"place": np.ones(3)})
    with pytest.raises(ValueError, match="Object arrays"):
        store.save_checkpoint(2, {"done": np.zeros(3), "place": np.array([object()])})  # fails mid-way
    loaded = store.load_checkpoint(2)
    assert loaded is not None
    assert list(loaded) == ["place"]


def test_a_store_is_made_completely_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object, **kwargs: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(xr.Dataset, "to_zarr", full)
    with pytest.raises(SweepError, match=r"can't write .*store: No space left on device; name another place"):
        stores.create(tmp_path / "store", skeleton(), 2, {})
    assert not (tmp_path / "store").exists()


def damage_root(path: Path) -> None:
    os.truncate(path / "zarr.json", 50)


def lose_array(path: Path) -> None:
    shutil.rmtree(path / "loss")


def cut_chunk(path: Path) -> None:
    os.truncate(path / "loss" / "c" / "0" / "0", 10)


def lose_chunk(path: Path) -> None:
    (path / "loss" / "c" / "0" / "0").unlink()


def other_schema(path: Path) -> None:
    root = json.loads((path / "zarr.json").read_text())
    root["attributes"]["schema"] = 99
    (path / "zarr.json").write_text(json.dumps(root))


def lose_root(path: Path) -> None:
    (path / "zarr.json").unlink()


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        (damage_root, "is damaged: zarr.json is not what was written; `python -m sweep.check"),
        (lose_array, "is damaged: loss/zarr.json is lost; `python -m sweep.check"),
        (cut_chunk, "is damaged: loss/c/0/0 is not what was written"),
        (lose_chunk, "is damaged: loss/c/0/0 is lost"),
        (other_schema, f"has schema 99, this version reads 1 and {SCHEMA}: use the version of sweep that wrote it"),
        (lose_root, "is damaged: zarr.json is lost; `python -m sweep.check"),
        (shutil.rmtree, "no store at"),
    ],
)
def test_a_damaged_store_is_refused_in_one_line(store: Store, harm: object, told: str) -> None:
    store.write("loss", 0, np.arange(18, dtype=np.float32).reshape(6, 3))
    store.write("status", 0, np.full(6, 2, np.int8))
    store.mark_stored(0, 6)
    open_results(store.path)  # whole so far
    harm(store.path)  # type: ignore[operator]
    with pytest.raises(SweepError) as refused:
        open_results(store.path)
    assert told in str(refused.value)
    assert str(store.path) in str(refused.value)
    assert "\n" not in str(refused.value)


def test_moving_aside_finds_a_free_name_and_takes_only_stores(store: Store, tmp_path: Path) -> None:
    assert stores.move_aside(store.path) == tmp_path / "store.old-1"
    stores.create(tmp_path / "store", skeleton(), 2, {})
    assert stores.move_aside(tmp_path / "store") == tmp_path / "store.old-2"
    (tmp_path / "diary").mkdir()
    with pytest.raises(SweepError, match="diary is not a store"):
        stores.move_aside(tmp_path / "diary")


def test_a_lock_is_released_when_its_process_is_killed(store: Store) -> None:
    code = (
        "import sys, time; from pathlib import Path; from sweep.results import store\n"
        "with store.hold(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
    )
    holder = subprocess.Popen([sys.executable, "-c", code, str(store.path)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(SweepError, match=r"is in use by process [0-9]+ on"), stores.hold(store.path):
        pass
    holder.kill()
    holder.wait(10)
    with stores.hold(store.path):
        pass


def test_the_second_of_two_runs_that_make_one_store_is_refused(store: Store) -> None:
    store.set_attributes(name="first")
    with (
        stores.hold(store.path),
        pytest.raises(SweepError, match=rf"store is in use by process {os.getpid()} on .*: wait until it ends"),
    ):
        stores.create(store.path, skeleton(), 2, {"name": "second"})
    assert stores.check(store.path)["name"] == "first"
    assert os.listdir(store.path.parent) == ["store"]


def test_a_fresh_store_that_cannot_be_made_leaves_the_old_one_where_it_is(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: object, **options: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(xr.Dataset, "to_zarr", full)
    with pytest.raises(SweepError, match=r"can't write .*store: No space left"):
        stores.create(store.path, skeleton(), 2, {}, fresh=True)
    assert os.listdir(store.path.parent) == ["store"]


def test_a_fresh_store_replaces_the_old_one_which_is_no_longer_locked(store: Store) -> None:
    stores.create(store.path, skeleton(), 2, {"name": "second"}, fresh=True)
    assert stores.check(store.path)["name"] == "second"
    aside = store.path.with_name("store.old-1")
    assert stores.check(aside)["name"] == "page"
    assert not (aside / "lock.json").exists()


def test_holding_a_store_removes_what_killed_runs_left(store: Store) -> None:
    before = sorted(store.path.rglob("*"))
    for name in (
        "zarr.json.0123456789abcdef0123456789abcdef.partial",
        "loss/c.0123456789abcdef0123456789abcdef.partial",
    ):
        (store.path / name).touch()
    (store.path / "lock.json.0123456789abcdef").touch()
    (store.path / "my.partial").touch()
    with stores.hold(store.path):
        pass
    assert sorted(store.path.rglob("*")) == sorted([*before, store.path / "lock", store.path / "my.partial"])


def test_no_array_can_have_the_name_of_another_file_of_a_store():
    from sweep.results.digests import FOLDER, checkpoints

    files = {LOCK, FOLDER, checkpoints.SINGLE_CHECKPOINT, stores.HEARTBEAT.partition(".")[0], "figures"}
    assert files == STORE_FILES
