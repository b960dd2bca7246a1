"""Divisions by what is the same along an axis: always by a product with the reciprocal, as XLA may compute them.

XLA replaces x / b, where b is broadcast along an axis as in a softmax, by x (1 / b), but not everywhere: in a program
for several devices it may miss some that it finds in one for a single device, so that a lane would have other last bits
there. In code of a page, of which anything can be expected, we therefore do it ourselves, where the broadcast and the
division stand in one function; so do optimisers whose steps correct the moments of each array ("lamb", "muon"). Other
built-in code is tested to have the same bits on 1, 2, 3 and 8 devices as it is.
"""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jax.extend import core

from sweep.engine.rewriting import Read, Rule, rewrite


def with_reciprocals(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that multiplies by reciprocals where it divides by what is broadcast along an axis.

    Args:
        function: of pytrees of arrays, to be traced.
    """
    return rewrite(function, Rule(_divides_by_broadcast, _multiply))


def _divides_by_broadcast(equation: Any, makers: dict[Any, Any]) -> bool:
    """Tell whether an equation divides by an array that is shorter along an axis, or was made of a smaller one."""
    result = equation.outvars[0].aval
    if equation.primitive.name != "div" or not jnp.issubdtype(result.dtype, jnp.floating):
        return False
    shape = equation.invars[1].aval.shape
    return bool(shape) and (shape != result.shape or _broadcast_from(equation.invars[1], makers) is not None)


def _broadcast_from(variable: Any, makers: dict[Any, Any]) -> Any:
    """Give the equation that broadcasts an array to a variable; None where there is none."""
    maker = None if isinstance(variable, core.Literal) else makers.get(variable)
    is_broadcast = maker is not None and maker.primitive.name == "broadcast_in_dim" and maker.invars[0].aval.shape
    return maker if is_broadcast else None


def _multiply(equation: Any, makers: dict[Any, Any], read: Read) -> Any:
    dividend, divisor = equation.invars
    maker = _broadcast_from(divisor, makers)
    if maker is None:
        return read(dividend) * (1 / read(divisor))
    operands = [read(atom) for atom in maker.invars]
    return read(dividend) * maker.primitive.bind(1 / operands[0], *operands[1:], **maker.params)
