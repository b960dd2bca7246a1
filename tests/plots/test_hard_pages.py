"""Pages whose results are hard to draw, from end to end: every default figure is drawn, and its title is true."""

import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import xarray as xr

from sweep import stats
from sweep.base import labels
from sweep.cli.command import run_guarded
from sweep.results.dataset import open_results
from sweep.run import main

HEAD = """
from sweep import MLP, Experiment, Figure, Linear, Metric, Optimizer, Record, SumOfSines, grid, log_spaced, zipped

def page(**changed):
    given = dict(
        question="Is it so?", task=SumOfSines(frequencies=(1, 3), points=16), model=MLP(depth=1, width=4), epochs=20,
        axes=grid(seed=range(2)), optimizer=Optimizer("sgd", learning_rate=0.1),
        record=Record(at=log_spaced(4), snapshots=2),
    )
    return Experiment(**given | changed)

"""
PAGES = {
    "rates": "page(axes=grid(seed=range(2), learning_rate=(1e-3, 1.0, 1e30, 1e300)))",
    "all_lost": "page(axes=grid(seed=range(2), learning_rate=(1e30, 1e32)))",
    "one_frequency": """page(
        task=SumOfSines(frequencies=(4,), points=64, phases=(0.0,)), model=MLP(width=16), epochs=200,
        optimizer=Optimizer("adam", learning_rate=0.02),
        axes=grid(seed=range(2)) * (grid(depth=(0,)) + grid(depth=(1,), activation=("sine",), omega0=(10.0, 30.0))),
    )""",
    "words": 'page(question="Is it $x_$ or $\\\\\\\\undefined{?", record=Record(own=(Metric("m", lambda moment: '
    'moment.x_prediction[0], long_name="$m_$", units="$"),), at=log_spaced(4), snapshots=2))',
    "targets": "page(task=Linear(slopes=(0.02,), points=16), model=MLP(depth=0), "
    "axes=grid(intercept=(0.01, 1000.0)), epochs=100)",
    "facet": """page(
        axes=grid(weight_decay=(1e-3, 1e-1), learning_rate=(0.1, 0.3, 1.0)),
        figures=(Figure("heatmap", {"x": "epoch", "y": "weight_decay", "facet": "learning_rate"}),),
    )""",
    "no_axes": "page(axes=grid())",
    "one_record": "page(epochs=1, axes=grid(learning_rate=(0.1,)))",
}


def _svgs(folder: Path) -> dict[str, str]:
    found = {}
    for path in sorted((folder / "figures/page").glob("*.svg")):
        texts = ElementTree.parse(path).iter("{http://www.w3.org/2000/svg}text")
        found[path.stem] = " ".join(" ".join("".join(text.itertext()).split()) for text in texts)
    return found


def _run(folder: Path, page: str, capfd: pytest.CaptureFixture[str]) -> tuple[xr.Dataset, dict[str, str], str]:
    (folder / "page.py").write_text(HEAD + f"experiment = {page}\n")
    assert run_guarded(main, ["page.py"]) == 0
    told = capfd.readouterr()
    assert told.err == ""
    assert "Warning" not in told.out
    ds = open_results("results/page")
    return ds, _svgs(folder), told.out


def _best_loss(ds: xr.Dataset) -> Iterator[str]:
    """Give the title that the loss curves must have."""
    last = stats.median(stats.final(ds, "loss"))
    yield from [f"{float(last.where(np.isfinite(last)).min()):.3g}"] if np.isfinite(last).any() else []


# The others' figures are in `test_plots.py`, with results that are made up.
QUICK = ("all_lost", "words")


@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.slow] * (name not in QUICK)) for name in PAGES])
def test_every_default_figure_of_a_hard_page_is_drawn_and_its_title_is_true(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    ds, drawn, printed = _run(tmp_path, PAGES[name], capfd)
    assert drawn
    assert all("Is it" in text for text in drawn.values())
    for best in _best_loss(ds) if "loss_curves" in drawn else ():
        assert f"final loss is {best}" in drawn["loss_curves"]
    if name == "rates":
        lowest = float(stats.best_learning_rate(ds))
        shared = "Several learning rates share the lowest final loss"
        assert any(told in drawn["learning_rate_epoch"] for told in (shared, f"lowest at learning rate {lowest:g}"))
        assert "1e+300" in drawn["learning_rate_epoch"]
    if name == "all_lost":
        assert np.isin(ds["status"], labels.LOST).all()
        titles = (
            "Every median lane diverged",
            "No frequency's error was halved",
            "No drawn network has a finite output",
        )
        assert all(any(title in text for title in titles) for text in drawn.values())
    if name == "one_frequency":
        error = stats.median(stats.measured(ds, "spectral_error"))
        epochs = stats.halving_epoch(error).values.ravel()
        told = [f"{each:.0f}" for each in sorted(epochs[np.isfinite(epochs)])]
        span = told[0] if told[0] == told[-1] else f"{told[0]} to {told[-1]}"
        assert np.isinf(epochs[0])
        for figure in ("frequency_epoch", "curves"):
            assert f"Frequency 4 halved its error at epoch {span}, and never at depth 0" in drawn[figure]
            assert not re.search("depth 0, activation", drawn[figure])
        assert " nan" not in printed
        assert "order" not in printed
        assert "activation," not in printed
    if name == "words":
        assert all(r"Is it $x_$ or $\\undefined{?" in text for text in drawn.values())
    if name == "targets":
        assert "at intercept 0.01" in drawn["fits"]
    if name == "facet":
        for rate in ("0.1", "0.3", "1"):
            assert f"learning rate {rate} " in drawn["heatmap"] + " "
        assert "best learning rate" not in drawn["heatmap"]
