"""The distance of two curves, compared with NumPy, for planted differences."""

import numpy as np
import pytest
import xarray as xr

from sweep.base.labels import CUT, DIVERGED, FINISHED
from sweep.results.distance import distances, has_same_end, last_epoch

EPOCHS = [0.0, 1.0, 5.0, 20.0]


def lane(status: int = FINISHED, *, first_bad: float = np.nan, stop: float = np.nan) -> xr.Dataset:
    """Make a lane with one number, two layers and two snapshots."""
    return xr.Dataset(
        {
            "loss": ("epoch", np.array([4.0, 2.0, 1.0, 0.5], np.float32)),
            "gradient_norm": (("epoch", "layer"), np.arange(1.0, 9.0).reshape(4, 2)),
            "prediction": (("snapshot_epoch", "x"), np.arange(6.0).reshape(2, 3)),
            "target": ("x", [1.0, 2.0, 3.0]),
            "status": ((), np.int8(status)),
            "first_bad_epoch": ((), first_bad),
            "stop_epoch": ((), stop),
        },
        {"epoch": EPOCHS, "snapshot_epoch": [0.0, 20.0], "x": [0.0, 0.5, 1.0], "layer": [0, 1]},
    )


def by_name(stored: xr.Dataset, replayed: xr.Dataset):
    return {each.name: each for each in distances(stored, replayed)}


def test_a_lane_has_distance_0_from_itself_in_every_quantity() -> None:
    found = by_name(lane(), lane())
    sizes = {name: (each.records, each.entries) for name, each in found.items()}
    assert sizes == {"loss": (4, 1), "gradient_norm": (4, 2), "prediction": (2, 3), "target": (1, 3)}
    assert all((each.absolute, each.relative, each.first_difference) == (0, 0, None) for each in found.values())
    assert found["loss"].stored == found["loss"].replayed == 0.5
    assert found["gradient_norm"].stored == 7.5


@pytest.mark.parametrize(
    ("name", "place", "by", "absolute", "relative", "parts"),
    [
        ("loss", (2,), 0.25, 0.25, 0.25, 5.0),
        ("loss", (0,), -1.0, 1.0, 0.25, 0.0),
        ("gradient_norm", (1, 1), 1.0, 1.0, 0.25, 1.0),
        ("prediction", (1, 2), 2.5, 2.5, 0.5, 20.0),
        ("prediction", (0, 0), 0.5, 0.5, np.inf, 0.0),  # against 0
        ("loss", (3,), np.nan, np.inf, np.inf, 20.0),
        ("target", (1,), 1.0, 1.0, 0.5, 0.0),
    ],
)
def test_a_planted_difference_is_found_with_its_epoch_and_size(name, place, by, absolute, relative, parts) -> None:
    replayed = lane()
    replayed[name].values[place] += by
    found = by_name(lane(), replayed)
    own = found.pop(name)
    assert (own.absolute, own.relative, own.first_difference) == (absolute, relative, parts)
    assert all(each.first_difference is None for each in found.values())


def test_the_largest_difference_need_not_be_the_first() -> None:
    replayed = lane()
    replayed.loss.values[1:] += np.array([0.5, 0.25, 1.0], np.float32)
    own = by_name(lane(), replayed)["loss"]
    assert (own.absolute, own.relative, own.first_difference) == (1.0, 2.0, 1.0)


def test_what_is_nan_in_both_is_equal_and_a_layer_or_quantity_that_a_network_does_not_have_counts_as_nan() -> None:
    stored = lane(DIVERGED, first_bad=5.0)
    stored.loss.values[2:] = np.nan
    stored.gradient_norm.values[:, 1] = np.nan
    stored["accuracy"] = ("epoch", np.full(4, np.nan))
    replayed = stored.isel(layer=[0]).drop_vars("accuracy")
    assert all(each.first_difference is None for each in distances(stored, replayed))
    assert has_same_end(stored, replayed)
    stored.accuracy.values[1] = 0.5
    assert by_name(stored, replayed)["accuracy"].first_difference == 1.0


def test_a_lane_that_was_cut_is_compared_up_to_its_cut() -> None:
    stored = lane(CUT, stop=5.0)
    stored.loss.values[3:] = np.nan
    stored.gradient_norm.values[3:] = np.nan
    stored.prediction.values[1:] = np.nan
    found = by_name(stored, lane())
    assert all(each.first_difference is None for each in found.values())
    assert [found[name].records for name in ("loss", "gradient_norm", "prediction", "target")] == [3, 3, 1, 1]
    assert found["loss"].stored == found["loss"].replayed == 1.0
    assert last_epoch(stored) == 5.0


@pytest.mark.parametrize(
    ("stored", "replayed", "same"),
    [
        (lane(), lane(), True),
        (lane(), lane(DIVERGED, first_bad=3.0), False),
        (lane(DIVERGED, first_bad=3.0), lane(DIVERGED, first_bad=3.0), True),
        (lane(DIVERGED, first_bad=3.0), lane(DIVERGED, first_bad=2.0), False),
        (lane(CUT, stop=5.0), lane(), True),
        (lane(CUT, stop=5.0), lane(DIVERGED, first_bad=7.0), True),
        (lane(CUT, stop=5.0), lane(DIVERGED, first_bad=4.0), False),
    ],
)
def test_how_and_when_a_lane_ended_is_compared_too(stored, replayed, same) -> None:
    assert has_same_end(stored, replayed) is same
