"""Decompositions of one matrix at a time on CPU: with batches, two devices can wait for each other for ever.

jaxlib's LAPACK calls (`ParallelBatchMap`) distribute a batch over XLA's threads and wait for them. But they are called
from these same threads: once all of them wait, none is left to do the work. A call for one matrix needs no other
thread. So a program is traced, and each decomposition of a batch in it is replaced by one decomposition for each matrix
in turn, also in a page's own metric, module or target. The numbers stay the same: LAPACK takes the matrices of a batch
one after another, too.
"""

from collections.abc import Callable
from typing import Any, Final

import jax
from jax import lax

from sweep.engine.rewriting import Read, Rule, rewrite

# The primitives that LAPACK computes on CPU, each with the dimensions of its first operand without a batch.
DECOMPOSITIONS: Final = {
    "cholesky": 2, "eig": 2, "eigh": 2, "geqp3": 2, "geqrf": 2, "hessenberg": 2, "householder_product": 2, "lu": 2,
    "ormqr": 2, "qr": 2, "schur": 2, "svd": 2, "triangular_solve": 2, "tridiagonal": 2, "tridiagonal_solve": 1,
}  # fmt: skip


def unbatch(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that computes the same, with each decomposition of one matrix at a time.

    Args:
        function: of pytrees of arrays, to be traced.
    """
    return rewrite(function, Rule(_is_batched, _in_turn))


def _is_batched(equation: Any, _: Any) -> bool:
    own = DECOMPOSITIONS.get(equation.primitive.name)
    return own is not None and equation.invars[0].aval.ndim > own


def _in_turn(equation: Any, _: Any, read: Read) -> Any:
    """Decompose one matrix of a batch after the other."""
    operands = [read(atom) for atom in equation.invars]
    batch = operands[0].shape[: operands[0].ndim - DECOMPOSITIONS[equation.primitive.name]]
    flat = [operand.reshape(-1, *operand.shape[len(batch) :]) for operand in operands]
    found = lax.map(lambda one: equation.primitive.bind(*one, **equation.params), flat)
    return jax.tree.map(lambda leaf: leaf.reshape(*batch, *leaf.shape[1:]), found)
