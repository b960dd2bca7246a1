"""Which values of a metric are better is stated once, and selection, figures, comparisons and exports follow it.

The metric `score` is defined by the page. Over four seeds it ends at 1 to 4 for a learning rate of 1e-4 (median 2.5),
at 5 to 8 for 1e-3 (median 6.5), and for 1e-2 three lanes of four are lost.
"""

import matplotlib
import numpy as np
import pytest
import xarray as xr
from drawn import axes_of, mesh_of, texts
from helpers import tiny
from synthetic import ended, results

from sweep import measures, stats
from sweep.base import labels
from sweep.base.errors import SweepError
from sweep.claims.verdicts import judge
from sweep.compare.summary import compare, times
from sweep.export import cells as exported
from sweep.page.specs.claim import AtLeast, AtMost, Claim
from sweep.plots import heatmap
from sweep.plots.drawing import style
from sweep.plots.figures.comparison import comparison
from sweep.plots.registry import FIGURES, FILMS
from sweep.report import bokeh_models
from sweep.report import cells as embedded
from sweep.results import schema
from sweep.results.dataset import open_results
from sweep.runs.runner import run_sweep
from sweep.specs import Metric, Record, every
from sweep.stats.intervals import Interval, mean

BETTER = ("lower", "higher", None)
INF = np.inf
ENDS = np.array([[1.0, 5, 9], [2, 6, 9], [3, 7, 9], [4, 8, 9]])
RATES = [1e-4, 1e-3, 1e-2]


def scored(better, *, start=0.5, factor=1.0):
    """Results with `score`, which goes straight from its start to its end."""
    ds = results({"seed": range(4), "learning_rate": RATES}, frequencies=[1.0], epochs=np.array([0.0, 1, 2]), points=2)
    end = xr.DataArray(factor * ENDS, dims=("seed", "learning_rate"))
    share = xr.DataArray([0.0, 0.5, 1.0], dims="epoch")
    attributes = labels.Quantity("score", better=better).attributes()
    ds["score"] = (start + (end - start) * share).assign_attrs(attributes)
    return ended(ds, labels.DIVERGED, (ds.learning_rate == 1e-2) & (ds.seed > 0), from_record=1)


LOST = {"lower": INF, "higher": -INF, None: INF}


# Where it is stated.


def test_the_vocabulary_says_which_values_of_which_metric_are_better():
    assert {name: metric.better for name, metric in labels.METRICS.items()} == {
        "loss": "lower", "clean_loss": "lower", "spectral_error": "lower", "spatial_error": "lower",
        "extrapolation_error": "lower", "accuracy": "higher", "gradient_norm": None, "parameter_norm": None,
        "sharpness": None, "average_loss": "lower", "average_accuracy": "higher", "validation_loss": "lower",
        "validation_accuracy": "higher",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "attributes", "expected"),
    [
        ("accuracy", {}, "higher"),  # a store written before `better` was an attribute
        ("loss", {}, "lower"),
        ("parameter_norm", {}, None),
        ("score", {}, None),
        ("score", {"better": "higher"}, "higher"),
        ("loss", {"better": "higher"}, "higher"),  # the variable's own attribute wins
        ("accuracy", {"better": "whatever"}, "higher"),
        ("score", {"better": "whatever"}, None),
    ],
)
def test_a_variable_states_it_and_for_an_older_one_the_vocabulary_does(name, attributes, expected):
    assert labels.better(name, attributes) == expected
    assert schema.better(xr.DataArray(0.0, name=name, attrs=attributes)) == expected


def test_a_store_holds_it_as_an_attribute(tmp_path):
    own = tuple(Metric(f"own_{better}", lambda moment: moment.loss, better=better) for better in BETTER)
    record = Record(metrics=("loss", "parameter_norm"), own=own, at=every(12), snapshots=0)
    run_sweep(tiny(record=record), out=tmp_path / "store")
    ds = open_results(tmp_path / "store")
    names = ("loss", "parameter_norm", "own_lower", "own_higher", "own_None")
    assert [ds[name].attrs.get("better", "-") for name in names] == ["lower", "-", "lower", "higher", "-"]


# Lost lanes have the worst value.


@pytest.mark.parametrize("better", BETTER)
def test_a_lost_lane_counts_as_the_worst_value(better):
    ds = scored(better)
    last = [*ENDS[:, 0], *ENDS[:, 1], 9.0, *[LOST[better]] * 3]
    np.testing.assert_array_equal(stats.final(ds, "score").transpose("learning_rate", "seed").values.ravel(), last)
    assert measures.final is stats.final
    assert measures.recorded is stats.measured
    assert stats.median(stats.final(ds, "score")).values.tolist() == [2.5, 6.5, LOST[better]]
    assert stats.measured(ds, "score").attrs.get("better") == better
    lower = stats.over_seeds(stats.final(ds, "score"))
    assert (lower["lower"].values[2], lower["upper"].values[2]) == {
        "lower": (INF, INF), "higher": (-INF, -INF), None: (INF, INF)
    }[better]  # fmt: skip


@pytest.mark.parametrize(
    ("better", "criterion", "verdict"),
    [("lower", AtMost(9), "refuted"), ("higher", AtLeast(0), "refuted"), ("higher", AtMost(9), "confirmed")],
)
def test_losing_lanes_never_makes_a_claim_look_better(better, criterion, verdict):
    ds = scored(better).sel(learning_rate=1e-2)
    many = xr.concat([ds.isel(seed=slice(1, 4))] * 4, "seed").assign_coords(seed=range(12))
    claim = Claim(id="C", text="?", source="001", criterion=criterion, measure=lambda ds: measures.final(ds, "score"))
    assert judge(claim, many, "page").verdict == verdict


def test_a_mean_over_lost_seeds_has_an_upper_end_where_higher_is_better():
    values = np.array([0.9, 0.8, 0.95, 0.85, 0.7, 0.9, 0.6, 0.99])
    for lost in (1, 3):
        high = mean([*values, *[-INF] * lost])
        low = mean([*-values, *[INF] * lost])
        assert high == Interval(-INF, -INF, -low.low, 8 + lost)
        assert np.isfinite(high.high)
    both = mean([INF, -INF, *values])
    assert np.isnan(both.value)
    assert (both.low, both.high) == (-INF, INF)


def test_epochs_to_takes_exactly_one_threshold():
    rising = xr.DataArray([0.1, 0.5, 0.9], {"epoch": [0.0, 1.0, 2.0]}, "epoch")
    assert stats.epochs_to(rising, at_least=0.5)["epoch"] == 1
    assert stats.epochs_to(rising, 0.5)["epoch"] == 0
    assert stats.epochs_to(rising, at_least=0.95)["epoch"] == INF
    for wrong in ({}, {"threshold": 0.5, "at_least": 0.5}):
        with pytest.raises(
            SweepError, match=r"epochs_to takes one threshold, but (both|none) .* given: pass threshold= or at_least="
        ):
            stats.epochs_to(rising, **wrong)


# Figures.

TITLES = {
    "lower": "The lowest median final score is 2.5, at learning rate 0.0001",
    "higher": "The highest median final score is 6.5, at learning rate 0.001",
    None: "The median final score goes from 2.5, at learning rate 0.0001, to 6.5, at learning rate 0.001",
}
COLOURS = {"lower": "viridis_r", "higher": "viridis", None: "cividis"}
COUNTED = {
    "lower": "a lane that diverged has the worst value there is",
    "higher": "a lane that diverged has the worst value there is",
    None: "a lane that diverged counts as infinite",
}


@pytest.mark.parametrize("better", BETTER)
@pytest.mark.parametrize("name", ["outcome", "metric_epoch"])
def test_a_heatmap_of_a_metric_names_the_best_cell_or_the_range_where_neither_direction_is_better(name, better):
    figure = FIGURES[name](scored(better), metric="score", rows="learning_rate")
    drawn = texts(figure)
    assert TITLES[better] in drawn
    assert COUNTED[better] in drawn
    assert mesh_of(axes_of(figure)[0]).cmap.name == COLOURS[better]
    last = mesh_of(axes_of(figure)[0]).get_array()[:, -1]
    np.testing.assert_array_equal(np.ma.getdata(last)[:2], [2.5, 6.5])


@pytest.mark.parametrize("better", BETTER)
def test_curves_of_a_metric_are_titled_by_its_best(better):
    assert TITLES[better] in texts(FIGURES["metric_curves"](scored(better), metric="score", lines="learning_rate"))


@pytest.mark.parametrize("better", BETTER)
def test_a_heatmap_of_any_dimensions_is_titled_by_its_best(better):
    ds = scored(better)
    figure_of_results = FIGURES["heatmap"](ds, metric="score", x="learning_rate", y="epoch")
    counted = {"lower": "counted as +inf", "higher": "counted as -inf", None: "counted as +inf"}
    assert counted[better] in texts(figure_of_results)
    titles = {
        "lower": "The lowest median score is 0.5, in 3 of 9 cells",
        "higher": "The highest median score is 6.5, at epoch 2 and learning rate 0.001",
        None: "The median score goes from 0.5, in 3 of 9 cells, to 6.5, at epoch 2 and learning rate 0.001",
    }
    for figure in (figure_of_results, heatmap(ds.score, x="learning_rate", y="epoch", status=ds.status)):
        assert titles[better] in texts(figure)
        assert mesh_of(axes_of(figure)[0]).cmap.name == COLOURS[better]


def test_a_metric_without_a_direction_that_is_constant_is_titled_by_its_value():
    ds = scored(None)
    ds["score"] = (ds["score"] * 0 + 3).assign_attrs(ds["score"].attrs)
    assert "The median final score is 3, at 2 of 3 values of learning rate" in texts(
        FIGURES["outcome"](ds, metric="score", rows="learning_rate")
    )
    assert "The median score is 3, in " in texts(heatmap(ds.score, x="learning_rate", y="epoch", status=ds.status))


def test_a_film_of_a_metric_has_its_colours():
    ds = scored("higher").expand_dims(width=[16.0, 64.0]).transpose("seed", "learning_rate", "width", ...)
    film = FILMS["heatmap_film"](ds, metric="score")
    assert "At epoch 2 the highest median score is 6.5" in texts(film.figure)
    film.draw(2)
    assert mesh_of(axes_of(film.figure)[0]).cmap.name == "viridis"


@pytest.mark.parametrize(
    ("better", "option", "colours", "lost"),
    [
        ("lower", "at_most", "viridis", 0), ("lower", "at_least", "viridis_r", 1),
        ("higher", "at_most", "viridis_r", 1), ("higher", "at_least", "viridis", 0),
        (None, "at_most", "cividis", 0), (None, "at_least", "cividis", 0),
    ],
)  # fmt: skip
def test_a_share_of_seeds_counts_lost_lanes_with_the_bad_ones_or_not_at_all(better, option, colours, lost):
    figure = FIGURES["share"](scored(better), metric="score", rows="learning_rate", **{option: 6.5})
    mesh = mesh_of(axes_of(figure)[0])
    low = [1.0, 0.5, 0.0] if option == "at_most" else [0.0, 0.5, 0.25]
    low[2] += 0.75 * lost
    np.testing.assert_allclose(np.asarray(mesh.get_array()).ravel(), low)
    assert mesh.cmap.name == colours
    note = "a lane that diverged has the worst value there is" if better else "diverged has no value and counts as not"
    assert note in texts(figure)


# Comparisons.


def several(better, **changes):
    """Eight seeds of two rates, none of them lost."""
    ds = scored(better, **changes).isel(learning_rate=slice(2))
    return xr.concat([ds, ds.assign_coords(seed=ds.seed + 4)], "seed").assign_coords(
        data_seed=("seed", np.arange(8)), seed=np.arange(8)
    )


@pytest.mark.parametrize(
    ("better", "colours", "words", "ratio"),
    [
        ("lower", "RdBu_r", "blue is better than the first", True),
        ("higher", "RdBu", "blue is better than the first", False),
        (None, "PuOr", "neither side is better", True),
    ],
)
def test_a_comparison_is_blue_where_it_is_better(better, colours, words, ratio):
    found = compare({"a": several(better), "b": several(better, factor=2.0)}, "score", epoch=2)
    assert (found.better, found.ratio) == (better, ratio)
    assert found.outcome("b") == "higher in 2 of 2 cells, beyond seed noise"
    figure = comparison(found)
    assert words in " ".join(texts(figure).split())
    first, _, gap = axes_of(figure)
    assert mesh_of(first).cmap.name == COLOURS[better]
    assert mesh_of(gap).cmap.name == colours
    red, _, blue, _ = mesh_of(gap).cmap(mesh_of(gap).norm(np.nanmax(mesh_of(gap).get_array())))
    if better:
        assert (blue > red) == (better == "higher")


def test_an_older_part_that_does_not_state_it_follows_the_others():
    new, old = several("higher"), several(None)
    old = ended(old, labels.DIVERGED, old.seed < 8, from_record=1)
    found = compare({"new": new, "old": old}, "score", epoch=2)
    assert found.better == "higher"
    assert (found.values["old"] == -INF).all()
    assert found.outcome("old") == "lower in 2 of 2 cells, beyond seed noise"
    with pytest.raises(SweepError, match="which values of 'score' are better differs: higher in new, lower in low"):
        compare({"new": new, "old": old, "low": several("lower")}, "score")


@pytest.mark.parametrize(
    ("better", "threshold", "at_least", "share"),
    [
        ("lower", 0.05, False, 0.0),  # a tenth of 0.5, its first value
        ("higher", 2.5, True, 6 / 8),  # half way from 0.5 to the median of the last ones, 4.5; 1 and 2 do not get there
        (None, 0.05, False, 0.0),
    ],
)
def test_a_threshold_is_reached_from_the_worse_side(better, threshold, at_least, share):
    found = times(compare({"a": several(better), "b": several(better)}, "score"))
    assert (found.threshold, found.at_least, found.share["a"]) == (threshold, at_least, share)


def test_what_is_fixed_in_a_comparison_is_where_the_first_is_best():
    worlds = {"width": [16.0, 64.0], "depth": [1.0, 2.0], "noise": [0.0, 0.1]}
    base = results({"seed": range(8), **worlds}, epochs=np.array([0.0, 1.0]), points=2)
    base = base[["status", "first_bad_epoch", "loss"]].assign_coords(data_seed=("seed", np.arange(8)))
    base = base.expand_dims(omega0=[1.0, 2.0]).transpose("seed", "omega0", *worlds, "epoch")
    drawn = {}
    for better in BETTER:
        part = base.copy()
        part["score"] = (base["loss"] * 0 + base["noise"] + base["omega0"]).assign_attrs(
            labels.Quantity("score", better=better).attributes()
        )
        drawn[better] = " ".join(texts(comparison(compare({"a": part, "b": part}, "score", epoch=1))).split())
    assert "At noise 0.1, where the first has its highest median" in drawn["higher"]
    assert "At noise 0, where the first has its lowest median" in drawn["lower"]
    assert "At noise 0, where the first has its lowest median" in drawn[None]


# Exports and reports.


@pytest.mark.parametrize(("better", "chosen"), [("lower", [0]), ("higher", [1]), (None, [2])])
def test_of_too_many_cells_the_best_are_exported_by_the_metric_or_else_by_the_loss(monkeypatch, better, chosen):
    """Of `score` the first rate is the lowest and the second the highest; the loss is lowest at the last."""
    ds = scored(better).assign_attrs(complete=1)
    ds = ended(ds, labels.FINISHED, False)
    ds["status"] = ds["status"] * 0 + labels.FINISHED
    ds["score"] = ds["score"].fillna(5.0).assign_attrs(ds["score"].attrs)
    ds["loss"] = ds["loss"].fillna(0.0)
    monkeypatch.setattr(exported, "MOST_RUNS", 1)
    notes = []
    found = list(exported.cells(ds, ["score"], notes.append))
    assert [int(cell.name[:4]) for cell in found] == chosen
    name = "score" if better else "loss"
    assert notes == [f"runs: 1 of 3 combinations of knobs, those with the best {name} at the end, medians over seeds"]


@pytest.mark.parametrize("better", BETTER)
def test_a_report_embeds_lost_lanes_with_the_worst_value(better):
    ds = scored(better).assign_attrs(complete=1)
    _, held = embedded.embed(ds)
    assert held.variables["score"]["better"] == better
    assert held.variables["loss"]["better"] == "lower"
    assert set(bokeh_models.palettes()) == {"lower", "higher", "none"}
    assert embedded._values(ds, "score").sel(learning_rate=1e-2).values[..., -1].ravel()[-1] == LOST[better]


def test_every_direction_has_its_colour_map():
    maps = {better: style_map().name for better, style_map in (
        ("lower", style.lower_better_colours), ("higher", style.higher_better_colours), (None, style.neutral_colours)
    )}  # fmt: skip
    assert maps == COLOURS
    assert matplotlib.colormaps["cividis"](0.0) != style.neutral_colours()(-1.0)
