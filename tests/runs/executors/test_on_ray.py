"""Sweeps on real Ray, started here: bits, failures, stops, and what is refused. Kills: tests/faults/ray_workers.py."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import ray.exceptions as ray_exceptions
from faults.ray_workers import faulty
from helpers import tiny

from sweep import MLP, Experiment, Record, grid, linear_spaced, load, open_results, run_sweep, zipped
from sweep.base.errors import SweepError, SweepWarning
from sweep.base.labels import NOT_RUN
from sweep.base.signals import Terminated
from sweep.engine.plan import Fixed, Plan
from sweep.engine.prepare import OutOfMemoryError
from sweep.results.store import Store
from sweep.runs import filling
from sweep.runs.events import Compiled, Ended
from sweep.runs.executors import Executor
from sweep.runs.executors.on_ray import connection
from sweep.runs.executors.on_ray.capacity import Capacity
from sweep.runs.executors.on_ray.crew import DESERTED, MOST_FALLS, SILENCE, Crew, Lost, Member, Unfit
from sweep.runs.executors.on_ray.executor import RayExecutor
from sweep.runs.executors.on_ray.messages import Description, Failed, Given, Ray, Task
from sweep.runs.executors.on_ray.run import Counts, Run
from sweep.runs.failures import WavesFailedError
from sweep.runs.layout import create
from sweep.runs.planning import plan_sweep
from sweep.runs.progress import Progress
from sweep.runs.provenance import common_versions
from sweep.runs.runner import executor_for

AXES = zipped(seed=range(6), data_seed=range(6)) * grid(learning_rate=(1e-3, 1e-2))
RECORD = Record(("loss", "parameter_norm"), at=linear_spaced(3), snapshots=2)
EXPERIMENT = tiny(axes=AXES, model=MLP(width=6, depth=1), record=RECORD)
WORKERS = 2
PAGE = """
from sweep import Experiment, FromFunction, MLP, Record, grid, linear_spaced, zipped

def target(x):
    return 2.0 * x - 1.0

experiment = Experiment(
    question="Is its function sent?",
    task=FromFunction(function=target, points=16),
    model=MLP(width=6, depth=1),
    axes=zipped(seed=range(6), data_seed=range(6)) * grid(learning_rate=(1e-3, 1e-2)),
    epochs=12,
    record=Record(("loss", "parameter_norm"), at=linear_spaced(3), snapshots=2),
)
"""


@pytest.fixture(scope="module")
def ray() -> Iterator[ModuleType]:
    """Ray on this machine alone, for all tests of this file."""
    with connection.connected(None) as ray:
        yield ray


def test_a_wave_that_fails_a_stop_and_two_resumes_give_the_bits_of_one_process(ray, tmp_path: Path) -> None:
    store, fault = tmp_path / "store", tmp_path / "raises-1"
    fault.touch()
    (tmp_path / "page.py").write_text(PAGE)
    page = load(tmp_path / "page.py")
    with faulty(tmp_path, {}), executor_for(page, Ray(workers=WORKERS)) as executor:
        _fail(page, executor, store)
        fault.unlink()
        (tmp_path / "slow").touch()
        _stop(page, executor, store)
        (tmp_path / "slow").unlink()
        seen: list[Progress] = []
        filling.resume(page, store, executor, seen.append)
    whole, expected = open_results(store), run_sweep(page)
    for name in expected.variables:
        assert whole[name].values.tobytes() == expected[name].values.tobytes(), name
    assert json.loads(whole.attrs["failures"]) == []
    assert whole.attrs["lane_steps"] == expected.attrs["lane_steps"]
    assert whole.attrs["lane_steps_executed"] >= expected.attrs["lane_steps"]
    assert {progress.staff.wanted for progress in seen if progress.staff} == {WORKERS}
    assert not list(store.glob("*lease*"))


def _fail(page: Experiment, executor: Executor, store: Path) -> None:
    with (
        pytest.warns(SweepWarning, match=r"wave 2 failed on worker \d \(process \d+ on .*\) \(RuntimeError: an injec"),
        pytest.raises(WavesFailedError, match=r"1 of 4 waves \(3 lanes\) failed, the others are stored in .*: Runtime"),
    ):
        filling.begin(page, store, executor, {}, lambda progress: None, fresh=False)
    ds = open_results(store)
    assert int((ds.status == NOT_RUN).sum()) == 3
    (failure,) = json.loads(ds.attrs["failures"])
    assert failure == {"start": 3, "stop": 6, "wave": 1, "error": "RuntimeError: an injected error", "tries": 3}


def _stop(page: Experiment, executor: Executor, store: Path) -> None:
    def stop(progress: Progress) -> None:
        if progress.lane_steps > 0.76 * progress.total:  # three of four waves are stored
            signal.raise_signal(signal.SIGTERM)

    with pytest.raises(Terminated):
        filling.resume(page, store, executor, stop)
    assert not (store / "lock.json").exists()
    assert list(store.glob("checkpoint-*"))  # of waves that were stopped between two records


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


def run_with(path: Path, plan: Plan, *workers: dict[str, object]) -> Run:
    """Make a run of a plan without Ray.

    Args:
        path: where its store is made.
        plan: the plan.
        workers: what of each worker is unlike this process.
    """
    create(plan, path)
    crew = Crew.__new__(Crew)
    kind = plan.devices.platform, plan.devices.kind
    own = Description("n", "host", 7, *kind, 1, 2**30, common_versions())
    crew.members = {at: Member(at, Actor(), description=replace(own, **each)) for at, each in enumerate(workers)}
    crew.dismiss = lambda member: crew.members.pop(member.number)  # type: ignore[method-assign]
    crew._nodes = SimpleNamespace(gone=set)  # type: ignore[assignment]
    crew._there = time.monotonic()
    crew.begin = lambda member, task: None  # type: ignore[method-assign]
    crew.capacity = Capacity(1, 1, 1, 0)
    task = Task(Given(EXPERIMENT), "", str(path), "", "", plan.wave_lanes, 1, 1)
    return Run(crew, task, plan, Store(path), range(len(plan.waves)), Counts())


def test_a_worker_with_another_kind_of_device_or_other_packages_gets_no_waves(tmp_path: Path) -> None:
    versions = common_versions()
    run = run_with(
        tmp_path / "store",
        plan_sweep(EXPERIMENT, devices=1),
        {},
        {"host": "elsewhere", "platform": "gpu", "kind": "H200"},
        {"host": "old", "versions": versions | {"jaxlib": "0.0.1"}},
        {"host": "arm", "versions": versions | {"processor": "arm64"}},
    )
    crew = run._crew
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for member in list(crew.members.values()):
            run._begin_with(member)
    assert [*crew.members] == [0]
    said = [str(each.message) for each in caught]
    assert said == [
        "worker 2 (process 7 on elsewhere) is not used: it has 1 x H200 (gpu), and the store holds results of 1 x cpu "
        "(cpu)",
        f"worker 3 (process 7 on old) is not used: it has jaxlib 0.0.1, here it is {versions['jaxlib']}",
        f"worker 4 (process 7 on arm) is not used: it has processor arm64, here it is {versions['processor']}",
    ]


@pytest.fixture
def at_work(tmp_path: Path) -> Run:
    """A run of four waves with one worker that has the first of them, without Ray."""
    run = run_with(tmp_path / "store", plan_sweep(EXPERIMENT, devices=1, fixed=Fixed(3, 1)), {})
    crew = run._crew
    run._begin_with(crew.members[0])
    list(run._note(crew.members[0], Compiled(1.0)))
    crew.members[0].lease = "lease"
    run._give()
    assert crew.members[0].orders == [0]
    return run


def test_the_lease_of_a_lost_worker_ends_before_its_wave_is_given_to_another(at_work: Run) -> None:
    member, store = at_work._working[0], at_work._store.path
    member.lease = ""  # as the crew does
    with pytest.warns(SweepWarning, match=r"worker 1 was lost, as it fell: wave 1 runs again from its last checkpoint"):
        list(at_work._take(member, Lost("worker 1", "lease", "it fell", with_node=False)))
    assert json.loads((store / "ended-leases.json").read_text()) == ["lease"]
    assert at_work._working == {}
    assert at_work._schedule.assign(9, 1, 1) == [0]
    at_work.release()
    assert json.loads((store / "ended-leases.json").read_text()) == ["lease"]


def test_what_is_nobodys_fault_ends_the_run_as_in_one_process(at_work: Run) -> None:
    member = at_work._working[0]
    with pytest.raises(OutOfMemoryError, match="no memory"):
        list(at_work._take(member, Failed(0, "no memory", out_of_memory=True)))
    with pytest.raises(OSError, match="No space left") as caught:
        list(at_work._take(member, Failed(0, "No space left", 28)))
    assert caught.value.errno == 28


class Asked:
    """Stands for Ray, which has no answer, or the one that is set."""

    def __init__(self, answer: object = None) -> None:
        self.answer, self.killed = answer, list[bool]()
        self.exceptions = ray_exceptions

    def kill(self, actor: object, no_restart: bool = True) -> None:
        self.killed.append(no_restart)

    def wait(self, asked: list, num_returns: int = 1, timeout: float = 0.0) -> tuple[list, list]:
        return (asked, []) if self.answer is not None else ([], asked)

    def get(self, reference: object) -> object:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def ask(run: Run, answer: object = None) -> Asked:
    run._crew._ray = Asked(answer)  # type: ignore[assignment]
    member = run._working[0]
    member.actor.exchange = SimpleNamespace(remote=lambda orders, patience: "asked")
    member.actor.describe = SimpleNamespace(remote=lambda: "described")
    return run._crew._ray  # type: ignore[return-value]


@pytest.mark.parametrize("answer", [None, ("lease", [])], ids=["it is frozen", "it says that there is nothing"])
def test_a_worker_that_has_waves_and_tells_nothing_for_long_is_lost_and_started_again(at_work: Run, answer) -> None:
    crew, member = at_work._crew, at_work._working[0]
    own = ask(at_work, answer)
    assert list(crew.collect(0.0)) == []
    if answer is None:
        member.asked_at -= SILENCE + 1
    else:
        member.heard -= SILENCE + 1
        assert member.is_silent()
    ((_, lost),) = crew.collect(0.0)
    assert isinstance(lost, Lost)
    assert lost.reason == "it gave no sign of life for 600 s"
    assert own.killed == ([False] if answer is None else [])
    assert (member.description, member.lease, member.pending) == (None, "", None)
    assert list(crew.collect(0.0)) == []
    member.asked_at, own.answer = member.asked_at - 2, None
    list(crew.collect(0.0))
    assert member.pending == "described"


def test_a_worker_without_waves_need_not_tell_anything(at_work: Run) -> None:
    member = at_work._working[0]
    list(at_work._note(member, Ended(0, 1)))
    assert not member.busy
    ask(at_work, ("lease", []))
    member.heard -= 10 * SILENCE
    assert list(at_work._crew.collect(0.0)) == []


def test_nobody_is_lost_after_this_process_stood_still(at_work: Run) -> None:
    member = at_work._working[0]
    ask(at_work)
    list(at_work._crew.collect(0.0))
    member.asked_at, member.heard = member.asked_at - 2 * SILENCE, member.heard - 2 * SILENCE
    at_work._crew._ray = Asked(("lease", []))  # type: ignore[assignment]  # its answer has been there all the time
    assert list(at_work._crew.collect(0.0)) == []


def test_a_run_without_any_worker_for_long_ends_and_one_with_workers_does_not(at_work: Run) -> None:
    crew = at_work._crew
    crew._there -= 2 * DESERTED
    assert not crew.is_deserted()
    crew.members[0].description = None
    assert not crew.is_deserted()
    crew._there -= 2 * DESERTED
    assert crew.is_deserted()


def test_orders_of_an_earlier_task_are_forgotten(at_work: Run) -> None:
    member = at_work._working[0]
    member.orders = [1, 2]
    member.actor.begin = SimpleNamespace(remote=lambda task: "begun")
    Crew.begin(at_work._crew, member, replace(at_work._task, lease="next"))
    assert (member.orders, member.pending, member.lease) == ([], "begun", "next")


def test_a_worker_that_is_being_started_is_asked_again_and_is_not_lost(at_work: Run) -> None:
    crew, member = at_work._crew, at_work._working[0]
    ask(at_work, ray_exceptions.ActorUnavailableError("it is restarting", b"0" * 16))
    member.description, member.lease, member.pending = None, "", "described"
    for _ in range(3 * MOST_FALLS):
        assert list(crew.collect(0.0)) == []
        member.asked_at -= 2
    assert member.falls == 0
    assert crew.members == {0: member}


def test_a_worker_that_can_not_read_its_task_is_not_started_for_ever(at_work: Run) -> None:
    crew, member = at_work._crew, at_work._working[0]
    ask(at_work, ray_exceptions.ActorUnavailableError("it fell", b"0" * 16))
    known = member.description
    for fall in range(MOST_FALLS):
        member.pending, member.description = "asked", known
        found = [news for _, news in crew.collect(0.0)]
        assert isinstance(found[0], Lost), fall
    assert found[1:] == [Unfit(f"it was lost {MOST_FALLS} times before it was ready")]
    assert crew.members == {}
    crew.members[0] = member
    member.pending, member.falls = "asked", 0
    error = ray_exceptions.RayTaskError("begin", "Traceback\nModuleNotFoundError: No module named 'mine'", ValueError())
    ask(at_work, error)
    member.pending = "asked"
    assert [news for _, news in crew.collect(0.0)] == [Unfit("ModuleNotFoundError: No module named 'mine'")]


def test_workers_that_can_not_start_at_all_end_the_run_at_once(at_work: Run) -> None:
    crew, member = at_work._crew, at_work._working[0]
    error = ray_exceptions.RayTaskError("describe", "Traceback\nSweepError: the folder is not there", ValueError())
    ask(at_work, error)
    member.description, member.lease, member.pending = None, "", "described"
    crew._wanted, crew._dismissed = 1, 1
    with pytest.raises(SweepError, match="no worker could be started: the folder is not there: the cluster has place"):
        crew.start(lambda: None)
    assert crew.members == {}


def planned(crew: list[Description], workers: int, fixed: Fixed = Fixed()) -> Plan:
    """Plan for workers that have described themselves so."""
    standing = SimpleNamespace(start=lambda obey: crew, capacity=Capacity(workers, workers, 1, 0))
    return RayExecutor(standing, EXPERIMENT, Given(EXPERIMENT), None).plan(EXPERIMENT, fixed)  # type: ignore[arg-type]


def test_waves_are_cut_for_the_workers_unless_that_leaves_tiles_emptier(monkeypatch: pytest.MonkeyPatch) -> None:
    own = Description("n", "host", 7, "cpu", "cpu", 1, 2**30, common_versions())
    plan = planned([own, replace(own, pid=8)], 2)
    (program,) = plan.programs
    assert program.blocks[0].tile > len(plan.lanes)  # so half as large waves would cost as much each
    assert [len(wave.lanes) for wave in plan.waves] == [6, 6]
    assert plan.memory == 2**30 // 2 // 2  # two share the memory of one machine
    monkeypatch.setattr("sweep.runs.executors.on_ray.executor.work_of_each", lambda plan, workers: 1.0)
    assert [len(wave.lanes) for wave in planned([own], 2).waves] == [3, 3, 3, 3]
    assert planned([own], 2).memory == 2**30 // 2


def test_the_kind_of_most_workers_is_planned_for_or_that_of_the_store() -> None:
    own = Description("n", "host", 7, "cpu", "cpu", 2, 2**30, common_versions())
    gpus = [replace(own, platform="gpu", kind=kind, count=1) for kind in ("H200", "H200", "A100")]
    found = planned(gpus, 3).devices
    assert (found.platform, found.kind, found.count) == ("gpu", "H200", 1)
    assert planned(gpus, 3, Fixed(kind=("gpu", "A100"))).devices.kind == "A100"
    assert planned(gpus, 3, Fixed(kind=("gpu", "B200"))).devices.kind == "H200"  # and the store is refused


@pytest.mark.parametrize(
    ("capacity", "message"),
    [
        (Capacity(0, 0, 64, 0), "this machine has place for 0 workers of 64 devices, and 1 should run: ask for less"),
        (Capacity(5, 2, 1, 0), "this machine has place for 2 workers of 1 device, and 5 should run: ask for less with"),
    ],
)
def test_workers_that_will_never_have_a_place_are_refused_at_once(at_work: Run, capacity: Capacity, message) -> None:
    crew = at_work._crew
    crew.capacity = capacity
    crew._nodes = SimpleNamespace(alive=lambda: [{"CPU": 2.0}])  # type: ignore[assignment]
    with pytest.raises(SweepError, match=message):
        crew.refuse_to_wait()
    crew._nodes = SimpleNamespace(alive=lambda: [{"CPU": 2.0}] * 2)  # type: ignore[assignment]
    crew.refuse_to_wait()  # others may join
