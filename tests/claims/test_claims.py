"""The command `python -m sweep.claims`: real stores of a tiny page, and all that it refuses."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sweep.claims import __main__ as claims
from sweep.cli.command import run_guarded
from sweep.page.identity import describe
from sweep.page.load import load, smoke
from sweep.results.digests import replace_root

PAGE = """
from sweep.axes import grid
from sweep import Experiment
from sweep.specs import MLP, AtLeast, AtMost, Claim, Record, SumOfSines, log_spaced


def falls(ds):
    return ds.loss.isel(epoch=-1) < ds.loss.isel(epoch=0)


def final_loss(ds):
    return ds.loss.isel(epoch=-1)


def asking(seeds):
    return Experiment(
        question="Does it learn?",
        task=SumOfSines(frequencies=(1, 3), points=16),
        model=MLP(width=6, depth=2),
        axes=grid(seed=range(seeds)),
        epochs=12,
        record=Record(metrics=("loss",), at=log_spaced(4), snapshots=0),
        claims=(
            Claim(id="C1", text="It learns.", source="001", measure=falls, statistic="share", criterion=AtLeast(0.5),
                  figure="loss_curves"),
            Claim(id="C2", text="It learns all.", source="001", measure=final_loss, criterion=AtMost(1e-6)),
        ),
    )


experiment = asking(8)
full = asking(9)
"""
ANSWERS = "# Answers\n\n<!-- claims 001 -->\n<!-- end of claims -->\nThe end.\n"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Run the page once."""
    from sweep.runs.runner import run_sweep

    folder = tmp_path_factory.mktemp("project")
    page = folder / "experiments/questions/tiny.py"
    page.parent.mkdir(parents=True)
    page.write_text(PAGE)
    run_sweep(load(page), out=folder / "results/questions/tiny")
    (folder / "docs").mkdir()
    (folder / "docs/answers.md").write_text(ANSWERS)
    return folder


@pytest.fixture
def project(trained, tmp_path, monkeypatch):
    """Give a copy of the page, its store and the answers file, which a test may change."""
    shutil.copytree(trained, tmp_path / "project")
    monkeypatch.chdir(tmp_path / "project")
    return Path()


STORE = "results/questions/tiny"
FILES = ("--out", "docs/claims.json", "--answers", "docs/answers.md")


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts}


def set_attribute(name, value):
    """Change an attribute of the store."""
    root = Path(STORE, "zarr.json")
    metadata = json.loads(root.read_text())
    metadata["attributes"][name] = value
    replace_root(Path(STORE), json.dumps(metadata).encode())


def entry(**changes):
    base = {
        "id": "C9",
        "source": "001",
        "text": "Of another page.",
        "value": 1,
        "low": 0,
        "high": "inf",
        "seeds": 16,
    }
    return {**base, "criterion": "at least 0", "verdict": "confirmed", "figure": "", **changes}


def test_it_decides_and_writes_the_list_and_the_table(project):
    assert run_guarded(claims.main, [STORE, *FILES]) == 0
    one, two = json.loads(Path("docs/claims.json").read_text())
    assert (one["id"], one["value"], one["high"], one["seeds"], one["verdict"]) == ("C1", 1, 1, 8, "confirmed")
    assert one["low"] == pytest.approx(8 / (8 + 1.96**2), abs=1e-4)
    assert one["figure"] == "figures/questions/tiny/loss_curves.png"
    assert (two["id"], two["verdict"], two["figure"]) == ("C2", "refuted", "")
    text = Path("docs/answers.md").read_text()
    assert text.startswith("# Answers\n\n<!-- claims 001 -->\n| claim |")
    assert "| **confirmed** | [loss_curves](../figures/questions/tiny/loss_curves.png) |" in text
    assert text.endswith("| **refuted** |  |\n<!-- end of claims -->\nThe end.\n")
    assert sorted(path.name for path in Path("docs").iterdir()) == ["answers.md", "claims.json"]


@pytest.mark.parametrize("columns", ["80", "120"])
def test_it_prints_all_of_a_verdict_and_writes_nothing_without_out(project, capsys, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", columns)
    before = contents(project)
    assert run_guarded(claims.main, [STORE]) == 0
    assert contents(project) == before
    printed = capsys.readouterr().out
    assert max(map(len, printed.splitlines())) <= int(columns)
    for word in ("C1: It learns.", "001", "least 0.5", "1 [0.676, 1]", "8", "confirmed", "refuted", "figures/quest"):
        assert word in printed


def test_the_verdicts_of_other_stores_are_kept_and_shown(project):
    Path("docs/claims.json").write_text(json.dumps([entry(), entry(id="C2", text="To be replaced.")]))
    assert run_guarded(claims.main, [STORE, *FILES]) == 0
    kept = json.loads(Path("docs/claims.json").read_text())
    assert [each["id"] for each in kept] == ["C1", "C2", "C9"]
    assert kept[1]["text"] == "It learns all."
    assert kept[2] == entry()
    assert "| C9: Of another page. | 001 | at least 0 | 1 [0, ∞] |" in Path("docs/answers.md").read_text()


def test_the_full_variation_has_figures_of_its_own(project, capsys):
    set_attribute("name", "questions/tiny@full")
    set_attribute("experiment", json.dumps(describe(load("experiments/questions/tiny.py", "full"))))
    assert run_guarded(claims.main, [STORE, "--out", "docs/claims.json"]) == 0
    assert json.loads(Path("docs/claims.json").read_text())[0]["figure"] == (
        "figures/questions/tiny@full/loss_curves.png"
    )


def test_a_smoke_run_shows_that_its_claims_can_be_decided(project, capsys):
    set_attribute("name", "questions/tiny@smoke")
    set_attribute("experiment", json.dumps(describe(smoke(load("experiments/questions/tiny.py")))))
    assert run_guarded(claims.main, [STORE]) == 0
    assert "figures" not in capsys.readouterr().out
    assert run_guarded(claims.main, [STORE, "--out", "smoke.json"]) == 2, "verdicts of a smoke run are not written"
    assert not Path("smoke.json").exists()


def test_a_page_of_which_only_claims_have_changed_needs_no_new_run(project):
    page = Path("experiments/questions/tiny.py")
    page.write_text(PAGE.replace("AtLeast(0.5)", "AtLeast(0.9)"))
    assert run_guarded(claims.main, [STORE, "--out", "docs/claims.json"]) == 0
    assert json.loads(Path("docs/claims.json").read_text())[0]["verdict"] == "undecided"


def edit_page(old, new):
    def change():
        page = Path("experiments/questions/tiny.py")
        page.write_text(PAGE.replace(old, new))

    return change


REFUSED = {
    "no store": (lambda: None, ["results/none"], "no store at results/none: run the page first"),
    "not a store": (lambda: None, ["docs"], "docs is not a store of sweep"),
    "no argument": (lambda: None, [], "no store named: python -m sweep.claims results/PAGE"),
    "incomplete": (lambda: set_attribute("complete", False), [STORE], f"{STORE} is incomplete: run experiments"),
    "page changed": (edit_page("epochs=12", "epochs=13"), [STORE], f"{STORE} is not of experiments/questions/tiny.py"),
    "overrides": (lambda: set_attribute("name", "questions/tiny@1a2b3c4d"), [STORE], "a variation of experiments"),
    "no page": (lambda: None, [STORE, "--experiments", "elsewhere"], "there is no elsewhere/questions/tiny.py"),
    "no claims": (edit_page("claims=(", "figures=() and ("), [STORE], "experiments/questions/tiny.py has no claims"),
    "twice": (lambda: None, [STORE, STORE], f"claim 'C1' is decided by {STORE} and by {STORE}"),
    "no out": (lambda: None, [STORE, "--answers", "docs/answers.md"], "name the JSON file that holds them with --out"),
    "no answers": (
        lambda: None, [STORE, "--out", "docs/claims.json", "--answers", "docs/none.md"],
        "can't read the answers file docs/none.md: No such file",
    ),
    "no block": (
        lambda: Path("docs/answers.md").write_text("# Answers\n"), [STORE, *FILES], "no block for claim 'C1' of '001'"
    ),
    "no end": (
        lambda: Path("docs/answers.md").write_text("<!-- claims 001 -->\n"), [STORE, *FILES], "claims 001 has no end"
    ),
    "bad list": (
        lambda: Path("docs/claims.json").write_text("{}"), [STORE, *FILES], "docs/claims.json is not a list of verdicts"
    ),
    "unwritable": (lambda: None, [STORE, "--out", "/dev/null/c.json"], "/dev/null/c.json"),
    "no folder": (lambda: None, [STORE, "--out", "none/c.json"], "can't write none/c.json: No such file"),
    "folder": (lambda: None, [STORE, "--out", "docs"], "docs is not a list of verdicts (IsADirectoryError"),
    "measure raises": (
        edit_page("return ds.loss.isel(epoch=-1)\n", "return ds.los\n"), [STORE, *FILES],
        "the measure of claim 'C2' raised AttributeError",
    ),
    "measure changes results": (
        edit_page("return ds.loss.isel(epoch=-1)\n", "ds['loss'][:] = 7; return ds.loss.isel(epoch=-1)\n"),
        [STORE, *FILES], "the measure of claim 'C2' raised ValueError: Assignment destination is a view",
    ),
    "option": (lambda: None, [STORE, "--answer", "docs/answers.md"], "did you mean --answers?"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_every_refusal_is_one_line_code_two_and_changes_nothing(project, capsys, case):
    prepare, args, message = REFUSED[case]
    prepare()
    before = contents(project)
    assert run_guarded(claims.main, args) == 2
    printed = capsys.readouterr()
    assert message in printed.err
    assert printed.err.startswith("sweep: ")
    assert printed.err.count("\n") == 1
    assert printed.out == ""
    assert contents(project) == before


def test_help_imports_nothing_heavy_and_deciding_imports_no_jax(project):
    """In a fresh interpreter, because everything is already imported in this one."""
    check = (
        "import sys, sweep.claims.__main__\n"
        "heavy = {'xarray', 'matplotlib', 'scipy', 'zarr', 'jax'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        f"sweep.claims.__main__.main([{STORE!r}, '--out', 'docs/claims.json', '--answers', 'docs/answers.md'])\n"
        "heavy = {'jax', 'jaxlib', 'flax', 'optax', 'matplotlib.pyplot'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", check], check=True, capture_output=True)
