"""The report in a real, headless Chromium, without a network: `make test-browser`.

The object `window.sweepReport` (documented in start.js) says what is drawn. With SWEEP_SCREENSHOTS=folder, screenshots
are stored there.
"""

import os
import shutil
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

sys.path.insert(0, str(Path(__file__).parents[2]))
import synthetic

from sweep.base import labels
from sweep.report import section
from sweep.report.document import report

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: make test-browser does")
CHROMIUM = shutil.which("chromium")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium on this machine"),
]
ARGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--no-first-run",
)  # fmt: skip
SCRIPT = "<script>alert(1)</script>"
AXES = {"seed": range(5), "learning_rate": [1e-4, 1e-3, 1e-2], "width": [16.0, 64.0]}
PICTURES = os.environ.get("SWEEP_SCREENSHOTS")


@pytest.fixture(scope="session")
def browser():
    with playwright.sync_playwright() as started:
        running = started.chromium.launch(executable_path=CHROMIUM, args=list(ARGS))
        yield running
        running.close()


class Opened:
    """A report in the browser, with the requests and errors that it caused."""

    def __init__(self, context, file):
        self.file, self.page = file, context.new_page()
        self.requests, self.errors = [], []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on(
            "console", lambda message: message.type in ("error", "warning") and self.errors.append(message.text)
        )
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.errors.append(f"dialog {dialog.message}"), dialog.dismiss()))

    def load(self, fragment=""):
        self.page.goto(f"file://{self.file}{fragment}")
        return self.ready()

    def ready(self):
        self.until("window.sweepReport?.isReady")
        return self

    def js(self, code, argument=None):
        """Evaluate code with the first section as `s`, and an argument."""
        return self.page.evaluate(f"([argument]) => (async (s) => {code})(sweepReport.sections['0'])", [argument])

    def until(self, expression, seconds=10):
        """Wait until an expression is true; by polling here, since the security policy forbids it in the report."""
        end = time.monotonic() + seconds
        while not self.true(expression):
            assert time.monotonic() < end, f"never true: {expression}"
            time.sleep(0.02)

    def true(self, expression):
        try:
            return self.page.evaluate(expression)
        except playwright.Error as error:
            if "navigation" not in str(error):
                raise
            return False

    def values(self):
        return np.array(self.js("Array.from(s.drawn.heatmap.values)"), float)

    def at(self, column, row):
        """The position on the screen of the middle of a cell."""
        return self.js(
            """{
              const view = s.charts.heatmap.view, box = view.canvas_view.el.getBoundingClientRect();
              const {x_scale, y_scale} = view.frame;
              return {x: box.x + x_scale.compute(argument[0]), y: box.y + y_scale.compute(argument[1])};
            }""",
            [column, row],
        )


@pytest.fixture
def opened(browser, tmp_path, monkeypatch):
    """Write a report of results and open it; at the end, check that there were no requests and no errors."""
    monkeypatch.setattr(section, "figures", lambda ds: [])
    reports = []

    def opener(*results, scheme="light", width=1400, reload=0.0):
        file = tmp_path / f"report{len(reports)}.html"
        stores = {tmp_path / f"store{number}": ds for number, ds in enumerate(results)}
        file.write_text(report(stores, reload=reload), encoding="utf-8")
        context = browser.new_context(viewport={"width": width, "height": 950}, color_scheme=scheme)
        context.set_offline(True)
        context.route(
            "**/*", lambda route: route.continue_() if route.request.url.startswith("file:") else route.abort()
        )
        reports.append((Opened(context, file), context))
        return reports[-1][0].load()

    yield opener
    for one, context in reports:
        assert {url.partition("#")[0] for url in one.requests} == {f"file://{one.file}"}
        assert one.errors == []
        context.close()


def results(**attributes):
    ds = synthetic.results(AXES)
    ds = synthetic.ended(
        ds, labels.DIVERGED, (ds["learning_rate"] == 1e-2) & (ds["width"] == 64) & (ds["seed"] < 3), from_record=9
    )
    return ds.assign_attrs({"complete": 1} | attributes)


def stored(ds, name="loss"):
    """The values that the report counts: +inf where a lane was lost."""
    return ds[name].fillna(np.inf).astype(np.float32)


def median(array):
    """The median over seeds in float64, by sorting: there are five."""
    return np.sort(array.transpose(..., "seed").values.astype(float), axis=-1)[..., 2]


def test_it_opens_from_disk_and_shows_the_question(opened):
    one = opened(results())
    assert one.page.title() == "Which frequency comes first?"
    assert one.page.locator("h1").inner_text() == "Which frequency comes first?"
    assert one.page.locator("canvas").count() >= 3


def test_the_first_view_shows_the_medians_of_the_store(opened):
    ds = results()
    one = opened(ds)
    assert one.js("[s.state.metric, s.state.x, s.state.y]") == ["spectral_error", "epoch", "frequency"]
    at = one.js("s.state.at")
    errors = stored(ds, "spectral_error").isel(learning_rate=at["learning_rate"], width=at["width"])
    np.testing.assert_array_equal(one.values(), median(errors.transpose("frequency", "epoch", "seed")).ravel())


def test_a_cell_has_the_colour_of_its_value(opened):
    from io import BytesIO

    import matplotlib
    from PIL import Image

    one = opened(synthetic.results(AXES, epochs=np.array([0.0, 1.0, 10.0, 30.0])))
    heatmap_of_loss(one)
    drawn = one.js("s.drawn.heatmap")
    assert drawn["log"]
    picture = Image.open(BytesIO(one.page.screenshot())).convert("RGB")
    values = one.values().reshape(2, 3)
    assert len(set(values.ravel())) == 6
    for row, column in np.ndindex(2, 3):
        place = one.at(column, row)
        share = np.log(values[row, column] / drawn["low"]) / np.log(drawn["high"] / drawn["low"])
        wanted = matplotlib.colormaps["viridis_r"](share, bytes=True)[:3]  # low values are bright
        middle = (int(place["x"]), int(place["y"]))
        np.testing.assert_allclose(picture.getpixel(middle), np.array(wanted, float), atol=4)


def test_another_metric_from_the_list_changes_what_is_drawn(opened):
    ds = results()
    one = opened(ds)
    before = one.values()
    one.page.get_by_label("Metric").select_option("loss")
    one.until(
        "sweepReport.sections['0'].drawn.heatmap.x === 'epoch' && sweepReport.sections['0'].variable.name === 'loss'"
    )
    assert one.values().size != before.size
    one.page.get_by_label("Across").select_option("learning_rate")
    one.page.get_by_role("combobox", name="Up").select_option("width")
    one.until("sweepReport.sections['0'].drawn.heatmap.y === 'width'")
    last = one.js("s.state.at.epoch")
    expected = median(stored(ds).isel(epoch=last).transpose("width", "learning_rate", "seed")).ravel()
    np.testing.assert_array_equal(one.values(), expected)
    assert "Training loss" in one.page.locator("[data-part=caption]").inner_text()


def heatmap_of_loss(one, **changes):
    one.js("s.set({metric: 'loss', x: 'learning_rate', y: 'width', ...argument})", changes)


def test_the_slider_changes_the_epoch_shown(opened):
    ds = results()
    one = opened(ds)
    heatmap_of_loss(one)
    slider = one.page.get_by_role("slider")
    slider.fill("4")
    one.until("sweepReport.sections['0'].state.at.epoch === 4")
    expected = median(stored(ds).isel(epoch=4).transpose("width", "learning_rate", "seed")).ravel()
    np.testing.assert_array_equal(one.values(), expected)
    assert slider.get_attribute("aria-valuetext") == f"epoch {ds.epoch.values[4]:g}"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("lower", lambda values: np.sort(values, axis=-1)[..., 1]),
        ("upper", lambda values: np.sort(values, axis=-1)[..., 3]),
        ("best", lambda values: values.min(-1)),
        ("worst", lambda values: values.max(-1)),
        ("iqm", lambda values: np.sort(values, -1)[..., 1:4] @ [0.3, 0.4, 0.3]),  # 0.75, 1 and 0.75 of 2.5 seeds
        ("lost", lambda values: np.isinf(values).mean(-1)),
        ("reached", lambda values: (values <= 0.05).mean(-1)),
    ],
)  # fmt: skip
def test_each_statistic_is_that_of_the_stored_seeds(opened, name, expected):
    ds = results()
    one = opened(ds)
    heatmap_of_loss(one, statistic=name, threshold=0.05)
    last = stored(ds).isel(epoch=-1).transpose("width", "learning_rate", "seed").values.astype(float)
    np.testing.assert_allclose(one.values(), expected(last).ravel(), rtol=1e-14)


def test_clicking_a_cell_draws_the_stored_curves_of_its_seeds(opened):
    ds = results()
    one = opened(ds)
    heatmap_of_loss(one)
    one.page.mouse.click(**one.at(1, 0))
    one.until("String(sweepReport.sections['0'].state.cells) === '1,0'")
    lines = one.js("s.drawn.curves.lines.map(({seeds, median}) => ({seeds, median}))")
    lanes = ds["loss"].isel(learning_rate=1, width=0)
    np.testing.assert_array_equal(np.array(lines[0]["seeds"]), lanes.transpose("seed", "epoch").values)
    np.testing.assert_array_equal(np.array(lines[0]["median"]), median(lanes.transpose("epoch", "seed")))
    text = one.page.locator("[data-part=selected]").inner_text()
    assert "--lane seed=0,learning_rate=0.001,width=16" in text
    one.page.keyboard.down("Shift")
    one.page.mouse.click(**one.at(2, 1))
    one.page.keyboard.up("Shift")
    one.until("sweepReport.sections['0'].drawn.curves.lines.length === 2")
    diverged = one.js("s.drawn.curves.lines[1].seeds")
    expected = ds["loss"].isel(learning_rate=2, width=1).transpose("seed", "epoch").values
    drawn = np.array([[np.inf if value is None else value for value in seed] for seed in diverged], float)
    np.testing.assert_array_equal(np.isfinite(drawn), np.isfinite(expected))
    np.testing.assert_array_equal(drawn[np.isfinite(drawn)], expected[np.isfinite(expected)])
    assert "3 diverged" in one.page.locator("[data-part=selected]").inner_text()


def test_the_fit_is_the_stored_prediction_over_the_target(opened):
    ds = results()
    one = opened(ds)
    heatmap_of_loss(one, cells=[[1, 1]])
    fit = one.js("(({snapshot, lines, target}) => ({snapshot, seeds: lines[0].seeds, target}))(s.drawn.fit)")
    lanes = ds["prediction"].isel(learning_rate=1, width=1, snapshot_epoch=fit["snapshot"])
    assert fit["snapshot"] == ds.sizes["snapshot_epoch"] - 1
    np.testing.assert_array_equal(np.array(fit["seeds"]), lanes.transpose("seed", "x").values)
    expected = ds["target"].isel(learning_rate=1, width=1, seed=0).values.astype(np.float32)
    np.testing.assert_array_equal(np.array(fit["target"]), expected)


@pytest.mark.parametrize(
    ("fits", "targets", "caption", "target"),  # shares of the space that they need
    [
        (1.0, 1.0, "seed 2, over the target in grey", 2),
        (0.3, 1.0, "median and quartiles, over the target of seed 2 in grey", 2),  # three numbers of 2 bytes for 5 of 4
        (0.3, 0.5, "median and quartiles, over the target of seed 0 in grey", 0),
    ],
)
def test_where_each_seed_has_a_target_the_fit_names_the_seed_shown(opened, monkeypatch, fits, targets, caption, target):
    from sweep.report import cells

    ds = results().drop_vars(["spatial_error", "spectral_error"])
    ds["target"] = ds["target"] + ds["seed"]
    capacity = fits * ds["prediction"].size * 4 + targets * ds["target"].isel(learning_rate=0, width=0).size * 4
    monkeypatch.setattr(cells, "CAPACITY", round(capacity))
    one = opened(ds)
    one.js("s.set({seed: 2, cells: [[1, 0]]})")
    assert caption in one.page.locator("[data-part=fit-caption]").inner_text()
    expected = ds["target"].isel(learning_rate=0, width=0, seed=target).values.astype(np.float32)
    np.testing.assert_array_equal(np.array(one.js("s.drawn.fit.target")), expected)


def test_a_box_selects_several_cells(opened):
    one = opened(results())
    heatmap_of_loss(one)
    first, last = one.at(0, 0), one.at(1, 1)
    one.page.mouse.move(first["x"] - 5, first["y"] + 5)
    one.page.mouse.down()
    one.page.mouse.move(last["x"], last["y"], steps=6)
    one.page.mouse.up()
    one.until("sweepReport.sections['0'].state.cells.length === 4")
    assert sorted(one.js("s.state.cells")) == [[0, 0], [0, 1], [1, 0], [1, 1]]


def test_hovering_shows_a_cells_numbers(opened):
    ds = results()
    one = opened(ds)
    heatmap_of_loss(one)
    tip = one.page.locator("[data-part=tip]")
    assert not tip.is_visible()
    place = one.at(2, 1)
    one.page.mouse.move(place["x"], place["y"])
    tip.wait_for(state="visible")
    text = tip.inner_text()
    assert text.startswith("∞ median")  # three of five seeds diverged
    assert "learning rate 0.01, width 64, epoch 1000" in text
    assert "2 finished, 3 diverged" in text
    low = np.sort(stored(ds).isel(learning_rate=2, width=1, epoch=-1).values)[1]
    assert f"quartiles {float(f'{low:.3g}'):g} to ∞" in text.replace("e-0", "e-")
    one.page.mouse.move(5, 5)
    tip.wait_for(state="hidden")


def test_cells_without_a_number_have_different_patterns_and_a_legend(opened):
    ds = synthetic.results(AXES)
    rate, width = ds["learning_rate"], ds["width"]
    ds = synthetic.ended(ds, labels.DIVERGED, (rate == 1e-2) & (width == 64), from_record=5)
    ds = synthetic.ended(ds, labels.CUT, (rate == 1e-4) & (width == 64), from_record=5)
    ds = synthetic.ended(ds, labels.NOT_RUN, (rate == 1e-3) & (width == 16))
    one = opened(ds)
    heatmap_of_loss(one)
    assert one.js("Array.from(s.drawn.heatmap.kinds)") == [0, 3, 0, 2, 0, 1]
    patterns = one.js(
        """["diverged", "cut", "not_run"].map((kind) => {
          const drawn = s.charts.heatmap.plot.renderers.find((each) => each.data_source.name === kind);
          return drawn.data_source.data.left.length === 1 && drawn.glyph.hatch_pattern.value;
        })"""
    )
    assert all(patterns)
    assert len(set(patterns)) == 3
    legend = one.page.locator("[data-part=legend]")
    assert legend.locator("svg").count() == 3
    for word in ("diverged", "cut", "not run"):
        assert word in legend.inner_text()


def test_text_of_users_is_never_parsed_as_html(opened):
    ds = results(name=SCRIPT, question=SCRIPT)
    ds = ds.assign_coords(learning_rate=[SCRIPT, "b", "c"]).rename(learning_rate="activation")
    one = opened(ds)
    one.js("s.set({metric: 'loss', x: 'activation', y: 'width', cells: [[0, 0]]})")
    one.js("s.hover([0, 0], {x: 9, y: 9})")
    assert one.page.locator("h1").inner_text() == SCRIPT
    assert f"activation {SCRIPT}" in one.page.locator("[data-part=tip]").inner_text()
    assert one.page.locator("[data-part=selected] code").inner_text().count("alert(1)") >= 1
    assert one.page.evaluate("[...document.scripts].filter((each) => !each.type).length") == 2


def test_choices_are_kept_in_the_address_across_a_reload(opened):
    one = opened(results())
    heatmap_of_loss(one, statistic="upper", at={"epoch": 7}, cells=[[2, 0], [0, 1]])
    one.until("location.hash.includes('upper')")
    state, values = one.js("s.state"), one.values()
    one.page.reload()
    one.ready()
    assert one.js("s.state") == state
    np.testing.assert_array_equal(one.values(), values)


def test_an_invalid_address_shows_the_first_view(opened):
    one = opened(results())
    for fragment in (
        "#0.metric=nothing", "#0.x=toString&0.y=__proto__", "#0.cells=9:9,a:b&0.at=epoch:999,no:1", "#%",
        "#0.at=toString:1,__proto__:1", "#0.seed=1.5", "#0.seed=9&0.statistic=constructor", "#7.metric=loss",
    ):  # fmt: skip
        one.page.goto("about:blank")
        one.requests.clear()
        one.load(fragment)
        shown = one.js("[s.state.metric, s.state.x, s.state.statistic]")
        assert shown == ["spectral_error", "epoch", "median"], fragment
        assert one.values().size == results().sizes["epoch"] * results().sizes[one.js("s.state.y")], fragment
        assert "undefined" not in one.page.locator("[data-part=selected]").inner_text(), fragment
        one.page.locator("[data-part=heatmap]").focus()  # starts at a cell even if none is selected
        one.page.keyboard.press("Enter")
        one.until("sweepReport.sections['0'].state.cells.length >= 1")


def test_another_address_replaces_the_whole_view(opened):
    one = opened(results())
    heatmap_of_loss(one, statistic="upper", at={"epoch": 3})
    one.page.evaluate("location.hash = '#0.metric=loss&0.at=width:1'")
    one.until("sweepReport.sections['0'].state.statistic === 'median'")
    assert one.js("[s.state.metric, s.state.at.epoch, s.state.at.width]") == ["loss", 27, 1]


def test_a_section_that_is_just_beginning_keeps_its_part_of_the_address(opened):
    one = opened(results(), results())
    one.js("sweepReport.begin('1')")
    one.page.wait_for_timeout(300)  # until the address holds the first views of both
    one.page.evaluate("location.hash = '#1.seed=2'")
    one.page.wait_for_timeout(300)
    one.js(
        """{
          const other = sweepReport.sections['1'];
          Object.assign(other, {drawn: {}, state: {...other.state, cells: null}});  // as it is while it begins
          await s.set({statistic: 'upper'});
          await new Promise((done) => setTimeout(done, 300));
        }"""
    )
    assert "0.statistic=upper" in one.page.evaluate("location.hash")
    assert "1.seed=2" in one.page.evaluate("location.hash")


def test_changes_in_quick_succession_all_count(opened):
    one = opened(results())
    one.js("Promise.all([s.set({metric: 'loss'}), s.set({statistic: 'upper'}), s.reselect([[3, 1]])])")
    assert one.js("[s.state.metric, s.state.statistic, s.state.cells]") == ["loss", "upper", [[3, 1]]]


def test_every_seed_is_drawn_or_the_caption_says_how_many(opened):
    ds = synthetic.results({"seed": range(600), "width": [16.0, 64.0]}, epochs=np.array([0.0, 1.0, 10.0]))
    one = opened(ds.assign_attrs(complete=1))
    one.js("s.set({metric: 'loss', x: 'epoch', y: 'width', cells: [[2, 0], [2, 1]]})")
    assert one.js("s.drawn.curves.lines.map(({seeds}) => seeds.length)") == [600, 600]
    assert one.js("s.charts.curves.part('seeds').data.ys.length") == 1200
    assert "every seed" in one.page.locator("[data-part=curves-caption]").inner_text()
    drawn = one.js("s.drawn.fit.lines[0].seeds.length")
    words = "every seed" if drawn == 600 else f"{drawn} of 600 seeds"
    assert words in one.page.locator("[data-part=fit-caption]").inner_text()


def test_labels_of_an_axis_do_not_overlap(opened):
    epochs = np.unique(np.concatenate([[0], np.geomspace(1, 3000, 60).round()]))
    ds = synthetic.results(AXES, epochs=epochs).drop_vars("spectral_error")
    words = [f"{word} in the hidden layers" for word in ("sine", "tanh", "relu")]
    ds = ds.assign_coords(learning_rate=words).rename(learning_rate="activation")
    one = opened(ds.assign_attrs(complete=1))
    one.js("s.set({metric: 'loss', x: 'epoch', y: 'activation'})")
    for width in range(600, 1500, 100):
        one.page.set_viewport_size({"width": width, "height": 950})
        # Until the axis is labelled for this width and Bokeh has laid it out.
        one.until(
            f"""(() => {{
              const s = sweepReport.sections['0'];
              return innerWidth === {width} && s.width === s.part('heatmap').clientWidth;
            }})()"""
        )
        one.until(
            """(() => {
              const {heatmap} = sweepReport.sections['0'].charts;
              const axis = heatmap.part('xaxis'), {x_scale} = heatmap.view.frame;
              const {ticks} = axis.ticker, scale = x_scale.compute(1) - x_scale.compute(0);
              const apart = Math.min(...ticks.slice(1).map((tick, i) => scale * (tick - ticks[i])));
              const words = Array.from(axis.major_label_overrides.values());
              return ticks.length > 3 && apart > 6.2 * Math.max(...words.map(({length}) => length));
            })()"""
        )


def test_a_constant_value_is_on_the_colour_bar_once(opened):
    ds = synthetic.results(AXES)[["loss", "status"]]
    ds["loss"] = xr.full_like(ds["loss"], 1e9)
    one = opened(ds.assign_attrs(complete=1))
    assert one.js("s.charts.heatmap.part('bar').ticker.ticks") == [1e9]
    assert one.js("(({low, high}) => high > low)(s.charts.heatmap.part('mapper'))")
    texts = one.js("Array.from(s.charts.curves.part('yaxis').major_label_overrides.values())")
    assert len(set(texts)) == len(texts) > 1


def test_a_live_report_reloads_itself(opened):
    one = opened(results(complete=0), reload=2.0)
    one.js("{ window.older = true; await s.set({at: {epoch: 3}, x: 'frequency', y: 'width'}); }")
    one.until("window.sweepReport && !window.older")
    one.ready()
    assert one.js("[s.state.x, s.state.at.epoch]") == ["frequency", 3]


def test_the_keyboard_reaches_and_selects_cells(opened):
    one = opened(results())
    heatmap_of_loss(one, cells=[[0, 0]])
    one.page.get_by_label("Metric").focus()
    for _ in range(12):
        one.page.keyboard.press("Tab")
        if one.page.evaluate("document.activeElement.dataset.part") == "heatmap":
            break
    else:
        pytest.fail("Tab does not reach the heatmap")
    for key in ("ArrowRight", "ArrowUp", "Enter"):
        one.page.keyboard.press(key)
    one.until("String(sweepReport.sections['0'].state.cells) === '1,1'")
    assert "learning rate 0.001, width 64" in one.page.locator("[data-part=readout]").inner_text()
    one.page.keyboard.press("ArrowLeft")
    one.page.keyboard.press("Shift+Enter")
    one.until("sweepReport.sections['0'].state.cells.length === 2")


def test_every_control_has_a_label(opened):
    one = opened(results())
    heatmap_of_loss(one, statistic="reached")
    assert one.page.evaluate(
        """[...document.querySelectorAll("select, input, button, [tabindex='0']")]
            .filter((each) => !each.closest(".bk-Toolbar") && each.offsetParent !== null)
            .every((each) => each.labels?.length || each.getAttribute("aria-label") || each.textContent.trim())"""
    )


def test_a_zoom_is_outlined_in_its_parent(opened):
    whole = results(name="whole")
    part = synthetic.results(AXES | {"learning_rate": [1e-3, 3e-3, 1e-2]}).assign_attrs(
        name="whole@zoom-12345678", complete=1, parent='{"path": "../store0", "fingerprint": "f", "zoom": {}}'
    )
    one = opened(whole, part)
    heatmap_of_loss(one)
    box = one.js("s.charts.heatmap.part('zoomed').data")
    assert (box["left"], box["right"]) == ([1], [2])  # from the middle of one cell to the middle of another
    assert (box["bottom"], box["top"]) == ([-0.5], [1.5])  # all of them
    tops = one.page.evaluate(
        "[...document.querySelectorAll('section.store')].map((each) => each.getBoundingClientRect().top)"
    )
    assert abs(tops[0] - tops[1]) < 5  # side by side in a wide window


def large():
    """10^5 cells of 4 seeds, some diverged, cut or not run."""
    rng = np.random.default_rng(0)
    rate, width = np.geomspace(1e-4, 1, 317), np.geomspace(1, 1000, 316)
    epoch = np.unique(np.concatenate([[0], np.geomspace(1, 1000, 40).round()]))
    speed = (rate[:, None] * width / 100)[None, :, :, None]
    loss = np.exp(-np.minimum(speed * epoch, 20) + 0.3 * rng.standard_normal((4, 317, 316, len(epoch)))).astype(
        np.float32
    )
    status = np.full(loss.shape[:-1], labels.FINISHED, np.int8)
    status[(speed[..., 0] > 3) & (rng.random(status.shape) < 0.8)] = labels.DIVERGED
    status[:, 40:60, 200:230], status[:, :10, :10] = labels.CUT, labels.NOT_RUN
    loss[status != labels.FINISHED, 5:] = np.nan
    dims = ("seed", "learning_rate", "width")
    coords = {"seed": np.arange(4), "learning_rate": rate, "width": width, "epoch": epoch}
    ds = xr.Dataset({"loss": ((*dims, "epoch"), loss), "status": (dims, status)}, coords)
    ds["loss"].attrs, ds["epoch"].attrs = labels.METRICS["loss"].attributes(), labels.DIMENSIONS["epoch"].attributes()
    return ds.assign_attrs(name="large", question="Where does training end?", complete=1)


def test_a_hundred_thousand_cells_have_their_medians(opened):
    ds = large()
    one = opened(ds)
    assert one.file.stat().st_size < 15e6
    assert len(one.js("Array.from(s.drawn.heatmap.kinds)")) == 317 * 316
    assert set(one.js("Array.from(new Set(s.drawn.heatmap.kinds))")) == {0, 1, 2, 3}
    one.js("s.set({statistic: 'median', x: 'width', y: 'learning_rate', at: {epoch: 0}})")
    expected = np.median(
        ds["loss"].isel(epoch=0).transpose("learning_rate", "width", "seed").values.astype(float), -1
    ).ravel()
    seen = np.isfinite(expected)
    values = one.values().reshape(expected.shape)
    ran = np.ones((317, 316), bool)
    ran[:10, :10] = False
    seen &= ran.ravel()
    np.testing.assert_allclose(values[seen], expected[seen], rtol=1e-3)


@pytest.mark.skipif(PICTURES is None, reason="SWEEP_SCREENSHOTS names no folder for screenshots")
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1400, 480])
def test_screenshots_fit_the_window(opened, scheme, width):
    one = opened(results(), scheme=scheme, width=width)
    heatmap_of_loss(one, cells=[[2, 1], [1, 0]])
    one.page.wait_for_timeout(300)
    Path(PICTURES).mkdir(parents=True, exist_ok=True)
    one.page.screenshot(path=Path(PICTURES) / f"report-{scheme}-{width}.png", full_page=True)
    assert one.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
