"""The command `python -m sweep.export`: what it writes, read with the libraries that users have.

The store is a union in which some knobs apply to some lanes only, with lanes that diverged and lanes that have not run,
written without training. Every number is compared bitwise with what was put in.
"""

import json
import shutil
import struct
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
import zarr

from sweep.base import labels
from sweep.cli.command import run_guarded
from sweep.export import __main__ as export
from sweep.export import cells, formats, tidy
from sweep.results.dataset import open_results
from sweep.results.store import create

SEEDS, POINTS = 5, 4
EPOCHS = [0.0, 0.5, 1.0, 33.25]
FREQUENCIES, X = [1.0, 2.5], np.linspace(0, 1, 50, endpoint=False)
UNION = {"optimizer": ["adam", "adam", "sgd", "sgd"], "momentum": [np.nan, np.nan, 0.0, 0.9], "depth": [1, 2, 1, 2],
         "schedule": ["", "", "cosine", "step"]}  # fmt: skip
DIVERGED = np.s_[:, 3]  # seed, point: sgd with momentum at depth 2
UNSEEN = (4, 0)  # seed, point: a lane that has not run
KNOBS = ["seed", "optimizer", "momentum", "depth", "schedule"]


def numbers():
    """Give each variable over seed, point and its own dimensions; NaN for lost and unseen lanes."""
    random = np.random.default_rng(0)
    shapes = {
        "loss": (len(EPOCHS),), "accuracy": (len(EPOCHS),), "spectral_error": (len(EPOCHS), len(FREQUENCIES)),
        "gradient_norm": (len(EPOCHS), 3), "target": (len(X),),
    }  # fmt: skip
    found = {name: random.lognormal(size=(SEEDS, POINTS, *shape)).astype(np.float32) for name, shape in shapes.items()}
    found["gradient_norm"][:, ::2, :, 2] = np.nan  # lanes of depth 1 have two layers
    for name in ("loss", "accuracy", "spectral_error", "gradient_norm"):
        found[name][*DIVERGED, 2:] = np.nan
    for values in found.values():
        values[UNSEEN] = np.nan
    return found


def encode_words(words):
    codes = list(dict.fromkeys(words))
    return [codes.index(word) for word in words], {"flag_meanings": json.dumps(codes)}


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """A store as a run leaves it, with lanes in another order than in the axes."""
    folder = tmp_path_factory.mktemp("original")
    lanes = SEEDS * POINTS
    order = np.random.default_rng(1).permutation(lanes)
    point = order % POINTS
    words = {name: encode_words(UNION[name]) for name in ("optimizer", "schedule")}
    coords = {
        "lane": ("lane", order),
        "seed": ("lane", order // POINTS, {"units": "1", "long_name": "seed"}),
        "momentum": ("lane", np.array(UNION["momentum"])[point], {"units": "1", "long_name": "momentum"}),
        "depth": ("lane", np.array(UNION["depth"], float)[point], {"units": "layers", "long_name": "depth"}),
        "epoch": ("epoch", EPOCHS, labels.DIMENSIONS["epoch"].attributes()),
        "step": ("epoch", [0, 1, 2, 67], labels.RECORDED["step"].attributes()),
        "frequency": ("frequency", FREQUENCIES, labels.DIMENSIONS["frequency"].attributes()),
        "layer": ("layer", [0, 1, 2], labels.DIMENSIONS["layer"].attributes()),
        "x": ("x", X, labels.DIMENSIONS["x"].attributes()),
    }
    for name, (codes, meanings) in words.items():
        coords[name] = ("lane", np.array(codes, np.int16)[point], {"units": "1", "long_name": name} | meanings)
    quantities, time = labels.METRICS | labels.RECORDED, {"target": ()}
    variables = {
        name: (
            ("lane", *time.get(name, ("epoch",)), *quantities[name].dims),
            values.reshape(lanes, *values.shape[2:])[order],
            quantities[name].attributes(),
        )
        for name, values in numbers().items()
    }
    status, bad = np.full((SEEDS, POINTS), labels.FINISHED, np.int8), np.full((SEEDS, POINTS), np.nan)
    status[DIVERGED], bad[DIVERGED], status[UNSEEN] = labels.DIVERGED, 1.0, labels.NOT_RUN
    variables["status"] = (
        "lane", status.ravel()[order], labels.RECORDED["status"].attributes() | labels.flag_attributes(labels.STATUS)
    )  # fmt: skip
    variables["first_bad_epoch"] = ("lane", bad.ravel()[order], labels.RECORDED["first_bad_epoch"].attributes())
    dimensions = [["seed", SEEDS, ["seed"]], ["point", POINTS, list(UNION)]]
    attributes = {"dimensions": json.dumps(dimensions), "schema": labels.SCHEMA, "name": "union", "commit": None,
                  "complete": False, "lane_steps": 1340, "question": "Größer?", "created": "today"}  # fmt: skip
    create(folder / "union", xr.Dataset(variables, coords, attributes), 4, {}).mark_stored(0, lanes)
    return folder / "union"


@pytest.fixture
def store(original, tmp_path, monkeypatch):
    """A copy of the store, which a test may export or damage."""
    shutil.copytree(original, tmp_path / "union")
    monkeypatch.chdir(tmp_path)
    return Path("union")


def run_export(*args):
    assert run_guarded(export.main, ["union", *args]) == 0


def run_refused(capsys, *args):
    """Run the command, which has to refuse; give its standard error."""
    before = sorted(path.name for path in Path().rglob("*"))
    assert run_guarded(export.main, list(args)) == 2
    printed = capsys.readouterr().err
    assert printed.startswith("sweep: ")
    assert printed.count("\n") == 1
    assert sorted(path.name for path in Path().rglob("*")) == before
    return printed


def check_rows(table, *, dims=(), **values):
    """Compare each row of a table with what was put into the store at its lane and coordinates."""
    places = {"epoch": EPOCHS, "frequency": FREQUENCIES, "layer": [0, 1, 2], "x": list(X)}
    assert list(table.columns[:7]) == ["lane", *KNOBS, "status"]
    assert len(table) == SEEDS * POINTS * np.prod([len(places[dim]) for dim in dims])
    seed, point = np.divmod(table["lane"].to_numpy(), POINTS)
    at = tuple(table[dim].map({value: place for place, value in enumerate(places[dim])}).to_numpy() for dim in dims)
    for name in values:
        assert table[name].dtype == np.float32
        np.testing.assert_array_equal(table[name], numbers()[name][seed, point, *at])
    np.testing.assert_array_equal(table["seed"], seed)
    np.testing.assert_array_equal(table["optimizer"].to_numpy(), np.array(UNION["optimizer"])[point])
    schedule = np.array(UNION["schedule"])[point]
    np.testing.assert_array_equal(table["schedule"].isna(), schedule == "")
    assert (table["schedule"].fillna("") == schedule).all()
    for name in ("momentum", "depth"):
        np.testing.assert_array_equal(table[name], np.array(UNION[name], float)[point])
    words = np.full((SEEDS, POINTS), "finished", object)
    words[DIVERGED], words[UNSEEN] = "diverged", "not_run"
    assert (table["status"].to_numpy() == words[seed, point]).all()
    if "epoch" in dims:
        np.testing.assert_array_equal(table["step"], np.array([0, 1, 2, 67])[at[0]])


TABLES = {
    "epoch": {"dims": ["epoch"], "loss": "1", "accuracy": "1"},
    "epoch_frequency": {"dims": ["epoch", "frequency"], "spectral_error": "1"},
    "epoch_layer": {"dims": ["epoch", "layer"], "gradient_norm": "1"},
    "x": {"dims": ["x"], "target": "1"},
    "lanes": {"dims": []},
}


# Long tables.


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize("rows_at_a_time", [7, 10**6])
def test_csv_reads_back_to_the_same_bits_in_pandas(monkeypatch, rows_at_a_time):
    monkeypatch.setattr(tidy, "_ROWS_AT_A_TIME", rows_at_a_time)
    run_export("--to", "csv")
    manifest = json.loads(Path("union-csv/sweep-export.json").read_text())
    assert set(manifest["tables"]) == {f"{name}.csv" for name in TABLES}
    dtypes = dict.fromkeys(numbers(), np.float32)
    for name, holds in TABLES.items():
        table = pd.read_csv(f"union-csv/{name}.csv", dtype=dtypes)
        check_rows(table, **holds)
        assert manifest["tables"][f"{name}.csv"]["rows"] == len(table)
        columns = manifest["tables"][f"{name}.csv"]["columns"]
        assert list(columns) == list(table.columns)
        assert columns["depth"] == {"units": "layers", "long_name": "depth"}
    assert manifest["tables"]["epoch.csv"]["columns"]["epoch"]["units"] == "epochs"


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize("rows_at_a_time", [7, 10**6])
def test_parquet_reads_back_with_units_in_pyarrow(monkeypatch, rows_at_a_time):
    parquet = pytest.importorskip("pyarrow.parquet")
    monkeypatch.setattr(tidy, "_ROWS_AT_A_TIME", rows_at_a_time)
    run_export("--to", "parquet", "--out", "p")
    for name, holds in TABLES.items():
        table = parquet.read_table(f"p/{name}.parquet")
        check_rows(table.to_pandas(), **holds)
        assert table.schema.field("depth").metadata[b"units"] == b"layers"
    schema = parquet.read_schema("p/epoch.parquet")
    assert schema.field("loss").metadata[b"long_name"] == b"training loss"
    assert [schema.field(name).metadata.get(b"better") for name in ("loss", "accuracy", "epoch")] == [
        b"lower", b"higher", None
    ]  # fmt: skip


@pytest.mark.usefixtures("store")
def test_a_table_is_never_in_memory_as_a_whole(monkeypatch):
    monkeypatch.setattr(tidy, "_ROWS_AT_A_TIME", 200)
    ds = open_results("union")
    (table,) = (each for each in tidy.tables(ds, ["target"]) if each.dims == ("x",))
    parts = list(tidy.frames(ds, table))
    assert [len(part) for part in parts] == [200] * 5
    assert pd.concat(parts)["lane"].is_monotonic_increasing


@pytest.mark.usefixtures("store")
def test_only_requested_metrics_are_written_and_printed(capsys):
    run_export("--to", "csv", "--metric", "loss")
    assert sorted(path.name for path in Path("union-csv").iterdir()) == ["epoch.csv", "lanes.csv", "sweep-export.json"]
    printed = capsys.readouterr().out
    assert "epoch.csv: 80 rows of loss\n" in printed
    assert "incomplete: 1 of 20 lanes have not run to their end" in printed
    assert printed.endswith("\nunion-csv\n")


# netCDF.


@pytest.mark.usefixtures("store")
def test_netcdf_opens_in_xarray_to_the_same_dataset():
    pytest.importorskip("h5netcdf")
    run_export("--to", "netcdf")
    ds = open_results("union")
    with xr.open_dataset("union.nc", engine="h5netcdf") as found:
        xr.testing.assert_equal(found, ds)
        assert {name: v.dtype for name, v in found.data_vars.items()} == {n: v.dtype for n, v in ds.data_vars.items()}
        for name in ds.variables:
            assert found[name].attrs.get("units") == ds[name].attrs.get("units")
        assert found.status.attrs["flag_meanings"].split()[labels.DIVERGED] == "diverged"
        assert [found.attrs[name] for name in ("question", "complete", "commit", "lane_steps")] == \
            ["Größer?", 0, "null", 1340]  # fmt: skip
        assert json.loads(found.attrs["arrays"]) == ds.attrs["arrays"]
    run_export("--to", "netcdf", "--metric", "loss")
    with xr.open_dataset("union.nc", engine="h5netcdf") as found:
        assert set(found.data_vars) == {"loss", "status", "first_bad_epoch"}


# Trackers.


def median_curves(point):
    """Medians over seeds of the curves that TensorBoard gets for one of the four points; lost lanes are infinite."""
    ds = numbers()
    curves = {"loss": ds["loss"], "accuracy": ds["accuracy"]}
    curves |= {f"spectral_error/frequency_{f}": ds["spectral_error"][..., i] for i, f in enumerate(("1", "2.5"))}
    curves |= {f"gradient_norm/layer_{layer}": ds["gradient_norm"][..., layer] for layer in range(3)}
    found = {}
    for name, values in curves.items():
        of_point = values[:, point]
        if point == 3:
            of_point = np.where(np.isnan(of_point), -np.inf if name == "accuracy" else np.inf, of_point)
        seeds = slice(0, 4) if point == UNSEEN[1] else slice(None)
        found[name] = np.median(of_point[seeds], axis=0)
    return found


def events(folder):
    """Read a run's event file: length, its checksum, the message, its checksum, and so on."""
    from tensorboardX.proto.event_pb2 import Event

    (file,) = folder.iterdir()
    data, found = file.read_bytes(), []
    while data:
        (length,) = struct.unpack("<Q", data[:8])
        found.append(Event.FromString(data[12 : 12 + length]))
        data = data[16 + length :]
    return [(event.step, value) for event in found for value in event.summary.value]


@pytest.mark.usefixtures("store")
def test_tensorboard_has_a_run_for_each_point_with_medians_and_knobs(capsys):
    pytest.importorskip("tensorboardX")
    from tensorboardX.proto.plugin_hparams_pb2 import HParamsPluginData

    run_export("--to", "tensorboard")
    runs = sorted(path for path in Path("union-tensorboard").iterdir() if path.is_dir())
    assert [run.name for run in runs] == [
        "0000_optimizer=adam_depth=1",
        "0001_optimizer=adam_depth=2",
        "0002_optimizer=sgd_momentum=0_depth=1_schedule=cosine",
        "0003_optimizer=sgd_momentum=0.9_depth=2_schedule=step",
    ]
    for point, run in enumerate(runs):
        read = events(run)
        for name, curve in median_curves(point).items():
            points = [(step, value.simple_value) for step, value in read if value.tag == name]
            known = ~np.isnan(curve)
            assert [step for step, _ in points] == np.array([0, 1, 2, 67])[known].tolist()
            np.testing.assert_array_equal(np.array([value for _, value in points], np.float32), curve[known])
        final = {value.tag: value.simple_value for _, value in read if value.tag.startswith("final/")}
        assert np.float32(final["final/loss"]) == median_curves(point)["loss"][-1]
        (started,) = (value for _, value in read if value.tag == "_hparams_/session_start_info")
        hparams = HParamsPluginData.FromString(started.metadata.plugin_data.content).session_start_info.hparams
        knobs = {"optimizer": UNION["optimizer"][point], "depth": UNION["depth"][point]}
        knobs |= {name: UNION[name][point] for name in ("momentum", "schedule") if point > 1}
        assert {name: hparams[name].string_value or hparams[name].number_value for name in hparams} == knobs
        (lost,) = (value.simple_value for _, value in read if value.tag == "lost")
        assert lost == (SEEDS if point == 3 else 0)
    printed = capsys.readouterr().out
    assert "runs: 4 of 4 combinations of knobs, medians over seeds\n" in printed
    assert "left out, since they give no or too many curves over epochs: target" in printed


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize(("metric", "best"), [("loss", np.argsort), ("accuracy", lambda last: np.argsort(-last))])
def test_of_too_many_combinations_the_best_are_exported_and_a_note_says_so(monkeypatch, metric, best):
    monkeypatch.setattr(cells, "MOST_RUNS", 2)
    notes = []
    found = list(cells.cells(open_results("union"), [metric], notes.append))
    last = np.array([median_curves(point)[metric][-1] for point in range(POINTS)])
    assert [cell.name[:4] for cell in found] == [f"{point:04d}" for point in sorted(best(last)[:2])]
    assert notes == [f"runs: 2 of 4 combinations of knobs, those with the best {metric} at the end, medians over seeds"]


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize("status", [labels.DIVERGED, labels.FAILED, labels.CUT])
def test_every_lane_that_statistics_count_as_lost_is_counted_as_lost(status):
    ds = open_results("union")
    ds["status"] = ds["status"].where(ds["seed"] != 2, status)
    found = cells.cells(ds, ["loss"], str)
    assert [cell.final["lost"] for cell in found] == [1, 1, 1, SEEDS]


def wandb_records(file):
    """Read a run's file: a header of 7 bytes, then parts of messages in blocks of 32 KiB."""
    from wandb.proto.wandb_internal_pb2 import Record  # pyright: ignore[reportMissingImports]

    data, place, message, found = file.read_bytes(), 7, b"", []
    while place + 7 <= len(data):
        left = 2**15 - place % 2**15
        if left < 7:
            place += left
            continue
        _, length, kind = struct.unpack("<IHB", data[place : place + 7])
        message += data[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # a complete record, or its last part
            found.append(Record.FromString(message))
            message = b""
    return found


@pytest.mark.skipif(find_spec("wandb") is None, reason="the extra wandb is not installed")
@pytest.mark.usefixtures("store")
def test_wandb_has_the_same_runs_without_a_network(monkeypatch):
    """In a separate process, since the library looks up its server when a process ends."""
    for name, value in (("WANDB_MODE", "online"), ("WANDB_ERROR_REPORTING", "true")):  # as a user may have set them
        monkeypatch.setenv(name, value)
    code = """if True:
        import socket, sys
        socket.getaddrinfo = lambda *args, **options: open("lookups", "a").write(str(args))
        from sweep import export
        export.main(["union", "--to", "wandb-offline"])
    """
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, timeout=120)
    assert not Path("lookups").exists(), Path("lookups").read_text()
    files = sorted(Path("union-wandb/wandb").glob("offline-run-*/run-*.wandb"))
    assert len(files) == POINTS
    assert not [path for path in Path("union-wandb").rglob("*") if path.is_symlink() or path.suffix == ".log"]
    for file in files:
        records = wandb_records(file)
        (run,) = (record.run for record in records if record.HasField("run"))
        point = int(run.display_name[:4])
        config = {each.key: json.loads(each.value_json) for each in run.config.update if each.key != "_wandb"}
        assert config["optimizer"] == UNION["optimizer"][point]
        assert ("momentum" in config) == (point > 1)
        rows = [
            {item.key or item.nested_key[0]: json.loads(item.value_json) for item in record.history.item}
            for record in records
            if record.HasField("history")
        ]
        assert [row["epoch"] for row in rows] == EPOCHS
        curve = median_curves(point)["loss"]
        np.testing.assert_array_equal(np.array([float(row["loss"]) for row in rows], np.float32), curve)


# Bad input, and older outputs.


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["union", "--to", "cvs"], "unknown format 'cvs': did you mean 'csv'?"),
        (["union", "--to", "tensorbord"], "did you mean 'tensorboard'?"),
        (["union", "--to", "csv", "--metric", "lss"], "unknown metric 'lss': did you mean 'loss'?"),
        (["union", "--to", "csv", "--metric", "status"], "unknown metric 'status'"),
        (["nothing", "--to", "csv"], "no store at nothing"),
        ([".", "--to", "csv"], "is not a store of sweep"),
        (["union", "--to", "tensorboard", "--metric", "target"], "none of target gives at most 32 curves over epochs"),
        (["union", "--to", "csv", "--out", "union"], "is, contains or lies in the store"),
        (["union", "--to", "csv", "--out", ".", "--force"], "is, contains or lies in the store"),
        (["union", "--to", "csv", "--out", "union/csv"], "is, contains or lies in the store"),
        (["union", "--to", "csv", "--out", "/dev/null/csv"], "can't write /dev/null/csv"),
        (["union", "--to", "csv", "--outt", "x"], "did you mean --out"),
        (["union"], "--to"),
    ],
)
def test_every_refusal_is_one_line_and_code_two(capsys, args, message):
    assert message in run_refused(capsys, *args)


@pytest.mark.parametrize("harm", ["truncated", "schema", "empty"])
def test_a_damaged_store_is_refused(store, capsys, harm):
    root = store / "zarr.json"
    if harm == "schema":
        zarr.open_group(store, mode="r+").attrs["schema"] = 99
    elif harm == "truncated":
        root.write_text(root.read_text()[:100])
    else:
        root.unlink()
    words = {"schema": "has schema 99", "truncated": "is damaged: zarr.json is not", "empty": "zarr.json is lost"}
    assert words[harm] in run_refused(capsys, "union", "--to", "csv")


@pytest.mark.usefixtures("store")
def test_too_many_rows_are_refused_with_their_number(capsys, monkeypatch):
    monkeypatch.setattr(tidy, "MOST_ROWS", 1000)
    printed = run_refused(capsys, "union", "--to", "csv")
    assert "more than 1,000 rows" in printed
    assert "1,000 of target" in printed
    run_export("--to", "csv", "--metric", "loss")


@pytest.mark.parametrize(("to", "extra"), [(name, each.extra) for name, each in formats.FORMATS.items() if each.extra])
@pytest.mark.usefixtures("store")
def test_a_missing_extra_is_named(capsys, monkeypatch, to, extra):
    monkeypatch.setattr(formats, "find_spec", lambda name: None)
    assert f'pip install "sweep-lanes[{extra}]"' in run_refused(capsys, "union", "--to", to)


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize("to", ["csv", "netcdf"])
def test_older_output_is_replaced_and_anything_else_is_not(capsys, to):
    run_export("--to", to, "--out", "there")
    run_export("--to", to, "--out", "there", "--metric", "loss")
    output = Path("there")
    if to == "csv":
        assert not (output / "x.csv").exists()
        (output / "notes.txt").write_text("mine")
    else:
        output.write_bytes(b"mine")
    assert "there holds something that this command did not write" in run_refused(
        capsys, "union", "--to", to, "--out", "there"
    )
    run_export("--to", to, "--out", "there", "--force")
    assert not (output / "notes.txt").exists()


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize("content", ["{}", "[]", "{", '{"made_by": "me"}', None])
def test_a_folder_that_no_export_wrote_is_refused(capsys, content):
    Path("there").mkdir()
    if content is not None:
        Path("there/sweep-export.json").write_text(content)
    run_refused(capsys, "union", "--to", "csv", "--out", "there")
