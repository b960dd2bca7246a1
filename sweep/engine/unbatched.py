"""Decompositions of one matrix at a time on CPU: with batches, two devices can wait for each other for ever.

jaxlib's LAPACK calls (`ParallelBatchMap`) distribute a batch over XLA's threads and wait for them. But they are called
from these same threads: once all of them wait, none is left to do the work. A call for one matrix needs no other
thread. So a program is traced, and each decomposition of a batch in it is replaced by one decomposition for each matrix
in turn, also in a page's own metric, module or target. The numbers stay the same: LAPACK takes the matrices of a batch
one after another, too.
"""

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, Final

import jax
from jax import lax
from jax.extend import core

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

    @wraps(function)  # with the name, so that a function without decompositions compiles to exactly the same program
    def in_turn(*args: Any) -> Any:
        closed, shapes = jax.make_jaxpr(function, return_shape=True)(*args)
        leaves = _evaluate(closed.jaxpr, closed.consts, jax.tree.leaves(args))
        return jax.tree.unflatten(jax.tree.structure(shapes), leaves)

    return in_turn


def _evaluate(jaxpr: Any, constants: Sequence[Any], arguments: Sequence[Any]) -> list[Any]:
    """Trace a jaxpr's equations again, with those that decompose a batch replaced."""
    known = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*constants, *arguments], strict=True))

    def read(atom: Any) -> Any:
        return atom.val if isinstance(atom, core.Literal) else known[atom]

    for equation in jaxpr.eqns:
        operands = [read(atom) for atom in equation.invars]
        with equation.ctx.manager:
            found = _in_turn(equation, operands) if _is_batched(equation) else _bind(equation, operands)
        outputs = found if equation.primitive.multiple_results else [found]
        known |= dict(zip(equation.outvars, outputs, strict=True))
    return [read(atom) for atom in jaxpr.outvars]


def _is_batched(equation: Any) -> bool:
    own = DECOMPOSITIONS.get(equation.primitive.name)
    return own is not None and equation.invars[0].aval.ndim > own


def _in_turn(equation: Any, operands: list[Any]) -> Any:
    """Decompose one matrix of a batch after the other."""
    batch = operands[0].shape[: operands[0].ndim - DECOMPOSITIONS[equation.primitive.name]]
    flat = [operand.reshape(-1, *operand.shape[len(batch) :]) for operand in operands]
    found = lax.map(lambda one: equation.primitive.bind(*one, **equation.params), flat)
    return jax.tree.map(lambda leaf: leaf.reshape(*batch, *leaf.shape[1:]), found)


def _bind(equation: Any, operands: list[Any]) -> Any:
    """Bind an equation unchanged, except for jaxprs among its parameters that decompose a batch."""
    params = equation.params
    if any(_decomposes(jaxpr) for jaxpr in _within(params)):
        params = {name: _rewrite(value) for name, value in params.items()}
    return equation.primitive.bind(*operands, **equation.primitive.get_bind_params(params))


def _within(params: dict[str, Any]) -> list[Any]:
    """List the jaxprs among the parameters of an equation."""
    values = [each for value in params.values() for each in (value if isinstance(value, tuple) else (value,))]
    closed = [value.jaxpr for value in values if isinstance(value, core.ClosedJaxpr)]
    return closed + [value for value in values if isinstance(value, core.Jaxpr)]


def _decomposes(jaxpr: Any) -> bool:
    """Tell whether a batch is decomposed somewhere in a jaxpr."""
    return any(_is_batched(each) or any(map(_decomposes, _within(each.params))) for each in jaxpr.eqns)


def _rewrite(value: Any) -> Any:
    """Return a parameter with the jaxprs in it rewritten; anything else unchanged."""
    if isinstance(value, tuple):
        named: Any = type(value)  # some have names
        return getattr(named, "_make", named)(map(_rewrite, value))
    if isinstance(value, core.ClosedJaxpr) and _decomposes(value.jaxpr):
        return _trace(value.jaxpr, value.consts)
    if isinstance(value, core.Jaxpr) and _decomposes(value):
        return _trace(value, ()).jaxpr
    return value


def _trace(jaxpr: Any, constants: Sequence[Any]) -> Any:
    shapes = [
        jax.ShapeDtypeStruct(var.aval.shape, var.aval.dtype, weak_type=getattr(var.aval, "weak_type", False))
        for var in jaxpr.invars
    ]
    return jax.make_jaxpr(lambda *arguments: _evaluate(jaxpr, constants, arguments))(*shapes)
