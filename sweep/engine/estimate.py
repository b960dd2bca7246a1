"""Estimates of how long compiling and training take, from the operations of a plan's functions.

They are shown by `--plan` and decide nothing: no bit of a result depends on them.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import prod
from typing import Any, Final, NamedTuple

import jax
import numpy as np
from jax.extend.core import JaxprEqn, jaxprs_in_params

from sweep.engine.plan import Plan
from sweep.engine.prepare import names_of, settings_of
from sweep.engine.program import SHARED, Block, lane_shapes
from sweep.engine.seats import count_tiles, kinds_of

# Operations per second of one device, and the seconds that it takes to start one of a tile. Fitted to `make bench` on
# two cores of an Intel Xeon with jax 0.10.1. For accelerators: guesses, until
# benchmarks/accelerator.py has run on one.
MEASURED: Final = frozenset({"cpu"})
PRODUCTS: Final = {"cpu": 1.35e11}
FUNCTIONS: Final = {"cpu": 2.8e9}
ELEMENTS: Final = {"cpu": 2.4e10}
START: Final = {"cpu": 1.5e-7}
PRODUCTS_GUESSED: Final = 5.0e12
FUNCTIONS_GUESSED: Final = 1.0e11
ELEMENTS_GUESSED: Final = 5.0e11
START_GUESSED: Final = 2.0e-6
# Seconds of one core that compiling takes: for a block, for each operation, and for each of those that differ.
A_BLOCK: Final = 0.7
AN_OPERATION: Final = 0.002
A_DISTINCT_OPERATION: Final = 0.013
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
    """

    products: float = 0.0
    functions: float = 0.0
    elements: float = 0.0
    count: int = 0
    kinds: frozenset[Any] = frozenset()

    def __add__(self, other: "Operations") -> "Operations":
        """Give the operations of both."""
        return Operations(
            self.products + other.products, self.functions + other.functions, self.elements + other.elements,
            self.count + other.count, self.kinds | other.kinds,
        )  # fmt: skip

    def repeated(self, times: float) -> "Operations":
        """Give the operations of a loop over this code."""
        products, functions, elements = (times * each for each in (self.products, self.functions, self.elements))
        return Operations(products, functions, elements, self.count, self.kinds)

    def seconds(self, platform: str, lanes: int) -> float:
        """Estimate the seconds that one device takes for one lane, if so many are computed together."""
        return (
            self.products / PRODUCTS.get(platform, PRODUCTS_GUESSED)
            + self.functions / FUNCTIONS.get(platform, FUNCTIONS_GUESSED)
            + self.elements / ELEMENTS.get(platform, ELEMENTS_GUESSED)
            + self.count * START.get(platform, START_GUESSED) / lanes
        )


def operations_of(function: Callable[..., Any], *args: Any) -> Operations:
    """Count the operations of a function of described arrays. Loops of unknown length count once."""
    return _of_jaxpr(jax.make_jaxpr(function)(*args).jaxpr)


def _of_jaxpr(jaxpr: Any) -> Operations:
    total = Operations()
    for equation in jaxpr.eqns:
        inner = [_of_jaxpr(each) for each in jaxprs_in_params(equation.params)]
        if equation.primitive.name == "cond" and inner:
            inner = [max(inner, key=lambda each: each.seconds("cpu", 1))]  # one branch runs
        for each in inner:
            total += each.repeated(equation.params.get("length", 1) if equation.primitive.name == "scan" else 1)
        if not inner:
            total += _of_equation(equation)
    return total


def _of_equation(equation: JaxprEqn) -> Operations:
    name = equation.primitive.name
    shapes: list[tuple[int, ...]] = [getattr(var.aval, "shape", ()) for var in equation.invars]
    out = sum(prod(getattr(var.aval, "shape", ())) for var in equation.outvars)
    code = Operations(count=1, kinds=frozenset({(name, *shapes, *(str(var.aval) for var in equation.outvars))}))
    if name == "dot_general":
        contracted = prod(shapes[0][axis] for axis in equation.params["dimension_numbers"][0][0])
        return replace(code, products=2.0 * out * contracted)
    if name in _FREE:
        return code
    if name in _SLOW:
        return replace(code, functions=out)
    return replace(code, elements=max([out, *map(prod, shapes)]))


class Estimate(NamedTuple):
    """How long a plan takes, in seconds.

    Args:
        compiling: on two or more cores.
        training: all steps and records of all tiles.
        is_measured: whether the rates were measured on devices of this kind; if not, they are guesses.
    """

    compiling: float
    training: float
    is_measured: bool


def estimate(plan: Plan) -> Estimate:
    """Estimate how long a plan takes."""
    platform, compiling, training = plan.devices.platform, 0.0, 0.0
    with settings_of(plan):
        for program in plan.programs:
            for block, numbers, names in zip(program.blocks, program.numbers, names_of(program), strict=True):
                step, record = _of_block(block, names)
                code = step + record
                compiling += A_BLOCK + AN_OPERATION * code.count + A_DISTINCT_OPERATION * len(code.kinds)
                seats = count_tiles(kinds_of(block, numbers), block.tile) * block.tile
                steps = block.training.steps * step.seconds(platform, block.tile)
                training += seats * (steps + len(plan.epochs) * record.seconds(platform, block.tile))
    return Estimate(compiling, training / plan.devices.count, platform in MEASURED)


def _of_block(block: Block, names: tuple[str, ...]) -> tuple[Operations, Operations]:
    training, (arrays, _) = block.training, lane_shapes(block, names)
    lane = (arrays.lanes.state, arrays.data, arrays.numbers, jax.ShapeDtypeStruct((), np.int32))

    def count(function: Callable[..., Any]) -> Operations:
        return operations_of(lambda state, data, *rest: function(state, data, SHARED, *rest), *lane)

    step, period = count(training.step), training.renewed_every
    if period is not None:
        step += count(training.renew).repeated(1 / period)
    return step, count(training.measure)
