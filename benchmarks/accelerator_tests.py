"""The engine's tests on the accelerator: pytest in a process of its own, with this module as a plugin.

As a plugin it keeps the core tests and a few more, skips those that cannot hold on an accelerator, and appends the
outcome of each test to a file as soon as it is known, so that nothing is lost if time runs out.
"""

import json
import os
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import pytest

from benchmarks.accelerator_child import Report

RESULTS: Final = "ACCELERATOR_TESTS"  # the variable that names the file
WORKER: Final = "PYTEST_XDIST_WORKER"  # set in the processes to which pytest gives tests, also if a test runs this
_PROCESSES: Final = 8  # at most; each has a part of the memory
# Beside the core tests: what must hold for a lane wherever it is trained.
MORE: Final = (
    "test_train.py::test_a_lane_in_float32_takes_the_first_five_steps_of_the_plain_loop_to_1e_5",
    "test_train.py::test_a_grown_grid_with_another_block_in_waves_changes_no_bit",
    "test_train.py::test_resuming_from_a_saved_position_changes_no_bit",
    "test_train.py::test_other_segments_change_no_bit",
    "test_replay.py::test_a_replayed_lane_of_any_block_and_wave_is_equal_to_the_bit",
)
NOT_HERE: Final = {
    "test_train.py::test_more_devices_change_no_bit": "needs three devices",
    "test_sine.py::test_values_and_three_derivatives_are_within_the_promised_error": "only a CPU gets the polynomials",
}


def measure(report: Report) -> None:
    """Run the tests, and tell the outcomes as they come."""
    report.do("core", lambda: _run(report))


def _run(report: Report) -> None:
    results = report.folder / "tests.jsonl"
    processes = min(_PROCESSES, (os.cpu_count() or 1) // 2)
    several = ["-n", str(processes), "--dist", "load"] if processes > 1 and find_spec("xdist") else []
    command = [
        sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "benchmarks.accelerator_tests",
        "-m", "not slow and not browser and not faults", *several, *report.size.tests,
    ]  # fmt: skip
    own = {name: value for name, value in os.environ.items() if name != WORKER} | {RESULTS: str(results)}
    with subprocess.Popen(command, stdout=2, env=own) as process:
        ended = False
        while not ended:
            ended = process.poll() is not None
            report.tell("core", **_outcomes(results), exit_code=process.poll())
            time.sleep(0 if ended else 1)


def _outcomes(results: Path) -> dict[str, Any]:
    """Count what has passed, and list what has failed or was skipped with the reasons."""
    lines = results.read_text().splitlines() if results.exists() else []
    passed, failed, skipped = 0, {}, {}
    for line in lines:
        said = json.loads(line)
        if said["outcome"] == "passed":
            passed += 1
        else:
            (failed if said["outcome"] == "failed" else skipped)[said["test"]] = said["why"]
    return {"passed": passed, "failed_tests": failed, "skipped": skipped}


# ---------------------------------------------------------------------------------------------------------
# What pytest calls.


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Choose tests; those in `NOT_HERE` are skipped with their reason, except on CPU."""
    import jax

    chosen = [item for item in items if item.get_closest_marker("core") or _name(item).startswith(MORE)]
    chosen.sort(key=lambda item: not _name(item).startswith(MORE))  # the longest first
    config.hook.pytest_deselected(items=[item for item in items if item not in chosen])
    items[:] = chosen
    for item in items if jax.default_backend() != "cpu" else ():
        for name, why in NOT_HERE.items():
            if _name(item).startswith(name):
                item.add_marker(pytest.mark.skip(reason=why))


def _name(item: pytest.Item) -> str:
    return item.nodeid.rsplit("/", 1)[-1]


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Append an outcome; only the process that collects them from the others does."""
    if WORKER in os.environ or (report.when != "call" and report.passed):
        return
    why = "" if report.passed else _why(report)
    with Path(os.environ[RESULTS]).open("a") as file:
        file.write(json.dumps({"test": report.nodeid, "outcome": report.outcome, "why": why}) + "\n")


def _why(report: pytest.TestReport) -> str:
    if isinstance(report.longrepr, tuple):  # of a skipped test: file, line, reason
        return str(report.longrepr[2])
    crash = getattr(report.longrepr, "reprcrash", None)
    return " ".join(str(crash.message if crash else report.longrepr).split())[:300]
