"""A profile of one segment of `sweep`: which operations take how much of its time."""

import re
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import jax
from jax.profiler import ProfileData

from benchmarks.accelerator_cells import end_plan_at
from benchmarks.accelerator_child import Report
from benchmarks.accelerator_work import cells
from benchmarks.side_sweep import make_plan
from sweep.engine.plan import Plan
from sweep.engine.prepare import prepare
from sweep.engine.walk import walk_wave
from sweep.specs import log_spaced

STEPS: Final = 64
_TOP: Final = 20
_CONTAINERS: Final = r"::|^while|^call|^conditional"  # on CPU, events that contain those of operations
# What an operation is, by words in its name; the first that fits. What is left is elementwise.
KINDS: Final = {
    "products": r"gemm|dot|cutlass|xmma|cublas|matmul",
    "copies": r"memcpy|memset|copy|transpose|dynamic.?(update.?)?slice",
    "reductions": r"reduce",
}


def measure(report: Report) -> None:
    """Profile a segment of one cell."""
    name = report.size.profiled
    report.do(name, lambda: report.tell(name, **_profile(make_plan(cells(report.size)[name], log_spaced(1)))))


def _profile(plan: Plan) -> dict[str, Any]:
    prepare(plan)
    _walk_to_last(end_plan_at(plan, STEPS))  # so that all is loaded
    with tempfile.TemporaryDirectory() as folder:
        segments = walk_wave(end_plan_at(plan, STEPS), 0)
        done = 0
        while done <= 1:  # the first segments have a step and a few; the next one has the rest
            done = int(next(segments).done[0])
        with jax.profiler.trace(folder):
            segment = next(segments)
        found = summarise(folder)
        return {"steps": int(segment.done[0]) - done, "segment_seconds": segment.seconds, **found}


def _walk_to_last(plan: Plan) -> None:
    for _ in walk_wave(plan, 0):
        pass


def summarise(folder: str) -> dict[str, Any]:
    """Sum up the operations of a trace.

    Returns:
        "operations": the longest, each with its seconds and how often it ran; "kinds": seconds of each kind; "events":
        how many operations there were; "busy_seconds": all of them together; "span_seconds": from the first to the
        last.
    """
    seconds: dict[str, float] = defaultdict(float)
    counts: dict[str, int] = defaultdict(int)
    first, last = float("inf"), 0.0
    for path in Path(folder).rglob("*.xplane.pb"):
        for name, begin, duration in _operations(ProfileData.from_file(str(path))):
            seconds[name] += duration / 1e9
            counts[name] += 1
            first, last = min(first, begin), max(last, begin + duration)
    longest = sorted(seconds, key=seconds.__getitem__, reverse=True)[:_TOP]
    kinds: dict[str, float] = defaultdict(float)
    for name, taken in seconds.items():
        kinds[kind_of(name)] += taken
    return {
        "operations": [{"name": name, "seconds": seconds[name], "times": counts[name]} for name in longest],
        "kinds": dict(kinds), "events": sum(counts.values()), "busy_seconds": sum(seconds.values()),
        "span_seconds": max(0.0, (last - first) / 1e9),
    }  # fmt: skip


def kind_of(operation: str) -> str:
    """Say what an operation is, by its name."""
    return next((kind for kind, words in KINDS.items() if re.search(words, operation, re.IGNORECASE)), "elementwise")


def _operations(data: Any) -> Iterator[tuple[str, float, float]]:
    """Yield name, begin and duration in ns of each operation: of the streams of an accelerator, else of CPU threads."""
    planes = list(data.planes)
    devices = [plane for plane in planes if plane.name.startswith("/device:")]
    for plane in devices or planes:
        for line in plane.lines:
            if not (line.name.startswith("Stream") if devices else "XLA" in line.name):
                continue
            for event in line.events:
                if event.duration_ns > 0 and (devices or not re.search(_CONTAINERS, event.name)):
                    yield event.name, event.start_ns, event.duration_ns
