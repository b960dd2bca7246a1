"""The polynomial sine and cosine against float64, fused and not fused, with derivatives, over their stated range."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sweep.engine.regression import sine as sine_module
from sweep.engine.regression.sine import LIMIT, cosine, sine

ERROR, RANGE = 2e-7, 12_000.0  # as the docstring promises
# Each function as the n-th derivative of the sine, moved by its place in the circle.
PLACES = {"sine": (sine, 0), "cosine": (cosine, 1)}


def exact(x: np.ndarray, quarter: int) -> np.ndarray:
    """Compute in float64 the sine of float32 numbers, differentiated `quarter` times."""
    wide = x.astype(np.float64)
    return (np.sin(wide), np.cos(wide), -np.sin(wide), -np.cos(wide))[quarter % 4]


def neighbours(x: np.ndarray, steps: int = 2) -> np.ndarray:
    """List the nearest float32 numbers and `steps` more on either side."""
    at = x.astype(np.float32).view(np.int32)
    return np.concatenate([(at + step).view(np.float32) for step in range(-steps, steps + 1)])


def numbers() -> np.ndarray:
    """List float32 numbers from the full range, and those for which the reduction is most likely to be wrong."""
    rng = np.random.default_rng(0)
    sizes = 10 ** rng.uniform(-8, np.log10(RANGE), 40_000) * rng.choice((-1, 1), 40_000)
    cuts = neighbours(np.arange(1, int(RANGE * 2 / np.pi)) * np.pi / 2)
    dense = np.linspace(-40, 40, 60_001)
    uniform = rng.uniform(-RANGE, RANGE, 100_000)
    return np.concatenate([dense, uniform, sizes, cuts, -cuts, (0, -0.0, RANGE, -RANGE)]).astype(np.float32)


ALL = numbers()


@pytest.mark.core
@pytest.mark.parametrize("name", PLACES)
def test_values_and_three_derivatives_are_within_the_promised_error(name):
    function, place = PLACES[name]
    first = jax.grad(function)
    second = jax.grad(first)
    orders = (function, first, second, jax.grad(second))
    for order, result in enumerate(jax.jit(lambda x: [jax.vmap(each)(x) for each in orders])(ALL)):
        assert result.dtype == jnp.float32
        errors = np.abs(np.asarray(result, float) - exact(ALL, place + order))
        assert errors.max() <= ERROR, f"derivative {order} at {ALL[errors.argmax()]!r}: {errors.max():.2e}"


@pytest.mark.parametrize("fused", [True, False])
def test_the_error_with_and_without_fused_multiply_adds_and_beyond_the_range(fused):
    # Where jit is off each operation is a program of its own, and each product is rounded.
    far = np.concatenate([np.geomspace(RANGE, LIMIT, 20_000), np.linspace(RANGE, LIMIT, 20_000)]).astype(np.float32)
    beyond = np.array([1.01 * LIMIT, 2e7, -1e10, 3e38], np.float32)
    x = np.concatenate([ALL, far, -far, beyond])
    with jax.disable_jit(not fused):
        results = jax.jit(sine_module._polynomials)(x)
    for place, result in enumerate(results):
        near, rest = np.split(np.asarray(result, float), [x.size - beyond.size])
        of = x[: near.size]
        allowed = ERROR + np.where(np.abs(of) <= RANGE, 0, np.abs(of) * 2.0**-23)
        assert (np.abs(near - exact(of, place)) <= allowed).all()
        assert np.abs(near).max() <= 1.001
        assert (rest == place).all()  # sine 0, cosine 1


@pytest.mark.parametrize("name", PLACES)
def test_fusion_does_not_undo_the_reduction(name):
    # Every z and every 4 z + 8 is a float32 number, so that rounding cannot explain a difference.
    function, place = PLACES[name]
    z = (np.random.default_rng(1).integers(-(2**23), 2**23, (50, 400)) / 2**13).astype(np.float32)
    x = 4 * z + 8
    assert np.array_equal(x.astype(float), 4 * z.astype(float) + 8)

    def both(z: Any) -> Any:
        value, derivative = jax.value_and_grad(lambda z: function(4 * z + 8))(z)
        return value + 1, derivative / 4

    def body(step: Any, carried: Any) -> Any:
        return jax.vmap(jax.vmap(both))(jnp.asarray(z))

    value, derivative = jax.jit(lambda: jax.lax.fori_loop(0, 2, body, (jnp.zeros_like(z), jnp.zeros_like(z))))()
    assert np.abs(np.asarray(value, float) - 1 - exact(x, place)).max() <= ERROR + 2**-24
    assert np.abs(np.asarray(derivative, float) - exact(x, place + 1)).max() <= ERROR


def test_gradients_of_a_layer_of_lanes_are_those_of_float64():
    # Ten bits each: every product is a float32 number, fused or not.
    rng = np.random.default_rng(2)
    weights, x = rng.integers(-512, 512, (4, 8)) / 2**8, rng.integers(-512, 512, 64) / 2**8
    omega = 32

    def loss(w: Any, x: Any) -> Any:
        return jnp.mean(sine(omega * w[:, None] * x) * cosine(w[:, None] * x))

    ours = jax.jit(jax.vmap(jax.grad(loss), (0, None)))(weights.astype(np.float32), x.astype(np.float32))
    slow = weights[:, :, None] * x
    fast = omega * slow
    slopes = x * (omega * np.cos(fast) * np.cos(slow) - np.sin(fast) * np.sin(slow))
    np.testing.assert_allclose(ours, slopes.sum(axis=-1) / slow[0].size, atol=2e-6)


def test_the_first_part_of_pi_has_exact_products_and_both_are_pi():
    k = np.arange(4097, dtype=np.float32)
    assert np.array_equal((k * sine_module._PI_HIGH).astype(float), k.astype(float) * float(sine_module._PI_HIGH))
    assert 4096 * np.pi > RANGE
    assert abs(float(sine_module._PI_HIGH) + float(sine_module._PI_LOW) - np.pi) < 1e-12


def test_the_coefficients_are_those_of_sine_and_cosine():
    r = np.linspace(0, 1.5725, 20_001)
    sines = r + sum(np.float32(c) * r ** (3 + 2 * i) for i, c in enumerate(sine_module._SINE))
    cosines = 1 + sum(np.float32(c) * r ** (2 + 2 * i) for i, c in enumerate(sine_module._COSINE))
    assert np.abs(sines - np.sin(r)).max() < 1.6e-8
    assert np.abs(cosines - np.cos(r)).max() < 0.5e-8


@pytest.mark.parametrize("name", PLACES)
def test_infinite_and_nan_arguments_give_nan(name):
    function, _ = PLACES[name]
    x = jnp.float32([jnp.inf, -jnp.inf, jnp.nan, 1.0])
    results = jax.jit(jax.vmap(lambda x: [each(x) for each in (function, jax.grad(function), jax.jacfwd(function))]))(x)
    for result in (*results, function(x)):
        assert np.isnan(result).tolist() == [True, True, True, False]


def test_sine_is_odd_and_cosine_even_and_both_exact_near_zero():
    x = jnp.asarray(ALL)
    assert np.array_equal(jax.jit(sine)(-x), -jax.jit(sine)(x))
    assert np.array_equal(jax.jit(cosine)(-x), jax.jit(cosine)(x))
    tiny = np.array([0.0, 1e-30, 1e-10, 1e-5], np.float32)
    assert np.array_equal(jax.jit(sine)(tiny), tiny)
    assert np.array_equal(jax.jit(cosine)(tiny), np.ones(4))


@pytest.mark.parametrize("dtype", ["float64", "float16", "bfloat16"])
@pytest.mark.parametrize(("ours", "theirs"), [(sine, jnp.sin), (cosine, jnp.cos)])
def test_other_precisions_keep_the_functions_of_jax(ours, theirs, dtype):
    with jax.enable_x64(True):
        x = jnp.linspace(-6e4, 6e4, 1001).astype(dtype)
        for mine, other in ((ours, theirs), (jax.grad(ours), jax.grad(theirs))):
            results = [jax.jit(jax.vmap(function))(x) for function in (mine, other)]
            assert results[0].dtype == x.dtype
            assert np.array_equal(*results)


def lowered(function: Callable[[Any], Any], platform: str) -> str:
    """Lower the program of a value and its derivative for a platform."""
    both = jax.jit(jax.vmap(jax.value_and_grad(function)))
    return jax.export.export(both, platforms=[platform])(jax.ShapeDtypeStruct((8,), np.float32)).mlir_module()


@pytest.mark.parametrize("function", [sine, cosine])
def test_only_a_cpu_gets_the_polynomials(function):
    programs = {platform: lowered(function, platform) for platform in ("cpu", "cuda", "tpu")}
    assert {platform: "stablehlo.sine" in text for platform, text in programs.items()} == {
        "cpu": False, "cuda": True, "tpu": True,
    }  # fmt: skip
    assert {platform: "bitcast_convert" in text for platform, text in programs.items()} == {
        "cpu": True, "cuda": False, "tpu": False,
    }  # fmt: skip
