"""Damage is noticed in any file, and repaired: what is trained again has the same bits."""

import json
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import zarr
from helpers import tiny

from sweep import Metric, Record, SweepError, grid, log_spaced, open_results, run_sweep, zipped
from sweep import check as command
from sweep.base.labels import RUNNING
from sweep.base.signals import Terminated
from sweep.cli.command import run_guarded
from sweep.engine.plan import Fixed
from sweep.files.safe_files import remove
from sweep.page.experiment import Experiment
from sweep.results import digests
from sweep.results import store as stores
from sweep.results.digests import checkpoints, damage, hashes, layout
from sweep.results.digests.folder import FOLDER, wave_file, write_json
from sweep.results.digests.waves import count_records
from sweep.runs import wave_writer
from sweep.runs.coordinator import Coordinator
from sweep.runs.layout import create
from sweep.runs.planning import plan_sweep
from sweep.runs.progress import Progress
from sweep.runs.shares import Share
from sweep.runs.wave_writer import WaveWriter
from sweep.specs import Target

AXES = zipped(seed=range(8), data_seed=range(8)) * grid(learning_rate=(1e-3, 1e-2))
RUNNING_AT = 4  # place of the first lane of the wave in which a stopped run stands
CHECKPOINT = f"checkpoint-{RUNNING_AT:010d}"
# One metric and the predictions have a file of every kind, and tests read all files again and again.
EXPERIMENT = tiny(axes=AXES, record=Record(metrics=("loss",), at=log_spaced(3), snapshots=2))


def filled(path: Path, experiment: Experiment, *, stop_after: int | None = None) -> Path:
    """Run an experiment in four waves of two chunks each, or stop it after a number of segments and save."""
    create(
        plan_sweep(experiment, fixed=Fixed(4, 2)),
        path,
        {"page": "page.py", "arguments": json.dumps(["--epochs", "6"])},
    )
    plan = plan_sweep(experiment, fixed=Fixed(4, 2))
    if stop_after is None:
        Coordinator(Share(plan, stores.Store(path)), lambda told: None).run()
        return path
    segments: list[Progress] = []

    def stop(told: Progress) -> None:
        if told.stage == "training":
            segments.append(told)
        if len(segments) == stop_after:
            signal.raise_signal(signal.SIGTERM)

    with pytest.raises(Terminated):
        Coordinator(Share(plan, stores.Store(path)), stop).run()
    return path


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return filled(tmp_path_factory.mktemp("whole") / "store", EXPERIMENT)


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store in which the first waves are stored and the next one has a checkpoint."""
    path = filled(tmp_path_factory.mktemp("stopped") / "store", EXPERIMENT, stop_after=7)
    assert (path / CHECKPOINT).is_file()
    assert {len(json.loads(each.read_text())) for each in (path / "digests").glob("wave-*")} == {2, 3}
    return path


def files(store: Path) -> list[str]:
    return sorted(str(path.relative_to(store)) for path in store.rglob("*") if path.is_file())


def copied(store: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(store, tmp_path / "copy"))


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)


def halve(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def append(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\0")


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def link(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


HARMS = (flip, halve, append, Path.unlink, pipe, link, folder)
FREE = ("lock",)  # holds nothing


@contextmanager
def harmed(store: Path, file: str, harm: Callable) -> Iterator[None]:
    """Damage one file of a store, and put it back afterwards."""
    path, content = store / file, (store / file).read_bytes()
    harm(path)
    yield
    remove(path)
    remove(path.with_name("elsewhere"))
    path.write_bytes(content)


@pytest.mark.parametrize("harm", HARMS)
def test_damage_of_any_file_of_a_complete_store_is_noticed(whole: Path, tmp_path: Path, harm: Callable) -> None:
    path = copied(whole, tmp_path)
    for file in files(whole)[:: 1 if harm in (flip, Path.unlink) else 7]:
        if file not in FREE:
            with harmed(path, file, harm), pytest.raises(SweepError) as refused:
                open_results(path)
            assert "\n" not in str(refused.value)
    xr.testing.assert_identical(open_results(path), open_results(whole))


def test_swapped_chunks_are_noticed(whole: Path, tmp_path: Path) -> None:
    path = copied(whole, tmp_path)
    first, second = (path / "loss" / "c" / str(number) / "0" for number in (0, 1))
    one, other = first.read_bytes(), second.read_bytes()
    assert one != other
    first.write_bytes(other)
    second.write_bytes(one)
    with pytest.raises(SweepError, match=r"is damaged: loss/c/0/0 is not what was written \(and 1 more\)"):
        open_results(path)


def test_a_chunk_in_place_of_fill_values_is_noticed(whole: Path, tmp_path: Path) -> None:
    path = copied(whole, tmp_path)
    assert not (path / "first_bad_epoch" / "c").exists()  # no lane was lost, so nothing was written
    (path / "first_bad_epoch" / "c").mkdir()
    shutil.copyfile(path / "learning_rate" / "c" / "0", path / "first_bad_epoch" / "c" / "0")
    with pytest.raises(SweepError, match=r"first_bad_epoch/c/0 is not what was written"):
        open_results(path)


# An incomplete store may lack these, so that their loss cannot be noticed; what they held is trained again.
UNNOTICED = (CHECKPOINT, "heartbeat.json")


def is_refused(path: Path) -> bool:
    try:
        stores.verify(path)
    except SweepError as error:
        return "\n" not in str(error)
    return False


def test_damage_of_any_file_of_an_incomplete_store_is_noticed(stopped: Path, tmp_path: Path) -> None:
    path, unseen = copied(stopped, tmp_path), set()
    for file in files(stopped):
        for harm in (flip, Path.unlink):
            with harmed(path, file, harm):
                if not is_refused(path):
                    unseen.add((file, harm.__name__))
    allowed = {(file, "flip") for file in (*FREE, "heartbeat.json")}  # the latter is only believed if it is whole
    lost = {file for file, how in unseen - allowed if how == "unlink"}
    assert unseen - allowed == {(file, "unlink") for file in lost}
    assert all(file in (*FREE, *UNNOTICED) or file.startswith("status/c/") for file in lost), lost


def test_the_lanes_of_a_running_wave_are_running_whatever_is_lost(stopped: Path, tmp_path: Path) -> None:
    path = copied(stopped, tmp_path)
    running = max(int(each.stem.removeprefix("wave-")) for each in (path / "digests").glob("wave-*"))
    before = open_results(path).status
    (path / "status" / "c" / str(running // 2)).unlink()
    xr.testing.assert_identical(open_results(path).status, before)
    assert RUNNING in before


@pytest.mark.parametrize("file", UNNOTICED)
def test_a_loss_that_cannot_be_noticed_in_an_incomplete_store_is_trained_again(
    whole: Path, stopped: Path, tmp_path: Path, file: str
) -> None:
    path = copied(stopped, tmp_path)
    (path / file).unlink()
    ds = run_sweep(EXPERIMENT, out=path, resume=True)
    xr.testing.assert_identical(ds.drop_attrs(deep=False), open_results(whole).drop_attrs(deep=False))


def test_a_folder_in_place_of_a_heartbeat_does_not_stop_a_run(whole: Path, stopped: Path, tmp_path: Path) -> None:
    path = copied(stopped, tmp_path)
    (path / "heartbeat.json").unlink()
    (path / "heartbeat.json" / "more").mkdir(parents=True)
    ds = run_sweep(EXPERIMENT, out=path, resume=True)
    xr.testing.assert_identical(ds.drop_attrs(deep=False), open_results(whole).drop_attrs(deep=False))


@pytest.mark.parametrize("wave", [0, -1])
def test_lost_digests_of_a_wave_are_noticed_while_it_has_chunks(
    whole: Path, stopped: Path, tmp_path: Path, wave: int
) -> None:
    path = copied(stopped, tmp_path)
    sorted((path / "digests").glob("wave-*"))[wave].unlink()
    assert is_refused(path)
    assert check(path, "--repair") == 0
    ds = run_sweep(EXPERIMENT, out=path, resume=True)
    xr.testing.assert_identical(ds.drop_attrs(deep=False), open_results(whole).drop_attrs(deep=False))


def test_records_after_the_last_checkpoint_are_no_damage(whole: Path, stopped: Path, tmp_path: Path) -> None:
    path = copied(stopped, tmp_path)
    group = zarr.open_group(path, mode="r+")
    running = 4 * len(list((path / "digests").glob("wave-*"))) - 4
    later = np.asarray(group["loss"][running : running + 4])
    later[:, -1] = 7.0  # of a record that the checkpoint does not count on
    group["loss"][running : running + 4] = later
    ds = run_sweep(EXPERIMENT, out=path, resume=True)
    xr.testing.assert_identical(ds.drop_attrs(deep=False), open_results(whole).drop_attrs(deep=False))


def test_the_records_of_a_running_wave_up_to_its_checkpoint_are_verified(stopped: Path, tmp_path: Path) -> None:
    path = copied(stopped, tmp_path)
    group = zarr.open_group(path, mode="r+")
    running = 4 * len(list((path / "digests").glob("wave-*"))) - 4
    earlier = np.asarray(group["loss"][running : running + 4])
    earlier[1, 0] *= 1.5
    group["loss"][running : running + 4] = earlier
    with pytest.raises(
        SweepError, match="the wave that was running at place 4 does not hold what it did at its checkpoint"
    ):
        run_sweep(EXPERIMENT, out=path, resume=True)


def check(path: Path, *options: str) -> int:
    """Run the command, and return its exit code, which says whether it found damage."""
    try:
        return run_guarded(command.main, [str(path), *options])
    except SystemExit as leaving:
        return int(leaving.code or 0)


# A file of each kind that is repaired in its own way, and then other harms to them and other files of these kinds.
MENDED = (
    ("loss/c/1/0", flip),
    ("learning_rate/c/0", pipe),
    ("loss/zarr.json", Path.unlink),
    ("zarr.json", flip),
    ("digests/layout.json", flip),
    ("digests/wave-0000000004.json", folder),
    ("status/c/0", folder),
    ("lane/c/2", link),
)
MENDED_ALIKE = (
    *(("loss/c/1/0", pipe), ("learning_rate/c/0", flip), ("zarr.json", Path.unlink), ("epoch/c/0", Path.unlink)),
    *(("digests/layout.json", pipe), ("digests/wave-0000000004.json", Path.unlink)),
)


@pytest.mark.parametrize(
    ("kind", "harm"), [*MENDED, *(pytest.param(*each, marks=pytest.mark.slow) for each in MENDED_ALIKE)]
)
def test_damage_is_named_and_repaired(
    whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str, harm: Callable
) -> None:
    path = copied(whole, tmp_path)
    harm(path / kind)
    with pytest.raises(SweepError, match=r"is damaged: .*`python -m sweep\.check .*--repair$"):
        open_results(path)
    with pytest.raises(SweepError, match=r"is damaged: .*`python -m sweep\.check .*--repair$"):
        run_sweep(EXPERIMENT, out=path, resume=True)
    assert check(path) == 1
    assert f"{kind} " in capsys.readouterr().out
    assert check(path, "--repair") == 0
    assert check(path) == 0
    lost = kind in ("loss/c/1/0", "status/c/0", "digests/wave-0000000004.json")
    told = capsys.readouterr().out
    assert (f"repaired; `python -m sweep.run page.py --epochs 6 --out {path} --resume` trains" in told) == lost
    assert (f"repaired; {path} is undamaged" in told) != lost
    ds = run_sweep(EXPERIMENT, out=path, resume=True)
    assert ds.attrs["complete"]
    xr.testing.assert_identical(ds.drop_attrs(deep=False), open_results(whole).drop_attrs(deep=False))


def test_only_a_damaged_wave_is_trained_again(whole: Path, tmp_path: Path) -> None:
    path = copied(whole, tmp_path)
    flip(path / "loss" / "c" / "2" / "0")  # of the second wave
    assert check(path, "--repair") == 0
    lost = stores.read(path).status.values
    assert (lost[:4] == 2).all()
    assert (lost[4:8] == 0).all()
    assert (lost[8:] == 2).all()


def test_a_damaged_checkpoint_is_dropped(whole: Path, stopped: Path, tmp_path: Path) -> None:
    path = copied(stopped, tmp_path)
    flip(path / CHECKPOINT)
    assert check(path) == 1
    assert check(path, "--repair") == 0
    assert not (path / CHECKPOINT).exists()
    ds = run_sweep(EXPERIMENT, out=path, resume=True)
    xr.testing.assert_identical(ds.drop_attrs(deep=False), open_results(whole).drop_attrs(deep=False))


def test_coordinates_of_a_page_with_code_are_repaired_with_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.py"
    page.write_text(
        "from sweep import MLP, Experiment, Metric, Record, SumOfSines, grid, log_spaced\n"
        "def double(moment):\n    return 2 * moment.loss\n"
        "experiment = Experiment(question='q', task=SumOfSines(points=16), model=MLP(width=4, depth=1), epochs=3,\n"
        "    axes=grid(seed=range(2)), record=Record(metrics=('loss',), own=(Metric('double', double),),\n"
        "    at=log_spaced(2), snapshots=0))\n"
    )
    from sweep import load

    path = tmp_path / "store"
    expected = run_sweep(load(page), out=path)
    flip(path / "seed" / "c" / "1")
    assert check(path, "--repair") == 2
    assert "uses code of its page, in a Metric: name it with --page PAGE" in capsys.readouterr().err
    assert check(path, "--repair", "--page", str(page)) == 0
    xr.testing.assert_identical(open_results(path), expected)


def test_stopped_lanes_and_the_date_of_their_end_are_digested(tmp_path: Path) -> None:
    """The dates are written when a wave ends; they count as its chunks."""
    path = filled(tmp_path / "store", replace(EXPERIMENT, stop=Target(1e9)))
    flip(path / "stop_epoch" / "c" / "0")
    with pytest.raises(SweepError, match="stop_epoch/c/0 is not what was written"):
        open_results(path)


def test_a_metric_that_is_nan_everywhere_is_complete(tmp_path: Path) -> None:
    never = Metric("never", lambda moment: moment.loss * float("nan"))
    ds = run_sweep(
        replace(EXPERIMENT, axes=grid(seed=(0, 1)), record=Record(("loss",), own=(never,), at=log_spaced(2))),
        out=tmp_path / "store",
    )
    assert ds.attrs["complete"]
    assert np.isnan(ds.never).all()


def test_attributes_can_be_changed_and_an_interrupted_change_is_no_damage(whole: Path, tmp_path: Path) -> None:
    path = copied(whole, tmp_path)
    before = (path / "zarr.json").read_bytes()
    stores.Store(path).set_attributes(question="Other?")
    stores.verify(path)
    layout = json.loads((path / "digests" / "layout.json").read_text())
    layout["files"]["zarr.json"].append(digests.hash_bytes(before))  # as it stands while a change is under way
    (path / "digests" / "layout.json").write_text(json.dumps(layout))
    for content in (before, (path / "zarr.json").read_bytes()):
        (path / "zarr.json").write_bytes(content)
        stores.verify(path)


def test_the_check_refuses_a_folder_that_is_no_store(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(tmp_path) == 2
    assert "is not a store of sweep" in capsys.readouterr().err
    assert check(tmp_path / "nothing", "--page", "page.py") == 2


def aged(store: Path, tmp_path: Path, **attributes: object) -> Path:
    """Give a store as the version before digests would have written it."""
    path = copied(store, tmp_path)
    shutil.rmtree(path / "digests")
    (path / CHECKPOINT).unlink(missing_ok=True)
    root = json.loads((path / "zarr.json").read_text())
    root["attributes"] |= {"schema": 1} | attributes
    (path / "zarr.json").write_text(json.dumps(root))
    return path


def test_an_older_store_opens_and_says_that_damage_is_not_noticed(
    whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = aged(whole, tmp_path)
    with pytest.warns(UserWarning, match="has no digests, as it is of schema 1: damage is not noticed"):
        ds = open_results(path)
    xr.testing.assert_identical(ds.drop_attrs(deep=False), open_results(whole).drop_attrs(deep=False))
    assert check(path) == 0
    assert "has no digests" in capsys.readouterr().out


def test_an_older_incomplete_store_gets_digests_when_it_is_resumed(whole: Path, stopped: Path, tmp_path: Path) -> None:
    path = aged(stopped, tmp_path, complete=False)
    with pytest.warns(UserWarning, match="has no digests"):
        ds = run_sweep(EXPERIMENT, out=path, resume=True)
    xr.testing.assert_identical(ds.drop_attrs(deep=False), open_results(whole).drop_attrs(deep=False))
    assert stores.check(path)["schema"] == 2
    assert check(path) == 0


def test_a_checkpoint_of_another_store_is_damage_and_one_of_before_is_not(stopped: Path, tmp_path: Path) -> None:
    path = copied(stopped, tmp_path)
    root = json.loads((path / "zarr.json").read_text())
    root["attributes"]["created"] = "2001-01-01T00:00:00Z"  # as if another sweep had written the checkpoint
    (path / "zarr.json").write_text(json.dumps(root))
    assert [damage.what for damage in checkpoints.checkpoint_damages(path)] == ["is not what was written"]
    with (path / CHECKPOINT).open("r+b") as file:  # as digests were computed before
        digest = hashes.hash_rest(file, hashes.DIGEST_BYTES)
        file.seek(0)
        file.write(digest.encode())
    assert checkpoints.checkpoint_damages(path) == []


def test_a_checkpoint_that_a_run_replaces_meanwhile_is_no_damage(
    stopped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = copied(stopped, tmp_path)
    arrays = stores.Store(path).load_checkpoint(RUNNING_AT)
    assert arrays is not None
    digested = checkpoints.hash_rest

    def replaced_then(file, skip: int, key: bytes = b"") -> str:
        found = digested(file, skip, key)
        monkeypatch.setattr(checkpoints, "hash_rest", digested)
        stores.Store(path).save_checkpoint(RUNNING_AT, arrays | {"done": arrays["done"] + 1})
        return found

    monkeypatch.setattr(checkpoints, "hash_rest", replaced_then)
    before = (path / CHECKPOINT).read_bytes()
    assert not checkpoints.checkpoint_damages(path)
    assert (path / CHECKPOINT).read_bytes() != before


@pytest.mark.parametrize("harm", [flip, halve, Path.unlink])
def test_every_error_for_damaged_attributes_names_the_command_that_repairs_them(
    whole: Path, stopped: Path, tmp_path: Path, harm: Callable
) -> None:
    for number, store in enumerate((whole, stopped)):
        path = copied(store, tmp_path / str(number))
        harm(path / "zarr.json")
        for refused in (open_results, stores.check, lambda store: run_sweep(EXPERIMENT, out=store, resume=True)):
            with pytest.raises(SweepError, match=r"zarr\.json .*`python -m sweep\.check .*--repair"):
                refused(path)


@pytest.mark.parametrize("harm", [flip, *(pytest.param(each, marks=pytest.mark.slow) for each in (halve, Path.unlink))])
def test_a_store_whose_attributes_are_damaged_can_be_moved_aside(whole: Path, tmp_path: Path, harm: Callable) -> None:
    path = copied(whole, tmp_path)
    harm(path / "zarr.json")
    ds = run_sweep(EXPERIMENT, out=path, fresh=True)
    assert ds.attrs["complete"]
    assert (tmp_path / "copy.old-1" / "loss").is_dir()


def signed(path: Path, **changes: object) -> None:
    """Change the digests of the layout, as anybody who makes a store can."""
    place = path / "digests" / "layout.json"
    place.write_text(json.dumps(json.loads(place.read_text()) | changes))


def test_digests_with_wrong_content_are_refused(stopped: Path, tmp_path: Path) -> None:
    path = copied(stopped, tmp_path)
    running = next(each for each in (path / "digests").glob("wave-*") if "curves" in json.loads(each.read_text()))
    content = json.loads(running.read_text())
    for record in (-(10**6), 10**6, -1):
        running.write_text(json.dumps(content | {"record": record}))
        assert is_refused(path)
        assert check(path) == 1
    running.write_text(json.dumps(content))
    layout = json.loads((path / "digests" / "layout.json").read_text())
    for waves in (["nothing"], ["lane"], ["../copy/loss"], [""], ["epoch", *layout["waves"]], ["c"]):
        signed(path, waves=waves)
        assert is_refused(path), waves
        assert check(path) in (1, 2), waves


def test_a_store_without_its_folder_of_digests_is_damaged(whole: Path, tmp_path: Path) -> None:
    path = copied(whole, tmp_path)
    shutil.rmtree(path / "digests")
    assert is_refused(path)
    assert check(path) == 1
    assert check(path, "--repair") == 0
    ds = run_sweep(EXPERIMENT, out=path, resume=True)
    xr.testing.assert_identical(ds.drop_attrs(deep=False), open_results(whole).drop_attrs(deep=False))


@pytest.mark.parametrize("content", [pytest.param(b"", marks=pytest.mark.slow), b"nonsense", None])
def test_unreadable_files_of_a_wave_without_digests_are_named_and_trained_again(
    whole: Path, stopped: Path, tmp_path: Path, content: bytes | None
) -> None:
    """A killed run leaves chunks without digests; a power failure damages what had not been written to the disk."""
    path = copied(stopped, tmp_path)
    for file in ("loss/c/7/0", "first_bad_epoch/c/7"):
        (path / file).parent.mkdir(parents=True, exist_ok=True)
        (path / file).write_bytes((whole / "loss/c/7/0").read_bytes()[:-1] + b"?" if content is None else content)
    assert is_refused(path)
    assert check(path) == 1
    assert check(path, "--repair") == 0
    ds = run_sweep(EXPERIMENT, out=path, resume=True)
    xr.testing.assert_identical(ds.drop_attrs(deep=False), open_results(whole).drop_attrs(deep=False))


def test_a_wave_that_starts_again_keeps_nothing(whole: Path, stopped: Path, tmp_path: Path) -> None:
    """Its older files may be from another plan, or from a run that was killed during a repair."""
    path = copied(stopped, tmp_path)
    group = zarr.open_group(path, mode="r+")
    for name in ("loss", "first_bad_epoch"):
        group[name][14:16] = 7.0
    curves = WaveWriter(plan_sweep(EXPERIMENT, fixed=Fixed(4, 2)), 3, stores.Store(path))._curves
    assert all(np.isnan(values).all() for name, values in curves._arrays.items() if name != "status")
    assert not (path / "loss" / "c" / "7").exists() or not list((path / "loss" / "c" / "7").iterdir())


def test_an_older_store_gets_all_digests_or_none(
    stopped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = aged(stopped, tmp_path, complete=False)

    def killed(*_: object) -> None:
        raise Terminated

    with monkeypatch.context() as patch:
        patch.setattr(layout, "write_json", killed)
        with pytest.raises(Terminated):
            layout.write_layout(path, ["epoch"], ["loss"])
    with pytest.warns(UserWarning, match="has no digests"):
        stores.read(path)


def test_an_older_store_gets_no_digest_of_a_lost_chunk(whole: Path, stopped: Path, tmp_path: Path) -> None:
    path = aged(stopped, tmp_path, complete=False)
    (path / "loss" / "c" / "0" / "0").unlink()
    with pytest.warns(UserWarning, match="has no digests"):
        ds = run_sweep(EXPERIMENT, out=path, resume=True)
    xr.testing.assert_identical(ds.drop_attrs(deep=False), open_results(whole).drop_attrs(deep=False))


@pytest.mark.parametrize("harm", [flip, halve, Path.unlink, pipe, link])
@pytest.mark.parametrize("file", ["loss/c/1/0", "loss/zarr.json", "learning_rate/c/0", "epoch/c/0"])
def test_every_command_that_finds_damage_names_the_repair(
    whole: Path, stopped: Path, tmp_path: Path, file: str, harm: Callable
) -> None:
    for number, store in enumerate((whole, stopped)):
        path = copied(store, tmp_path / str(number))
        harm(path / file)
        with pytest.raises(SweepError, match=r"`python -m sweep\.check .*--repair"):
            run_sweep(EXPERIMENT, out=path, resume=True)


def test_records_are_those_of_the_same_wave(tmp_path: Path) -> None:
    """Not of a larger one that began at its place, nor of one that has ended."""
    (tmp_path / FOLDER).mkdir()
    write_json(tmp_path / wave_file(4), {"stop": 8, "record": 3, "curves": "x"})
    write_json(tmp_path / wave_file(8), {"stop": 12, "chunks": {}})
    places = ((4, 8), (4, 6), (0, 4), (8, 12))
    assert [count_records(tmp_path, lanes) for lanes in places] == [3, 0, 0, 0]


def test_waves_that_are_halved_after_a_checkpoint_have_separate_digests(
    whole: Path, stopped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory may run out in any wave; what the larger wave had begun never counts as damage."""
    path = copied(stopped, tmp_path)
    monkeypatch.setattr(wave_writer, "SAVE_SECONDS", 0.0)  # a save with each segment
    monkeypatch.setattr(wave_writer, "MOST_SAVE_SECONDS", 0.0)
    plan, seen = plan_sweep(EXPERIMENT, fixed=Fixed(2, 2)), []

    def verify(told: Progress) -> None:
        seen.append(told)
        assert not stores.damages(path)

    Coordinator(Share(plan, stores.Store(path)), verify).run()
    assert len(seen) > len(plan.waves)
    xr.testing.assert_identical(open_results(path).drop_attrs(deep=False), open_results(whole).drop_attrs(deep=False))


def test_a_file_larger_than_any_chunk_is_not_read_for_its_digest(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = copied(whole, tmp_path)
    chunk = next(file for file in files(store) if file.startswith("loss/c/"))
    os.truncate(store / chunk, 2**33)
    read = damage.hash_file
    monkeypatch.setattr(damage, "hash_file", lambda path, *rest: (path != store / chunk or 1 / 0) and read(path, *rest))
    found = [(damage.file, damage.what) for damage in stores.damages(store)]
    assert found == [(chunk, "is larger than a chunk can be")]


def test_a_file_larger_than_any_coordinate_is_not_read_for_its_digest(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = copied(whole, tmp_path)
    os.truncate(store / "seed" / "c" / "1", 2**33)
    monkeypatch.setattr(damage, "hash_file", lambda path: 1 / 0)
    assert [damage.file for damage in stores.damages(store)] == ["seed/c/1"]


def test_a_file_larger_than_any_checkpoint_is_not_read_for_its_digest(
    stopped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = copied(stopped, tmp_path)
    monkeypatch.setattr(checkpoints, "MOST_CHECKPOINT_BYTES", (store / CHECKPOINT).stat().st_size)
    assert not stores.damages(store)
    append(store / CHECKPOINT)
    monkeypatch.setattr(checkpoints, "hash_rest", lambda file, skip: 1 / 0)
    found = [(damage.file, damage.what) for damage in stores.damages(store)]
    assert found == [(CHECKPOINT, "is larger than a checkpoint can be")]
    assert is_refused(store)
    assert check(store, "--repair") == 0
    assert not (store / CHECKPOINT).exists()


def test_a_linked_folder_in_a_store_is_refused_before_any_repair(whole: Path, tmp_path: Path) -> None:
    store = copied(whole, tmp_path)
    shutil.move(store / "loss", tmp_path / "elsewhere")
    (store / "loss").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "zarr.json").write_text("precious")
    assert run_guarded(command.main, [str(store), "--repair"]) == 2
    assert (tmp_path / "elsewhere" / "zarr.json").read_text() == "precious"


def test_an_older_store_is_refused_in_one_line(whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The warning that it has no digests is only for stores that can be read."""
    from sweep import plot

    path = aged(whole, tmp_path)
    shutil.rmtree(path / "loss" / "c")
    assert run_guarded(plot.main, [str(path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "finished lanes have no values of loss" in line
