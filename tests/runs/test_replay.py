"""A stored lane trained again has the same bits, whatever else was in its program; a changed number is found."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import zarr
from faults.hostile_stores import sign
from helpers import share_blocks, tiny

from sweep.base.errors import SweepError
from sweep.base.labels import CUT, DIVERGED, FINISHED, NOT_RUN, PLATEAUED, REACHED, RUNNING
from sweep.cli.command import run_guarded
from sweep.cli.replay import replay_lane
from sweep.cli.terminal import Terminal
from sweep.engine import blocks as blocking
from sweep.engine.plan import Fixed, Plan
from sweep.page.axes import grid, lay_out, zipped
from sweep.page.load import load
from sweep.results.dataset import open_results
from sweep.results.distance import distances, has_same_end
from sweep.results.lane_choice import read_lane
from sweep.results.store import Store, check
from sweep.run import main
from sweep.runs import replay as replaying
from sweep.runs.coordinator import Coordinator
from sweep.runs.layout import create
from sweep.runs.planning import plan_sweep
from sweep.runs.replay import isolate_lane, replay
from sweep.runs.runner import run_sweep
from sweep.runs.shares import Share
from sweep.specs import MLP, Halving, Optimizer, Plateau, Record, Target, linear_spaced

LOST = 1e9  # a learning rate at which lanes diverge
EXPERIMENT = tiny(
    axes=zipped(seed=(3, 1, 2, 7), data_seed=(0, 5, 9, 4)) * grid(learning_rate=(1e-2, 0.1, LOST), width=(3, 5, 6)),
    model=MLP(depth=1),
    optimizer=Optimizer("sgd"),
    record=Record(metrics=("loss",), at=linear_spaced(6), snapshots=3),
    batch_size=5,
    epochs=40,
)


def stored(plan: Plan, path: Path) -> Path:
    """Run a plan into a store."""
    create(plan, path)
    Coordinator(Share(plan, Store(path)), lambda progress: None).run()
    return path


def again(experiment, path: Path, **wanted):
    """Train a lane again; give it as stored, and the replay."""
    lane, _ = read_lane(path, {name: str(value) for name, value in wanted.items()})
    return lane, replay(experiment, check(path), int(lane.lane))


def assert_the_same(lane, replayed) -> None:
    """Compare all that is stored of a lane, bit by bit and by `distances`."""
    for name in lane.data_vars:
        bits = replayed.curves[name].reindex_like(lane[name]).values.astype(lane[name].dtype)
        assert bits.tobytes() == lane[name].values.tobytes(), name
    assert all(each.first_difference is None for each in distances(lane, replayed.curves))
    assert has_same_end(lane, replayed.curves)
    assert not replayed.foreign


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory):
    """A store of several programs, a padded block and waves of 8 lanes; planned so as long as the module lasts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocking, "MAX_BLOCKS", 1)
        patch.setattr(blocking, "PADDING", (1.5,))
        plan = plan_sweep(EXPERIMENT, fixed=Fixed(8, 8))
        assert [block.training.padded for block, _ in plan.blocks()] == [True, False]
        assert len(plan.programs) == 2
        assert len(plan.waves) == 5
        yield stored(plan, tmp_path_factory.mktemp("replay") / "store")


@pytest.mark.parametrize(
    ("seed", "rate", "width", "status"),
    [
        (1, 1e-2, 3, FINISHED), (7, 0.1, 5, FINISHED), (3, LOST, 5, DIVERGED),
        *(pytest.param(2, *lane, marks=pytest.mark.slow) for lane in ((1e-2, 6, FINISHED), (LOST, 3, DIVERGED))),
    ],
)  # fmt: skip
def test_a_replayed_lane_of_any_block_and_wave_is_equal_to_the_bit(several, seed, rate, width, status) -> None:
    lane, replayed = again(EXPERIMENT, several, seed=seed, learning_rate=rate, width=width)
    assert int(lane.status) == status
    assert np.isfinite(lane.loss.values).all() == (status == FINISHED)
    assert_the_same(lane, replayed)
    assert replayed.block.training.padded == (width > 3)


@pytest.mark.core  # without optimisation two programs may round differently
@pytest.mark.optimised
def test_a_replayed_lane_of_a_block_that_many_structures_share_is_equal_to_the_bit(tmp_path, monkeypatch) -> None:
    """One of a sine, and one of an activation that has no omega0."""
    kinds = grid(activation=("tanh", "relu")) + grid(activation=("sine",), omega0=(3.0,))
    experiment = replace(EXPERIMENT, axes=grid(seed=(0, 1, 2)) * zipped(width=(3, 5), depth=(3, 1)) * kinds)
    share_blocks(monkeypatch)
    plan = plan_sweep(experiment, fixed=Fixed(8, 8))
    assert sum(1 for _ in plan.blocks()) == 1
    path = stored(plan, tmp_path / "store")
    for wanted in ({"activation": "sine", "depth": 1, "seed": 2}, {"activation": "tanh", "depth": 3, "seed": 0}):
        assert_the_same(*again(experiment, path, **wanted))


def test_an_isolated_lane_has_one_tile_of_its_block_on_one_device(several) -> None:
    plan = plan_sweep(EXPERIMENT)
    tiles = [4, 8]
    lanes = lay_out(EXPERIMENT.axes)
    for lane in range(len(lanes)):
        own = isolate_lane(plan, lane, tiles)
        ((block, members),) = own.blocks()
        ((numbers,),) = (program.numbers for program in own.programs)
        assert members.tolist() == own.order().tolist() == [lane]
        assert (block.tile, block.tiles, own.devices.count) == (4 if block.training.padded else 8, 1, 1)
        assert numbers["seed"].tolist() == [lanes.columns["seed"][lane]]
        assert numbers["width"].tolist() == [lanes.columns["width"][lane]]
        assert own.steps[0].shape == (len(plan.epochs), 1)


def test_the_stored_tile_size_is_used_even_if_another_one_would_be_chosen_now(several, monkeypatch) -> None:
    monkeypatch.setattr(blocking, "tile_size", lambda cost, platform: 2)
    lane, replayed = again(EXPERIMENT, several, seed=1, learning_rate=1e-2, width=3)
    assert replayed.block.tile == 32
    assert_the_same(lane, replayed)


def test_different_arithmetic_is_reported_and_has_its_own_tiles(several, monkeypatch) -> None:
    here = replaying.arithmetic
    monkeypatch.setattr(blocking, "tile_size", lambda cost, platform: 2)
    monkeypatch.setattr(replaying, "arithmetic", lambda plan: here(plan) | {"device": "abacus", "jax": "0.0"})
    monkeypatch.setattr(replaying, "_train", lambda plan, watch: (None, (), np.empty(0)))
    _, replayed = again(EXPERIMENT, several, seed=1, learning_rate=1e-2, width=3)
    kept = json.loads(check(several)["arithmetic"])
    assert replayed.foreign == {
        "device": (kept["device"], "abacus"), "jax": (kept["jax"], "0.0"), "tiles": ([32, 32], [2, 2]),
    }  # fmt: skip
    assert replayed.block.tile == 2


@pytest.mark.parametrize(
    ("rule", "rate", "status"),
    [
        (Target(0.9), 0.1, REACHED),
        (Plateau(8, min_improvement=0.5), 1e-3, PLATEAUED),
        (Halving(first=0.4), 1e-3, CUT),
        pytest.param(Halving(first=0.4), 0.1, FINISHED, marks=pytest.mark.slow),
    ],
    ids=["reached", "plateaued", "cut", "kept"],
)
def test_a_lane_that_ended_early_is_equal_until_its_end(tmp_path: Path, capsys, rule, rate, status) -> None:
    axes = grid(seed=(0, 1), learning_rate=(1e-3, 0.1))
    experiment = replace(EXPERIMENT, model=MLP(width=3, depth=1), axes=axes, stop=rule)
    path = tmp_path / "store"
    run_sweep(experiment, out=path)
    lane, replayed = again(experiment, path, seed=1, learning_rate=rate)
    assert int(lane.status) == status
    if status != CUT:
        assert_the_same(lane, replayed)
        return
    found = {each.name: each for each in distances(lane, replayed.curves)}
    alive = int((lane.epoch <= lane.stop_epoch).sum())
    assert 1 < alive < len(lane.epoch)
    assert found["loss"].records == alive
    assert found["loss"].stored == lane.loss.values[alive - 1]
    assert np.isfinite(replayed.curves.loss.values).all()
    assert all(each.first_difference is None for each in found.values())
    assert has_same_end(lane, replayed.curves)
    wanted = {"seed": "1", "learning_rate": str(rate)}
    assert replay_lane(Terminal(), experiment, path, wanted, memory=None, watch=lambda progress: None)
    output = " ".join(capsys.readouterr().out.split())
    assert f"ended: cut at epoch {float(lane.stop_epoch):g} in competition with lanes that a replay does not" in output
    assert "replayed to the end: finished distance 0" in output


# ---------------------------------------------------------------------------------------------------------
# The command, on the store of a page. Its lanes are trained as those of width 3 above, so that nothing is compiled.

PAGE = """
from sweep import MLP, Experiment, Optimizer, Record, SumOfSines, grid
from sweep.specs import linear_spaced
experiment = Experiment(
    question="Is it the same?", task=SumOfSines(frequencies=(1, 3), points=16), model=MLP(depth=1, width=3),
    axes=grid(seed=(0, 1), activation=("tanh",), learning_rate=(1e-3, 0.01)), epochs={epochs},
    optimizer=Optimizer("sgd"), batch_size=5,
    record=Record(metrics=("loss",), at=linear_spaced(4), snapshots=0),
)
"""
LANE = "seed=1,activation=tanh,learning_rate=1e-3"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("command")
    (folder / "page.py").write_text(PAGE.format(epochs=40))
    run_sweep(load(folder / "page.py"), out=folder / "results" / "page")
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a page and its store, both to be spoilt, in which commands run."""
    shutil.copytree(made, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


def planted(folder: Path, name: str, values: object, *place: object) -> None:
    """Change stored numbers of the lane."""
    group = zarr.open_group(folder / "results" / "page", mode="r+")
    lane = int(read_lane(folder / "results" / "page", dict(part.split("=") for part in LANE.split(",")))[0].lane)
    row = int(np.flatnonzero(np.asarray(group["lane"]) == lane)[0])
    group[name][(row, *place)] = values  # type: ignore[index]
    sign(folder / "results" / "page")


def files(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Read all there is, with its dates."""
    return {str(path): (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.rglob("*") if path.is_file()}


def test_the_command_prints_distance_0_and_writes_nothing(folder: Path, capsys) -> None:
    before = files(folder)
    assert run_guarded(main, ["page.py", "--lane", LANE]) == 0
    output = capsys.readouterr().out
    for part in ("seed 1, activation tanh, learning_rate 0.001", "arithmetic: as stored", "finished, as stored"):
        assert part in output, part
    assert "distance 0: all stored numbers of 2 quantities are equal to the bit" in output  # the loss and the target
    assert files(folder) == before


def test_a_changed_number_is_found_with_its_place_and_size_and_has_exit_code_1(folder: Path, capsys) -> None:
    ds = open_results(folder / "results" / "page").sel(seed=1, activation="tanh", learning_rate=1e-3)
    planted(folder, "loss", ds.loss.values[2] * 1.5, 2)
    with pytest.raises(SystemExit) as left:
        main(["page.py", "--lane", LANE])
    assert left.value.code == 1
    output = capsys.readouterr().out
    (line,) = [line.split() for line in output.splitlines() if line.startswith(" loss")]
    assert line[1:5] == ["5", f"{ds.loss.values[2] * 0.5:.3g}", f"{1 / 3:.3g}", "20"]
    assert "distance 0.333 relative, largest in loss; the first difference is at epoch 20, although the" in output


def test_on_different_arithmetic_a_distance_is_reported_and_is_no_failure(folder: Path, capsys) -> None:
    planted(folder, "loss", 7.0, 4)
    store = Store(folder / "results" / "page")
    kept = json.loads(store.attributes()["arithmetic"])
    store.set_attributes(arithmetic=json.dumps(kept | {"jaxlib": "0.0.1"}))
    assert run_guarded(main, ["page.py", "--lane", LANE]) == 0
    output = capsys.readouterr().out
    assert f"differs in jaxlib {kept['jaxlib']}, stored 0.0.1. The distance need not be 0." in output
    assert "which the different arithmetic may explain" in output


def test_a_different_end_is_reported(folder: Path, capsys) -> None:
    planted(folder, "status", DIVERGED)
    planted(folder, "first_bad_epoch", 3.0)
    with pytest.raises(SystemExit):
        main(["page.py", "--lane", LANE])
    output = capsys.readouterr().out
    assert "ended: finished, stored diverged at epoch 3" in output
    assert "distance 0 in all 2 quantities, but the lane ended differently" in output


def refused(capsys, *args: str) -> str:
    """Run the command, which must refuse in one line."""
    assert run_guarded(main, args) == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("--lane", LANE, "--resume"), "leave out --resume"),
        (("--lane", LANE, "--fresh"), "leave out --fresh"),
        (("--lane", LANE, "--plan"), "leave out --plan"),
        (("--lane", LANE, "--figures-dir", "x"), "leave out --figures-dir"),
        (("--lane", LANE, "--devices", "1"), "on one device, and stores and draws nothing: leave out --devices"),
        (("--lane", "seed"), "--lane takes knob=value, several separated by commas, got 'seed'"),
        (("--lane", "seed=1,seed=2"), "--lane names 'seed' twice, 1 and 2"),
        (("--lane", "seed=1,activation=tanh"), "name more knobs; learning_rate is 0.001, 0.01"),
        (("--lane", LANE, "--out", "elsewhere"), "no store at elsewhere: run the page first"),
        (("--lane", LANE, "--smoke"), "no store at results/page@smoke"),
        (("--lane", LANE, "--epochs", "9"), "no store at results/page@epochs-9"),
        (("--lane", LANE, "--epochs", "9", "--out", "results/page"), "holds another experiment, it differs in epochs"),
        (("--lane", LANE, "--out", "page.py"), "page.py is not a store"),
    ],
)
def test_an_impossible_replay_is_refused_in_one_line_and_nothing_changes(folder, capsys, args, message) -> None:
    before = files(folder)
    assert message in refused(capsys, "page.py", *args)
    assert files(folder) == before


def test_a_lane_that_has_not_finished_is_refused(folder: Path, capsys) -> None:
    Store(folder / "results" / "page").set_attributes(complete=False)
    assert run_guarded(main, ["page.py", "--lane", LANE]) == 0  # it has run, although others have not
    for status, word in ((NOT_RUN, "not run"), (RUNNING, "running")):
        planted(folder, "status", FINISHED) if status == NOT_RUN else None
        capsys.readouterr()
        planted(folder, "status", status)
        assert f"has not ended, it is {word}: continue with --resume first" in refused(
            capsys, "page.py", "--lane", LANE
        )
        group = zarr.open_group(folder / "results" / "page", mode="r+")
        group["status"][:] = FINISHED  # type: ignore[index]
        sign(folder / "results" / "page")


def test_a_partly_written_store_is_refused(folder: Path, capsys) -> None:
    planted(folder, "loss", np.nan, slice(None))
    assert "has no values, the store is truncated" in refused(capsys, "page.py", "--lane", LANE)
    shutil.rmtree(folder / "results" / "page" / "loss")
    assert "results/page is damaged: loss/zarr.json is lost" in refused(capsys, "page.py", "--lane", LANE)


def test_a_lane_that_is_in_no_block_is_an_error() -> None:
    with pytest.raises(ValueError, match="no block has lane 99"):
        isolate_lane(plan_sweep(EXPERIMENT), 99, [1, 1, 1])


def test_too_little_memory_is_refused_in_one_line(several, monkeypatch) -> None:
    with pytest.raises(SweepError, match="for one lane's tile: give more with --memory"):
        replay(EXPERIMENT, check(several), 0, memory=1024)
