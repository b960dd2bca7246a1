"""The limit of the machine: its rates, measured during the benchmark, and the time that a step needs at these.

The products, activations and the optimiser of a step are counted one after another, each at the best rate that the
machine reached for it alone with its data in cache:

- products: 2 n in out operations forwards for each layer, and twice that backwards, except for the gradient with
  respect to the inputs of the first layer, which is not needed; at the rate of a 2048 x 2048 float32 product;
- activations: value and derivative of every hidden neuron at every point once, the derivative multiplied with the
  gradient from the layer behind, in one pass over arrays in cache, by the function of JAX or of `sweep`, whichever is
  faster;
- optimiser: Adam reads parameters, gradient and two moments and writes parameters and two moments, seven numbers of
  four bytes for each parameter, at the bandwidth of a pass over arrays in a core's second-level cache.

Not counted: biases, the loss, the arithmetic of Adam, and reads and writes between these parts.
"""

import time
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Final

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from benchmarks.cases import Case
from sweep.page.specs.activation import ACTIVATIONS

SIDE: Final = 2048
LENGTHS: Final = (2**14, 2**15, 2**16)  # of an array of one core; the best one counts
PASSES: Final = 100  # over an array, in one call
TRIES: Final = 3
ADAM_BYTES: Final = 7 * 4
JAX: Final[dict[str, Callable[[Any], Any]]] = {"tanh": jnp.tanh, "relu": jax.nn.relu, "sine": jnp.sin}


def rates(activation: str, side: int = SIDE, lengths: Sequence[int] = LENGTHS) -> dict[str, float]:
    """Measure the machine's rates, on all JAX devices together.

    Args:
        activation: name of the activation function.
        side: rows and columns of the matrices that are multiplied.
        lengths: numbers of an array on one device, for activations and bandwidth; the best one counts.

    Returns:
        Operations of a product, activations with derivative, and bytes, each per second.
    """
    return {
        "products": _products(side), "activations": _activations(activation, lengths), "bytes": bandwidth(lengths),
    }  # fmt: skip


def seconds(case: Case, measured: dict[str, float]) -> dict[str, float]:
    """Give the time of one step of one lane at these rates, part by part: the mean over the case's widths."""
    counts = [count(case, width) for width in case.widths]
    return {part: sum(parts[part] for parts in counts) / len(counts) / measured[part] for part in counts[0]}


def count(case: Case, width: int) -> dict[str, float]:
    """Count the operations, activations and bytes of one step of one lane; batches have their mean size."""
    points = case.points / case.steps_per_epoch()
    layers = case.layers(width)
    products = sum(2 * points * inputs * outputs * (2 if at == 0 else 3) for at, (inputs, outputs) in enumerate(layers))
    parameters = sum((inputs + 1) * outputs for inputs, outputs in layers)
    return {"products": products, "activations": points * width * case.depth, "bytes": ADAM_BYTES * parameters}


def _products(side: int) -> float:
    """Measure one product that all threads share, and one on each device; give the better rate."""
    shared = jnp.asarray(np.random.default_rng(0).random((side, side), np.float32))
    separate = _put_on_each(lambda index: np.full((side, side), 0.5 + index, np.float32))
    devices = len(jax.devices())
    return 2 * side**3 * max(1 / _shortest_time(_square(), shared), devices / _shortest_time(_square_each(), separate))


@cache
def _square() -> Any:
    return jax.jit(lambda a: a @ a)


@cache
def _square_each() -> Any:
    return _map_devices(lambda a: a @ a)


def _activations(name: str, lengths: Sequence[int]) -> float:
    def measured(function: Callable[[Any], Any], length: int) -> float:
        z = _put_on_each(lambda index: np.random.default_rng(index).standard_normal(length, np.float32))
        return len(jax.devices()) * PASSES * length / _shortest_time(_activation_passes(function), z, jnp.ones_like(z))

    return max(measured(function, length) for function in {JAX[name], ACTIVATIONS[name].load()} for length in lengths)


@cache
def _activation_passes(function: Callable[[Any], Any]) -> Any:
    def one_pass(_: Any, carry: Any) -> Any:
        value, pull = jax.vjp(function, carry[0])
        return value, pull(carry[1])[0]

    return _map_devices(lambda z, g: jax.lax.fori_loop(0, PASSES, one_pass, (z, g)))


def bandwidth(lengths: Sequence[int]) -> float:
    """Measure bytes per second of passes over arrays of these lengths, two read and one written; give the best rate."""

    def measured(length: int) -> float:
        a = _put_on_each(lambda index: np.full(length, index, np.float32))
        return len(jax.devices()) * PASSES * length * 3 * 4 / _shortest_time(_bandwidth_passes(), a, jnp.ones_like(a))

    return max(map(measured, lengths))


@cache
def _bandwidth_passes() -> Any:
    """Read two arrays and write one, `PASSES` times."""
    return _map_devices(lambda a, c: jax.lax.fori_loop(0, PASSES, lambda _, a: a * 0.5 + c, a))


def _mesh() -> Mesh:
    return Mesh(np.array(jax.devices()), ("device",), axis_types=(AxisType.Auto,))


def _put_on_each(make: Callable[[int], np.ndarray]) -> Any:
    """Put an array on each device."""
    arrays = np.stack([make(index) for index in range(len(jax.devices()))])
    return jax.device_put(arrays, NamedSharding(_mesh(), PartitionSpec("device")))


def _map_devices(function: Callable[..., Any]) -> Any:
    """Map a function over devices, each with its own array."""
    spec = PartitionSpec("device")

    def on_device(*arrays: Any) -> Any:
        return jax.tree.map(lambda leaf: leaf[None], function(*(array[0] for array in arrays)))

    return jax.jit(jax.shard_map(on_device, mesh=_mesh(), in_specs=spec, out_specs=spec, check_vma=False))


def _shortest_time(function: Any, *arrays: Any) -> float:
    jax.block_until_ready(function(*arrays))
    times = []
    for _ in range(TRIES):
        begun = time.perf_counter()
        jax.block_until_ready(function(*arrays))
        times.append(time.perf_counter() - begun)
    return min(times)
