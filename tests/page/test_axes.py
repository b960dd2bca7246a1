"""Axes as an algebra: sizes, uniqueness, order, and conversion to a grid and back."""

from collections.abc import Callable
from math import log

import numpy as np
import pandas as pd
import pytest
from helpers import tiny
from hypothesis import given
from hypothesis import strategies as st

from sweep.base.errors import SweepError
from sweep.page.axes import Axes, grid, lay_out, table, zipped
from sweep.page.resolve import resolve
from sweep.page.sampling import log_uniform, sampled, uniform
from sweep.results.dataset import unfold
from sweep.results.skeleton import skeleton
from sweep.specs import MLP, Optimizer

# Any axes over knobs of each kind: seeds, counts, numbers, names.
VALUES: dict[str, st.SearchStrategy] = {
    "seed": st.integers(0, 2**32 - 1),
    "data_seed": st.integers(0, 50),
    "learning_rate": st.floats(1e-6, 1.0),
    "noise": st.floats(0.0, 1.0),
    "width": st.integers(1, 50),
    "activation": st.sampled_from(["tanh", "relu", "sine", "elu"]),
}


def columns(knobs: list[str], rows: int) -> st.SearchStrategy:
    """Draw distinct rows over some knobs."""
    one = st.tuples(*(VALUES[knob] for knob in knobs))
    return st.lists(one, min_size=1, max_size=rows, unique=True)


@st.composite
def factors(draw: Callable) -> list[tuple[Axes, int]]:
    """Draw axes of one factor each, over knobs that differ, with their sizes."""
    knobs = draw(st.permutations(list(VALUES)))
    found = []
    for count in draw(st.sampled_from([(1,), (2,), (1, 1), (1, 2), (1, 1, 1), (2, 2), (1, 2, 1)])):
        own, knobs = knobs[:count], knobs[count:]
        kind = draw(st.sampled_from(["rows", "sampled"]))
        if kind == "sampled" and set(own) <= {"learning_rate", "noise"}:
            points = draw(st.integers(1, 5))
            ranges = {knob: log_uniform(1e-4, 1.0) for knob in own}
            found.append((sampled(points, method=draw(st.sampled_from(["random", "sobol"])), **ranges), points))
            continue
        rows = draw(columns(own, 4))
        make = zipped if count > 1 else grid
        found.append((make(**dict(zip(own, zip(*rows, strict=True), strict=True))), len(rows)))
    return found


def times(parts: list[tuple[Axes, int]]) -> tuple[Axes, int]:
    axes, size = Axes(), 1
    for part, count in parts:
        axes, size = axes * part, size * count
    return axes, size


def lanes_of(axes: Axes) -> list[frozenset]:
    """For each lane, give the knob values that apply to it."""
    values = {knob: column.tolist() for knob, column in lay_out(axes).columns.items()}
    return [
        frozenset((knob, value) for knob, value in zip(values, row, strict=True) if value == value and value != "")
        for row in zip(*values.values(), strict=True)
    ]


@given(factors())
def test_a_product_has_the_product_of_sizes_and_no_lane_twice(parts):
    axes, size = times(parts)
    assert axes.size() == len(lay_out(axes)) == size
    assert len(set(lanes_of(axes))) == size
    assert all(len(column) == size for column in lay_out(axes).columns.values())


@given(factors(), st.randoms())
def test_the_order_of_factors_changes_the_order_of_lanes_only(parts, random):
    shuffled = random.sample(parts, len(parts))
    assert set(lanes_of(times(parts)[0])) == set(lanes_of(times(shuffled)[0]))


@given(factors(), factors())
def test_a_union_has_the_lanes_of_both_once(left, right):
    one, other = times(left)[0], times(right)[0]
    wanted = set(lanes_of(one)) | set(lanes_of(other))
    joined = one + other
    assert joined.size() == len(wanted)
    assert set(lanes_of(joined)) == wanted
    assert set(lanes_of(other + one)) == wanted


@given(factors())
def test_a_union_with_itself_is_itself(parts):
    axes, _ = times(parts)
    assert axes + axes == axes


def test_a_union_keeps_shared_factors_as_dimensions():
    shared = grid(seed=(0, 1, 2))
    joined = shared * grid(optimizer=("adam",), learning_rate=(1e-3, 1e-2)) + shared * grid(
        optimizer=("sgd",), learning_rate=(0.1,), momentum=(0.0, 0.9)
    )
    assert joined.size() == 3 * (2 + 2)
    assert dict(lay_out(joined).dimensions)["seed"] == 3
    momentum = lay_out(joined).columns["momentum"]
    adam = lay_out(joined).columns["optimizer"] == "adam"
    assert np.isnan(momentum[adam]).all()  # it does not apply there
    assert not np.isnan(momentum[~adam]).any()


@st.composite
def any_axes(draw: Callable) -> Axes:
    axes = times(draw(factors()))[0]
    return axes + times(draw(factors()))[0] if draw(st.booleans()) else axes


@given(any_axes(), st.randoms())
def test_lanes_stored_in_any_order_are_read_in_the_order_of_the_grid(axes, random):
    experiment = tiny(axes=axes)
    lanes = lay_out(axes)
    order = np.array(random.sample(range(len(lanes)), len(lanes)))
    flat = skeleton(
        experiment, resolve(experiment).columns, order=order, epochs=np.array([0.0, 1.0]), steps=None,
        snapshots=np.array([0]), quantities=[], constants=[], sizes={},
    )  # fmt: skip
    flat["number"] = ("lane", order)  # what a lane would have stored
    ds = unfold(flat)
    assert dict(ds.number.sizes) == dict(lanes.dimensions)
    np.testing.assert_array_equal(ds.number.values.ravel(), np.arange(len(lanes)))
    complete = resolve(experiment).columns
    for knob in axes.knobs():  # each cell has the values of its lane, as typed
        cells = ds[knob].broadcast_like(ds.number).transpose(*ds.number.dims).values.ravel().tolist()
        for cell, value in zip(cells, complete[knob].tolist(), strict=True):
            assert cell == value or (cell != cell and value != value)


def test_a_knob_that_only_one_side_of_a_union_sweeps_is_labelled_with_its_default():
    axes = grid(seed=(0,)) * grid(learning_rate=(0.1,)) + grid(seed=(0,)) * grid(learning_rate=(0.2,), noise=(0.5,))
    columns_ = resolve(tiny(axes=axes)).columns
    assert columns_["noise"].tolist() == [0.0, 0.5]


def test_lanes_are_in_c_order_over_the_factors():
    lanes = lay_out(grid(seed=(3, 1), width=(8, 4, 6)))
    assert lanes.columns["seed"].tolist() == [3, 3, 3, 1, 1, 1]
    assert lanes.columns["width"].tolist() == [8, 4, 6, 8, 4, 6]


def test_values_are_kept_exactly():
    lanes = lay_out(grid(learning_rate=np.array([1e-3, 0.1]), seed=np.arange(2), activation=("relu", "tanh")))
    assert 1e-3 in lanes.columns["learning_rate"]
    assert lanes.columns["seed"].dtype == np.int64
    assert set(lanes.columns["activation"]) == {"relu", "tanh"}


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 5))
def test_a_sobol_sample_is_a_prefix_of_every_larger_one(points, more, seed):
    ranges = {"learning_rate": log_uniform(1e-4, 1.0), "noise": uniform(0.0, 2.0)}
    small = sampled(points, method="sobol", sample_seed=seed, **ranges).factors[0].rows
    large = sampled(points + more, method="sobol", sample_seed=seed, **ranges).factors[0].rows
    assert large[:points] == small


@pytest.mark.parametrize("method", ["random", "sobol"])
def test_samples_cover_their_ranges_evenly(method):
    axes = sampled(4096, method=method, learning_rate=log_uniform(1e-4, 1.0), noise=uniform(1.0, 3.0))
    rates, noises = np.log(axes.values("learning_rate")), np.array(axes.values("noise"))
    for values, low, high in ((rates, log(1e-4), 0.0), (noises, 1.0, 3.0)):
        unit = (values - low) / (high - low)
        assert unit.min() >= 0
        assert unit.max() < 1
        # Counts in 16 bins: 256 expected, five standard deviations of a binomial at most.
        assert np.abs(np.histogram(unit, 16, (0, 1))[0] - 256).max() < 5 * np.sqrt(256)


def test_sobol_samples_have_equally_many_points_in_every_sixteenth():
    axes = sampled(256, method="sobol", learning_rate=uniform(0.0, 1.0), noise=uniform(0.0, 1.0))
    for knob in axes.knobs():
        assert np.histogram(axes.values(knob), 16, (0, 1))[0].tolist() == [16] * 16


def test_smoke_keeps_the_first_and_last_values():
    axes = grid(seed=range(8), learning_rate=(1e-3, 1e-2, 1e-1), width=(4, 8, 16))
    small = axes.keep_ends(4, {"width"})
    assert small.values("seed") == (0, 7)
    assert small.values("learning_rate") == (1e-3, 1e-1)
    assert small.values("width") == (4, 16)
    assert axes.keep_ends(2, {"width"}).values("learning_rate") == (1e-3,)
    assert axes.keep_ends(2, {"width"}).values("width") == (4, 16)


@st.composite
def tables(draw: Callable) -> dict[str, list]:
    """Draw columns of distinct rows."""
    knobs = draw(st.permutations(list(VALUES)))[: draw(st.integers(1, 4))]
    return dict(zip(knobs, map(list, zip(*draw(columns(knobs, 5)), strict=True)), strict=True))


@given(tables())
def test_a_table_without_gaps_is_its_columns_zipped(given_columns):
    assert table(given_columns) == table(pd.DataFrame(given_columns, index=None)) == zipped(**given_columns)
    shuffled = pd.DataFrame(given_columns).set_index(pd.Index([7] * len(next(iter(given_columns.values())))))
    assert table(shuffled) == zipped(**given_columns)


def test_a_table_with_gaps_has_the_lanes_of_the_union_that_it_writes_out():
    apart = grid(optimizer=("adam",), learning_rate=(1e-3,)) + grid(
        optimizer=("sgd",), learning_rate=(0.1, 1.0), momentum=(0.0, 0.5), width=(8,)
    )
    frame = pd.DataFrame(
        {
            "optimizer": ["adam"] + ["sgd"] * 4, "learning_rate": [1e-3, 0.1, 0.1, 1.0, 1.0],
            "momentum": [np.nan, 0.0, 0.5, 0.0, 0.5], "width": [np.nan, 8, 8, 8, 8],
        }
    )  # fmt: skip
    assert frame["width"].dtype == float
    seeds = grid(seed=(0, 1))
    wanted = lanes_of(seeds * apart)
    for given_frame in (
        frame,
        frame.convert_dtypes(),
        frame.astype({"optimizer": "category"}),
        frame.convert_dtypes().to_dict("list"),
    ):
        axes = seeds * table(given_frame)
        assert axes.dimensions() == ("seed", "point")
        assert set(axes.values("width")) == {None, 8}
        assert all(type(width) is int for width in axes.values("width") if width is not None)
        assert lanes_of(axes) == wanted


def test_a_table_of_results_can_be_joined_to_a_grid():
    chosen = pd.DataFrame({"seed": [3, 4], "width": [8, 16]})
    assert lay_out(table(chosen)).dimensions == (("seed", 2),)
    assert lay_out(table(chosen[["width"]]) + grid(width=(16, 32))).columns["width"].tolist() == [8, 16, 32]


MOST = " lanes, and a sweep has 16,777,216 at most: give fewer values, or divide the sweep among several pages"
REFUSALS = {
    "axis 'seed' is empty: give it at least one value": lambda: grid(seed=()),
    "axis 'seed' has 3 twice: give each value once": lambda: grid(seed=(3, 4, 3)),
    "axis 'noise' must hold finite numbers, got nan": lambda: grid(noise=(0.0, float("nan"))),
    "axis 'noise' must hold finite numbers, got inf": lambda: grid(noise=(0.0, float("inf"))),
    "axis 'seed' must be a list of values, got 3": lambda: grid(seed=3),
    "axis 'activation' must be a list of values, got 'tanh'": lambda: grid(activation="tanh"),
    "zipped axes must have the same length, got seed 2, noise 3": lambda: zipped(seed=(0, 1), noise=(0.1, 0.2, 0.3)),
    "axes seed, noise have a row twice: give each row once": lambda: zipped(seed=(0, 0), noise=(0.1, 0.1)),
    "axis 'seed' is given twice in a product: give it once, or add axes with +": lambda: (
        grid(seed=(0,)) * grid(seed=(1,))
    ),
    "'frequency' is a dimension of results and can't be an axis (target_frequency is one)": lambda: grid(
        frequency=(1,)
    ),
    "points of sampled must be at least 1, got 0": lambda: sampled(0, noise=uniform(0, 1)),
    "points of sampled must be a whole number, got 1.5": lambda: sampled(1.5, noise=uniform(0, 1)),  # type: ignore[arg-type]
    "sample_seed must be at least 0, got -1": lambda: sampled(2, sample_seed=-1, noise=uniform(0, 1)),
    "low of uniform must be a finite number, got 'a'": lambda: uniform("a", "b"),  # type: ignore[arg-type]
    "high of log_uniform must be a finite number, got inf": lambda: log_uniform(1, float("inf")),
    "sampled needs a range for at least one knob, as in sampled(40, learning_rate=uniform(0, 1))": lambda: sampled(3),
    "sampled knows the methods random and sobol, got 'halton'": lambda: sampled(
        2, method="halton", noise=uniform(0, 1)
    ),
    "sampled needs uniform(...), log_uniform(...), integers(...) or choices(...) for 'noise', got (0, 1)": lambda: (
        sampled(2, noise=(0, 1))
    ),
    "uniform needs low < high, got 1, 1": lambda: uniform(1, 1),
    "log_uniform needs 0 < low < high, got 0, 1": lambda: log_uniform(0, 1),
    f"axes make 100,000,000{MOST}": lambda: grid(seed=range(10_000)) * grid(noise=range(10_000)),
    f"axes make 1,000,000,000{MOST}": lambda: grid(seed=range(10**9)),
    f"axes make 16,777,217{MOST}": lambda: sampled(2**24 + 1, noise=uniform(0, 1)),
    "row 3 of the table is the same as row 1, counted from 0: give each row once": lambda: table(
        {"width": [8, 8, 9, 8], "depth": [1, None, 1, None]}
    ),
    "the table has two columns 'width': leave one out": lambda: table(
        pd.DataFrame([[1, 2]], columns=["width", "width"])  # pyright: ignore[reportArgumentType]
    ),
    "a column of the table is named 0, which is no name of a knob: rename it": lambda: table(pd.DataFrame([[1, 2]])),
    "column 'momentum' of the table has no value: leave it out": lambda: table({"momentum": [None, np.nan]}),
    "the table has no columns: give it one for each knob": lambda: table(pd.DataFrame()),
    "the columns of a table must have the same length, got width 2, depth 1": lambda: table(
        {"width": [1, 2], "depth": [1]}
    ),
    "table takes a DataFrame, or a mapping of knobs to columns, got list": lambda: table([1, 2]),
    "column 'width' of the table must be a list of values, got 8": lambda: table({"width": 8}),
    "unknown knob 'widht': did you mean 'width'?": lambda: tiny(axes=table({"widht": [1, 2]})),
    "unknown knob 'learning_rat': did you mean 'learning_rate'?": lambda: tiny(axes=grid(learning_rat=(0.1,))),
}


@pytest.mark.parametrize("message", REFUSALS)
def test_invalid_axes_are_refused_with_a_fix(message):
    with pytest.raises(SweepError) as refused:
        REFUSALS[message]()
    assert str(refused.value) == message


def test_a_knob_that_does_not_apply_is_refused_in_a_product_and_accepted_in_a_union():
    both = grid(optimizer=("adam", "sgd"))
    with pytest.raises(SweepError, match="axis 'momentum' does not apply to optimizer 'adam' with MLP and SumOfSines"):
        tiny(axes=both * grid(momentum=(0.0, 0.9)), optimizer=Optimizer())
    apart = grid(optimizer=("adam",)) + grid(optimizer=("sgd",), momentum=(0.0, 0.9))
    assert tiny(axes=apart, optimizer=Optimizer()).axes.size() == 3


def test_sweeping_width_is_refused_where_hidden_is_given():
    with pytest.raises(SweepError, match="axis 'width' does not apply"):
        tiny(model=MLP(hidden=(4, 4)), axes=grid(width=(4, 8)))
