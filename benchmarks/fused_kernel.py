"""A fused training kernel, as a spike: one lane is one thread block, and one launch takes many steps.

A block keeps its lane's weights, gradients and moments of the optimiser as values that its loops carry, so that a step
neither starts a kernel nor passes activations through memory. It is written in Pallas for its Triton backend. Nothing
of `sweep` uses it: docs/performance.md says what it has to show before that.

`python -m benchmarks.fused_kernel` times it on a GPU; elsewhere it interprets a small case and gives no figure.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any, Final, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import pallas as pl
from jax.experimental.pallas import triton

SMALLEST: Final = 16  # side of a matrix in Triton's products
PRODUCTS: Final[dict[str, Any]] = {
    "float32": jax.lax.Precision.HIGHEST,
    # On tensor cores, each factor as a sum of two short numbers: about as exact, which the CPU cannot show.
    "tf32x3": jax.lax.DotAlgorithmPreset.TF32_TF32_F32_X3,
}
BETA1: Final = np.float32(0.9)
BETA2: Final = np.float32(0.999)

Array = Any  # of JAX or NumPy
Tree = dict[str, dict[str, Array]]  # {"layer_0": {"kernel": (lanes, in, out), "bias": (lanes, out)}, ...}
Leaves = list[Array]  # kernel, bias, kernel, bias, ..., of one lane


class Layer(NamedTuple):
    """A layer's parameters, or their gradients: (inputs, outputs) and (outputs,); (inputs,) and () at the end."""

    kernel: Array
    bias: Array


class Lanes(NamedTuple):
    """What a launch continues from, lane by lane.

    Args:
        parameters: the networks.
        moments: trees like them, none for SGD, two for Adam.
        step: number of steps taken.
    """

    parameters: Tree
    moments: tuple[Tree, ...]
    step: Array


class Activation(NamedTuple):
    """A function h = f(z) with f(0) = 0, so that padding neurons stay zero.

    Args:
        value: maps z to h.
        slope: maps z and h to the derivative.
    """

    value: Callable[[Array], Array]
    slope: Callable[[Array, Array], Array]


ACTIVATIONS: Final = {
    "tanh": Activation(jnp.tanh, lambda z, h: 1 - h * h),
    "relu": Activation(lambda z: jnp.maximum(z, 0), lambda z, h: jnp.where(z > 0, 1.0, 0.0)),
    "sine": Activation(jnp.sin, lambda z, h: jnp.cos(z)),
}


class Rule(NamedTuple):
    """An optimiser.

    Args:
        moments: number of arrays that it keeps for each parameter.
        change: maps (learning rate, number of this step from 1, gradient, moments) to the change of a parameter and
            its new moments.
    """

    moments: int
    change: Callable[..., tuple[Array, tuple[Array, ...]]]


def _sgd(rate: Array, number: Array, gradient: Array) -> tuple[Array, tuple[Array, ...]]:
    return -rate * gradient, ()


def _adam(rate: Array, number: Array, gradient: Array, m: Array, v: Array) -> tuple[Array, tuple[Array, ...]]:
    m = BETA1 * m + (1 - BETA1) * gradient
    v = BETA2 * v + (1 - BETA2) * (gradient * gradient)
    unbiased_m = m / (1 - jnp.power(BETA1, number))
    unbiased_v = v / (1 - jnp.power(BETA2, number))
    return -rate * (unbiased_m / (jnp.sqrt(unbiased_v) + np.float32(1e-8))), (m, v)


RULES: Final = {"sgd": Rule(0, _sgd), "adam": Rule(2, _adam)}


@dataclass(frozen=True)
class Kernel:
    """How lanes are trained. Its products, and how the points are divided, are part of the arithmetic.

    Args:
        optimizer: "adam" or "sgd".
        activation: "tanh", "relu" or "sine".
        points: points that are computed together, a power of two from 16; the gradients of all such parts are added.
        warps: of a thread block, a power of two.
        products: "float32" or "tf32x3".
        interpret: run by JAX's interpreter of Pallas, on any device.
    """

    optimizer: str = "adam"
    activation: str = "tanh"
    points: int = 32
    warps: int = 4
    products: str = "float32"
    interpret: bool = False


def begin(parameters: Tree, optimizer: str) -> Lanes:
    """Begin with initial parameters and moments of zero."""
    zeros = jax.tree.map(jnp.zeros_like, parameters)
    return Lanes(parameters, (zeros,) * RULES[optimizer].moments, jnp.int32(0))


@partial(jax.jit, static_argnames="kernel")
def train_lanes(
    lanes: Lanes, inputs: Array, targets: Array, learning_rates: Array, steps: Array, kernel: Kernel
) -> Lanes:
    """Take steps of full batch with the mean squared error, all in one launch.

    Args:
        lanes: networks of one width with at least one hidden layer and one output.
        inputs: the same for all lanes, (features, points).
        targets: (lanes, points).
        learning_rates: (lanes,).
        steps: number of steps.
        kernel: how.
    """
    count = targets.shape[1]
    padded = -(-count // kernel.points) * kernel.points
    shares = jnp.where(jnp.arange(padded) < count, np.float32(1 / count), 0)  # of each point in the mean
    points = jnp.stack([_pad(row, (padded,)) for row in inputs])
    points = _pad(points, (_power_of_two(len(points), 1), padded))
    targets = _pad(targets, (len(targets), padded))
    state = [leaf for tree in (lanes.parameters, *lanes.moments) for leaf in _flatten(tree)]
    scalars = [jnp.asarray(value, jnp.int32) for value in (lanes.step, steps)]
    new = _launch(kernel, scalars, points, shares, targets, jnp.asarray(learning_rates, jnp.float32), state)
    size = len(state) // (1 + len(lanes.moments))
    trees = [_unflatten(new[at : at + size], lanes.parameters) for at in range(0, len(new), size)]
    return Lanes(trees[0], tuple(trees[1:]), lanes.step + scalars[1])


def _launch(
    kernel: Kernel, scalars: Leaves, points: Array, shares: Array, targets: Array, rates: Array, state: Leaves
) -> Leaves:
    """Start a thread block for each lane."""

    def same(array: Array) -> pl.BlockSpec:
        return pl.BlockSpec(array.shape, lambda lane: (0,) * array.ndim)

    def own(array: Array) -> pl.BlockSpec:
        return pl.BlockSpec((None, *array.shape[1:]), lambda lane: (lane, *(0,) * (array.ndim - 1)))

    call = pl.pallas_call(
        partial(_train_lane, kernel, len(state)),
        grid=(len(targets),),
        in_specs=[*map(same, (*scalars, points, shares)), *map(own, (targets, rates, *state))],
        out_specs=[own(leaf) for leaf in state],
        out_shape=[jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) for leaf in state],
        compiler_params=triton.CompilerParams(num_warps=kernel.warps, num_stages=1),
        interpret=kernel.interpret,
        name="train_lanes",
    )
    return call(*scalars, points, shares, targets, rates, *state)


def _train_lane(kernel: Kernel, leaves: int, *refs: Any) -> None:
    """Train one lane: the program of a thread block."""
    first, steps, points, shares, target, rate, *state = refs
    old, new, learning_rate, rule = state[:leaves], state[leaves:], rate[...], RULES[kernel.optimizer]
    size = leaves // (1 + rule.moments)

    def gradient_of_all(parameters: Leaves) -> Leaves:
        def add_part(part: Array, total: Leaves) -> Leaves:
            chosen = pl.ds(part * kernel.points, kernel.points)
            own = _gradient(kernel, _layers(parameters), points[:, chosen], target[chosen], shares[chosen])
            return [a + b for a, b in zip(total, own, strict=True)]

        zeros = [jnp.zeros_like(leaf) for leaf in parameters]
        return jax.lax.fori_loop(0, target.shape[0] // kernel.points, add_part, zeros)

    def step(at: Array, values: Leaves) -> Leaves:
        parameters, moments = values[:size], values[size:]
        number = (at + 1).astype(jnp.float32)
        results = [
            rule.change(learning_rate, number, gradient, *moments[leaf::size])
            for leaf, gradient in enumerate(gradient_of_all(parameters))
        ]
        moved = [value + change for value, (change, _) in zip(parameters, results, strict=True)]
        return moved + [kept[at] for at in range(rule.moments) for _, kept in results]

    begun = first[...]
    values = jax.lax.fori_loop(begun, begun + steps[...], step, [ref[...] for ref in old])
    for ref, value in zip(new, values, strict=True):
        ref[...] = value


def _gradient(kernel: Kernel, layers: list[Layer], x: Array, y: Array, shares: Array) -> Leaves:
    """Give the gradient of the loss's part from these points: x is (features, points), y and shares are (points,)."""
    value, slope = ACTIVATIONS[kernel.activation]
    multiply = partial(_multiply, PRODUCTS[kernel.products])
    hidden, end = layers[:-1], layers[-1]
    h, outer = [x], jnp.sum(hidden[0].kernel[:, :, None] * x[:, None, :], axis=0)  # too small for a product
    z = []
    for at, layer in enumerate(hidden):
        z.append((outer if at == 0 else multiply(layer.kernel, h[at], 0, 0)) + layer.bias[:, None])
        h.append(value(z[at]))
    output = jnp.sum(end.kernel[:, None] * h[-1], axis=0) + end.bias
    above = 2 * (output - y) * shares
    found = [Layer(jnp.sum(h[-1] * above[None, :], axis=1), jnp.sum(above))]
    above = end.kernel[:, None] * above[None, :]
    for at in reversed(range(len(hidden))):
        above = above * slope(z[at], h[at + 1])
        if at == 0:
            by_kernel = jnp.sum(x[:, None, :] * above[None, :, :], axis=2)
        else:
            by_kernel = multiply(h[at], above, 1, 1)
        found.append(Layer(by_kernel, jnp.sum(above, axis=1)))
        if at > 0:
            above = multiply(hidden[at].kernel, above, 1, 0)
    return [leaf for layer in reversed(found) for leaf in layer]


def _multiply(precision: Any, a: Array, b: Array, of_a: int, of_b: int) -> Array:
    """Multiply two matrices, contracting a dimension of each."""
    numbers = (((of_a,), (of_b,)), ((), ()))
    return jax.lax.dot_general(a, b, numbers, precision=precision, preferred_element_type=jnp.float32)


def _layers(leaves: Leaves) -> list[Layer]:
    return [Layer(*leaves[at : at + 2]) for at in range(0, len(leaves), 2)]


def _flatten(tree: Tree) -> Leaves:
    """Give the arrays of all layers in order, padded with zeros to the sizes that Triton needs."""
    leaves = []
    for at in range(len(tree)):
        kernel, bias = (jnp.asarray(tree[f"layer_{at}"][name], jnp.float32) for name in ("kernel", "bias"))
        lanes, inputs, outputs = kernel.shape
        inputs = _power_of_two(inputs, 1 if at == 0 else SMALLEST)
        if at == len(tree) - 1:
            leaves += [_pad(kernel[:, :, 0], (lanes, inputs)), bias[:, 0]]
        else:
            outputs = _power_of_two(outputs, SMALLEST)
            leaves += [_pad(kernel, (lanes, inputs, outputs)), _pad(bias, (lanes, outputs))]
    return leaves


def _unflatten(leaves: Leaves, like: Tree) -> Tree:
    """Undo `_flatten`."""
    tree: Tree = {}
    for at, layer in enumerate(_layers(leaves)):
        kernel, bias = (like[f"layer_{at}"][name].shape for name in ("kernel", "bias"))
        if at == len(like) - 1:
            layer = Layer(layer.kernel[:, :, None], layer.bias[:, None])
        tree[f"layer_{at}"] = {
            "kernel": layer.kernel[:, : kernel[1], : kernel[2]],
            "bias": layer.bias[:, : bias[1]],
        }
    return tree


def _pad(array: Array, shape: tuple[int, ...]) -> Array:
    return jnp.pad(array, [(0, size - narrow) for size, narrow in zip(shape, array.shape, strict=True)])


def _power_of_two(size: int, least: int) -> int:
    return max(least, 1 << (size - 1).bit_length())


def lower_for_h100(sizes: tuple[int, ...], points: int, lanes: int, kernel: Kernel) -> Any:
    """Lower a launch for an H100, on any machine: up to Triton's language, which checks operations and sizes.

    Args:
        sizes: inputs, neurons of each hidden layer, and 1.
        points: training points.
        lanes: thread blocks.
        kernel: how they are trained.
    """
    shape = partial(jax.ShapeDtypeStruct, dtype=jnp.float32)
    parameters = {
        f"layer_{at}": {"kernel": shape((lanes, *pair)), "bias": shape((lanes, pair[1]))}
        for at, pair in enumerate(pairwise(sizes))
    }
    state = Lanes(parameters, (parameters,) * RULES[kernel.optimizer].moments, jax.ShapeDtypeStruct((), jnp.int32))
    inputs, targets, rates = shape((sizes[0], points)), shape((lanes, points)), shape((lanes,))
    with _h100():
        return train_lanes.trace(state, inputs, targets, rates, state.step, kernel).lower(lowering_platforms=("cuda",))


def _h100() -> AbstractContextManager[Any]:
    """Tell JAX for which GPU it lowers; older JAX assumes one of this kind."""
    if not hasattr(jax.sharding, "AbstractDevice"):
        return nullcontext()
    device = jax.sharding.AbstractDevice(device_kind="NVIDIA H100", num_cores=None, platform="gpu")
    return jax.sharding.use_abstract_mesh(jax.sharding.AbstractMesh((), (), abstract_device=device))


if __name__ == "__main__":
    import tyro

    from benchmarks.fused_timing import run

    tyro.cli(run)
