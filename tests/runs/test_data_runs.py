"""Sweeps of data of one's own from the page to its figures, its tables and its networks."""

import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from drawn import texts
from helpers import tiny
from matplotlib.collections import PathCollection

from sweep import Data, SweepError, best, open_results, plots, run_sweep, stats, trained
from sweep.base.signals import Terminated
from sweep.export import tidy
from sweep.page.axes import grid
from sweep.results import schema
from sweep.results import store as stores
from sweep.runs.coordinator import Coordinator
from sweep.runs.executors.local import LocalExecutor
from sweep.runs.filling import resume
from sweep.runs.layout import create
from sweep.runs.planning import plan_sweep
from sweep.runs.progress import Progress
from sweep.runs.replay import replay
from sweep.runs.shares import Share
from sweep.specs import MLP, FromFunction, Optimizer, Record, linear_spaced

RNG = np.random.default_rng(7)
X = RNG.uniform(-2, 2, size=(60, 2))
Y = 100 + 30 * X[:, 0] * X[:, 1]
BOTH = np.stack([Y, X[:, 0]], axis=1)
NAMES = np.array(["in", "out"])[(np.hypot(*X.T) > 1.4).astype(int)]
SHOWN = Record(("loss",), at=linear_spaced(3), snapshots=2)
VALIDATED = replace(SHOWN, metrics=("validation_loss",))
SETTINGS = {
    "model": MLP(width=8, depth=1),
    "optimizer": Optimizer("adam"),
    "axes": grid(initial_scale=(0.5, 1.0), learning_rate=(1e-3, 3e-2), seed=(0, 1)),
    "record": VALIDATED,
    "epochs": 60,
}
NUMBERS = tiny(task=Data(X, Y, validation=0.25, standardise="both", input_names=("east", "north")), **SETTINGS)
OF_CLASSES = {
    **SETTINGS,
    "axes": grid(learning_rate=(1e-3, 3e-2), seed=(0, 1)),
    "record": replace(SHOWN, metrics=("validation_loss", "validation_accuracy")),
}
CLASSES = tiny(task=Data(X, NAMES, validation=0.25), loss="cross_entropy", batch_size=16, **OF_CLASSES)


@pytest.fixture(scope="module")
def numbers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "numbers"
    run_sweep(NUMBERS, out=path)
    return path


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of two targets, which are standardised."""
    path = tmp_path_factory.mktemp("data") / "two"
    task = Data(X, BOTH, standardise="both", target_names=("far", "near"))
    run_sweep(tiny(task=task, model=MLP(width=8, depth=1), record=SHOWN, epochs=4), out=path)
    return path


@pytest.fixture(scope="module")
def classes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "classes"
    run_sweep(CLASSES, out=path)
    return path


def test_results_have_the_names_and_targets_of_rows(numbers: Path, classes: Path) -> None:
    ds = open_results(numbers)
    assert ds["feature"].values.tolist() == ["east", "north"]
    np.testing.assert_array_equal(ds["sample_target"], Y)
    np.testing.assert_array_equal(ds["sample_input"], X)
    assert (ds["is_validation"].sum("sample") == 15).all()
    words = open_results(classes)
    assert words["output"].values.tolist() == ["in", "out"]
    assert words["sample_target"].values.tolist() == NAMES.tolist()
    right = (words["sample_prediction"].isel(snapshot_epoch=-1).argmax("output") == (NAMES == "out")).where(
        words["is_validation"] > 0
    )
    np.testing.assert_allclose(right.mean("sample"), words["validation_accuracy"].isel(epoch=-1), rtol=1e-6)


def test_the_best_combination_is_that_of_the_lowest_validation_loss(numbers: Path) -> None:
    ds = open_results(numbers)
    assert schema.deciding(ds) == "validation_loss"
    ds["validation_loss"] = ds["loss"].max() - ds["loss"]  # so that the two disagree
    ds["validation_loss"].attrs["better"] = "lower"
    by_hand = ds["validation_loss"].isel(epoch=-1).median("seed").argmin(["initial_scale", "learning_rate"])
    found = stats.best_place(ds, ("initial_scale", "learning_rate"))
    assert found == {name: int(place) for name, place in by_hand.items()}
    table = best(numbers, n=1)
    median = open_results(numbers)["validation_loss"].isel(epoch=-1).median("seed")
    assert table["median"][0] == pytest.approx(float(median.min()), rel=1e-6)


def test_figures_say_that_validation_decided(numbers: Path, classes: Path) -> None:
    ds = open_results(numbers)
    curves = texts(plots.loss_curves(ds))
    assert "lowest median final validation loss" in curves
    assert "dashed: median of the training loss" in curves
    drawn = plots.predicted(ds)
    assert "for rows of training" in texts(drawn)
    assert "of validation, at initial scale" in texts(drawn)
    dots = drawn.axes[0].lines[1]  # the rows of training, in the targets' own units
    chosen = ds.isel(seed=0, initial_scale=0).sel(learning_rate=stats.best_learning_rate(ds).isel(initial_scale=0))
    output = chosen["sample_prediction"].isel(snapshot_epoch=-1) * chosen["target_deviation"] + chosen["target_mean"]
    held = chosen["is_validation"].values > 0
    np.testing.assert_allclose(np.sort(dots.get_ydata()), np.sort(output.values[~held]), rtol=1e-5)
    np.testing.assert_allclose(np.sort(dots.get_xdata()), np.sort(Y[~held]))
    assert "of a class's rows are assigned to it" in texts(plots.predicted(open_results(classes)))


def test_maps_of_two_features_show_outputs_classes_and_rows(numbers: Path, classes: Path) -> None:
    surface = plots.surface(open_results(numbers))
    assert "The network of seed 0 over two features" in texts(surface)
    dots = [each for axes in surface.axes for each in axes.collections if isinstance(each, PathCollection)]
    assert len(dots) == 2  # at the end of the row of each scale
    np.testing.assert_allclose(np.asarray(dots[0].get_offsets()), X)
    legend = plots.surface(open_results(classes)).legends[0]
    assert [text.get_text() for text in legend.get_texts()] == ["in", "out"]


@pytest.mark.parametrize("loss", ["cross_entropy", pytest.param("hinge", marks=pytest.mark.slow)])
def test_fits_of_one_feature_draw_the_class_that_is_assigned(tmp_path: Path, loss: str) -> None:
    ds = run_sweep(tiny(task=Data(X[:, 0], NAMES), model=MLP(depth=0), loss=loss, record=SHOWN), out=tmp_path / loss)
    axes = plots.fits(ds).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["in", "out"]
    dots, line = axes.lines[:2]
    np.testing.assert_array_equal(dots.get_ydata(), NAMES == "out")
    assert {*np.asarray(line.get_ydata()).tolist()} <= {0.0, 1.0}


def test_maps_of_several_targets_have_a_row_for_each(two: Path) -> None:
    figure = plots.surface(open_results(two))
    dots = [each for axes in figure.axes for each in axes.collections if isinstance(each, PathCollection)]
    for drawn, values in zip(dots, BOTH.T, strict=True):
        np.testing.assert_allclose(np.asarray(drawn.get_array()), values)


def test_a_trained_network_predicts_from_the_store_alone(numbers: Path, classes: Path) -> None:
    lane: dict[str, Any] = {"initial_scale": 0.5, "learning_rate": 3e-2, "seed": 1}
    ds, net = open_results(numbers).sel(lane), trained(numbers, **lane)
    stored = ds["sample_prediction"].isel(snapshot_epoch=-1) * ds["target_deviation"] + ds["target_mean"]
    np.testing.assert_allclose(net.predict(X), stored, rtol=1e-5)
    frame = pd.DataFrame({"north": X[:, 1], "east": X[:, 0]})
    np.testing.assert_array_equal(net.predict(frame), net.predict(X))
    with pytest.raises(SweepError, match="unknown column of x 'north': did you mean 'nort'"):
        net.predict(frame.rename(columns={"north": "nort"}))
    words = trained(classes, learning_rate=3e-2, seed=1)
    logits = open_results(classes).sel(learning_rate=3e-2, seed=1)["sample_prediction"]
    np.testing.assert_allclose(words.predict(X), logits.isel(snapshot_epoch=-1), rtol=1e-4, atol=1e-5)
    assert words.outputs == ("in", "out")
    with_page = trained(numbers, experiment=NUMBERS, **lane)
    np.testing.assert_array_equal(with_page.predict(X), net.predict(X))
    with pytest.raises(SweepError):
        trained(numbers, experiment=replace(NUMBERS, task=Data(X, Y + 1)), **lane)


def test_a_stopped_sweep_of_data_goes_on_to_the_same_bits(tmp_path: Path, classes: Path) -> None:
    plan = plan_sweep(CLASSES)
    create(plan, tmp_path / "stopped")

    def stop(progress: Progress) -> None:
        if progress.lane_steps > plan.lane_steps() // 2:
            raise Terminated(signal.SIGTERM)

    with pytest.raises(Terminated):
        Coordinator(Share(plan, stores.Store(tmp_path / "stopped")), stop).run()
    resume(CLASSES, tmp_path / "stopped", LocalExecutor(), lambda progress: None)
    one, other = open_results(tmp_path / "stopped"), open_results(classes)
    for name in other.data_vars:
        np.testing.assert_array_equal(one[name], other[name])


def test_a_lane_of_data_is_replayed_to_the_bit(classes: Path) -> None:
    again = replay(CLASSES, stores.read(classes).attrs, lane=3).curves
    flat = stores.read(classes)
    stored = flat.isel(lane=int(np.flatnonzero(flat["lane"].values == 3)[0]))
    for name in ("loss", "validation_loss", "sample_prediction", "prediction"):
        np.testing.assert_array_equal(again[name], stored[name])


def test_standardised_columns_have_the_same_bits_on_one_device_and_on_several(numbers: Path) -> None:
    """A store is trained on all devices, a replay on one."""
    flat = stores.read(numbers)
    again = replay(NUMBERS, flat.attrs, lane=3).curves
    stored = flat.isel(lane=int(np.flatnonzero(flat["lane"].values == 3)[0]))
    for name in ("loss", "validation_loss", "sample_prediction", "prediction"):
        np.testing.assert_array_equal(again[name], stored[name])


def test_tables_of_data_have_a_column_for_each_name(classes: Path) -> None:
    ds = open_results(classes)
    tables = {table.dims[-1]: table for table in tidy.tables(ds, tidy.metrics(ds)) if table.dims}
    assert {"validation_loss", "validation_accuracy"} <= {*tidy.columns(ds, tables["epoch"])}


def test_two_standardised_targets_have_a_scale_each(two: Path) -> None:
    ds, net = open_results(two), trained(two)
    np.testing.assert_allclose(ds["target_mean"], BOTH.mean(axis=0), rtol=1e-5)
    stored = ds["sample_prediction"].isel(snapshot_epoch=-1) * ds["target_deviation"] + ds["target_mean"]
    np.testing.assert_allclose(net.predict(X), stored, rtol=1e-4)
    assert "at output near" in texts(plots.predicted(ds))


def test_words_of_a_file_for_validation_are_classes(tmp_path: Path) -> None:
    for name, kind in (("train", ["a", "b", "a"]), ("other", ["b", "a", "b"])):
        pd.DataFrame({"x": [0.0, 1, 2], "kind": kind}).to_csv(tmp_path / f"{name}.csv", index=False)
    task = Data.read(tmp_path / "train.csv", targets="kind", validation=tmp_path / "other.csv")
    assert task.targets_as(True).tolist() == [0, 1, 0, 1, 0, 1]
    pd.DataFrame({"x": [0.0, 1, 2]}).to_csv(tmp_path / "other.csv", index=False)
    with pytest.raises(SweepError, match=r"unknown column of other\.csv 'kind'"):
        Data.read(tmp_path / "train.csv", targets="kind", validation=tmp_path / "other.csv")


def field(x, key):
    import jax

    return jax.numpy.stack([x[:, 0], jax.random.normal(key) * x[:, 1]], axis=1)


def test_a_function_of_two_variables_that_draws_has_two_outputs(tmp_path: Path) -> None:
    task = FromFunction(
        function=field, features=2, low=(-1, 0), high=(1, 2), points=32, placement="quasi_random", outputs=("u", "v")
    )
    record, axes = replace(SHOWN, metrics=("spatial_error",)), grid(data_seed=(0, 1))
    page = tiny(task=task, model=MLP(width=6, depth=1), record=record, axes=axes)
    ds = run_sweep(page, out=tmp_path / "field")
    u, v = ds["target"].sel(output="u"), ds["target"].sel(output="v")
    np.testing.assert_allclose(u, np.broadcast_to(ds["x1"].values[:, None], u.shape), rtol=1e-6)
    slopes = (v / ds["x2"]).where(ds["x2"] > 0)
    assert slopes.isel(data_seed=0).std() < 1e-5 < abs(slopes.mean(["x1", "x2"]).diff("data_seed")).item()
    error = ((ds["prediction"] - ds["target"]) ** 2).sum("output") ** 0.5
    np.testing.assert_allclose(
        error.isel(snapshot_epoch=-1).transpose(*ds["spatial_error"].isel(epoch=-1).dims),
        ds["spatial_error"].isel(epoch=-1), rtol=1e-4, atol=1e-6,
    )  # fmt: skip
    net = trained(tmp_path / "field", data_seed=1)
    last = ds["prediction"].isel(snapshot_epoch=-1).sel(data_seed=1).transpose("x1", "x2", "output").values
    grid_points = np.stack(np.meshgrid(ds["x1"], ds["x2"], indexing="ij"), axis=-1).reshape(-1, 2)
    np.testing.assert_allclose(net.predict(grid_points), last.reshape(-1, 2), rtol=1e-4, atol=1e-6)
    assert "Median over 1 seed of the absolute error at each place" in texts(plots.surface_error(ds))


def test_a_split_that_trains_on_no_row_of_a_class_is_refused(tmp_path: Path) -> None:
    """Of 8 seeds some leave the only row of a class to validation; of others none does."""
    names = NAMES.astype(object)
    names[0] = "rare"
    seeds = range(8)
    task, drawn = Data(X, names, validation=0.4), []
    for seed in seeds:
        page = replace(CLASSES, task=task, axes=grid(data_seed=(seed,)), epochs=1, batch_size=None)
        try:
            plan_sweep(page)
        except SweepError:
            drawn.append(seed)
    assert 0 < len(drawn) < len(seeds)
    page = replace(CLASSES, task=task, axes=grid(data_seed=seeds), epochs=1)
    with pytest.raises(SweepError) as refused:
        run_sweep(page, out=tmp_path / "store")
    assert str(refused.value) == (
        f"data_seed={drawn[0]} leaves all rows of class 'rare' to validation (1 of 60): add rows of it, leave it out, "
        f"or take other seeds"
    )
    assert not (tmp_path / "store").exists()
