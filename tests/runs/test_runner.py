"""`run_sweep` from Python: notebooks, stores, waves, refused stores, and a full disk."""

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import LOSS_ONLY, PRECISIONS

from sweep import (
    MLP,
    Experiment,
    Figure,
    FromFunction,
    FromModule,
    FromOptax,
    Loss,
    Metric,
    Optimizer,
    Record,
    Sine,
    SumOfSines,
    SweepError,
    grid,
    log_spaced,
    open_results,
    run_sweep,
    zipped,
)
from sweep.base.labels import FINISHED
from sweep.engine import prepare
from sweep.results import store as stores
from sweep.specs import linear_spaced

EXPERIMENT = Experiment(
    question="Does it run?",
    task=SumOfSines(frequencies=(1.0, 2.0), points=32, noise=0.1),
    model=MLP(depth=1),
    optimizer=Optimizer("adam"),
    axes=zipped(seed=(3, 1, 2), data_seed=(0, 5, 9)) * grid(learning_rate=(1e-3, 0.1), width=(4, 8)),
    epochs=12,
    record=Record(at=log_spaced(6), snapshots=3),
)


@pytest.fixture(scope="module", params=PRECISIONS)
def experiment(request) -> Experiment:
    return replace(EXPERIMENT, precision=request.param)


@pytest.fixture(scope="module")
def made(experiment, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store of the experiment, which no test changes."""
    path = tmp_path_factory.mktemp("runner") / "store"
    run_sweep(experiment, out=path)
    return path


@pytest.fixture(scope="module")
def ds(made: Path):
    return open_results(made)


@pytest.fixture
def path(made: Path, tmp_path: Path) -> Path:
    """A copy of the store."""
    return Path(shutil.copytree(made, tmp_path / "store"))


@pytest.mark.core
def test_results_have_the_values_of_the_page_as_labels(ds) -> None:
    assert dict(ds.sizes) == {
        "seed": 3, "learning_rate": 2, "width": 2, "epoch": 7, "frequency": 2, "x": 32, "layer": 2, "snapshot_epoch": 3,
    }  # fmt: skip
    assert ds.seed.values.tolist() == [3, 1, 2]
    assert ds.data_seed.dims == ("seed",)
    assert ds.sel(learning_rate=1e-3, width=8, seed=1).data_seed == 5
    assert ds.epoch.values[0] == 0
    assert ds.epoch.values[-1] == 12
    assert ds.epoch.dtype == ds.learning_rate.dtype == np.float64
    assert (ds.status == FINISHED).all()
    for name in ds.variables:
        assert {"units", "long_name"} <= set(ds[name].attrs), name


def test_no_number_is_missing_and_the_counts_are_right(ds) -> None:
    for name in (
        "loss",
        "clean_loss",
        "spectral_error",
        "spatial_error",
        "gradient_norm",
        "parameter_norm",
        "prediction",
    ):
        assert np.isfinite(ds[name].values).all(), name
    assert ds.attrs["lane_steps"] == 12 * 12
    assert ds.attrs["lane_steps_executed"] >= ds.attrs["lane_steps"]
    assert ds.attrs["training_seconds"] > 0
    assert ds.attrs["complete"]


def test_stored_quantities_agree_with_each_other(ds) -> None:
    """Loss, prediction and errors are computed apart in the program; NumPy ties them together."""
    at = ds.sel(epoch=ds.snapshot_epoch.values)
    error = np.abs(ds.prediction.values - ds.target.values[..., None, :])
    np.testing.assert_allclose(at.spatial_error.values, error, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(at.clean_loss.values, (error**2).mean(-1), rtol=1e-5)
    coefficients = np.fft.rfft(ds.target.values)[..., 1:3][..., None, :]
    wanted = np.abs(np.fft.rfft(ds.prediction.values)[..., 1:3] - coefficients) / np.abs(coefficients)
    np.testing.assert_allclose(at.spectral_error.values, wanted, rtol=1e-4)
    # The loss against noisy targets differs from the clean loss by about the variance of the noise.
    assert abs((ds.loss - ds.clean_loss).isel(epoch=0).mean().item() - 0.01) < 0.05


def test_without_out_nothing_is_left_on_disk_and_the_numbers_are_the_same(
    experiment, ds, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    again = run_sweep(experiment)
    assert not any(tmp_path.iterdir())
    assert again.loss.values.tobytes() == ds.loss.values.tobytes()


@pytest.mark.slow
def test_a_notebook_that_has_used_jax_already_gets_the_same_numbers(tmp_path: Path) -> None:
    """With the backend up on one device there are no others to be had; the bits do not depend on it."""
    code = f"""
import sys, warnings, jax, jax.numpy as jnp
jnp.ones(3).sum().block_until_ready()
sys.path[:0] = {[str(Path(__file__).parent), str(Path(__file__).parents[1])]!r}
import test_runner
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    ds = test_runner.run_sweep(test_runner.EXPERIMENT)
    test_runner.run_sweep(test_runner.EXPERIMENT)
print(len(jax.devices()), sum("already running" in str(w.message) for w in caught))
open({str(tmp_path / "bits")!r}, "wb").write(ds.loss.values.tobytes())
"""
    env = {**os.environ, "JAX_PLATFORMS": "cpu"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, check=False)
    assert done.returncode == 0, done.stderr
    devices, warned = map(int, done.stdout.split())
    assert devices == 1
    assert warned == (1 if len(os.sched_getaffinity(0)) > 1 else 0)
    assert (tmp_path / "bits").read_bytes() == run_sweep(EXPERIMENT).loss.values.tobytes()


def test_waves_for_little_memory_give_the_same_numbers(experiment, tmp_path: Path) -> None:
    axes = zipped(seed=range(300), data_seed=range(300)) * grid(width=(4, 8))
    record = Record(("loss", "spectral_error", "gradient_norm"), at=log_spaced(2), snapshots=2)
    many = replace(experiment, axes=axes, epochs=2, record=record)
    whole = run_sweep(many)
    size = np.dtype(experiment.precision).itemsize
    waves = run_sweep(many, out=tmp_path / "store", memory=int(0.4 * size * 2**20))
    assert '"wave_lanes": 600' not in waves.attrs["plan"]
    for name in ("loss", "spectral_error", "prediction", "target", "gradient_norm"):
        assert waves[name].values.tobytes() == whole[name].values.tobytes(), name


def crowd() -> Experiment:
    """Make a sweep of 4,096 lanes that take no time."""
    record = Record(metrics=("loss",), at=linear_spaced(2), snapshots=0)
    return replace(EXPERIMENT, axes=grid(seed=range(4096)), model=MLP(depth=0), epochs=2, record=record)


@pytest.fixture(scope="module")
def whole():
    return run_sweep(crowd())


@pytest.mark.parametrize("trouble", ["device", "analysis"])
def test_a_wave_that_runs_out_of_memory_is_halved_and_no_bit_changes(
    whole, tmp_path: Path, monkeypatch, trouble
) -> None:
    compiled, taken = prepare.compile_training, prepare.program_bytes

    def exhausted(blocks: Any, *args: Any) -> Any:
        if blocks[0].tiles * blocks[0].tile > 1024:
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 17 bytes.")
        return compiled(blocks, *args)

    def large(program: Any, plan: Any) -> int:
        return 2**60 if len(plan.waves) < 4 else taken(program, plan)

    if trouble == "device":
        monkeypatch.setattr(prepare, "compile_training", exhausted)
    else:
        monkeypatch.setattr(prepare, "program_bytes", large)
    with pytest.warns(UserWarning, match="compiling again for waves of") as warned:
        halved = run_sweep(crowd(), out=tmp_path / "store")
    assert [str(each.message).split(": ")[-1] for each in warned] == [
        f"compiling again for waves of {lanes} lanes instead of {2 * lanes}"
        for lanes in ((2048,) if trouble == "device" else (2048, 1024))
    ]
    assert halved.loss.values.tobytes() == whole.loss.values.tobytes()
    assert (halved.status == FINISHED).all()
    assert halved.attrs["lane_steps"] == 4096 * 2


def test_too_little_memory_for_one_chunk_is_refused(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(prepare, "program_bytes", lambda program, plan: 2**60)
    for compile_part in ("training_program", "beginning_programs"):  # for a program that never runs
        monkeypatch.setattr(prepare, compile_part, lambda program, plan: None)
    few = replace(crowd(), axes=grid(seed=range(600)))
    raised = pytest.raises(SweepError, match=r"with 256 lanes at once.*start again with --fresh and a smaller --memory")
    with pytest.warns(UserWarning, match="instead of 600"), raised:
        run_sweep(few, out=tmp_path / "store")


def test_other_errors_of_the_device_are_not_treated_as_lack_of_memory(monkeypatch) -> None:
    def broken(*args: Any) -> Any:
        raise jax.errors.JaxRuntimeError("INTERNAL: something else")

    monkeypatch.setattr(prepare, "compile_training", broken)
    with pytest.raises(jax.errors.JaxRuntimeError, match="something else"):
        run_sweep(crowd())


def test_an_incomplete_store_is_refused_without_resume(experiment, path: Path) -> None:
    stores.Store(path).set_attributes(complete=False)
    with pytest.raises(SweepError, match=r"is incomplete: --resume continues it, --fresh"):
        run_sweep(experiment, out=path)
    assert run_sweep(experiment, out=path, resume=True).attrs["complete"]


def test_a_store_begun_with_other_tiles_is_refused(experiment, path: Path) -> None:
    store = stores.Store(path)
    begun = store.attributes()["arithmetic"]
    store.set_attributes(complete=False, arithmetic=begun.replace("[32, 32]", "[4, 4]"))
    with pytest.raises(SweepError, match=r"was begun with tiles \[4, 4\], here it is \[32, 32\].*--fresh"):
        run_sweep(experiment, out=path, resume=True)
    store.set_attributes(arithmetic=begun.replace(jax.__version__, "0.0.1"))
    with pytest.raises(SweepError, match=rf"was begun with jax 0\.0\.1, here it is {re.escape(jax.__version__)}"):
        run_sweep(experiment, out=path, resume=True)


def test_a_metric_with_other_dimensions_than_declared_is_refused() -> None:
    wrong = Metric("shift", lambda moment: jnp.zeros(3), dims=("frequency",))
    with pytest.raises(SweepError, match=r"'shift' states the dimensions \('frequency',\) of sizes \(2,\).*\(3,\)"):
        run_sweep(replace(EXPERIMENT, record=Record(own=(wrong,))))


def broken(x):
    return x.no_such_method()


def build(output):
    def module(width):
        from flax import linen as nn

        class Own(nn.Module):
            @nn.compact
            def __call__(self, x):
                return output(nn.Dense(1)(x))

        return Own()

    return FromModule(build=module)


def keeps_nothing():
    import optax

    return optax.GradientTransformation(lambda parameters: (), lambda gradient, state, _: (gradient["nothing"], state))


def growing(width):
    from flax import linen as nn

    class Growing(nn.Module):
        @nn.compact
        def __call__(self, x):
            seen = self.variable("seen", "points", lambda: jnp.zeros(1))
            seen.value = seen.value if self.is_initializing() else jnp.zeros(2)
            return nn.Dense(1)(x)

    return Growing()


WRONG = {
    "the target function 'broken' raised AttributeError": {"task": FromFunction(function=broken)},
    r"the target function '<lambda>' returns an array of shape \(2,\) for x of shape \(128,\)": {
        "task": FromFunction(function=lambda x: x[:2])
    },
    r"the target function '<lambda>' returns an array of shape \(128, 1\) for x of shape \(128,\)": {
        "task": FromFunction(function=lambda x: x[:, None])
    },
    r"the module of 'module' returns an array of shape \(32,\), it must be an array of shape \(32, 1\)": {
        "model": build(lambda z: z[:, 0])
    },
    r"the module of 'module' returns an array of shape \(32, 2\), it must be an array of shape \(32, 1\)": {
        "model": build(lambda z: jnp.concatenate([z, z], 1))
    },
    "the module of 'module' raised TypeError": {"model": build(lambda z: z + "1")},
    "the module of '<lambda>' raised ZeroDivisionError: integer division": {
        "model": FromModule(build=lambda width: 1 // 0)
    },
    "the optimiser of 'keeps_nothing' raised KeyError: 'nothing'": {"optimizer": FromOptax(keeps_nothing)},
    "the loss '<lambda>' raised IndexError": {"loss": Loss(lambda h, y: h[0, 1])},
    "the module of 'growing' changes in a step at .* from floats of shape": {"model": FromModule(build=growing)},
    "metric 'own' raised AttributeError": {"record": Record(own=(Metric("own", lambda moment: moment.los),))},
    "metric 'own' raised TracerBoolConversionError": {
        "record": Record(own=(Metric("own", lambda moment: moment.loss if moment.loss > 0 else 0.0),))
    },
}


@pytest.mark.parametrize("message", WRONG)
def test_a_wrong_function_of_a_page_is_refused_in_one_line_that_names_it_before_anything_is_stored(
    message: str, tmp_path: Path
) -> None:
    with pytest.raises(SweepError, match=message) as refused:
        run_sweep(replace(EXPERIMENT, **{"axes": grid(seed=(0,)), **WRONG[message]}), out=tmp_path / "store")
    assert "\n" not in str(refused.value)
    assert not [*tmp_path.iterdir()]


def test_a_target_function_may_return_one_number() -> None:
    task = FromFunction(function=lambda x, height: height, parameters={"height": 2}, points=16)
    ds = run_sweep(replace(EXPERIMENT, task=task, axes=grid(height=(2, 3)), model=MLP(depth=0), record=LOSS_ONLY))
    assert (ds.target.sel(height=3.0) == 3).all()
    assert ds.height.dtype == np.float64


def test_a_metric_of_the_page_is_stored_with_its_labels() -> None:
    own = Metric("bias", lambda moment: jnp.mean(moment.prediction), units="volts", long_name="mean output")
    record = Record(metrics=("loss",), own=(own,), at=log_spaced(3))
    ds = run_sweep(replace(EXPERIMENT, axes=grid(seed=(0, 1)), record=record))
    assert set(ds.data_vars) >= {"bias", "loss"}
    assert "spectral_error" not in ds
    assert ds.bias.attrs == {"units": "volts", "long_name": "mean output"}
    np.testing.assert_allclose(ds.bias.isel(epoch=0), ds.prediction.isel(snapshot_epoch=0).mean("x"), atol=1e-6)


def test_structures_of_different_depth_are_padded_with_nan_and_those_of_different_points_share_one_x() -> None:
    axes = zipped(depth=(0, 1), points=(16, 32))
    record = Record(("gradient_norm", "spatial_error"), at=log_spaced(2), snapshots=0)
    ds = run_sweep(replace(EXPERIMENT, axes=axes, model=MLP(width=4), record=record))
    norms = ds.gradient_norm.isel(epoch=0)
    assert np.isfinite(norms.sel(depth=1)).all()
    assert np.isfinite(norms.sel(depth=0)).values.tolist() == [True, False]
    assert ds.sizes["x"] == 32
    assert np.isfinite(ds.spatial_error).all()


def test_a_union_is_one_dimension_with_its_knobs_as_coordinates() -> None:
    seeds = grid(seed=(0, 1))
    adam = grid(optimizer=("adam",), learning_rate=(1e-3, 1e-2)) * seeds
    sgd = grid(optimizer=("sgd",), learning_rate=(0.1,), momentum=(0.0, 0.9)) * seeds
    ds = run_sweep(replace(EXPERIMENT, axes=adam + sgd, model=MLP(depth=0), record=LOSS_ONLY))
    assert dict(ds.loss.sizes) == {"point": 4, "seed": 2, "epoch": 5}
    assert ds.optimizer.values.tolist() == ["adam", "adam", "sgd", "sgd"]
    np.testing.assert_array_equal(ds.momentum.values, [np.nan, np.nan, 0.0, 0.9])
    assert ds.loss.where(ds.optimizer == "sgd", drop=True).sizes["point"] == 2


def _mount(place: Path, size: str) -> bool:
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


@pytest.mark.slow
def test_a_full_disk_leaves_finished_waves_and_a_store_that_can_be_resumed(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    if not _mount(disk, "2m"):
        pytest.skip("mounting a small file system takes root")
    try:
        axes = zipped(seed=range(2000), data_seed=range(2000))
        many = replace(EXPERIMENT, axes=axes, model=MLP(depth=1, width=4), epochs=3)
        message = r"can't write .*finished lanes are intact: free space there and continue with"
        with pytest.raises(SweepError, match=message):
            run_sweep(many, out=disk / "store", memory=2 * 2**20)
        partial = open_results(disk / "store")
        ended = (partial.status == FINISHED).values
        assert 0 < ended.sum() < 2000
        subprocess.run(["mount", "-o", "remount,size=100m", str(disk)], check=True)
        whole = run_sweep(many, out=disk / "store", resume=True)
        expected = run_sweep(many)
        assert whole.loss.values.tobytes() == expected.loss.values.tobytes()
        np.testing.assert_array_equal(partial.loss.values[ended], expected.loss.values[ended])
    finally:
        subprocess.run(["umount", str(disk)], check=False)


def test_tests_run_on_the_cpu() -> None:
    assert jax.devices()[0].platform == "cpu"


def test_fresh_keeps_a_store_in_its_place_until_the_new_sweep_is_planned(experiment, path: Path) -> None:
    with pytest.raises(SweepError, match="memory budget of 1 KiB is too small"):
        run_sweep(experiment, out=path, fresh=True, memory=1024)
    assert open_results(path).attrs["complete"]
    assert [entry.name for entry in path.parent.iterdir()] == ["store"]


def test_fresh_does_not_move_a_store_that_another_run_uses(experiment, path: Path) -> None:
    with stores.hold(path), pytest.raises(SweepError, match=r"is in use by process [0-9]+ on"):
        run_sweep(experiment, out=path, fresh=True)
    assert [entry.name for entry in path.parent.iterdir()] == ["store"]


def test_making_a_store_changes_nothing_beside_it(experiment, tmp_path: Path) -> None:
    (tmp_path / "store.new").mkdir()
    (tmp_path / "store.new" / "diary.txt").write_text("mine")
    run_sweep(experiment, out=tmp_path / "store")
    assert (tmp_path / "store.new" / "diary.txt").read_text() == "mine"
    assert {entry.name for entry in tmp_path.iterdir()} == {"store", "store.new"}


@pytest.mark.slow  # two programs also round in the same way only if XLA optimises them
def test_several_programs_share_a_store_whose_waves_are_whole_chunks(tmp_path: Path, monkeypatch) -> None:
    """More structures than one program takes: here two, so that three losses make two programs."""
    from sweep.engine import blocks

    axes = grid(seed=range(9)) * grid(loss_function=("mean_squared", "mean_absolute", "summed_squared"))
    many = replace(EXPERIMENT, axes=axes, model=MLP(depth=1, width=4), epochs=2)
    whole = run_sweep(many)
    monkeypatch.setattr(blocks, "MAX_BLOCKS", 2)
    split = run_sweep(many, out=tmp_path / "store", memory=2**20)
    assert '"programs": 2' in split.attrs["plan"]
    for name in ("loss", "prediction", "target"):
        assert split[name].values.tobytes() == whole[name].values.tobytes(), name


def test_a_wave_without_a_checkpoint_starts_from_the_beginning(experiment, ds, path: Path) -> None:
    stores.Store(path).set_attributes(complete=False)
    stores.Store(path).begin(0, stores.read(path).lane.size)
    (path / "heartbeat.json").write_text('{"lane_st')
    again = run_sweep(experiment, out=path, resume=True)
    assert again.loss.values.tobytes() == ds.loss.values.tobytes()


@pytest.mark.parametrize("name", ["checkpoint-0000000000", "checkpoint"])  # of older stores
def test_a_damaged_checkpoint_is_refused(experiment, path: Path, name: str) -> None:
    stores.Store(path).set_attributes(complete=False)
    stores.Store(path).begin(0, stores.read(path).lane.size)  # a wave that runs
    (path / name).write_bytes(b"PK truncated")
    with pytest.raises(SweepError, match=f"is damaged: {name} is not what was written"):
        run_sweep(experiment, out=path, resume=True)


@pytest.fixture(scope="module")
def far():
    """Results of a sine far below the default frequency over a wide range, without snapshots."""
    task = Sine(target_frequency=0.01, low=0.0, high=100.0, points=16)
    record = Record(at=log_spaced(2), snapshots=0)
    return run_sweep(replace(EXPERIMENT, task=task, axes=grid(seed=(0,)), record=record))


def test_a_sine_far_below_the_default_frequency_runs_over_a_wide_range(far) -> None:
    """The Shape of a lane carries no frequency, so no default may be checked against the range either."""
    np.testing.assert_allclose(far.target.squeeze(), np.sin(2 * np.pi * 0.01 * far.x), atol=1e-5)


def test_without_snapshots_everything_but_predictions_is_stored(far) -> None:
    assert "prediction" not in far.variables
    assert "snapshot_epoch" not in far.dims
    assert np.isfinite(far.spatial_error).all()


def test_a_complete_store_takes_over_changes_of_its_page(experiment, ds, path: Path) -> None:
    again = run_sweep(replace(experiment, figures=(Figure("loss_curves"),), question="Other words?"), out=path)
    assert json.loads(again.attrs["figures"]) == [{"name": "loss_curves", "options": {}}]
    assert again.attrs["created"] == ds.attrs["created"]
    assert open_results(path).attrs["question"] == "Other words?"


def test_a_store_names_the_commit_that_wrote_it(ds) -> None:
    root = Path(__file__).parents[2]
    done = subprocess.run(["git", "rev-parse", "HEAD"], cwd=root, capture_output=True, text=True, check=False)
    assert ds.attrs["commit"].startswith(done.stdout.strip()[:7])
    assert bool(ds.attrs["commit"]) == (done.returncode == 0)
