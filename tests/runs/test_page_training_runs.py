"""A page with a training of its own from the command line to every reader of its results."""

import dataclasses
import signal
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

from sweep import Halving, load, open_results, run_sweep, trained
from sweep.base.errors import SweepError, SweepWarning
from sweep.base.signals import Terminated
from sweep.cli.command import run_guarded
from sweep.compare.__main__ import main as compare
from sweep.engine.keys import stream
from sweep.export.__main__ import main as export
from sweep.report.__main__ import main as report
from sweep.run import main
from sweep.runs.progress import Progress
from sweep.runs.replay import replay

PAGE = '''
"""Twins that learn to be alike, and a count of their steps; at a large rate they run away."""
from sweep import Experiment, FromTraining, Metric, Record, grid, linear_spaced


def begin(key):
    import jax

    return {"twins": jax.random.normal(key, (2, 3)), "steps": 0}


def step(state, key, rate):
    import jax

    left, right = state["twins"]
    noise = 0.01 * jax.random.normal(key, left.shape, left.dtype)
    twins = state["twins"] - rate * (left - right) * jax.numpy.array([[1], [-1]]) + noise
    return {"twins": twins, "steps": state["steps"] + 1}


def measure(state):
    left, right = state["twins"]
    return {"loss": ((left - right) ** 2).sum(), "parts": left, "steps_taken": state["steps"]}


experiment = Experiment(
    question="Which rate makes twins alike?",
    training=FromTraining(
        begin, step, measure, rate=0.1, metrics=[Metric("parts", dims={"part": 3}, long_name="parts"), "steps_taken"]
    ),
    axes=grid(rate=(0.01, 0.1, 1e20), seed=range(4)),
    epochs=30,
    record=Record(at=linear_spaced(6)),
)
'''
AT = {"rate": 0.1, "seed": 2}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page, and its store as the command writes it."""
    folder = tmp_path_factory.mktemp("training")
    (folder / "twins.py").write_text(PAGE)
    assert run_guarded(main, [str(folder / "twins.py"), "--out", str(folder / "store")]) == 0
    return folder


@pytest.fixture
def ds(folder: Path) -> xr.Dataset:
    return open_results(folder / "store")


def test_the_store_has_the_metrics_and_the_lanes_that_ran_away(folder: Path, ds: xr.Dataset) -> None:
    assert ds["parts"].dims == ("rate", "seed", "epoch", "part")
    assert ds["steps_taken"].isel(rate=0, seed=0).values.tolist() == [0, 5, 10, 15, 20, 25, 30]
    assert (ds["status"].sel(rate=1e20) == 3).all()
    assert (ds["status"].isel(rate=[0, 1]) == 2).all()
    assert {each.name for each in (folder / "store" / "figures").iterdir()} >= {"heatmap.png", "loss_curves.png"}


def test_a_lane_is_that_of_its_functions_with_its_keys(folder: Path, ds: xr.Dataset) -> None:
    names: dict = {}
    exec(PAGE, names)
    seed = jnp.uint32(AT["seed"])
    state = names["begin"](stream(seed, "weights"))
    for at in range(30):
        state = jax.jit(names["step"])(state, jax.random.fold_in(stream(seed, "network"), at), 0.1)
    np.testing.assert_allclose(ds["parts"].sel(AT).isel(epoch=-1), names["measure"](state)["parts"], rtol=1e-4)
    net = trained(folder / "store", **AT)
    assert {*net.parameters} == {"twins", "steps"}
    assert net.parameters["steps"] == 30
    np.testing.assert_array_equal(net.parameters["twins"][0], ds["parts"].sel(AT).isel(epoch=-1))
    with pytest.raises(SweepError, match="is of a training of the page's own, which predicts nothing"):
        net.predict([0.0])


def test_an_interrupted_run_goes_on_with_the_same_bits_and_a_lane_replays(folder: Path, ds: xr.Dataset) -> None:
    page = load(folder / "twins.py")

    def stop(progress: Progress) -> None:
        if progress.lane_steps > 12 * 30 // 2:
            raise Terminated(signal.SIGTERM)

    with pytest.raises(Terminated):
        run_sweep(page, out=folder / "cut", watch=stop)
    assert (open_results(folder / "cut")["status"] < 2).all()
    xr.testing.assert_identical(run_sweep(page, out=folder / "cut", resume=True).drop_attrs(), ds.drop_attrs())
    again = replay(page, ds.attrs, 4 + int(AT["seed"]))
    assert again.curves["loss"].values.tobytes() == ds["loss"].sel(AT).values.tobytes()


def test_halving_ends_the_worse_half(folder: Path) -> None:
    found = run_sweep(dataclasses.replace(load(folder / "twins.py"), stop=Halving(first=0.2)))
    assert (found["status"] == 5).any()


def test_every_reader_takes_it(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page, store = str(folder / "twins.py"), str(folder / "store")
    assert run_guarded(main, [page, "--axes.rate", "0.1", "0.3", "--out", f"{store}2"]) == 0
    assert run_guarded(compare, [store, f"{store}2", "--out", f"{store}-compared"]) == 0
    assert run_guarded(report, [store, "--out", f"{store}-report"]) == 0
    assert run_guarded(export, [store, "--to", "csv", "--out", f"{store}-tables"]) == 0
    assert run_guarded(main, [page, "--loss", "huber"]) == 2
    assert "--loss" in capsys.readouterr().err


@pytest.mark.slow
def test_what_is_not_kept_is_trained_again(folder: Path) -> None:
    page = folder / "unkept.py"
    page.write_text(PAGE.replace("at=linear_spaced(6)", "at=linear_spaced(6), keep='nothing'"))
    run_sweep(load(page), out=folder / "unkept")
    with pytest.warns(SweepWarning, match="trained again, to the bits that are stored"):
        net = trained(folder / "unkept", page=page, **AT)
    kept = trained(folder / "store", **AT)
    assert net.parameters["twins"].tobytes() == kept.parameters["twins"].tobytes()
