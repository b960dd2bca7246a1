"""A store is data: whatever anybody has put into one, it opens or is refused in one line, and nothing else happens."""

import json
import os
import shutil
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import tiny

from sweep import Metric, Record, SweepError, log_spaced, open_results, run_sweep
from sweep.base.labels import METRICS, Quantity
from sweep.base.masks import write_mask
from sweep.cli.command import run_guarded
from sweep.files.bounded_json import MOST_DEPTH, parse
from sweep.results import store as stores
from sweep.results.checks import attributes, hierarchy, memory
from sweep.results.checks.arrays import words_of
from sweep.results.checks.attributes import check_attributes
from sweep.results.checks.chunks import MOST_EXPANSION
from sweep.results.checks.variables import FIRST_METRICS

sys.path.insert(0, str(Path(__file__).parents[1] / "faults"))
from hostile_stores import age, hostile

pytestmark = pytest.mark.filterwarnings("ignore:.*has no digests")

PAGE = """
from pathlib import Path

from sweep import MLP, Experiment, Figure, Record, SumOfSines, grid, log_spaced, zipped
from sweep.specs import AtMost, Claim

Path("run").touch()


def last(ds):
    return ds.loss.isel(epoch=-1, learning_rate=0, activation=0)


experiment = Experiment(
    question="Does it learn?",
    task=SumOfSines(frequencies=(1, 3), points=16),
    model=MLP(depth=1, width=4),
    axes=zipped(seed=range(8), data_seed=range(8))
    * grid(learning_rate=(1e-3, 1e-2), activation=("tanh", "relu")),
    epochs=5,
    record=Record(at=log_spaced(3), snapshots=2),
    figures=(Figure("loss_curves"),),
    claims=(Claim(id="C1", text="It is small.", source="001", measure=last, criterion=AtMost(1e3)),),
)
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run the page once; no test may change this store."""
    from sweep.page.load import load

    folder = tmp_path_factory.mktemp("project")
    (folder / "experiments").mkdir()
    page = folder / "experiments/page.py"
    page.write_text(PAGE.replace('Path("run").touch()', ""))
    run_sweep(load(page), out=folder / "store")
    page.write_text(PAGE)
    return folder


@pytest.fixture
def store(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(made, tmp_path / "project")
    monkeypatch.chdir(tmp_path / "project")
    age(Path("store"))  # what is changed below would else be seen as damage before it is looked at
    return Path("store")


@contextmanager
def at_most(seconds: int) -> Iterator[None]:
    """Fail if the block waits forever, as for a pipe to which nobody writes."""

    def late(*_: Any) -> None:
        raise AssertionError(f"more than {seconds} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def root(store: Path, **changed: Any) -> None:
    found = json.loads((store / "zarr.json").read_text())
    found["attributes"].update(changed)
    (store / "zarr.json").write_text(json.dumps(found))


def array(store: Path, name: str, **changed: Any) -> None:
    file = store / name / "zarr.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changed))


def labelled(store: Path, name: str, **changed: Any) -> None:
    told = json.loads((store / name / "zarr.json").read_text())["attributes"]
    array(store, name, attributes=told | changed)


def refusal(store: Path) -> str:
    with at_most(30), pytest.raises(SweepError) as refused:
        open_results(store)
    told = str(refused.value)
    assert str(store) in told
    assert len(told.splitlines()) == 1
    return told


def test_a_store_of_a_run_opens_and_its_name_may_be_a_link(store: Path, tmp_path: Path) -> None:
    (tmp_path / "linked").symlink_to(store.resolve())
    assert open_results(tmp_path / "linked").identical(open_results(store))


def commands(store: Path) -> dict[str, tuple[Any, list[str]]]:
    from sweep import plot
    from sweep.claims import __main__ as claims
    from sweep.compare import __main__ as compare
    from sweep.export import __main__ as export
    from sweep.report import __main__ as report

    return {
        "plot": (plot.main, [str(store), "--out", "figures", "--force"]),
        "compare": (compare.main, [str(store), "store", "--out", "compared", "--force"]),
        "report": (report.main, [str(store), "--out", "report.html", "--force"]),
        "claims": (claims.main, [str(store)]),
        "export": (export.main, [str(store), "--to", "csv", "--out", "csv", "--force"]),
    }


@pytest.mark.slow
def test_every_command_opens_or_refuses_generated_stores_in_one_line(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`make test-faults` tests more of them."""
    refused, path = 0, tmp_path / "hostile"
    for number in range(0, 60, 5):
        told = hostile(store, path, number, 5)
        for name, (main, args) in commands(path).items():
            with at_most(60):
                code = run_guarded(main, args)
            out, err = capsys.readouterr()
            assert code in (0, 2), (told, name, err)
            assert len([line for line in err.splitlines() if line.startswith("sweep: ")]) == (code == 2), (told, err)
            assert not {"\x1b", "\x07", "\u202e", "\x9b"} & {*out, *err}, (told, name)
            refused += code == 2
        shutil.rmtree(path)
    assert refused > 12, "the generator makes nothing that is wrong"


# Attributes.


@pytest.mark.parametrize(
    "name",
    [
        *attributes.TEXTS,
        *attributes.STRUCTURED,
        *attributes.COUNTS,
        *attributes.SECONDS,
        "complete",
    ],
)
@pytest.mark.parametrize("value", [None, [1], {"a": 1}, "\x1b[31m", "x" * 2**21, -1, 10**30, 0.5], ids=str)
def test_an_attribute_of_another_type_is_refused(made: Path, name: str, value: Any) -> None:
    told = json.loads((made / "store/zarr.json").read_text())["attributes"]
    check_attributes(told)
    if (value == 0.5 and name in attributes.SECONDS) or (value is None and name in attributes.MAY_BE_NONE):
        return  # that is what they are
    if name in ("experiment", "dimensions", "plan", "arithmetic", "figures", "arguments") and value == "x" * 2**21:
        value = "[" * 100
    with pytest.raises(ValueError, match=name):
        check_attributes({**told, name: value})


@pytest.mark.parametrize(
    "name", ["../s/evil", "/etc/evil", "a/../b", "", ".", "a//b", "a\nb", "nul\x00", "a\\b", "x" * 300, "\ud800", "a/"]
)
def test_page_names_that_lead_out_of_the_folder_are_refused(store: Path, name: str) -> None:
    root(store, name=name)
    assert "name" in refusal(store)


@pytest.mark.parametrize(
    "name", ["lr", "questions/xor", "questions/xor@full", "page@zoom-1a2b3c4d", "two words (1)", "ñ"]
)
def test_valid_page_names_are_accepted(made: Path, name: str) -> None:
    told = json.loads((made / "store/zarr.json").read_text())["attributes"]
    check_attributes({**told, "name": name})


@pytest.mark.parametrize("path", ["/etc", "a/../b", "", "..//x", "./x", "../x\ny"])
def test_the_path_of_a_parent_is_relative_to_the_store(store: Path, path: str) -> None:
    root(store, parent=json.dumps({"path": path, "fingerprint": "0" * 16, "zoom": {}}))
    assert "attribute 'parent'" in refusal(store)


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("figures", [{"name": "loss_curves"}] * 5000, "at most 1,000 figures"),
        ("figures", [{"name": "loss_curves", "options": {"reference": ["a"]}}], "neither a number nor a name"),
        ("figures", [{"name": "loss_curves", "options": {f"o{n}": 1 for n in range(99)}}], "at most 20 options"),
        ("figures", [{"options": {}}], "is not a name for a figure"),
        ("dimensions", [["seed", 8, ["seed", "data_seed"]]], "array activation does not have the dimensions"),
        (
            "dimensions",
            [["seed", 16, ["seed", "data_seed", "learning_rate", "activation"]]],
            "its lanes are not the 16 of its",
        ),
        (
            "dimensions",
            [["seed", 64, ["seed", "data_seed", "learning_rate", "activation"]]],
            "its lanes are not the 64 of its",
        ),
        ("dimensions", [["seed", 10**12, ["seed"]]], "no size from 1 to"),
        ("dimensions", [["seed", 32, ["nobody"]]], "lists no nobody"),
        (
            "dimensions",
            [
                ["activation", 2, ["activation"]],
                ["learning_rate", 2, ["learning_rate"]],
                ["seed", 8, ["seed", "data_seed"]],
            ],
            "the values of activation are not those of one dimension",
        ),
        ("dimensions", [["loss", 32, ["seed"]]], "loss is the name of an array and of a dimension"),
        ("dimensions", [["epoch", 32, ["seed"]]], "can't be named epoch"),
        ("dimensions", [["seed", 8, ["seed"]], ["seed", 4, []]], "it names a dimension or a knob twice"),
        ("plan", {"wave_lanes": 10**12, "chunk_lanes": 8}, "its wave_lanes is not a number of lanes"),
        ("plan", {"wave_lanes": 8, "chunk_lanes": 8, "held": [1]}, "its held lanes are not a text"),
        ("plan", {"wave_lanes": 8, "chunk_lanes": 8, "held": write_mask(np.ones(99, bool))}, "does not hold 32 bits"),
        ("plan", {"wave_lanes": 8, "chunk_lanes": 8, "earlier_epochs": [5, 5]}, "are not at most 1000 numbers that"),
        ("plan", {"wave_lanes": 8, "chunk_lanes": 8, "earlier_epochs": [10**18]}, "are not shorter than its epochs"),
        ("sources", [{"commit": "\x1b[2J"}], "holds control characters"),
        ("cuts", {"2": "x"}, "is not a list of at most 1,000 rungs"),
        ("cuts", [[1, "x"]] * 1001, "is not a list of at most 1,000 rungs"),
        ("cuts", [[1]], "a rung is not given as its record and its lanes"),
        ("cuts", [[0.5, "x"]], "a rung is not given as its record and its lanes"),
        ("cuts", [[1, 2]], "a rung is not given as its record and its lanes"),
        ("cuts", [[2, "x"], [1, "x"]], "its records do not increase"),
        ("cuts", [[1, write_mask(np.ones(99, bool))]], "does not hold 32 bits"),
        ("cuts", [[1, "eNo="]], "does not hold 32 bits"),
        ("experiment", {"seed": "0"}, "its seed is not a whole number"),
        ("experiment", {"claims": [5]}, "a claim has no id"),
        ("experiment", {"record": []}, "its record is not an object"),
        ("experiment", {"record": {"own": {"name": "a"}}}, "the metrics of its page are not a list"),
        ("experiment", {"record": {"own": ["a"]}}, "a metric of its page is not an object"),
        ("experiment", {"record": {"own": [{"name": "../a"}]}}, "is not a name for a metric"),
        ("arguments", ["\x1b[2J"], "holds control characters"),
    ],
)
def test_attributes_that_contradict_the_store_are_refused(store: Path, name: str, value: Any, told: str) -> None:
    root(store, **{name: json.dumps(value)})
    assert told in refusal(store)


@pytest.mark.parametrize(
    "text", ["[" * 200_000, "[" * 200_000 + "]" * 200_000, '{"a":' * 100_000, '{"attributes": 9' + "9" * 5000]
)
def test_deep_json_and_long_numbers_are_refused(store: Path, text: str) -> None:
    (store / "zarr.json").write_text(text)
    assert "zarr.json can't be read" in refusal(store)


def test_brackets_in_texts_do_not_count_as_nesting() -> None:
    text = json.dumps({"a": "[" * 1000, "b": '"[{\\', "c": [1]})
    assert parse(text)["a"] == "[" * 1000
    nested: Any = 0
    for _ in range(MOST_DEPTH):
        nested = [nested]
    parse(json.dumps(nested))
    with pytest.raises(ValueError, match="nested deeper than"):
        parse(json.dumps([nested]))
    with pytest.raises(ValueError, match="nested deeper than"):
        parse(json.dumps({"a": "]" * 1000, "b": [nested]}))  # closing ones in a text close nothing


@pytest.mark.parametrize("text", ['"' + '\\"' * 10**6, '"' + '\\"' * 10**6 + "\\", '"a" ' * 10**6])
def test_finding_the_end_of_a_text_takes_linear_time(text: str) -> None:
    with at_most(10), pytest.raises(ValueError, match=r"."):
        parse(text)


# Arrays.


@pytest.mark.parametrize("name", ["../store/loss", "/etc", "..", "loss/c", "x\x00y", "", 5])
def test_array_names_that_are_no_identifiers_are_refused(store: Path, name: Any) -> None:
    root(store, arrays=["lane", name])
    assert "is not a name for an array" in refusal(store)


def test_an_array_that_is_not_listed_is_refused(store: Path) -> None:
    shutil.copytree(store / "loss", store / "unlisted")
    assert "holds unlisted, which it does not list" in refusal(store)


@pytest.mark.parametrize(
    ("name", "key", "value", "told"),
    [
        ("loss", "shape", [10**12, 4], "the most"),
        ("loss", "shape", [2**24, 4], "another array has 32"),
        ("loss", "shape", [0, 4], "its shape is not a list of sizes"),
        ("loss", "shape", [32], "its shape is not a list of sizes"),
        ("loss", "data_type", "complex128", "its type 'complex128'"),
        ("loss", "data_type", "int64", "its fill value is 'NaN' and not 0"),
        (
            "loss",
            "chunk_grid",
            {"name": "regular", "configuration": {"chunk_shape": [2**40, 4]}},
            "a chunk of it has more",
        ),
        (
            "loss",
            "chunk_grid",
            {"name": "regular", "configuration": {"chunk_shape": [0, 4]}},
            "shape of its chunks is not",
        ),
        ("loss", "chunk_grid", {"name": "regular", "configuration": {"chunk_shape": [32, 4]}}, "decompresses to"),
        ("loss", "codecs", [{"name": "bytes"}, {"name": "gzip"}], "its codecs"),
        ("loss", "codecs", [{"name": "numcodecs.pickle"}], "its codecs"),
        ("loss", "codecs", [{"name": "bytes"}], "bytes and not"),
        ("loss", "fill_value", 0.25, "its fill value is '0.25' and not NaN"),
        ("status", "fill_value", 2, "its fill value is '2' and not 0"),
        ("loss", "dimension_names", ["lane", "x"], "does not have the dimensions"),
        ("loss", "dimension_names", ["lane", "../x"], "along dimensions that results do not have"),
        ("loss", "node_type", "group", "it is not an array of Zarr 3"),
        ("loss", "storage_transformers", [{"name": "x"}], "storage transformers"),
        ("epoch", "shape", [5], "epoch has 5 entries along epoch"),
    ],
)
def test_an_array_of_another_type_or_shape_is_refused(store: Path, name: str, key: str, value: Any, told: str) -> None:
    array(store, name, **{key: value})
    assert told in refusal(store)


@pytest.mark.parametrize(
    ("name", "changed", "told"),
    [
        ("loss", {"scale_factor": 2.0}, "would change its values"),
        ("loss", {"_FillValue": "AAAAAAAAAAA="}, "its _FillValue is not NaN"),
        ("status", {"_FillValue": "AAAAAAAA+H8="}, "only floating-point numbers may have"),
        ("loss", {"units": 5}, "its units is not a text"),
        ("loss", {"long_name": "\x1b[31mred"}, "its long_name holds control characters"),
        ("loss", {"coordinates": "status loss"}, "names loss, status as coordinates"),
        ("x", {"train_low": "0"}, "its train_low is not a finite number"),
        ("activation", {"flag_meanings": '["a"]'}, "its flag_values are not the numbers of its words"),
        ("activation", {"flag_meanings": "[[]]", "flag_values": [0]}, "is not a word that a knob takes"),
        ("activation", {"flag_meanings": '["a"]', "flag_values": [0]}, "has codes that none of its 1 words has"),
        ("activation", {"flag_meanings": '["$x_$", "b"]'}, "'$x_$' is not a word that a knob takes"),
        ("activation", {"flag_meanings": '["1, 0.5, ", "b"]'}, "'1, 0.5, ' is not a word that a knob takes"),
        ("activation", {"flag_meanings": '["a", "a"]'}, "its flag_meanings hold a word twice"),
        ("status", {"flag_meanings": "a b c d e f g h"}, "the words of its status"),
    ],
)
def test_an_array_with_other_labels_is_refused(store: Path, name: str, changed: dict[str, Any], told: str) -> None:
    labelled(store, name, **changed)
    assert told in refusal(store)


def test_units_that_look_like_dates_are_only_words(store: Path) -> None:
    before = open_results(store).loss.values
    labelled(store, "loss", units="days since 2000-01-01")
    labelled(store, "parameter_norm", units="seconds")
    ds = open_results(store)
    assert ds.loss.values.tobytes() == before.tobytes()
    assert ds.loss.attrs["units"] == "days since 2000-01-01"
    assert ds.parameter_norm.dtype == np.float32


@pytest.mark.parametrize(
    ("name", "values", "told"),
    [
        ("lane", np.zeros(32, np.int64), "its lanes are not the 32 of its dimensions"),
        ("lane", np.r_[-2, np.arange(1, 32)], "its lanes are not the 32 of its dimensions"),
        ("status", np.full(32, 8, np.int8), "its status has codes that none of its 8 words has"),
        ("status", np.full(32, -1, np.int8), "its status has codes"),
        ("activation", np.full(32, 2, np.int16), "its activation has codes that none of its 2 words has"),
        ("learning_rate", np.full(32, np.inf), "its learning_rate is infinite in a lane"),
        ("learning_rate", np.full(32, np.nan), "its learning_rate is not a number in any lane"),
        ("seed", np.full(32, 2**40), "its seed is not from 0 to"),
        ("epoch", np.array([0.0, 2, 1, 5]), "its epoch does not rise"),
        ("epoch", np.array([0.0, 1, 2, np.nan]), "its epoch does not rise"),
        ("frequency", np.array([1.0, 1]), "its frequency has a value twice"),
        ("x", np.full(16, np.inf), "its x is not finite"),
        ("snapshot_epoch", np.array([0.5, 1.5]), "its snapshot_epoch has a value that is not one of epoch"),
    ],
)
def test_values_that_are_used_to_find_others_are_checked(store: Path, name: str, values: np.ndarray, told: str) -> None:
    import zarr

    written: Any = zarr.open_array(store / name, mode="r+")
    written[...] = values
    assert told in refusal(store)


def test_a_page_metric_may_have_the_name_of_a_later_metric_of_sweep(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = Metric("roughness", lambda moment: moment.loss)
    ds = run_sweep(tiny(record=Record(("loss",), (own,), at=log_spaced(2), snapshots=0)), out=tmp_path / "store")
    monkeypatch.setitem(METRICS, "roughness", Quantity("roughness", ("frequency",)))
    assert open_results(tmp_path / "store").identical(ds)
    described = json.loads(ds.attrs["experiment"])
    described["record"]["own"] = []
    stores.Store(tmp_path / "store").set_attributes(experiment=json.dumps(described))
    assert "array roughness does not have the dimensions" in refusal(tmp_path / "store")


def test_the_metrics_of_the_first_stores_are_metrics_still() -> None:
    assert METRICS.keys() >= FIRST_METRICS


def test_a_metric_of_the_first_stores_is_never_a_page_metric(store: Path) -> None:
    """Figures expect these names to have certain dimensions."""
    described = json.loads(json.loads((store / "zarr.json").read_text())["attributes"]["experiment"])
    described["record"]["own"] = [{"kind": "Metric", "name": "spatial_error"}]
    root(store, experiment=json.dumps(described))
    shutil.rmtree(store / "spatial_error")
    shutil.copytree(store / "loss", store / "spatial_error")
    assert "array spatial_error does not have the dimensions" in refusal(store)


# Chunks.

FRAME = b"\x28\xb5\x2f\xfd"
BLOCKS = b"\x02\x00\x10\x00" * 300  # of 128 KiB of zeros each; no longer than a chunk might be


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00" * 200,
        FRAME + b"\xe0" + (2**60).to_bytes(8, "little") + BLOCKS,
        FRAME + b"\x00\x70" + BLOCKS,  # says nothing of its size
        FRAME + b"\x20\x00" + BLOCKS,  # says 0
    ],
    ids=["empty", "zeros", "2**60", "silent", "0"],
)
def test_a_chunk_that_would_decompress_to_another_size_is_refused(store: Path, content: bytes) -> None:
    import tracemalloc

    chunk = store / "loss/c/0/0"
    chunk.write_bytes(content)
    tracemalloc.start()
    told = refusal(store)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "loss/c/0/0" in told
    assert peak < 2**24


def test_a_chunk_of_eight_gigabytes_is_not_read(store: Path) -> None:
    with (store / "loss/c/0/0").open("r+b") as file:
        file.truncate(2**33)
    assert "is larger than" in refusal(store)


def test_no_frame_expands_more_than_the_limit() -> None:
    """Of zeros alone zstd makes the smallest frame."""
    from numcodecs.zstd import Zstd

    assert 2**26 / len(Zstd(level=19).encode(bytes(2**26))) < MOST_EXPANSION


def test_a_complete_store_without_most_of_its_chunks_is_refused(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hierarchy, "MOST_UNWRITTEN_BYTES", 2000)
    shutil.rmtree(store / "spatial_error/c")
    assert "GiB of a complete store are missing" in refusal(store)


def test_results_larger_than_the_memory_are_refused(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_installed_memory", lambda: 1000)
    assert "GiB of memory: open it on a machine with more" in refusal(store)


# Files.


def bind(place: Path) -> None:
    here = os.getcwd()
    os.chdir(place.parent)
    try:
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(place.name)
    finally:
        os.chdir(here)


@pytest.mark.parametrize(
    "place", ["zarr.json", "loss/zarr.json", "loss/c/0/0", "figures", "lock", "checkpoint.npz", "loss/extra"]
)
@pytest.mark.parametrize(
    "make",
    [os.mkfifo, bind, lambda place: place.symlink_to("/dev/zero"), lambda place: place.symlink_to("loss")],
    ids=["pipe", "socket", "device", "link"],
)
def test_only_plain_files_are_opened(store: Path, place: str, make: Any) -> None:
    if (store / place).is_dir():
        shutil.rmtree(store / place)
    (store / place).unlink(missing_ok=True)
    make(store / place)
    assert refusal(store)
    for name, (main, args) in commands(store).items():
        with at_most(30):
            assert run_guarded(main, args) == 2, name


@pytest.mark.parametrize("option", [[], ["--resume"]])
def test_a_run_does_not_write_through_a_link_in_a_store(
    store: Path, option: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    from sweep import run

    victim = Path("victim")
    victim.write_text("precious")
    for place in ("figures/loss_curves.png", "checkpoint-0000000000", "heartbeat.json", "lock"):
        (store / place).parent.mkdir(exist_ok=True)
        (store / place).unlink(missing_ok=True)
        (store / place).symlink_to(victim.resolve())
        assert run_guarded(run.main, ["experiments/page.py", "--out", str(store), *option]) == 2
        assert f"{store / place} is a link" in capsys.readouterr().err
        assert victim.read_text() == "precious"
        (store / place).unlink()


def test_moving_a_store_aside_does_not_empty_the_target_of_a_linked_lock(store: Path) -> None:
    Path("victim").write_text("precious")
    (store / "lock").unlink(missing_ok=True)
    (store / "lock").symlink_to(Path("victim").resolve())
    with pytest.raises(SweepError, match="symbolic links"):
        stores.move_aside(store)
    assert Path("victim").read_text() == "precious"


def test_a_checkpoint_replaces_a_link_and_is_not_written_through_it(store: Path) -> None:
    Path("victim").write_text("precious")
    opened = stores.Store(store)
    (store / "checkpoint-0000000000").symlink_to(Path("victim").resolve())
    opened.save_checkpoint(0, {"place": np.ones(3)})
    assert Path("victim").read_text() == "precious"
    loaded = opened.load_checkpoint(0)
    assert loaded is not None
    assert loaded["place"].tolist() == [1, 1, 1]


def test_a_checkpoint_that_states_a_wrong_size_is_not_used(store: Path) -> None:
    import zipfile

    opened = stores.Store(store)
    header = str({"descr": "<f8", "fortran_order": False, "shape": (2**45,)}).encode().ljust(117) + b"\n"
    claims = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header
    with zipfile.ZipFile(store / "checkpoint-0000000000", "w") as archive:
        archive.writestr("place.npy", claims + bytes(80))
    assert opened.load_checkpoint(0) is None
    with zipfile.ZipFile(store / "checkpoint-0000000000", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("place.npy", bytes(2**24))
    assert opened.load_checkpoint(0) is None


@pytest.mark.parametrize(
    "text", ["[]", '{"lane_steps": "many"}', '{"lane_steps": -1}', "[" * 10_000, "NaN", '{"training_seconds": NaN}']
)
def test_a_heartbeat_with_other_content_is_not_used(store: Path, text: str) -> None:
    (store / "heartbeat.json").write_text(text)
    assert stores.Store(store).read_heartbeat() == {}


# Pages.


@pytest.mark.parametrize("lead", ["../evil", "absolute", "link"])
def test_claims_load_no_page_outside_the_folder(store: Path, lead: str, capsys: pytest.CaptureFixture[str]) -> None:
    from sweep.claims import __main__ as claims

    assert run_guarded(claims.main, [str(store)]) == 0
    Path("run").unlink()  # what running the page has left
    Path("evil.py").write_text('from pathlib import Path\nPath("executed").touch()\n')
    if lead == "link":
        Path("experiments/evil.py").symlink_to(Path("evil.py").resolve())
    root(store, name={"absolute": str(Path("evil").resolve()), "link": "evil"}.get(lead, lead))
    assert run_guarded(claims.main, [str(store)]) == 2
    assert not Path("executed").exists()
    lines = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("note: ")]
    assert len(lines) == 1


def test_a_page_that_the_store_does_not_belong_to_is_not_used(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from sweep.claims import __main__ as claims

    told = json.loads((store / "zarr.json").read_text())["attributes"]["experiment"]
    root(store, experiment=json.dumps(json.loads(told) | {"epochs": 77}))
    assert run_guarded(claims.main, [str(store)]) == 2
    out, err = capsys.readouterr()
    assert "is not of experiments/page.py as it is now" in err
    assert out == ""


def test_a_store_that_could_not_be_opened_again_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(SweepError, match=r"can't be stored: '\.\./x' is not the name of a page"):
        run_sweep(tiny(name="../x"), out=tmp_path / "store")
    assert list(tmp_path.iterdir()) == []


def test_every_name_that_a_knob_takes_is_a_word_of_a_store() -> None:
    from sweep.page.experiment import Experiment
    from sweep.page.specs.knobs import knobs_of
    from sweep.specs import MLP, FromFunction, FromModule, Linear, Optimizer, Sine, SumOfSines, Table

    for spec in (Experiment, MLP, FromFunction, FromModule, Linear, Optimizer, Sine, SumOfSines, Table):
        for knob in knobs_of(spec).values():
            if knob.choices:
                words = ["", *knob.choices]
                assert words_of({"flag_meanings": json.dumps(words)}) == words
