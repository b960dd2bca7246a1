"""Tracing a function and computing some of its operations otherwise, also in loops, branches and inner functions."""

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, NamedTuple

import jax
from jax.extend import core

Read = Callable[[Any], Any]  # from a variable of a jaxpr, or a literal, to its value


class Rule(NamedTuple):
    """Which operations are computed otherwise.

    Args:
        applies: maps (an equation of a jaxpr, the equation that made each variable of that jaxpr) to whether it is one.
        compute: maps (the equation, the equation that made each variable, values by variable) to its results.
    """

    applies: Callable[[Any, dict[Any, Any]], bool]
    compute: Callable[[Any, dict[Any, Any], Read], Any]


def rewrite(function: Callable[..., Any], rule: Rule) -> Callable[..., Any]:
    """Return a function that computes the same, with operations by a rule.

    Args:
        function: of pytrees of arrays, to be traced.
        rule: says which operations, and how.
    """

    @wraps(function)  # with the name, so that a function without such operations compiles to exactly the same program
    def rewritten(*args: Any) -> Any:
        closed, shapes = jax.make_jaxpr(function, return_shape=True)(*args)
        leaves = _evaluate(rule, closed.jaxpr, closed.consts, jax.tree.leaves(args))
        return jax.tree.unflatten(jax.tree.structure(shapes), leaves)

    return rewritten


def _evaluate(rule: Rule, jaxpr: Any, constants: Sequence[Any], arguments: Sequence[Any]) -> list[Any]:
    """Trace a jaxpr's equations again, with those of the rule replaced."""
    known = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*constants, *arguments], strict=True))
    makers = _makers(jaxpr)

    def read(atom: Any) -> Any:
        return atom.val if isinstance(atom, core.Literal) else known[atom]

    for equation in jaxpr.eqns:
        with equation.ctx.manager:
            if rule.applies(equation, makers):
                found = rule.compute(equation, makers, read)
            else:
                found = _bind(rule, equation, [read(atom) for atom in equation.invars])
        outputs = found if equation.primitive.multiple_results else [found]
        known |= dict(zip(equation.outvars, outputs, strict=True))
    return [read(atom) for atom in jaxpr.outvars]


def _makers(jaxpr: Any) -> dict[Any, Any]:
    """Give the equation that makes each variable."""
    return {variable: equation for equation in jaxpr.eqns for variable in equation.outvars}


def _bind(rule: Rule, equation: Any, operands: list[Any]) -> Any:
    """Bind an equation unchanged, except for jaxprs among its parameters in which the rule applies."""
    params = equation.params
    if any(_concerns(rule, jaxpr) for jaxpr in _within(params)):
        params = {name: _rewrite(rule, value) for name, value in params.items()}
    return equation.primitive.bind(*operands, **equation.primitive.get_bind_params(params))


def _within(params: dict[str, Any]) -> list[Any]:
    """List the jaxprs among the parameters of an equation."""
    values = [each for value in params.values() for each in (value if isinstance(value, tuple) else (value,))]
    closed = [value.jaxpr for value in values if isinstance(value, core.ClosedJaxpr)]
    return closed + [value for value in values if isinstance(value, core.Jaxpr)]


def _concerns(rule: Rule, jaxpr: Any) -> bool:
    """Tell whether the rule applies somewhere in a jaxpr."""
    makers = _makers(jaxpr)
    return any(
        rule.applies(each, makers) or any(_concerns(rule, inner) for inner in _within(each.params))
        for each in jaxpr.eqns
    )


def _rewrite(rule: Rule, value: Any) -> Any:
    """Return a parameter with the jaxprs in it rewritten; anything else unchanged."""
    if isinstance(value, tuple):
        named: Any = type(value)  # some have names
        return getattr(named, "_make", named)(_rewrite(rule, each) for each in value)
    if isinstance(value, core.ClosedJaxpr) and _concerns(rule, value.jaxpr):
        return _trace(rule, value.jaxpr, value.consts)
    if isinstance(value, core.Jaxpr) and _concerns(rule, value):
        return _trace(rule, value, ()).jaxpr
    return value


def _trace(rule: Rule, jaxpr: Any, constants: Sequence[Any]) -> Any:
    shapes = [
        jax.ShapeDtypeStruct(var.aval.shape, var.aval.dtype, weak_type=getattr(var.aval, "weak_type", False))
        for var in jaxpr.invars
    ]
    return jax.make_jaxpr(lambda *arguments: _evaluate(rule, jaxpr, constants, arguments))(*shapes)
