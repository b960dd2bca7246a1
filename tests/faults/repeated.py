"""Sixty sweeps in one process: equal bits each time, and constant numbers of bytes, open files and threads."""

import gc
import os
import threading
from collections.abc import Sequence
from pathlib import Path
from random import Random

from .stores import arrays, differences, opened, small_waves, write_page
from .trials import Campaign, Case

SWEEPS = 60
WARM = 10  # sweeps after which all caches are filled
GROWTH = 96 * 2**20  # bytes by which memory may have grown from then to the end: JAX keeps traces of programs


def cases(folder: Path, random: Random) -> Sequence[Case]:
    """One case: all of them."""
    return [Case(f"{SWEEPS} sweeps", lambda place: _run(place, SWEEPS))]


def held() -> tuple[int, int, int]:
    """Count bytes of memory, open files and threads of this process."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE"), len(os.listdir("/proc/self/fd")), threading.active_count()


def _run(folder: Path, sweeps: int) -> tuple[str, str]:
    from sweep import load, run_sweep

    page = write_page(folder)
    first = None
    warm = held()
    for number in range(sweeps):
        store = folder / f"store-{number}"
        with small_waves():
            run_sweep(load(page), out=store)
        found = opened(store, arrays)
        first = first or found
        if differs := differences(found, first):
            return "silent", f"sweep {number} has other {differs} than the first"
        if number < min(WARM, sweeps // 2):
            warm = held()
    now = held()
    grown = [after - before for before, after in zip(warm, now, strict=True)]
    growth = f"memory {grown[0] / 2**20:+.1f} MiB, files {grown[1]:+d}, threads {grown[2]:+d} after the first {WARM}"
    if grown[0] > GROWTH or grown[1] > 0 or grown[2] > 0:
        return "litter", growth
    return "right", growth


CAMPAIGN = Campaign(
    "repeated", "sixty sweeps in one process: bits, memory, files, threads", cases, quick=0, sample=1,
    missing=lambda: "" if Path("/proc/self/statm").exists() else "it reads /proc, which is not there",
)  # fmt: skip
