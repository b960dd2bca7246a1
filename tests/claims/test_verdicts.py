"""Claims are decided by synthetic results with known answers."""

from math import inf, isnan, nan

import numpy as np
import pytest
import xarray as xr
from synthetic import EPOCHS, results

from sweep import stats
from sweep.base.errors import SweepError
from sweep.claims.verdicts import decide, figure_path, judge
from sweep.page.specs.claim import STATISTICS
from sweep.specs import AtLeast, AtMost, Between, Claim
from sweep.stats.intervals import Interval

RESULTS = results({"seed": range(16), "learning_rate": [1e-2]}).isel(learning_rate=0, drop=True)


def claiming(measure, criterion, statistic="median", **more):
    return Claim(
        id="C3", text="It is so.", source="001", measure=measure, criterion=criterion, statistic=statistic, **more
    )


def over_seeds(*values, dtype=None):
    """Give a claim's measure that returns these values whatever the results are."""
    return lambda ds: xr.DataArray(np.array(values, dtype), dims="seed")


def judged(measure, criterion, statistic="median"):
    return judge(claiming(measure, criterion, statistic), RESULTS, "questions/xor").verdict


# Known answers: frequency 8 of seed s is halved after 6.4 ln 2 (1 + s / 10) epochs, that is after 4.4 to 11.1.


def halving_epoch(ds):
    return stats.epochs_to(stats.measured(ds, "spectral_error").sel(frequency=8), 0.5)["epoch"]


@pytest.mark.parametrize(
    ("criterion", "verdict"),
    [(AtMost(12), "confirmed"), (AtMost(5), "refuted"), (AtMost(8), "undecided"), (Between(5, 15), "confirmed")],
)
def test_a_median_of_epochs_is_decided_by_the_closed_form(criterion, verdict):
    halved = 6.4 * np.log(2) * (1 + np.arange(16) / 10)
    records = EPOCHS[np.searchsorted(EPOCHS, halved)]
    found = judge(claiming(halving_epoch, criterion), RESULTS, "questions/xor")
    assert found.verdict == verdict
    assert found.value == np.median(records)
    assert (found.low, found.high) == (records[4], records[-5])  # their neighbours are equal
    assert (found.seeds, found.unknown) == (16, 0)


@pytest.mark.parametrize(
    ("first", "criterion", "verdict"),
    [
        (16, AtLeast(0.8), "confirmed"),
        (16, AtLeast(0.81), "undecided"),  # the lower end for 16 of 16 is 0.806
        (0, AtLeast(0.2), "refuted"),
        (0, AtLeast(0.19), "undecided"),
        (8, Between(0.2, 0.8), "confirmed"),
        (8, AtLeast(0.5), "undecided"),
    ],
)
@pytest.mark.parametrize("dtype", [bool, float, int])
def test_a_share_is_decided_by_wilsons_interval(first, criterion, verdict, dtype):
    def measure(ds):
        return (ds.seed < first).astype(dtype)

    assert judged(measure, criterion, "share") == verdict


@pytest.mark.parametrize(
    ("never", "criterion", "verdict"),
    [
        (3, AtMost(20), "confirmed"),
        (4, AtMost(20), "undecided"),  # the upper end is +inf
        (12, AtMost(20), "undecided"),
        (13, AtMost(20), "refuted"),  # the lower end is +inf too
        (13, AtLeast(1000), "confirmed"),
        (16, Between(0, 1e9), "refuted"),
    ],
)
def test_a_median_over_infinite_values_is_decided(never, criterion, verdict):
    epochs = [float(epoch) for epoch in range(1, 17 - never)] + [inf] * never
    assert judged(over_seeds(*epochs), criterion) == verdict


@pytest.mark.parametrize("statistic", ["median", "mean", "variation"])
def test_constant_data_are_decided_even_at_the_end_of_the_criterion(statistic):
    same = 0.0 if statistic == "variation" else 0.3
    measure = over_seeds(*[0.3] * 16)
    assert judged(measure, AtMost(same), statistic) == "confirmed"
    assert judged(measure, Between(same, same), statistic) == "confirmed"
    assert judged(measure, AtLeast(same + 1e-9), statistic) == "refuted"


@pytest.mark.parametrize(
    ("criterion", "verdict"), [(AtLeast(9), "confirmed"), (AtMost(9), "refuted"), (AtMost(10), "undecided")]
)
def test_a_mean_is_decided(criterion, verdict):
    assert judged(over_seeds(*np.linspace(8, 12, 16)), criterion, "mean") == verdict


@pytest.mark.parametrize(
    ("criterion", "verdict"), [(AtMost(0.3), "confirmed"), (AtLeast(0.3), "refuted"), (AtMost(0.12), "undecided")]
)
def test_a_variation_is_decided(criterion, verdict):
    assert judged(over_seeds(*np.linspace(8, 12, 16)), criterion, "variation") == verdict


@pytest.mark.parametrize("statistic", sorted(STATISTICS))
@pytest.mark.parametrize("criterion", [AtMost(1), AtLeast(0), Between(0, 1)])
def test_unknown_seeds_leave_a_claim_undecided(statistic, criterion):
    found = judge(claiming(over_seeds(nan, nan), criterion, statistic), RESULTS, "questions/xor")
    assert found.verdict == "undecided"
    assert isnan(found.value)
    assert (found.seeds, found.unknown) == (0, 2)


@pytest.mark.parametrize(
    ("low", "high", "criterion", "verdict"),
    [
        (1, 2, Between(1, 2), "confirmed"),
        (1, 2, AtLeast(1), "confirmed"),
        (1, 2, AtMost(2), "confirmed"),
        (1, 2, AtLeast(2), "undecided"),  # they have the point 2 in common
        (1, 2, AtMost(1), "undecided"),
        (1, 2, AtLeast(2.001), "refuted"),
        (1, 2, AtMost(0.999), "refuted"),
        (1, 2, Between(1.2, 1.8), "undecided"),
        (1, 2, Between(1.5, 3), "undecided"),
        (1, 2, Between(0, 1.5), "undecided"),
        (1, inf, AtLeast(1), "confirmed"),
        (-inf, inf, AtLeast(-9e9), "undecided"),
        (inf, inf, AtMost(9e9), "refuted"),
    ],
)
def test_an_interval_inside_is_confirmed_one_outside_refuted_and_ends_belong_to_both(low, high, criterion, verdict):
    assert decide(Interval(1.5, low, high, 16), criterion) == verdict


def test_a_verdict_has_the_text_and_the_figure_of_its_claim():
    claim = claiming(over_seeds(*[True] * 15, dtype=bool), AtLeast(0.7), "share", figure="accuracy")
    found = judge(claim, RESULTS, "questions/xor@full")
    assert (found.id, found.source, found.text) == ("C3", "001", "It is so.")
    assert (found.value, found.high, found.seeds) == (1, 1, 15)
    assert found.criterion == "share at least 0.7"
    assert found.figure == "figures/questions/xor@full/accuracy.png"


def test_one_number_is_one_seed_and_dimensions_of_size_one_are_allowed():
    found = judge(claiming(lambda ds: ds.loss.min(), AtMost(1)), RESULTS, "questions/xor")
    assert (found.seeds, found.verdict) == (1, "undecided")
    squeezed = judge(claiming(lambda ds: ds.loss.isel(epoch=[-1]), AtMost(1)), RESULTS, "questions/xor")
    assert (squeezed.seeds, squeezed.verdict) == (16, "confirmed")


@pytest.mark.parametrize(
    ("page", "figure", "path"),
    [
        ("questions/xor", "accuracy", "figures/questions/xor/accuracy.png"),
        ("questions/xor@full", "accuracy", "figures/questions/xor@full/accuracy.png"),
        ("questions/xor", "", ""),
        ("questions/xor@smoke", "accuracy", ""),
    ],
)
def test_only_committed_figures_have_a_path(page, figure, path):
    assert figure_path(page, figure) == path


def misspelt(ds):
    return ds["acuracy"]


def refusing(ds):
    return stats.measured(ds, "acuracy")


@pytest.mark.parametrize(
    ("measure", "statistic", "message"),
    [
        (misspelt, "median", "the measure of claim 'C3' raised KeyError:"),
        (refusing, "median", "the measure of claim 'C3': these results have no 'acuracy'"),
        (lambda ds: 0.5, "median", "must return an xarray.DataArray over seed, got float 0.5"),
        (lambda ds: ds, "median", "must return an xarray.DataArray over seed, got Dataset"),
        (lambda ds: None, "median", "got NoneType None"),
        (lambda ds: ds.loss, "median", "its values lie along epoch 28 too"),
        (lambda ds: ds.loss.isel(epoch=slice(0)), "median", "its values lie along epoch 0 too"),
        (over_seeds("a", "b"), "median", "must return numbers or truth values, got <U1"),
        (over_seeds(1j), "mean", "must return numbers or truth values, got complex128"),
        (over_seeds(True, False), "median", "returns truth values: use statistic='share', not 'median'"),
        (over_seeds(0.0, 0.4, 1.0), "share", "must return truth values for statistic='share', got 0.4"),
        (over_seeds(0.0, inf), "share", "must return truth values for statistic='share', got inf"),
    ],
)
def test_a_measure_with_unusable_values_is_refused_with_the_claims_id(measure, statistic, message):
    with pytest.raises(SweepError, match="the measure of claim 'C3'") as refused:
        judge(claiming(measure, AtMost(1), statistic), RESULTS, "questions/xor")
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)
