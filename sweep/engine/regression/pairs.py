"""Antisymmetric pairs: two copies of a network that begin the same, so that their difference begins at exactly 0.

Chizat, Oyallon and Bach 2019 ("doubling", arXiv:1812.07956), Zhang, Xu, Luo and Ma 2020 (arXiv:1905.07777). With the
factor 1 / sqrt(2) the tangent kernel at the beginning is that of one copy.

Each layer of the parameters holds those of both copies, {"layer_0": {"first": ..., "second": ...}, ...}: so layers keep
their names, and an optimiser that treats a matrix, a bias or the norm of an array in its own way sees them as they are.
"""

from collections.abc import Callable
from typing import Any, Final

import jax
import jax.numpy as jnp
from jaxtyping import Array, Key

from sweep.engine.regression.networks import Collections, Functions, Numbers, Parameters, Train

COPIES: Final = ("first", "second")


def paired(functions: Functions) -> Functions:
    """Build the functions of the antisymmetric pair of a network whose collections no step changes."""

    def init(key: Key[Array, ""], inputs: Array, numbers: Numbers) -> tuple[Parameters, Collections]:
        parameters, collections = functions.init(key, inputs, numbers)
        return _joined(parameters, parameters), collections

    def direction(key: Key[Array, ""], parameters: Parameters, numbers: Numbers) -> Parameters:
        keys = key, jax.random.fold_in(key, 1)
        return _joined(
            *(
                functions.direction(own, _copy(parameters, name), numbers)
                for own, name in zip(keys, COPIES, strict=True)
            )
        )

    def scale_updates(updates: Parameters, numbers: Numbers, degree: int | None) -> Parameters:
        return _joined(*(functions.scale_updates(_copy(updates, name), numbers, degree) for name in COPIES))

    return functions._replace(
        init=init,
        apply=_difference(functions.apply),
        apply_for_gradient=_difference(functions.apply_for_gradient),
        train=_stepping(functions.train),
        train_for_gradient=_stepping(functions.train_for_gradient),
        direction=direction,
        scale_updates=scale_updates,
    )


def _joined(first: Parameters, second: Parameters) -> Parameters:
    return {layer: dict(zip(COPIES, (first[layer], second[layer]), strict=True)) for layer in first}


def _copy(parameters: Parameters, name: str) -> Parameters:
    return {layer: both[name] for layer, both in parameters.items()}


def _difference(run: Callable[..., Array]) -> Callable[..., Array]:
    """Apply both copies as one array, so by the same code, and subtract."""

    def difference(parameters: Parameters, *others: Any) -> Array:
        both = jax.tree.map(lambda *own: jnp.stack(own), *(_copy(parameters, name) for name in COPIES))
        return _subtract(*jax.vmap(lambda own: run(own, *others))(both)) / 2**0.5

    return difference


@jax.custom_jvp
def _subtract(one: Array, other: Array) -> Array:
    """Give one - other, and 0 where they are equal.

    XLA computes the difference of two products as a multiplication with addition, which rounds only one of them, so
    that equal activations such as z sigmoid(z) would differ in their last place. A barrier does not prevent it.
    """
    return jnp.where((one == other) & jnp.isfinite(one), 0, one - other)


@_subtract.defjvp
def _subtract_jvp(primals: tuple[Any, Any], tangents: tuple[Any, Any]) -> tuple[Array, Array]:
    return _subtract(*primals), tangents[0] - tangents[1]


def _stepping(train: Train) -> Train:
    """Apply both copies as in a step: what is drawn in it is the same for both."""
    outputs = _difference(lambda *arguments: train(*arguments)[0])

    def both(
        parameters: Parameters, collections: Collections, inputs: Array, numbers: Numbers, key: Key[Array, ""]
    ) -> tuple[Array, Collections]:
        return outputs(parameters, collections, inputs, numbers, key), collections

    return both
