"""The self-test: whether the compiler of this process computes what it is told to.

Some releases of jaxlib compile some programs wrongly, without any sign. So before a sweep small programs are compiled
as a sweep's programs are, and compared with NumPy in float64: those that releases are known to have got wrong, in forms
that a sweep can contain, and a training by the engine itself, in which a fault that nobody knows yet can show.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Literal, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxlib import version

from sweep.base.errors import SweepError
from sweep.engine.compiler_options import compiler_options
from sweep.engine.numerics import consequential, standard_settings
from sweep.engine.plan import Devices, pack
from sweep.engine.program import lane_shapes, number_dtype
from sweep.engine.training import Training
from sweep.page.axes import grid
from sweep.page.experiment import Experiment
from sweep.page.resolve import resolve
from sweep.page.specs.model import MLP
from sweep.page.specs.optimizer import Optimizer
from sweep.page.specs.task import SumOfSines

Precision: TypeAlias = Literal["float32", "float64"]
NUMBER: Final = 1  # increased whenever the self-test changes, so that answers of older ones do not count
# Of the largest true value. A right answer differs by a tenth of it at most; products in TF32 differ by more.
TOLERANCES: Final = {"float32": 1e-4, "float64": 1e-10}
_LANES: Final = (2, 32)  # tiles, and lanes of each
_STEPS: Final = 8
_RATE, _BETA1, _BETA2 = 0.05, 0.9, 0.999
_EPSILON: Final = 1e-2  # with a smaller one of Adam a rounding error of a small gradient would be magnified


@dataclass(frozen=True)
class Known:
    """A program that some release is known to compile wrongly.

    Args:
        words: what it computes.
        issue: where the fault was reported.
        fix: what the user can do.
        shapes: of its arguments.
        compute: the program.
        expected: the same in NumPy.
    """

    words: str
    issue: str
    fix: str
    shapes: tuple[tuple[int, ...], ...]
    compute: Callable[..., jax.Array]
    expected: Callable[..., np.ndarray]


KNOWN: Final = (
    Known(
        # On CPU, from 16,385 points in float64 and 32,769 in float32, with 3, 5 or 6 inputs and 2 to 5 outputs.
        "a sum over the outputs of a product",
        "jax#39103",
        "install jax and jaxlib 0.10.1, or 0.11 and later",
        ((2, 3), (40_000, 3)),
        lambda kernel, points: jax.vmap(lambda point: jnp.sum((kernel @ point) ** 2))(points),
        lambda kernel, points: ((points @ kernel.T) ** 2).sum(1),
    ),
    Known(
        # On NVIDIA GPUs the factor reached the product and not the bias, where timing had selected cuBLASLt.
        "a constant times the sum of a product and a bias",
        "jax#39336, xla#46110",
        "install a later jax and jaxlib",
        ((32, 15), (32,), (100, 15)),
        lambda kernel, bias, points: jax.vmap(lambda point: 0.1 * ((kernel @ point) + bias))(points),
        lambda kernel, bias, points: 0.1 * (points @ kernel.T + bias),
    ),
    Known(
        # On NVIDIA GPUs the bias of a row went to a column.
        "the sum of a square product and a bias",
        "xla#46897",
        "install a later jax and jaxlib",
        ((16, 16), (16,), (16, 16)),
        lambda kernel, bias, points: jnp.einsum("oi,in->on", kernel, points) + bias[:, None],
        lambda kernel, bias, points: kernel @ points + bias[:, None],
    ),
)


def self_test(precision: Precision) -> None:
    """Compile and run the small programs on the first device.

    Args:
        precision: "float32" or "float64".

    Raises:
        SweepError: naming jaxlib, the device, and what it computes wrongly.
    """
    with standard_settings(precision):
        for known in KNOWN:
            if not _is_right(known, precision):
                raise _refusal(known.words, known.issue, known.fix)
        if not _trains_rightly(precision):
            fix = "install another release of jax and jaxlib, and report this"
            raise _refusal("a small training", "unlike NumPy", fix)


def _refusal(words: str, about: str, fix: str) -> SweepError:
    found = consequential()
    setting = f" with {' '.join(found)}" if found else ""
    kind = jax.devices()[0].device_kind
    remedy = f"leave out these settings, or {fix}" if found else fix
    return SweepError(f"jaxlib {version.__version__} on {kind}{setting} computes {words} wrongly ({about}): {remedy}")


def _is_right(known: Known, precision: str) -> bool:
    drawn = np.random.default_rng(0)
    arguments = [drawn.standard_normal(shape).astype(precision) for shape in known.shapes]
    return _agree(
        _compute(jax.jit(known.compute), *arguments),
        known.expected(*(each.astype(float) for each in arguments)),
        precision,
    )


def _compute(jitted: Any, *arguments: Any) -> Any:
    """Run a program that is compiled as those of a sweep are."""
    return jitted.lower(*arguments).compile(compiler_options=compiler_options(jax.devices()[0].platform))(*arguments)


def _agree(got: Any, expected: np.ndarray, precision: str) -> bool:
    """Compare arrays; what is not a number agrees with nothing."""
    distance = np.max(np.abs(np.asarray(got, float) - expected))
    return bool(distance <= TOLERANCES[precision] * np.max(np.abs(expected)))


def _trains_rightly(precision: Precision) -> bool:
    """Train a few tiles of lanes by the engine's step, and from the same weights and data in NumPy."""
    (program,) = pack(resolve(_experiment(precision)), devices=Devices.of(jax.devices()[:1])).programs
    training, names = program.blocks[0].training, program.numbers[0]
    numbers = {name: np.full(_LANES, values[0], number_dtype(name, training)) for name, values in names.items()}
    shapes, _ = lane_shapes(program.blocks[0], tuple(names))
    state, data = jax.tree.map(
        lambda leaf: np.zeros((*_LANES, *leaf.shape), leaf.dtype), (shapes.lanes.state, shapes.data)
    )
    state, data = state._replace(parameters=_draw(state.parameters)), _draw(data)
    advance = jax.jit(partial(_advance, training), donate_argnums=0)
    got = jax.tree.leaves(_compute(advance, state, data, numbers, np.int32(_STEPS)).parameters)
    expected = _train_in_numpy(jax.tree.leaves(state.parameters), data.inputs, data.target)
    return all(_agree(one, other, precision) for one, other in zip(got, expected, strict=True))


def _experiment(precision: Precision) -> Experiment:
    """Make a page with as many points as neurons, so that exchanged axes are not noticed by their sizes."""
    return Experiment(
        question="Does this compiler compute what it is told to?",
        task=SumOfSines(points=16),
        model=MLP(width=16, depth=2),
        optimizer=Optimizer("adam", learning_rate=_RATE, beta1=_BETA1, beta2=_BETA2, epsilon=_EPSILON),
        axes=grid(seed=(0,)),
        precision=precision,
    )  # fmt: skip


def _draw(tree: Any) -> Any:
    """Draw values in [-1, 1]."""
    drawn = np.random.default_rng(0)
    return jax.tree.map(lambda leaf: drawn.uniform(-1, 1, leaf.shape).astype(leaf.dtype), tree)


def _advance(training: Training, states: Any, data: Any, numbers: Any, steps: jax.Array) -> Any:
    """Take some steps with one tile after another, as `program` does."""
    step_lanes = jax.vmap(training.step, in_axes=(0, 0, None, 0, None))

    def advance_tile(tile: jax.Array, states: Any) -> Any:
        own = jax.tree.map(lambda leaf: lax.dynamic_index_in_dim(leaf, tile, keepdims=False), (states, data, numbers))
        new = lax.fori_loop(0, steps, lambda at, state: step_lanes(state, own[1], (), own[2], at)[0], own[0])
        return jax.tree.map(lambda leaf, value: lax.dynamic_update_index_in_dim(leaf, value, tile, 0), states, new)

    return lax.fori_loop(0, _LANES[0], advance_tile, states)


def _train_in_numpy(parameters: list[np.ndarray], inputs: np.ndarray, target: np.ndarray) -> list[np.ndarray]:
    """Take the same steps by Adam in float64.

    Args:
        parameters: bias and kernel of each layer, lanes first.
        inputs: of shape (lanes, 1, points).
        target: of shape (lanes, points).
    """
    values = [each.astype(float) for each in parameters]
    means, squares = [np.zeros_like(each) for each in values], [np.zeros_like(each) for each in values]
    for step in range(1, _STEPS + 1):
        for at, gradient in enumerate(_differentiate(values, inputs.astype(float), target.astype(float))):
            means[at] = _BETA1 * means[at] + (1 - _BETA1) * gradient
            squares[at] = _BETA2 * squares[at] + (1 - _BETA2) * gradient**2
            mean, square = means[at] / (1 - _BETA1**step), squares[at] / (1 - _BETA2**step)
            values[at] = values[at] - _RATE * mean / (np.sqrt(square) + _EPSILON)
    return values


def _differentiate(parameters: list[np.ndarray], inputs: np.ndarray, target: np.ndarray) -> list[np.ndarray]:
    """Differentiate the mean squared error of tanh networks."""
    biases, kernels, h = parameters[::2], parameters[1::2], [inputs]
    for bias, kernel in zip(biases, kernels, strict=True):
        h.append(np.tanh(kernel.swapaxes(-1, -2) @ h[-1] + bias[..., None]))
    z = kernels[-1].swapaxes(-1, -2) @ h[-2] + biases[-1][..., None]  # the last layer has no tanh
    above, gradients = 2 * (z - target[..., None, :]) / target.shape[-1], []
    for at in reversed(range(len(kernels))):
        gradients += [h[at] @ above.swapaxes(-1, -2), above.sum(-1)]
        above = (kernels[at] @ above) * (1 - h[at] ** 2)
    return gradients[::-1]
