"""Results are aligned on what they share."""

import json

import numpy as np
import pytest
import xarray as xr
from synthetic import AXES, EPOCHS, results

from sweep.base import labels
from sweep.base.errors import SweepError
from sweep.compare.alignment import align, slice_by


def small(axes, *, page=None, epochs=EPOCHS) -> xr.Dataset:
    """Results of few variables, with a page that fixes knobs."""
    ds = results(axes, epochs=epochs)[["loss", "spectral_error", "status"]]
    return ds.assign_attrs(experiment=json.dumps(page or {}))


def union() -> xr.Dataset:
    """Adam at two rates, SGD at the same ones with two momenta, as a union is stored: along `point`."""
    rows = [("adam", rate, np.nan) for rate in (1e-3, 1e-2)]
    rows += [("sgd", rate, momentum) for rate in (1e-3, 1e-2) for momentum in (0.0, 0.9)]
    optimizer, rate, momentum = zip(*rows, strict=True)
    ds = small({"seed": range(3), "point": range(6)})
    loss = np.arange(6.0) + 10 * np.arange(3)[:, None]
    ds["loss"] = ds["loss"] * 0 + xr.DataArray(loss, dims=("seed", "point"))
    return ds.assign_coords(
        optimizer=("point", list(optimizer)), learning_rate=("point", list(rate)), momentum=("point", list(momentum))
    )


def test_equal_results_keep_all_their_lanes_and_have_no_notes():
    ds = small(AXES)
    aligned = align({"a": ds, "b": ds}, "loss")
    assert aligned.dims == ("learning_rate", "width")
    assert aligned.notes == ()
    for part in aligned.parts.values():
        assert part["loss"].transpose(*ds["loss"].dims).values.tobytes() == ds["loss"].values.tobytes()
        assert part["seed"].values.tolist() == list(range(5))
        assert (part["status"] == labels.FINISHED).all()


def single_lane() -> xr.Dataset:
    """Results of a page without axes: one lane, which has no dimension."""
    ds = small({"seed": [3], "width": [32]}, page={"seed": 3, "model": {"width": 32}})
    return ds.isel(seed=0, width=0, drop=True)


def test_the_one_lane_of_a_page_without_axes_matches_itself_and_its_equal_in_a_grid():
    ds = single_lane()
    grid = small({"seed": range(5), "width": [16, 32]})
    grid["loss"] = grid["loss"].copy(data=np.arange(grid["loss"].size, dtype=float).reshape(grid["loss"].shape))
    same = align({"a": ds, "b": ds}, "loss")
    assert same.dims == ()
    assert same.notes == ()
    assert same.parts["b"]["loss"].sel(seed=3).values.tobytes() == ds["loss"].values.tobytes()
    aligned = align({"alone": ds, "grid": grid}, "loss")
    expected = grid["loss"].sel(seed=3, width=32)
    assert aligned.parts["grid"]["seed"].values.tolist() == [3]
    assert aligned.parts["grid"]["loss"].squeeze().values.tobytes() == expected.values.tobytes()


@pytest.mark.parametrize(("by", "message"), [("seed", "no other knob is swept here"), ("width", "sweeps no knob")])
def test_a_page_without_axes_has_no_slices(by, message):
    ds = single_lane() if by == "width" else small({"seed": range(3)})
    with pytest.raises(SweepError, match=f"^--by {by}: .*{message}.*"):
        slice_by(ds, by)


def test_an_axis_that_is_longer_or_in_another_order_is_reduced_to_what_is_shared():
    long = small({**AXES, "learning_rate": [1e-2, 1e-4, 0.5, 1e-3]})
    short = small({**AXES, "width": [64.0, 16.0], "seed": range(2, 9)})
    aligned = align({"long": long, "short": short}, "loss")
    for name, ds in (("long", long), ("short", short)):
        part = aligned.parts[name]
        assert part["learning_rate"].values.tolist() == [1e-4, 1e-3, 1e-2]
        assert part["width"].values.tolist() == [16, 64]
        assert part["seed"].values.tolist() == [2, 3, 4]
        xr.testing.assert_equal(
            part["loss"].transpose(*ds["loss"].dims).drop_vars("data_seed"),
            ds["loss"]
            .sel({dim: part[dim] for dim in ("seed", "learning_rate", "width")})
            .drop_vars("data_seed", errors="ignore"),
        )
    assert aligned.notes == (
        "learning_rate: only long has 0.5",
        "seed: only long has 0, 1",
        "seed: only short has 5, 6, 7, 8",
    )


def test_numbers_match_only_if_exactly_equal():
    near = small({**AXES, "learning_rate": [np.nextafter(1e-3, 1), 1e-2]})
    aligned = align({"a": small(AXES), "b": near}, "loss")
    assert aligned.dims == ("width",)
    assert "learning_rate: only a has 0.0001, 0.001" in aligned.notes


def test_a_knob_that_only_one_sweeps_is_compared_at_the_value_that_the_others_page_fixes():
    fixed = small({"seed": range(5), "learning_rate": AXES["learning_rate"]}, page={"model": {"width": 16}})
    aligned = align({"swept": small(AXES), "fixed": fixed}, "loss")
    assert aligned.dims == ("learning_rate",)
    assert aligned.notes == ("width: only swept has 64",)
    expected = small(AXES)["loss"].sel(width=16)
    assert np.array_equal(aligned.parts["swept"]["loss"].transpose(*expected.dims), expected)


def test_epochs_and_metrics_that_differ_are_noted():
    a, b = small(AXES), small(AXES, epochs=EPOCHS[:-3]).drop_vars("spectral_error")
    aligned = align({"a": a, "b": b}, "loss")
    assert aligned.parts["a"]["epoch"].values.tolist() == EPOCHS[:-3].tolist()
    assert aligned.notes == (
        "spectral_error: only in a",
        f"epoch: {len(EPOCHS) - 3} shared, the last {EPOCHS[-4]:g}; there are {len(EPOCHS)} of a",
    )


def test_results_without_a_shared_seed_keep_their_own_seeds():
    aligned = align({"a": small(AXES), "b": small({**AXES, "seed": range(5, 12)})}, "loss")
    assert [part.sizes["seed"] for part in aligned.parts.values()] == [5, 7]


def test_a_seed_with_other_data_is_not_shared():
    a = small(AXES).assign_coords(data_seed=("seed", [0, 1, 2, 3, 4]))
    b = small(AXES).assign_coords(data_seed=("seed", [0, 1, 2, 7, 8]))
    part = align({"a": a, "b": b}, "loss").parts["b"]
    assert part["seed"].values.tolist() == part["data_seed"].values.tolist() == [0, 1, 2]


def test_a_missing_lane_counts_as_not_run():
    """A union without a lane of seed 1 at width 64."""
    rows = [(seed, width) for seed in (0, 1) for width in (16.0, 64.0) if (seed, width) != (1, 64.0)]
    seeds, widths = zip(*rows, strict=True)
    ds = small({"point": range(3)}).assign_coords(seed=("point", list(seeds)), width=("point", list(widths)))
    part = align({"a": ds, "b": ds}, "loss").parts["a"]
    status = part["status"].transpose("seed", "width").values
    assert status.tolist() == [[labels.FINISHED] * 2, [labels.FINISHED, labels.NOT_RUN]]
    assert part["loss"].sel(width=64).isel(seed=1).isnull().all()
    assert part["loss"].notnull().sum() == 3 * len(EPOCHS)


def test_a_grid_matches_a_union_of_the_same_combinations():
    grid = small({"seed": range(3), "learning_rate": [1e-3, 1e-2]}, page={"optimizer": {"name": "sgd"}})
    one = union().isel(point=[2, 4]).drop_vars(["optimizer", "momentum"])
    aligned = align({"grid": grid, "union": one}, "loss")
    assert aligned.dims == ("learning_rate",)
    assert aligned.parts["union"]["loss"].isel(epoch=0).transpose("seed", ...).values.tolist() == [
        [2, 4],
        [12, 14],
        [22, 24],
    ]


def test_slices_of_an_axis():
    ds = small(AXES)
    parts = align(slice_by(ds, "width"), "loss").parts
    assert list(parts) == ["width 16", "width 64"]
    for name, width in (("width 16", 16), ("width 64", 64)):
        expected = ds["loss"].sel(width=width)
        assert np.array_equal(parts[name]["loss"].transpose(*expected.dims), expected)


def test_slices_of_a_union_match_on_what_applies_to_both():
    """Adam has no momentum: it is repeated along SGD's."""
    aligned = align(slice_by(union(), "optimizer"), "loss")
    assert aligned.dims == ("learning_rate", "momentum")
    first = {name: part["loss"].isel(epoch=0, seed=1).transpose(*aligned.dims) for name, part in aligned.parts.items()}
    assert first["adam"].values.tolist() == [[10, 10], [11, 11]]
    assert first["sgd"].values.tolist() == [[12, 13], [14, 15]]
    assert aligned.notes == ("momentum: adam has none, repeated along it",)


def test_combinations_that_are_no_full_grid_lie_along_one_dimension_with_their_knobs():
    ds = union()
    aligned = align({"a": ds, "b": ds}, "loss")
    assert aligned.dims == ("point",)
    part = aligned.parts["b"]
    assert part["optimizer"].values.tolist() == ["adam"] * 2 + ["sgd"] * 4
    assert np.array_equal(part["momentum"], [np.nan, np.nan, 0, 0.9, 0, 0.9], equal_nan=True)
    assert part["loss"].isel(epoch=0, seed=0).values.tolist() == [0, 1, 2, 3, 4, 5]


def test_knobs_that_vary_together_are_one_dimension():
    ds = small({"seed": range(2), "width": [16.0, 64.0]}).assign_coords(depth=("width", [1, 2]))
    aligned = align({"a": ds, "b": ds}, "loss")
    assert aligned.dims == ("width",)
    assert aligned.parts["a"]["depth"].dims == ("width",)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (
            small({**AXES, "learning_rate": [5.0, 6.0]}),
            "a and b share no learning rate: 0.0001, 0.001, 0.01 against 5, 6",
        ),
        (small(AXES).drop_vars("loss"), "b has no metric 'loss': name another with --metric; it has spectral_error"),
        (small(AXES, epochs=np.array([0.0, 0.25, 0.75])), "share no record but that before training"),
        (small(AXES, epochs=np.array([0.25, 0.75])), "a, b share no epoch"),
    ],
)
def test_nothing_in_common_is_refused_in_one_line(other, message):
    with pytest.raises(SweepError) as refused:
        align({"a": small(AXES), "b": other}, "loss")
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("by", "message"),
    [
        ("widht", "did you mean 'width'?"),
        ("seed", "differences are judged over seeds"),
        ("depth", "takes only 2 here"),
    ],
)
def test_a_knob_that_cannot_be_sliced_is_refused(by, message):
    ds = small({**AXES, "depth": [2]})
    with pytest.raises(SweepError, match=message):
        slice_by(ds, by)


def test_a_refused_seed_names_what_can_be_sliced():
    with pytest.raises(SweepError, match=r"name another of learning_rate, width$"):
        slice_by(small(AXES).assign_coords(data_seed=("seed", range(5))), "seed")
