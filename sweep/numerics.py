"""How JAX computes while it works for a sweep, whatever the environment or a notebook has set."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import jax


@contextmanager
def settled(precision: str) -> Iterator[None]:
    """Compute in one precision, and never in a shortened one on accelerators.

    Settings of JAX are each thread's own: a thread that works for a sweep enters this, and leaves it before it hands
    control to anybody else.

    Args:
        precision: "float32" or "float64".
    """
    with ExitStack() as stack:
        stack.enter_context(jax.enable_x64(precision == "float64"))
        if jax.default_backend() != "cpu":
            stack.enter_context(jax.default_matmul_precision("highest"))
        yield
