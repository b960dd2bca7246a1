"""Differences between results, against SciPy's tests and closed forms."""

from itertools import combinations, product

import numpy as np
import pytest
import scipy.stats
import xarray as xr

from sweep.compare import permutation as tested
from sweep.compare.permutation import differences
from sweep.stats import intervals


def side(values, *, first_seed=0) -> xr.DataArray:
    """Values, seeds then cells, as one side of a comparison."""
    values = np.asarray(values, float)
    seeds = np.arange(len(values)) + first_seed
    coords = {"seed": seeds, "data_seed": ("seed", seeds), "cell": np.arange(values.shape[1])}
    return xr.DataArray(values, coords, ("seed", "cell"))


def drawn(seeds=8, cells=5, shift=0.0, seed=0):
    """Two sides that have something in common, the second shifted in its first cell."""
    rng = np.random.default_rng(seed)
    common = rng.normal(size=(seeds, 1))
    first, second = (common + rng.normal(size=(seeds, cells)) for _ in range(2))
    second[:, 0] += shift
    return first, second


@pytest.mark.parametrize("shift", [0.0, 1.0, 3.0])
def test_one_cell_of_pairs_has_the_p_of_scipys_permutation_test(shift):
    first, second = drawn(cells=1, shift=shift)
    found = differences(side(first), side(second), ratio=False)
    expected = scipy.stats.permutation_test(
        (first[:, 0], second[:, 0]), lambda a, b, axis: np.mean(b - a, axis=axis),
        permutation_type="samples", vectorized=True, n_resamples=np.inf,
    ).pvalue  # fmt: skip
    assert found.attrs["design"] == "paired"
    assert found.attrs["p"] == pytest.approx(expected, abs=1e-12)
    assert found["p"].item() == found.attrs["p"]


@pytest.mark.parametrize("shift", [0.0, 1.0, 3.0])
def test_one_cell_of_two_samples_has_the_p_of_scipys_permutation_test(shift):
    first, second = drawn(seeds=6, cells=1, shift=shift)
    found = differences(side(first), side(second[:-1], first_seed=100), ratio=False)
    assert found.attrs["design"] == "too few seeds"  # 5 of them
    found = differences(side(first), side(second, first_seed=100), ratio=False)
    expected = scipy.stats.permutation_test(
        (first[:, 0], second[:, 0]), lambda a, b, axis: np.mean(b, axis=axis) - np.mean(a, axis=axis),
        permutation_type="independent", vectorized=True, n_resamples=np.inf,
    ).pvalue  # fmt: skip
    assert found.attrs["design"] == "two samples"
    assert found.attrs["exchanges"] == 924  # 12! / 6!^2
    assert found.attrs["p"] == pytest.approx(expected, abs=1e-12)


def test_the_p_of_many_cells_is_that_of_the_largest_t_over_all_sign_flips():
    first, second = drawn(shift=1.5)
    gaps = second - first
    flips = np.array(list(product((1, -1), repeat=8)))[:, :, None] * gaps
    largest = np.max(np.abs(scipy.stats.ttest_1samp(flips, 0, axis=1).statistic), axis=1)
    observed = np.abs(scipy.stats.ttest_rel(second, first).statistic)
    expected = [np.mean(largest >= each * (1 - 1e-9)) for each in observed]
    found = differences(side(first), side(second), ratio=False)
    assert found["p"].values == pytest.approx(expected, abs=1e-12)
    assert found.attrs["p"] == min(expected)
    assert found.attrs["tested"] == 5


@pytest.mark.parametrize("sizes", [(7, 6), (6, 7)])
def test_two_samples_that_lack_data_are_compared_by_standardised_means(sizes):
    """All assignments of 13 lanes to two samples, each cell's difference of means over its standard error."""
    rng = np.random.default_rng(5)
    first, second = (rng.normal(shift, 1, (size, 3)) for shift, size in zip((0, 1.5), sizes, strict=True))
    (first if sizes[0] == 7 else second)[0, :2] = np.nan
    pooled = np.concatenate([first, second])
    spread = np.nanstd(pooled, axis=0)

    def largest(chosen):
        second = np.isin(np.arange(13), chosen)
        one, other = pooled[~second], pooled[second]
        counts = [np.sum(~np.isnan(each), axis=0) for each in (one, other)]
        error = spread * np.sqrt(1 / counts[0] + 1 / counts[1])
        return np.abs(np.nanmean(other, axis=0) - np.nanmean(one, axis=0)) / error

    ways = np.array([largest(chosen) for chosen in combinations(range(13), sizes[1])])
    observed = largest(range(sizes[0], 13))
    k = np.sum(~np.isnan(pooled), axis=0)
    scale = np.sqrt((k - 1) / k)  # of a variance by n - 1
    expected = [np.mean(np.max(ways * scale, axis=1) >= each * (1 - 1e-9)) for each in observed * scale]
    found = differences(side(first), side(second, first_seed=100), ratio=False)
    assert found["p"].values == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("first_seed", [0, 100])
@pytest.mark.parametrize("name", ["seed", "data_seed"])
def test_seeds_some_of_which_share_weights_or_data_are_not_tested(first_seed, name):
    first, second = drawn(shift=100.0)
    sides = [side(values, first_seed=start) for values, start in ((first, 0), (second, first_seed))]
    assert differences(*sides, ratio=False).attrs["p"] < 0.05
    shared = [each.assign_coords({name: ("seed", each["seed"].values // 2)}) for each in sides]
    found = differences(*shared, ratio=False)
    assert found.attrs["design"] == "too few seeds"
    assert found["p"].isnull().all()
    same_data = [each.assign_coords(data_seed=("seed", [start] * 8)) for each, start in zip(sides, (0, 1), strict=True)]
    assert differences(*same_data, ratio=False).attrs["p"] < 0.05


def test_where_there_are_too_many_exchanges_they_are_drawn_and_agree_with_t():
    """For normal differences in one cell p is within three standard errors (of 9999 flips) of the t test's."""
    first, second = drawn(seeds=40, cells=1, shift=0.4, seed=3)
    found = differences(side(first), side(second), ratio=False)
    expected = scipy.stats.ttest_rel(first[:, 0], second[:, 0]).pvalue
    assert found.attrs["exchanges"] == 10_000
    assert found.attrs["p"] == pytest.approx(expected, abs=3 * np.sqrt(expected / 9999) + 0.005)
    again = differences(side(first), side(second), ratio=False)
    assert again.attrs["p"] == found.attrs["p"]


def test_differences_of_pairs_are_medians_with_the_interval_of_a_median():
    first, second = drawn(shift=2.0)
    found = differences(side(np.exp(first)), side(np.exp(second)), ratio=True)
    for cell in range(5):
        expected = intervals.median(second[:, cell] - first[:, cell])
        got = [float(found[name][cell]) for name in ("difference", "low", "high")]
        assert got == pytest.approx([expected.value, expected.low, expected.high], rel=1e-9)
    assert found["first"].values == pytest.approx(np.median(np.exp(first), axis=0))
    assert found["second"].values == pytest.approx(np.median(np.exp(second), axis=0))


def test_a_planted_difference_is_found_in_its_cell_and_in_no_other():
    first, second = drawn(seeds=16, cells=24, shift=np.log(20.0), seed=1)
    found = differences(side(np.exp(first)), side(np.exp(second)), ratio=True)
    assert np.flatnonzero(found["p"] <= 0.05).tolist() == [0]
    assert float(found["low"][0]) < np.log(20) < float(found["high"][0])
    assert found.attrs["p"] == float(found["p"][0]) < 0.01


def test_without_a_difference_few_are_found():
    """Among 20 pairs one is expected, and more than 4 in 1 of 400 such tests."""
    sides = (map(side, drawn(16, 24, seed=seed)) for seed in range(20))
    assert sum(differences(*each, ratio=False).attrs["p"] <= 0.05 for each in sides) <= 4


def test_equal_sides_have_no_difference():
    first, _ = drawn()
    first[2] = np.inf
    found = differences(side(first), side(first), ratio=False)
    assert (found["difference"] == 0).all()
    assert (found["p"] == 1).all()
    assert found.attrs["p"] == 1


@pytest.mark.parametrize("first_seed", [0, 100])
def test_constant_cells_and_cells_without_data_make_no_other_cell_nan(first_seed):
    first, second = drawn(seeds=8, cells=4)
    first[:, 1] = second[:, 1] = 0.1  # no difference; 0.1 has no exact mean
    first[:, 2], second[:, 2] = 1.0, 2.0  # the same difference everywhere
    first[:, 3] = np.nan
    found = differences(side(first), side(second, first_seed=first_seed), ratio=False)
    assert found["p"].values[1] == 1
    assert found["difference"].values[[1, 2]].tolist() == [0, 1]
    assert found["p"].values[2] <= 0.01
    assert np.isnan(found["p"].values[3])
    assert found["seeds"].values.tolist() == [8, 8, 8, 0]
    assert 0 < found.attrs["p"] <= 0.01
    assert found.attrs["tested"] == 3


@pytest.mark.parametrize("first_seed", [0, 100])
def test_lost_lanes_are_infinitely_worse_and_never_dropped(first_seed):
    first, second = drawn(seeds=8, cells=3)
    second[:, 0] = np.inf  # all lost
    second[0, 1] = np.inf  # one lost
    first[:, 2] = second[:, 2] = np.inf  # all on both sides
    found = differences(side(first), side(second, first_seed=first_seed), ratio=False)
    assert found["difference"].values[0] == np.inf
    assert found["p"].values[0] <= 0.02
    assert np.isfinite(found["difference"].values[1])
    assert found["difference"].values[2] == 0
    assert found["p"].values[2] == 1
    assert found["seeds"].values.tolist() == [8, 8, 8]
    assert found["lost_first"].values.tolist() == [0, 0, 8]
    assert found["lost_second"].values.tolist() == [8, 1, 8]


def test_where_higher_is_better_a_lost_lane_is_infinitely_low():
    first, second = drawn(cells=1)
    found = differences(side(first), side(np.full_like(second, -np.inf)), ratio=False)
    assert found["difference"].item() == -np.inf
    assert found.attrs["p"] == 2 / 2**8


def test_a_lost_lane_counts_as_the_largest_difference_of_its_cell():
    gaps = np.array([[1.0, -np.inf, np.inf, np.nan], [-2.0, 0.0, -np.inf, 3.0], [np.inf, 0.0, 0.0, 4.0]])
    expected = np.array([[1, -1, 1, 0], [-2, 0, -1, 3], [2, 0, 0, 4]]) / np.sqrt([9, 1, 2, 25])
    assert tested.paired_scores(gaps) == pytest.approx(expected)


def test_a_lost_lane_of_two_samples_counts_as_one_range_beyond_the_others():
    values = np.array([[1.0, 5.0], [3.0, 5.0], [np.inf, np.inf], [np.nan, 5.0]])
    plain = np.array([[1.0, 5.0], [3.0, 5.0], [5.0, 6.0], [3.0, 5.0]])
    centred = plain - plain.mean(axis=0)
    assert tested.pooled_scores(values) == pytest.approx(centred / np.linalg.norm(centred, axis=0))


@pytest.mark.parametrize("seeds", [1, 5])
def test_too_few_shared_seeds_are_not_tested(seeds):
    first, second = drawn(seeds=seeds, shift=100.0)
    found = differences(side(first), side(second), ratio=False)
    assert found.attrs["design"] == "too few seeds"
    assert np.isnan(found.attrs["p"])
    assert found["p"].isnull().all()
    assert np.isfinite(found["difference"]).all()
    assert np.isinf(found["low"]).all()


def test_seeds_are_paired_by_value_and_not_by_position():
    first, second = drawn()
    reversed_side = side(second).isel(seed=slice(None, None, -1))
    one, other = (differences(side(first), each, ratio=False) for each in (side(second), reversed_side))
    xr.testing.assert_identical(one, other)
    shared = differences(side(first), side(second).isel(seed=slice(1, None)), ratio=False)
    assert (shared["seeds"] == 7).all()


def test_relabellings_have_variance_one_and_hold_every_split_once():
    assignments = tested.relabellings(3, 4)
    assert len(assignments) == 35  # 7! / (3! 4!)
    assert len({tuple(row > 0) for row in assignments}) == 35
    assert (assignments[0] > 0).tolist() == [False] * 3 + [True] * 4
    scores = np.random.default_rng(0).normal(size=7)
    scores = (scores - scores.mean()) / np.linalg.norm(scores - scores.mean())
    assert np.var(assignments @ scores) == pytest.approx(1, rel=1e-12)
    drawn_ways = tested.relabellings(16, 16)
    assert drawn_ways.shape == (10_000, 32)
    assert drawn_ways.sum(axis=1) == pytest.approx(np.zeros(10_000), abs=1e-9)


def test_the_shift_of_two_samples_is_the_median_difference_and_its_interval_keeps_its_level():
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=9), rng.normal(size=7)
    found = tested.shift(first, second)
    assert found.value == pytest.approx(np.median(np.subtract.outer(second, first)))
    hits = 0
    for _ in range(1000):
        each = tested.shift(rng.normal(size=8), rng.normal(1.0, 1.0, 8))
        hits += each.low <= 1 <= each.high
    assert 935 <= hits <= 985  # of 1000 at 95%, three standard errors below; a discrete statistic covers a little more


@pytest.mark.parametrize(("few", "depth"), [(6, 5), (7, 8), (8, 13), (10, 23), (12, 37)])
def test_the_ends_of_a_shift_are_those_of_printed_tables(few, depth):
    """Critical values of the Mann-Whitney U, two-sided 5%: the table's, or one rank wider."""
    second = np.arange(few) * 1e-3
    first = np.arange(few) * 1.0
    gaps = np.sort(np.subtract.outer(second, first), axis=None)
    found = tested.shift(first, second)
    assert found.low in (gaps[depth], gaps[depth - 1])
    assert found.high in (gaps[-1 - depth], gaps[-depth])


@pytest.mark.parametrize(
    ("better", "values", "expected"),
    [
        ("lower", [0.0, 2.0, np.inf], True),
        ("higher", [0.5, 1.0], False),
        (None, [-1.0, 2.0], False),
        (None, [1.0], True),
    ],
)
def test_ratios_compare_what_is_never_negative_unless_higher_is_better(better, values, expected):
    assert tested.is_ratio(better, xr.DataArray(values)) == expected


def test_a_loss_of_zero_counts_as_the_smallest_number():
    found = differences(side(np.zeros((6, 1))), side(np.full((6, 1), np.finfo(np.float32).tiny * 10)), ratio=True)
    assert found["difference"].item() == pytest.approx(np.log(10))
    both = differences(side(np.zeros((6, 1))), side(np.zeros((6, 1))), ratio=True)
    assert both["difference"].item() == 0
    assert both.attrs["p"] == 1
