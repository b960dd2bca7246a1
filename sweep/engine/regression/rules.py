"""Rules by which a lane's parameters are changed: an optimiser with its options, or one that the page brings."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.flatten_util import ravel_pytree
from jaxtyping import Array
from optax.contrib import ScheduleFreeState, schedule_free_eval_params

from sweep.base.errors import SweepError, blame, with_article
from sweep.engine.regression.elementwise import is_elementwise
from sweep.engine.regression.optimizers import decayed
from sweep.engine.regression.schedules import scheduled
from sweep.page.specs.optimizer import SCHEDULES, Optimizer
from sweep.page.specs.update_rule import FromOptax, UpdateRule

Parameters = Any  # a pytree of arrays
Numbers = dict[str, Array]
Objective = Callable[[Parameters], Array]  # the loss of the present batch
ByLayer = Callable[[Any], list[Any]]
Scale = Callable[[Any], Any]  # from updates to updates


class Rule(NamedTuple):
    """How the parameters of one lane are changed, as pure functions.

    A step adds `updates` to the parameters, so that a parameter that is not finite stays so, whatever the updates.

    Args:
        init: maps parameters to a state.
        update: maps (gradient, state, parameters, loss, objective) to (updates, state).
    """

    init: Callable[[Parameters], Any]
    update: Callable[[Any, Any, Parameters, Array, Objective], tuple[Any, Any]]


class Averaged(NamedTuple):
    """The state of a rule with a moving average.

    Args:
        state: that of the rule without.
        average: the moving average of the parameters.
    """

    state: Any
    average: Parameters


class Shown(NamedTuple):
    """The state of a rule that trains other parameters than those it has learned.

    Args:
        state: that of the rule.
        learned: the parameters at which a lane is measured.
    """

    state: Any
    learned: Parameters


def rule_of(
    spec: UpdateRule,
    steps: int,
    numbers: Numbers,
    dtype: Any,
    by_layer: ByLayer,
    scale: Scale = lambda updates: updates,
) -> Rule:
    """Build one lane's rule.

    Args:
        spec: its structure.
        steps: optimiser steps in the whole training.
        numbers: the lane's traced numbers.
        dtype: precision of the numbers.
        by_layer: splits a pytree like the parameters into one subtree for each layer.
        scale: multiplies updates by the network's own factors on the learning rate.
    """
    used = {name: numbers[name].astype(dtype) for name in sorted(spec.applicable()) if name in numbers}
    return spec.rule.load()(spec, steps, used, dtype, by_layer, scale)


def built_in(spec: Optimizer, steps: int, n: Numbers, dtype: Any, by_layer: ByLayer, scale: Scale) -> Rule:
    """Build the rule of an optimiser that has a name, with its options."""
    inner = _with_options(spec, n, _rate(spec, n, max(1, steps // spec.accumulate), dtype))
    if spec.accumulate > 1:
        inner = optax.MultiSteps(inner, spec.accumulate, accumulator_dtype=dtype).gradient_transformation()
    # As one vector a step is a few operations on a long array.
    by_array = spec.method.by_array or not spec.decay_biases
    whole = optax.with_extra_args_support(inner if by_array else optax.flatten(inner))

    def update(gradient: Any, state: Any, parameters: Parameters, loss: Array, objective: Objective) -> Any:
        if "rho" in n:
            gradient = _ascended(gradient, parameters, objective, n["rho"])
        more = _searched(gradient, parameters, loss, objective) if spec.name == "lbfgs" else {}
        updates, state = whole.update(gradient, state, parameters, **more)
        return _scale_layers(scale(updates), by_layer, n), state

    plain = _shown(Rule(whole.init, update))
    return _averaging(plain, n["average"]) if spec.averages() else plain


def _rate(spec: Optimizer, n: Numbers, steps: int, dtype: Any) -> Any:
    """Build the learning rate or its schedule; None for an optimiser without."""
    if not spec.method.scheduled:
        return None
    schedule = SCHEDULES[spec.schedule]
    warms = "warmup" in n and "warmup" not in schedule.numbers
    return scheduled(schedule.load(), n, steps, dtype, warms=warms)


def _with_options(spec: Optimizer, n: Numbers, rate: Any) -> optax.GradientTransformation:
    """Build the optimiser, with what comes before it, and the decay that is added to its step."""
    parts = [spec.method.load()(rate, n, **spec.structure())]
    if "decoupled_decay" in n:
        shrink = optax.chain(decayed(n["decoupled_decay"], spec.decay_biases), optax.scale_by_learning_rate(rate))
        parts = [_beside(parts[0], shrink)]
    if "coupled_decay" in n:
        parts.insert(0, decayed(n["coupled_decay"], spec.decay_biases))
    if "clip_norm" in n:
        parts.insert(0, optax.clip_by_global_norm(n["clip_norm"]))
    return parts[0] if len(parts) == 1 else optax.chain(*parts)


def _beside(rule: optax.GradientTransformation, shrink: optax.GradientTransformation) -> optax.GradientTransformation:
    """Add to the updates of a rule those that another one makes of no gradient."""

    def init(params: Parameters) -> Any:
        return rule.init(params), shrink.init(params)

    def update(updates: Any, state: Any, params: Parameters | None = None) -> Any:
        steps, first = rule.update(updates, state[0], params)
        more, second = shrink.update(optax.tree.zeros_like(updates), state[1], params)
        return jax.tree.map(jnp.add, steps, more), (first, second)

    return optax.GradientTransformation(init, update)


def _ascended(gradient: Any, parameters: Parameters, objective: Objective, rho: Array) -> Any:
    """Give the gradient at p + rho g / |g|; at p itself where g is 0."""
    norm = optax.tree.norm(gradient)
    distance = jnp.where(norm == 0, 0, rho / jnp.where(norm == 0, 1, norm))
    return jax.grad(objective)(jax.tree.map(lambda p, g: p + distance * g, parameters, gradient))


def _searched(gradient: Any, parameters: Parameters, loss: Array, objective: Objective) -> dict[str, Any]:
    """Give a line search what it needs, for parameters as one vector."""
    unravel = ravel_pytree(parameters)[1]
    return {"value": loss, "grad": ravel_pytree(gradient)[0], "value_fn": lambda vector: objective(unravel(vector))}


def _scale_layers(updates: Any, by_layer: ByLayer, n: Numbers) -> Any:
    """Multiply the updates of each layer by its factor, if there are factors."""
    if "layer_rates_0" not in n:
        return updates
    leaves, structure = jax.tree.flatten(updates)
    layers = by_layer(jax.tree.unflatten(structure, range(len(leaves))))
    factors = {leaf: n[f"layer_rates_{layer}"] for layer, own in enumerate(layers) for leaf in jax.tree.leaves(own)}
    return jax.tree.unflatten(structure, [factors[at] * leaf for at, leaf in enumerate(leaves)])


def _averaging(rule: Rule, decay: Array) -> Rule:
    """Keep e <- d e + (1 - d) p beside the parameters, from the initial ones on."""

    def init(parameters: Parameters) -> Averaged:
        return Averaged(rule.init(parameters), parameters)

    def update(gradient: Any, state: Averaged, parameters: Parameters, loss: Array, objective: Objective) -> Any:
        updates, inner = rule.update(gradient, state.state, parameters, loss, objective)
        average = jax.tree.map(lambda e, p, u: decay * e + (1 - decay) * (p + u), state.average, parameters, updates)
        return updates, Averaged(inner, average)

    return Rule(init, update)


def average_of(state: Any) -> Parameters | None:
    """Give the moving average of the parameters, None where none is kept."""
    return state.average if isinstance(state, Averaged) else None


def _shown(rule: Rule) -> Rule:
    """Keep the point that optax's schedule-free rules have learned; they train another one."""

    def init(parameters: Parameters) -> Any:
        inner = rule.init(parameters)
        return Shown(inner, parameters) if _schedule_free(inner) else inner

    def update(gradient: Any, state: Any, parameters: Parameters, loss: Array, objective: Objective) -> Any:
        if not isinstance(state, Shown):
            return rule.update(gradient, state, parameters, loss, objective)
        updates, inner = rule.update(gradient, state.state, parameters, loss, objective)
        return updates, Shown(inner, _learned(_schedule_free(inner)[0], jax.tree.map(jnp.add, parameters, updates)))

    return Rule(init, update)


def _schedule_free(state: Any) -> list[ScheduleFreeState]:
    is_free = lambda node: isinstance(node, ScheduleFreeState)  # noqa: E731
    return [node for node in jax.tree.leaves(state, is_leaf=is_free) if is_free(node)]


def _learned(free: ScheduleFreeState, parameters: Parameters) -> Parameters:
    vector, unravel = ravel_pytree(parameters)
    if jax.tree.structure(free.z) == jax.tree.structure(vector):
        return unravel(schedule_free_eval_params(free, vector))
    return schedule_free_eval_params(free, parameters)


def measured(state: Any, parameters: Parameters) -> Parameters:
    """Give the parameters at which a lane is measured, and which are its network: those trained, or those learned.

    Args:
        state: of its rule.
        parameters: those trained.
    """
    return state.learned if isinstance(state, Shown) else parameters


def with_measured(state: Any, parameters: Parameters) -> Any:
    """Return a state of a rule in which these parameters are measured."""
    # A copy, since a program may not be given one array twice.
    return state._replace(learned=jax.tree.map(jnp.copy, parameters)) if isinstance(state, Shown) else state


# A page's own.


def from_optax(spec: FromOptax, _: int, n: Numbers, dtype: Any, by_layer: ByLayer, __: Scale) -> Rule:
    """Build the rule of a transformation that the page defines; it sees the parameters as the network has them.

    A network with rates of its own is refused with it, as it is not known how its steps grow with gradients.
    """
    culprit = f"the optimiser of {spec.words()!r}"
    with blame(culprit):
        made = spec.build(**{name: n.get(name, value) for name, value in spec.numbers.items()})
    if not isinstance(made, optax.GradientTransformation):
        raise SweepError(
            f"{culprit} must be an optax.GradientTransformation, got {with_article(type(made).__name__)}: return one, "
            "as optax.adam(...) is, and optax.MultiSteps(...).gradient_transformation()"
        )
    wanted = _keywords(made)

    def seen_by(parameters: Parameters) -> optax.GradientTransformation:
        """Give the transformation, or one of all parameters as a vector where it makes no difference."""
        alone = is_elementwise(made.init, lambda g, s, p: made.update(g, s, p), parameters)
        return optax.flatten(made) if alone else made

    def init(parameters: Parameters) -> Any:
        with blame(culprit):
            return jax.tree.map(_without_key, seen_by(parameters).init(parameters))

    def update(gradient: Any, state: Any, parameters: Parameters, loss: Array, objective: Objective) -> Any:
        offered = {"value": loss, "grad": gradient, "value_fn": objective}
        offered["grad_fn"] = lambda at, _=None: jax.grad(objective)(at)
        with blame(culprit):
            rule = seen_by(parameters)
            more = {name: offered[name] for name in wanted if rule is made}
            updates, new = rule.update(gradient, _with_keys(state, rule.init, parameters), parameters, **more)
            new = jax.tree.map(_without_key, new)
        _check_alike(culprit, "updates of the parameters", updates, parameters)
        _check_alike(culprit, "a new state", new, state)
        return updates, new

    return _shown(Rule(init, update))


def _keywords(made: optax.GradientTransformation) -> tuple[str, ...]:
    """Name what an `update` takes by keyword, of what is offered; what takes all gets what line searches take."""
    if not isinstance(made, optax.GradientTransformationExtraArgs):
        return ()
    parameters = inspect.signature(made.update).parameters
    named = tuple(name for name in ("value", "grad", "value_fn", "grad_fn") if name in parameters)
    takes_all = any(each.kind is inspect.Parameter.VAR_KEYWORD for each in parameters.values())
    return tuple(dict.fromkeys((*named, "value", "grad", "value_fn"))) if takes_all else named


def _without_key(leaf: Any) -> Array:
    """Turn a part of a state into an array that can be saved: of a random key its bits."""
    return jax.random.key_data(leaf) if _is_key(leaf) else jnp.asarray(leaf)


def _with_keys(state: Any, init: Callable[[Parameters], Any], parameters: Parameters) -> Any:
    """Undo `_without_key`; which parts were keys, and of which kind, is seen from another initial state."""
    if not any(map(_is_key, jax.tree.leaves(jax.eval_shape(init, parameters)))):
        return state

    def convert(original: Any, leaf: Array) -> Array:
        return jax.random.wrap_key_data(leaf, impl=jax.random.key_impl(original)) if _is_key(original) else leaf

    return jax.tree.map(convert, init(parameters), state)


def _is_key(leaf: Any) -> bool:
    return jnp.issubdtype(jnp.result_type(leaf), jax.dtypes.prng_key)


def _check_alike(culprit: str, what: str, got: Any, wanted: Any) -> None:
    """Refuse a pytree whose arrays differ from another's in structure, shape or precision."""

    def describe(tree: Any) -> Mapping[str, str]:
        pairs = jax.tree_util.tree_flatten_with_path(tree)[0]
        return {jax.tree_util.keystr(path): f"{jnp.result_type(leaf)}{list(jnp.shape(leaf))}" for path, leaf in pairs}

    ours, theirs = describe(got), describe(wanted)
    for path in (*theirs, *ours):
        if ours.get(path) != theirs.get(path):
            raise SweepError(
                f"{culprit} returned {what} unlike before: {path or 'it'} is {ours.get(path, 'missing')}, it must be "
                f"{theirs.get(path, 'left out')}"
            )
