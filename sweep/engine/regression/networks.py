"""Networks as pure functions: Flax linen modules with activations laid out as (features, points).

The long axis, points, is contiguous, which makes narrow layers about 1.4 times as fast on CPU. A layer may
be padded to more neurons than the lane's `width`: then neurons from `width` on are dead. Their weights start at zero,
a mask after each activation keeps their outputs at zero, and so their gradients and optimiser state stay zero too.
"""

from collections.abc import Callable
from math import erf
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float, Int, Key

from sweep.base.errors import SweepError, blame, name_of, with_article
from sweep.engine.keys import matrices, normal, uniforms
from sweep.page.specs.activation import ACTIVATIONS
from sweep.page.specs.initializer import INITIALIZERS
from sweep.page.specs.model import MLP, FromModule, Model

Parameters = Any  # a pytree of arrays, as Flax makes it
Numbers = dict[str, Array]


def identity(z: Float[Array, "..."]) -> Float[Array, "..."]:
    """Return z."""
    return z


def truncated_normal(u: Float[Array, "..."]) -> Float[Array, "..."]:
    """Normal, truncated at two deviations and rescaled to deviation 1, as in Flax and Keras."""
    return normal(erf(2**0.5) * u) / 0.87962566103423978


def uniform(u: Float[Array, "..."]) -> Float[Array, "..."]:
    """Uniform with deviation 1: on (-sqrt(3), sqrt(3))."""
    return 3**0.5 * u


class _Parameter(NamedTuple):
    """A kernel, or a bias as a matrix of one row, to be drawn.

    Args:
        layer: name of its layer.
        name: "kernel" or "bias".
        shape: number of rows and columns, including dead ones.
        alive: number of rows and columns that are not dead; None if none are dead.
        initializer: one of `INITIALIZERS`.
        fans: true fan-in and fan-out, traced if padded.
        scale: factor on its deviation.
    """

    layer: str
    name: str
    shape: tuple[int, int]
    alive: tuple[Any, Any] | None
    initializer: str
    fans: tuple[Any, Any]
    scale: Any


def _list_parameters(
    model: MLP, features: int, width: Int[Array, ""] | None, scale: Any, bias_scale: Any
) -> dict[int, _Parameter]:
    """List a network's parameters by the numbers that identify them when random numbers are drawn.

    Args:
        model: its structure.
        features: inputs of its first layer.
        width: true width of every hidden layer; None if layers are not padded.
        scale: factor on all weights.
        bias_scale: factor on all biases; None if there are none.
    """
    capacities = (features, *model.layers(), 1)
    fans = (features, *(capacity if width is None else width for capacity in model.layers()), 1)
    parts = {}
    for at, (initializer, bias) in enumerate(zip(model.initializers(), model.biases(), strict=True)):
        layer, rows, columns, fan = f"layer_{at}", capacities[at], capacities[at + 1], (fans[at], fans[at + 1])
        alive = (None, None) if width is None else (fan, (1, fan[1]))
        parts[2 * at] = _Parameter(layer, "kernel", (rows, columns), alive[0], initializer, fan, scale)
        if bias:
            parts[2 * at + 1] = _Parameter(
                layer, "bias", (1, columns), alive[1], model.bias_initializer, fan, bias_scale
            )
    return parts


def _draw_parameters(parts: dict[int, _Parameter], key: Key[Array, ""], dtype: Any) -> Parameters:
    """Draw the initial parameters of all layers at once.

    Each distribution is computed for all entries, of which each matrix takes its part, so that it is traced once and
    not for each layer.
    """
    shapes = {number: part.shape for number, part in parts.items()}
    entries = uniforms(key, shapes, dtype)
    quantiles = {number: INITIALIZERS[part.initializer].load() for number, part in parts.items()}
    used = dict.fromkeys(quantiles.values())  # not a set, whose order would vary
    drawn = {quantile: matrices(quantile(entries), shapes) for quantile in used}
    parameters: dict[str, dict[str, Array]] = {}
    for number, part in parts.items():
        values = _scale(part, drawn[quantiles[number]][number])
        parameters.setdefault(part.layer, {})[part.name] = values[0] if part.name == "bias" else values
    return parameters


def _scale(part: _Parameter, drawn: Float[Array, "rows columns"]) -> Float[Array, "rows columns"]:
    """Scale numbers of deviation 1 to the deviation of their initialiser, and set dead ones to 0."""
    variance = INITIALIZERS[part.initializer].variance
    # Converted to the precision of the run before dividing: JAX divides traced whole numbers in float32.
    fan_in, fan_out = (jnp.asarray(fan, drawn.dtype) for fan in part.fans)
    values = drawn * (jnp.sqrt(variance(fan_in, fan_out)) * part.scale).astype(drawn.dtype)
    if part.alive is None:
        return values
    rows, columns = (jnp.arange(size) < alive for size, alive in zip(part.shape, part.alive, strict=True))
    return jnp.where(rows[:, None] & columns, values, 0)


def product(kernel: Float[Array, "inputs outputs"], h: Float[Array, "inputs points"]) -> Float[Array, "outputs points"]:
    """W^T h in the form that is fast on CPU; any derivative of it can be taken.

    XLA's kernels for small products are fast if columns of the left matrix are contracted with rows of the right one.
    By default it would contract rows with rows, at half the speed for width 16 and two thirds for width 128. So W is
    transposed first, behind a barrier, since an optimisation would undo the transposition.
    """
    return jnp.einsum("oi,in->on", jax.lax.optimization_barrier(kernel.T), h)


# The same numbers. The two products of its gradient have the fast form, too; no other derivative can be taken.
gradient_product = jax.custom_vjp(product)


def _product_forward(kernel: Array, h: Array) -> tuple[Array, tuple[Array, Array]]:
    return gradient_product(kernel, h), (kernel, h)


def _product_backward(residuals: tuple[Array, Array], above: Array) -> tuple[Array, Array]:
    kernel, h = residuals
    return jnp.einsum("in,on->io", h, above), jnp.einsum("io,on->in", kernel, above)


gradient_product.defvjp(_product_forward, _product_backward)


class Dense(nn.Module):
    """A fully connected layer on (features, points): W^T h + b.

    Its parameters are drawn by `_draw_parameters` and only read here: Flax would draw each with a separate key and
    hash, and the time that XLA takes to begin a lane depends on the number of hashes.

    Args:
        features: neurons, including dead ones.
        bias: whether there is a bias.
        product: computes the product of kernel and activations.
    """

    features: int
    bias: bool
    product: Callable[[Array, Array], Array]

    @nn.compact
    def __call__(self, h: Float[Array, "inputs points"]) -> Float[Array, "outputs points"]:
        """Apply the layer."""
        zeros = nn.initializers.zeros_init()
        z = self.product(self.param("kernel", zeros, (h.shape[0], self.features), h.dtype), h)
        return z + self.param("bias", zeros, (self.features,), h.dtype)[:, None] if self.bias else z


class Network(nn.Module):
    """A multilayer perceptron on (features, points), with `model.layers()` neurons in its hidden layers.

    Args:
        model: its structure; if `padded`, it states the layers' capacities.
        padded: whether neurons from `width` on are dead.
        product: computes the product of kernel and activations: `product` or `gradient_product`.
    """

    model: MLP
    padded: bool
    product: Callable[[Array, Array], Array]

    @nn.compact
    def __call__(self, h: Float[Array, "inputs points"], numbers: Numbers) -> Float[Array, "1 points"]:
        """Apply the network; if padded, the number `width` is the true width of every hidden layer."""
        model = self.model
        layers = [
            Dense(neurons, bias, self.product, name=f"layer_{layer}")
            for layer, (neurons, bias) in enumerate(zip((*model.layers(), 1), model.biases(), strict=True))
        ]
        for layer, dense in enumerate(layers[:-1]):
            z = dense(h)
            if layer == 0 and "omega0" in model.applicable():
                z = numbers["omega0"].astype(z.dtype) * z
            h = ACTIVATIONS[model.activation].load()(z)
            if self.padded:  # cos(0) and sigmoid(0) are not 0
                h = jnp.where((jnp.arange(dense.features) < numbers["width"])[:, None], h, 0)
        return ACTIVATIONS[model.output_activation].load()(layers[-1](h))


class Functions(NamedTuple):
    """A network as pure functions.

    Args:
        init: maps (key, inputs, numbers) to parameters.
        apply: maps (parameters, inputs of shape (features, points), numbers) to outputs of shape (points,); any
            derivative of it can be taken, in forward and reverse mode and combined.
        apply_for_gradient: gives the same outputs, with gradients that are faster on CPU; no other derivative can be
            taken.
        by_layer: splits a pytree like the parameters into one subtree for each layer.
    """

    init: Callable[[Key[Array, ""], Array, Numbers], Parameters]
    apply: Callable[[Parameters, Array, Numbers], Array]
    apply_for_gradient: Callable[[Parameters, Array, Numbers], Array]
    by_layer: Callable[[Parameters], list[Any]]


def network(model: Model, padded: bool) -> Functions:
    """Build the functions of a network.

    Args:
        model: its structure.
        padded: whether its layers have dead neurons beyond each lane's number `width`.
    """
    return model.functions.load()(model, padded)


def perceptron(model: MLP, padded: bool) -> Functions:
    """Build the functions of a multilayer perceptron."""
    names = [f"layer_{layer}" for layer in range(len(model.layers()) + 1)]

    def init(key: Key[Array, ""], inputs: Array, numbers: Numbers) -> Parameters:
        scale = numbers["initial_scale"].astype(inputs.dtype)
        bias_scale = numbers["bias_scale"].astype(inputs.dtype) if model.bias else None
        width = numbers["width"] if padded else None
        return _draw_parameters(_list_parameters(model, inputs.shape[0], width, scale, bias_scale), key, inputs.dtype)

    def build_apply(product: Callable[[Array, Array], Array]) -> Callable[[Parameters, Array, Numbers], Array]:
        module = Network(model, padded, product)
        return lambda parameters, inputs, numbers: module.apply({"params": parameters}, inputs, numbers)[0]  # type: ignore[index]

    return Functions(
        init, build_apply(product), build_apply(gradient_product), lambda tree: [tree[name] for name in names]
    )


def from_module(model: FromModule, padded: bool) -> Functions:
    """Build the functions of a module that the page defines; it is never padded."""
    culprit = f"the module of {name_of(model.build)!r}"
    with blame(culprit):
        module = model.build(model.width)
    if not issubclass(type(module), nn.Module):
        raise SweepError(
            f"{culprit} must be a flax.linen.Module, got {with_article(type(module).__name__)}: return one, as "
            f"flax.nnx.bridge.to_linen(Class, ...) makes of an NNX class"
        )

    def init(key: Key[Array, ""], inputs: Array, numbers: Numbers) -> Parameters:
        scale = numbers["initial_scale"].astype(inputs.dtype)
        with blame(culprit):
            drawn = module.init(key, inputs.T)
        if others := sorted(set(drawn) - {"params"}):
            names = ", ".join(map(repr, others))
            raise SweepError(f"{culprit} has collections beside 'params', which can't be kept: leave out {names}")
        return jax.tree.map(lambda leaf: leaf.astype(inputs.dtype) * scale, drawn.get("params", {}))

    def apply(parameters: Parameters, inputs: Array, numbers: Numbers) -> Array:
        with blame(culprit):
            outputs = module.apply({"params": parameters}, inputs.T)
        expected = (inputs.shape[1], 1)
        if jnp.shape(outputs) != expected:
            raise SweepError(f"{culprit} returns an array of shape {jnp.shape(outputs)}, it must be {expected}")
        return outputs[:, 0]

    return Functions(init, apply, apply, lambda tree: [tree])
