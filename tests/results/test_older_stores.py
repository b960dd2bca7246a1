"""Stores of earlier layouts: they open, and are known as those of their page.

`stores/schema_1` was made by `python -m sweep.run schema_1.py --out schema_1` before hashes left out defaults and the
modules of ours that a page imports from.
"""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from sweep import run
from sweep.cli.command import run_guarded
from sweep.page.identity import describe, differing_fields, fingerprint, has_fingerprint, stored_fingerprint
from sweep.page.load import load
from sweep.results.dataset import open_results
from sweep.results.store import check

STORES = Path(__file__).parent / "stores"
pytestmark = pytest.mark.filterwarnings("ignore:schema_1 has no digests")


@pytest.fixture
def copied(tmp_path, monkeypatch):
    """Give a copy, since commands lock and change a store."""
    shutil.copytree(STORES, tmp_path / "stores")
    monkeypatch.chdir(tmp_path / "stores")
    return Path("schema_1")


def test_a_store_of_schema_1_is_small():
    sizes = [path.stat().st_size for path in (STORES / "schema_1").rglob("*") if path.is_file()]
    assert len(sizes) > 20
    assert sum(sizes) < 200 * 1024


def test_a_store_of_schema_1_opens(copied):
    with pytest.warns(UserWarning, match="schema_1 has no digests, as it is of schema 1"):
        ds = open_results(copied)
    assert ds.attrs["schema"] == 1
    assert dict(ds.sizes) | {"seed": 2, "point": 3, "snapshot_epoch": 2} == dict(ds.sizes)
    assert ds["activation"].values.tolist() == ["tanh", "tanh", "relu"]
    assert ds["overshoot"].notnull().all("epoch").values.tolist() == [[True, False, True]] * 2
    assert np.isfinite(ds["prediction"].isel(point=0)).all()


def test_a_store_of_schema_1_is_recognised_by_its_description(copied):
    attributes, page = check(copied), load("schema_1.py")
    assert attributes["fingerprint"] != fingerprint(page), "it was taken of all fields"
    assert stored_fingerprint(attributes) == fingerprint(page)
    assert differing_fields(page, attributes) == ""
    assert has_fingerprint(attributes, fingerprint(page))
    assert has_fingerprint(attributes, attributes["fingerprint"]), "as a part of it that was run then has it"
    assert not has_fingerprint(attributes, "")
    changed = json.loads(attributes["experiment"])
    changed["task"]["parameters"]["rate"] = 5.0
    assert stored_fingerprint({"experiment": json.dumps(changed)}) != fingerprint(page)


def test_a_store_of_schema_1_names_our_sine_by_its_former_module(copied):
    assert "sine: sweep.sine.sine sine" in check(copied)["experiment"]
    assert "from sweep.record import spatial_error" in check(copied)["experiment"]


def test_a_store_of_schema_1_needs_no_training(copied, capsys):
    assert run_guarded(run.main, ["schema_1.py", "--out", "schema_1", "--figures-dir", "drawn"]) == 0
    assert "schema_1 is complete: nothing to train" in " ".join(capsys.readouterr().out.split())
    now = check(copied)
    assert json.loads(now["experiment"]) == json.loads(json.dumps(describe(load("schema_1.py"))))


def test_a_store_of_schema_1_of_another_page_is_refused(copied, capsys):
    page = Path("schema_1.py")
    page.write_text(page.read_text().replace("rate * x * x", "rate * x"))
    assert run_guarded(run.main, ["schema_1.py", "--out", "schema_1"]) == 2
    assert "it differs in task" in capsys.readouterr().err
