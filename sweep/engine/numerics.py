"""How JAX computes while it works for a sweep, whatever the environment or a notebook has set."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Final

import jax

# Settings that no context can change, each with its default in JAX: with others, compilers and derivatives may give
# other bits. The flags of XLA are such settings too, except those that begin like one of `_HARMLESS_FLAGS`.
_CONSEQUENTIAL: Final[dict[str, Any]] = {
    "jax_allow_f16_reductions": True, "jax_compiler_enable_remat_pass": True, "jax_custom_vjp3": False,
    "jax_disable_most_optimizations": False, "jax_enable_pgle": False, "jax_exec_time_optimization_effort": 0.0,
    "jax_high_dynamic_range_gumbel": False, "jax_memory_fitting_effort": 0.0, "jax_memory_fitting_level": "O2",
    "jax_optimization_level": "UNKNOWN", "jax_random_seed_offset": 0, "jax_scan3": False,
    "jax_softmax_custom_jvp": False, "jax_use_direct_linearize": True, "jax_use_magma": "auto",
    "jax_use_shardy_partitioner": True, "jax_xla_profile_version": 0,
}  # fmt: skip
_HARMLESS_FLAGS: Final = ("--xla_force_host_platform_device_count", "--xla_dump")


@contextmanager
def standard_settings(precision: str) -> Iterator[None]:
    """Compute in one precision, without shorter products on accelerators, and otherwise with JAX's defaults.

    Settings of JAX belong to a thread: one that works for a sweep enters this context, and leaves it before other code
    runs in it.

    Args:
        precision: "float32" or "float64".
    """
    with ExitStack() as stack:
        stack.enter_context(jax.enable_x64(precision == "float64"))
        exact = None if jax.default_backend() == "cpu" else "highest"
        for setting in (
            jax.default_matmul_precision(exact),
            jax.default_prng_impl("threefry2x32"),
            jax.threefry_partitionable(True),
            jax.numpy_dtype_promotion("standard"),
            jax.numpy_rank_promotion("allow"),
            jax.disable_jit(False),
            jax.debug_nans(False),  # a lost lane is NaN, and that is data
            jax.debug_infs(False),
            jax.debug_key_reuse(False),
            jax.legacy_prng_key("allow"),
            jax.check_tracer_leaks(False),
            jax.enable_checks(False),
            jax.transfer_guard("allow"),
            jax.no_tracing(False),
            jax.no_execution(False),
        ):
            stack.enter_context(setting)
        yield


def consequential() -> list[str] | None:
    """List the settings of JAX and XLA in this process that may change bits; None where there are none."""
    now = jax.config.values
    found = [f"{name}={now[name]}" for name, usual in _CONSEQUENTIAL.items() if now.get(name, usual) != usual]
    flags = os.environ.get("XLA_FLAGS", "").split()
    return sorted(found + [flag for flag in flags if not flag.startswith(_HARMLESS_FLAGS)]) or None
