"""How many cores there are, and how many devices a sweep may be given."""

import os

from sweep.base.errors import SweepError


def count_cores() -> int:
    """Count the cores that this process may use: in a container or a job they are fewer than the machine's."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def check_device_count(count: int | None) -> None:
    """Refuse a number of devices that no machine has.

    Raises:
        SweepError: for anything but a whole number from 1 on, or None, which is all.
    """
    if count is not None and (isinstance(count, bool) or not isinstance(count, int) or count < 1):
        raise SweepError(f"devices must be a whole number from 1 on, got {count!r}: leave it out for all")
