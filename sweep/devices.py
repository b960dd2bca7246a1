"""One CPU device for each core, so that two cores train two tiles at once."""

import os
import warnings
from functools import cache

import jax


def use_all_cores() -> None:
    """Ask JAX for one CPU device per core, unless the environment or the page's user has asked already.

    Once any JAX operation has run the number is fixed (a notebook): then what is there is used, and said once.
    """
    cores = _cores()
    asked = "JAX_NUM_CPU_DEVICES" in os.environ or "host_platform_device_count" in os.environ.get("XLA_FLAGS", "")
    if asked or jax.config.jax_num_cpu_devices == cores:  # pyright: ignore[reportAttributeAccessIssue]
        return
    try:
        jax.config.update("jax_num_cpu_devices", cores)
    except RuntimeError:
        _say_once(cores)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@cache
def _say_once(cores: int) -> None:
    devices = jax.devices()
    if devices[0].platform == "cpu" and len(devices) < cores:
        warnings.warn(
            f"JAX is already running on {len(devices)} CPU device(s) of {cores} cores; "
            f'call jax.config.update("jax_num_cpu_devices", {cores}) before anything else to use all',
            stacklevel=3,
        )
