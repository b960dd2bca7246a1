"""Networks as pure functions: Flax linen modules with activations laid out as (features, points).

The long axis, points, is contiguous, which makes narrow layers about 1.4 times as fast on CPU. A layer may
be padded to more neurons than the lane's `width`: then neurons from `width` on are dead. Their weights start at zero,
a mask after each activation keeps their outputs at zero, and so their gradients and optimiser state stay zero too.
Hidden layers from the lane's `depth` on are dead in the same way: they are not computed.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import erf
from typing import Any, Final, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float, Key

from sweep.engine.keys import matrices, normal, uniforms
from sweep.page.specs.activation import ACTIVATIONS
from sweep.page.specs.initializer import INITIALIZERS
from sweep.page.specs.model import MLP, Model

Parameters = Any  # a pytree of arrays, as Flax makes it
Collections = Any  # the same, of what a step changes without a gradient; empty for perceptrons
Numbers = dict[str, Array]
Train = Callable[[Parameters, Collections, Array, Numbers, Key[Array, ""]], tuple[Array, Collections]]


def identity(z: Float[Array, "..."]) -> Float[Array, "..."]:
    """Return z."""
    return z


def truncated_normal(u: Float[Array, "..."]) -> Float[Array, "..."]:
    """Normal, truncated at two deviations and rescaled to deviation 1, as in Flax and Keras."""
    return normal(erf(2**0.5) * u) / 0.87962566103423978


def uniform(u: Float[Array, "..."]) -> Float[Array, "..."]:
    """Uniform with deviation 1: on (-sqrt(3), sqrt(3))."""
    return 3**0.5 * u


@dataclass(frozen=True)
class Varying:
    """The structural knobs in which lanes differ although one program trains them all.

    Its network has the largest width and depth, and each lane numbers of the same names.

    Args:
        width: whether a lane's number `width`, its neurons in each hidden layer, may be smaller than the network's.
        depth: whether a lane's number `depth`, its hidden layers (1 or more), may be smaller than the network's.
        activations: names, among which a lane's number `activation` is the place of its own; without names all lanes
            have the network's.
    """

    width: bool = False
    depth: bool = False
    activations: tuple[str, ...] = ()

    def common(self) -> tuple[str, ...]:
        """Name the numbers that decide which code runs, so that they must be the same for all lanes of a tile."""
        return ("depth",) * self.depth + ("activation",) * bool(self.activations)


UNIFORM: Final = Varying()


class _Parameter(NamedTuple):
    """A kernel, or a bias as a matrix of one row, to be drawn.

    Args:
        layer: name of its layer.
        name: "kernel" or "bias".
        number: identifies it when random numbers are drawn; traced for the last layer if depths vary.
        shape: number of rows and columns, including dead ones.
        alive: number of rows and columns that are not dead, traced if they vary.
        initializer: one of `INITIALIZERS`.
        fans: true fan-in and fan-out, traced if they vary.
        scale: factor on its deviation.
    """

    layer: str
    name: str
    number: Any
    shape: tuple[int, int]
    alive: tuple[Any, Any]
    initializer: str
    fans: tuple[Any, Any]
    scale: Any


def _list_parameters(
    model: MLP, ends: tuple[int, int], varying: Varying, numbers: Numbers, dtype: Any
) -> dict[int, _Parameter]:
    """List a network's parameters by their places: twice the layer's, plus one for a bias.

    Args:
        model: its structure.
        ends: inputs of its first layer and outputs of its last one.
        varying: in what lanes differ.
        numbers: the lane's traced numbers.
        dtype: precision of scales.
    """
    scale = numbers["initial_scale"].astype(dtype)
    bias_scale = numbers["bias_scale"].astype(dtype) if model.bias else None
    hidden = model.layers()
    features, outputs = ends
    capacities = (features, *hidden, outputs)
    neurons = (features, *(numbers["width"],) * len(hidden), outputs) if varying.width else capacities
    parts = {}
    for at, (initializer, bias) in enumerate(zip(model.initializers(), model.biases(), strict=True)):
        rows, columns = neurons[at], neurons[at + 1]
        number, alive = at, columns
        if varying.depth and at < len(hidden):
            alive = jnp.where(at < numbers["depth"], columns, 0)
        elif varying.depth:
            number = numbers["depth"]  # the last layer is drawn as that of a network without the dead layers
        layer, shape, fans = f"layer_{at}", (capacities[at], capacities[at + 1]), (rows, columns)
        parts[2 * at] = _Parameter(layer, "kernel", 2 * number, shape, (rows, alive), initializer, fans, scale)
        if bias:
            parts[2 * at + 1] = _Parameter(
                layer, "bias", 2 * number + 1, (1, shape[1]), (1, alive), model.bias_initializer, fans, bias_scale
            )
    return parts


def _draw_parameters(parts: dict[int, _Parameter], key: Key[Array, ""], dtype: Any) -> Parameters:
    """Draw the initial parameters of all layers at once.

    Each distribution is computed for all entries, of which each matrix takes its part, so that it is traced once and
    not for each layer.
    """
    shapes = {place: part.shape for place, part in parts.items()}
    entries = uniforms(key, shapes, dtype, {place: part.number for place, part in parts.items()})
    quantiles = {place: INITIALIZERS[part.initializer].load() for place, part in parts.items()}
    used = dict.fromkeys(quantiles.values())  # not a set, whose order would vary
    drawn = {quantile: matrices(quantile(entries), shapes) for quantile in used}
    parameters: dict[str, dict[str, Array]] = {}
    for place, part in parts.items():
        values = _scale(part, drawn[quantiles[place]][place])
        parameters.setdefault(part.layer, {})[part.name] = values[0] if part.name == "bias" else values
    return parameters


def _scale(part: _Parameter, drawn: Float[Array, "rows columns"]) -> Float[Array, "rows columns"]:
    """Scale numbers of deviation 1 to the deviation of their initialiser, and set dead ones to 0."""
    variance = INITIALIZERS[part.initializer].variance
    # Converted to the precision of the run before dividing: JAX divides traced whole numbers in float32.
    fan_in, fan_out = (jnp.asarray(fan, drawn.dtype) for fan in part.fans)
    values = drawn * (jnp.sqrt(variance(fan_in, fan_out)) * part.scale).astype(drawn.dtype)
    if all(isinstance(alive, int) for alive in part.alive):  # none is dead
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
        model: its structure; where lanes vary, the largest.
        outputs: number of outputs.
        varying: in what lanes differ.
        product: computes the product of kernel and activations: `product` or `gradient_product`.
    """

    model: MLP
    outputs: int
    varying: Varying
    product: Callable[[Array, Array], Array]

    @nn.compact
    def __call__(self, h: Float[Array, "inputs points"], numbers: Numbers) -> Float[Array, "outputs points"]:
        """Apply the network."""
        model = self.model
        *hidden, last = [
            Dense(neurons, bias, self.product, name=f"layer_{layer}")
            for layer, (neurons, bias) in enumerate(zip((*model.layers(), self.outputs), model.biases(), strict=True))
        ]
        for layer, dense in enumerate(hidden):
            factor = numbers["omega0"] if layer == 0 and "omega0" in numbers else None
            compute = partial(self._hidden, factor, numbers)
            if layer and self.varying.depth:
                h = nn.cond(layer < numbers["depth"], compute, lambda _, h: h, dense, h)
            else:
                h = compute(dense, h)
        return ACTIVATIONS[model.output_activation].load()(last(h))

    def _hidden(
        self, factor: Array | None, numbers: Numbers, dense: Dense, h: Float[Array, "inputs points"]
    ) -> Float[Array, "outputs points"]:
        """Apply a hidden layer, s(factor (W^T h + b)); outputs of dead neurons are 0."""
        z = dense(h)
        if factor is not None:
            z = factor.astype(z.dtype) * z
        names = self.varying.activations or (self.model.activation,)
        functions = [ACTIVATIONS[name].load() for name in names]
        h = functions[0](z) if len(names) == 1 else jax.lax.switch(numbers["activation"], functions, z)
        if self.varying.width:  # cos(0) and sigmoid(0) are not 0
            h = jnp.where((jnp.arange(dense.features) < numbers["width"])[:, None], h, 0)
        return h


class Functions(NamedTuple):
    """A network as pure functions.

    Beside its parameters a network may have collections, such as batch statistics, that a step changes without a
    gradient. `apply` and `train` differ in more than derivatives only for modules of the page.

    Args:
        init: maps (key, inputs, numbers) to parameters and collections.
        apply: maps (parameters, collections, inputs of shape (features, points), numbers) to outputs of shape
            (points,), or (points, outputs) if there are several, as in a record; any derivative of it can be taken, in
            forward and reverse mode and combined.
        apply_for_gradient: gives the same outputs, with gradients that are faster on CPU; no other derivative can be
            taken.
        train: maps (parameters, collections, inputs, numbers, a step's key) to outputs as in that step, and the new
            collections; any derivative can be taken.
        train_for_gradient: gives the same, with gradients that are faster on CPU.
        by_layer: splits a pytree like the parameters into one subtree for each layer.
        direction: maps (key, parameters, numbers) to a pytree like the parameters, of standard normal numbers; entries
            of dead neurons are 0, and those of others do not depend on how many are dead.
        own: maps (variables as NumPy arrays, the lane's `width` and `depth` where they vary) to those of its own
            network, without dead entries and layers: what `init` of a network that is alone gives.
        join: makes what is kept of a trained network, its variables, from parameters and collections.
        split: gives parameters and collections of variables.
    """

    init: Callable[[Key[Array, ""], Array, Numbers], tuple[Parameters, Collections]]
    apply: Callable[[Parameters, Collections, Array, Numbers], Array]
    apply_for_gradient: Callable[[Parameters, Collections, Array, Numbers], Array]
    train: Train
    train_for_gradient: Train
    by_layer: Callable[[Parameters], list[Any]]
    direction: Callable[[Key[Array, ""], Parameters, Numbers], Parameters]
    own: Callable[[Any, Mapping[str, Any]], Any]
    join: Callable[[Parameters, Collections], Any]
    split: Callable[[Any], tuple[Parameters, Collections]]


def network(model: Model, varying: Varying = UNIFORM, outputs: int | None = None) -> Functions:
    """Build the functions of a network.

    Args:
        model: its structure; where lanes vary, the largest.
        varying: in what lanes differ.
        outputs: number of outputs; None for a single one, of which arrays have no axis.
    """
    return model.functions.load()(model, varying, outputs)


def only_parameters(parameters: Parameters, _: Collections) -> Parameters:
    """Give the variables of a network that has no collections."""
    return parameters


def without_collections(variables: Any) -> tuple[Parameters, Collections]:
    """Give the parameters and no collections of such variables."""
    return variables, ()


def perceptron(model: MLP, varying: Varying, outputs: int | None) -> Functions:
    """Build the functions of a multilayer perceptron."""
    names = model.layer_names()

    def init(key: Key[Array, ""], inputs: Array, numbers: Numbers) -> tuple[Parameters, Collections]:
        parts = _list_parameters(model, (inputs.shape[0], outputs or 1), varying, numbers, inputs.dtype)
        return _draw_parameters(parts, key, inputs.dtype), ()

    def direction(key: Key[Array, ""], parameters: Parameters, numbers: Numbers) -> Parameters:
        first = parameters[names[0]]["kernel"]
        parts = _list_parameters(model, (first.shape[0], outputs or 1), varying, numbers, first.dtype)
        scale = jnp.ones((), first.dtype)
        unit = {place: part._replace(initializer="normal", scale=scale) for place, part in parts.items()}
        return _draw_parameters(unit, key, first.dtype)

    def build(product: Callable[[Array, Array], Array]) -> tuple[Any, Train]:
        module = Network(model, outputs or 1, varying, product)

        def apply(parameters: Parameters, _: Collections, inputs: Array, numbers: Numbers) -> Array:
            rows: Any = module.apply({"params": parameters}, inputs, numbers)
            return rows[0] if outputs is None else rows.T

        def train(
            parameters: Parameters, none: Collections, inputs: Array, numbers: Numbers, key: Key[Array, ""]
        ) -> tuple[Array, Collections]:
            return apply(parameters, none, inputs, numbers), none

        return apply, train

    (apply, train), (apply_for_gradient, train_for_gradient) = build(product), build(gradient_product)
    return Functions(
        init,
        apply,
        apply_for_gradient,
        train,
        train_for_gradient,
        by_layer=lambda tree: [tree[name] for name in names],
        direction=direction,
        own=partial(_own, names),
        join=only_parameters,
        split=without_collections,
    )


def _own(names: Sequence[str], parameters: Parameters, sizes: Mapping[str, Any]) -> Parameters:
    """Cut a lane's own network out of padded parameters.

    Args:
        names: the names of all layers, output included.
        parameters: a dictionary of arrays for each layer.
        sizes: the lane's `width` and `depth`, if lanes differ in them.
    """
    alive, depth = slice(sizes.get("width")), int(sizes.get("depth", len(names) - 1))
    layers = [*names[:depth], names[-1]]
    found: Parameters = {}
    for at, layer in enumerate(layers):
        rows = slice(None) if at == 0 else alive
        columns = slice(None) if layer == names[-1] else alive
        cuts = {"kernel": (rows, columns), "bias": (columns,)}
        found[names[at]] = {name: values[cuts[name]] for name, values in parameters[layer].items()}
    return found
