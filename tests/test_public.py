"""The lobby and the documents that repeat something of the code."""

import inspect
import re
import tomllib
from pathlib import Path

import pytest

import sweep
from sweep.labels import METRICS
from sweep.specs.figure import NEEDS

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_the_lobby_is_small_and_every_name_in_it_is_documented() -> None:
    assert len(sweep.__all__) <= 20
    for name in sweep.__all__:
        assert inspect.getdoc(getattr(sweep, name)), name


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'gird'"):
        sweep.gird  # noqa: B018


def test_a_door_s_module_does_not_hide_a_public_function() -> None:
    import sweep.run

    assert callable(sweep.run_sweep)
    assert "run" not in sweep.__all__


def test_version_and_licence_are_one_in_every_file() -> None:
    citation = (ROOT / "CITATION.cff").read_text()
    assert f"version: {PROJECT['version']}" in citation
    assert PROJECT["license"] == "Apache-2.0"
    assert "license: Apache-2.0" in citation
    assert "Apache License" in (ROOT / "LICENSE").read_text()


def test_jaxlib_that_miscompiles_is_excluded() -> None:
    for package in ("jax", "jaxlib"):
        (line,) = [each for each in PROJECT["dependencies"] if re.match(rf"{package}\b", each)]
        assert "!=0.10.2" in line
    assert "==0.10.2" not in (ROOT / "constraints.txt").read_text()


def test_constraints_are_names_versions_and_markers_only() -> None:
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            assert re.fullmatch(r"[A-Za-z0-9_.\-\[\]]+==[\w.+]+( *; *[\w ()<>=.'\"]+)?( *#.*)?", line), line


def test_the_changelog_names_every_figure() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text()
    assert all(f"`{name}`" in changelog for name in NEEDS)


def test_no_metric_shares_a_name_with_another() -> None:
    assert len({quantity.long_name for quantity in METRICS.values()}) == len(METRICS)
