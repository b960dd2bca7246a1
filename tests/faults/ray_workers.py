"""Sweeps on real Ray, of which workers, machines or the driver are killed; then the store equals that of one process.

All cases share one cluster of three nodes on this machine, each with its own processes of Ray and one core. A worker is
killed, or hangs, at a chosen call of its store, so mid-wave and mid-write; nodes and drivers at a moment of the run.
"""

import atexit
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from random import Random
from typing import Any
from unittest.mock import patch

from .parts import judged, networks
from .stores import opened, whole
from .trials import Campaign, Case, Reply, busy, call

PAGE = '''
"""A page of six waves, of every kind of array."""

from sweep import Experiment, Halving, MLP, Record, SumOfSines, Target, grid, log_spaced, zipped

experiment = Experiment(
    question="Is anything lost?",
    task=SumOfSines(frequencies=(1, 2), points=8),
    model=MLP(depth=1, width=4),
    axes=zipped(seed=range(6), data_seed=range(6)) * grid(learning_rate=(1e-3, 1e-2, 1e30, 1e-1)),
    epochs=60,
    record=Record(metrics=("loss", "spectral_error"), at=log_spaced(5), snapshots=2),
    stop=STOP,
)
'''
STOPS = ("None", "Halving(first=0.1, keep=0.5)", "Target(0.9)")
NODES = 3
CALLS = 90  # of the methods of its store that write, by a worker that trains two waves or more
EACH = 20  # cases of a kind
SILENCE = 6.0  # seconds after which a worker that hangs is given up, instead of ten minutes
DRIVER_SECONDS = 12.0  # in which a driver has started, and trained all


class Cluster:
    """Three nodes of Ray on this machine, that this process is connected to."""

    def __init__(self) -> None:
        os.environ.setdefault("RAY_AUTH_MODE", "disabled")  # on loopback addresses, for this test alone
        import ray
        from ray.cluster_utils import Cluster as Nodes

        self.nodes = Nodes(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
        self.workers = [self._add() for _ in range(NODES)]
        ray.init(address=self.nodes.address, logging_level="CRITICAL", log_to_driver=False)
        self.ray = ray
        # Linux ends Ray's processes with the thread that has started them, so one thread does so for all cases.
        self.hands = ThreadPoolExecutor(1)
        from sweep.runs.executors.on_ray.connection import _silence

        _silence(ray)

    def _add(self) -> Any:
        with patch("ray._private.utils.set_sigterm_handler"):  # only the main thread could set one
            return self.nodes.add_node(num_cpus=1, object_store_memory=80 * 2**20)

    def kill_node(self, at: int) -> None:
        """Kill all processes of a node, and let another one join."""
        self.nodes.remove_node(self.workers[at], allow_graceful=False)
        self.workers[at] = self._add()

    def close(self) -> None:
        self.ray.shutdown()
        self.nodes.shutdown()


@cache
def cluster() -> Cluster:
    """Start the cluster, once in a process; it ends with it."""
    made = Cluster()
    atexit.register(made.close)
    return made


@contextlib.contextmanager
def faulty(folder: Path, faults: Mapping[str, Any]) -> Iterator[None]:
    """Start workers in which something goes wrong: they read what from a file.

    Args:
        folder: where they find the file, and where they note that it has happened.
        faults: what: see `FaultyWorker`.
    """
    import ray.cloudpickle

    from sweep.runs.executors.on_ray import crew, executor, run

    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    before = crew.Worker, crew.SILENCE, run.SILENCE, executor.WAVES_PER_WORKER
    crew.Worker = faulty_worker(str(folder), dict(faults))
    crew.SILENCE = run.SILENCE = SILENCE * busy()
    executor.WAVES_PER_WORKER = (2,)  # although that leaves tiles half empty
    try:
        yield
    finally:
        crew.Worker, crew.SILENCE, run.SILENCE, executor.WAVES_PER_WORKER = before
        ray.cloudpickle.unregister_pickle_by_value(sys.modules[__name__])


def faulty_worker(folder: str, faults: dict[str, Any]) -> type:
    """Make the class of workers in which something goes wrong.

    Each saves at every record. `calls` are numbers of calls of its store: at each of them one of the workers, the first
    that comes so far, gets `signal`, or all of them if `together` is set. Wave 1 always raises while there is a file
    `raises-1` in the folder, and all waves take their time while there is one named `slow`.
    """
    from sweep.runs.executors.on_ray.worker import Worker

    class FaultyWorker(Worker):
        def __init__(self, settings: Any) -> None:
            super().__init__(settings)
            from sweep.runs import wave_writer
            from sweep.runs.executors import local

            wave_writer.SAVE_SECONDS = wave_writer.MOST_SAVE_SECONDS = 0.0
            self._calls = 0
            Path(folder, f"pid-{os.getpid()}").touch()
            real_check, real_run = wave_writer.Store._check_held, local.run_wave

            def check(store: Any) -> None:
                self._calls += 1
                if self._calls in faults.get("calls", ()) and self._is_first(self._calls):
                    own = {os.getpid()}
                    others = {int(file.name.split("-")[1]) for file in Path(folder).glob("pid-*")} - own
                    for pid in (*(others if faults.get("together") else ()), *own):
                        with contextlib.suppress(ProcessLookupError):  # it was killed before
                            os.kill(pid, faults["signal"])
                real_check(store)

            def run_wave(plan: Any, number: int, *rest: Any) -> Any:
                if os.path.exists(f"{folder}/raises-{number}"):
                    raise RuntimeError("an injected error")
                for event in real_run(plan, number, *rest):
                    yield event
                    if os.path.exists(f"{folder}/slow"):
                        time.sleep(0.2)

            wave_writer.Store._check_held, local.run_wave = check, run_wave

        def _is_first(self, call: int) -> bool:
            try:
                os.close(os.open(f"{folder}/fault-{call}", os.O_CREAT | os.O_EXCL))
            except FileExistsError:
                return False
            return True

    return FaultyWorker


def prepared(stop: str = STOPS[0]) -> tuple[str, dict[str, Any]]:
    """Return the page with a rule, and what its store holds if one process runs it."""
    text = PAGE.replace("STOP", stop)
    return text, _expected(text)


@cache
def _expected(text: str) -> dict[str, Any]:
    import tempfile

    from sweep import load, run_sweep

    with tempfile.TemporaryDirectory() as made:
        page = _begin(Path(made), text)
        run_sweep(load(page), out=Path(made) / "store")
        return whole(Path(made) / "store") | networks(Path(made) / "store")


def _begin(folder: Path, text: str) -> Path:
    page = folder / "experiments" / "page.py"
    page.parent.mkdir()
    page.write_text(text)
    return page


def run_on_ray(folder: Path, *more: str, workers: int = NODES) -> Any:
    """Run the page on the cluster."""
    args = ["experiments/page.py", "--out", "store", "--on", "ray", "--workers", str(workers), *more]
    return call("run", args, cwd=folder, seconds=150)


def _ended_badly(reply: Reply) -> str:
    return "hang" if reply.code is None else "untidy"


def _with_faults(
    faults: Mapping[str, Any], workers: int = NODES, stop: str = STOPS[0]
) -> Callable[[Path], tuple[str, str]]:
    """Run to the end although workers are killed or hang."""

    def run(folder: Path) -> tuple[str, str]:
        cluster()
        text, expected = prepared(stop)
        _begin(folder, text)
        with faulty(folder, faults):
            reply = run_on_ray(folder, workers=workers)
        happened = len(list(folder.glob("fault-*")))
        if reply.code != 0:
            return (
                "hang" if reply.code is None else "untidy"
            ), f"{happened} faults: {reply.brief()} {reply.out[-500:]}"
        if faults and not happened:
            return "untidy", f"no worker came to call {faults['calls']}"
        if happened and "was lost" not in reply.out + reply.err:
            return "untidy", f"no word of {happened} lost workers: {reply.out[-500:]}"
        return judged(folder, expected, f"{happened} faults")

    return run


def _always_failing(wave: int) -> Callable[[Path], tuple[str, str]]:
    """A wave always fails: recorded, said, the rest done, code 1; tried again with --resume."""

    def run(folder: Path) -> tuple[str, str]:
        cluster()
        text, expected = prepared()
        _begin(folder, text)
        (folder / f"raises-{wave}").touch()
        with faulty(folder, {}):
            reply = run_on_ray(folder)
        if reply.code != 1 or "RuntimeError: an injected error" not in reply.lines()[-1]:
            return "untidy", reply.brief()
        left = opened(folder / "store", lambda ds: (int((ds.status == 0).sum()), ds.attrs["failures"]))
        if left[0] != 4 or "an injected error" not in left[1]:
            return "silent", f"{left[0]} lanes have not run, failures {left[1]}"
        reply = run_on_ray(folder, "--resume")
        if reply.code != 0:
            return "untidy", reply.brief()
        return judged(folder, expected, "resumed")

    return run


def _node_killed(seed: int, count: int) -> Callable[[Path], tuple[str, str]]:
    """Kill whole nodes while the sweep runs."""

    def run(folder: Path) -> tuple[str, str]:
        random, nodes = Random(seed), cluster()
        text, expected = prepared()
        _begin(folder, text)
        (folder / "slow").touch()  # so that it is hit while it trains
        delay = random.uniform(4.0, 20.0)

        def kill() -> None:
            time.sleep(delay)
            for at in random.sample(range(NODES), count):
                nodes.kill_node(at)

        killing = nodes.hands.submit(kill)
        with faulty(folder, {}):
            reply = run_on_ray(folder)
        killing.result()
        what = f"{count} nodes after {delay:.1f} s"
        if reply.code != 0:
            return _ended_badly(reply), f"{what}: {reply.brief()} {reply.out[-500:]}"
        return judged(folder, expected, what)

    return run


def _driver_killed(seed: int) -> Callable[[Path], tuple[str, str]]:
    """Kill the process that started the sweep, and resume."""

    def run(folder: Path) -> tuple[str, str]:
        random, nodes = Random(seed), cluster()
        text, expected = prepared()
        _begin(folder, text)
        command = [sys.executable, "-m", "sweep.run", "experiments/page.py", "--out", "store", "--on", "ray"]
        command += ["--address", nodes.nodes.address, "--workers", str(NODES)]
        with open(folder / "driver.txt", "w") as told:
            driver = subprocess.Popen(command, cwd=folder, stdout=told, stderr=told)
            seconds = random.uniform(0.3, 1.1) * DRIVER_SECONDS * busy()
            with contextlib.suppress(subprocess.TimeoutExpired):
                driver.wait(seconds)
            driver.send_signal(signal.SIGKILL)
            driver.wait()
        what = f"driver killed after {seconds:.1f} s"
        more = ["--resume"] if (folder / "store").exists() else []
        reply = run_on_ray(folder, *more)
        if reply.code != 0:
            return _ended_badly(reply), f"{what}: {reply.brief()} {reply.out[-500:]}"
        return judged(folder, expected, what)

    return run


def cases(folder: Path, random: Random) -> Sequence[Case]:
    """List workers that are killed at a write, one or three, on one to three workers; and waves that always fail."""
    found = []
    for number in range(EACH):
        workers, call_, stop = number % NODES + 1, random.randint(1, CALLS), random.choice(STOPS)
        faults = {"calls": [call_], "signal": signal.SIGKILL}
        name = f"a worker of {workers} killed at call {call_}, {stop}"
        found.append(Case(name, _with_faults(faults, workers, stop)))
        faults = {"calls": [call_], "signal": signal.SIGKILL, "together": True}
        found.append(Case(f"three killed at once, at call {call_}, {stop}", _with_faults(faults, NODES, stop)))
    found += [Case(f"wave {wave + 1} always fails", _always_failing(wave)) for wave in range(6)]
    for stop in STOPS:
        found += [
            Case(f"{workers} workers, no fault, {stop}", _with_faults({}, workers, stop)) for workers in (1, 2, 3)
        ]
    return found


def cases_of_hangs(folder: Path, random: Random) -> Sequence[Case]:
    """List workers that hang at a write."""
    calls = [random.randint(1, CALLS) for _ in range(EACH)]
    return [Case(f"hangs at call {c}", _with_faults({"calls": [c], "signal": signal.SIGSTOP})) for c in calls]


def cases_of_nodes(folder: Path, random: Random) -> Sequence[Case]:
    """List nodes that are killed, one or all three."""
    return [Case(f"{n} nodes, seed {seed}", _node_killed(seed, n)) for seed in range(EACH) for n in (1, NODES)]


def cases_of_drivers(folder: Path, random: Random) -> Sequence[Case]:
    """List drivers that are killed."""
    return [Case(f"seed {seed}", _driver_killed(seed)) for seed in range(EACH)]


def missing() -> str:
    """Say whether Ray is installed."""
    try:
        import ray  # noqa: F401
    except ImportError:
        return "Ray is not installed"
    return ""


CAMPAIGN = Campaign(
    "ray", "workers on Ray that are killed at a write, one to three of them, and waves that always fail",
    cases, quick=0, sample=6, missing=missing,
)  # fmt: skip
HANGS = Campaign("ray_hangs", "workers on Ray that hang", cases_of_hangs, quick=0, sample=1, missing=missing)
NODES_KILLED = Campaign(
    "ray_nodes", "whole nodes of a Ray cluster killed, one or all", cases_of_nodes, quick=0, sample=3, missing=missing
)
DRIVERS = Campaign(
    "ray_drivers", "a process that has started a sweep on Ray killed, and resumed", cases_of_drivers, quick=0, sample=2,
    missing=missing,
)  # fmt: skip
