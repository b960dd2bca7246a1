"""A worker's process, without Ray: it does what it is told, refuses what it may not do, and says so in plain values."""

import os
import pickle
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import xarray as xr
from helpers import tiny

from sweep import MLP, Record, grid, linear_spaced, open_results, run_sweep, zipped
from sweep.engine.plan import Fixed
from sweep.page.identity import fingerprint
from sweep.results import store as stores
from sweep.results.store.leases import write_ended
from sweep.runs.coordinator import Coordinator
from sweep.runs.events import Compiled, Ended, Saved
from sweep.runs.executors.on_ray.messages import Failed, Given, Refused, Stopped, Task
from sweep.runs.executors.on_ray.worker import Worker
from sweep.runs.layout import create
from sweep.runs.planning import plan_sweep
from sweep.runs.shares import Share

AXES = zipped(seed=range(6), data_seed=range(6)) * grid(learning_rate=(1e-3, 1e-2))
RECORD = Record(("loss", "parameter_norm"), at=linear_spaced(3), snapshots=2)
EXPERIMENT = tiny(axes=AXES, model=MLP(width=6, depth=1), record=RECORD)
WAVES = 3


@pytest.fixture(scope="module")
def expected() -> xr.Dataset:
    return run_sweep(EXPERIMENT)


@pytest.fixture
def task(tmp_path: Path) -> Iterator[Task]:
    """A task whose store this process holds."""
    path = tmp_path / "store"
    plan = plan_sweep(EXPERIMENT, fixed=Fixed(4, 2))
    create(plan, path)
    with stores.hold(path) as lock:
        yield Task(Given(EXPERIMENT), fingerprint(EXPERIMENT), str(path), lock.token, "lease", 4, plan.memory, 1)


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> Worker:
    monkeypatch.setattr("sweep.runs.executors.on_ray.worker.set_up", lambda settings: None)  # not in this process
    return Worker(None)  # type: ignore[arg-type]


def hear(worker: Worker, waves: list[int], until: Any) -> list[Any]:
    """Give waves to a worker, and collect its news until one of a kind comes."""
    heard, deadline = [], time.monotonic() + 60
    while not any(isinstance(each, until) for each in heard):
        _, news = worker.exchange(waves, 0.5)
        heard, waves = heard + news, []
        assert time.monotonic() < deadline, heard
    return heard


def test_a_wave_that_its_own_process_is_told_of_has_the_same_bits(
    task: Task, expected: xr.Dataset, tmp_path: Path
) -> None:
    (tmp_path / "task").write_bytes(pickle.dumps(task))
    code = (
        "import os, pathlib, pickle\n"
        "from sweep.runs.executors.on_ray.messages import Settings\n"
        "from sweep.runs.executors.on_ray.worker import Worker\n"
        "worker = Worker(Settings(os.getcwd(), {'JAX_NUM_CPU_DEVICES': '1'}))\n"
        "worker.begin(pickle.loads(pathlib.Path('task').read_bytes()))\n"
        "waves, ended = [2, 0, 1], 0\n"
        "while ended < 3:\n"
        "    lease, news = worker.exchange(waves, 1.0)\n"
        "    waves = []\n"
        "    for each in news:\n"
        "        print(lease, each, flush=True)\n"
        "        ended += type(each).__name__ in ('Ended', 'Failed', 'Refused')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("lease Compiled") == 1
    assert done.stdout.count("lease Ended") == WAVES, done.stdout
    path = Path(task.store)
    assert stores.Store(path).stored_places().all()
    plan = plan_sweep(EXPERIMENT, fixed=Fixed(4, 2))
    Coordinator(Share(plan, stores.Store(path)), lambda progress: None).run()  # which only completes it
    whole = open_results(path)
    for name in expected.variables:
        assert whole[name].values.tobytes() == expected[name].values.tobytes(), name
    assert whole.attrs["lane_steps_executed"] == 0


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (
            {"store": "/nowhere/store"},
            "sees no store at /nowhere/store: name a folder with --out that all machines see",
        ),
        ({"holder": "another"}, "is no longer held by the process that this worker works for"),
        ({"fingerprint": "another"}, "has another version of the page: all machines need the same files"),
        ({"devices": 64}, "devices=64 is more than there are here"),
    ],
)
def test_a_worker_that_may_not_or_can_not_do_a_task_says_why(task: Task, worker: Worker, changes, reason) -> None:
    worker.begin(replace(task, **changes))
    (refused,) = hear(worker, [], Refused | Compiled)
    assert isinstance(refused, Refused)
    assert reason in refused.reason
    assert "\n" not in refused.reason


def test_a_worker_with_other_packages_is_refused(task: Task, worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    versions = {"jax": "0.0.1", "jaxlib": "0.0.1", "flax": "0", "optax": "0"}
    monkeypatch.setattr("sweep.runs.provenance.bit_versions", lambda: versions)
    worker.begin(task)
    (refused,) = hear(worker, [], Refused | Compiled)
    assert isinstance(refused, Refused)
    assert "was begun with jax" in refused.reason
    assert not stores.Store(Path(task.store)).stored_places().any()


def test_a_worker_saves_when_it_is_stopped_and_another_one_goes_on(
    task: Task, worker: Worker, expected: xr.Dataset
) -> None:
    worker.begin(task)
    hear(worker, [], Compiled)
    worker.stop()
    assert isinstance(hear(worker, [0, 1], Stopped)[-1], Stopped)
    assert not stores.Store(Path(task.store)).stored_places().any()
    worker.begin(replace(task, lease="next"))
    assert [type(each) for each in hear(worker, [0], Ended) if isinstance(each, Ended | Saved)] == [Ended]


def test_a_worker_whose_lease_has_ended_writes_nothing(task: Task, worker: Worker) -> None:
    worker.begin(task)
    hear(worker, [], Compiled)
    write_ended(Path(task.store), ["lease"])
    before = {file: file.read_bytes() for file in Path(task.store).rglob("*") if file.is_file()}
    failed = hear(worker, [0], Failed)[-1]
    assert isinstance(failed, Failed)
    assert "this worker's lease has ended" in failed.error
    assert {file: file.read_bytes() for file in Path(task.store).rglob("*") if file.is_file()} == before


def test_a_wave_that_is_stored_is_told_and_not_trained_again(task: Task, worker: Worker) -> None:
    """Its worker was lost before it could tell."""
    worker.begin(task)
    (*_, first) = hear(worker, [0], Ended)
    before = {file: file.read_bytes() for file in Path(task.store).rglob("*") if file.is_file()}
    worker.begin(replace(task, lease="next"))
    hear(worker, [], Compiled)
    told = hear(worker, [0], Ended)
    assert told == [each for each in told if isinstance(each, Ended)]
    assert told[0].living == first.living if isinstance(first, Ended) else True
    assert told[0].living == EXPERIMENT.epochs * 4
    assert {file: file.read_bytes() for file in Path(task.store).rglob("*") if file.is_file()} == before


def test_an_error_of_a_wave_is_told_as_plain_values(
    task: Task, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_):
        raise OSError(28, os.strerror(28), "a file")

    worker.begin(task)
    hear(worker, [], Compiled)
    monkeypatch.setattr("sweep.runs.executors.local.run_wave", full)
    assert hear(worker, [0], Failed)[-1] == Failed(0, "No space left on device", 28)

    def missing(*_):
        raise FileNotFoundError(2, "No such file", "of the page\nand more")

    monkeypatch.setattr("sweep.runs.executors.local.run_wave", missing)
    (told,) = hear(worker, [1], Failed)
    assert told == Failed(1, "FileNotFoundError: [Errno 2] No such file: 'of the page\\nand more'")
