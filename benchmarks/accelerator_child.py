"""The process of one part: `python -m benchmarks.accelerator_child PART SIZE FOLDER [ITEM...]`, without these items.

Only `benchmarks.accelerator` starts it, and reads what it prints; `accelerator_parts` has the form of the lines.
"""

import json
import os
import sys
import traceback
from collections.abc import Callable, Collection, Iterable
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from benchmarks.accelerator_parts import BEYOND_MEMORY
from benchmarks.accelerator_work import SIZES, Size

# Where the function `measure` of each part is; PyTorch's imports no JAX.
MODULES: Final = {
    "limits": "accelerator_limits", "checks": "accelerator_checks", "cells": "accelerator_cells",
    "torch": "accelerator_torch", "tiles": "accelerator_tiles", "profile": "accelerator_profile",
    "tests": "accelerator_tests",
}  # fmt: skip
_OUT_OF_MEMORY: Final = ("RESOURCE_EXHAUSTED", "out of memory", "OutOfMemory")
_BROKEN: Final = ("CUDA_ERROR", "illegal memory access")  # after these, nothing can be computed in a process any more
_LAST: Final = 300  # characters of an error


class Report:
    """Prints what is found.

    Args:
        size: how large the measurements are.
        folder: a folder in which parts leave files for other parts.
        without: names of items that are left out.
    """

    def __init__(self, size: Size, folder: Path, without: Collection[str]) -> None:
        self.size, self.folder, self._without = size, folder, without
        self._lines = os.fdopen(os.dup(1), "w")
        os.dup2(2, 1)  # text that a library prints must not mix with these lines

    def tell(self, item: str, **found: Any) -> None:
        """Tell what was found of an item so far."""
        self._print(item=item, found=found)

    def tell_about(self, **found: Any) -> None:
        """Tell something about the machine."""
        self._print(about=found)

    def plan(self, items: Iterable[str]) -> None:
        """Tell which items there are, so that those for which time does not last are known."""
        self._print(plan=list(items))

    def do(self, item: str, action: Callable[[], Any]) -> None:
        """Measure one item; if that fails the reason is told, and the next one can follow if the device works."""
        if item in self._without:
            return
        self._print(begin=item)
        try:
            action()
        except Exception as error:
            traceback.print_exc()
            self.tell(item, failed=reason(error))
            if is_broken(error):
                raise
        self._print(done=item)

    def _print(self, **said: Any) -> None:
        print(json.dumps(said), file=self._lines, flush=True)


def reason(error: BaseException) -> str:
    """Say in one line why something failed."""
    text = f"{type(error).__name__}: {error}"
    if any(words in text for words in _OUT_OF_MEMORY):
        return BEYOND_MEMORY
    return " ".join(text.split())[:_LAST]


def is_broken(error: BaseException) -> bool:
    """Tell whether this process has lost its device."""
    return any(words in str(error) for words in _BROKEN)


def main(part: str, size: str, folder: str, *without: str) -> None:
    """Measure one part."""
    report = Report(SIZES[size], Path(folder), without)
    if part != "torch":
        _tell_about_device(report)
    import_module(f"benchmarks.{MODULES[part]}").measure(report)


def _tell_about_device(report: Report) -> None:
    import jax

    device = jax.devices()[0]
    stats = device.memory_stats() or {}
    report.tell_about(
        platform=device.platform, card=device.device_kind, devices=len(jax.devices()),
        memory_bytes=stats.get("bytes_limit"), jax_platform_version=device.client.platform_version.splitlines()[0],
    )  # fmt: skip


if __name__ == "__main__":
    main(*sys.argv[1:])
