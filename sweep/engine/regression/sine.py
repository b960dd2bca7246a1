"""Sine and cosine that a CPU computes as fast as its other activations.

XLA on a CPU takes a library call for each element of `jnp.sin`, at about a twentieth of the rate of `jnp.tanh`. Here
float32 numbers are reduced by multiples of pi and put into two polynomials, which XLA turns into vector code. The
derivative of either function is the other one of the same reduction, so a training step pays for both together little
more than for one. Other precisions, and other devices, whose own sine is fast, keep `jnp.sin` and `jnp.cos`.

The reduction. With k = round(x / pi) and r = x - k pi, sin x = (-1)^k sin r and cos x = (-1)^k cos r. Pi is taken in
two parts (Cody and Waite): the first is 3217 / 1024, twelve bits that are nearer to pi than their number promises
(9e-6), so that its product with k has at most 24 bits and is exact up to |k| = 4096, as is its difference from x; the
second is the rest, rounded to float32, whose products with k are small (below 0.04) and lose 2e-9. An exact product is
the same with and without fused multiply-add. k is rounded in the bits of a float: adding 1.5 * 2^23 leaves it in the
lowest ones, from where its parity goes straight to the sign. It must be read out as an integer: XLA cancels
(t + c) - c.

The polynomials. r + r^3 P(r^2) and 1 + r^2 Q(r^2), with P and Q of degree 3 and 4, have the least largest error on
[0, 1.5725], which is pi / 2 and a margin for a k that is rounded the other way: found by Remez exchange in float64
on the errors sin r - r and cos r - 1, and then rounded to float32. With rounded coefficients they are within 1.6e-8
and 0.5e-8. Around x = 0 both are exact: sin x = x, cos x = 1.
"""

from collections.abc import Sequence
from typing import Any, Final

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, UInt32

LIMIT: Final = 2.0**23  # beyond it neighbouring float32 numbers are at least 1 apart
_PER_PI: Final = np.float32(1 / np.pi)
_PI_HIGH: Final = np.float32(3217 / 1024)
_PI_LOW: Final = np.float32(np.pi - 3217 / 1024)
_ROUNDER: Final = np.float32(1.5 * 2**23)  # a sum with it is a whole number, which its lowest bits hold
_SINE: Final = (-0.16666657, 0.008333015, -0.00019806468, 2.599726e-06)  # of r^3, r^5, r^7, r^9
_COSINE: Final = (-0.5, 0.04166664, -0.00138884, 2.4761717e-05, -2.6073974e-07)  # of r^2, r^4, ..., r^10


def sine(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """Compute sin x, in float32 with an error of at most 2e-7 where |x| <= 12 000.

    That is an absolute error, against the sine of the float32 number x, of values and of derivatives of any order.
    Up to `LIMIT`, 2^23, it is at most 2e-7 + 2^-23 |x|: as if x had been changed by about its last bit. Beyond it,
    where float32 holds no phase any more, the result is that at x = 0. For inf and nan it is nan. In other precisions
    and on devices other than a CPU this is `jnp.sin`.

    Args:
        x: any numbers.
    """
    return _pair(x)[0] if x.dtype == jnp.float32 else jnp.sin(x)


def cosine(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """Compute cos x; accuracy and range are those of `sine`.

    Args:
        x: any numbers.
    """
    return _pair(x)[1] if x.dtype == jnp.float32 else jnp.cos(x)


@jax.custom_jvp
def _pair(x: Array) -> tuple[Array, Array]:
    """Sine and cosine of float32 numbers; what is not used of them is not computed under jit."""
    return lax.platform_dependent(x, cpu=_polynomials, default=lambda x: (jnp.sin(x), jnp.cos(x)))


@_pair.defjvp
def _pair_jvp(primals: tuple[Any], tangents: tuple[Any]) -> tuple[Any, Any]:
    # In terms of the pair again, so that it can be differentiated as often as one likes.
    (x,), (t,) = primals, tangents
    s, c = _pair(x)
    return (s, c), (c * t, -s * t)


def _polynomials(x: Array) -> tuple[Array, Array]:
    x = jnp.where(jnp.abs(x) <= LIMIT, x, x - x)  # inf - inf is nan
    bits = lax.bitcast_convert_type(x * _PER_PI + _ROUNDER, jnp.int32) - _ROUNDER.view(np.int32)
    k = bits.astype(jnp.float32)
    r = (x - k * _PI_HIGH) - k * _PI_LOW
    square = r * r
    sign = lax.bitcast_convert_type(bits, jnp.uint32) << 31
    return (
        _signed(r + r * (square * _horner(_SINE, square)), sign),
        _signed(1 + square * _horner(_COSINE, square), sign),
    )


def _horner(coefficients: Sequence[float], x: Array) -> Array:
    total = jnp.full_like(x, coefficients[-1])
    for coefficient in coefficients[-2::-1]:
        total = total * x + coefficient
    return total


def _signed(x: Array, sign: UInt32[Array, "..."]) -> Array:
    return lax.bitcast_convert_type(lax.bitcast_convert_type(x, jnp.uint32) ^ sign, jnp.float32)
