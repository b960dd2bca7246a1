"""A worker process and how it is asked: one JSON object a line, in on stdin and out on stdout.

A worker serves one or more sides. It does nothing between two requests, so that the side that is timed has
the machine to itself. This file is imported in every side's environment: nothing but NumPy is needed.
"""

import json
import os
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from benchmarks.cases import Case
from benchmarks.handover import Group, Handover, load

PACKAGES = ("jax", "jaxlib", "optax", "numpy", "torch", "tensorflow-cpu", "keras")
Choice = dict[str, Any]


class Trained(NamedTuple):
    """What a side answers.

    Args:
        seconds: from initial weights on hand to final losses on hand, compiled and warm.
        losses: over all points after the last step, an array of shape (lanes,) for each group.
        compile_seconds: spent on compiling before the clock was started.
    """

    seconds: float
    losses: list[np.ndarray]
    compile_seconds: float = 0.0


class Side(Protocol):
    """One way of doing the work.

    Args:
        choices: what it may be tuned in, the first value of each being where tuning starts.
    """

    choices: dict[str, list[Any]]

    def train(self, groups: list[Group], steps: int, choice: Choice, check: bool) -> Trained:
        """Train all lanes from their initial weights; for a check in the given orders of the points."""
        ...


def serve(make: dict[str, Callable[[Case, Handover], Side]], more: dict[str, Callable[..., Any]] | None = None) -> None:
    """Answer requests until stdin is closed.

    Args:
        make: makes each side that this worker serves from a case and what is handed over.
        more: other requests that it answers; each value takes the request's arguments.
    """
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a library prints must not mix with the answers
    served = _Server(make)
    handlers = {"hello": _hello, "open": served.open, "choices": served.choices, "train": served.train} | (more or {})
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = handlers[request.pop("do")](**request)
        except Exception:
            answer = {"error": traceback.format_exc()}
        print(json.dumps(answer), file=answers, flush=True)


def versions() -> dict[str, str]:
    """Tell the versions of Python and of the packages that matter here."""
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
        own = Case(**case | {"widths": tuple(case["widths"])})
        handover = load(Path(path), own.widths)
        self._groups = handover.groups
        self._sides = {name: make(own, handover) for name, make in self._make.items()}
        return {}

    def choices(self, side: str) -> dict[str, list[Any]]:
        return self._sides[side].choices

    def train(self, side: str, start: int, stop: int, steps: int, choice: Choice, check: bool) -> dict[str, Any]:
        groups = [group.part(start, stop) for group in self._groups]
        trained = self._sides[side].train(groups, steps, choice, check)
        return trained._asdict() | {"losses": [np.asarray(own, float).tolist() for own in trained.losses]}


class Worker:
    """The other end: starts a worker process and asks it.

    Args:
        python: its interpreter.
        module: what it runs, as after `python -m`.
        environment: variables set beside those that are there; None takes one away.
    """

    def __init__(self, python: str, module: str, environment: dict[str, str | None] | None = None) -> None:
        self._module = module
        self._chatter = tempfile.TemporaryFile("w+")  # noqa: SIM115 - told if the process fails, closed with it
        variables = dict(os.environ) | (environment or {})
        self._process = subprocess.Popen(
            [python, "-m", module], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._chatter, text=True,
            env={name: value for name, value in variables.items() if value is not None},
            cwd=Path(__file__).parents[1],
        )  # fmt: skip

    def send(self, do: str, **arguments: Any) -> None:
        """Put a request, without waiting for the answer."""
        assert self._process.stdin
        self._process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
        self._process.stdin.flush()

    def receive(self) -> dict[str, Any]:
        """Wait for the answer to the oldest request."""
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            code = self._process.wait()
            self._chatter.seek(0)
            raise RuntimeError(f"{self._module} ended with exit code {code}\n{self._chatter.read()[-2000:]}")
        answer = json.loads(line)
        if "error" in answer:
            raise RuntimeError(f"{self._module} failed:\n{answer['error']}")
        return answer

    def ask(self, do: str, **arguments: Any) -> dict[str, Any]:
        """Put a request and wait for its answer."""
        self.send(do, **arguments)
        return self.receive()

    def close(self) -> None:
        """Let the process end by itself."""
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait()
        self._chatter.close()
