"""Sweeps on real Ray, started here: bits, failures, stops, and what is refused. Kills: tests/faults/ray_workers.py."""

import json
import os
import signal
import socket
import subprocess
import sys
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
from faults.ray_workers import faulty
from helpers import tiny

from sweep import MLP, Record, grid, linear_spaced, open_results, run_sweep, zipped
from sweep.base.errors import SweepError, SweepWarning
from sweep.base.labels import NOT_RUN
from sweep.base.signals import Terminated
from sweep.runs import filling
from sweep.runs.coordinator import WavesFailedError
from sweep.runs.executors import Executor
from sweep.runs.executors.on_ray import connection
from sweep.runs.executors.on_ray.crew import Crew
from sweep.runs.executors.on_ray.messages import Description, Ray
from sweep.runs.executors.on_ray.run import Run
from sweep.runs.progress import Progress
from sweep.runs.runner import executor_for

AXES = zipped(seed=range(6), data_seed=range(6)) * grid(learning_rate=(1e-3, 1e-2))
RECORD = Record(("loss", "parameter_norm"), at=linear_spaced(3), snapshots=2)
EXPERIMENT = tiny(axes=AXES, model=MLP(width=6, depth=1), record=RECORD)
WORKERS = 2


@pytest.fixture(scope="module")
def ray() -> Iterator[ModuleType]:
    """Ray on this machine alone, for all tests of this file."""
    with connection.connected(None) as ray:
        yield ray


def test_a_wave_that_fails_a_stop_and_two_resumes_give_the_bits_of_one_process(ray, tmp_path: Path) -> None:
    store, fault = tmp_path / "store", tmp_path / "raises-1"
    fault.touch()
    with faulty(tmp_path, {}), executor_for(EXPERIMENT, Ray(workers=WORKERS)) as executor:
        _fail(executor, store)
        fault.unlink()
        _stop(executor, store)
        seen: list[Progress] = []
        filling.resume(EXPERIMENT, store, executor, seen.append)
    whole, expected = open_results(store), run_sweep(EXPERIMENT)
    for name in expected.variables:
        assert whole[name].values.tobytes() == expected[name].values.tobytes(), name
    assert json.loads(whole.attrs["failures"]) == []
    assert whole.attrs["lane_steps"] == expected.attrs["lane_steps"]
    assert whole.attrs["lane_steps_executed"] >= expected.attrs["lane_steps"]
    assert {progress.staff.wanted for progress in seen if progress.staff} == {WORKERS}
    assert not list(store.glob("*lease*"))


def _fail(executor: Executor, store: Path) -> None:
    with (
        pytest.warns(SweepWarning, match=r"wave 2 failed on worker \d \(process \d+ on .*\) \(RuntimeError: an injec"),
        pytest.raises(WavesFailedError, match=r"1 of 4 waves \(3 lanes\) failed, the others are stored in .*: Runtime"),
    ):
        filling.begin(EXPERIMENT, store, executor, {}, lambda progress: None, fresh=False)
    ds = open_results(store)
    assert int((ds.status == NOT_RUN).sum()) == 3
    (failure,) = json.loads(ds.attrs["failures"])
    assert failure == {"start": 3, "stop": 6, "wave": 1, "error": "RuntimeError: an injected error", "tries": 3}


def _stop(executor: Executor, store: Path) -> None:
    def stop(progress: Progress) -> None:
        if progress.stage == "training":
            raise Terminated(signal.SIGTERM)

    with pytest.raises(Terminated):
        filling.resume(EXPERIMENT, store, executor, stop)
    assert not (store / "lock.json").exists()


def test_ray_that_is_started_here_listens_on_the_loopback_interface_only(ray) -> None:
    found = subprocess.run(["ps", "-eo", "pid,ppid,args"], capture_output=True, text=True, check=True).stdout
    rows = [line.split(None, 2) for line in found.splitlines()[1:]]
    session = ray._private.worker._global_node.get_session_dir_path()
    own = {os.getpid()} | {int(pid) for pid, _, args in rows if session in args}
    own |= {int(pid) for pid, parent, _ in rows if int(parent) in own}
    assert len(own) >= 3
    sockets = set()
    for pid in own:
        for entry in Path(f"/proc/{pid}/fd").glob("*"):
            try:
                sockets.add(os.readlink(entry))
            except OSError:  # it was closed meanwhile
                continue
    listening = []
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in sockets:
                listening.append(fields[1].partition(":")[0])
    assert len(listening) >= 4
    loopback = {"0100007F", "0000000000000000FFFF00000100007F", "00000000000000000000000001000000"}
    assert {*listening} <= loopback


def test_what_ray_can_not_be_asked_for_is_refused_before_it_is_loaded(tmp_path: Path) -> None:
    with pytest.raises(SweepError, match="part and ray exclude each other"):
        run_sweep(EXPERIMENT, out=tmp_path / "store", ray=Ray(), part=(1, 2))
    with pytest.raises(SweepError, match="a sweep on a cluster needs a store that all machines see"):
        run_sweep(EXPERIMENT, ray=Ray(address="auto"))
    assert not list(tmp_path.iterdir())


def test_an_address_that_does_not_answer_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import ray

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # nobody listens there
        port = taken.getsockname()[1]
        for address in (f"127.0.0.1:{port}", f"ray://127.0.0.1:{port}", "nonsense"):
            with pytest.raises(SweepError, match=rf"no Ray at {address} \(.*\): start one with") as caught:
                run_sweep(EXPERIMENT, out=tmp_path / "store", ray=Ray(address=address))
            assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_without_ray_one_line_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(SweepError, match=r"--on ray needs Ray, which is not installed here .*pip install 'sweep-lanes"):
        run_sweep(EXPERIMENT, out=tmp_path / "store", ray=Ray())
    assert not list(tmp_path.iterdir())


class Actor:
    """Stands for Ray's handle where nothing is asked of it."""


def crew_of(*descriptions: Description) -> Crew:
    from sweep.runs.executors.on_ray.crew import Member

    crew = Crew.__new__(Crew)
    crew.members = {at: Member(at, Actor(), description=each) for at, each in enumerate(descriptions)}
    crew.dismiss = lambda member: crew.members.pop(member.number)  # type: ignore[method-assign]
    crew.begin = lambda member, task: None  # type: ignore[method-assign]
    return crew


def test_a_worker_with_another_kind_of_device_or_other_packages_gets_no_waves(tmp_path: Path) -> None:
    from sweep.results.store import Store
    from sweep.runs.executors.on_ray.messages import Given, Task
    from sweep.runs.layout import create
    from sweep.runs.planning import plan_sweep
    from sweep.runs.provenance import bit_versions

    plan = plan_sweep(EXPERIMENT, devices=1)
    create(plan, tmp_path / "store")
    own = Description("n", "host", 7, plan.devices.platform, plan.devices.kind, 1, 2**30, bit_versions())
    other = replace(own, host="elsewhere", platform="gpu", kind="H200")
    older = replace(own, host="old", versions=bit_versions() | {"jaxlib": "0.0.1"})
    crew = crew_of(own, other, older)
    task = Task(Given(EXPERIMENT), "", str(tmp_path / "store"), "", "", 4, 1, 1)
    run = Run(crew, task, plan, Store(tmp_path / "store"), [0])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for member in list(crew.members.values()):
            run._begin_with(member)
    assert [*crew.members] == [0]
    said = [str(each.message) for each in caught]
    assert said == [
        "worker 2 (process 7 on elsewhere) is not used: it has 1 x H200 (gpu), and the store holds results of 1 x cpu "
        "(cpu)",
        f"worker 3 (process 7 on old) is not used: it has jaxlib 0.0.1, here it is {bit_versions()['jaxlib']}",
    ]
