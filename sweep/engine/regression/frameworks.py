"""How modules of each framework are begun and applied: Flax linen, Flax NNX, Equinox, or two functions.

A page's `build` is called anew wherever its module is needed, also with traced numbers and keys. What a lane keeps are
arrays only, so that no object of a framework passes the boundary of a traced function.
"""

import inspect
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen, nnx
from jaxtyping import Array, Float, Key

from sweep.engine.regression.networks import Collections, Parameters, only_parameters, without_collections
from sweep.page.specs.model import MODES, is_of

Module = Any  # what `build` of a page returns
Points = Float[Array, "points inputs"]

PARAMETERS: Final = "params"  # linen's name of the collection that an optimiser changes
STATE: Final = "state"  # the other variables of an NNX module


class Framework(NamedTuple):
    """The functions of a framework.

    Args:
        init: maps (module, key, points) to parameters and collections.
        apply: maps (module, parameters, collections, points) to outputs as in a record.
        train: maps (module, parameters, collections, points, key) to outputs as in a step, and new collections.
        join: makes what is kept of a trained network, its variables, from parameters and collections.
        split: gives parameters and collections of variables.
    """

    init: Callable[[Module, Key[Array, ""], Points], tuple[Parameters, Collections]]
    apply: Callable[[Module, Parameters, Collections, Points], Array]
    train: Callable[[Module, Parameters, Collections, Points, Key[Array, ""]], tuple[Array, Collections]]
    join: Callable[[Parameters, Collections], Any]
    split: Callable[[Any], tuple[Parameters, Collections]]


def framework_of(module: Module) -> Framework | None:
    """Tell which framework a module is of; None for anything else."""
    if isinstance(module, linen.Module):
        return LINEN
    if isinstance(module, nnx.Module):
        return NNX
    if is_of(module, "equinox"):
        return EQUINOX
    return FUNCTIONS if isinstance(module, tuple) and len(module) == 2 and all(map(callable, module)) else None


def _takes(function: Callable[..., Any], name: str) -> bool:
    return name in inspect.signature(function).parameters


# ---------------------------------------------------------------------------------------------------------
# Flax linen: variables are collections by name.


def _mode(module: linen.Module, *, in_step: bool) -> dict[str, Any]:
    """Give the argument that tells a module whether a step calls it, if it takes one."""
    return {name: value is in_step for name, value in MODES.items() if _takes(type(module).__call__, name)}


def _init_linen(module: linen.Module, key: Key[Array, ""], x: Points) -> tuple[Parameters, Collections]:
    return _split_collections(module.init(key, x, **_mode(module, in_step=False)))


def _apply_linen(module: linen.Module, parameters: Parameters, collections: Collections, x: Points) -> Array:
    variables, mode = _join_collections(parameters, collections), _mode(module, in_step=False)
    made: Any = module.apply(variables, x, mutable=[*collections], **mode)
    return made[0]  # what it changes is dropped


def _train_linen(
    module: linen.Module, parameters: Parameters, collections: Collections, x: Points, key: Key[Array, ""]
) -> tuple[Array, Collections]:
    rngs = {PARAMETERS: key}  # from which linen derives every stream of random numbers
    variables, mode = _join_collections(parameters, collections), _mode(module, in_step=True)
    made, changed = module.apply(variables, x, mutable=[*collections], rngs=rngs, **mode)
    return made, {**changed}


def _join_collections(parameters: Parameters, collections: Collections) -> dict[str, Any]:
    return {PARAMETERS: parameters, **collections}


def _split_collections(variables: Mapping[str, Any]) -> tuple[Parameters, Collections]:
    return variables.get(PARAMETERS, {}), {name: each for name, each in variables.items() if name != PARAMETERS}


LINEN: Final = Framework(_init_linen, _apply_linen, _train_linen, _join_collections, _split_collections)


# ---------------------------------------------------------------------------------------------------------
# Flax NNX: a module holds its variables. Its random numbers come from the `rngs` that `build` gets, at each step anew.


def _variables(module: nnx.Module) -> tuple[nnx.State, nnx.State]:
    """Give a module's parameters and its other variables, without the state of random numbers."""
    _, parameters, _, others = nnx.split(module, nnx.Param, nnx.RngState, ...)
    return parameters, others


def _kept(module: nnx.Module) -> tuple[Parameters, Collections]:
    parameters, others = map(nnx.to_pure_dict, _variables(module))
    return parameters, {STATE: others} if jax.tree.leaves(others) else {}


def _with_variables(module: nnx.Module, parameters: Parameters, collections: Collections) -> None:
    own, others = _variables(module)
    nnx.replace_by_pure_dict(own, parameters)
    if collections:
        nnx.replace_by_pure_dict(others, collections[STATE])
    nnx.update(module, own, others)


def _apply_nnx(module: Any, parameters: Parameters, collections: Collections, x: Points) -> Array:
    _with_variables(module, parameters, collections)
    module.eval()
    return module(x)


def _train_nnx(
    module: Any, parameters: Parameters, collections: Collections, x: Points, _: Key[Array, ""]
) -> tuple[Array, Collections]:
    _with_variables(module, parameters, collections)
    module.train()
    return module(x), _kept(module)[1]


NNX: Final = Framework(
    lambda module, _, __: _kept(module), _apply_nnx, _train_nnx, _join_collections, _split_collections
)


# ---------------------------------------------------------------------------------------------------------
# Equinox: a module is a pytree and takes one point. Its arrays of numbers are the parameters, by their names.


def _named(module: Module) -> tuple[list[tuple[str, Any]], Any]:
    """Give the leaves of a module with their names, and its structure."""
    leaves, structure = jax.tree_util.tree_flatten_with_path(module)
    return [(jax.tree_util.keystr(path).lstrip("."), leaf) for path, leaf in leaves], structure


def _arrays(module: Module) -> dict[str, Array]:
    return {name: leaf for name, leaf in _named(module)[0] if _is_array(leaf)}


def _is_array(leaf: Any) -> bool:
    return isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jnp.inexact)


def _with_arrays(module: Module, parameters: Parameters) -> Module:
    named, structure = _named(module)
    return structure.unflatten([parameters.get(name, leaf) for name, leaf in named])


def _apply_equinox(module: Module, parameters: Parameters, _: Collections, x: Points) -> Array:
    import equinox  # the page has already loaded it  # pyright: ignore[reportMissingImports]

    return jax.vmap(equinox.nn.inference_mode(_with_arrays(module, parameters)))(x)


def _train_equinox(
    module: Module, parameters: Parameters, none: Collections, x: Points, key: Key[Array, ""]
) -> tuple[Array, Collections]:
    complete = _with_arrays(module, parameters)
    if not _takes(type(module).__call__, "key"):
        return jax.vmap(complete)(x), none
    return jax.vmap(lambda point, own: complete(point, key=own))(x, jax.random.split(key, len(x))), none


EQUINOX: Final = Framework(
    lambda module, _, __: (_arrays(module), ()),
    _apply_equinox,
    _train_equinox,
    only_parameters,
    without_collections,
)


# ---------------------------------------------------------------------------------------------------------
# Two functions, `init(key, points)` and `apply(parameters, points)`; if the second takes a key, None in a record.


def _call(module: Module, parameters: Parameters, x: Points, key: Key[Array, ""] | None) -> Array:
    return module[1](parameters, x, **({"key": key} if _takes(module[1], "key") else {}))


FUNCTIONS: Final = Framework(
    lambda module, key, x: (module[0](key, x), ()),
    lambda module, parameters, _, x: _call(module, parameters, x, None),
    lambda module, parameters, none, x, key: (_call(module, parameters, x, key), none),
    only_parameters,
    without_collections,
)
