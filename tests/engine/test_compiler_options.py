"""The options of the compiler: which are chosen, and that this jaxlib knows them."""

import jax
import jax.numpy as jnp
import pytest

from sweep.engine import compiler_options as options
from sweep.engine.compiler_options import _Choice, compiler_options, list_options


def test_wide_vectors_are_set_on_cpu_for_every_line_unless_a_flag_says_otherwise(monkeypatch):
    monkeypatch.delenv("XLA_FLAGS", raising=False)
    assert (
        compiler_options("cpu", "0.10.1") == compiler_options("cpu", "0.12.0") == {"xla_cpu_prefer_vector_width": 512}
    )
    monkeypatch.setenv("XLA_FLAGS", "--xla_cpu_prefer_vector_width=256")
    assert compiler_options("cpu") == {}
    assert list_options("cpu") is None  # as in stores from before there were options


def test_a_gpu_computes_the_same_bits_again(monkeypatch):
    monkeypatch.delenv("XLA_FLAGS", raising=False)
    assert list_options("gpu") == ["xla_gpu_autotune_level=0", "xla_gpu_deterministic_ops=True"]


def test_a_flag_of_the_user_wins(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--xla_gpu_autotune_level=4 --xla_gpu_deterministic_ops")
    assert compiler_options("gpu") == {}


@pytest.mark.parametrize(
    ("release", "chosen"), [("0.10.1", False), ("0.11.0", True), ("0.12.0.1", True), ("0.13.0", False), ("1.0", False)]
)
def test_a_choice_holds_for_a_range_of_releases(monkeypatch, release, chosen):
    monkeypatch.setattr(options, "_CHOICES", (_Choice("cpu", {"some": 1}, first=(0, 11), below=(0, 13)),))
    assert compiler_options("cpu", release) == ({"some": 1} if chosen else {})
    assert compiler_options("gpu", release) == {}


@pytest.mark.parametrize("choice", options._CHOICES, ids=str)
def test_this_jaxlib_knows_all_options(choice):
    """An unknown one is an error, on any platform."""
    lowered = jax.jit(jnp.tanh).lower(1.0)
    lowered.compile(compiler_options=dict(choice.options))
    with pytest.raises(Exception, match="No such compile option"):
        lowered.compile(compiler_options={"xla_no_such_option": True})
