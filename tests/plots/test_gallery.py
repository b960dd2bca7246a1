"""Choosing the figures of a store and saving them."""

import json
import re
from pathlib import Path

import pytest
from matplotlib.image import imread
from matplotlib.transforms import Bbox
from synthetic import AXES, over_two_features, results, with_rows

from sweep.base.errors import SweepError
from sweep.page.specs.figure import KINDS, Figure
from sweep.plots.gallery import (
    _fix_layout,
    check_directory,
    choose_figures,
    default_directory,
    draw_figures,
    is_our_figure,
    save,
)
from sweep.plots.registry import FIGURES


def asking(*figures):
    ds = results(AXES)
    ds.attrs["figures"] = json.dumps(figures)
    return ds


def test_a_page_without_figures_gets_all_that_fit():
    assert [figure.name for figure in choose_figures(results(AXES))] == [
        name for name in KINDS if not KINDS[name].on_request and name not in ("surface", "surface_error", "predicted")
    ]
    assert "surface" in [figure.name for figure in choose_figures(over_two_features(results(AXES)))]
    assert "predicted" in [figure.name for figure in choose_figures(with_rows(results(AXES)))]
    names = [figure.name for figure in choose_figures(results({"seed": [0]}).drop_vars("prediction"))]
    assert names == ["frequency_epoch", "curves", "loss_curves", "space_epoch"]


def test_the_figures_that_a_page_names_have_their_options():
    ds = asking({"name": "epochs_to_converge", "options": {"threshold": 0.5}}, {"name": "curves"})
    assert choose_figures(ds) == (Figure("epochs_to_converge", {"threshold": 0.5}), Figure("curves"))
    assert choose_figures(ds, ["epochs_to_converge"]) == (Figure("epochs_to_converge", {"threshold": 0.5}),)
    assert choose_figures(ds, ["fits", "fits"]) == (Figure("fits"),)
    assert choose_figures(ds, ["outcome"]) == (Figure("outcome"),)


@pytest.mark.parametrize(
    ("figure", "lost", "message"),
    [
        ({"name": "learning_rate_epoch"}, "learning_rate", "needs 'learning_rate'"),
        ({"name": "epochs_to_converge"}, "width", "needs 'width'"),
        ({"name": "loss_curves", "options": {"reference": "closed_form"}}, "width", "needs 'closed_form'"),
        ({"name": "outcome", "options": {"metric": "accuracy"}}, "width", "needs 'accuracy'"),
        ({"name": "metric_epoch", "options": {"rows": "width"}}, "width", "needs 'width'"),
    ],
)
def test_a_figure_that_does_not_fit_names_what_is_missing(figure, lost, message):
    ds = asking(figure).isel({lost: 0}, drop=True)
    with pytest.raises(SweepError, match=message):
        choose_figures(ds)


def test_an_unknown_name_gets_a_suggestion():
    with pytest.raises(SweepError, match="did you mean 'space_epoch'"):
        choose_figures(results(AXES), ["space_epochs"])


def test_every_figure_is_saved_small_in_both_formats(tmp_path):
    ds = results(AXES)
    paths = draw_figures(ds, choose_figures(ds), tmp_path / "a" / "b")
    names = [figure.name for figure in choose_figures(ds)]
    assert sorted(path.name for path in paths) == sorted(f"{name}.{kind}" for name in names for kind in ("png", "svg"))
    for path in paths:
        if path.suffix == ".svg":
            text = path.read_text()
            assert len(text) < 500 * 1024
            assert "<text" in text
            assert ("<image" in text) == (path.stem not in ("curves", "loss_curves")), "cells as pixels"
        else:
            assert imread(path).shape[1] >= 900


def test_the_same_figure_is_the_same_file(tmp_path):
    ds = results({"seed": [0, 1]})
    first, second = (draw_figures(ds, [Figure("frequency_epoch")], tmp_path / each) for each in "ab")
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


def test_two_figures_of_one_name_are_two_files(tmp_path):
    figures = [Figure("epochs_to_converge", {"threshold": each}) for each in (0.1, 1.0)]
    names = [path.name for path in draw_figures(results(AXES), figures, tmp_path)]
    assert names == [f"epochs_to_converge{number}.{kind}" for number in ("", "_2") for kind in ("png", "svg")]


def test_a_figure_that_does_not_fit_leaves_all_files_as_they_are(tmp_path):
    figures = [Figure("loss_curves"), Figure("heatmap", {"metric": "spectral_error", "y": "width"})]
    with pytest.raises(SweepError, match="leaves frequency"):
        draw_figures(results(AXES), figures, tmp_path / "f")
    assert not (tmp_path / "f").exists()


def test_only_what_is_signed_as_a_picture_is_taken_for_a_drawn_figure(tmp_path):
    for path in draw_figures(results({"seed": [0]}), [Figure("loss_curves")], tmp_path):
        assert is_our_figure(path)
        path.write_bytes(path.read_bytes()[:20])
        assert not is_our_figure(path)
        path.write_text("why my sweep was drawn with Matplotlib")
        assert not is_our_figure(path)
    assert not is_our_figure(tmp_path / "no.pdf")


@pytest.mark.slow
def test_a_large_noisy_store_makes_small_files(tmp_path):
    """Long lines and scattered hatches make an SVG large."""
    ds = results({"seed": range(4), "width": [8.0, 16, 32, 64], "learning_rate": [0.01]}, points=1200)
    ds["loss"] = ds["loss"].where((ds["epoch"].astype(int) + ds["seed"]) % 2 == 0)
    for path in draw_figures(ds, [Figure("fits"), Figure("learning_rate_epoch")], tmp_path):
        assert path.stat().st_size < 500 * 1024


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(SweepError, match=r"cannot write figures to .*another folder"):
        draw_figures(results({"seed": [0]}), [Figure("loss_curves")], tmp_path / "file" / "figures")


def test_only_an_unmodified_page_draws_into_figures(tmp_path):
    assert default_directory(Path("results/a/b"), "a/b", complete=True) == Path("figures/a/b")
    assert default_directory(Path("results/a/b"), "a/b", complete=False) == Path("results/a/b/figures")
    assert default_directory(Path("results/a/b"), "a/b@smoke", complete=True) == Path("results/a/b/figures")
    smoke = Path("results/a/b@smoke")
    assert default_directory(smoke, "a/b@smoke", complete=True) == smoke / "figures"
    assert default_directory(tmp_path, "a/b", complete=True) == tmp_path / "figures"


def test_the_full_version_of_a_page_has_a_separate_folder():
    full = Path("results/a/b@full")
    assert default_directory(full, "a/b@full", complete=True) == Path("figures/a/b@full")
    assert default_directory(full, "a/b@full", complete=False) == full / "figures"
    assert default_directory(full, "a/b", complete=True) == full / "figures"
    assert default_directory(Path("results/a/b"), "a/b@full", complete=True) == Path("results/a/b/figures")
    assert default_directory(full, "a/b@full@smoke", complete=True) == full / "figures"


@pytest.mark.slow
def test_figures_for_print_fit_a_column_with_readable_letters(tmp_path):
    ds = results(AXES)
    screen = draw_figures(ds, [Figure("frequency_epoch")], tmp_path / "screen")
    names = [name for name in KINDS if name in FIGURES and name != "share"]  # which needs a bound
    paths = draw_figures(ds, [Figure(name) for name in names], tmp_path, form="print")
    assert [path.name for path in paths] == [f"{name}.{kind}" for name in names for kind in ("pdf", "svg")]
    for path in paths[::2]:
        text = path.read_bytes()
        (width,) = re.findall(rb"/MediaBox \[ 0 0 ([\d.]+) ", text)
        assert float(width) == pytest.approx(3.3 * 72, abs=0.5)
        assert b"/Type /Font" in text, "letters stay letters"
        assert b"/FontFile2" in text, "of a kind that printers know"
        assert b"CreationDate" not in text
    sizes = [float(size) for size in re.findall(r"font-size: ([\d.]+)px", paths[1].read_text())]
    assert min(sizes) >= 7, "points: an SVG's pixels are 1/72 inch here"
    again = draw_figures(ds, [Figure("frequency_epoch")], tmp_path / "again")
    assert [path.read_bytes() for path in again] == [path.read_bytes() for path in screen], "print leaves no trace"


def test_print_is_the_same_file_each_time(tmp_path):
    ds = results({"seed": [0, 1]})
    first, second = (draw_figures(ds, [Figure("loss_curves")], tmp_path / each, form="print") for each in "ab")
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


def test_an_svg_does_not_depend_on_the_last_digits_of_the_layout(tmp_path):
    """They differ from run to run, and the names of clipped areas depend on them."""
    drawn = FIGURES["curves"](results({"seed": [0], "width": [16.0, 64.0]}))
    drawn.draw_without_rendering()
    files = []
    for shift in (0, 1e-15):
        for axes in drawn.axes:
            axes.set_position(Bbox(axes.get_position().get_points() + shift))
        drawn.set_layout_engine("constrained")
        drawn.get_layout_engine().execute = lambda figure: None  # what was found before
        files.append(tmp_path / f"{shift}.svg")
        _fix_layout(drawn)
        save(drawn, files[-1:])
    assert files[0].read_bytes() == files[1].read_bytes()


def test_another_file_with_the_name_of_a_figure_is_refused_before_training(tmp_path):
    (tmp_path / "notes.png").write_text("any name but a figure's will do")
    check_directory(tmp_path)
    (tmp_path / "fits.svg").write_text("a thesis")
    with pytest.raises(SweepError, match=r"fits.svg was not drawn by sweep: name another --figures-dir"):
        check_directory(tmp_path)
