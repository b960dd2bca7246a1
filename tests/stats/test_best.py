"""The table of best combinations: one order, one metric, whatever form the axes have."""

import numpy as np
import pytest
import xarray as xr
from synthetic import ended, results, union

from sweep import SweepError, best, stats
from sweep.base import labels
from sweep.base.labels import CUT, DIVERGED, NOT_RUN, REACHED
from sweep.results import schema
from sweep.seeds import with_interval

WIDTHS = [16.0, 64.0]


def test_the_first_row_is_the_best_place_and_the_numbers_are_those_of_the_statistics() -> None:
    ds = results({"seed": range(8), "learning_rate": [1e-4, 1e-3, 1e-2], "width": WIDTHS})
    ds = ended(ds, DIVERGED, (ds.learning_rate == 1e-2) & (ds.seed < 3), from_record=4)
    table = best(ds, 4)
    assert [*table] == ["learning_rate", "width", "median", "low", "high", "seeds", "lost"]
    assert len(table) == 4
    place = stats.best_place(ds, ("learning_rate", "width"))
    assert table.learning_rate[0] == ds.learning_rate[place["learning_rate"]]
    assert table.width[0] == ds.width[place["width"]]
    assert (np.diff(table["median"]) >= 0).all()
    expected = with_interval(stats.final(ds, "loss"))
    for _, row in table.iterrows():
        cell = expected.sel(learning_rate=row.learning_rate, width=row.width)
        assert [row["median"], row.low, row.high, row.seeds] == [
            float(cell[k]) for k in ("value", "low", "high", "seeds")
        ]
        assert row.lost == (3 if row.learning_rate == 1e-2 else 0)
    assert table.attrs == {"metric": "loss", "units": "1"}
    assert np.isinf(best(ds).high[best(ds).learning_rate == 1e-2]).all()
    assert len(best(ds, 100)) == 6


def test_combinations_that_have_not_run_come_last() -> None:
    ds = results({"seed": range(3), "learning_rate": [1e-4, 1e-2]})
    ds = ended(ds, NOT_RUN, ds.learning_rate == 1e-2)
    ds = ended(ds, DIVERGED, ds.learning_rate == 1e-4)
    table = best(ds)
    assert table.learning_rate.tolist() == [1e-4, 1e-2]
    assert table.seeds.tolist() == [3, 0]
    assert table.lost.tolist() == [3, 0]
    assert table["median"][0] == np.inf
    assert np.isnan(table["median"][1])


def test_lanes_that_reached_the_target_come_first_and_those_cut_last() -> None:
    ds = results({"seed": range(2), "learning_rate": [1e-4, 1e-3, 1e-2]})
    ds["stop_epoch"] = xr.full_like(ds.first_bad_epoch, np.nan)
    ds["status"] = ds.status.where(ds.learning_rate != 1e-4, np.int8(REACHED))
    ds["stop_epoch"] = ds.stop_epoch.where(ds.learning_rate != 1e-4, 10.0)
    ds = ended(ds, CUT, ds.learning_rate == 1e-2, from_record=9)
    ds["stop_epoch"] = ds.stop_epoch.where(ds.learning_rate != 1e-2, 20.0)
    table = best(ds)
    assert table.learning_rate.tolist() == [1e-4, 1e-3, 1e-2]
    assert table.lost.tolist() == [0, 0, 2]


def test_a_metric_of_which_higher_values_are_better_is_ordered_so() -> None:
    ds = results({"seed": range(3), "learning_rate": [1e-4, 1e-3, 1e-2]})
    ds["accuracy"] = (1 / (1 + ds.loss)).assign_attrs(better="higher")
    ds = ended(ds, DIVERGED, ds.learning_rate == 1e-2, from_record=3)
    table = best(ds, metric="accuracy")
    assert table.learning_rate.tolist() == [1e-3, 1e-4, 1e-2]
    assert table["median"].tolist()[2] == -np.inf
    assert table.attrs["metric"] == "accuracy"


def test_a_union_has_each_combination_once_and_empty_cells_where_a_knob_does_not_apply() -> None:
    table = best(union(), 20)
    assert [*table][:3] == ["optimizer", "learning_rate", "momentum"]
    assert len(table) == 11
    assert (table.seeds == 5).all()
    assert table.momentum[table.optimizer == "adam"].isna().all()
    assert not table[["optimizer", "learning_rate", "momentum"]].duplicated().any()


def test_seeds_along_other_dimensions_and_pages_without_axes_are_one_combination() -> None:
    ds = results({"seed": range(4), "learning_rate": [1e-4, 1e-3]})
    seeds = xr.DataArray([7, 8, 9, 10], dims="seed")
    zipped = best(ds.assign_coords(data_seed=seeds))
    assert [*zipped][:1] == ["learning_rate"]
    assert zipped.seeds.tolist() == [4, 4]
    along = ds.stack(point=("learning_rate", "seed"), create_index=False)
    along = along.assign_coords(
        point=range(8), seed=("point", [*range(4)] * 2), learning_rate=("point", [1e-4] * 4 + [1e-3] * 4)
    )
    flat = best(along)
    assert flat.values.tolist() == best(ds).values.tolist()
    alone = best(ds.isel(seed=0, learning_rate=0, drop=True))
    assert [*alone] == ["median", "low", "high", "seeds", "lost"]
    assert alone.seeds.tolist() == [1]


def test_the_metric_that_decides_is_named_in_one_place(monkeypatch) -> None:
    ds = results({"seed": range(3), "learning_rate": [1e-4, 1e-2]})
    ds["validation_accuracy"] = ds.loss.assign_attrs(better="higher")  # the larger the loss, the better
    monkeypatch.setattr(schema, "deciding", lambda ds: "validation_accuracy")
    assert best(ds).learning_rate.tolist() == [1e-4, 1e-2]
    assert stats.best_place(ds, ["learning_rate"]) == {"learning_rate": 0}
    assert float(stats.best_learning_rate(ds)) == 1e-4
    assert best(ds).attrs["metric"] == "validation_accuracy"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"n": 0}, "n must be a whole number of at least 1, got 0"),
        ({"n": 1.5}, "n must be a whole number of at least 1, got 1.5"),
        ({"metric": "los"}, "unknown metric 'los': did you mean 'loss'"),
        ({"metric": "spectral_error"}, "spectral_error has a value for each frequency: choose a metric with one, loss"),
        ({"metric": "parameter_norm"}, "no value of parameter_norm is better than another: .* order, loss"),
    ],
)
def test_what_has_no_order_is_refused(given, message: str) -> None:
    ds = results()
    ds["parameter_norm"] = ds.loss.copy()
    ds.parameter_norm.attrs = labels.METRICS["parameter_norm"].attributes()
    with pytest.raises(SweepError, match=message):
        best(ds, **given)


def test_a_path_without_a_store_is_refused(tmp_path) -> None:
    with pytest.raises(SweepError, match="no store at"):
        best(tmp_path / "nowhere")
