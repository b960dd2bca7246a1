"""Interruption and resume with real processes: SIGKILL, Ctrl-C, SIGTERM, a second run, a full disk."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest
import xarray as xr

from sweep import open_results
from sweep.base.labels import FINISHED
from sweep.cli.command import run_guarded
from sweep.results.store import Store
from sweep.run import main

PAGE = """
from sweep import MLP, Experiment, Figure, Optimizer, Record, SumOfSines, grid, log_spaced, zipped
experiment = Experiment(
    question="Does a killed sweep come back as if nothing had happened?",
    task=SumOfSines(frequencies=(1, 3), points=64, noise=0.1),
    model=MLP(depth=1, width=8),
    optimizer=Optimizer("adam"),
    axes=zipped(seed=range(8), data_seed=range(8)) * grid(learning_rate=(1e-3, 1e-2)),
    epochs={epochs},
    batch_size=24,
    record=Record(metrics=("loss", "spectral_error"), at=log_spaced(12)),
    figures=(Figure("loss_curves"),),
)
"""
EPOCHS = 6000  # a second or two of training on two cores


@pytest.fixture
def page(tmp_path: Path) -> Path:
    path = tmp_path / "slowly.py"
    path.write_text(PAGE.format(epochs=EPOCHS))
    return path


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Settings of JAX by which runs share a compiled program, where compiling is not what is tested."""
    return {
        "JAX_ENABLE_COMPILATION_CACHE": "true", "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.1",
        "JAX_COMPILATION_CACHE_DIR": str(tmp_path_factory.mktemp("programs")),
    }  # fmt: skip


def start(
    page: Path, *args: str, save_seconds: float = 0.3, settings: Mapping[str, str] = MappingProxyType({})
) -> subprocess.Popen[str]:
    """Start a run that saves often, so that a short test has checkpoints to come back to."""
    code = (
        f"import sys, runpy, sweep.runs.wave_writer as s; s.SAVE_SECONDS = s.MOST_SAVE_SECONDS = {save_seconds}; "
        "sys.argv = ['run', *sys.argv[1:]]; runpy.run_module('sweep.run', run_name='__main__')"
    )
    return subprocess.Popen(
        [sys.executable, "-c", code, str(page), *args],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=page.parent,
        # Compiled for speed: these train for seconds.
        env={**os.environ, "JAX_PLATFORMS": "cpu", "XLA_FLAGS": "", **settings},
    )


def wait_for(store: Path, share: float, process: subprocess.Popen[str]) -> None:
    """Wait until the run has executed a share of its lane-steps, or has ended."""
    total = EPOCHS * 3 * 16
    while process.poll() is None:
        try:
            done = json.loads((store / "heartbeat.json").read_text())["lane_steps_executed"]
        except (OSError, ValueError):
            done = 0
        if done >= share * total:
            return
        time.sleep(0.05)


def saved(store: Path) -> bool:
    """Tell whether a checkpoint beyond the first record is there."""
    checkpoint = Store(store).load_checkpoint(0)
    return checkpoint is not None and bool(checkpoint["done"][0] > 0)


def assert_same(one: xr.Dataset, other: xr.Dataset) -> None:
    """Compare every array bit by bit, NaN with NaN."""
    assert set(one.variables) == set(other.variables)
    for name in one.variables:
        assert one[name].values.tobytes() == other[name].values.tobytes(), name


@pytest.mark.slow  # a share of the campaign `kills` is in the quick tests
@pytest.mark.parametrize("kills", [1, 3])
def test_a_killed_sweep_that_is_resumed_is_equal_to_the_bit_and_repeats_only_what_was_not_saved(
    page: Path, tmp_path: Path, programs: dict[str, str], kills: int
) -> None:
    whole = start(page, "--out", str(tmp_path / "whole"), settings=programs)
    assert whole.wait(300) == 0, whole.stdout and whole.stdout.read()
    expected = open_results(tmp_path / "whole")
    assert expected.attrs["lane_steps"] == EPOCHS * 3 * 16
    executed = expected.attrs["lane_steps_executed"]  # including the lanes that pad tiles
    store, rng, done, unsaved = tmp_path / "killed", random.Random(0), 0, 0
    for share in sorted(rng.uniform(0.02, 0.6) for _ in range(kills)):
        run = start(page, "--out", str(store), "--resume", settings=programs)
        wait_for(store, share, run)
        while run.poll() is None and not saved(store):  # a kill before the first save would show nothing
            time.sleep(0.05)
        run.send_signal(signal.SIGKILL)
        run.wait(30)
        checkpoint = Store(store).load_checkpoint(0)
        assert checkpoint is not None
        assert max(done, 1) <= checkpoint["done"][0] < EPOCHS * 3
        done = checkpoint["done"][0]
        beat = json.loads((store / "heartbeat.json").read_text())
        unsaved = beat["lane_steps_executed"] - done * executed // (EPOCHS * 3)
    last = start(page, "--out", str(store), "--resume", settings=programs)
    assert last.wait(300) == 0, last.stdout and last.stdout.read()
    got = open_results(store)
    assert_same(expected, got)
    assert got.attrs["lane_steps"] == expected.attrs["lane_steps"]
    # Only what was executed between the last save and each kill is executed again.
    assert got.attrs["lane_steps_executed"] == executed + unsaved
    assert 0 <= unsaved < kills * executed / 2


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_is_obeyed_within_three_seconds_and_the_command_to_resume_is_printed(
    page: Path, tmp_path: Path, number: int, code: int
) -> None:
    store = tmp_path / "store"
    run = start(page, "--out", str(store), save_seconds=1e9)  # nothing is saved before the signal
    wait_for(store, 0.2, run)
    run.send_signal(number)
    run.send_signal(number)  # a second signal must not interrupt a segment
    begun = time.monotonic()
    assert run.wait(30) == code
    assert time.monotonic() - begun < 3
    assert run.stdout is not None
    printed = run.stdout.read()
    assert f"{page} --out {store} --resume" in printed
    assert "Traceback" not in printed
    ds = open_results(store)
    assert 0 < ds.attrs["lane_steps"] < EPOCHS * 3 * 16
    assert not np.isnan(ds.loss.isel(epoch=0)).any()
    assert (ds.status != FINISHED).all()


def test_a_signal_during_compilation_leaves_a_store_that_can_be_resumed(page: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    run = start(page, "--out", str(store))
    while not (store / "zarr.json").exists() and run.poll() is None:
        time.sleep(0.02)
    time.sleep(0.2)
    run.send_signal(signal.SIGINT)
    begun = time.monotonic()
    assert run.wait(30) == 130
    assert time.monotonic() - begun < 3
    assert open_results(store).attrs["lane_steps"] == 0


def test_a_store_in_use_is_refused_to_a_second_run(
    page: Path, tmp_path: Path, programs: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    store = tmp_path / "store"
    first = start(page, "--out", str(store), settings=programs)
    wait_for(store, 0.01, first)
    first.send_signal(signal.SIGSTOP)  # so that it still runs when the second starts: it holds the store all the same
    assert first.poll() is None
    assert run_guarded(main, [str(page), "--out", str(store), "--resume"]) == 2
    assert f"is in use by process {first.pid} on " in capsys.readouterr().err
    first.kill()
    first.wait(30)
