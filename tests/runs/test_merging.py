"""Merging stores: one grid of what all have, equal lanes once, and refusals that name the lane or what differs."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from sweep import Record, every, grid, log_spaced, open_results, run_sweep, zipped
from sweep.base.errors import SweepError
from sweep.merge import main
from sweep.results import store as stores
from sweep.results.digests.waves import mark_stored
from sweep.results.schema import count_unseen
from sweep.runs import merging
from sweep.runs.composing import fill
from sweep.runs.merging import merge
from sweep.specs import Metric
from tests.faults.growth import at_common_records, networks
from tests.faults.stores import copied
from tests.helpers import tiny
from tests.runs.test_growing import contents

RECORD = Record(metrics=("loss",), at=every(4), snapshots=2)
ATTRIBUTES = {"page": "experiments/page.py", "arguments": "[]"}


def page(seeds=range(2), rates=(1e-3, 1e-2), **changes: Any) -> Any:
    axes = zipped(seed=seeds, data_seed=seeds) * grid(learning_rate=rates)
    return tiny(**{"axes": axes, "record": RECORD} | changes)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stores of two halves of a sweep that have a seed in common, and of the whole."""
    path = tmp_path_factory.mktemp("merged")
    for name, seeds in (("mine", range(2)), ("hers", range(1, 3)), ("whole", range(3))):
        run_sweep(page(seeds), out=path / name, attributes=ATTRIBUTES)
    return path


def test_halves_make_the_whole(folder: Path, tmp_path: Path) -> None:
    before = contents(folder)
    merge([folder / "hers", folder / "mine"], tmp_path / "both")
    ds, whole = open_results(tmp_path / "both"), open_results(folder / "whole")
    assert at_common_records(ds, whole) == at_common_records(whole, ds)
    assert networks(tmp_path / "both") == networks(folder / "whole")
    assert ds.attrs["complete"]
    assert stores.damages(tmp_path / "both") == []
    for name in ("lane_steps", "arithmetic", "experiment", "dimensions", "device", "page"):
        assert ds.attrs[name] == whole.attrs[name]
    assert [each["created"] for each in json.loads(ds.attrs["sources"])] == [
        stores.check(folder / name)["created"] for name in ("hers", "mine")
    ]
    assert contents(folder) == before


def test_what_nobody_ran_is_trained_or_grown_later(folder: Path, tmp_path: Path) -> None:
    run_sweep(page((0,), (1.0,)), out=tmp_path / "other", attributes=ATTRIBUTES)
    merge([folder / "mine", tmp_path / "other"], tmp_path / "both")
    ds = open_results(tmp_path / "both")
    assert dict(ds.sizes)["learning_rate"] == 3
    assert count_unseen(ds) == 1
    assert int(ds.status.sel(seed=1, learning_rate=1.0)) == 0
    wanted = page(range(2), (1e-3, 1e-2, 1.0))
    resumed, whole = run_sweep(wanted, out=tmp_path / "both", resume=True), run_sweep(wanted)
    assert at_common_records(resumed, whole) == at_common_records(whole, resumed)
    longer = replace(wanted, epochs=16)
    grown, whole = run_sweep(longer, out=tmp_path / "both", grow=True), run_sweep(longer)
    assert at_common_records(grown, whole) == at_common_records(whole, grown)


def test_of_incomplete_stores_the_waves_that_have_ended_are_taken(folder: Path, tmp_path: Path) -> None:
    path = copied(folder / "mine", tmp_path / "mine")
    with stores.hold(path) as lock:
        store = stores.Store(path, lock)
        start, stop = 0, store.layout("status")[0][0]
        store.set_attributes(complete=False)
        store.begin(start, stop)  # as if it had just begun
    merge([path, folder / "hers"], tmp_path / "both")
    ds = open_results(tmp_path / "both")
    assert (ds.status.sel(seed=0) == 0).all()
    assert (ds.status.sel(seed=[1, 2]) == 2).all()
    assert not ds.attrs["complete"]


def changed(path: Path, seed: int) -> None:
    """Change one number of a store, with digests that fit."""
    group: Any = zarr.open_group(path, mode="r+")
    place = int(np.flatnonzero(np.asarray(group["seed"][:]) == seed)[0])
    group["loss"][place, 1] += 1e-6
    mark_stored(path, (0, group["loss"].shape[0]))


def test_lanes_that_differ_are_named_unless_one_store_is_preferred(folder: Path, tmp_path: Path) -> None:
    hers = copied(folder / "hers", tmp_path / "hers")
    changed(hers, seed=1)
    words = r"mine and .*hers differ in lane seed=1,data_seed=1,learning_rate=0.001: --prefer names the store"
    with pytest.raises(SweepError, match=words):
        merge([folder / "mine", hers], tmp_path / "both")
    assert not (tmp_path / "both").exists()
    for number, name in enumerate((folder / "mine", hers)):
        merge([folder / "mine", hers], tmp_path / f"both{number}", prefer=name)
        ds, preferred = open_results(tmp_path / f"both{number}"), open_results(name)
        assert ds.loss.sel(seed=1).values.tobytes() == preferred.loss.sel(seed=1).values.tobytes()


def test_a_preferred_store_settles_nothing_about_lanes_that_it_lacks(folder: Path, tmp_path: Path) -> None:
    hers = copied(folder / "hers", tmp_path / "hers")
    changed(hers, seed=2)
    stores_of_three = [folder / "mine", folder / "hers", hers]
    with pytest.raises(SweepError, match=r"hers and .*hers differ in lane seed=2,data_seed=2,learning_rate=0.001"):
        merge(stores_of_three, tmp_path / "both", prefer=folder / "mine")
    merge(stores_of_three, tmp_path / "both", prefer=hers)
    assert (
        open_results(tmp_path / "both").loss.sel(seed=2).values.tobytes()
        == open_results(hers).loss.sel(seed=2).values.tobytes()
    )


def test_a_store_that_grows_while_it_is_merged_is_refused(folder: Path, tmp_path: Path, monkeypatch) -> None:
    hers = copied(folder / "hers", tmp_path / "hers")

    def filled(*args: Any) -> None:
        fill(*args)
        run_sweep(page(range(1, 4)), out=hers, grow=True)

    monkeypatch.setattr(merging, "fill", filled)
    with pytest.raises(SweepError, match="hers has changed while it was merged: merge it again"):
        merge([folder / "mine", hers], tmp_path / "both")
    assert not (tmp_path / "both").exists()


def test_a_union_stays_a_union(tmp_path: Path) -> None:
    """Its store is that of the page, which trains what is missing."""
    union = grid(learning_rate=(1e-3,), width=(3,)) + grid(learning_rate=(1e-2,), depth=(1,))
    for number in range(2):
        run_sweep(page(axes=grid(seed=(number,)) * union), out=tmp_path / str(number))
    merge([tmp_path / "0", tmp_path / "1"], tmp_path / "both")
    told: list[Any] = []
    ds = run_sweep(page(axes=grid(seed=range(2)) * union), out=tmp_path / "both", resume=True, watch=told.append)
    assert told == []
    assert ds.sizes["point"] == 2


def with_attributes(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    with stores.hold(path) as lock:
        store = stores.Store(path, lock)
        attributes = store.attributes()
        change(attributes)
        store.set_attributes(**attributes)


def other(name: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(attributes: dict[str, Any]) -> None:
        attributes["arithmetic"] = json.dumps(json.loads(attributes["arithmetic"]) | {name: value})

    return change


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (other("jaxlib", "0.9.9"), r"hers was computed with jaxlib 0\.9\.9, .*mine with "),
        (other("engine", 1), r"hers was computed with engine 1, .*mine with "),
        (other("device", "H100 (gpu, x86_64)"), r"hers was computed with device H100 \(gpu, x86_64\)"),
        (other("tiles", [3]), "hers was computed in other tiles or blocks than this version has"),
        (lambda attributes: attributes.update(schema=1), "hers is of schema 1, and stores of schema 2 can be merged"),
    ],
)
def test_stores_that_were_computed_otherwise_are_refused(folder: Path, tmp_path: Path, change, words: str) -> None:
    hers = copied(folder / "hers", tmp_path / "hers")
    with_attributes(hers, change)
    with pytest.raises(SweepError, match=words):
        merge([folder / "mine", hers], tmp_path / "both", prefer=folder / "mine")
    assert not (tmp_path / "both").exists()


@pytest.mark.parametrize(
    ("experiment", "words"),
    [
        (page(range(2, 4), epochs=8), "differs in epochs: only stores that differ in their axes can be merged"),
        (page(range(2, 4), precision="float64"), "differs in precision"),
        (page(range(2, 4), record=Record(metrics=("loss",), at=log_spaced(3), snapshots=2)), "differs in record"),
        (page(axes=grid(seed=range(2), learning_rate=(1e-3,))), "one sweeps seed with other knobs than the other"),
    ],
)
def test_stores_of_other_questions_are_refused(folder: Path, tmp_path: Path, experiment, words: str) -> None:
    run_sweep(experiment, out=tmp_path / "other")
    with pytest.raises(SweepError, match=words) as caught:
        merge([folder / "mine", tmp_path / "other"], tmp_path / "both")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "both").exists()


def test_stores_of_a_page_with_code_need_the_page(tmp_path: Path) -> None:
    own = Record(metrics=("loss",), own=(Metric("twice", lambda moment: 2 * moment.loss),), at=every(4), snapshots=0)
    for name, seeds in (("mine", (0,)), ("hers", (1,))):
        run_sweep(page(seeds, record=own), out=tmp_path / name)
    pair = [tmp_path / "mine", tmp_path / "hers"]
    with pytest.raises(SweepError, match=r"mine can't be merged: .* name its page with --page PAGE"):
        merge(pair, tmp_path / "both")
    with pytest.raises(SweepError, match=r"the page .* is not that of .*mine, it differs in record"):
        merge(pair, tmp_path / "both", page=page())
    merge(pair, tmp_path / "both", page=page(range(7), record=own))
    ds, whole = open_results(tmp_path / "both"), run_sweep(page(range(2), record=own))
    assert at_common_records(ds, whole) == at_common_records(whole, ds)


def test_the_command_says_what_the_store_has(folder: Path, tmp_path: Path, capsys) -> None:
    both = tmp_path / "both"
    main([str(folder / "mine"), str(folder / "hers"), "--out", str(both)])
    assert capsys.readouterr().out == f"merged {folder / 'mine'}, {folder / 'hers'} into {both}: 6 of 6 lanes\n"
    with pytest.raises(SweepError, match=r"inside lies in .*mine, which is a store: name another place"):
        main([str(folder / "mine"), str(folder / "hers"), "--out", str(folder / "mine" / "inside")])
    with pytest.raises(SweepError, match="both exists: name another place with --out"):
        main([str(folder / "mine"), str(folder / "hers"), "--out", str(both)])
    run_sweep(page((0,), (1.0,)), out=tmp_path / "other", attributes=ATTRIBUTES)
    main([str(folder / "mine"), str(tmp_path / "other"), "--out", str(tmp_path / "more")])
    said = capsys.readouterr().out
    assert "5 of 6 lanes" in said
    assert (
        f"`python -m sweep.run experiments/page.py --out {tmp_path / 'more'} --grow` trains the others, once its page"
        in said
    )


@pytest.mark.parametrize(
    ("names", "options", "words"),
    [
        (["mine"], [], "there is nothing to merge with .*mine: name two stores or more"),
        (["mine", "mine"], [], "a store is named twice"),
        (["mine", "hers"], ["--prefer", "nobody"], "--prefer names nobody, which is none of the stores"),
        (["mine", "nowhere"], [], "no store at .*nowhere"),
    ],
)
def test_bad_command_lines_are_refused(folder: Path, tmp_path: Path, names, options, words: str) -> None:
    with pytest.raises(SweepError, match=words):
        main([*(str(folder / name) for name in names), "--out", str(tmp_path / "both"), *options])
    assert not (tmp_path / "both").exists()
