"""How many cores there are."""

import os


def count_cores() -> int:
    """Count the cores that this process may use: in a container or a job they are fewer than the machine's."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
