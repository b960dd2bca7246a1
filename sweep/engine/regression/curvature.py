"""The curvature of the training loss: its largest eigenvalue, by the method of Lanczos."""

from collections.abc import Callable
from typing import Final, NamedTuple

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Bool, Float, Int

from sweep.engine.regression.moment import Moment

ITERATIONS: Final = 32  # products with the Hessian; with as many parameters or fewer the result is exact
SEED: Final = 0  # of the first direction: the same in all lanes, and at all records
_ROUNDING: Final = 16  # in units of the precision: what remains of a vector when the space of the previous ones is full


def sharpness(moment: Moment) -> Float[Array, ""]:
    """Largest eigenvalue, that is the most positive one, of the Hessian of the training loss over all points.

    The Hessian is that with respect to all parameters of the lane's own network. Full-batch gradient descent on a
    quadratic loss is stable if the learning rate is below 2 / sharpness. It is computed by `ITERATIONS` steps of
    Lanczos, which gives a lower bound, mostly exact to rounding; NaN if a product with the Hessian is not finite.
    """
    parameters, unravel = ravel_pytree(moment.parameters)
    _, product = jax.linearize(jax.grad(lambda flat: moment.loss_at(unravel(flat))), parameters)
    start, _ = ravel_pytree(moment.direction(jax.random.key(SEED, impl="threefry2x32")))
    return largest_eigenvalue(product, start, min(ITERATIONS, parameters.size))


class _Walk(NamedTuple):
    """Where Lanczos is.

    Args:
        basis: the orthonormal vectors so far, as rows; the others are 0.
        vector: the next one, 0 once the space is exhausted.
        more: whether it is not 0.
        scale: the largest entry of the tridiagonal matrix so far.
    """

    basis: Float[Array, "iterations entries"]
    vector: Float[Array, " entries"]
    more: Bool[Array, ""]
    scale: Float[Array, ""]


def largest_eigenvalue(
    product: Callable[[Array], Array], start: Float[Array, " entries"], iterations: int
) -> Float[Array, ""]:
    """Compute the largest eigenvalue of a symmetric matrix by Lanczos with full reorthogonalisation.

    Args:
        product: multiplies a vector by the matrix.
        start: the first vector. The matrix must have zeros in the rows and columns in which it is 0; these count
            as no part of the matrix.
        iterations: number of products, at least 1.

    Returns:
        The largest eigenvalue on the space that the products span; NaN if one of them is not finite.
    """
    size, rounding = jnp.count_nonzero(start), _ROUNDING * jnp.finfo(start.dtype).eps

    def advance(walk: _Walk, place: Int[Array, ""]) -> tuple[_Walk, tuple[Array, Array, Array]]:
        basis = walk.basis.at[place].set(walk.vector)
        image = product(walk.vector)
        diagonal = walk.vector @ image
        rest = _orthogonal(basis, _orthogonal(basis, image))  # twice is enough
        length = _norm(rest)
        scale = jnp.maximum(walk.scale, jnp.maximum(jnp.abs(diagonal), length))
        more = walk.more & (place + 1 < size) & (length > rounding * scale)
        vector = jnp.where(more, rest / jnp.where(more, length, 1), 0)
        return _Walk(basis, vector, more, scale), (diagonal, jnp.where(more, length, 0), walk.more)

    zero = jnp.zeros((), start.dtype)
    basis = jnp.zeros((iterations, start.size), start.dtype)
    first = _Walk(basis, start / _norm(start), jnp.bool_(True), zero)
    walk, (diagonal, beside, used) = jax.lax.scan(advance, first, jnp.arange(iterations))
    diagonal = jnp.where(used, diagonal, diagonal[0])  # not above the largest eigenvalue, so that it changes nothing
    # As a dense matrix: `jax.scipy.linalg.eigh_tridiagonal` takes seconds to compile.
    tridiagonal = jnp.diag(diagonal) + jnp.diag(beside[:-1], 1) + jnp.diag(beside[:-1], -1)
    return jnp.where(jnp.isfinite(walk.scale), jnp.linalg.eigvalsh(tridiagonal)[-1], jnp.nan)


def _norm(vector: Float[Array, " entries"]) -> Float[Array, ""]:
    """Compute the Euclidean norm, also where squares of entries underflow or overflow."""
    largest = jnp.abs(vector).max()
    unit = jnp.where(largest > 0, largest, 1)
    return unit * jnp.linalg.norm(vector / unit)


def _orthogonal(basis: Float[Array, "vectors entries"], vector: Float[Array, " entries"]) -> Float[Array, " entries"]:
    """Remove from a vector its part in the space of orthonormal ones."""
    return vector - basis.T @ (basis @ vector)
