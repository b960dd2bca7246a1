"""Networks that the page defines, as pure functions; `frameworks` knows what each framework does differently."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from math import prod
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from flax.errors import InvalidRngError
from jaxtyping import Array, Key

from sweep.base.errors import SweepError, name_of, with_article
from sweep.engine.keys import matrices, normal, uniforms
from sweep.engine.page_code import explain, in_precision, numbers_for, same_form
from sweep.engine.regression.frameworks import Framework, Module, framework_of
from sweep.engine.regression.networks import Collections, Functions, Numbers, Parameters, Varying
from sweep.page.specs.model import FromModule, is_of


def from_module(model: FromModule, _: Varying, outputs: int | None) -> Functions:
    """Build the functions of a module that the page defines; its lanes never vary."""
    framework = _framework(model)

    def init(key: Key[Array, ""], inputs: Array, numbers: Numbers) -> tuple[Parameters, Collections]:
        scale = numbers["initial_scale"].astype(inputs.dtype)
        with _explain(model):
            module = _build(model, numbers, inputs.dtype, key)
            drawn = framework.init(module, key, inputs.T)
        parameters, collections = jax.tree.map(lambda leaf: in_precision(leaf, inputs.dtype), drawn)
        return jax.tree.map(lambda leaf: leaf * scale, parameters), collections

    def apply(parameters: Parameters, collections: Collections, inputs: Array, numbers: Numbers) -> Array:
        with _explain(model):
            module = _build(model, numbers, inputs.dtype, jax.random.key(0))
            made = framework.apply(module, parameters, collections, inputs.T)
        return check(made, inputs)

    def train(
        parameters: Parameters, collections: Collections, inputs: Array, numbers: Numbers, key: Key[Array, ""]
    ) -> tuple[Array, Collections]:
        with _explain(model):
            module = _build(model, numbers, inputs.dtype, key)
            made, changed = framework.train(module, parameters, collections, inputs.T, key)
        return check(made, inputs), same_form(f"{_words(model)} changes in a step", collections, changed)

    def check(made: Any, inputs: Array) -> Array:
        expected = (inputs.shape[1], outputs or 1)
        if jnp.shape(made) != expected:
            got = "nothing" if made is None else f"an array of shape {jnp.shape(made)}"
            raise SweepError(f"{_words(model)} returns {got}, it must be an array of shape {expected}")
        return made[:, 0] if outputs is None else made

    apply_enclosed, train_enclosed = framework.enclose(apply), framework.enclose(train)
    return Functions(
        init,
        apply_enclosed,
        apply_enclosed,
        train_enclosed,
        train_enclosed,
        by_layer=lambda tree: [tree],
        direction=_direction,
        own=lambda variables, _: variables,
        join=framework.join,
        split=framework.split,
    )


@lru_cache(maxsize=256)
def _framework(model: FromModule) -> Framework:
    """Build a module of unknown numbers, to see of which framework it is."""
    found: list[Module] = []

    def look(numbers: Numbers, key: Key[Array, ""]) -> Array:
        module = _build(model, numbers, jnp.float32, key)
        found.append(module)
        if is_of(module[0] if isinstance(module, tuple) and module else module, "equinox"):
            _refuse_fields(model, module, numbers)
        return jnp.zeros(())

    traced = {name: jax.ShapeDtypeStruct((), jnp.float32) for name in model.traced()}
    with _explain(model):
        jax.eval_shape(look, traced, jax.eval_shape(lambda: jax.random.key(0)))
    framework = framework_of(found[0])
    if framework is None:
        kind = with_article(type(found[0]).__name__)
        raise SweepError(
            f"{_words(model)} must be a module of Flax (linen or NNX) or Equinox, or two functions (init, apply), got "
            f"{kind}"
        )
    return framework


def _refuse_fields(model: FromModule, module: Module, numbers: Numbers) -> None:
    """Refuse an Equinox module that has a traced number in a field, where it would be a parameter to be trained."""
    leaves = jax.tree.leaves(module)
    for name in model.traced():
        if any(leaf is numbers[name] for leaf in leaves):
            raise SweepError(
                f"{_words(model)} has the number {name!r} in a field, where Equinox takes it for a parameter, to be "
                f"trained: use it in __call__ as a variable of {name_of(model.build)}, or name it in "
                f"FromModule(static=...)"
            )


def _build(model: FromModule, numbers: Numbers, dtype: Any, key: Key[Array, ""]) -> Module:
    """Call the page's function with the numbers of a lane."""
    own = numbers_for(model.numbers, numbers, model.traced(), dtype)
    drawn = {"key": lambda: key, "rngs": lambda: nnx.Rngs(key)}
    more = {name: make() for name, make in drawn.items() if name in model.drawn_by()}
    return model.build(*((model.width,) if model.takes_width() else ()), **own, **more)


def _words(model: FromModule) -> str:
    return f"the module of {name_of(model.build)!r}"


@contextmanager
def _explain(model: FromModule) -> Iterator[None]:
    """Turn what the page's code raises into one line."""
    try:
        with explain(_words(model), "FromModule", model.traced()):
            yield
    except SweepError as error:
        if isinstance(error.__cause__, InvalidRngError):
            raise SweepError(
                f"{_words(model)} draws random numbers in a record too: give its __call__ an argument train, and draw "
                f"them only if it is True"
            ) from error
        raise


def _direction(key: Key[Array, ""], parameters: Parameters, _: Numbers) -> Parameters:
    """Draw standard normal numbers, one for each entry of the parameters."""
    leaves, structure = jax.tree.flatten(parameters)
    shapes = {at: (prod(leaf.shape[:-1]), prod(leaf.shape[-1:])) for at, leaf in enumerate(leaves)}
    drawn = matrices(normal(uniforms(key, shapes, leaves[0].dtype)), shapes)
    return structure.unflatten([drawn[at].reshape(leaf.shape) for at, leaf in enumerate(leaves)])
