"""The check over all cells keeps its level; this is a small part of the study in benchmarks/."""

from itertools import product

import numpy as np
import pytest
import xarray as xr

from benchmarks.false_positives import Setting, draw, p_value, share_rejected
from sweep.compare.permutation import differences

# Each of the three takes both of its values in `make test`, and every two of them all four combinations of theirs.
QUICK = ((8, True, True), (8, False, False), (16, True, False), (16, False, True))


@pytest.mark.parametrize(
    ("seeds", "paired", "lossy", "pairs"),
    [
        pytest.param(*setting, 200 if setting[0] == 64 else 1000, marks=[pytest.mark.slow] * (setting not in QUICK))
        for setting in product((8, 16, 64), (True, False), (False, True))
    ],
)
def test_results_without_a_difference_are_rarely_rejected(seeds, paired, lossy, pairs):
    """At most 7% at the 95% level."""
    assert share_rejected(Setting(seeds, paired, lossy), pairs) <= 0.07


def test_a_shift_of_one_standard_deviation_is_found_more_often_with_more_seeds():
    few, many = (share_rejected(Setting(seeds, True, False, 1.0, 6), 100) for seeds in (8, 16))
    assert few < 0.7 < many


@pytest.mark.parametrize("paired", [True, False])
def test_the_study_tests_what_the_command_does(paired):
    """Both use all sign flips of 8 pairs; for two samples the study uses fewer exchanges."""
    setting = Setting(8, paired, lossy=True, shift=1.0, shifted=6)
    first, second = draw(setting, np.random.default_rng(1))
    sides = []
    for values, start in ((first, 0), (second, 0 if paired else 8)):
        seeds = np.arange(8) + start
        coords = {"seed": seeds, "data_seed": ("seed", seeds)}
        sides.append(xr.DataArray(np.exp(values), coords, ("seed", "cell")))
    found = differences(*sides, ratio=True).attrs["p"]
    assert p_value(first, second, paired=paired) == pytest.approx(found, abs=1e-12 if paired else 0.03)
