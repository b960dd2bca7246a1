"""Names of pages, variations and stores: all are distinct, and impossible ones are refused before anything is made."""

import json
import os
import shutil
from pathlib import Path

import pytest

from sweep.base.errors import SweepError
from sweep.base.text import check_text, make_visible
from sweep.cli.command import parse_size, run_guarded
from sweep.export.__main__ import main as export
from sweep.files import places
from sweep.files.safe_files import exists
from sweep.page.load import default_store, load, smoke
from sweep.plot import main as plot
from sweep.run import Options, main, resolve
from sweep.runs.runner import run_sweep
from sweep.specs import every

PAGE = """
from sweep import MLP, Experiment, Figure, Linear, Optimizer, Record, grid, log_spaced

experiment = Experiment(
    question="Does it learn?", task=Linear(points=8), model=MLP(depth=0), optimizer=Optimizer("sgd"),
    axes=grid(seed=range(2), learning_rate=(0.01, 0.1)), epochs=4, record=Record(metrics=("loss",), at=log_spaced(2)),
    figures=(Figure("loss_curves"),),
)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    work = tmp_path / "work"
    (work / "home").mkdir(parents=True)
    (work / "page.py").write_text(PAGE)
    monkeypatch.chdir(work)
    monkeypatch.setenv("HOME", str(work / "home"))
    return work


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


def place(*rest: str, **options) -> str:
    return resolve(Options(Path("page.py"), **options), rest).store.as_posix()


@pytest.mark.parametrize(
    ("rest", "options", "expected"),
    [
        ((), {}, "page"),
        ((), {"smoke": True}, "page@smoke"),
        (("--epochs", "7"), {}, "page@epochs-7"),
        (("--epochs=7",), {}, "page@epochs-7"),
        (("--epochs", "4"), {}, "page"),  # as it is
        (("--epochs", "7"), {"smoke": True}, "page@smoke@epochs-7"),
        (("--axes.learning-rate", "1e-3", "0.1"), {}, "page@axes.learning_rate-0.001-0.1"),
        (("--axes.depth", "0", "2"), {}, "page@axes.depth-0-2"),
        (("--batch-size", "3", "--task.noise", "0.50"), {}, "page@batch_size-3,task.noise-0.5"),
        (("--task.low", "-2", "--model.no-bias"), {}, "page@task.low--2,model.bias-False"),
        ((), {"zoom": "learning_rate=1e-2:0.1:5"}, "page@zoom-learning_rate-0.01-0.1-5"),
        ((), {"zoom": "learning_rate=1e-2:0.1:5", "smoke": True}, "page@smoke@zoom-learning_rate-0.01-0.1-5"),
    ],
)
def test_a_variation_is_named_in_words(folder: Path, rest, options, expected):
    assert place(*rest, **options) == f"results/{expected}"


def test_variations_have_names_that_no_other_variation_or_page_has(folder: Path) -> None:
    (folder / "page-smoke.py").write_text(PAGE)
    many = [("--axes.seed", *map(str, range(count))) for count in (30, 31)]  # too many values to list: named by a hash
    others = [("--epochs", "5"), ("--epochs", "50"), ("--task.noise", "5"), *many]
    names = [place(), place(smoke=True), *(place(*rest) for rest in others)]
    names.append(resolve(Options(Path("page-smoke.py")), []).store.as_posix())
    assert len(set(names)) == len(names)
    assert all(len(Path(name).name) < 100 for name in names)
    assert run_guarded(main, ["page.py", "--smoke"]) == 0
    assert run_guarded(main, ["page-smoke.py"]) == 0
    assert sorted(path.name for path in Path("results").iterdir()) == ["page-smoke", "page@smoke"]


def test_a_store_with_an_older_name_is_used_while_there_is_none_with_the_new_name(folder: Path, capsys) -> None:
    args = ["page.py", "--epochs", "7"]
    assert run_guarded(main, args) == 0
    new = Path(place("--epochs", "7"))
    new.rename("results/page-0123abcd")
    before = files(folder / "results")
    assert run_guarded(main, args) == 0
    assert "is complete: nothing to train" in capsys.readouterr().out
    assert files(folder / "results") == before
    shutil.copytree("results/page-0123abcd", new)
    assert place("--epochs", "7") == new.as_posix()


def test_an_older_store_of_another_page_or_experiment_is_not_used(folder: Path) -> None:
    (folder / "page-smoke.py").write_text(PAGE)
    toy = smoke(load("page.py"))
    run_sweep(toy, out="results/page-smoke")
    assert place(smoke=True) == "results/page-smoke"
    root = Path("results/page-smoke/zarr.json")
    whole = json.loads(root.read_text())
    other = json.dumps(json.loads(whole["attributes"]["experiment"]) | {"epochs": 77})
    for name, value in (("name", "page-smoke"), ("experiment", other), ("schema", None)):
        changed = {**whole, "attributes": {**whole["attributes"], name: value}}
        root.write_text(json.dumps(changed))
        assert place(smoke=True) == "results/page@smoke", name
    root.write_text("{")
    assert place(smoke=True) == "results/page@smoke"


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("lr@1e-3.py", "a page's name can't have @ in it, which marks its variations: rename lr@1e-3.py"),
        ("experiments/a@b/page.py", "rename the folder a@b"),
        ("two\nlines.py", "can't have the character '\\n' in it"),
        ("esc\x1b[31m.py", "can't have the character '\\x1b' in it"),
        ("x" * 250 + ".py", "has 250 bytes: take one of at most 240"),
        ("é" * 124 + ".py", "has 248 bytes: take one of at most 240"),
    ],
)
def test_a_page_s_name_that_no_store_can_have_is_refused(folder: Path, capsys, file, message) -> None:
    path = folder / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(PAGE)
    before = files(folder)
    assert run_guarded(main, [file]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert "\x1b" not in error
    assert files(folder) == before


BAD_PLACES = {
    "x" * 256: "has 256 bytes: take one of at most",
    "a/" + "é" * 200: "has 400 bytes",
    "/".join(["d" * 200] * 20): "take one of at most 3500",
    "two\nlines": "can't have the character '\\n' in it",
    "nul\0": "can't have the character '\\x00' in it",
    "\x1b[31mred": "can't have the character '\\x1b' in it",
    os.fsdecode(b"\xff\xfe"): "can't have the character '\\udcff' in it",
    "": "--out is empty",
    " ": "--out is empty",
    "~nobody-of-that-name/x": "there is no home folder ~nobody-of-that-name",
}


@pytest.mark.parametrize("command", ["run", "plot", "compare", "report", "export"])
@pytest.mark.parametrize("out", BAD_PLACES, ids=range(len(BAD_PLACES)))
def test_an_impossible_path_is_refused_before_anything_is_made(folder: Path, capsys, command, out) -> None:
    from sweep.compare.__main__ import main as compare
    from sweep.report.__main__ import main as report

    main_function, args = {
        "run": (main, ["page.py"]), "plot": (plot, ["store"]), "compare": (compare, ["store", "store"]),
        "report": (report, ["store"]), "export": (export, ["store", "--to", "csv"]),
    }[command]  # fmt: skip
    before = files(folder)
    assert run_guarded(main_function, [*args, f"--out={out}"]) == 2
    error = capsys.readouterr().err
    assert BAD_PLACES[out] in error
    assert error.count("\n") == 1
    assert files(folder) == before


@pytest.mark.slow
def test_a_tilde_stands_for_the_home_folder(folder: Path) -> None:
    assert run_guarded(main, ["page.py", "--out=~/x"]) == 0
    assert exists(folder / "home/x")
    made = set(os.listdir("home")) - {".cache", ".config"}  # folders of other libraries
    assert made == {"x"}
    assert not Path("~").exists()
    run_sweep(load("page.py"), out="~/y")
    assert set(os.listdir("home")) - {".cache", ".config"} == {"x", "y"}


def test_a_removed_working_directory_is_refused_in_one_line(folder: Path, monkeypatch, capsys) -> None:
    gone = folder / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    try:
        assert run_guarded(main, ["page.py"]) == 2
        assert run_guarded(plot, ["store"]) == 2
    finally:
        os.chdir(folder)
    first, second = capsys.readouterr().err.splitlines()
    assert first == second
    assert "the working directory can't be used (No such file or directory)" in first


def test_the_longest_possible_names_are_accepted(tmp_path: Path) -> None:
    assert places.parse_path(tmp_path / ("x" * 255)) == tmp_path / ("x" * 255)
    with pytest.raises(SweepError, match="has 256 bytes: take one of at most 240"):
        places.parse_path("x" * 256)
    with pytest.raises(SweepError, match="at most 240"):
        places.parse_path("x" * 241, places.SPARE)
    assert default_store("a/b@full") == Path("results/a/b@full")


def test_text_may_have_line_breaks_and_control_characters_of_an_older_store_are_escaped() -> None:
    check_text("question", "One line,\n    and another: ünï, 漢字, 😀, $x_$?")
    assert make_visible("a\x1b[31m\ud800\nb") == r"a\x1b[31m\ud800" + "\nb"


@pytest.mark.parametrize("text", ["1e999GB", "1e300", "9e17KiB", "nanB", "0"])
def test_more_memory_than_any_machine_has_is_refused(text: str) -> None:
    with pytest.raises(SweepError, match="--memory must be a size such as 2GiB"):
        parse_size(text)


def test_a_period_longer_than_the_training_records_its_first_and_last_step() -> None:
    assert every(10**30).steps(10).tolist() == [0, 10]
