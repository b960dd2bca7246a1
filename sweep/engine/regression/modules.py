"""Networks that the page defines, as pure functions: modules of Flax linen."""

import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from math import prod
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax.errors import InvalidRngError
from jaxtyping import Array, Key

from sweep.base.errors import SweepError, blame, name_of, with_article
from sweep.engine.keys import matrices, normal, uniforms
from sweep.engine.regression.networks import Collections, Functions, Numbers, Parameters, Varying
from sweep.page.specs.model import MODES, FromModule

PARAMETERS = "params"  # the collection that an optimiser changes


def from_module(model: FromModule, _: Varying, outputs: int | None) -> Functions:
    """Build the functions of a module that the page defines; its lanes never vary."""
    culprit = f"the module of {name_of(model.build)!r}"
    traced = [name for name in model.numbers if model.is_traced(name)]

    @contextmanager
    def explain() -> Iterator[None]:
        """Turn what the page's code raises into one line."""
        try:
            with blame(culprit):
                yield
        except SweepError as error:
            if isinstance(error.__cause__, jax.errors.ConcretizationTypeError) and traced:
                raise SweepError(
                    f"{culprit} decides by {' or '.join(traced)}, which is traced: use it in arithmetic, or name it in "
                    f"FromModule(static=...)"
                ) from error
            if isinstance(error.__cause__, InvalidRngError):
                raise SweepError(
                    f"{culprit} draws random numbers in a record too: give its __call__ an argument train, and draw "
                    f"them only if it is True"
                ) from error
            raise

    def build(numbers: Numbers, dtype: Any) -> Any:
        with explain():
            module = model.build(*_arguments(model), **_numbers(model, numbers, dtype))
        if not issubclass(type(module), nn.Module):
            raise SweepError(
                f"{culprit} must be a flax.linen.Module, got {with_article(type(module).__name__)}: return one, as "
                f"flax.nnx.bridge.to_linen(Class, ...) makes of an NNX class"
            )
        return module

    def init(key: Key[Array, ""], inputs: Array, numbers: Numbers) -> tuple[Parameters, Collections]:
        module, scale = build(numbers, inputs.dtype), numbers["initial_scale"].astype(inputs.dtype)
        with explain():
            variables = module.init(key, inputs.T, **_mode(module, in_step=False))
        parameters, collections = split(jax.tree.map(lambda leaf: _in_precision(leaf, inputs.dtype), variables))
        return jax.tree.map(lambda leaf: leaf * scale, parameters), collections

    def check(made: Any, inputs: Array) -> Array:
        expected = (inputs.shape[1], outputs or 1)
        if jnp.shape(made) != expected:
            raise SweepError(f"{culprit} returns an array of shape {jnp.shape(made)}, it must be {expected}")
        return made[:, 0] if outputs is None else made

    def apply(parameters: Parameters, collections: Collections, inputs: Array, numbers: Numbers) -> Array:
        module = build(numbers, inputs.dtype)
        with explain():  # what a record changes is dropped
            made, _ = module.apply(
                join(parameters, collections), inputs.T, mutable=[*collections], **_mode(module, in_step=False)
            )
        return check(made, inputs)

    def train(
        parameters: Parameters, collections: Collections, inputs: Array, numbers: Numbers, key: Key[Array, ""]
    ) -> tuple[Array, Collections]:
        module = build(numbers, inputs.dtype)
        with explain():
            made, changed = module.apply(
                join(parameters, collections),
                inputs.T,
                mutable=[*collections],
                rngs={PARAMETERS: key},  # linen derives all streams of random numbers from it
                **_mode(module, in_step=True),
            )
        return check(made, inputs), _like(collections, {**changed}, culprit)

    return Functions(
        init,
        apply,
        apply,
        train,
        train,
        by_layer=lambda tree: [tree],
        direction=direction,
        own=lambda variables, _: variables,
        join=join,
        split=split,
    )


def _arguments(model: FromModule) -> tuple[int, ...]:
    return (model.width,) if model.takes_width() else ()


def _numbers(model: FromModule, numbers: Numbers, dtype: Any) -> dict[str, Any]:
    """Give the numbers of the page's own that `build` is called with."""
    return {
        name: numbers[name].astype(dtype) if model.is_traced(name) else value for name, value in model.numbers.items()
    }


def _mode(module: nn.Module, *, in_step: bool) -> dict[str, bool]:
    """Give the arguments that tell a module whether a step calls it, of which it takes none or one."""
    taken = inspect.signature(type(module).__call__).parameters
    return {name: value is in_step for name, value in MODES.items() if name in taken}


def join(parameters: Parameters, collections: Collections) -> dict[str, Any]:
    """Give the variables of a linen module."""
    return {PARAMETERS: parameters, **collections}


def split(variables: Mapping[str, Any]) -> tuple[Parameters, Collections]:
    """Give the parameters of a linen module, and its other collections."""
    return variables.get(PARAMETERS, {}), {name: each for name, each in variables.items() if name != PARAMETERS}


def _in_precision(leaf: Array, dtype: Any) -> Array:
    """Convert a number to the precision of the run; integers stay."""
    return leaf.astype(dtype) if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf


def _like(before: Collections, after: Collections, culprit: str) -> Collections:
    """Give changed collections the types they had; refuse those of another form."""
    was, now = _shapes(before), _shapes(after)
    for name in [*was, *now]:
        if was.get(name) != now.get(name):
            forms = [each.get(name, "nothing") for each in (was, now)]
            raise SweepError(f"{culprit} changes {name} in a step from shape {forms[0]} to {forms[1]}: keep its shape")
    return jax.tree.map(lambda old, new: new.astype(old.dtype), before, after)


def _shapes(collections: Collections) -> dict[str, tuple[int, ...]]:
    """Give the shape of each array by its path."""
    leaves = jax.tree_util.tree_leaves_with_path(collections)
    return {jax.tree_util.keystr(path): jnp.shape(leaf) for path, leaf in leaves}


def direction(key: Key[Array, ""], parameters: Parameters, _: Numbers) -> Parameters:
    """Draw standard normal numbers, one for each entry of the parameters."""
    leaves, structure = jax.tree.flatten(parameters)
    shapes = {at: (prod(leaf.shape[:-1]), prod(leaf.shape[-1:])) for at, leaf in enumerate(leaves)}
    drawn = matrices(normal(uniforms(key, shapes, leaves[0].dtype)), shapes)
    return structure.unflatten([drawn[at].reshape(leaf.shape) for at, leaf in enumerate(leaves)])
