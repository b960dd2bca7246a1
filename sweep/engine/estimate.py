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
from sweep.engine.program import Block, lane_shapes
from sweep.engine.seats import count_tiles, kinds_of


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
FIRST: Final = 0.4  # seconds of beginning a wave, and of short segments while the pace is not known
# Seconds of compiling on two cores: for a block, for each operation in its step and record, and for each of those that
# differ in name or shapes from all others of the program, since XLA compiles equal ones once.
COMPILE_A_BLOCK: Final = 0.9
COMPILE_AN_OPERATION: Final = 0.002
COMPILE_A_KIND: Final = 0.012
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
        compiling: on two cores.
        training: all steps and records of all tiles.
        is_measured: whether the rates were measured on devices of this kind; if not, they are guesses.
    """

    compiling: float
    training: float
    is_measured: bool


def estimate(plan: Plan) -> Estimate:
    """Estimate how long a plan takes."""
    rates = RATES.get(plan.devices.platform, GUESSED)
    size = np.dtype(plan.experiment.precision).itemsize
    compiling, training = 0.0, FIRST * len(plan.waves)
    with settings_of(plan):
        for program in plan.programs:
            code = Operations()
            parts = zip(program.blocks, program.numbers, program.shares, names_of(program), strict=True)
            for block, numbers, share, names in parts:
                step, record = _of_block(block, names)
                code += step + record
                seats = count_tiles(kinds_of(block, numbers), block.tile) * block.tile
                steps = share * block.training.steps * step.seconds(rates, block.tile)
                seconds = steps + len(plan.epochs) * record.seconds(rates, block.tile)
                training += seats * seconds * size / 4 / plan.devices.count
            compiling += COMPILE_A_BLOCK * len(program.blocks) + COMPILE_AN_OPERATION * code.count
            compiling += COMPILE_A_KIND * len(code.kinds)
    return Estimate(compiling, training, rates is not GUESSED)


def _of_block(block: Block, names: tuple[str, ...]) -> tuple[Operations, Operations]:
    training, (arrays, _) = block.training, lane_shapes(block, names)
    lane = (arrays.lanes.state, arrays.data, arrays.shared, arrays.numbers, jax.ShapeDtypeStruct((), np.int32))

    def count(function: Callable[..., Any]) -> Operations:
        return operations_of(function, *lane)

    step, period = count(training.step), training.renewed_every
    if period is not None:
        step += count(training.renew).repeated(1 / period)
    return step, count(training.measure)
