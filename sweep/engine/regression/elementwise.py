"""Whether a transformation does the same to each entry of the parameters, whichever array that is in.

If so, it may see all parameters as one vector, on which a step is a few operations on a long array. It is shown from
the operations themselves: each maps entries to entries of the same place, and those that make an array's updates and
state are those that make the vector's.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.extend.core import ClosedJaxpr, Literal

_BY_ENTRY: Final = (
    "abs add and atan2 cbrt ceil clamp convert_element_type copy cos div eq erf exp exp2 expm1 floor ge gt integer_pow "
    "is_finite le log log1p logistic lt max min mul ne neg nextafter not or pow rem round rsqrt select_n sign sin sqrt "
    "square stop_gradient sub tan tanh xor"
)
_LAYOUT: Final = ("sharding", "out_sharding")  # parameters of operations that change no value
Update = Callable[[Any, Any, Any], tuple[Any, Any]]


class _MixedError(Exception):
    """An operation that may mix entries."""


@dataclass
class _Expressions:
    """Expressions by number: equal ones have one.

    Args:
        numbers: of each expression.
        traced: values that are not known; held, since no other object may get their identity.
    """

    numbers: dict[Any, int] = field(default_factory=dict)
    traced: list[Any] = field(default_factory=list)

    def number(self, expression: Any) -> int:
        return self.numbers.setdefault(expression, len(self.numbers))


def is_elementwise(init: Callable[[Any], Any], update: Update, parameters: Any) -> bool:
    """Tell whether a transformation surely does the same to each entry; where it is not clear the answer is no.

    Args:
        init: as optax has it.
        update: the same, of gradient, state and parameters alone.
        parameters: a pytree of arrays of one type, or of their descriptions.
    """
    leaves = jax.tree.leaves(parameters)
    if len({leaf.dtype for leaf in leaves}) != 1 or any(jnp.ndim(leaf) == 0 for leaf in leaves):
        return False
    vector = jax.ShapeDtypeStruct((sum(int(np.prod(leaf.shape)) for leaf in leaves),), leaves[0].dtype)
    tree = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), parameters)
    try:
        known = _Expressions()
        like = jax.eval_shape(init, vector)
        (alone,) = _outcomes(_trace(init, update, vector), vector, like, known)
        return all(each == alone for each in _outcomes(_trace(init, update, tree), vector, like, known))
    except Exception:  # whatever the page's functions do with a vector; the tree's errors are told where it is used
        return False


class _Traced(NamedTuple):
    """A transformation for parameters of some structure.

    Args:
        parameters: the structure of the parameters.
        begun, stepped: `init` and `update` as operations.
        state, result: descriptions of what they return.
    """

    parameters: Any
    begun: ClosedJaxpr
    stepped: ClosedJaxpr
    state: Any
    result: Any


def _trace(init: Callable[[Any], Any], update: Update, parameters: Any) -> _Traced:
    begun, state = jax.make_jaxpr(init, return_shape=True)(parameters)
    stepped, result = jax.make_jaxpr(update, return_shape=True)(parameters, state, parameters)
    return _Traced(jax.tree.structure(parameters), begun, stepped, state, result)


def _outcomes(traced: _Traced, vector: Any, like: Any, known: _Expressions) -> Iterator[list[int]]:
    """Give for each array the expressions of its initial state, updates and new state, and of all that is no array.

    Args:
        traced: the transformation for the vector, or for what it is made of.
        vector: the vector.
        like: the state of a vector.
        known: all expressions so far.
    """
    arrays = [jnp.shape(leaf) == vector.shape for leaf in jax.tree.leaves(like)]

    def parts(state: Any) -> list[Any]:
        """List the parts of a state that are single leaves if the parameters are a vector."""
        found = jax.tree.structure(like).flatten_up_to(state)
        if any(is_array and jax.tree.structure(part) != traced.parameters for is_array, part in _pairs(arrays, found)):
            raise _MixedError
        return found

    for at in range(traced.parameters.num_leaves):

        def symbols(kind: str, at: int = at) -> list[int]:
            """Number the arrays of a kind; this one has the number of the vector."""
            return [
                known.number(kind if place == at else (kind, place)) for place in range(traced.parameters.num_leaves)
            ]

        def own(state: Any, at: int = at) -> list[int]:
            return [jax.tree.leaves(part)[at] if array else part for array, part in _pairs(arrays, parts(state))]

        parameters, inner = symbols("parameter"), []
        for place, array in enumerate(arrays):
            inner += symbols(f"state {place}") if array else [known.number(f"number {place}")]
        parts(traced.state)
        begun = _evaluate(traced.begun, parameters, known)
        stepped = _evaluate(traced.stepped, [*symbols("gradient"), *inner, *parameters], known)
        updates, new = jax.tree.unflatten(jax.tree.structure(traced.result), stepped)
        if jax.tree.structure(updates) != traced.parameters:
            raise _MixedError
        yield [
            *own(jax.tree.unflatten(jax.tree.structure(traced.state), begun)),
            jax.tree.leaves(updates)[at],
            *own(new),
        ]


def _pairs(arrays: list[bool], parts: list[Any]) -> Iterator[tuple[bool, Any]]:
    return zip(arrays, parts, strict=True)


def _evaluate(jaxpr: ClosedJaxpr, inputs: Sequence[int], known: _Expressions) -> list[int]:
    """Give the expressions of the results of a function, from those of its inputs."""
    inner = jaxpr.jaxpr
    values = dict(zip(inner.invars, inputs, strict=True))
    for variable, constant in zip(inner.constvars, jaxpr.consts, strict=True):
        values[variable] = _constant(constant, known)

    def read(atom: Any) -> int:
        return _constant(atom.val, known) if isinstance(atom, Literal) else values[atom]

    for equation in inner.eqns:
        name, arguments = equation.primitive.name, [read(atom) for atom in equation.invars]
        called = equation.params.get("jaxpr") or equation.params.get("call_jaxpr")
        if called is not None and name in ("jit", "pjit", "closed_call", "custom_jvp_call", "custom_vjp_call"):
            results = _evaluate(called, arguments, known)
        elif name == "broadcast_in_dim" and not equation.invars[0].aval.shape:
            results = arguments  # one number everywhere
        elif name in _BY_ENTRY.split() and len({atom.aval.shape for atom in equation.invars if atom.aval.shape}) <= 1:
            kept = tuple(sorted((k, repr(v)) for k, v in equation.params.items() if k not in _LAYOUT))
            results = [known.number((name, kept, *arguments))]
        else:
            raise _MixedError
        values.update(zip(equation.outvars, results, strict=True))
    return [read(atom) for atom in inner.outvars]


def _constant(value: Any, known: _Expressions) -> int:
    """Number a constant: one for each traced value, since it is not known, and one for each number of each type."""
    if isinstance(value, Tracer):
        if value.shape:
            raise _MixedError
        known.traced.append(value)
        return known.number(("traced", id(value)))
    array = np.asarray(value)
    if array.shape and len(np.unique(array)) > 1:
        raise _MixedError
    return known.number(("constant", str(array.dtype), array.ravel()[:1].tobytes()))
