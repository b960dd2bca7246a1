"""Settings of JAX and XLA in the environment: they change no bit, or are refused before anything is written."""

import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sweep import open_results
from sweep.engine import numerics
from sweep.results.store import Store

PAGE = """
from sweep import MLP, Experiment, Figure, Linear, Optimizer, Record, grid, log_spaced
experiment = Experiment(
    question="Does it run under somebody else's settings?", task=Linear(points=16, noise=0.1),
    model=MLP(depth=1, width=4), optimizer=Optimizer("sgd"), axes=grid(seed=(0, 1), learning_rate=(0.1, 1e6)),
    batch_size=5, epochs=20, record=Record(at=log_spaced(3), snapshots=2), precision="{precision}",
    figures=(Figure("loss_curves"),),
)
"""
HERE = {key: value for key, value in os.environ.items() if not key.startswith(("JAX_", "XLA_"))}
HERE |= {"JAX_ENABLE_COMPILATION_CACHE": "true", "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.1"}
slow = pytest.mark.slow


@pytest.fixture(scope="module", autouse=True)
def _programs(tmp_path_factory):
    """Let runs share compiled programs: a setting that changes a program has one of its own all the same."""
    HERE["JAX_COMPILATION_CACHE_DIR"] = str(tmp_path_factory.mktemp("programs"))


def started(folder: Path, settings: dict[str, str], *args: str) -> subprocess.CompletedProcess[str]:
    code = "from sweep.cli.command import run_guarded; from sweep import run; raise SystemExit(run_guarded(run.main))"
    return subprocess.run(
        [sys.executable, "-c", code, "page.py", "--out", "store", *args], capture_output=True, text=True, check=False,
        cwd=folder, env={**HERE, "JAX_PLATFORMS": "cpu", "COLUMNS": "300", **settings}, timeout=300,
    )  # fmt: skip


def page(folder: Path, precision: str) -> None:
    (folder / "page.py").write_text(PAGE.format(precision=precision))


@pytest.fixture(scope="module")
def usual(tmp_path_factory):
    """Return a function that runs the page in a precision without any settings, once for each."""
    found = {}

    def results(precision: str):
        if precision not in found:
            folder = tmp_path_factory.mktemp(precision)
            page(folder, precision)
            done = started(folder, {})
            assert done.returncode == 0, done.stderr
            found[precision] = open_results(folder / "store").load()
        return found[precision]

    return results


WORKING = [
    ({"JAX_DEBUG_NANS": "1", "JAX_NUMPY_DTYPE_PROMOTION": "strict"}, "float32"),
    pytest.param({"JAX_DISABLE_JIT": "1"}, "float32", marks=slow),
    pytest.param(
        {
            "JAX_DEBUG_INFS": "1", "JAX_DEBUG_KEY_REUSE": "1", "JAX_LEGACY_PRNG_KEY": "error",
            "JAX_CHECK_TRACER_LEAKS": "1", "JAX_ENABLE_CHECKS": "1", "JAX_TRANSFER_GUARD": "disallow",
            "JAX_NO_TRACING": "1", "JAX_NO_EXECUTION": "1",
        },
        "float64", marks=slow,
    ),
    pytest.param({"JAX_ENABLE_X64": "1", "JAX_DEFAULT_DTYPE_BITS": "64"}, "float32", marks=slow),
    pytest.param({"JAX_DEFAULT_MATMUL_PRECISION": "bfloat16"}, "float32", marks=slow),
    pytest.param({"JAX_NUMPY_RANK_PROMOTION": "raise"}, "float64", marks=slow),
    pytest.param({"JAX_DEFAULT_PRNG_IMPL": "rbg"}, "float32", marks=slow),
    pytest.param({"JAX_THREEFRY_PARTITIONABLE": "0"}, "float32", marks=slow),
    pytest.param({"JAX_LOG_COMPILES": "1", "JAX_TRACEBACK_FILTERING": "off"}, "float32", marks=slow),
    pytest.param({"JAX_NUM_CPU_DEVICES": "3"}, "float32", marks=slow),
    pytest.param({"JAX_CPU_ENABLE_ASYNC_DISPATCH": "0"}, "float32", marks=slow),
    pytest.param({"JAX_COMPILATION_CACHE_DIR": "cache", "JAX_ENABLE_COMPILATION_CACHE": "true"}, "float32", marks=slow),
    pytest.param({"XLA_FLAGS": "--xla_force_host_platform_device_count=2"}, "float32", marks=slow),
]  # fmt: skip


@pytest.mark.parametrize(("settings", "precision"), WORKING)
def test_a_setting_that_works_changes_no_bit(settings, precision, usual, tmp_path) -> None:
    page(tmp_path, precision)
    done = started(tmp_path, settings)
    assert done.returncode == 0, done.stderr
    expected, got = usual(precision), open_results(tmp_path / "store")
    assert (expected.first_bad_epoch.notnull().sum() > 0).item()
    for name in expected.variables:
        assert expected[name].values.tobytes() == got[name].values.tobytes(), name
    assert json.loads(got.attrs["arithmetic"])["settings"] is None


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"JAX_PLATFORMS": "abacus"}, "JAX finds no device with JAX_PLATFORMS=abacus ("),
        ({"XLA_FLAGS": "--xla_no_such=1"}, "XLA_FLAGS=--xla_no_such=1 is refused by XLA (Unknown flag"),
        ({"JAX_DEBUG_NANS": "perhaps"}, "JAX can't read a setting in the environment: "),
        pytest.param({"JAX_PLATFORMS": "cuda"}, "JAX finds no device with JAX_PLATFORMS=cuda: ", marks=slow),
        pytest.param({"JAX_NUM_CPU_DEVICES": "many"}, "JAX can't read a setting in the environment", marks=slow),
        pytest.param({"JAX_NUMPY_RANK_PROMOTION": "no"}, "JAX can't read a setting in the environment", marks=slow),
    ],
)
def test_an_impossible_setting_is_refused_in_one_line_and_nothing_is_left(settings, message, tmp_path) -> None:
    page(tmp_path, "float32")
    done = started(tmp_path, settings)
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith(f"sweep: {message}")
    assert done.stderr.count("\n") == 1
    assert [entry.name for entry in tmp_path.iterdir() if entry.name != "__pycache__"] == ["page.py"]


@pytest.mark.parametrize(
    ("settings", "stored"),
    [
        pytest.param(
            {"XLA_FLAGS": "--xla_cpu_enable_fast_math=true --xla_force_host_platform_device_count=2"},
            ["--xla_cpu_enable_fast_math=true"],
            marks=slow,
        ),
        pytest.param({"JAX_RANDOM_SEED_OFFSET": "7"}, ["jax_random_seed_offset=7"], marks=slow),
        pytest.param({"JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}, ["jax_disable_most_optimizations=True"], marks=slow),
    ],
)
def test_a_setting_that_may_change_bits_is_part_of_the_arithmetic(settings, stored, tmp_path) -> None:
    page(tmp_path, "float32")
    assert started(tmp_path, settings).returncode == 0
    assert json.loads(open_results(tmp_path / "store").attrs["arithmetic"])["settings"] == stored
    Store(tmp_path / "store").set_attributes(complete=False)
    done = started(tmp_path, {}, "--resume")
    assert done.returncode == 2
    assert f"was begun with settings {stored}, here it is None, which may change bits" in done.stderr


def test_settings_that_may_change_bits_are_distinguished_from_those_that_can_not(monkeypatch) -> None:
    monkeypatch.delenv("XLA_FLAGS", raising=False)
    assert numerics.consequential() is None
    monkeypatch.setenv("XLA_FLAGS", "--xla_dump_to=d --xla_cpu_enable_fast_math=true --xla_a=1")
    assert numerics.consequential() == ["--xla_a=1", "--xla_cpu_enable_fast_math=true"]


def test_the_listed_defaults_of_settings_are_those_of_this_jax() -> None:
    for name, usual in numerics._CONSEQUENTIAL.items():
        assert jax.config.values[name] == usual, name


def test_the_settings_of_a_notebook_are_restored() -> None:
    with jax.debug_nans(True), jax.default_matmul_precision("bfloat16"):
        with numerics.standard_settings("float64"):
            assert jnp.log(jnp.float64(-1.0)).dtype == np.float64
        assert jax.config.jax_debug_nans
        assert jax.config.jax_default_matmul_precision == "bfloat16"
        assert not jax.config.jax_enable_x64
