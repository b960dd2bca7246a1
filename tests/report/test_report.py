"""The report, without a browser: its numbers are the store's, text is not parsed, nothing is loaded from elsewhere."""

import base64
import hashlib
import json
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import synthetic
import xarray as xr

from sweep.base import labels
from sweep.base.errors import SweepError
from sweep.claims.verdicts import Verdict
from sweep.cli.command import run_guarded
from sweep.report import __main__ as report
from sweep.report import cells, section
from sweep.report.document import report as write_report
from sweep.report.packing import ABOVE, UNSEEN, ZERO, Quantiser, pack, unpack

SCRIPT = "<script>alert(1)</script>"
SMALL = {"seed": range(3), "learning_rate": [1e-3, 1e-2], "width": [16.0, 64.0]}
EPOCHS = np.array([0.0, 1.0, 10.0, 100.0])


def small(**attributes):
    ds = synthetic.results(SMALL, epochs=EPOCHS, points=8)
    ds.attrs |= {"complete": 1, **attributes}
    return ds


def many(count=60, seeds=5, records=12):
    """Results with more cells than are kept seed by seed; some lanes lost, some not run, some losses zero."""
    rng = np.random.default_rng(3)
    dims = ("seed", "learning_rate", "width", "epoch")
    loss = np.exp(6 * rng.standard_normal((seeds, count, count, records))).astype(np.float32)
    loss[:, :3, :3] = 0.0
    status = np.full((seeds, count, count), labels.FINISHED, np.int8)
    status[:, 10, :] = labels.DIVERGED
    status[:2, 11, :] = labels.CUT
    status[:, 12, :] = labels.NOT_RUN
    loss[status != labels.FINISHED] = np.nan
    coords = {
        "seed": np.arange(seeds), "learning_rate": np.geomspace(1e-4, 1, count), "width": np.arange(1, count + 1),
        "epoch": np.arange(float(records)),
    }  # fmt: skip
    ds = xr.Dataset({"loss": (dims, loss), "status": (dims[:-1], status)}, coords)
    ds["first_bad_epoch"] = xr.full_like(ds["status"], np.nan, dtype=float)
    return ds.assign_attrs(name="many", question="?")


def array(held, form):
    return unpack(held.texts[form["name"]], form["dtype"], form["shape"])


class Elements(HTMLParser):
    """The elements of an HTML file, with their attributes and the text in them."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.elements, self.open = [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append([tag, dict(attrs), ""])
        if tag in ("script", "title", "h1", "h2", "td", "dd", "li", "style"):
            self.open.append(self.elements[-1])

    def handle_endtag(self, tag):
        if self.open and self.open[-1][0] == tag:
            self.open.pop()

    def handle_data(self, data):
        if self.open:
            self.open[-1][2] += data

    def all(self, tag, **wanted):
        return [each for each in self.elements if each[0] == tag and wanted.items() <= each[1].items()]

    @property
    def scripts(self):
        return [text for _, attrs, text in self.all("script") if "type" not in attrs]

    def data(self, key="0"):
        return json.loads(self.all("script", **{"data-about": key})[0][2])


@pytest.fixture
def without_plots(monkeypatch):
    """Leave out what is slow to make, and not read here."""
    monkeypatch.setattr(section, "figures", lambda ds: [])
    monkeypatch.setattr(section.bokeh_models, "plots_as_json", dict)


@pytest.mark.parametrize("dtype", ["float32", "uint16", "int8"])
def test_a_packed_array_reads_back_bitwise_equal(dtype):
    values = np.random.default_rng(0).integers(0, 120, (3, 1, 7)).astype(dtype)
    if dtype == "float32":
        values.flat[:3] = np.nan, -np.inf, np.float32(1e-38)
    text, form = pack(values)
    assert form == {"dtype": dtype, "shape": [3, 1, 7]}
    np.testing.assert_array_equal(unpack(text, **form), values)


def test_every_seed_of_few_cells_is_the_stored_float32():
    ds = synthetic.ended(small(), labels.DIVERGED, xr.DataArray([True, False, False], dims="seed"), from_record=2)
    about, held = cells.embed(ds)
    for name in ("loss", "spectral_error", "spatial_error", "prediction"):
        variable = about["variables"][name]
        assert variable["form"] == "exact"
        dims = variable["dims"]
        assert dims[:3] == ["learning_rate", "width", "seed"]
        stored = ds[name].transpose(*dims).values
        assert stored.dtype == np.float32
        kept = array(held, variable["values"])
        finite = np.isfinite(stored)
        np.testing.assert_array_equal(kept[finite], stored[finite])
        assert np.all(kept[~finite] == np.inf)  # of the lost seed only
        assert (~finite).any() == (~finite)[:, :, 0].any()
    counts = array(held, about["counts"])
    assert counts.sum(axis=1).tolist() == [3] * 4
    assert counts[:, labels.DIVERGED].tolist() == [1] * 4


def test_a_lane_that_has_not_run_is_no_data_and_a_running_one_shows_its_records_so_far():
    seed = xr.DataArray([0, 1, 2], dims="seed")
    ds = synthetic.ended(small(), labels.RUNNING, seed == 0, from_record=2)
    ds = synthetic.ended(ds, labels.NOT_RUN, seed == 1)
    about, held = cells.embed(ds)
    kept = array(held, about["variables"]["loss"]["values"])
    assert np.isfinite(kept[:, :, 0, :2]).all()
    assert np.isnan(kept[:, :, 0, 2:]).all()
    assert np.isnan(kept[:, :, 1]).all()


def test_a_target_that_is_the_same_everywhere_is_kept_once():
    about, held = cells.embed(small())
    variable = about["variables"]["target"]
    assert variable["dims"] == ["x"]
    np.testing.assert_array_equal(
        array(held, variable["values"]), small()["target"].isel(seed=0, learning_rate=0, width=0).astype(np.float32)
    )


def test_the_quartiles_of_many_cells_are_within_the_stated_error():
    ds = many()
    about, held = cells.embed(ds)
    variable = about["variables"]["loss"]
    assert variable["form"] == "summary"
    assert "status" not in about
    scale = Quantiser(**variable["scale"])
    assert scale.error < 1e-3
    values = (
        ds["loss"].transpose("epoch", "learning_rate", "width", "seed").values.astype(float)[variable["kept"]["epoch"]]
    )
    for name, share in (("lower", 0.25), ("median", 0.5), ("upper", 0.75)):
        decoded = scale.decode(array(held, variable["arrays"][name]))
        assert np.isposinf(decoded[:, 10]).all()
        assert np.isnan(decoded[:, 12]).all()
        assert np.all(decoded[:, :3, :3] == 0)
        cut = np.sort(np.where(np.isnan(values[:, 11]), np.inf, values[:, 11]))[..., int(share * 4)]  # 5 seeds: exact
        np.testing.assert_allclose(decoded[:, 11], cut, rtol=1.001 * scale.error)
        rest = [index for index in range(60) if index not in (10, 11, 12)]
        expected = np.quantile(values[:, rest], share, axis=-1)
        np.testing.assert_allclose(decoded[:, rest], expected, rtol=1.001 * scale.error + 1e-6)


def test_records_are_thinned_to_the_capacity_and_the_report_says_so():
    ds = many()
    record = 60 * 60 * 3 * 2
    about, held = cells.embed(ds, capacity=5 * record)
    kept = about["variables"]["loss"]["kept"]["epoch"]
    assert len(kept) == 5
    assert (kept[0], kept[-1]) == (0, 11)
    assert any("5 of 12 records" in note for note in held.notes)
    numbers = [array(held, form) for form in about["variables"]["loss"]["arrays"].values()]
    assert sum(each.nbytes for each in numbers) <= 5 * record


def test_a_metric_without_space_is_left_out_and_the_report_says_so():
    about, held = cells.embed(many(), capacity=1000)
    assert about["variables"] == {}
    assert held.notes == ["loss is left out: there is no space for it"]
    elements = Elements(write_report({Path("many"): many().assign_attrs(question=SCRIPT)}))
    assert len(elements.scripts) == 2


def test_of_few_cells_every_seed_of_the_first_metric_is_kept_and_of_others_while_there_is_space():
    about, held = cells.embed(small(), capacity=10)
    forms = {name: variable["form"] for name, variable in about["variables"].items()}
    assert forms == {"spectral_error": "exact"}
    assert len(held.notes) == 3  # loss, spatial error and prediction
    about, held = cells.embed(small(), capacity=1000)
    assert about["variables"]["loss"]["form"] == "exact"


@pytest.mark.parametrize(
    ("figures", "metric", "y"),
    [
        ([], "spectral_error", "frequency"),
        ([{"name": "space_epoch"}, {"name": "fits"}], "spatial_error", "x"),
        ([{"name": "space_epoch"}, {"name": "metric_epoch", "options": {"metric": "loss"}}], "spatial_error", "x"),
        ([{"name": "fits"}, {"name": "metric_epoch", "options": {"metric": "loss"}}], "loss", "width"),
        ([{"name": "fits"}, {"name": "space_epoch"}], "spectral_error", "frequency"),
    ],
)
def test_the_first_view_is_of_the_metric_of_the_pages_figures(figures, metric, y):
    first = cells.embed(small(figures=json.dumps(figures)))[0]["first"]
    assert (first["metric"], first["y"]) == (metric, y)


@pytest.mark.parametrize("log", [True, False])
def test_the_error_of_a_code_is_at_most_half_a_step(log):
    values = np.random.default_rng(1).standard_normal(4000) * 5
    values = np.exp(values) if log else values
    scale = Quantiser.of(values)
    assert scale.log == log
    error = abs(scale.decode(scale.encode(values)) - values) / (values if log else 1)
    assert error.max() <= scale.error * (1 + 1e-9)
    assert error.max() > 0.5 * scale.error  # the stated error is not too large


def test_zero_nan_and_infinity_have_special_codes():
    values = np.array([np.nan, 0.0, np.inf, 2.0])
    scale = Quantiser.of(values)
    assert scale.encode(values)[:3].tolist() == [UNSEEN, ZERO, ABOVE]
    np.testing.assert_array_equal(scale.decode(scale.encode(values)), values)


def test_text_of_users_is_never_parsed_as_html(monkeypatch):
    monkeypatch.setattr(section, "figures", lambda ds: [])
    ds = small(name=SCRIPT, question=SCRIPT, commit=SCRIPT)
    words = np.array([SCRIPT, "</script ><img src=x onerror=alert(2)>"])
    ds = ds.assign_coords(learning_rate=words).rename(learning_rate="activation")
    ds["loss"].attrs["long_name"] = SCRIPT
    elements = Elements(write_report({Path(SCRIPT): ds}))
    assert len(elements.scripts) == 2
    assert not any("alert(" in script for script in elements.scripts)
    assert not elements.all("img")
    assert not any(
        "<" in text for _, attrs, text in elements.all("script") if "type" in attrs
    )  # nothing ends these early
    assert elements.all("h1")[0][2] == SCRIPT
    data = elements.data()
    assert data["variables"]["loss"]["label"] == SCRIPT
    assert sorted(data["dims"]["activation"]["texts"]) == sorted(words)


def test_the_policy_allows_these_scripts_and_no_requests(monkeypatch):
    monkeypatch.setattr(section, "figures", lambda ds: [])
    elements = Elements(write_report({Path("store"): small()}))
    (policy,) = [attrs["content"] for _, attrs, _ in elements.all("meta", **{"http-equiv": "Content-Security-Policy"})]
    rules = {rule.split()[0]: rule.split()[1:] for rule in policy.split(";")}
    assert rules["default-src"] == rules["connect-src"] == ["'none'"]
    assert rules["img-src"] == ["data:", "blob:"]
    hashes = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in elements.scripts]
    assert rules["script-src"] == [f"'sha256-{each}'" for each in hashes]
    assert rules["style-src"] == ["'unsafe-inline'"]
    links = [attrs[name] for _, attrs, _ in elements.elements for name in ("src", "href") if name in attrs]
    assert links
    assert all(link.startswith(("data:", "#")) for link in links)


@pytest.mark.usefixtures("without_plots")
def test_figures_are_images_in_the_file_and_drawn_for_complete_stores_only(monkeypatch):
    drawn = []
    picture = [{"name": "curves", "source": "data:image/png;base64,AAAA", "note": ""}]
    monkeypatch.setattr(section, "figures", lambda ds: drawn.append(ds) or picture)
    assert len(Elements(write_report({Path("store"): small()})).all("img")) == 1
    assert not Elements(write_report({Path("store"): small(complete=0)})).all("img")
    assert len(drawn) == 1


def test_the_smaller_of_png_and_svg_is_embedded(monkeypatch):
    import sweep.plots.gallery

    def drawn(ds, figures, folder):
        (folder / "a.png").write_bytes(b"12345")
        (folder / "a.svg").write_bytes(b"123")
        (folder / "b.gif").write_bytes(b"1")
        return [folder / name for name in ("a.png", "a.svg", "b.gif")]

    monkeypatch.setattr(sweep.plots.gallery, "draw_figures", drawn)
    assert section.figures(small()) == [
        {"name": "a", "source": "data:image/svg+xml;base64,MTIz", "note": ""},
        {"name": "b", "source": "data:image/gif;base64,MQ==", "note": ""},
    ]


@pytest.mark.usefixtures("without_plots")
def test_only_the_claims_of_this_page_are_shown():
    common = {"value": 0.5, "low": 0.4, "high": 0.6, "seeds": 8, "criterion": "share at least 0.3"}
    verdicts = [
        Verdict(id="C1", source="000", text="this one", verdict="confirmed", **common),
        Verdict(id="C1", source="001", text="of another source", verdict="refuted", **common),
    ]
    experiment = json.dumps({"claims": [{"id": "C1", "source": "000"}]})
    elements = Elements(write_report({Path("store"): small(experiment=experiment)}, verdicts))
    assert [text for _, _, text in elements.all("td")] == [
        "C1: this one",
        "000",
        "share at least 0.3",
        "0.5 [0.4, 0.6]",
        "8",
        "confirmed",
    ]


@pytest.mark.parametrize(
    ("name", "start", "note"),
    [
        ("questions/xor", "python -m sweep.run experiments/questions/xor.py --lane", False),
        ("xor@full", "python -m sweep.run experiments/xor.py --full --lane", False),
        ("xor@smoke", "python -m sweep.run experiments/xor.py --smoke --lane", False),
        ("xor@0123abcd", "python -m sweep.run experiments/xor.py --lane", True),
        ("a b", "python -m sweep.run 'experiments/a b.py' --lane", False),
    ],
)
@pytest.mark.usefixtures("without_plots")
def test_the_command_names_the_page_as_it_was_run(name, start, note):
    for store in (Path("results", name), Path("results", name.replace("@", "-"))):  # the older name of the store
        command = Elements(write_report({store: small(name=name)})).data()["command"]
        assert command["start"] == start
        assert bool(command["note"]) == note


@pytest.mark.usefixtures("without_plots")
def test_the_command_has_the_options_that_the_store_was_run_with():
    options = json.dumps(["--smoke", "--zoom", "width=16:64:3", "--task.low", "a b"])
    store, name = Path("results/xor-smoke-0123abcd"), "xor@smoke@0123abcd"
    text = write_report({store: small(name=name, arguments=options)})
    assert f'<span class="name">{name} --smoke --zoom width=16:64:3 --task.low a b</span>' in text
    command = Elements(text).data()["command"]
    assert command["note"] == ""
    assert command["start"].endswith("xor.py --smoke --zoom width=16:64:3 --task.low 'a b' --lane")


@pytest.mark.usefixtures("without_plots")
def test_the_command_names_a_store_in_another_folder():
    command = Elements(write_report({Path("my store"): small(name="xor")})).data()["command"]
    assert command["start"] == "python -m sweep.run experiments/xor.py --out 'my store' --lane"


def test_knobs_read_back_equal():
    ds = synthetic.results({"seed": [0, 7], "learning_rate": [0.1 + 0.2, 1e-5], "width": [16.0, np.nan]}, epochs=EPOCHS)
    knobs = {knob["name"]: knob["values"] for knob in cells.embed(ds)[0]["knobs"]}
    assert knobs["seed"] == ["0", "7"]
    assert sorted(map(float, knobs["learning_rate"])) == [1e-5, 0.1 + 0.2]
    assert set(knobs["width"]) <= {"16", ""}


@pytest.mark.parametrize(("path", "fingerprint"), [("../whole", ""), ("../elsewhere", "f")])
@pytest.mark.usefixtures("without_plots")
def test_a_zoom_is_shown_beside_its_parent(path, fingerprint, tmp_path):
    """The parent is found by its path, or else by its fingerprint."""
    parent = json.dumps({"path": path, "fingerprint": "f", "zoom": {"width": "16:64:3"}})
    whole, other, part = (small(name=name) for name in ("whole", "other", "whole@zoom-1234"))
    part.attrs["parent"] = parent
    whole.attrs["fingerprint"] = fingerprint
    other.attrs["page"] = "pages/other.py"
    stores = {tmp_path / "part": part, tmp_path / "other": other, tmp_path / "whole": whole}
    elements = Elements(write_report(stores))
    assert [elements.data(str(key))["command"]["start"].split()[3] for key in range(3)] == [
        "pages/other.py", "experiments/whole.py", "experiments/whole.py"
    ]  # fmt: skip
    shared = json.loads(elements.all("script", id="shared")[0][2])
    assert shared["parents"] == {"2": "1"}


@pytest.fixture
def store(monkeypatch, tmp_path):
    """Let the path "store" open as synthetic results, and every other path as usual."""
    import sweep.results.dataset

    whole, real = small(), sweep.results.dataset.open_results
    monkeypatch.setattr(
        sweep.results.dataset, "open_results", lambda path: whole if path == Path("store") else real(path)
    )
    monkeypatch.setattr(section, "figures", lambda ds: [])
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("store")
def test_it_writes_one_file_and_replaces_an_older_report(capsys, tmp_path):
    assert run_guarded(report.main, ["store"]) == 0
    size = Path("report.html").stat().st_size
    assert capsys.readouterr().out == f"report.html ({size / 1e6:.1f} MB)\n"
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
    Path("report.html").write_text(Path("report.html").read_text()[:2000])  # an older one, recognised by its head
    assert run_guarded(report.main, ["store", "--out", "report.html"]) == 0
    assert Path("report.html").read_text().rstrip().endswith("</html>")
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


@pytest.mark.usefixtures("store")
def test_it_replaces_no_other_file_unless_forced(capsys):
    Path("notes.html").write_text("<p>mine</p>")
    assert run_guarded(report.main, ["store", "--out", "notes.html"]) == 2
    assert "notes.html holds something that this command did not write" in capsys.readouterr().err
    assert Path("notes.html").read_text() == "<p>mine</p>"
    assert run_guarded(report.main, ["store", "--out", "notes.html", "--force"]) == 0
    assert "sweep report" in Path("notes.html").read_text()[:3000]


def half_written(path):
    path.mkdir()
    (path / "zarr.json").write_text('{"zarr_format": 3, "node_ty')


def other_schema(path):
    path.mkdir()
    attributes = {"schema": 99, "arrays": [], "dimensions": "[]"}
    (path / "zarr.json").write_text(json.dumps({"zarr_format": 3, "node_type": "group", "attributes": attributes}))


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize(
    ("make", "args", "message"),
    [
        (None, ["there"], "there"),
        (Path.mkdir, ["there"], "there"),
        (half_written, ["there"], "there"),
        (other_schema, ["there"], "has schema 99"),
        (other_schema, ["store", "there"], "has schema 99"),
        (lambda path: path.write_text("[1"), ["store", "--claims", "there"], "there is not a list of verdicts"),
        (None, [], "no store named"),
        (None, ["store", "--claims", "nowhere.json"], "there is no file 'nowhere.json' of verdicts"),
        (None, ["store", "--clams", "c.json"], "did you mean --claims?"),
        (Path.mkdir, ["store", "--out", "there"], "holds something that this command did not write"),
        (None, ["store", "--out", "/dev/null/report.html"], "can't write /dev/null/report.html"),
    ],
)
def test_every_refusal_is_one_line_and_nothing_is_written(capsys, tmp_path, make, args, message):
    if make:
        make(Path("there"))
    before = sorted(tmp_path.rglob("*"))
    assert run_guarded(report.main, args) == 2
    printed = capsys.readouterr().err
    assert printed.startswith("sweep: ")
    assert message in printed
    assert printed.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == before


def test_without_bokeh_the_message_says_how_to_install_it(monkeypatch, capsys, store):
    monkeypatch.setitem(sys.modules, "bokeh", None)
    assert run_guarded(report.main, ["store"]) == 2
    assert "pip install 'sweep-lanes[report]'" in capsys.readouterr().err


@pytest.mark.usefixtures("without_plots")
def test_live_writes_until_the_store_is_complete(monkeypatch, tmp_path):
    import sweep.results.dataset

    stages = iter([small(complete=0), small(complete=0), small()])
    waits, seconds = [], []
    monkeypatch.setattr(sweep.results.dataset, "open_results", lambda path: next(stages))
    monkeypatch.chdir(tmp_path)

    def wait(time):
        waits.append(time)
        seconds.append(json.loads(Elements(Path("report.html").read_text()).all("script", id="shared")[0][2])["reload"])

    monkeypatch.setattr(report.time, "sleep", wait)
    assert run_guarded(report.main, ["store", "--live"]) == 0
    assert waits == [report.POLL] * 2
    assert seconds == [report.POLL] * 2  # meanwhile the report reloads itself
    assert json.loads(Elements(Path("report.html").read_text()).all("script", id="shared")[0][2])["reload"] == 0


@pytest.mark.usefixtures("without_plots")
def test_ctrl_c_leaves_a_report_that_no_longer_reloads(monkeypatch, tmp_path):
    import sweep.results.dataset

    monkeypatch.setattr(sweep.results.dataset, "open_results", lambda path: small(complete=0))
    monkeypatch.chdir(tmp_path)

    def interrupted(time):
        raise KeyboardInterrupt

    monkeypatch.setattr(report.time, "sleep", interrupted)
    assert run_guarded(report.main, ["store", "--live"]) == 130
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
    assert json.loads(Elements(Path("report.html").read_text()).all("script", id="shared")[0][2])["reload"] == 0


def test_a_summary_counts_lanes_and_seeds():
    summary = section.make_section(small(complete=0), "0", store=Path("store"), capacity=10**6)["summary"]
    assert summary == "12 lanes (3 seeds × 2 learning rate × 2 width); all finished"


@pytest.mark.usefixtures("without_plots")
def test_a_store_that_is_replaced_while_it_is_read_does_not_end_a_live_report(monkeypatch, tmp_path):
    import sweep.results.dataset

    damaged = SweepError("store is truncated")
    stages = iter([small(complete=0), damaged, small(complete=0), damaged, damaged])

    def opened(path):
        stage = next(stages)
        if isinstance(stage, SweepError):
            raise stage
        return stage

    monkeypatch.setattr(sweep.results.dataset, "open_results", opened)
    monkeypatch.setattr(report.time, "sleep", lambda time: None)
    monkeypatch.chdir(tmp_path)
    assert run_guarded(report.main, ["store", "--live"]) == 2  # only after it is damaged twice in a row
    assert next(stages, None) is None


def test_help_loads_neither_bokeh_nor_xarray():
    code = "import sys, sweep.report.__main__; sys.exit(' '.join({'bokeh', 'xarray', 'jax'} & sys.modules.keys()) or 0)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=os.environ)
    assert done.returncode == 0, done.stderr


def test_no_script_is_compiled_from_text():
    """CustomJS and OpenURL would need 'unsafe-eval'."""
    text = json.dumps(section.bokeh_models.plots_as_json())
    assert not re.search(r"CustomJS|OpenURL", text)
