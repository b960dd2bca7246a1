"""Counting the operations of traced code, and how fast devices do them.

Sizes of tiles of a page's own training, and so the bits of its results, depend on the bytes that are counted: whoever
changes them raises `ENGINE` in `runs.provenance`.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import prod
from typing import Any, Final, NamedTuple

import jax
import numpy as np
from jax.extend.core import JaxprEqn, jaxprs_in_params


class Rates(NamedTuple):
    """How fast one device works on tiles.

    Args:
        products: operations of matrix products per second.
        functions: evaluations per second of functions that take long.
        elements: evaluations per second of others.
        start: seconds that it takes to start an operation.
    """

    products: float
    functions: float
    elements: float
    start: float


# Fitted to `make bench` and `make bench-waiting` on two cores of an Intel Xeon with jax 0.10.1.
RATES: Final = {"cpu": Rates(1.05e11, 2.2e9, 1.8e10, 1.5e-7)}
GUESSED: Final = Rates(5.0e12, 1.0e11, 5.0e11, 2.0e-6)  # of others, until benchmarks/accelerator.py has run on one
_SLOW: Final = frozenset(
    (
        "tanh", "logistic", "exp", "exp2", "log", "log1p", "expm1", "sin", "cos", "tan", "asin", "acos", "atan",
        "atan2", "sinh", "cosh", "erf", "erfc", "erf_inv", "pow", "sqrt", "rsqrt", "cbrt", "div",
    )
)  # fmt: skip
# These move numbers, if anything, and are mostly fused with what reads them.
_FREE: Final = frozenset(
    (
        "broadcast_in_dim", "reshape", "squeeze", "expand_dims", "transpose", "convert_element_type", "slice",
        "stop_gradient", "optimization_barrier", "concatenate", "iota", "copy",
    )
)  # fmt: skip


@dataclass(frozen=True)
class Operations:
    """The operations of a function.

    Args:
        products: additions and multiplications of matrix products.
        functions: evaluations of functions that take long, such as tanh, division and square root.
        elements: evaluations of others, such as a sum.
        count: number of operations in the code, whatever their sizes.
        kinds: those that differ in name or shapes.
        bytes: size of all their results, each once.
    """

    products: float = 0.0
    functions: float = 0.0
    elements: float = 0.0
    count: int = 0
    kinds: frozenset[Any] = frozenset()
    bytes: float = 0.0

    def __add__(self, other: "Operations") -> "Operations":
        """Give the operations of both."""
        return Operations(
            self.products + other.products, self.functions + other.functions, self.elements + other.elements,
            self.count + other.count, self.kinds | other.kinds, self.bytes + other.bytes,
        )  # fmt: skip

    def work(self) -> dict[str, float]:
        """Give what takes time when it runs, by the names above."""
        return {"products": self.products, "functions": self.functions, "elements": self.elements}

    def repeated(self, times: float) -> "Operations":
        """Give the operations of a loop over this code."""
        return replace(self, **{name: times * number for name, number in self.work().items()})

    def seconds(self, rates: Rates, lanes: int) -> float:
        """Estimate the seconds that one device takes for one lane, if so many are computed together."""
        work = self.products / rates.products + self.functions / rates.functions + self.elements / rates.elements
        return work + self.count * rates.start / lanes


def operations_of(function: Callable[..., Any], *args: Any) -> Operations:
    """Count the operations of a function of described arrays. Loops of unknown length count once."""
    return _of_jaxpr(jax.make_jaxpr(function)(*args).jaxpr)


def _of_jaxpr(jaxpr: Any) -> Operations:
    total = Operations()
    for equation in jaxpr.eqns:
        name, inner = equation.primitive.name, [_of_jaxpr(each) for each in jaxprs_in_params(equation.params)]
        if name == "cond":
            longest = max(inner, key=lambda each: each.seconds(RATES["cpu"], 1))  # one branch runs, all are compiled
            total += replace(sum(inner, Operations()), **longest.work())
        elif inner:
            total += sum(inner, Operations()).repeated(equation.params["length"] if name == "scan" else 1)
        else:
            total += _of_equation(equation)
    return total


def _of_equation(equation: JaxprEqn) -> Operations:
    name = equation.primitive.name
    shapes: list[tuple[int, ...]] = [getattr(var.aval, "shape", ()) for var in equation.invars]
    out = sum(prod(getattr(var.aval, "shape", ())) for var in equation.outvars)
    kind = (name, *shapes, *(str(var.aval) for var in equation.outvars))
    code = Operations(count=1, kinds=frozenset({kind}), bytes=sum(map(_bytes, equation.outvars)))
    if name == "dot_general":
        contracted = prod(shapes[0][axis] for axis in equation.params["dimension_numbers"][0][0])
        return replace(code, products=2.0 * out * contracted)
    if name == "conv_general_dilated":
        outputs = shapes[1][equation.params["dimension_numbers"].rhs_spec[0]]
        return replace(code, products=2.0 * out * prod(shapes[1]) / outputs)
    if name in _FREE:
        return code
    if name in _SLOW:
        return replace(code, functions=out)
    return replace(code, elements=max([out, *map(prod, shapes)]))


def _bytes(variable: Any) -> int:
    """Give the size of a value; of what is no array of numbers, such as a key, 0."""
    dtype = getattr(variable.aval, "dtype", None)
    return prod(variable.aval.shape) * np.dtype(dtype).itemsize if isinstance(dtype, np.dtype) else 0
