"""Networks as pure functions: Flax linen modules with activations laid out as (features, points).

The long axis, points, is contiguous, which makes narrow layers about 1.4 times as fast on CPU. A layer may
be wider than its network: then neurons from `width` on are dead. Their weights start at zero, a mask after
each activation keeps their outputs at zero, and so their gradients and optimiser state stay zero too.
"""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float, Int, Key

from sweep.errors import SweepError, blaming, called
from sweep.keys import by_rows
from sweep.specs.model import MLP, FromModule, Model

Parameters = Any  # a pytree of arrays, as Flax makes it
Numbers = dict[str, Array]
Drawn = Callable[[Key[Array, ""], tuple[int, ...], Any], Float[Array, "..."]]

ACTIVATIONS: Final[dict[str, Callable[[Array], Array]]] = {
    "tanh": jnp.tanh,
    "relu": jax.nn.relu,
    "sine": jnp.sin,
    "cosine": jnp.cos,
    "sigmoid": jax.nn.sigmoid,
    "gelu": jax.nn.gelu,
    "softplus": jax.nn.softplus,
    "silu": jax.nn.silu,
    "elu": jax.nn.elu,
    "identity": lambda z: z,
}


def _normal(key: Key[Array, ""], shape: tuple[int, ...], dtype: Any) -> Array:
    return jax.random.normal(key, shape, dtype)


def _truncated(key: Key[Array, ""], shape: tuple[int, ...], dtype: Any) -> Array:
    """Normal cut at two deviations and scaled back to deviation 1, as Flax and Keras draw theirs."""
    return jax.random.truncated_normal(key, -2, 2, shape, dtype) / jnp.asarray(0.87962566103423978, dtype)


def _uniform(key: Key[Array, ""], shape: tuple[int, ...], dtype: Any) -> Array:
    """Uniform with deviation 1: on +-sqrt(3)."""
    return jax.random.uniform(key, shape, dtype, -(3**0.5), 3**0.5)


def _zeros(key: Key[Array, ""], shape: tuple[int, ...], dtype: Any) -> Array:
    return jnp.zeros(shape, dtype)


# Each initialiser is a distribution of deviation 1 and the variance given to it, from true fan-in and fan-out.
INITIALIZERS: Final[dict[str, tuple[Drawn, Callable[[Any, Any], Any]]]] = {
    "lecun_normal": (_truncated, lambda fan_in, fan_out: 1 / fan_in),
    "lecun_uniform": (_uniform, lambda fan_in, fan_out: 1 / fan_in),
    "glorot_normal": (_truncated, lambda fan_in, fan_out: 2 / (fan_in + fan_out)),
    "glorot_uniform": (_uniform, lambda fan_in, fan_out: 2 / (fan_in + fan_out)),
    "he_normal": (_truncated, lambda fan_in, fan_out: 2 / fan_in),
    "he_uniform": (_uniform, lambda fan_in, fan_out: 2 / fan_in),
    "pytorch_uniform": (_uniform, lambda fan_in, fan_out: 1 / (3 * fan_in)),  # U(+-1/sqrt(fan_in))
    "normal": (_normal, lambda fan_in, fan_out: 1.0),
    "zeros": (_zeros, lambda fan_in, fan_out: 1.0),
}


class Dense(nn.Module):
    """A fully connected layer on (features, points): W^T h + b.

    Args:
        features: neurons, dead ones included.
        initializer, bias_initializer: names out of `INITIALIZERS`.
        bias: whether there is a bias.
    """

    features: int
    initializer: str
    bias_initializer: str
    bias: bool

    @nn.compact
    def __call__(
        self, h: Float[Array, "inputs points"], fan_in: Any, fan_out: Any, scale: Any
    ) -> Float[Array, "outputs points"]:
        """Apply the layer; the fans (true ones, without dead neurons) and the scale matter at `init` only."""
        rows, columns, dtype = h.shape[0], self.features, h.dtype

        def deviation(variance: Callable[[Any, Any], Any]) -> Array:
            # In the precision of the run before dividing: JAX divides traced whole numbers in float32.
            return jnp.sqrt(variance(jnp.asarray(fan_in, dtype), jnp.asarray(fan_out, dtype)))

        def kernel_init(key: Key[Array, ""]) -> Float[Array, "inputs outputs"]:
            draw, variance = INITIALIZERS[self.initializer]
            drawn = by_rows(key, rows, lambda row_key: draw(row_key, (columns,), dtype))
            alive = (jnp.arange(rows) < fan_in)[:, None] & (jnp.arange(columns) < fan_out)
            return jnp.where(alive, drawn * deviation(variance) * scale, 0).astype(dtype)

        def bias_init(key: Key[Array, ""]) -> Float[Array, " outputs"]:
            draw, variance = INITIALIZERS[self.bias_initializer]
            drawn = draw(key, (columns,), dtype) * deviation(variance)
            return jnp.where(jnp.arange(columns) < fan_out, drawn, 0).astype(dtype)

        z = jnp.einsum("io,in->on", self.param("kernel", kernel_init), h)
        return z + self.param("bias", bias_init)[:, None] if self.bias else z


class Network(nn.Module):
    """A multilayer perceptron on (features, points), with `model.layers()` neurons in its hidden layers.

    Args:
        model: its structure; a layer's neurons are a capacity where `padded`.
        padded: whether neurons from `width` on are dead.
    """

    model: MLP
    padded: bool

    @nn.compact
    def __call__(self, h: Float[Array, "inputs points"], width: Int[Array, ""], scale: Any) -> Float[Array, "1 points"]:
        """Apply the network; `width` is the true width of every hidden layer where padded."""
        model, fan_in = self.model, h.shape[0]
        initializers = model.initializers()
        for layer, capacity in enumerate(model.layers()):
            fan_out = width if self.padded else capacity
            dense = Dense(capacity, initializers[layer], model.bias_initializer, model.bias, name=f"layer_{layer}")
            h = ACTIVATIONS[model.activation](dense(h, fan_in, fan_out, scale))
            if self.padded:  # cos(0) and sigmoid(0) are not 0
                h = jnp.where((jnp.arange(capacity) < width)[:, None], h, 0)
            fan_in = fan_out
        last = len(initializers) - 1
        dense = Dense(1, initializers[last], model.bias_initializer, model.bias, name=f"layer_{last}")
        return ACTIVATIONS[model.output_activation](dense(h, fan_in, 1, scale))


class Functions(NamedTuple):
    """A network as three pure functions.

    Args:
        init: (key, inputs, numbers) to parameters.
        apply: (parameters, inputs of shape (features, points), numbers) to outputs of shape (points,).
        by_layer: a pytree like the parameters to one subtree for each layer.
    """

    init: Callable[[Key[Array, ""], Array, Numbers], Parameters]
    apply: Callable[[Parameters, Array, Numbers], Array]
    by_layer: Callable[[Parameters], list[Any]]


def network(model: Model, padded: bool) -> Functions:
    """Build the functions of a network.

    Args:
        model: its structure.
        padded: whether its layers have dead neurons beyond each lane's number `width`.
    """
    if isinstance(model, FromModule):
        return _from_module(model)
    assert isinstance(model, MLP)
    module = Network(model, padded)
    names = [f"layer_{layer}" for layer in range(len(model.layers()) + 1)]

    def init(key: Key[Array, ""], inputs: Array, numbers: Numbers) -> Parameters:
        return module.init(key, inputs, numbers["width"], numbers["initial_scale"].astype(inputs.dtype))["params"]

    def apply(parameters: Parameters, inputs: Array, numbers: Numbers) -> Array:
        return module.apply({"params": parameters}, inputs, numbers["width"], 1.0)[0]  # type: ignore[index]

    return Functions(init, apply, lambda tree: [tree[name] for name in names])


def _from_module(model: FromModule) -> Functions:
    culprit = f"the module of {called(model.build)!r}"
    with blaming(culprit):
        module = model.build(model.width)

    def init(key: Key[Array, ""], inputs: Array, numbers: Numbers) -> Parameters:
        scale = numbers["initial_scale"].astype(inputs.dtype)
        with blaming(culprit):
            drawn = module.init(key, inputs.T)["params"]
        return jax.tree.map(lambda leaf: leaf.astype(inputs.dtype) * scale, drawn)

    def apply(parameters: Parameters, inputs: Array, numbers: Numbers) -> Array:
        with blaming(culprit):
            outputs = module.apply({"params": parameters}, inputs.T)
        wanted = (inputs.shape[1], 1)
        if jnp.shape(outputs) != wanted:
            raise SweepError(f"{culprit} returns an array of shape {jnp.shape(outputs)}, it must be {wanted}")
        return outputs[:, 0]

    return Functions(init, apply, lambda tree: [tree])
