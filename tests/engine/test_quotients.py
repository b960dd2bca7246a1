"""Divisions by what is broadcast are products with reciprocals: lanes have the same bits on any number of devices."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from helpers import assert_bitwise, run_lanes, tiny

from sweep.engine.quotients import with_reciprocals
from sweep.page.axes import grid
from sweep.specs import FromModule

X = np.random.default_rng(0).normal(size=(4, 7)).astype(np.float32) + 3


def by_sum(x):
    return x / x.sum(axis=-1, keepdims=True)


REPLACED = {
    "a softmax": lambda x: jax.nn.softmax(x),
    "its gradient": jax.grad(lambda x: (jax.nn.softmax(x) ** 2).sum()),
    "of lanes": jax.vmap(lambda x: x / x[0]),
    "in a loop": lambda x: jax.lax.fori_loop(0, 3, lambda _, x: 2 * by_sum(x), x),
    "in a scan": lambda x: jax.lax.scan(lambda c, _: (by_sum(c), None), x, length=2)[0],
    "in a branch": lambda x: jax.lax.cond(x[0, 0] > 0, by_sum, lambda x: x, x),
    "in a remat": jax.checkpoint(by_sum),
    "in a jit": jax.jit(by_sum),
}


def count_divisions(function) -> int:
    """Count divisions of whole arrays, wherever they stand."""
    return str(jax.make_jaxpr(function)(X)).count("f32[4,7] = div")


@pytest.mark.parametrize("name", REPLACED)
def test_the_numbers_are_those_of_the_division_to_rounding(name: str) -> None:
    function = REPLACED[name]
    rewritten = with_reciprocals(function)
    assert count_divisions(function) > 0
    assert count_divisions(rewritten) == 0
    np.testing.assert_allclose(rewritten(X), function(X), rtol=1e-6, atol=1e-7)


def test_other_divisions_stay() -> None:
    for function in (lambda x: x / 3.0, lambda x: x / (1 + x), lambda x: x / x[0, 0], lambda x: x.astype(int) // 2):
        assert str(jax.make_jaxpr(with_reciprocals(function))(X)) == str(jax.make_jaxpr(function)(X))


def attention(width):
    class Attention(nn.Module):
        @nn.compact
        def __call__(self, x):
            h = nn.Dense(width)(jnp.stack([x, jnp.sin(3 * x)], axis=1))
            return nn.Dense(1)(nn.MultiHeadAttention(num_heads=2)(h).mean(axis=1))

    return Attention()


@pytest.mark.core  # XLA must optimise the program
@pytest.mark.optimised
def test_attention_has_the_same_bits_on_one_device_and_on_several() -> None:
    page = tiny(model=FromModule(attention, width=4), axes=grid(seed=(0, 1, 2)), epochs=12)
    for one, other in zip(run_lanes(page, 1), run_lanes(page, 3), strict=True):
        assert_bitwise(one, other)
