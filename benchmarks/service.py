"""Worker processes and their protocol: one JSON object per line, requests on stdin and answers on stdout.

A worker serves one or more sides. It is idle between two requests, so that the side that is timed has the machine to
itself. This module is imported in the environment of every side, so it needs nothing but NumPy.
"""

import json
import os
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from benchmarks.cases import Case
from benchmarks.handover import Group, Handover, load

PACKAGES = ("jax", "jaxlib", "optax", "numpy", "torch", "tensorflow-cpu", "keras")
Choice = dict[str, Any]


class Trained(NamedTuple):
    """The result of a side's training.

    Args:
        seconds: time from initial weights in memory to final losses in memory, compiled and warm.
        losses: over all points after the last step, an array of shape (lanes,) for each group.
        compile_seconds: time for compilation, before the clock was started.
    """

    seconds: float
    losses: list[np.ndarray]
    compile_seconds: float = 0.0


class Side(Protocol):
    """One way of doing the work.

    Args:
        choices: values of each setting that may be tuned; tuning starts with the first ones.
    """

    choices: dict[str, list[Any]]

    def train(self, groups: list[Group], steps: int, choice: Choice, check: bool) -> Trained:
        """Train all lanes from their initial weights; for a check with the given orders of the points."""
        ...


def serve(make: dict[str, Callable[[Case, Handover], Side]], more: dict[str, Callable[..., Any]] | None = None) -> None:
    """Answer requests until stdin is closed.

    Args:
        make: for each side that this worker serves, a function that makes it of a case and a handover.
        more: functions for other requests, by name; they take the request's arguments.
    """
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # text that a library prints must not mix with the answers
    server = _Server(make)
    handlers = {"hello": _hello, "open": server.open, "choices": server.choices, "train": server.train} | (more or {})
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = handlers[request.pop("do")](**request)
        except Exception:
            answer = {"error": traceback.format_exc()}
        print(json.dumps(answer), file=answers, flush=True)


def versions() -> dict[str, str]:
    """Give the versions of Python and of the packages in `PACKAGES`."""
    found = {"python": ".".join(map(str, sys.version_info[:3]))}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _hello() -> dict[str, Any]:
    return {"versions": versions()}


class _Server:
    def __init__(self, make: dict[str, Callable[[Case, Handover], Side]]) -> None:
        self._make, self._sides, self._groups = make, {}, ()

    def open(self, case: dict[str, Any], path: str) -> dict[str, Any]:
        work = Case.from_json(case)
        handover = load(Path(path), work.widths)
        self._groups = handover.groups
        self._sides = {name: make(work, handover) for name, make in self._make.items()}
        return {}

    def choices(self, side: str) -> dict[str, list[Any]]:
        return self._sides[side].choices

    def train(self, side: str, start: int, stop: int, steps: int, choice: Choice, check: bool) -> dict[str, Any]:
        groups = [group.part(start, stop) for group in self._groups]
        trained = self._sides[side].train(groups, steps, choice, check)
        return trained._asdict() | {"losses": [np.asarray(losses, float).tolist() for losses in trained.losses]}


def run_module(module: str, *arguments: str, environment: Mapping[str, str | None]) -> Any:
    """Run a module of ours in a process of its own, and return what it prints last, as JSON.

    Args:
        module: its name.
        arguments: of its command line.
        environment: changes of this one.
    """
    command = [sys.executable, "-m", module, *arguments]
    done = subprocess.run(command, env=changed_environment(environment), check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def changed_environment(changes: Mapping[str, str | None]) -> dict[str, str]:
    """Return this process's environment variables with some changes; None removes one."""
    return {name: value for name, value in (dict(os.environ) | dict(changes)).items() if value is not None}


class Worker:
    """The client's end: starts a worker process and sends it requests.

    Args:
        python: the interpreter of the process.
        module: the module that it runs, as after `python -m`.
        environment: changes of environment variables; None removes one.
    """

    def __init__(self, python: str, module: str, environment: dict[str, str | None] | None = None) -> None:
        self._module = module
        self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115 - shown if the process fails, closed with it
        self._process = subprocess.Popen(
            [python, "-m", module], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, text=True,
            env=changed_environment(environment or {}),
            cwd=Path(__file__).parents[1],
        )  # fmt: skip

    def send(self, do: str, **arguments: Any) -> None:
        """Send a request without waiting for the answer."""
        assert self._process.stdin
        self._process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
        self._process.stdin.flush()

    def receive(self) -> dict[str, Any]:
        """Wait for the answer to the oldest request."""
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            code = self._process.wait()
            self._log.seek(0)
            raise RuntimeError(f"{self._module} ended with exit code {code}\n{self._log.read()[-2000:]}")
        answer = json.loads(line)
        if "error" in answer:
            raise RuntimeError(f"{self._module} failed:\n{answer['error']}")
        return answer

    def ask(self, do: str, **arguments: Any) -> dict[str, Any]:
        """Send a request and wait for its answer."""
        self.send(do, **arguments)
        return self.receive()

    def close(self) -> None:
        """Close the process's stdin, and wait for it to end."""
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait()
        self._log.close()
