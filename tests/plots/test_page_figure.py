"""Figures that a page draws itself."""

import json
import warnings
from pathlib import Path

import numpy as np
import pytest
from drawn import texts
from synthetic import AXES, results

from sweep import Figure, SweepError, SweepWarning, load
from sweep.cli.command import run_guarded
from sweep.page.identity import describe, fingerprint
from sweep.plot import main as plot
from sweep.plots.figures.page_figure import draw_page_figure
from sweep.plots.gallery import check_directory, choose_figures, draw_figures
from sweep.report import cells
from sweep.run import main as run

PAGE = """
from sweep import MLP, Experiment, Figure, Linear, Record, grid, log_spaced


def scatter(axes, ds, marker="o"):
    last = ds.loss.isel(epoch=-1)
    axes.plot(ds.learning_rate, last.median("seed"), marker)
    axes.set_xlabel("learning rate")
    axes.set_ylabel("loss")
    return "The loss at $the$ end"


experiment = Experiment(
    question="Can a page draw?", task=Linear(points=8), model=MLP(depth=0),
    axes=grid(seed=range(2), learning_rate=(0.01, 0.1)), epochs=4, record=Record(metrics=("loss",), at=log_spaced(2)),
    figures=(Figure(scatter, {{"marker": "s"}}){more},),
)
"""


def bars(axes, ds, width=0.5):
    axes.bar([0], [float(ds["loss"].isel(epoch=-1).mean())], width)


def test_a_page_figure_has_question_title_and_page_name() -> None:
    ds = results(AXES)
    told = texts(draw_page_figure(ds, Figure(bars, {"width": 0.2})))
    assert "Which frequency comes first?" in told
    assert "bars" in told  # no title of its own: its name
    assert "Drawn by bars of the page" in told
    assert "Page: synthetic/page" in told


@pytest.mark.parametrize(
    ("function", "told"),
    [
        (
            lambda axes, ds: None,
            "a figure's function needs a name of at most 80 letters, got '<lambda>': define it with def",
        ),
        (3, "a figure is a name or a function of axes and results, got 3"),
    ],
)
def test_a_function_that_can_not_be_a_figure_is_refused(function, told: str) -> None:
    with pytest.raises(SweepError, match=f"^{told}$"):
        Figure(function)


def test_a_function_that_would_hide_a_figure_is_refused() -> None:
    def curves(axes, ds):
        pass

    with pytest.raises(SweepError, match="the page's function 'curves' has the name of another figure"):
        Figure(curves)


def test_an_exception_of_the_function_is_one_line_and_no_figure_is_saved(tmp_path: Path) -> None:
    def broken(axes, ds):
        raise KeyError("nothing")

    def counting(axes, ds):
        return 3

    def leaving(axes, ds):
        raise SystemExit(0)

    def changing(axes, ds):
        ds["loss"][:] = 7

    def late(axes, ds):  # fails only when the figure is drawn
        axes.xaxis.set_major_formatter(lambda value, place: f"{1 / 0}")

    def tight(axes, ds):
        axes.figure.tight_layout()

    for function, told in (
        (broken, "figure 'broken' raised KeyError: 'nothing'"),
        (counting, "figure 'counting' must return its title or nothing, got 3"),
        (leaving, "figure 'leaving' raised SystemExit: 0"),
        (changing, "figure 'changing' raised ValueError: Assignment destination is a view"),
        (late, "figure 'late' raised ZeroDivisionError: division by zero"),
        (tight, "figure 'tight' changes the figure's layout: leave that out"),
    ):
        with pytest.raises(SweepError, match=told):
            draw_figures(results(AXES), [Figure("loss_curves"), Figure(function)], tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_run_draws_page_figures_and_a_plot_of_the_store_says_so(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    Path("page.py").write_text(PAGE.format(more=', Figure("loss_curves")'))
    assert run_guarded(run, ["page.py", "--out", "store", "--figures-dir", "drawn"]) == 0
    assert sorted(path.name for path in Path("drawn").iterdir()) == [
        "loss_curves.png", "loss_curves.svg", "scatter.png", "scatter.svg",
    ]  # fmt: skip
    assert "The loss at $the$ end" in Path("drawn/scatter.svg").read_text()
    capsys.readouterr()
    assert run_guarded(plot, ["store", "--out", "again"]) == 0
    assert "note: figure 'scatter' is drawn by a function of its page: `python -m sweep.run`" in capsys.readouterr().err
    assert sorted(path.name for path in Path("again").iterdir()) == ["loss_curves.png", "loss_curves.svg"]


def test_a_run_whose_page_figure_fails_says_that_the_results_are_saved(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    broken = PAGE.format(more="").replace("ds.loss.isel", "ds.los.isel")
    Path("page.py").write_text(broken)
    assert run_guarded(run, ["page.py", "--out", "store"]) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("sweep: figure 'scatter' raised AttributeError: ")
    assert last.endswith("; the results are saved in store: the same command draws them again")
    Path("page.py").write_text(broken.replace("ds.los.isel", "ds.loss.isel"))
    assert run_guarded(run, ["page.py", "--out", "store"]) == 0
    assert "store is complete: nothing to train" in capsys.readouterr().out


def test_a_page_with_only_page_figures_gets_no_others(tmp_path: Path) -> None:
    ds = results(AXES).assign_attrs(figures=json.dumps([{"name": "scatter", "options": {}, "own": True}]))
    with pytest.warns(SweepWarning, match="scatter"):
        assert choose_figures(ds) == ()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert choose_figures(ds.drop_attrs(deep=False)) != ()


def test_one_function_may_draw_several_figures_with_different_options(tmp_path: Path) -> None:
    own = [Figure(bars, {"width": 0.2}), Figure(bars, {"width": 0.9})]
    told = [{"name": "bars", "options": dict(each.options), "own": True} for each in own]
    ds = results(AXES).assign_attrs(figures=json.dumps(told))
    assert [figure.options["width"] for figure in choose_figures(ds, page_figures=own)] == [0.2, 0.9]
    files = draw_figures(ds, choose_figures(ds, page_figures=own), tmp_path)
    assert sorted(path.name for path in files) == ["bars.png", "bars.svg", "bars_2.png", "bars_2.svg"]
    assert len({path.read_bytes() for path in files}) == 4


def test_a_function_with_the_name_of_a_second_figure_does_not_take_its_place(tmp_path: Path) -> None:
    def loss_curves_2(axes, ds):
        axes.plot([0, 1])

    figures = [Figure("loss_curves"), Figure("loss_curves"), Figure(loss_curves_2)]
    files = draw_figures(results({"seed": [0]}), figures, tmp_path)
    assert len(set(files)) == 6


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"k": [1, 2]}, "option 'k' of figure 'bars' must be a finite number, got"),
        ({"k": float("nan")}, "option 'k' of figure 'bars' must be a finite number, got nan"),
        ({"a b": 1}, "option 'a b' of figure 'bars' must be the name of an argument, an identifier"),
        ({"k": "x" * 2000}, "option 'k' of figure 'bars' must have at most 1000 characters"),
        ({f"k{i}": 1 for i in range(21)}, "figure 'bars' takes at most 20 options, got 21"),
    ],
)
def test_options_that_no_store_can_hold_are_refused_when_the_page_is_made(options, told: str) -> None:
    with pytest.raises(SweepError, match=told):
        Figure(bars, options)
    assert Figure(bars, {"k": np.float32(1)}).options == {"k": 1.0}


def test_a_page_figure_can_not_be_drawn_from_the_store_and_its_file_is_kept(tmp_path: Path) -> None:
    ds = results(AXES).assign_attrs(figures=json.dumps([{"name": "bars", "options": {}, "own": True}]))
    with pytest.raises(SweepError, match="figure 'bars' is drawn by a function of its page"):
        choose_figures(ds, ["bars"])
    (tmp_path / "bars.png").write_text("mine")
    with pytest.raises(SweepError, match=r"bars\.png was not drawn by sweep"):
        check_directory(tmp_path, [Figure(bars)])


def test_a_function_can_not_change_the_results_of_other_figures() -> None:
    def spoiling(axes, ds):
        ds["loss"] = ds["loss"] * 0

    ds = results(AXES)
    draw_page_figure(ds, Figure(spoiling))
    assert float(ds["loss"].max()) > 0


def test_a_report_is_made_of_a_page_whose_first_figure_is_a_page_figure() -> None:
    ds = results(AXES).assign_attrs(figures=json.dumps([{"name": "bars", "options": {}, "own": True}]))
    about, _ = cells.embed(ds)
    assert about["first"]["metric"]


def test_the_drawing_function_is_not_in_the_hash(tmp_path: Path) -> None:
    (tmp_path / "page.py").write_text(PAGE.format(more=""))
    first = load(tmp_path / "page.py")
    told, code = describe(first), fingerprint(first)  # before its text is another
    (tmp_path / "page.py").write_text(PAGE.format(more="").replace("isel(epoch=-1)", "isel(epoch=0)"))
    other = load(tmp_path / "page.py")
    assert describe(other) != told
    assert fingerprint(other) == code
