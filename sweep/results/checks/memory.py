"""Whether results fit into the memory of this machine."""

import os
from pathlib import Path

from sweep.base.errors import SweepError


def check_memory(path: Path, size: int) -> None:
    """Refuse results that are larger than this machine's memory.

    Args:
        path: the store.
        size: number of bytes of its arrays.

    Raises:
        SweepError: naming both sizes.
    """
    memory = _installed_memory()
    if size > memory:
        raise SweepError(
            f"{path} holds {size / 2**30:,.1f} GiB of numbers, and this machine has {memory / 2**30:,.1f} GiB of "
            "memory: open it on a machine with more, or name another store"
        )


def _installed_memory() -> int:
    """Give this machine's memory in bytes."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return 2**36  # if the operating system does not say
