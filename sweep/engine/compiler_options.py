"""The options with which the programs of a sweep are compiled, for each platform and line of jaxlib.

They belong to the arithmetic of a store, since they may change bits: a store that was begun with others is not resumed.
What was tried on CPU, and did not pay, is listed in docs/performance.md; `make bench-flags` measures it again.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from jaxlib import version

Options: TypeAlias = dict[str, Any]  # values are booleans, whole numbers and words
_NEWEST: Final = (1 << 16, 0)  # after every release


@dataclass(frozen=True)
class _Choice:
    """Options for the releases of jaxlib from `first` up to, but without, `below`."""

    platform: str
    options: Mapping[str, Any]
    first: tuple[int, int] = (0, 0)
    below: tuple[int, int] = _NEWEST


_CHOICES: Final = (
    # XLA prefers 256 also where the processor has 512. Measured only there, but set everywhere, so that a store begun
    # on one machine can be resumed on another.
    _Choice("cpu", {"xla_cpu_prefer_vector_width": 512}),
    # Atomic additions come in any order, and the kernels that timing selects may differ from one compilation to the
    # next, and with them the bits of a replay.
    _Choice("gpu", {"xla_gpu_deterministic_ops": True, "xla_gpu_autotune_level": 0}),
)


def compiler_options(platform: str, jaxlib: str = version.__version__) -> Options:
    """Return the options for a platform and a release of jaxlib; a flag in XLA_FLAGS wins over an option.

    Args:
        platform: "cpu", "gpu" or "tpu".
        jaxlib: the release, such as "0.10.1".
    """
    major, minor, *_ = map(int, re.findall(r"\d+", jaxlib))
    given = {flag.lstrip("-").partition("=")[0] for flag in os.environ.get("XLA_FLAGS", "").split()}
    return {
        name: value
        for choice in _CHOICES
        if choice.platform == platform and choice.first <= (major, minor) < choice.below
        for name, value in choice.options.items()
        if name not in given
    }


def list_options(platform: str) -> list[str] | None:
    """List the options of this process as a store's arithmetic holds them; None where there are none."""
    return sorted(f"{name}={value}" for name, value in compiler_options(platform).items()) or None
