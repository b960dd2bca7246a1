"""Random streams: told apart by name and seed, and the same in any company."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sweep.keys import STREAMS, by_rows, stream
from sweep.specs.knobs import LARGEST_SEED


def draws(seed: int, name: str) -> np.ndarray:
    return np.asarray(jax.random.normal(stream(jnp.uint32(seed), name), (8,)))


def test_streams_keep_their_numbers_for_good():
    # Another number for a stream, or another way to make its key, would change every stored result.
    assert STREAMS == {"weights": 0, "batches": 1, "points": 2, "phases": 3, "noise": 4}
    for name, number in STREAMS.items():
        key = jax.random.fold_in(jax.random.key(7, impl="threefry2x32"), number)
        assert stream(jnp.uint32(7), name) == key
    assert jax.random.key_data(stream(jnp.uint32(0), "weights")).tolist() == [1797259609, 2579123966]


def test_no_two_streams_or_seeds_share_a_draw():
    seen = np.concatenate([draws(seed, name) for seed in (0, 1, 2, LARGEST_SEED) for name in STREAMS])
    assert len(np.unique(seen)) == len(seen)


def test_lanes_mapped_together_draw_what_each_draws_alone():
    # With `rbg` keys every lane under vmap would draw the first lane's numbers.
    seeds = jnp.arange(5, dtype=jnp.uint32)
    together = jax.vmap(lambda seed: jax.random.normal(stream(seed, "noise"), (8,)))(seeds)
    for seed in range(5):
        np.testing.assert_array_equal(together[seed], draws(seed, "noise"))


@pytest.mark.parametrize("draw", [jax.random.normal, jax.random.uniform])
@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_a_narrow_matrix_is_the_corner_of_every_larger_one(draw, precision):
    with jax.enable_x64(precision == "float64"):
        key = stream(jnp.uint32(3), "weights")

        def matrix(rows: int, columns: int) -> np.ndarray:
            return np.asarray(by_rows(key, rows, lambda own: draw(own, (columns,), precision)))

        large = matrix(33, 47)
        assert large.dtype == precision
        assert len(np.unique(large)) == large.size
        for rows, columns in ((1, 1), (5, 31), (16, 16)):
            assert matrix(rows, columns).tobytes() == large[:rows, :columns].tobytes()


@given(st.integers(0, LARGEST_SEED))
def test_every_seed_of_32_bits_makes_a_key_of_its_own(seed):
    key = stream(jnp.uint32(seed), "weights")
    neighbour = stream(jnp.uint32((seed + 1) % 2**32), "weights")
    assert str(jax.random.key_impl(key)) in ("fry", "threefry2x32")
    assert key != neighbour
