"""Setting up JAX: checks of its settings, one CPU device per core, how many devices a sweep uses.

With one device per core, each core trains another tile.
"""

import os
import subprocess
import sys
import warnings
from functools import cache
from typing import Final

import jax

from sweep.base.cores import count_cores
from sweep.base.errors import SweepError, SweepWarning
from sweep.engine.plan import Devices

SETTINGS: Final = ("JAX_PLATFORMS", "JAX_PLATFORM_NAME", "JAX_NUM_CPU_DEVICES", "JAX_CUDA_VISIBLE_DEVICES", "XLA_FLAGS")


def check_environment() -> None:
    """Refuse settings in the environment that JAX can't use on this machine.

    Raises:
        SweepError: naming the setting.
    """
    if flags := os.environ.get("XLA_FLAGS", "").strip():
        _check_xla_flags(flags)
    try:
        jax.devices()
    except Exception as error:  # of many types, some without a message
        given = " ".join(f"{name}={os.environ[name]}" for name in SETTINGS if name in os.environ)
        raise SweepError(
            f"JAX finds no device with {given or 'its default settings'}{_first_line(error)}: "
            f"{'unset it' if given else 'repair its installation'}, or choose the CPU with JAX_PLATFORMS=cpu"
        ) from error


@cache
def _check_xla_flags(flags: str) -> None:
    """Try XLA's flags in another process: XLA aborts the process that has an unknown one."""
    code = "from jaxlib import xla_client; xla_client.CompileOptions()"  # this reads the flags without loading JAX
    tried = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    if tried.returncode and (wrong := [line for line in tried.stderr.splitlines() if "flag" in line.lower()]):
        raise SweepError(f"XLA_FLAGS={flags} is refused by XLA ({wrong[0].split('] ')[-1]}): unset or correct it")


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f" ({lines[0]})" if lines else ""


def use_all_cores() -> None:
    """Set JAX to one CPU device per core, unless the environment sets another number.

    Once any JAX operation has run, for example in a notebook, the number is fixed; then one warning says so.
    """
    cores = count_cores()
    is_set = "JAX_NUM_CPU_DEVICES" in os.environ or "host_platform_device_count" in os.environ.get("XLA_FLAGS", "")
    if is_set or jax.config.jax_num_cpu_devices == cores:  # pyright: ignore[reportAttributeAccessIssue]
        return
    try:
        jax.config.update("jax_num_cpu_devices", cores)
    except RuntimeError:
        _warn_once(cores)


def choose_devices(count: int | None) -> Devices:
    """Describe the first devices of this process.

    Args:
        count: how many; None is all.

    Raises:
        SweepError: if there are fewer.
    """
    found = jax.devices()
    if count is not None and count > len(found):
        raise SweepError(
            f"devices={count} is more than there are here, {len(found)} x {found[0].device_kind}: "
            f"give at most {len(found)}, or leave it out for all"
        )
    return Devices.of(found[:count])


@cache
def _warn_once(cores: int) -> None:
    devices = jax.devices()
    if devices[0].platform == "cpu" and len(devices) < cores:
        warnings.warn(
            f"JAX is already running on {len(devices)} CPU device(s) of {cores} cores; "
            f'to use all, call jax.config.update("jax_num_cpu_devices", {cores}) before any other use of JAX',
            SweepWarning,
            stacklevel=3,
        )
