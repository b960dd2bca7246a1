"""The JAX sides, as an expert writes them: one training as a function, jitted and mapped over lanes; and a plain loop.

Points are the first dimension; `optax.adam`, one `fori_loop` over the steps. JAX has its defaults: one CPU device whose
threads share the work of an operation.
"""

import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from benchmarks import service
from benchmarks.cases import Case
from benchmarks.handover import Group, Handover, Trees
from benchmarks.service import Choice, Trained

ACTIVATIONS = {"tanh": jnp.tanh, "relu": jax.nn.relu, "sine": jnp.sin}


def training(case: Case, inputs: Any) -> Any:
    """Make a function of one whole training.

    Args:
        case: the work.
        inputs: (points, 1).

    Returns:
        A function of initial parameters, targets, a key, orders of the points (None to draw them) and the number of
        epochs, that returns the last loss over all points.
    """
    activation = ACTIVATIONS[case.activation]
    # With Python numbers, optax computes 1 - b2 in double precision and 1 - b2**t in single, which disagree in the
    # fifth digit; that would be the largest difference between the sides.
    rule = optax.adam(case.learning_rate, np.float32(0.9), np.float32(0.999), case.epsilon)

    def apply(parameters: Any, x: Any) -> Any:
        h = x
        for layer in range(case.depth):
            weights = parameters[f"layer_{layer}"]
            h = activation(h @ weights["kernel"] + weights["bias"])
        weights = parameters[f"layer_{case.depth}"]
        return (h @ weights["kernel"] + weights["bias"])[:, 0]

    def loss(parameters: Any, x: Any, y: Any) -> Any:
        return jnp.mean((apply(parameters, x) - y) ** 2)

    def step(carry: Any, x: Any, y: Any) -> Any:
        parameters, state = carry
        updates, state = rule.update(jax.grad(loss)(parameters, x, y), state, parameters)
        return optax.apply_updates(parameters, updates), state

    def train(parameters: Any, target: Any, key: Any, orders: Any, epochs: Any) -> Any:
        def epoch(number: Any, carry: Any) -> Any:
            if case.batch_size is None:
                return step(carry, inputs, target)
            if orders is None:
                order = jax.random.permutation(jax.random.fold_in(key, number), case.points)
            else:
                order = orders[number]
            for start in range(0, case.points, case.batch_size):
                batch = order[start : start + case.batch_size]
                carry = step(carry, inputs[batch], target[batch])
            return carry

        parameters, _ = jax.lax.fori_loop(0, epochs, epoch, (parameters, rule.init(parameters)))
        return loss(parameters, inputs, target)

    return train


class Vmap:
    """All lanes in one jitted program, `jax.jit(jax.vmap(train))`, widths padded to the largest with zeros.

    With zero weights the output and gradients of a padding neuron stay zero (tanh 0 = 0), so no masks are needed.
    """

    def __init__(self, case: Case, handover: Handover) -> None:
        self._case = case
        self._train = jax.jit(jax.vmap(training(case, jnp.asarray(handover.inputs)), in_axes=(0, 0, 0, 0, None)))
        lanes = case.lanes * len(handover.groups)
        self.choices = {"lanes": sorted({min(size, lanes) for size in (16, 64, lanes)}, reverse=True)}

    def train(self, groups: list[Group], steps: int, choice: Choice, check: bool) -> Trained:
        """Train `choice["lanes"]` lanes in one call, call after call."""
        merged = merge(groups) if len(groups) > 1 else groups[0]
        lanes, size = len(merged.target), min(choice["lanes"], len(merged.target))
        epochs = steps // self._case.steps_per_epoch()
        calls = [_arguments(merged, start, start + size, check) for start in range(0, lanes, size)]
        begun = time.perf_counter()
        programs = [_compile(self._train, *arguments, epochs) for arguments in calls]
        compile_seconds = time.perf_counter() - begun
        begun = time.perf_counter()
        results = [run(*arguments, epochs) for run, arguments in zip(programs, calls, strict=True)]
        losses = np.concatenate([np.asarray(result) for result in results])
        seconds = time.perf_counter() - begun
        ends = np.cumsum([len(group.target) for group in groups])[:-1]
        return Trained(seconds, np.split(losses, ends), compile_seconds)


class VmapByWidth:
    """`Vmap` with a program for each width, one after another, without padding."""

    def __init__(self, case: Case, handover: Handover) -> None:
        self._vmap = Vmap(case, handover)
        self.choices = {"lanes": sorted({min(size, case.lanes) for size in (16, 64, case.lanes)}, reverse=True)}

    def train(self, groups: list[Group], steps: int, choice: Choice, check: bool) -> Trained:
        """Train one width after another."""
        parts = [self._vmap.train([group], steps, choice, check) for group in groups]
        seconds = sum(part.seconds for part in parts)
        return Trained(seconds, [part.losses[0] for part in parts], sum(part.compile_seconds for part in parts))


class Loop:
    """A Python loop over lanes: one training at a time, each a call of the jitted function."""

    def __init__(self, case: Case, handover: Handover) -> None:
        self._case, self._train = case, jax.jit(training(case, jnp.asarray(handover.inputs)))
        self.choices = {}

    def train(self, groups: list[Group], steps: int, choice: Choice, check: bool) -> Trained:
        """Train one lane after another."""
        epochs, seconds, compile_seconds, losses = steps // self._case.steps_per_epoch(), 0.0, 0.0, []
        for group in groups:
            stacked = _arguments(group, 0, len(group.target), check)
            lanes = [jax.tree.map(lambda leaf, at=at: leaf[at], stacked) for at in range(len(group.target))]
            begun = time.perf_counter()
            run = _compile(self._train, *lanes[0], epochs)
            compile_seconds += time.perf_counter() - begun
            begun = time.perf_counter()
            results = [run(*arguments, epochs) for arguments in lanes]
            losses.append(np.array([float(result) for result in results]))
            seconds += time.perf_counter() - begun
        return Trained(seconds, losses, compile_seconds)


def _arguments(group: Group, start: int, stop: int, check: bool) -> tuple[Any, ...]:
    """Put the arguments of a call for a range of lanes on the device, except the number of epochs."""
    part = group.part(start, stop)
    keys = jax.vmap(jax.random.key)(jnp.arange(start, stop))
    orders = jnp.asarray(part.orders) if check and part.orders is not None else None
    return jax.block_until_ready((jax.tree.map(jnp.asarray, part.trees), jnp.asarray(part.target), keys, orders))


def merge(groups: list[Group]) -> Group:
    """Pad the networks of several widths to the largest, as one group."""
    width = max(group.width for group in groups)
    trees: Trees = {}
    for name, tree in groups[0].trees.items():
        trees[name] = {leaf: _pad([g.trees[name][leaf] for g in groups]) for leaf in tree}
    target = np.concatenate([group.target for group in groups])
    return Group(width, trees, target, None)


def _pad(arrays: list[np.ndarray]) -> np.ndarray:
    """Concatenate arrays of several widths along lanes, the first dimension, with narrower ones padded by zeros."""
    sizes = np.max([array.shape for array in arrays], axis=0)[1:]
    return np.concatenate(
        [
            np.pad(a, [(0, 0), *((0, size - narrow) for size, narrow in zip(sizes, a.shape[1:], strict=True))])
            for a in arrays
        ]
    )


_programs: dict[Any, Any] = {}


def _compile(jitted: Any, *arguments: Any) -> Any:
    """Compile a function for arguments of these shapes, if it is not compiled yet."""
    leaves, structure = jax.tree.flatten(arguments)
    key = (jitted, structure, tuple(np.shape(leaf) for leaf in leaves))
    if key not in _programs:
        _programs[key] = jitted.lower(*arguments).compile()
    return _programs[key]


if __name__ == "__main__":
    service.serve({"vmap": Vmap, "vmap_by_width": VmapByWidth, "loop": Loop})
