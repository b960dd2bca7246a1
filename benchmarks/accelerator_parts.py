"""Running one part of the measurements in a process of its own: a crash or a hang ends that process and nothing else.

The process prints one JSON object a line: {"about": {...}} of the machine, {"plan": [name, ...]} before its first item,
{"begin": name} when it begins one, {"item": name, "found": {...}} with what it has found of it so far, {"done": name}.
The process that reads these lines uses no device, so that the parts have all of its memory.
"""

import json
import os
import queue
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[1]
BEYOND_TIME: Final = "beyond time"
BEYOND_MEMORY: Final = "beyond memory"
_TAIL: Final = 3  # lines of a process's errors that are kept
_RESTARTS: Final = 5


@dataclass
class Part:
    """What a part has found.

    Args:
        about: what the process says of the machine.
        items: what was found of each item, by its name; "failed" says why an item did not come to its end.
        planned: names of all items.
        seconds: how long the part took.
        failed: why the part as a whole did not come to its end; "" if it did.
    """

    about: dict[str, Any] = field(default_factory=dict)
    items: dict[str, dict[str, Any]] = field(default_factory=dict)
    planned: list[str] = field(default_factory=list)
    seconds: float = 0.0
    failed: str = ""


def run_part(
    command: Sequence[str], environment: dict[str, str], seconds: float, item_seconds: float,
    save: Callable[[Part], None],
) -> Part:  # fmt: skip
    """Run a part to its end or its time limit.

    If its process crashes, or takes too long for an item, another one is started for the items that are left.

    Args:
        command: starts the process; the names of items to leave out are appended.
        environment: the process's environment.
        seconds: the most that the part takes.
        item_seconds: the most that one item takes.
        save: called with what there is, after every line.
    """
    part, begun = Part(), time.monotonic()
    _run_processes(part, command, environment, begun + seconds, item_seconds, save)
    for name in [name for name in part.planned if name not in part.items]:
        part.items[name] = {"failed": part.failed or BEYOND_TIME}
    part.seconds = time.monotonic() - begun
    save(part)
    return part


def _run_processes(
    part: Part, command: Sequence[str], environment: dict[str, str], deadline: float, item_seconds: float,
    save: Callable[[Part], None],
) -> None:  # fmt: skip
    finished: set[str] = set()
    for _ in range(_RESTARTS):
        process = _Process([*command, *sorted(finished)], environment)
        try:
            again = _follow(process, part, finished, deadline, item_seconds, save)
        finally:
            process.end()
        if not again:
            return
    part.failed = f"ended {_RESTARTS} times before its end"


def _follow(
    process: "_Process", part: Part, finished: set[str], deadline: float, item_seconds: float,
    save: Callable[[Part], None],
) -> bool:  # fmt: skip
    """Collect what a process prints; tell whether another one is needed for the items that are left."""
    doing, item_deadline = None, deadline
    while True:
        line = process.read(min(deadline, item_deadline) - time.monotonic())
        if line is None:  # no line in time
            return _interrupted(part, finished, doing, BEYOND_TIME) and time.monotonic() < deadline
        if not line:  # the process has ended
            code = process.code()
            if code == 0:
                return False
            return _interrupted(part, finished, doing, f"ended with {_name_of(code)}: {process.errors()}")
        said = json.loads(line)
        if "about" in said:
            part.about.update(said["about"])
        elif "plan" in said:
            part.planned = said["plan"]
        elif "begin" in said:
            doing, item_deadline = said["begin"], min(deadline, time.monotonic() + item_seconds)
            part.items.setdefault(doing, {})
        elif "item" in said:
            part.items.setdefault(said["item"], {}).update(said["found"])
        elif "done" in said:
            doing, item_deadline = None, deadline
            finished.add(said["done"])
        save(part)


def _interrupted(part: Part, finished: set[str], doing: str | None, why: str) -> bool:
    """Note why a process was interrupted, at the item that it was doing; tell whether others may follow."""
    if doing is None:
        part.failed = why
        return False
    part.items[doing]["failed"] = why
    finished.add(doing)
    return True


def _name_of(code: int) -> str:
    return f"exit code {code}" if code >= 0 else signal.Signals(-code).name


class _Process:
    """A process whose lines are read with a time limit; all that it has started ends with it."""

    def __init__(self, command: Sequence[str], environment: dict[str, str]) -> None:
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - read if the process fails, closed with it
        self._process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=self._errors, text=True, env=environment, cwd=ROOT,
            start_new_session=True,
        )  # fmt: skip
        self._lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._collect, daemon=True).start()

    def _collect(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put("")

    def read(self, seconds: float) -> str | None:
        """Return the next line, "" after the last one, or None if none comes in time."""
        try:
            return self._lines.get(timeout=max(0.0, seconds))
        except queue.Empty:
            return None

    def code(self) -> int:
        """Wait for the end, and return the exit code."""
        return self._process.wait()

    def errors(self) -> str:
        """Return the last lines that were printed to stderr."""
        self._errors.seek(0)
        lines = [line for line in self._errors.read().splitlines() if line.strip()]
        return " | ".join(line.strip()[:300] for line in lines[-_TAIL:])

    def end(self) -> None:
        """End the process and all that it has started."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._errors.close()
