"""The command `python -m sweep.compare`, from stores to exit codes."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from synthetic import ended, results

from sweep.base import labels
from sweep.cli.command import run_guarded
from sweep.compare import __main__ as compare

AXES = {"seed": range(8), "learning_rate": [1e-4, 1e-3, 1e-2], "width": [16.0, 64.0]}


def noisy(factor: float = 1.0, *, seed: int = 0, axes=AXES):
    """Results with lognormal losses, in one cell larger by a factor."""
    ds = results(axes)[["loss", "status", "first_bad_epoch"]]
    rng = np.random.default_rng(seed)
    noise = np.exp(0.3 * rng.normal(size=ds["status"].shape))[..., None]
    planted = (ds["learning_rate"] == 1e-3) & (ds["width"] == 64) if "width" in ds.dims else ds["learning_rate"] < 0
    ds["loss"] = (1 + 0 * ds["loss"]) * noise * np.where(planted, factor, 1.0)[..., None]
    return ds


STORES = {
    "a": noisy(),
    "same": noisy(),
    "other": noisy(seed=1),
    "worse": noisy(5.0, seed=1),
    "accurate": noisy().assign(accuracy=noisy()["loss"] / 10),
    "few": noisy(seed=1, axes={**AXES, "seed": range(4)}),
    "elsewhere": noisy(axes={**AXES, "learning_rate": [1.0, 2.0]}),
    "partial": ended(noisy(seed=1), labels.NOT_RUN, noisy()["seed"] == 7),
    "lost": ended(noisy(seed=1), labels.DIVERGED, noisy()["width"] == 16),
}


@pytest.fixture(autouse=True)
def _stores(monkeypatch, tmp_path):
    """Let the names of `STORES` open as synthetic results."""
    import sweep.results.dataset

    real = sweep.results.dataset.open_results

    def opened(path):
        return STORES[path.name] if path.name in STORES else real(path)

    monkeypatch.setattr(sweep.results.dataset, "open_results", opened)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def undrawn(monkeypatch):
    """Let figures be empty where only what is printed or which files are written is looked at: one takes a second."""
    monkeypatch.setattr(compare, "_draw", lambda compared, options: Figure())


def run_command(capsys, *args):
    """Run the command; give its exit code, standard output and standard error."""
    try:
        code = run_guarded(compare.main, args)
    except SystemExit as leaving:
        code = leaving.code
    return code, *capsys.readouterr()


@pytest.mark.parametrize(
    ("args", "code"),
    [
        (["a", "same"], 0),
        (["a", "other"], 0),
        (["a", "worse"], 1),
        (["a", "lost"], 1),
        (["a", "same", "other"], 0),
        (["a", "other", "worse"], 1),
        (["a", "few"], 2),
        (["a", "partial"], 2),
        (["other", "--by", "width", "--epoch", "1000"], 0),
        (["worse", "--by", "width", "--epoch", "1000"], 1),
    ],
)
def test_check_exits_with_code_one_where_outcomes_disagree_beyond_seed_noise(capsys, tmp_path, args, code):
    assert run_command(capsys, *args, "--check")[0] == code
    assert not list(tmp_path.iterdir())


def test_equal_stores_are_reported_as_equal(capsys):
    code, printed, _ = run_command(capsys, "a", "same", "--check")
    assert code == 0
    assert "same against a: equal to the last bit wherever both have it" in printed
    assert "no difference in pages, versions, device and arithmetic" in printed


def test_a_planted_difference_is_printed_first_with_its_interval(capsys):
    code, printed, _ = run_command(capsys, "a", "worse", "--check")
    assert code == 1
    assert "worse against a: higher in 1 of 6 cells, beyond seed noise" in printed
    head = next(place for place, line in enumerate(printed.splitlines()) if "95% interval" in line)
    rate, width, _, _, ratio, low, high, p, *_ = printed.splitlines()[head + 2].replace("[", "").split()
    assert (float(rate), float(width)) == (1e-3, 64)
    assert float(low.strip(",")) < 5 < float(high.strip("]"))
    assert float(low.strip(",")) < float(ratio) < float(high.strip("]"))
    assert float(p) <= 0.05
    assert "check: the outcomes disagree beyond seed noise" in printed


def test_where_only_the_first_lost_lanes_no_library_warns(capsys):
    code, printed, warnings = run_command(capsys, "lost", "a", "--check", "--debug")
    assert code == 1
    assert "24 of 48 (50.0%)" in printed
    assert "divide by zero" not in warnings


@pytest.mark.usefixtures("undrawn")
def test_what_only_one_has_and_lanes_lost_or_not_run_are_printed(capsys):
    printed = run_command(capsys, "accurate", "few", "--check")[1]
    assert "accuracy: only in accurate" in printed
    assert "seed: only accurate has 4, 5, 6, 7" in printed
    assert "no test: too few seeds, and no cell is masked" in printed
    assert "24 of 48 (50.0%)" in run_command(capsys, "a", "lost", "--check")[1]
    assert "partial is incomplete: 6 of 48 lanes have not run to their end" in run_command(capsys, "a", "partial")[1]


@pytest.mark.usefixtures("undrawn")
def test_cells_with_too_few_seeds_are_reported_as_not_tested(capsys, monkeypatch):
    not_run = (noisy()["seed"] > 4) & (noisy()["width"] == 16) & (noisy()["learning_rate"] == 1e-3)
    monkeypatch.setitem(STORES, "holes", ended(noisy(seed=1), labels.NOT_RUN, not_run))
    printed = run_command(capsys, "a", "holes")[1]
    assert "in any of 5 cells" in printed
    assert "; not tested, with too few seeds: 1\n" in printed
    assert "not tested" not in run_command(capsys, "a", "other")[1]


def test_it_writes_the_figure_and_a_table_of_all_cells_and_replaces_its_own_output(capsys, tmp_path):
    code, printed, _ = run_command(capsys, "a", "worse", "--out", "out")
    assert code == 0
    assert printed.splitlines()[-1] == "out"
    out = tmp_path / "out"
    assert {path.name for path in out.iterdir()} == {f"comparison.{end}" for end in ("png", "svg", "pdf")} | {
        "differences.csv"
    }
    with (out / "differences.csv").open() as file:
        table = list(csv.DictReader(file))
    assert len(table) == 6
    (row,) = [row for row in table if float(row["p"]) <= 0.05]
    assert (row["first_name"], row["second_name"]) == ("a", "worse")
    assert (float(row["learning_rate"]), float(row["width"])) == (1e-3, 64)
    cell = {"learning_rate": 1e-3, "width": 64}
    one, other = (STORES[name]["loss"].sel(cell).isel(epoch=-1) for name in ("a", "worse"))
    assert float(row["ratio"]) == pytest.approx(np.exp(np.median(np.log(other / one))), rel=1e-6)
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    assert run_command(capsys, "a", "worse", "--out", "out")[0] == 0
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


@pytest.mark.usefixtures("undrawn")
def test_by_default_the_folder_has_the_stores_names(capsys):
    assert run_command(capsys, "a", "--by", "width")[0] == 0
    assert Path("results/comparisons/a-by-width/comparison.png").is_file()


@pytest.mark.usefixtures("undrawn")
def test_the_name_of_many_stores_is_no_longer_than_a_folder_may_be(capsys, monkeypatch):
    monkeypatch.setitem(STORES, "a" * 80, STORES["a"])
    assert run_command(capsys, "a" * 80, "other", "a" * 80)[0] == 0
    assert Path(f"results/comparisons/{'a' * 80}-and-2-others/comparison.png").is_file()


def test_lanes_without_the_knob_that_is_sliced_are_counted(capsys, monkeypatch):
    """SGD at two momenta, and Adam, which has none."""
    axes = {"seed": range(8), "point": range(3), "learning_rate": [1e-3, 1e-2]}
    momenta = noisy(axes=axes).assign_coords(momentum=("point", [0.0, 0.9, np.nan]))
    monkeypatch.setitem(STORES, "momenta", momenta)
    printed = run_command(capsys, "momenta", "--by", "momentum", "--check")[1]
    assert "16 of 48 lanes have no momentum and are left out" in printed
    assert "left out" not in run_command(capsys, "a", "--by", "width", "--check")[1]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ([], "no store named"),
        (["a"], "two stores or more, or one and --by KNOB"),
        (["a", "other", "--by", "width"], "--by width compares the slices of one store, got 2 stores"),
        (["a", "missing"], "no store at missing"),
        (["a", "foreign"], "foreign is not a store of sweep"),
        (["a", "halfway"], "halfway is truncated"),
        (["a", "newer"], "newer has schema 99, this version reads 1 and 2"),
        (["a", "elsewhere"], "a and elsewhere share no learning rate: 0.0001, 0.001, 0.01 against 1, 2"),
        (
            ["a", "accurate", "--metric", "accuracy"],
            "a has no metric 'accuracy': name another with --metric; it has loss",
        ),
        (["a", "other", "--epoch", "999"], "--epoch 999 is not a record that all have: the nearest is 1000"),
        (["a", "other", "--rows", "depth"], "unknown dimension of what is compared 'depth'"),
        (["a", "other", "--rows", "width", "--columns", "width"], "rows and columns can't both be 'width'"),
        (["a", "other", "--check", "--rows", "width"], "--check alone draws none: add --out"),
        (["a", "other", "--threshold", "nan"], "--threshold nan is no finite number"),
        (["a", "--by", "widht"], "unknown swept knob 'widht': did you mean 'width'?"),
        (["a", "few", "--check"], "--check can't judge few"),
        (
            ["a", *["other"] * 7, "--check"],
            "--check can't judge 7 others together: so few seeds give no p below 0.0078",
        ),
        (["a", "partial", "--check"], "--check takes complete stores"),
        (["a", "other", "--outt", "x"], "did you mean --out?"),
        (["a", "other", "--out", "foreign"], "foreign holds something that this command did not write"),
        (["a", "other", "--out", "a/inside"], "a/inside is, contains or lies in the store a"),
        (["a", "other", "--out", "a", "--force"], "a is, contains or lies in the store a"),
        (["a", "other", "--out", "/dev/null/x"], "can't write /dev/null/x"),
    ],
)
def test_every_refusal_is_one_line_and_code_two_and_changes_nothing(capsys, tmp_path, args, message):
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "notes.txt").write_text("mine")
    attributes = {"arrays": ["loss"], "dimensions": "[]"}
    for name, schema in (("halfway", labels.SCHEMA), ("newer", 99)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "zarr.json").write_text(json.dumps({"attributes": {**attributes, "schema": schema}}))
    before = sorted(tmp_path.rglob("*"))
    code, _, message_line = run_command(capsys, *args)
    assert code == 2
    assert message in message_line
    assert message_line.startswith("sweep: ")
    assert message_line.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.usefixtures("undrawn")
def test_force_replaces_what_is_there(capsys, tmp_path):
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "notes.txt").write_text("mine")
    assert run_command(capsys, "a", "other", "--out", "foreign", "--force")[0] == 0
    assert not (tmp_path / "foreign" / "notes.txt").exists()


def test_help_imports_nothing_heavy_and_comparing_imports_no_jax():
    """In a fresh interpreter, because everything is already imported in this one."""
    check = (
        "import sys, sweep.compare\n"
        "heavy = {'xarray', 'matplotlib', 'scipy', 'zarr', 'jax', 'pandas'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "import sweep.compare.terminal, sweep.compare.page_differences, sweep.plots.figures.comparison\n"
        "heavy = {'jax', 'jaxlib', 'flax', 'optax', 'matplotlib.pyplot'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", check], check=True)
