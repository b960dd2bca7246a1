"""Parametrisations of perceptrons: how initial weights, products and learning rates depend on the sizes of layers.

"standard" has a product W^T h and one learning rate. The others, for a kernel of fan-in n and fan-out m, with the
ratios a = n / n0 and b = m / m0 to the fans n0 and m0 that it has at `base_width` (features and outputs have fixed
numbers, so that a = 1 in the first layer and b = 1 in the last):

| | "ntk" | "mup" |
|---|---|---|
| variance of initial weights | 1 | v(n0, m0) / a, in the last layer v(n0, m0) / a^2 |
| variance of initial biases | v(n, m) | v(n0, m0) |
| product | W^T h / sqrt(n) | W^T h |
| learning rate of weights | 1 | b^d / a |
| learning rate of other parameters | 1 | b^d |

v is the variance of the initialiser, and d the power of the gradient's size with which the optimiser's steps grow: 1
for SGD, 0 for Adam. So for the first, a hidden and the last layer of width w = a n0 the rates of weights are w / n0, 1
and n0 / w with SGD, and 1, n0 / w and n0 / w with Adam. Sources: Jacot et al. 2018, "Neural Tangent Kernel"; Yang et
al. 2022, "Tensor Programs V" (table 3, of which "fan_out" is b and "1 / fan_in" 1 / a). A bias is a kernel of fan-in 1
there, which is not scaled: that of the output has no width, so its rate is 1.
"""

from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array

from sweep.engine.regression.networks import Numbers, Parameters, Varying
from sweep.page.specs.model import MLP


class Sizes(NamedTuple):
    """The sizes of one layer.

    Args:
        fans: fan-in and fan-out, traced if they vary.
        base: the same at the base width of "mup".
        last: whether it is the output layer.
    """

    fans: tuple[Any, Any]
    base: tuple[int, int]
    last: bool

    def ratios(self, dtype: Any) -> tuple[Array, Array]:
        """Give a and b."""
        a, b = (jnp.asarray(own, dtype) / base for own, base in zip(self.fans, self.base, strict=True))
        return a, b


def sizes(model: MLP, ends: tuple[int, int], varying: Varying, numbers: Numbers) -> tuple[Sizes, ...]:
    """Give the sizes of each layer.

    Args:
        model: the network's structure.
        ends: inputs of its first layer and outputs of its last one.
        varying: in what lanes differ.
        numbers: the lane's traced numbers.
    """
    hidden, (features, outputs) = model.layers(), ends
    neurons = (features, *((numbers["width"],) * len(hidden) if varying.width else hidden), outputs)
    base = (features, *(model.base_width,) * len(hidden), outputs)
    return tuple(
        Sizes((neurons[at], neurons[at + 1]), (base[at], base[at + 1]), at == len(hidden))
        for at in range(len(hidden) + 1)
    )


def kernel_law(model: MLP, own: Sizes, scale: Array) -> tuple[tuple[Any, Any] | None, Array]:
    """Give the fans of which the variance of initial weights is, None for a variance of 1, and a factor.

    Args:
        model: the network's structure.
        own: the sizes of the layer.
        scale: the lane's factor on all weights.
    """
    if model.parametrisation == "ntk":
        return None, scale
    if model.parametrisation == "mup":
        a, _ = own.ratios(scale.dtype)
        return own.base, scale / (a if own.last else jnp.sqrt(a))
    return own.fans, scale


def bias_fans(model: MLP, own: Sizes) -> tuple[Any, Any]:
    """Give the fans of which the variance of initial biases is."""
    return own.base if model.parametrisation == "mup" else own.fans


def product_factor(model: MLP, fan_in: Any, dtype: Any) -> Array | None:
    """Give the factor on the product of weights and inputs; None where there is none."""
    return 1 / jnp.sqrt(jnp.asarray(fan_in, dtype)) if model.parametrisation == "ntk" else None


def scale_updates(
    model: MLP, varying: Varying, outputs: int, updates: Parameters, numbers: Numbers, degree: int | None
) -> Parameters:
    """Multiply the updates of each array by the factor on its learning rate.

    Args:
        model: the network's structure.
        varying: in what lanes differ.
        outputs: of the last layer.
        updates: a pytree like the parameters.
        numbers: the lane's traced numbers.
        degree: d, of the optimiser.
    """
    if model.parametrisation != "mup":
        return updates
    features = updates["layer_0"]["kernel"].shape[0]
    scaled = {}
    for name, own in zip(model.layer_names(), sizes(model, (features, outputs), varying, numbers), strict=True):
        scaled[name] = {part: _rate(own, part, degree, leaf.dtype) * leaf for part, leaf in updates[name].items()}
    return scaled


def _rate(own: Sizes, part: str, degree: int | None, dtype: Any) -> Array:
    """Give the factor on the learning rate of an array, b^d / a of weights and b^d of others."""
    a, b = own.ratios(dtype)
    grown = b if degree == 1 else jnp.ones_like(b)
    return grown / a if part == "kernel" else grown
