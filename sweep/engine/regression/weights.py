"""Initial parameters of multilayer perceptrons, and directions in their space.

A layer may be padded to more neurons than the lane's `width`: the weights of dead neurons are zero.
"""

from math import erf
from typing import Any, Final, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from sweep.engine.keys import matrices, normal, uniforms
from sweep.engine.regression.fourier import FEATURES
from sweep.engine.regression.networks import Numbers, Parameters, Varying
from sweep.engine.regression.parametrisation import bias_fans, kernel_law, sizes
from sweep.page.specs.initializer import INITIALIZERS
from sweep.page.specs.model import MLP

# Numbers of matrices to be drawn that no kernel and no bias of fewer than 1024 layers has.
_OF_NORMALISATION: Final = 2048
_OF_FREQUENCIES: Final = 4095
_MATRICES: Final = ("kernel", "frequencies")  # all else is a vector


def truncated_normal(u: Float[Array, "..."]) -> Float[Array, "..."]:
    """Normal, truncated at two deviations and rescaled to deviation 1, as in Flax and Keras."""
    return normal(erf(2**0.5) * u) / 0.87962566103423978


def uniform(u: Float[Array, "..."]) -> Float[Array, "..."]:
    """Uniform with deviation 1: on (-sqrt(3), sqrt(3))."""
    return 3**0.5 * u


class Parameter(NamedTuple):
    """A kernel, or a bias or another vector as a matrix of one row, to be drawn.

    Args:
        layer: name of its layer.
        name: "kernel", "bias", "scale", "shift" or "frequencies".
        number: identifies it when random numbers are drawn; traced for the last layer if depths vary.
        shape: number of rows and columns, including dead ones.
        alive: number of rows and columns that are not dead, traced if they vary.
        initializer: one of `INITIALIZERS`.
        fans: fan-in and fan-out of which its variance is, traced if they vary; None for a variance of 1.
        scale: factor on its deviation.
        first: whether it is of the first layer, which some initialisers draw otherwise.
        mean: what is added to all its entries.
    """

    layer: str
    name: str
    number: Any
    shape: tuple[int, int]
    alive: tuple[Any, Any]
    initializer: str
    fans: tuple[Any, Any] | None
    scale: Any
    first: bool = False
    mean: float = 0.0


def list_parameters(
    model: MLP, ends: tuple[int, int], varying: Varying, numbers: Numbers, dtype: Any
) -> dict[int, Parameter]:
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
    layers = sizes(model, ends, varying, numbers)
    parts = {}
    for at, (initializer, bias) in enumerate(zip(model.initializers(), model.biases(), strict=True)):
        rows, columns = layers[at].fans
        fans, kernel_scale = kernel_law(model, layers[at], scale)
        number, alive = at, columns
        if varying.depth and at < len(hidden):
            alive = jnp.where(at < numbers["depth"], columns, 0)
        elif varying.depth:
            number = numbers["depth"]  # the last layer is drawn as that of a network without the dead layers
        layer, shape = f"layer_{at}", (capacities[at], capacities[at + 1])
        parts[2 * at] = Parameter(
            layer, "kernel", 2 * number, shape, (rows, alive), initializer, fans,
            _by_hidden_omega(kernel_scale, initializer, at, numbers), at == 0,
        )  # fmt: skip
        if bias:
            parts[2 * at + 1] = Parameter(
                layer, "bias", 2 * number + 1, (1, shape[1]), (1, alive), model.bias_initializer,
                bias_fans(model, layers[at]), bias_scale,
            )  # fmt: skip
        if model.layer_norm and at < len(hidden):
            for place, name, mean in ((2 * at, "scale", 1.0), (2 * at + 1, "shift", 0.0)):
                parts[_OF_NORMALISATION + place] = _constant(layer, name, _OF_NORMALISATION + place, shape[1], mean)
    return parts


def _by_hidden_omega(scale: Array, initializer: str, layer: int, numbers: Numbers) -> Array:
    """Divide the factor on a kernel's deviation by hidden_omega, if its initialiser does and there is one."""
    divides = layer and INITIALIZERS[initializer].by_hidden_omega and "hidden_omega" in numbers
    return scale / numbers["hidden_omega"].astype(scale.dtype) if divides else scale


def _constant(layer: str, name: str, number: int, size: int, mean: float) -> Parameter:
    """Give a vector that begins with the same number everywhere; networks that have one are never padded."""
    shape = (1, size)
    return Parameter(layer, name, number, shape, shape, "zeros", shape, jnp.ones(()), mean=mean)


def list_frequencies(model: MLP, inputs: int, numbers: Numbers) -> dict[int, Parameter]:
    """List the frequencies of Fourier features by their place, of the layer `fourier_features`; none without these."""
    if model.fourier_features is None:
        return {}
    shape = (model.fourier_features, inputs)
    drawn = FEATURES, "frequencies", _OF_FREQUENCIES, shape, shape, "normal", shape
    return {_OF_FREQUENCIES: Parameter(*drawn, numbers["fourier_scale"])}


def draw_parameters(parts: dict[int, Parameter], key: Key[Array, ""], dtype: Any) -> Parameters:
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
        parameters.setdefault(part.layer, {})[part.name] = values if part.name in _MATRICES else values[0]
    return parameters


def _scale(part: Parameter, drawn: Float[Array, "rows columns"]) -> Float[Array, "rows columns"]:
    """Scale numbers of deviation 1 to the deviation of their initialiser, and set dead ones to 0."""
    initializer = INITIALIZERS[part.initializer]
    variance = (initializer.first if part.first else None) or initializer.variance
    scale = part.scale
    if part.fans is not None:
        # Converted to the precision of the run before dividing: JAX divides traced whole numbers in float32.
        fan_in, fan_out = (jnp.asarray(fan, drawn.dtype) for fan in part.fans)
        scale = jnp.sqrt(variance(fan_in, fan_out)) * scale
    values = drawn * scale.astype(drawn.dtype)
    values = values + part.mean if part.mean else values
    if all(isinstance(alive, int) for alive in part.alive):  # none is dead
        return values
    rows, columns = (jnp.arange(size) < alive for size, alive in zip(part.shape, part.alive, strict=True))
    return jnp.where(rows[:, None] & columns, values, 0)
