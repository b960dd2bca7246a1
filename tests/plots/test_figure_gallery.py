"""`docs/gallery.md` shows every figure, with a picture that exists and the lines that draw it."""

import re
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.image import imread
from synthetic import over_two_features, results, with_rows

from sweep.base import labels
from sweep.page.specs.figure import KINDS

ROOT = Path(__file__).parents[2]
GALLERY = ROOT / "docs" / "gallery.md"
TEXT = GALLERY.read_text()
IMPORTS, ON_AXES, *BLOCKS = re.findall(r"```python\n(.*?)```", TEXT, flags=re.DOTALL)
PICTURES = re.findall(r"!\[.*?\]\((.*?)\)", TEXT)
SMALL = np.array([0.0, 1, 10, 100])

# What the stores that the lines name are swept over.
AXES = {
    "results/freq_principle": {"learning_rate": np.geomspace(1e-4, 1e-1, 5), "width": [16.0, 64.0]},
    "results/linear_check": {"learning_rate": [1e-3, 1e-2]},
    "results/questions/what_works": {
        "optimizer": ["sgd", "adam"], "learning_rate": [1e-3, 1e-2], "activation": ["relu", "tanh"],
    },
    "results/questions/sine_activation": {"learning_rate": [1e-3, 1e-2], "omega0": [1.0, 4.0]},
    "results/questions/xor": {"activation": ["relu", "tanh"], "width": [2.0, 3.0]},
    "results/questions/centre_before_edges": {},
    "results/spirals": {"learning_rate": [1e-3, 1e-2], "width": [4.0, 8.0]},
    "results/field": {"learning_rate": [1e-3, 1e-2]},
}  # fmt: skip


def synthetic_store(path: str):
    axes = {"seed": range(3), **AXES[path]}
    if path == "results/field":
        return over_two_features(results(axes, epochs=SMALL, points=64))
    if path == "results/spirals":  # two features, and rows
        ds = results(axes, epochs=SMALL, points=64)
        rows = with_rows(ds)
        return over_two_features(ds).merge(rows.drop_vars("sample_input"), compat="override")
    ds = results(axes, epochs=SMALL, points=4)
    for name in ("accuracy", "extrapolation_error"):
        ds[name] = (ds["loss"] / 3).assign_attrs(labels.METRICS[name].attributes())
    return ds.assign(closed_form_loss=ds["loss"] * 2)


def test_every_figure_is_shown_with_lines_that_call_it():
    parts = dict(re.findall(r"^### (\w+)\n(.*?)(?=^##|\Z)", TEXT, flags=re.DOTALL | re.MULTILINE))
    assert set(parts) == set(KINDS)
    for name, part in parts.items():
        assert re.search(rf"!\[{name}\]\(.*\.(png|gif)\)", part), name
        assert f"plots.{name}(" in part, name


@pytest.mark.parametrize("picture", PICTURES)
def test_every_picture_is_there(picture):
    assert (GALLERY.parent / picture).resolve().is_file()


def test_the_gallery_s_own_pictures_are_small_and_all_shown():
    own = sorted((ROOT / "figures" / "gallery").iterdir())
    shown = {(GALLERY.parent / picture).resolve() for picture in PICTURES}
    assert own
    assert set(own) <= shown
    for path in own:
        assert path.stat().st_size < (120_000 if path.suffix == ".png" else 200_000)
    assert sum(path.stat().st_size for path in own) < 1_000_000


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: re.findall(r'\w+(?=\.\w+"\))', block)[-1])
def test_the_lines_make_the_picture(block, tmp_path, monkeypatch):
    assert len(block.splitlines()) == 3
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    exec(IMPORTS, names)
    exec(block, names | {"open_results": synthetic_store})
    (made,) = tmp_path.iterdir()
    assert f'"{made.name}"' in block
    assert any(Path(picture).name == made.name for picture in PICTURES)
    assert imread(made).std() > 0.05 if made.suffix == ".png" else made.stat().st_size > 5_000


def test_the_lines_on_given_axes_draw_side_by_side():
    names: dict[str, object] = {"plt": plt, "ds": synthetic_store("results/freq_principle")}
    exec(IMPORTS, names)
    exec(ON_AXES, names)
    figure = names["figure"]
    assert isinstance(figure, plt.Figure)
    titles = [axes.get_title() for axes in figure.axes]
    plt.close(figure)
    assert [title.split(",")[0] for title in titles] == ["width 16", "width 64"]
