"""A share of every campaign in each `make test`, and larger samples under the marker `faults`."""

from collections.abc import Iterator

import pytest

from .campaigns import CAMPAIGNS, campaign, compiled_once, run
from .trials import FAULTS

SEED = 11


@pytest.fixture(scope="module", autouse=True)
def _compiled_once() -> Iterator[None]:
    """Let all campaigns share their compiled programs, as most begin by training the same page."""
    with compiled_once():
        yield


def faults(name: str, count: int) -> list[str]:
    trials = run(campaign(name), SEED, count, tell=False)
    assert len(trials) == count, "the campaign has fewer cases than are asked for"
    return [f"{trial.outcome}: {trial.name}: {trial.detail}" for trial in trials if trial.outcome in FAULTS]


@pytest.mark.parametrize("name", [name for name in CAMPAIGNS if campaign(name).quick])
def test_a_share_of_faults_is_detected_and_reported_in_one_line(name: str) -> None:
    if reason := campaign(name).missing():
        pytest.skip(reason)
    assert faults(name, campaign(name).quick) == []


@pytest.mark.faults
@pytest.mark.parametrize("name", CAMPAIGNS)
def test_a_sample_of_faults_is_detected_and_reported_in_one_line(name: str) -> None:
    if reason := campaign(name).missing():
        pytest.skip(reason)
    assert faults(name, campaign(name).sample) == []
