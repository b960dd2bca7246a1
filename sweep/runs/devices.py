"""Setting JAX up: what was asked of it, a CPU device for each core, and its cache on disk.

With a device for each core two of them train two tiles at once.
"""

import os
import stat
import subprocess
import sys
import warnings
from functools import cache
from pathlib import Path
from typing import Final

import jax

from sweep.base.errors import SweepError, SweepWarning

ASKED: Final = ("JAX_PLATFORMS", "JAX_PLATFORM_NAME", "JAX_NUM_CPU_DEVICES", "JAX_CUDA_VISIBLE_DEVICES", "XLA_FLAGS")


def check_environment() -> None:
    """Refuse what the environment asks of JAX and this machine or this JAX does not have.

    Raises:
        SweepError: with the setting's name.
    """
    if flags := os.environ.get("XLA_FLAGS", "").strip():
        _check_flags(flags)
    try:
        jax.devices()
    except Exception as error:  # of many types, some without a word
        asked = " ".join(f"{name}={os.environ[name]}" for name in ASKED if name in os.environ)
        raise SweepError(
            f"JAX finds no device with {asked or 'the settings here'}{_in_brackets(error)}: "
            f"{'unset it' if asked else 'mend its installation'}, or ask for the CPU with JAX_PLATFORMS=cpu"
        ) from error


@cache
def _check_flags(flags: str) -> None:
    """Have another process try XLA's flags: a wrong one makes XLA abort the process that it is in."""
    code = "from jaxlib import xla_client; xla_client.CompileOptions()"  # which reads them, without waiting for JAX
    tried = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    if tried.returncode and (wrong := [line for line in tried.stderr.splitlines() if "flag" in line.lower()]):
        raise SweepError(f"XLA_FLAGS={flags} is refused by XLA ({wrong[0].split('] ')[-1]}): unset or mend it")


def _in_brackets(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f" ({lines[0]})" if lines else ""


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
            SweepWarning,
            stacklevel=3,
        )


def keep_compiled(folder: Path) -> None:
    """Have JAX keep compiled programs in a folder, and take them from there in later processes.

    Some hosts with AVX-512 reject every entry and compile anew (jax#38445).

    Args:
        folder: made if need be, for this user alone: whoever can write there can run code in later runs.

    Raises:
        SweepError: if the folder can't be made, or if others can write there.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.stat()
    except OSError as error:
        raise SweepError(f"can't use {folder} for --compile-cache: {error.strerror or error}") from error
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o022:
        raise SweepError(
            f"others can write to {folder}, and so run code through --compile-cache: name a folder of your own"
        )
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", 0)
