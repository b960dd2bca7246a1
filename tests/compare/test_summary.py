"""Results compared: what is compared, how soon they reach a threshold, and the figure, read from its artists."""

import matplotlib
import numpy as np
import pytest
from drawn import axes_of, hatches, legend, mesh_of, texts
from matplotlib.colors import LogNorm
from synthetic import AXES, ended, results, time_constant

from sweep.base import labels
from sweep.base.errors import SweepError
from sweep.compare.summary import compare, times
from sweep.plots.drawing import style
from sweep.plots.figures.comparison import comparison

GRID = {"seed": range(8), "learning_rate": [1e-4, 1e-3, 1e-2], "width": [16.0, 64.0]}


def noisy(axes=GRID, *, seed=0, factor=1.0, metric="loss"):
    """Results whose values are lognormal, in the first learning rate larger by a factor."""
    ds = results(axes)[["loss", "status", "first_bad_epoch"]]
    noise = np.exp(0.3 * np.random.default_rng(seed).normal(size=ds["status"].shape))[..., None]
    ds["loss"] = (1 + 0 * ds["loss"]) * noise
    ds["loss"] = ds["loss"].where(ds["learning_rate"] > 1e-4, ds["loss"] * factor)
    return ds.rename(loss=metric)


def drawn_cells(axes) -> np.ndarray:
    return np.ma.filled(np.ma.asarray(mesh_of(axes).get_array(), dtype=float), np.nan)


def covered(axes, kind, place) -> bool:
    """Whether the patch of a kind of hatch contains a place."""
    patches = [patch for patch in axes.patches if patch.get_hatch() == style.PATTERNS[kind][2]]
    return any(patch.get_path().contains_point(place) for patch in patches)


# What is compared.


@pytest.mark.parametrize(
    ("axes", "epoch", "dims"),
    [
        (GRID, 1000.0, {"learning_rate": 3, "width": 2}),
        ({"seed": range(8), "learning_rate": [1e-3, 1e-2]}, None, {"learning_rate": 2, "epoch": 28}),
        ({"seed": range(8)}, None, {"epoch": 28}),
    ],
)
def test_the_last_record_is_compared_or_all_where_one_knob_varies(axes, epoch, dims):
    found = compare({"a": results(axes), "b": results(axes)})
    assert found.epoch == epoch
    assert dict(found.found["b"]["difference"].sizes) == dims
    assert found.equal == {"b": True}


def test_a_metric_with_a_dimension_of_its_own_is_compared_along_it():
    found = compare({"a": results(GRID), "b": results(GRID)}, "spectral_error", epoch=92)
    assert dict(found.found["b"]["difference"].sizes) == {"frequency": 5, "learning_rate": 3, "width": 2}


def test_all_others_are_compared_with_the_first():
    found = compare({"a": noisy(), "b": noisy(factor=2.0), "c": noisy(factor=8.0)})
    for name, factor in (("b", 2), ("c", 8)):
        gaps = np.exp(found.found[name]["difference"])
        assert gaps.sel(learning_rate=1e-4).values == pytest.approx(factor, rel=1e-6)
        assert (gaps.sel(learning_rate=[1e-3, 1e-2]) == 1).all()
    assert found.table.groupby("second_name", sort=False).size().to_dict() == {"b": 6, "c": 6}
    assert found.table["ratio"].tolist()[:2] == pytest.approx([2, 2], rel=1e-6)


def test_knobs_may_have_the_names_of_what_a_comparison_finds():
    names = {"learning_rate": "low", "width": "ratio"}
    found = compare({name: noisy(seed=seed).rename(names) for seed, name in enumerate("ab")}).table
    assert {"low_knob", "ratio_knob", "low", "ratio"} <= {*found}
    usual = compare({name: noisy(seed=seed) for seed, name in enumerate("ab")}).table
    np.testing.assert_array_equal(found["low_knob"], usual["learning_rate"])
    np.testing.assert_array_equal(found["low"], usual["low"])


def test_one_store_alone_is_refused():
    with pytest.raises(SweepError, match="two stores or more"):
        compare({"a": noisy()})


def test_equal_losses_are_not_equal_where_other_lanes_diverged():
    one = ended(noisy(), labels.DIVERGED, noisy()["seed"] == 0)
    two = ended(noisy(), labels.DIVERGED, noisy()["seed"] == 1)
    assert compare({"a": one, "b": one}).equal["b"]
    assert not compare({"a": one, "b": two}).equal["b"]


# How soon they reach a threshold.


def test_epochs_to_a_threshold_follow_the_closed_form():
    """Frequency 1 alone: loss = exp(-2 epoch / tau) / 2, and tau doubles with half the learning rate."""
    axes = {"seed": range(8), "learning_rate": [1e-3]}
    fast = results(axes, frequencies=(1,), epochs=np.arange(200.0))
    slow = fast.assign(loss=np.sqrt(fast["loss"] / 2))  # exp(-epoch / tau) / 2
    found = times(compare({"fast": fast, "slow": slow}), 0.05)
    tau = time_constant(1.0, fast)
    expected = {"fast": np.ceil(tau / 2 * np.log(10)), "slow": np.ceil(tau * np.log(10))}
    for name, epochs in expected.items():
        assert found.share[name] == 1
        assert found.median[name] == np.median(epochs)
    assert found.ratio["slow"].value == pytest.approx(np.median(expected["slow"] / expected["fast"]))
    assert found.ratio["slow"].low <= found.ratio["slow"].value <= found.ratio["slow"].high
    assert times(compare({"fast": fast, "slow": slow})).threshold == pytest.approx(0.05)


def test_lanes_that_never_reach_a_threshold_count_and_an_accuracy_reaches_it_from_below():
    ds = ended(results(GRID), labels.DIVERGED, results(GRID)["width"] == 16)
    found = times(compare({"a": ds, "b": ds}), 1e9)
    assert found.share["a"] == 0.5
    assert found.median["a"] == np.inf
    rising = results(GRID)[["status", "loss"]].rename(loss="accuracy")
    rising["accuracy"] = (1 - rising["accuracy"] / 2.5).drop_attrs()  # a loss's state that lower is better
    found = times(compare({"a": rising, "b": rising}, "accuracy"))
    assert (found.threshold, found.at_least) == (0.9, True)
    assert 0 < found.share["a"] < 1


# The figure.


def test_parts_share_one_scale_and_the_difference_has_one_about_equality():
    one, other = noisy(), noisy(factor=20.0)
    figure = comparison(compare({"one": one, "other": other}))
    first, second, gap = axes_of(figure)
    medians = [ds["loss"].isel(epoch=-1).median("seed").transpose("learning_rate", "width") for ds in (one, other)]
    for axes, expected in zip((first, second), medians, strict=True):
        assert drawn_cells(axes) == pytest.approx(expected.values)
    assert drawn_cells(gap) == pytest.approx(np.array([[20.0] * 2, [1.0] * 2, [1.0] * 2]), rel=1e-6)
    norm = mesh_of(gap).norm
    assert mesh_of(first).norm is mesh_of(second).norm is not norm
    assert isinstance(norm, LogNorm)
    assert norm(1.0) == pytest.approx(0.5)
    assert norm(20.0) == pytest.approx(1)
    red, _, blue, _ = mesh_of(gap).cmap(norm(20.0))
    assert red > blue  # worse than the first
    assert [axes.get_title() for axes in (first, second, gap)] == ["one", "other", "other / one"]


def test_only_what_is_beyond_seed_noise_is_not_covered():
    figure = comparison(compare({"a": noisy(), "b": noisy(seed=1, factor=50.0)}))
    gap = axes_of(figure)[2]
    assert hatches(gap) == [style.PATTERNS["noise"][2]]
    assert not covered(gap, "noise", (16, 1e-4))
    assert not covered(gap, "noise", (64, 1e-4))
    assert covered(gap, "noise", (16, 1e-3))
    assert covered(gap, "noise", (64, 1e-2))
    assert legend(figure) == ["within seed noise"]
    assert "higher in 2 of 6 cells, beyond seed noise" in texts(figure)
    caption = texts(figure).replace("\n", " ")
    assert "Covered where the mean ratio (geometric) is within seed noise (family-wise error 5%" in caption


def test_too_few_seeds_are_distinguished_from_noise():
    axes = {**GRID, "seed": range(4)}
    figure = comparison(compare({"a": noisy(axes), "b": noisy(axes, seed=1)}))
    assert hatches(axes_of(figure)[2]) == [style.PATTERNS["few"][2]]
    assert "too few seeds" in texts(figure)
    assert legend(figure) == ["fewer than 6 independent seeds: can't be judged"]


def test_cells_lost_by_one_or_both_and_cells_not_run_have_different_hatches():
    rate, width = noisy()["learning_rate"], noisy()["width"]
    one = ended(noisy(), labels.DIVERGED, (rate == 1e-4) & (width == 16))
    other = ended(noisy(), labels.DIVERGED, (rate == 1e-4))
    other = ended(other, labels.NOT_RUN, (rate == 1e-2) & (width == 64))
    first, second, gap = axes_of(figure := comparison(compare({"one": one, "other": other})))
    assert covered(first, "diverged", (16, 1e-4))
    assert not covered(first, "diverged", (64, 1e-4))
    assert covered(second, "diverged", (64, 1e-4))
    assert covered(gap, "diverged", (16, 1e-4))
    assert covered(gap, "one_lost", (64, 1e-4))
    assert not covered(gap, "noise", (64, 1e-4))
    assert covered(gap, "not_run", (64, 1e-2))
    colour = mesh_of(gap).cmap(mesh_of(gap).norm(drawn_cells(gap)[0, 1]))
    assert colour == matplotlib.colormaps["RdBu_r"](2.0)  # the reddest
    assert "the median lane of one alone diverged" in legend(figure)


def test_an_accuracy_is_subtracted_and_blue_where_it_is_higher():
    one = noisy(metric="loss").rename(loss="accuracy")
    one["accuracy"].attrs.clear()  # the attributes of a loss state that lower is better
    figure = comparison(compare({"one": one, "other": one.assign(accuracy=one["accuracy"] - 0.5)}, "accuracy"))
    gap = axes_of(figure)[2]
    assert drawn_cells(gap) == pytest.approx(np.full((3, 2), -0.5))
    norm = mesh_of(gap).norm
    assert (norm.vmin, norm.vmax, norm(0.0)) == (-0.5, 0.5, 0.5)
    red, _, blue, _ = mesh_of(gap).cmap(norm(-0.5))
    assert red > blue
    assert gap.get_title() == "other \N{MINUS SIGN} one"


def test_with_three_parts_the_differences_are_in_a_second_row():
    figure = comparison(compare({"a": noisy(), "b": noisy(seed=1), "c": noisy(seed=2)}))
    panels = axes_of(figure)
    assert [axes.get_title() for axes in panels] == ["a", "b", "c", "b / a", "c / a"]
    assert len({id(mesh_of(axes).norm) for axes in panels[:3]}) == 1
    assert len({id(mesh_of(axes).norm) for axes in panels[3:]}) == 1
    assert panels[3].get_position().y1 < panels[0].get_position().y0


def test_a_third_dimension_is_a_row_of_panels_for_each_value_and_a_fourth_is_fixed():
    axes = {**GRID, "depth": [1.0, 2.0, 3.0], "noise": [0.0, 0.1]}
    one, other = noisy(axes), noisy(axes, seed=1)
    figure = comparison(compare({"a": one, "b": other}))
    panels = axes_of(figure)
    assert [axes.get_title() for axes in panels[::3]] == [f"a, depth {depth}" for depth in (1, 2, 3)]
    medians = one["loss"].isel(epoch=-1).median("seed")
    best = medians["noise"].values[int(medians.argmin(...)["noise"])]
    expected = medians.sel(noise=best, depth=2).transpose("learning_rate", "width")
    assert drawn_cells(panels[3]) == pytest.approx(expected.values)
    assert f"At noise {best:g}, where the first has its lowest median" in texts(figure)


def test_rows_and_columns_can_be_named_and_unknown_ones_are_refused():
    found = compare({"a": noisy(), "b": noisy(seed=1)})
    swapped = axes_of(comparison(found, rows="width"))[0]
    assert (swapped.get_ylabel(), swapped.get_xlabel()) == ("width", "learning rate")
    with pytest.raises(SweepError, match="did you mean 'width'"):
        comparison(found, rows="widht")
    with pytest.raises(SweepError, match="rows and columns can't both be 'width': name two of learning_rate and width"):
        comparison(found, rows="width", columns="width")


def test_the_caption_says_how_every_panel_was_tested():
    """b by shared seeds, c as two samples."""
    parts = {name: noisy(seed=number) for number, name in enumerate("abc")}
    parts["c"] = parts["c"].assign_coords(seed=range(100, 108), data_seed=("seed", range(100, 108)))
    parts["b"] = parts["b"].assign_coords(data_seed=("seed", [0] * 8))
    parts["a"] = parts["a"].assign_coords(data_seed=("seed", [0] * 8))
    caption = texts(comparison(compare(parts))).replace("\n", " ")
    assert "over pairs of a seed or over all pairs of a lane of each of the ratio" in caption
    assert "permutation of each panel alone, 6 cells, 128 to 10000 exchanges" in caption


def test_a_grid_of_both_seeds_is_noted_as_not_independent():
    """The 4 x 4 lanes of a cell are correlated where they share a seed."""
    seeds = np.repeat(np.arange(4), 4)
    ds = noisy({**GRID, "seed": range(16)}).assign_coords(seed=seeds, data_seed=("seed", np.tile(np.arange(4), 4)))
    found = compare({"a": ds, "b": ds.assign(loss=ds["loss"] * 2)})
    assert "too few seeds" in found.outcome("b")
    assert [note.partition(":")[0] for note in found.notes] == ["a", "b"]
    assert "its 16 are not independent" in found.notes[0]


def test_a_first_part_without_a_finite_median_needs_a_threshold():
    nothing = noisy()
    nothing["loss"] = nothing["loss"] * np.nan
    compared = compare({"a": nothing, "b": noisy()})
    with pytest.raises(SweepError, match=r"^loss has no finite median in a, .* or give one with --threshold$"):
        times(compared)
    assert times(compared, 0.5).threshold == 0.5


@pytest.mark.parametrize("threshold", [np.nan, np.inf])
def test_a_threshold_that_is_no_number_is_refused(threshold):
    with pytest.raises(SweepError, match="is no finite number"):
        times(compare({"a": noisy(), "b": noisy()}), threshold)


@pytest.mark.parametrize(
    "axes", [{"seed": range(8), "learning_rate": [1e-4, 1e-2]}, {"seed": [0], "width": [16.0]}, {"seed": range(8)}]
)
def test_along_one_dimension_or_none_epochs_are_the_columns(axes):
    ds = results(axes)
    first, _, gap = axes_of(comparison(compare({"a": ds, "b": ds})))
    assert first.get_xlabel() == "epoch"
    assert drawn_cells(gap) == pytest.approx(np.ones_like(drawn_cells(gap)))


def test_many_parts_are_thinned_and_the_figure_says_so():
    parts = {f"part {number}": noisy(AXES, seed=number) for number in range(9)}
    figure = comparison(compare(parts))
    assert [axes.get_title() for axes in axes_of(figure)[:6]] == [f"part {number}" for number in (0, 2, 3, 5, 6, 8)]
    assert "6 of 9 parts are drawn" in texts(figure)
