"""The trained network of a lane: kept in the store or trained again, it gives the stored prediction to the last bit."""

import io
import json
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pytest
from faults.hostile_stores import sign
from helpers import LOSS_ONLY, Plain, lives, share_blocks, tiny, to_flax

from sweep import check as checking
from sweep import open_results, run_sweep, trained
from sweep.base.errors import SweepError, SweepWarning
from sweep.base.labels import CUT, NETWORKS, STOPPED
from sweep.base.signals import Terminated
from sweep.cli.terminal import Terminal, show_plan
from sweep.engine import keeping
from sweep.engine.plan import Fixed, Plan
from sweep.export import tidy
from sweep.page.axes import grid, zipped
from sweep.page.experiment import Experiment
from sweep.page.identity import differing_fields, fingerprint, page_attributes
from sweep.page.load import load
from sweep.results import store as stores
from sweep.results.networks import kept, read_state
from sweep.runs.coordinator import Coordinator
from sweep.runs.executors.local import LocalExecutor
from sweep.runs.filling import resume
from sweep.runs.layout import create
from sweep.runs.planning import plan_sweep
from sweep.runs.replay import replay
from sweep.runs.shares import Share
from sweep.specs import MLP, FromOptax, Halving, Linear, Optimizer, Plateau, Record, Target, linear_spaced

LOST = 1e9  # a learning rate at which lanes diverge
SHOWN = Record(metrics=("loss",), at=linear_spaced(4), snapshots=2)
EXPERIMENT = tiny(
    axes=zipped(seed=(3, 1, 2), data_seed=(0, 5, 9))
    * zipped(width=(3, 5), depth=(2, 1))
    * grid(learning_rate=(1e-2, LOST)),
    optimizer=Optimizer("sgd"),
    record=SHOWN,
    batch_size=5,
)


def stored(plan: Plan, path: Path) -> Path:
    """Run a plan into a store."""
    create(plan, path)
    Coordinator(Share(plan, stores.Store(path)), lambda progress: None).run()
    return path


def leaves(tree) -> list[bytes]:
    return [leaf.tobytes() for leaf in jax.tree.leaves(tree)]


def shapes(tree):
    return jax.tree.map(np.shape, tree)


@pytest.fixture(scope="module")
def padded(tmp_path_factory: pytest.TempPathFactory):
    """A store of one block that all structures share, in waves of four lanes; planned so while the module lasts."""
    with pytest.MonkeyPatch.context() as patch:
        share_blocks(patch)
        plan = plan_sweep(EXPERIMENT, fixed=Fixed(4, 2))
        ((block, _),) = plan.blocks()
        assert block.training.padded
        assert len(plan.waves) == 3
        assert plan.keep == "state"
        yield stored(plan, tmp_path_factory.mktemp("padded") / "store")


def final_prediction(path: Path, **knobs) -> np.ndarray:
    return open_results(path).prediction.sel(knobs).isel(snapshot_epoch=-1).values


@pytest.mark.parametrize(
    ("seed", "width", "depth"), [(3, 3, 2), (1, 5, 1), pytest.param(2, 3, 2, marks=pytest.mark.slow)]
)
def test_the_network_of_any_place_in_a_shared_block_gives_the_stored_prediction_to_the_last_bit(
    padded: Path, seed: int, width: int, depth: int
) -> None:
    net = trained(padded, seed=seed, width=width, learning_rate=1e-2)
    ds = open_results(padded)
    stored_values = final_prediction(padded, seed=seed, width=width, learning_rate=1e-2)
    assert net.predict(ds.x).tobytes() == stored_values.tobytes()
    assert np.isfinite(stored_values).all()
    # As a network that is alone has them, and with the outputs that plain Flax gives with them.
    plain = Plain((width,) * depth, "tanh", True, np.float32)
    inputs = (2 * ds.x.values - 1)[:, None].astype(np.float32)
    assert shapes(to_flax(net.parameters)) == shapes(jax.eval_shape(plain.init, jax.random.key(0), inputs))
    np.testing.assert_allclose(plain.apply(to_flax(net.parameters), inputs), stored_values, rtol=2e-5, atol=2e-6)
    # At other points, in the units of the task.
    np.testing.assert_allclose(net.predict(ds.x.values[3:5]), stored_values[3:5], rtol=2e-5, atol=2e-6)
    assert leaves(net.parameters) == leaves(trained(padded, seed=seed, depth=depth, learning_rate=0.01).parameters)


def test_a_kept_network_is_that_of_a_replay(padded: Path) -> None:
    net = trained(padded, seed=2, width=5, learning_rate=1e-2)
    again = replay(EXPERIMENT, stores.check(padded), int(net._curves.lane))
    assert again.row.tobytes() == net._row.tobytes()
    assert not again.foreign


def test_a_lane_that_diverged_has_its_last_finite_parameters(padded: Path) -> None:
    net = trained(padded, seed=1, width=3, learning_rate=LOST)
    assert net.status == "diverged"
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(net.parameters))
    assert shapes(net.parameters) == shapes(trained(padded, seed=1, width=3, learning_rate=1e-2).parameters)
    assert "width=3, depth=2" in repr(net)
    assert "diverged, loss nan, 22 parameters>" in repr(net)
    assert net.predict(open_results(padded).x).shape == (16,)


def test_a_lane_that_is_not_kept_is_trained_again_to_the_same_bits_and_that_is_said(padded: Path, tmp_path) -> None:
    bare = replace(EXPERIMENT, record=replace(SHOWN, keep="nothing"))
    path = stored(plan_sweep(bare, fixed=Fixed(4, 2)), tmp_path / "store")
    assert kept(stores.check(path)) == "nothing"
    assert not {*NETWORKS} & {each.name for each in path.iterdir()}
    lane = {"seed": 2, "width": 3, "learning_rate": 1e-2}
    with pytest.raises(SweepError, match="does not keep the trained networks, and nothing of a store is run: name its"):
        trained(path, **lane)
    with pytest.warns(SweepWarning, match="the lane was trained again, to the bits that are stored"):
        net = trained(path, experiment=EXPERIMENT, **lane)
    assert net.trained_again
    assert "trained again>" in repr(net)
    assert leaves(net.parameters) == leaves(trained(padded, **lane).parameters)
    assert net.predict(open_results(path).x).tobytes() == final_prediction(path, **lane).tobytes()
    # It is the same question, so nothing is trained for a page that now wants to keep them.
    with pytest.warns(SweepWarning, match="was begun without keeping the trained networks, and stays so"):
        run_sweep(replace(EXPERIMENT, record=replace(SHOWN, keep="parameters")), out=path)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"seed": 3}, "6 lanes|4 lanes have seed=3: name more knobs"),
        ({"seeds": 3}, "unknown swept knob 'seeds': did you mean 'seed'"),
        ({"seed": 3, "width": 4}, "no lane has width=4: nearest are 3, 5"),
        ({"seed": 1, "experiment": replace(EXPERIMENT, epochs=13)}, "differs in epochs"),
        ({"seed": 1, "experiment": EXPERIMENT, "page": "page.py"}, "takes page= or experiment=, got both"),
        ({"seed": 1, "experiment": 3}, "experiment must be an Experiment, got 3"),
        ({"seed": 1, "page": "nowhere.py"}, "no page at nowhere.py"),
    ],
)
def test_what_is_not_one_lane_or_not_the_page_of_the_store_is_refused(padded: Path, given, message: str) -> None:
    with pytest.raises(SweepError, match=message):
        trained(padded, **given)


@pytest.mark.parametrize("x", [[[1.0, 2.0]], [], "words", 1.0])
def test_an_x_of_another_shape_is_refused(padded: Path, x: object) -> None:
    net = trained(padded, seed=3, width=3, learning_rate=1e-2)
    with pytest.raises(SweepError, match="x must "):
        net.predict(x)


def test_nothing_that_reads_results_sees_the_networks(padded: Path) -> None:
    ds = open_results(padded)
    assert not {"parameter", "state_byte", *NETWORKS} & {*ds.variables, *ds.dims}
    assert "parameters" not in tidy.metrics(ds)
    assert (padded / "parameters" / "c").is_dir()


# ---------------------------------------------------------------------------------------------------------
# Lanes that end early, and runs that do.


@pytest.mark.parametrize(
    ("rule", "keep"),
    [
        (Target(0.9), "state"),
        pytest.param(Halving(first=0.3), "parameters", marks=pytest.mark.slow),
        pytest.param(Plateau(patience=4, min_improvement=0.02), "parameters", marks=pytest.mark.slow),
    ],
    ids=["target", "halving", "plateau"],
)
def test_a_lane_that_ended_early_has_the_network_that_it_had_then(tmp_path: Path, rule, keep) -> None:
    axes = grid(seed=(0, 1), learning_rate=(1e-3, 0.1, 1e30))
    record = replace(SHOWN, at=linear_spaced(6), keep=keep)
    experiment = tiny(model=MLP(width=6, depth=1), axes=axes, stop=rule, epochs=24, record=record)
    plan = plan_sweep(experiment)
    path = stored(plan, tmp_path / "store")
    known, ds = lives(plan), open_results(path)
    early = ds.status.isin(STOPPED)
    assert 2 <= int(early.sum()) < 6
    ends = ds.stop_epoch.where(early, ds.epoch[-1])
    for lane, (seed, rate) in enumerate(np.ndindex(ds.status.shape)):
        at = {"seed": int(ds.seed[seed]), "learning_rate": float(ds.learning_rate[rate])}
        net, state = trained(path, **at), known[lane].states[list(plan.epochs).index(float(ends[seed, rate]))]
        assert leaves(net.parameters) == leaves(state.parameters), at
        assert leaves(net.parameters) != leaves(known[lane].states[0].parameters) or net.status == "diverged"
        if net.status not in ("diverged", "cut"):
            assert net.predict(ds.x).tobytes() == final_prediction(path, **at).tobytes()
        if keep == "state":
            found = read_state(path, stores.check(path), lane)
            assert leaves(found["parameters"]) == leaves(net.parameters)
            assert leaves(found["optimizer_state"]) == leaves(state.optimizer_state)
    if isinstance(rule, Halving):  # trained again only until it was cut
        seed, rate = np.argwhere((ds.status == CUT).values)[0]
        at = {"seed": int(ds.seed[seed]), "learning_rate": float(ds.learning_rate[rate])}
        net = trained(path, **at)
        again = replay(experiment, stores.check(path), int(net._curves.lane), until=float(ds.stop_epoch[seed, rate]))
        assert again.row.tobytes() == net._row.tobytes()


def stop_after(segments: int):
    seen = []

    def watch(told) -> None:
        if told.stage == "training":
            seen.append(told)
        if len(seen) == segments:
            signal.raise_signal(signal.SIGTERM)

    return watch


@pytest.mark.parametrize("segments", [pytest.param(3, marks=pytest.mark.slow), 7])
def test_a_sweep_that_was_stopped_and_resumed_keeps_the_same_networks(tmp_path: Path, segments: int) -> None:
    """Also of lanes that had ended and left their seats before the checkpoint."""
    axes = grid(seed=range(40), learning_rate=(0.1, 1e30))
    record = replace(LOSS_ONLY, at=linear_spaced(6))
    experiment = tiny(model=MLP(width=6, depth=1), axes=axes, stop=Target(0.9), epochs=24, record=record)
    plan = plan_sweep(experiment, fixed=Fixed(64, 16))
    whole = stored(plan, tmp_path / "whole")
    create(plan, tmp_path / "stopped")
    with pytest.raises(Terminated):
        Coordinator(Share(plan, stores.Store(tmp_path / "stopped")), stop_after(segments)).run()
    checkpoint = stores.Store(tmp_path / "stopped").load_checkpoint(0)
    assert checkpoint is not None
    assert {*checkpoint["0/final"]} | {*checkpoint["0/seated"]} == {*range(64)}
    assert len(checkpoint["0/seated"]) < 64 or segments < 7
    checking.main([str(tmp_path / "stopped")])
    resume(experiment, tmp_path / "stopped", LocalExecutor(), lambda told: None)
    chunks = sorted(path.relative_to(whole) for path in whole.glob("parameters/c/*/*"))
    assert len(chunks) == 5
    for chunk in chunks:
        assert (whole / chunk).read_bytes() == (tmp_path / "stopped" / chunk).read_bytes(), chunk


# ---------------------------------------------------------------------------------------------------------
# Pages: code of theirs, the plan, damage.

PAGE = """
from sweep import MLP, Experiment, FromFunction, FromModule, Metric, Record, grid
from sweep.specs import linear_spaced


def wave(x, power):
    return x**power


def build(width, rate):
    from flax import linen as nn

    class Net(nn.Module):
        @nn.compact
        def __call__(self, x, train):
            steps = self.variable("counts", "steps", lambda: 0)
            if train:
                steps.value += 1
            x = nn.BatchNorm(use_running_average=not train)(nn.Dense(width)(x))
            return nn.Dense(1)(nn.Dropout(rate, deterministic=not train)(nn.tanh(x)))

    return Net()


experiment = Experiment(
    question="Is it kept?",
    task=FromFunction(
        function=wave, parameters={"power": 2.0}, points=16, low=-2.0, high=3.0, inputs="standardised",
    ),
    model=MODEL, axes=grid(seed=(0, 1), width=(4,), power=(1.0, 3.0)), epochs=8,
    record=Record(metrics=("loss",), at=linear_spaced(2), snapshots=2),
)
"""


def written(folder: Path, model: str) -> Experiment:
    (folder / "page.py").write_text(PAGE.replace("MODEL", model))
    return load(folder / "page.py")


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    run_sweep(written(folder, "MLP(depth=1)"), out=folder / "store")
    return folder


def test_a_network_of_ours_needs_no_page(page: Path) -> None:
    """Although its target is code of the page: no prediction depends on it."""
    lane = {"seed": 1, "power": 3.0}
    net, ds = trained(page / "store", **lane), open_results(page / "store")
    expected = final_prediction(page / "store", **lane, width=4)
    assert net.predict(ds.x).tobytes() == expected.tobytes()
    np.testing.assert_allclose(net.predict(ds.x.values[2:9]), expected[2:9], rtol=2e-5, atol=2e-6)
    assert sum(leaf.size for leaf in jax.tree.leaves(net.parameters)) == 13


def free(learning_rate):
    import optax

    return optax.contrib.schedule_free_adamw(learning_rate)


@pytest.mark.parametrize(
    "rule", [pytest.param(Optimizer("schedule_free_adamw"), marks=pytest.mark.slow), FromOptax(free, learning_rate=1.0)]
)
def test_what_is_kept_of_a_schedule_free_rule_is_what_it_has_learned_and_needs_no_page(tmp_path: Path, rule) -> None:
    experiment = tiny(
        model=MLP(depth=0), optimizer=rule, axes=grid(learning_rate=(0.05, 0.1)),
        record=replace(SHOWN, keep="parameters"),
    )  # fmt: skip
    store = stored(plan_sweep(experiment), tmp_path / "store")
    ds = open_results(store)
    net = trained(store, learning_rate=0.1)
    assert net.predict(ds.x).tobytes() == final_prediction(store, learning_rate=0.1).tobytes()
    plain = Plain((), "tanh", True, np.float32)
    outputs = plain.apply(to_flax(net.parameters), (2 * ds.x.values - 1)[:, None].astype(np.float32))
    np.testing.assert_allclose(outputs, net.predict(ds.x), rtol=2e-5, atol=2e-6)


def test_points_of_several_features_are_rows(tmp_path: Path) -> None:
    """A linear model in closed form."""
    task = Linear(slopes=(2.0, -1.0), points=8, placement="random", inputs="as_is")
    experiment = tiny(task=task, model=MLP(depth=0), record=Record(("loss",), at=linear_spaced(2)))
    run_sweep(experiment, out=tmp_path / "store")
    net, x = trained(tmp_path / "store"), np.array([[0.5, 2.0], [-1.0, 3.0], [0.0, 0.0]], np.float32)
    layer = net.parameters["layer_0"]
    np.testing.assert_allclose(net.predict(x), (x @ layer["kernel"] + layer["bias"])[:, 0], rtol=1e-6)
    assert repr(net).startswith("<the only lane of ")
    with pytest.raises(SweepError, match=r"x must have the shape \(points, 2\), got \(3,\)"):
        net.predict(x[:, 0])


def test_a_module_of_the_page_needs_it_to_predict(tmp_path: Path) -> None:
    experiment = written(tmp_path, "FromModule(build, rate=0.2, static=('rate',))")
    store, lane = tmp_path / "store", {"seed": 1, "power": 3.0}
    run_sweep(experiment, out=store)
    net, ds = trained(store, **lane), open_results(store)
    assert shapes(net.parameters) == {  # as the module's own `init` makes them
        "params": {
            "Dense_0": {"bias": (4,), "kernel": (1, 4)}, "BatchNorm_0": {"bias": (4,), "scale": (4,)},
            "Dense_1": {"bias": (1,), "kernel": (4, 1)},
        },
        "batch_stats": {"BatchNorm_0": {"mean": (4,), "var": (4,)}}, "counts": {"steps": ()},
    }  # fmt: skip
    assert net.parameters["counts"]["steps"] == ds["step"][-1]
    with pytest.raises(SweepError, match=r"can't predict without its page, as .* in a FromModule: na"):
        net.predict(ds.x)
    with_page = trained(store, page=tmp_path / "page.py", **lane)
    assert with_page.predict(ds.x.values).tobytes() == final_prediction(store, **lane, width=4).tobytes()
    assert leaves(with_page.parameters) == leaves(net.parameters)
    run_sweep(replace(experiment, record=replace(experiment.record, keep="nothing")), out=tmp_path / "without")
    again = trained(tmp_path / "without", page=tmp_path / "page.py", **lane)  # which trains it again
    assert leaves(again.parameters) == leaves(net.parameters)


def test_networks_that_are_not_read_need_no_jax(page: Path) -> None:
    used = "sweep.trained('store', seed=0, power=1).parameters; sweep.best('store')"
    code = f"import sys, sweep; {used}; sys.exit('jax' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=page, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_damaged_network_is_found_and_trained_again(page: Path, tmp_path: Path, capsys) -> None:
    store = Path(shutil.copytree(page / "store", tmp_path / "store"))
    before = trained(store, seed=1, power=3.0)
    chunk = next(iter(sorted(store.glob("parameters/c/*/*"))))
    content = bytearray(chunk.read_bytes())
    content[len(content) // 2] ^= 4
    chunk.write_bytes(content)
    with pytest.raises(SweepError, match="is damaged: parameters/c/0/0 is not what was written"):
        trained(store, seed=1, power=3.0)
    with pytest.raises(SystemExit):
        checking.main([str(store)])
    assert "parameters/c/0/0 is not what was written" in capsys.readouterr().out
    checking.main([str(store), "--repair"])
    run_sweep(load(page / "page.py"), out=store, resume=True)
    assert leaves(trained(store, seed=1, power=3.0).parameters) == leaves(before.parameters)
    (store / "parameters" / "zarr.json").unlink()
    checking.main([str(store), "--repair", "--page", str(page / "page.py")])
    assert leaves(trained(store, seed=1, power=3.0).parameters) == leaves(before.parameters)


@pytest.mark.parametrize(
    ("networks", "message"),
    [
        (None, "it describes no networks, but holds some"),
        ("{}", "its attribute 'networks': it is not a list"),
        ([{"parameters": [[["a"], [3], "float32"]], "state": []}], "the longest parameters it describes has 3 entries"),
        ([{"parameters": [[["a"], [13], "complex64"]], "state": []}], "the parameters of a network are not a list of"),
        (
            [{"parameters": [[["a"], [12], "float32"], [["a", "b"], [1], "float32"]], "state": []}],
            "two arrays of the parameters of a network are in one place",
        ),
        ([{"parameters": [[["a"], [13], "float32"]], "state": []}] * 0, "it is not a list of at most"),
    ],
)
def test_a_store_of_a_stranger_with_other_networks_is_refused(page: Path, tmp_path: Path, networks, message) -> None:
    store = Path(shutil.copytree(page / "store", tmp_path / "store"))
    root = json.loads((store / "zarr.json").read_text())
    del root["attributes"]["networks"]
    if networks is not None:
        root["attributes"]["networks"] = networks if isinstance(networks, str) else json.dumps(networks)
    (store / "zarr.json").write_text(json.dumps(root))
    sign(store)
    with pytest.raises(SweepError, match=message):
        trained(store, seed=1, power=3.0)


@pytest.mark.parametrize(
    ("most", "keep", "words"),
    [
        (2**28, None, "keeps the trained networks and the states of their training: 2.87 KiB"),
        (2 * 732, None, "keeps the trained networks: 732 B"),
        (2**28, "state", "keeps the trained networks and the states of their training: 2.87 KiB"),
        (2**28, "nothing", "does not keep the trained networks, as the page says"),
        (731, None, "does not keep the trained networks: 732 B, over 731 B; set Record(keep='parameters')"),
        (731, "parameters", "keeps the trained networks: 732 B"),
    ],
)
def test_the_plan_says_what_is_kept(monkeypatch, most: int, keep, words: str) -> None:
    """Three lanes of 61 parameters; the state of Adam has two moments of each, and a counter."""
    monkeypatch.setattr(keeping, "MOST_BYTES", most)
    plan = plan_sweep(tiny(axes=grid(seed=range(3)), record=replace(SHOWN, keep=keep)))
    assert keeping.explain(keep, plan.keep, plan.networks) == words
    if keep == "state":
        shown = io.StringIO()
        show_plan(Terminal(width=200, file=shown), plan)
        assert f"\n{words}\n" in shown.getvalue()


def test_what_is_kept_is_no_part_of_the_question() -> None:
    bare = replace(EXPERIMENT, record=replace(SHOWN, keep="nothing"))
    assert fingerprint(bare) == fingerprint(EXPERIMENT)
    assert differing_fields(bare, page_attributes(EXPERIMENT)) == ""
    with pytest.raises(SweepError, match=r"unknown value of record.keep 'parameter': did you mean 'parameters'"):
        Record(keep="parameter")  # type: ignore[arg-type]
