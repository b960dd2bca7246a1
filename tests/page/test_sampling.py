"""Sampled axes: what is drawn and how often, under which conditions, and that no point is drawn twice."""

from collections import Counter
from itertools import product
from math import log

import numpy as np
import pytest
from helpers import tiny
from hypothesis import given
from hypothesis import strategies as st

from sweep.base.errors import SweepError
from sweep.page.sampling import choices, integers, log_integers, log_uniform, sampled, uniform, when
from sweep.specs import Optimizer

METHODS = ("random", "sobol")
OPTIMISERS = {
    "optimizer": choices("sgd", "adam", "adamw", "rmsprop"),
    "learning_rate": log_uniform(1e-4, 1e-1),
    "momentum": when(uniform(0, 0.99), optimizer="sgd"),
    "beta1": when(uniform(0.8, 0.99), optimizer=("adam", "adamw")),
}


def rows_of(*args, **options) -> list[dict]:
    factor = sampled(*args, **options).factors[0]
    return [dict(zip(factor.knobs, row, strict=True)) for row in factor.rows]


def within_five_deviations(count: int, share: float, draws: int) -> bool:
    return abs(count - share * draws) < 5 * np.sqrt(draws * share * (1 - share))


@pytest.mark.parametrize("method", METHODS)
def test_whole_numbers_and_choices_are_equally_likely_both_ends_included(method):
    rows = rows_of(4096, method=method, width=integers(3, 6), activation=choices("tanh", "relu"), noise=uniform(0, 1))
    for knob, values in (("width", [3, 4, 5, 6]), ("activation", ["relu", "tanh"])):
        counts = Counter(row[knob] for row in rows)
        assert sorted(counts) == values
        assert all(within_five_deviations(count, 1 / len(values), 4096) for count in counts.values())
    assert all(type(row["width"]) is int for row in rows)


@pytest.mark.parametrize("method", METHODS)
def test_whole_numbers_are_drawn_uniformly_in_their_logarithm(method):
    rows = rows_of(4096, method=method, width=log_integers(1, 100), noise=uniform(0, 1))
    counts = Counter(row["width"] for row in rows)
    assert {min(counts), max(counts)} == {1, 100}
    whole = log(100.5) - log(0.5)
    for low, high in ((1, 1), (2, 2), (3, 10), (11, 50), (51, 100)):
        share = (log(high + 0.5) - log(low - 0.5)) / whole
        assert within_five_deviations(sum(counts[width] for width in range(low, high + 1)), share, 4096)


@given(st.integers(-(10**6), 10**6), st.integers(1, 10**6))
def test_the_ends_of_the_unit_interval_are_the_ends_of_whole_numbers(low, span):
    ends = np.array([0.0, np.nextafter(1.0, 0.0)])
    assert integers(low, low + span).at(ends) == [low, low + span]
    if low >= 1:
        assert log_integers(low, low + span).at(ends) == [low, low + span]


def test_earlier_samples_are_what_they_were():
    ranges = {"noise": uniform(0.0, 2.0), "momentum": uniform(0.0, 0.5)}
    assert sampled(2, sample_seed=3, **ranges).factors[0].rows == RANDOM
    assert sampled(2, sample_seed=3, method="sobol", **ranges).factors[0].rows == SOBOL


RANDOM = ((0.17129833428724872, 0.11840525329804985), (1.6025489304127938, 0.2910810180321839))
SOBOL = ((0.22641069255769253, 0.4652652842923999), (1.7814313862472773, 0.04383122734725475))


@given(st.integers(30, 50), st.integers(0, 99), st.sampled_from(METHODS))
def test_a_knob_has_a_value_exactly_where_its_condition_holds(points, seed, method):
    always = {knob: getattr(each, "draw", each) for knob, each in OPTIMISERS.items()}
    rows = rows_of(points, method=method, sample_seed=seed, **OPTIMISERS)
    for row, drawn in zip(rows, rows_of(points, method=method, sample_seed=seed, **always), strict=True):
        applies = {"momentum": row["optimizer"] == "sgd", "beta1": row["optimizer"] in ("adam", "adamw")}
        assert row == {knob: value if applies.get(knob, True) else None for knob, value in drawn.items()}
    assert tiny(axes=sampled(points, method=method, sample_seed=seed, **OPTIMISERS), optimizer=Optimizer())


def test_a_condition_on_a_knob_that_does_not_apply_does_not_hold():
    rows = rows_of(
        60, optimizer=choices("adam", "sgd"), depth=when(integers(1, 2), optimizer="sgd"),
        width=when(integers(4, 9), depth=2, optimizer=("sgd", "adam")), noise=uniform(0, 1),
    )  # fmt: skip
    assert {(row["optimizer"], row["depth"], row["width"] is None) for row in rows} == {
        ("adam", None, True), ("sgd", 1, True), ("sgd", 2, False),
    }  # fmt: skip


@pytest.mark.parametrize("method", METHODS)
@given(points=st.integers(1, 12), more=st.integers(0, 12), seed=st.integers(0, 50))
def test_no_point_is_drawn_twice_and_a_sample_is_a_prefix_of_every_larger_one(method, points, more, seed):
    ranges = {"width": integers(1, 4), "activation": choices("tanh", "relu", "sine"), "depth": log_integers(1, 2)}
    small = sampled(points, method=method, sample_seed=seed, **ranges).factors[0].rows
    large = sampled(points + more, method=method, sample_seed=seed, **ranges).factors[0].rows
    assert len(set(large)) == points + more
    assert large[:points] == small
    assert set(large) <= set(product(range(1, 5), ("tanh", "relu", "sine"), (1, 2)))


def test_one_knob_names_its_dimension():
    assert sampled(3, width=integers(1, 8)).dimensions() == ("width",)
    assert sampled(3, **OPTIMISERS | {"momentum": uniform(0, 1), "beta1": uniform(0, 1)}).dimensions() == ("point",)


def test_smoke_keeps_a_row_for_each_knob():
    axes = sampled(64, **OPTIMISERS)
    for most in (100, 1):
        kept = axes.keep_ends(most, {"optimizer"} if most > 1 else set())
        assert all(set(kept.values(knob)) != {None} for knob in kept.knobs())
        assert kept.size() <= 4
    assert axes.keep_ends(100, {"optimizer"}).factors[0].rows[0] == axes.factors[0].rows[0]


REFUSALS = {
    "sampled can't give 7 points, as width, activation have 6 combinations: sweep them all with grid(...), or ask for "
    "fewer": lambda: sampled(7, width=integers(1, 3), activation=choices("tanh", "relu")),
    "384 draws of optimizer, depth gave 13 different points instead of 24: ask for fewer": lambda: sampled(
        24, optimizer=choices("adam", "sgd"), depth=when(integers(1, 12), optimizer="sgd")
    ),
    "unknown value of optimizer in when 'sdg': did you mean 'sgd'?": lambda: sampled(
        2, optimizer=choices("adam", "sgd"), momentum=when(uniform(0, 1), optimizer="sdg")
    ),
    "'momentum' depends on 'optimizer', which is not drawn before it: give optimizer first": lambda: sampled(
        2, momentum=when(uniform(0, 1), optimizer="sgd"), optimizer=choices("adam", "sgd")
    ),
    "'momentum' depends on 'optimizer', which is not drawn before it: draw optimizer in the same sample": lambda: (
        sampled(2, momentum=when(uniform(0, 1), optimizer="sgd"))
    ),
    "when can't ask whether 'noise' is 0.1, as it is drawn from a continuous range: draw it from integers or choices": (
        lambda: sampled(2, noise=uniform(0, 1), width=when(integers(1, 2), noise=0.1))
    ),
    "depth in when must be a whole number from 1 to 3, got 4": lambda: sampled(
        2, depth=integers(1, 3), width=when(integers(1, 2), depth=(3, 4))
    ),
    "the condition of 'momentum' holds for none of 1 points: sample more, or leave it out": lambda: sampled(
        1, optimizer=choices("adam", "sgd"), momentum=when(uniform(0, 1), optimizer="adam")
    ),
    "when needs a condition, such as optimizer='sgd'": lambda: when(uniform(0, 1)),
    "when needs something to draw from, as in when(uniform(0, 1), optimizer='sgd'), got 0.1": lambda: when(
        0.1, optimizer="sgd"
    ),
    "choices takes its values one by one, as in choices('tanh', 'relu'), got (('a', 'b'),)": lambda: choices(
        ["a", "b"]
    ),
    "choices takes its values one by one, as in choices('tanh', 'relu'), got ()": lambda: choices(),
    "choices has 'a' twice: give each value once": lambda: choices("a", "b", "a"),
    "integers needs whole numbers, got 1.0, 3": lambda: integers(1.0, 3),
    "integers needs low < high, both within 2^53, got 3, 3": lambda: integers(3, 3),
    "log_integers needs 1 <= low < high, got 0, 3": lambda: log_integers(0, 3),
    "'output_bias' is not a knob, so no axis can sweep it: run a page for each value": lambda: sampled(
        2, output_bias=choices(True, False)
    ),
    "axis 'momentum' does not apply to optimizer 'adam' with MLP and SumOfSines as set up here: sweep it in separate "
    "axes, joined with +, or draw it with when(...)": lambda: tiny(
        optimizer=Optimizer(), axes=sampled(9, optimizer=choices("adam", "sgd"), momentum=uniform(0, 0.9))
    ),
    "depth must be a whole number, got 1.5; a sample draws whole numbers from integers(low, high)": lambda: tiny(
        axes=sampled(1, depth=choices(1.5))
    ),
}


@pytest.mark.parametrize("message", REFUSALS)
def test_what_can_not_be_drawn_is_refused_with_a_fix(message):
    with pytest.raises(SweepError) as refused:
        REFUSALS[message]()
    assert str(refused.value) == message
