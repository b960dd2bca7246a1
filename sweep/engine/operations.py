"""Counting the operations of traced code, for rough estimates of its cost."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import Any, Final

import numpy as np

NONLINEAR: Final = frozenset(
    (
        *("acos", "acosh", "asin", "asinh", "atan", "atan2", "atanh", "cos", "cosh", "sin", "sinh", "tan", "tanh"),
        *("cbrt", "digamma", "erf", "erf_inv", "erfc", "exp", "exp2", "expm1", "lgamma", "log", "log1p", "logistic"),
        *("pow", "rsqrt", "sqrt", "random_bits", "threefry2x32"),
    )
)
PRODUCTS: Final = ("dot_general", "conv_general_dilated")


@dataclass(frozen=True)
class Operations:
    """What traced code does.

    Args:
        flops: floating-point operations of its products.
        elements: values of its nonlinear functions.
        bytes: size of all its results, each once.
        layers: number of its products, at least 1.
    """

    flops: float
    elements: float
    bytes: int
    layers: int


def count_operations(closed: Any) -> Operations:
    """Count the operations of a closed jaxpr; a loop of unknown length counts once, of branches all.

    Args:
        closed: as `jax.make_jaxpr` gives it.
    """
    found = list(_equations(closed.jaxpr, 1))
    products = [(each, times) for each, times in found if each.primitive.name in PRODUCTS]
    return Operations(
        flops=sum(times * _flops(each) for each, times in products),
        elements=sum(times * _size(each) for each, times in found if each.primitive.name in NONLINEAR),
        bytes=sum(_bytes(each) for each, _ in found),
        layers=max(1, len(products)),
    )


def _equations(jaxpr: Any, times: int) -> Iterator[tuple[Any, int]]:
    """List equations, also of inner functions, with how often each is computed."""
    for equation in jaxpr.eqns:
        inner = [*_inner(equation)]
        for each in inner:
            yield from _equations(each, times * equation.params.get("length", 1))
        if not inner:
            yield equation, times


def _inner(equation: Any) -> Iterator[Any]:
    """List the jaxprs in an equation's parameters."""
    for value in equation.params.values():
        for each in value if isinstance(value, tuple | list) else (value,):
            if hasattr(each, "eqns"):
                yield each
            elif hasattr(each, "jaxpr"):
                yield each.jaxpr


def _flops(equation: Any) -> float:
    """Count the operations of a product: two for each entry of the result and each entry that it is summed over."""
    if equation.primitive.name == "dot_general":
        (contracted, _), _ = equation.params["dimension_numbers"]
        return 2.0 * _size(equation) * prod(equation.invars[0].aval.shape[at] for at in contracted)
    kernel = equation.invars[1].aval.shape
    outputs = kernel[equation.params["dimension_numbers"].rhs_spec[0]]
    return 2.0 * _size(equation) * prod(kernel) / max(1, outputs)


def _size(equation: Any) -> int:
    return sum(prod(each.aval.shape) for each in equation.outvars)


def _bytes(equation: Any) -> int:
    sizes = ((prod(each.aval.shape), each.aval.dtype) for each in equation.outvars if hasattr(each.aval, "dtype"))
    return sum(size * _item_size(dtype) for size, dtype in sizes)


def _item_size(dtype: Any) -> int:
    try:
        return np.dtype(dtype).itemsize
    except TypeError:  # a key
        return 8
