"""Multilayer perceptrons: Flax linen modules with activations laid out as (features, points).

The long axis, points, is contiguous, which makes narrow layers about 1.4 times as fast on CPU. A layer may
be padded to more neurons than the lane's `width`: then neurons from `width` on are dead. Their weights start at zero,
a mask after each activation keeps their outputs at zero, and so their gradients and optimiser state stay zero too.
Hidden layers from the lane's `depth` on are dead in the same way: they are not computed.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Bool, Float, Key

from sweep.engine.regression import fourier
from sweep.engine.regression.layers import draw_dropout_masks, dropped, normalised
from sweep.engine.regression.networks import (
    Collections,
    Functions,
    Numbers,
    Parameters,
    Train,
    Varying,
    only_parameters,
    without_collections,
)
from sweep.engine.regression.pairs import paired
from sweep.engine.regression.parametrisation import product_factor, scale_updates
from sweep.engine.regression.products import gradient_product, product
from sweep.engine.regression.weights import draw_parameters, list_frequencies, list_parameters
from sweep.page.specs.activation import ACTIVATIONS
from sweep.page.specs.model import MLP


def identity(z: Float[Array, "..."]) -> Float[Array, "..."]:
    """Return z."""
    return z


Masks = tuple[Bool[Array, "neurons points"], ...] | None


class Dense(nn.Module):
    """A fully connected layer on (features, points): W^T h + b.

    Its parameters are drawn by `weights` and only read here: Flax would draw each with a separate key and
    hash, and the time that XLA takes to begin a lane depends on the number of hashes.

    Args:
        features: neurons, including dead ones.
        bias: whether there is a bias.
        product: computes the product of kernel and activations.
        layer_norm: whether the sum is normalised.
    """

    features: int
    bias: bool
    product: Callable[[Array, Array], Array]
    layer_norm: bool = False

    @nn.compact
    def __call__(self, h: Float[Array, "inputs points"], scale: Array | None) -> Float[Array, "outputs points"]:
        """Apply the layer; `scale` is a factor on the product, None if there is none."""
        zeros = nn.initializers.zeros_init()
        z = self.product(self.param("kernel", zeros, (h.shape[0], self.features), h.dtype), h)
        z = z if scale is None else scale * z
        z = z + self.param("bias", zeros, (self.features,), h.dtype)[:, None] if self.bias else z
        if not self.layer_norm:
            return z
        return normalised(z, *(self.param(name, zeros, (self.features,), h.dtype) for name in ("scale", "shift")))


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
    def __call__(
        self, h: Float[Array, "inputs points"], numbers: Numbers, masks: Masks = None
    ) -> Float[Array, "outputs points"]:
        """Apply the network; `masks` tell for each hidden layer which outputs are not dropped, None: all stay."""
        model = self.model
        *hidden, last = [
            Dense(neurons, bias, self.product, model.layer_norm and layer < len(model.layers()), name=f"layer_{layer}")
            for layer, (neurons, bias) in enumerate(zip((*model.layers(), self.outputs), model.biases(), strict=True))
        ]
        for layer, dense in enumerate(hidden):
            compute = partial(self._hidden, layer, self._product_factor(layer, h, numbers), numbers, masks)
            if layer and self.varying.depth:
                h = nn.cond(layer < numbers["depth"], compute, lambda _, h: h, dense, h)
            else:
                h = compute(dense, h)
        return ACTIVATIONS[model.output_activation].load()(last(h, self._product_factor(len(hidden), h, numbers)))

    def _product_factor(self, layer: int, h: Array, numbers: Numbers) -> Array | None:
        """Give the factor on the product of a layer with the true fan-in, None if there is none."""
        fan_in = numbers["width"] if layer and self.varying.width else h.shape[0]
        return product_factor(self.model, fan_in, h.dtype)

    def _hidden(
        self,
        layer: int,
        scale: Array | None,
        numbers: Numbers,
        masks: Masks,
        dense: Dense,
        inputs: Float[Array, "inputs points"],
    ) -> Float[Array, "outputs points"]:
        """Apply a hidden layer, s(factor (scale W^T h + b)); outputs of dead neurons are 0."""
        z = dense(inputs, scale)
        factor = numbers.get("hidden_omega" if layer else "omega0")
        if factor is not None:
            z = factor.astype(z.dtype) * z
        names = self.varying.activations or (self.model.activation,)
        functions = [ACTIVATIONS[name].load() for name in names]
        h = functions[0](z) if len(names) == 1 else jax.lax.switch(numbers["activation"], functions, z)
        if self.varying.width:  # cos(0) and sigmoid(0) are not 0
            h = jnp.where((jnp.arange(dense.features) < numbers["width"])[:, None], h, 0)
        if masks is not None:
            h = dropped(h, masks[layer], numbers["dropout"])
        return inputs + h if self.model.residual and layer else h


def perceptron(model: MLP, varying: Varying, outputs: int | None) -> Functions:
    """Build the functions of a multilayer perceptron."""
    functions = _one(model, varying, outputs)
    return paired(functions) if model.pairs else functions


def _one(model: MLP, varying: Varying, outputs: int | None) -> Functions:
    """Build the functions of one copy."""
    names, features = model.layer_names(), model.fourier_features

    def init(key: Key[Array, ""], inputs: Array, numbers: Numbers) -> tuple[Parameters, Collections]:
        first = 2 * features if features else inputs.shape[0]
        parts = list_parameters(model, (first, outputs or 1), varying, numbers, inputs.dtype)
        drawn = draw_parameters(parts | list_frequencies(model, inputs.shape[0], numbers), key, inputs.dtype)
        return fourier.split(drawn) if features else (drawn, ())

    def direction(key: Key[Array, ""], parameters: Parameters, numbers: Numbers) -> Parameters:
        first = parameters[names[0]]["kernel"]
        parts = list_parameters(model, (first.shape[0], outputs or 1), varying, numbers, first.dtype)
        scale = jnp.ones((), first.dtype)
        unit = {place: part._replace(initializer="normal", scale=scale, mean=0.0) for place, part in parts.items()}
        return draw_parameters(unit, key, first.dtype)

    def build(product: Callable[[Array, Array], Array]) -> tuple[Any, Train]:
        module = Network(model, outputs or 1, varying, product)

        def apply(
            parameters: Parameters, collections: Collections, inputs: Array, numbers: Numbers, masks: Masks = None
        ) -> Array:
            inputs = fourier.fourier_features(collections["frequencies"], inputs) if features else inputs
            rows: Any = module.apply({"params": parameters}, inputs, numbers, masks)
            return rows[0] if outputs is None else rows.T

        def train(
            parameters: Parameters, collections: Collections, inputs: Array, numbers: Numbers, key: Key[Array, ""]
        ) -> tuple[Array, Collections]:
            drops = model.dropout is not None
            masks = draw_dropout_masks(key, model.layers(), inputs.shape[1], numbers["dropout"]) if drops else None
            return apply(parameters, collections, inputs, numbers, masks), collections

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
        join=fourier.join if features else only_parameters,
        split=fourier.split if features else without_collections,
        scale_updates=partial(scale_updates, model, varying, outputs or 1),
    )


def _own(names: Sequence[str], parameters: Parameters, sizes: Mapping[str, Any]) -> Parameters:
    """Cut a lane's own network out of padded parameters.

    Args:
        names: the names of all layers, output included.
        parameters: a dictionary of arrays for each layer.
        sizes: the lane's `width` and `depth`, if lanes differ in them.
    """
    if not sizes:
        return parameters
    alive, depth = slice(sizes.get("width")), int(sizes.get("depth", len(names) - 1))
    layers = [*names[:depth], names[-1]]
    found: Parameters = {}
    for at, layer in enumerate(layers):
        rows = slice(None) if at == 0 else alive
        columns = slice(None) if layer == names[-1] else alive
        cuts = {"kernel": (rows, columns), "bias": (columns,)}
        found[names[at]] = {name: values[cuts[name]] for name, values in parameters[layer].items()}
    return found
