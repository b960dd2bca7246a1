"""Random streams: different for each name and seed, and the same whatever else is drawn."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import PRECISIONS
from hypothesis import given
from hypothesis import strategies as st
from jax.extend.random import threefry_2x32
from scipy import stats

from sweep.engine import keys
from sweep.engine.keys import ROWS, STREAMS, matrices, normal, stream, uniforms
from sweep.page.specs.knobs import LARGEST_SEED


def draws(seed: int, name: str) -> np.ndarray:
    return np.asarray(uniforms(stream(jnp.uint32(seed), name), {0: (1, 8)}, jnp.float32))


def test_streams_keep_their_numbers():
    # Another number for a stream, or another way to make its key, would change every stored result.
    assert STREAMS == {"weights": 0, "batches": 1, "data": 2, "network": 3}
    for name, number in STREAMS.items():
        assert jax.random.key_data(stream(jnp.uint32(7), name)).tolist() == [number, 7]


def middle(word: int, bits: int) -> float:
    """Give the middle of one of 2^bits cells of (-1, 1)."""
    return (word + 0.5) / 2 ** (bits - 1) - 1


def test_the_first_number_is_the_published_hash_of_zeros():
    # Random123's known answer for 20 rounds, key 0 0, counter 0 0.
    first, second = 0x6B200159, 0x99BA4EFE
    key = stream(jnp.uint32(0), "weights")
    assert uniforms(key, {0: (1, 1)}, jnp.float32).tolist() == [middle(first >> 9, 23)]
    with jax.enable_x64(True):
        assert uniforms(key, {0: (1, 1)}, jnp.float64).tolist() == [middle((first << 32 | second) >> 12, 52)]


def test_an_entry_is_the_hash_of_its_position():
    shapes = {3: (5, 4), 8: (2, 9)}
    drawn = matrices(uniforms(stream(jnp.uint32(11), "data"), shapes, jnp.float32), shapes)
    for number, row, column in ((3, 0, 0), (3, 4, 3), (8, 1, 8)):
        key = jnp.array([STREAMS["data"], 11], jnp.uint32)
        word = threefry_2x32(key, jnp.array([number * ROWS + row, column], jnp.uint32))[0]
        assert drawn[number][row, column] == middle(int(word) >> 9, 23)


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_numbers_are_uniform_and_distributions_follow(precision):
    with jax.enable_x64(precision == "float64"):
        u = uniforms(stream(jnp.uint32(5), "weights"), {0: (100, 301)}, precision)
        assert u.dtype == precision
        assert stats.kstest(np.asarray(u), stats.uniform(-1, 2).cdf).pvalue > 1e-3
        assert stats.kstest(np.asarray(normal(u)), stats.norm.cdf).pvalue > 1e-3
        table = np.asarray(u).reshape(100, 301)
    for one, other in ((table[0], table[1]), (table[:, 0], table[:, 1]), (table[:-1, :-1], table[1:, 1:])):
        assert abs(np.corrcoef(one.ravel(), other.ravel())[0, 1]) < 5 / np.sqrt(one.size)


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize(("word", "sign"), [(0, -1), (2**32 - 1, 1)])
def test_no_hash_gives_an_end_of_the_range_where_a_normal_number_is_infinite(precision, word, sign, monkeypatch):
    words = jnp.full(3, word, jnp.uint32)
    monkeypatch.setattr(keys, "threefry2x32_p", SimpleNamespace(bind=lambda *given: (words, words)))
    with jax.enable_x64(precision == "float64"):
        u = uniforms(stream(jnp.uint32(0), "weights"), {0: (1, 3)}, precision)
        assert (np.asarray(u) == sign * (1 - 2.0 ** -(jnp.finfo(precision).nmant))).all()
        assert np.isfinite(np.asarray(normal(u))).all()


def test_no_two_streams_seeds_or_matrices_share_a_draw():
    seen = [draws(seed, name) for seed in (0, 1, 2, LARGEST_SEED) for name in STREAMS]
    seen.append(np.asarray(uniforms(stream(jnp.uint32(0), "weights"), {1: (2, 8), 2: (2, 8)}, jnp.float32)))
    assert len(np.unique(np.concatenate(seen))) == sum(map(len, seen))


def test_lanes_draw_the_same_together_and_alone():
    # With `rbg` keys every lane under vmap would draw the first lane's numbers.
    seeds = jnp.arange(5, dtype=jnp.uint32)
    together = jax.vmap(lambda seed: uniforms(stream(seed, "data"), {0: (1, 8)}, jnp.float32))(seeds)
    for seed in range(5):
        np.testing.assert_array_equal(together[seed], draws(seed, "data"))


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_narrow_matrix_is_the_corner_of_every_larger_one(precision):
    with jax.enable_x64(precision == "float64"):
        key = stream(jnp.uint32(4), "weights")

        def matrix(rows: int, columns: int, **company: tuple[int, int]) -> np.ndarray:
            shapes = {6: (rows, columns)} | {int(number[1:]): shape for number, shape in company.items()}
            return np.asarray(jax.jit(lambda key: matrices(uniforms(key, shapes, precision), shapes)[6])(key))

        large = matrix(33, 47)
        assert len(np.unique(large)) == large.size
        for rows, columns in ((1, 1), (5, 31), (16, 16)):
            assert matrix(rows, columns, m2=(4, 9), m7=(1, 1)).tobytes() == large[:rows, :columns].tobytes()


@given(st.integers(0, LARGEST_SEED))
def test_every_seed_of_32_bits_makes_a_different_key(seed):
    key = stream(jnp.uint32(seed), "weights")
    neighbour = stream(jnp.uint32((seed + 1) % 2**32), "weights")
    assert str(jax.random.key_impl(key)) in ("fry", "threefry2x32")
    assert key != neighbour
