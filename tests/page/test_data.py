"""Data of one's own on a page: read from files, checked before anything is stored, known by their content."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from helpers import tiny

from sweep import Data, Loss, Optimizer, SweepError, grid, load
from sweep.page.identity import describe, fingerprint
from sweep.page.restore import restore

TABLE = pd.DataFrame({"area": [50.0, 80, 120, 60], "rooms": [1, 3, 4, 2], "price": [1.5, 2.5, 4.0, 1.75]})
WORDS = TABLE.assign(kind=["flat", "house", "house", "flat"])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    WORDS.to_csv(tmp_path / "homes.csv", index=False)
    WORDS.to_parquet(tmp_path / "homes.parquet")
    columns = {name: WORDS[name].to_numpy() for name in ("area", "rooms", "price")}
    np.savez(
        tmp_path / "homes.npz", **columns, both=WORDS[["area", "rooms"]].to_numpy(), kind=WORDS["kind"].to_numpy(str)
    )
    return tmp_path


@pytest.mark.parametrize("kind", ["csv", "parquet", "npz"])
def test_files_of_every_kind_hold_the_same_data(folder: Path, kind: str) -> None:
    task = Data.read(folder / f"homes.{kind}", inputs=["area", "rooms"], targets="price")
    np.testing.assert_array_equal(task.inputs.array, TABLE[["area", "rooms"]].to_numpy())
    np.testing.assert_array_equal(task.targets.array, TABLE["price"])
    assert task.feature_names() == ("area", "rooms")
    assert task == Data.read(folder / "homes.csv", inputs=["area", "rooms"], targets="price")
    classes = Data.read(folder / f"homes.{kind}", inputs="area", targets="kind")
    assert classes.class_names() == ("flat", "house")
    assert classes.targets_as(True).tolist() == [0, 1, 1, 0]


def test_an_array_of_an_npz_file_may_have_several_columns(folder: Path) -> None:
    task = Data.read(folder / "homes.npz", inputs="both", targets=["price", "area"])
    assert task.count_features() == 2
    assert task.feature_names() == ("both_0", "both_1")
    assert task.output_names() == ("price", "area")


def test_all_other_columns_are_inputs_and_a_path_is_relative_to_the_page(folder: Path, tmp_path: Path) -> None:
    page = folder / "page.py"
    page.write_text(
        "from sweep import MLP, Data, Experiment, grid\n"
        "task = Data.read('homes.csv', targets=['price', 'rooms'], inputs=['area'])\n"
        "experiment = Experiment(question='?', task=task, model=MLP(), axes=grid(seed=(0,)))\n"
    )
    task = load(page).task
    assert isinstance(task, Data)
    assert task.output_names() == ("price", "rooms")
    TABLE.to_csv(folder / "plain.csv", index=False)
    assert Data.read(folder / "plain.csv", targets="price").feature_names() == ("area", "rooms")


def test_the_content_counts_and_not_the_path(folder: Path) -> None:
    def code(path: Path) -> str:
        return fingerprint(tiny(task=Data.read(path, inputs=["area"], targets="price")))

    before = code(folder / "homes.csv")
    assert code((folder / "homes.csv").rename(folder / "other.csv")) == before
    TABLE.assign(area=[50.0, 80, 120, 60.5]).to_csv(folder / "homes.csv", index=False)
    assert code(folder / "homes.csv") != before
    page = tiny(task=Data(TABLE[["area"]].to_numpy(), TABLE["price"].to_numpy(), input_names=("area",)))
    assert fingerprint(page) == before
    with pytest.raises(SweepError, match="uses data of its page, which no store holds"):
        restore(describe(page))


def test_changing_an_array_later_does_not_change_the_page() -> None:
    inputs = np.zeros((4, 1))
    page = tiny(task=Data(inputs, [1.0, 2, 3, 4]))
    before = fingerprint(page)
    inputs[0] = 1
    assert fingerprint(page) == before
    assert not page.task.inputs.array.any()  # type: ignore[attr-defined]


def test_a_share_for_validation_leaves_the_rest_to_train_on() -> None:
    task = Data(np.arange(10.0), np.arange(10.0), validation=0.25)
    assert (task.points, task.validation_rows()) == (8, 2)
    assert {"loss", "validation_loss"} <= {*tiny(task=task).applicable_metrics()}
    assert replace(task, validation=0.0).points == 10
    assert replace(task, validation=(np.ones(3), np.ones(3))).validation_rows() == 3


def test_words_of_validation_are_those_of_training() -> None:
    task = Data(np.arange(4.0), ["b", "a", "b", "a"], validation=(np.arange(2.0), ["a", "b"]))
    assert task.targets_as(True).tolist() == [1, 0, 1, 0, 0, 1]
    assert replace(task, noise=0.0) == task


X, Y = np.arange(8.0).reshape(4, 2), np.arange(4.0)
BAD: dict[str, Any] = {
    "inputs and targets must have the same number of rows, got 4 and 3": lambda: Data(X, Y[:3]),
    "inputs must be finite, got nan in row 1, column 1: leave that row out": lambda: Data(
        np.where(X == 3, np.nan, X), Y
    ),
    "targets must be finite, got inf in row 2: leave that row out": lambda: Data(X, np.where(Y == 2, np.inf, Y)),
    "inputs must be numbers, got <U1, such as 'a'": lambda: Data([["a"], ["b"]], [1.0, 2.0]),
    "validation must be less than 1, got 1.5": lambda: Data(X, Y, validation=1.5),
    "validation must be at least 0, got -0.1": lambda: Data(X, Y, validation=-0.1),
    "2 rows are too few to leave some out for validation": lambda: Data(X[:2], Y[:2], validation=0.5),
    "Data need at least 2 rows to train on, got 1": lambda: Data(X[:1], Y[:1]),
    "inputs must have shape (rows, features) and targets (rows,) or (rows, outputs), got (2, 2, 2) and (4,)": lambda: (
        Data(X.reshape(2, 2, 2), Y)
    ),
    "validation inputs must have the 2 features of the training inputs": lambda: Data(X, Y, validation=(X[:, :1], Y)),
    "class 'c' of the validation targets is not one of a, b: leave its rows out": lambda: Data(
        X, list("abab"), validation=(X, list("abac"))
    ),
    "input_names must be 2 different names, one for each column, got ('a',)": lambda: Data(X, Y, input_names=("a",)),
    "unknown standardise 'both_of_them': known: both, inputs, nothing, targets": lambda: Data(
        X,
        Y,
        standardise="both_of_them",  # type: ignore[arg-type]
    ),
    "loss 'cross_entropy' needs targets that are words or whole numbers, got float64: give such a column, or take a "
    "loss of numbers such as 'mean_squared'": lambda: tiny(task=Data(X, Y), loss="cross_entropy"),
    "class 3 is only in the validation targets: leave its rows out": lambda: tiny(
        task=Data(X, [0, 1, 0, 1], validation=(X, [0, 1, 3, 0])), loss="cross_entropy"
    ),
    "axis 'loss_function' has 'cross_entropy', with which a network has other outputs than with the page's loss "
    "'mean_squared': run a page for each": lambda: tiny(
        task=Data(X, [0, 1, 2, 0]), axes=grid(loss_function=("mean_squared", "cross_entropy"))
    ),
    "inputs must have no masked entries: leave their rows out": lambda: Data(np.ma.masked_equal(X, 3), Y),
    "Data take no placement, got 'random': their rows are their points": lambda: Data(X, Y, placement="random"),
    "Data take no points, got 5: their rows are their points": lambda: Data(X, Y, points=5),
    "Data take no low, got -1.0: their rows are their points": lambda: Data(X, Y, low=-1.0),
    "decay_biases=False has no effect, since nothing decays: give Optimizer one of weight_decay, coupled_decay, "
    "decoupled_decay": lambda: tiny(task=Data(X, Y), optimizer=Optimizer("adam", decay_biases=False)),
    "input_names must be a tuple of names, got 'ab'": lambda: Data(X, Y, input_names="ab"),  # type: ignore[arg-type]
    "classes must be different names, got ('a', 'b', 'b')": lambda: Data(X, list("abab"), classes=("a", "b", "b")),
    "classes have no noise, got noise 0.1": lambda: tiny(task=Data(X, list("abab"), noise=0.1), loss=Loss(max)),
    "inputs and targets must have at least one row and one column each": lambda: Data([], []),
    "validation inputs and validation targets must have at least one row and one column each": lambda: Data(
        X, Y, validation=(X[:0], Y[:0])
    ),
    "target_names are of several outputs, and targets are one column, got ('u',)": lambda: Data(
        X, Y, target_names=("u",)
    ),
    "column 1 of the inputs goes to 7e+20, whose squares float32 does not hold: subtract and divide in the page, or "
    "take precision='float64'": lambda: tiny(task=Data(X * [1, 1e20], Y)),
    "column 0 of the targets differs by 3 around 1e+09, too little for float32: subtract and divide in the page, or "
    "take precision='float64'": lambda: tiny(task=Data(X, 1e9 + Y)),
    "column 0 of the targets differs by 3 around 1.1e+09, too little for float32: subtract and divide in the page, or "
    "take precision='float64'": lambda: tiny(task=Data(X, 1_100_000_000 + np.arange(4))),
    "column 0 of the validation targets goes to 3e+30, whose squares float32 does not hold: subtract and divide in the "
    "page, or take precision='float64'": lambda: tiny(task=Data(X, Y, validation=(X, 1e30 * Y))),
    "accumulate=9 is more than the 4 steps of a training: nothing would change": lambda: tiny(
        task=Data(X, Y), optimizer=Optimizer("sgd", accumulate=9), epochs=4
    ),
    "number 'delta' of the loss is given twice: give it once": lambda: Loss("huber", numbers={"delta": 1.0}, delta=2.0),
    "all targets are of the class '1': there is nothing to learn": lambda: tiny(
        task=Data(X, [1, 1, 1, 1]), loss="cross_entropy"
    ),
}


def test_rows_of_several_lengths_are_refused() -> None:
    with pytest.raises(SweepError, match="inputs must be an array, with rows of one length"):
        Data([[1, 2], [3]], [1, 2])


def test_arrays_of_other_shapes_are_refused() -> None:
    with pytest.raises(SweepError, match=r"inputs must have shape \(rows, features\) and targets .* got \(2, 2, 2\)"):
        Data(X.reshape(2, 2, 2), Y)


@pytest.mark.parametrize("message", BAD)
def test_bad_data_are_refused_in_one_line(message: str) -> None:
    with pytest.raises(SweepError) as refused:
        BAD[message]()
    assert str(refused.value) == message


FILES: dict[str, tuple[str, dict[str, Any], str]] = {
    "missing": ("", {"file": "none.csv"}, "there is no file .*none.csv' of data: a relative path begins at"),
    "empty": ("", {}, "can't read data.csv as csv: No columns to parse from file"),
    "only a header": ("a,b\n", {}, "data.csv has no rows: give a file with data"),
    "another kind": ("a,b\n", {"file": "data.txt"}, "data must be a file of .csv, .parquet, .npz, got 'data.txt'"),
    "a name of a gap": ("a,b\n1,2\nNA,3\n", {}, "column 'a' of data.csv must hold numbers, got 'NA' in row 1"),
    "words": ("a,b\n1,2\nx,3\n", {}, "column 'a' of data.csv must hold numbers, got 'x' in row 1"),
    "a gap": ("a,b\n1,2\n,3\n", {}, "inputs must be finite, got nan in row 1, column 'a': leave that row out"),
    "no such column": (
        "area,b\n1,2\n3,4\n",
        {"inputs": ["aera"]},
        "unknown column of data.csv 'aera': did you mean 'area'",
    ),
    "both": ("a,b\n1,2\n3,4\n", {"inputs": ["a", "b"]}, "column 'b' of data.csv can't be an input and a target"),
    "ragged": ("a,b\n1,2\n3,4,5\n", {}, "can't read data.csv as csv: .*Expected 2 fields in line 3, saw 3"),
    "a field too many": (
        "a,b\n0,1,2\n1,2,3\n",
        {},
        "can't read data.csv as csv: rows have more fields than the header",
    ),
    "one name twice": ("a,a,b\n0,1,2\n1,2,3\n", {}, "can't read data.csv as csv: two columns are named 'a'"),
    "classes with a gap": ("a,b\n1,x\n3,\n", {}, "column 'b' of data.csv has no value in row 1: leave that row out"),
}


@pytest.mark.parametrize("kind", FILES)
def test_bad_files_are_refused_in_one_line(tmp_path: Path, kind: str) -> None:
    text, options, message = FILES[kind]
    (tmp_path / "data.csv").write_text(text)
    (tmp_path / "data.txt").write_text(text)
    with pytest.raises(SweepError, match=message) as refused:
        Data.read(tmp_path / options.get("file", "data.csv"), inputs=options.get("inputs"), targets="b")
    assert "\n" not in str(refused.value)


def test_names_may_have_spaces_before_them_and_classes_may_be_called_na(tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text("a, b\n1, NA\n3, EU\n")
    task = Data.read(tmp_path / "data.csv", targets="b")
    assert task.class_names() == ("EU", "NA")
    assert task.targets.array.tolist() == [1, 0]


def test_a_million_numbers_are_no_burden(tmp_path: Path) -> None:
    """A page with 10^6 numbers: made and hashed without a copy for each spec that is made of it."""
    rows = np.random.default_rng(0).normal(size=(100_000, 10))
    page = tiny(task=Data(rows, rows[:, 0], validation=0.1))
    assert replace(page, epochs=3).task.inputs is page.task.inputs  # type: ignore[attr-defined]
