"""The self-test: this jaxlib passes, and whatever is computed wrongly is refused in one line."""

from dataclasses import replace

import numpy as np
import pytest

from sweep.base.errors import SweepError
from sweep.engine import self_test as tested
from sweep.engine.self_test import KNOWN, self_test


@pytest.mark.core
@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_this_jaxlib_passes(precision):
    self_test(precision)


@pytest.mark.parametrize("at", range(len(KNOWN)), ids=[known.issue for known in KNOWN])
def test_a_known_fault_is_named_with_what_to_do(monkeypatch, at):
    """As the releases got them wrong: the last value, or the bias."""
    known = KNOWN[at]

    def wrong(*arguments):
        right = known.expected(*arguments)
        return np.where(np.arange(right.size).reshape(right.shape) == right.size - 1, right + 0.01 * right.max(), right)

    monkeypatch.delenv("XLA_FLAGS", raising=False)
    monkeypatch.setattr(tested, "KNOWN", (*KNOWN[:at], replace(known, expected=wrong), *KNOWN[at + 1 :]))
    with pytest.raises(SweepError) as refused:
        self_test("float32")
    line = str(refused.value)
    assert "\n" not in line
    assert line.startswith("jaxlib ")
    assert line.endswith(f" on cpu computes {known.words} wrongly ({known.issue}): {known.fix}")


@pytest.mark.parametrize(
    ("precision", "name", "value"),
    [("float32", "_RATE", 0.0501), ("float32", "_STEPS", 7), ("float64", "_BETA2", 0.999001)],
)
def test_a_training_that_goes_otherwise_is_refused(monkeypatch, precision, name, value):
    """The reference takes other numbers, or one step less; what is compiled does not."""
    reference = tested._train_in_numpy

    def train(*arguments):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(tested, name, value)
            return reference(*arguments)

    monkeypatch.setattr(tested, "_train_in_numpy", train)
    with pytest.raises(SweepError, match=r"computes a small training wrongly \(unlike NumPy\): .*install another"):
        self_test(precision)


def test_values_that_are_not_numbers_agree_with_nothing():
    assert tested._agree([1.0, 2.0], np.array([1.0, 2.0]), "float64")
    assert not tested._agree([1.0, np.nan], np.array([1.0, 2.0]), "float32")
    assert not tested._agree([1.0, 2.0], np.array([1.0, 2.001]), "float32")


def test_flags_that_may_be_the_cause_are_named(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--xla_cpu_enable_fast_math=true")
    refusal = str(tested._refusal("a sum", "an issue", "install another"))
    assert "on cpu with --xla_cpu_enable_fast_math=true computes a sum wrongly" in refusal
    assert refusal.endswith("leave out these settings, or install another")
