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
from jax.extend import core
from jaxtyping import Array, Float, Key

from sweep.engine.regression.networks import (
    BATCH_STATISTICS,
    Collections,
    Parameters,
    only_parameters,
    without_collections,
)
from sweep.page.specs.model import MODES, is_of

Module = Any  # what `build` of a page returns
Points = Float[Array, "points inputs"]
Function = Callable[..., Any]

PARAMETERS: Final = "params"  # linen's name of the collection that an optimiser changes
STATE: Final = "state"  # other variables of an NNX module
BATCH: Final = "batch"  # the name of the axis of points, as a layer of Equinox wants it


class Framework(NamedTuple):
    """The functions of a framework.

    Args:
        init: maps (module, key, points) to parameters and collections.
        apply: maps (module, parameters, collections, points) to outputs as in a record.
        train: maps (module, parameters, collections, points, key) to outputs as in a step, and new collections.
        join: makes what is kept of a trained network, its variables, from parameters and collections.
        split: gives parameters and collections of variables.
        enclose: maps a function of arrays that builds a module and calls it to one that computes the same.
    """

    init: Callable[[Module, Key[Array, ""], Points], tuple[Parameters, Collections]]
    apply: Callable[[Module, Parameters, Collections, Points], Array]
    train: Callable[[Module, Parameters, Collections, Points, Key[Array, ""]], tuple[Array, Collections]]
    join: Callable[[Parameters, Collections], Any]
    split: Callable[[Any], tuple[Parameters, Collections]]
    enclose: Callable[[Function], Function] = lambda function: function


def framework_of(module: Module) -> Framework | None:
    """Tell which framework a module is of; None for anything else."""
    if isinstance(module, linen.Module):
        return LINEN
    if isinstance(module, nnx.Module):
        return NNX
    if is_of(module, "equinox"):
        return EQUINOX
    if isinstance(module, tuple) and len(module) == 2:
        if is_of(module[0], "equinox"):
            return EQUINOX_WITH_STATE
        return FUNCTIONS if all(map(callable, module)) else None
    return None


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


def _variables(module: nnx.Module) -> dict[str, nnx.State]:
    """Give a module's variables by their kind, without the state of random numbers."""
    _, parameters, _, statistics, others = nnx.split(module, nnx.Param, nnx.RngState, nnx.BatchStat, ...)
    return {PARAMETERS: parameters, BATCH_STATISTICS: statistics, STATE: others}


def _kept(module: nnx.Module) -> tuple[Parameters, Collections]:
    kept = {name: nnx.to_pure_dict(each) for name, each in _variables(module).items()}
    parameters = kept.pop(PARAMETERS)
    return parameters, {name: each for name, each in kept.items() if jax.tree.leaves(each)}


def _with_variables(module: nnx.Module, parameters: Parameters, collections: Collections) -> None:
    variables = _variables(module)
    for name, values in _join_collections(parameters, collections).items():
        nnx.replace_by_pure_dict(variables[name], values)
    nnx.update(module, *variables.values())


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


# With a state, as `equinox.nn.make_with_state` gives it beside the module: batch statistics, its leaves numbered.


def _leaves(state: Any) -> dict[str, Array]:
    return {str(at): leaf for at, leaf in enumerate(jax.tree.leaves(state))}


def _call_with_state(
    module: Module, collections: Collections, x: Points, keys: Array | None = None
) -> tuple[Array, Collections]:
    (complete, like), statistics = module, collections[BATCH_STATISTICS]
    state = jax.tree.unflatten(jax.tree.structure(like), [statistics[str(at)] for at in range(len(statistics))])

    def one(point: Array, key: Array | None) -> tuple[Array, Any]:
        return complete(point, state) if key is None else complete(point, state, key=key)

    made, changed = jax.vmap(one, out_axes=(0, None), axis_name=BATCH)(x, keys)
    return made, {BATCH_STATISTICS: _leaves(changed)}


def _without_devices(function: Function) -> Function:
    """Give a function that is traced without the devices over which lanes are sharded.

    They are part of an array's type, and Equinox refuses to replace an array of a state by a new one without them.
    """

    def traced_apart(*args: Any) -> Any:
        leaves, structure = jax.tree.flatten(args)
        described = structure.unflatten([jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) for leaf in leaves])
        with jax.sharding.use_abstract_mesh(jax.sharding.AbstractMesh((), ())):
            traced, shapes = jax.make_jaxpr(function, return_shape=True)(*described)
        return jax.tree.unflatten(jax.tree.structure(shapes), map(jnp.asarray, core.jaxpr_as_fun(traced)(*leaves)))

    return traced_apart


def _init_with_state(module: Module, _: Key[Array, ""], __: Points) -> tuple[Parameters, Collections]:
    return _arrays(module[0]), {BATCH_STATISTICS: _leaves(module[1])}


def _apply_with_state(module: Module, parameters: Parameters, collections: Collections, x: Points) -> Array:
    import equinox  # the page has already loaded it  # pyright: ignore[reportMissingImports]

    complete = equinox.nn.inference_mode(_with_arrays(module[0], parameters))
    return _call_with_state((complete, module[1]), collections, x)[0]


def _train_with_state(
    module: Module, parameters: Parameters, collections: Collections, x: Points, key: Key[Array, ""]
) -> tuple[Array, Collections]:
    keys = jax.random.split(key, len(x)) if _takes(type(module[0]).__call__, "key") else None
    return _call_with_state((_with_arrays(module[0], parameters), module[1]), collections, x, keys)


EQUINOX_WITH_STATE: Final = Framework(
    _init_with_state,
    _apply_with_state,
    _train_with_state,
    _join_collections,
    _split_collections,
    _without_devices,
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
