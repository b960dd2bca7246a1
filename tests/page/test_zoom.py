"""Zooming into a grid: the values, equal bits where they coincide, and the link to the parent's store."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers import LOSS_ONLY, tiny

from sweep.axes import grid, sampled, uniform, zipped
from sweep.base.errors import SweepError
from sweep.cli.command import run_guarded
from sweep.cli.terminal import Terminal, show_parent
from sweep.page.identity import fingerprint
from sweep.page.load import load
from sweep.page.zoom import parent_attribute, zoom_into
from sweep.results import store as stores
from sweep.results.dataset import open_results
from sweep.run import Options, main, resolve
from sweep.runs.layout import create
from sweep.runs.planning import plan_sweep
from sweep.runs.runner import run_sweep
from sweep.specs import Optimizer, linear_spaced

RATES = tuple(np.geomspace(1e-4, 1e-1, 7).round(12))
PARENT = tiny(
    axes=zipped(seed=(0, 1), data_seed=(5, 6)) * grid(learning_rate=RATES, width=(4, 8, 16)),
    record=replace(LOSS_ONLY, at=linear_spaced(4), snapshots=2),
)


def values(parent, knob: str, text: str) -> list:
    return list(zoom_into(parent, {knob: text}).axes.values(knob))


def test_values_are_spaced_like_the_parent_s_axis_and_the_ends_are_exact() -> None:
    found = values(PARENT, "learning_rate", "1e-3:1e-2:17")
    assert (found[0], found[-1]) == (1e-3, 1e-2)
    assert found[8] == RATES[3]  # which was given with twelve digits
    exact = [10 ** (-3 + i / 16) for i in range(17)]
    np.testing.assert_allclose(np.delete(found, 8), np.delete(exact, 8), rtol=1e-14)
    momenta = tiny(optimizer=Optimizer("sgd"), axes=grid(momentum=(0.0, 0.3, 0.6, 0.9)))
    assert values(momenta, "momentum", "0.5:0.9:5") == pytest.approx([0.5, 0.6, 0.7, 0.8, 0.9], abs=1e-15)
    assert (
        values(momenta, "momentum", "0.5:0.9:5")[1] == 0.6
    )  # the parent's value; 0.5 + 0.4 / 4 differs in the last bit


def test_counts_are_rounded_without_repeats() -> None:
    assert values(PARENT, "width", "4:16:3") == [4, 8, 16]
    assert values(PARENT, "width", "3:6:10") == [3, 4, 5, 6]
    assert all(isinstance(width, int) for width in values(PARENT, "width", "4:16:3"))
    depths = tiny(axes=grid(depth=(1, 2, 3, 4)))
    assert values(depths, "depth", "1:7:4") == [1, 3, 5, 7]


def test_a_value_that_the_parent_has_is_equal_to_the_bit() -> None:
    off = tiny(axes=grid(learning_rate=(1e-4, 1e-3 * (1 + 3e-16), 1e-2, 1e-1)))
    assert 1e-3 not in off.axes.values("learning_rate")
    assert values(off, "learning_rate", "1e-4:1e-2:3")[1] == off.axes.values("learning_rate")[1]
    apart = tiny(axes=grid(learning_rate=(1e-4, 1.000001e-3, 1e-2, 1e-1)))  # a different number, beyond rounding
    assert values(apart, "learning_rate", "1e-4:1e-2:3")[1] == pytest.approx(1e-3, rel=1e-12)


def test_several_axes_are_zoomed_together_and_the_others_are_unchanged() -> None:
    child = zoom_into(PARENT, {"learning_rate": "1e-3:1e-2:4", "width": "8:16:2"})
    assert child.axes.dimensions() == PARENT.axes.dimensions()
    assert child.axes.factors[0] == PARENT.axes.factors[0]
    assert (len(child.axes.values("learning_rate")), child.axes.values("width")) == (4, (8, 16))
    assert replace(child, axes=PARENT.axes, name=PARENT.name) == PARENT
    assert child.name == "experiment@zoom-learning_rate-0.001-0.01-4,width-8-16-2"
    assert fingerprint(child) != fingerprint(PARENT)
    assert zoom_into(PARENT, {"width": "8:16:2"}).name != zoom_into(PARENT, {"width": "8:16:3"}).name


def test_a_sampled_axis_of_one_knob_can_be_zoomed_into() -> None:
    axes = sampled(9, learning_rate=uniform(0.01, 0.02))
    assert values(tiny(axes=axes), "learning_rate", "0.01:0.02:3") == pytest.approx([0.01, 0.015, 0.02])


SGD = Optimizer("sgd")
UNION = tiny(axes=grid(optimizer=("adam",), learning_rate=(1e-3, 1e-2)) + grid(optimizer=("sgd",), momentum=(0.0, 0.9)))


@pytest.mark.parametrize(
    ("parent", "wanted", "message"),
    [
        (PARENT, {}, "--zoom takes knob=LOW:HIGH:COUNT"),
        (PARENT, {"lerning_rate": "1:2:3"}, "unknown axis to zoom into 'lerning_rate': did you mean 'learning_rate'?"),
        (PARENT, {"noise": "0:1:3"}, "can't zoom into 'noise', which is not swept: --axes.noise sweeps it"),
        (PARENT, {"seed": "0:8:9"}, "can't zoom into 'seed': there are no values between two seeds"),
        (PARENT, {"data_seed": "0:8:9"}, "can't zoom into 'data_seed': there are no values between two seeds"),
        (tiny(axes=grid(activation=("tanh", "relu"))), {"activation": "1:2:3"}, "no values between two names"),
        (UNION, {"learning_rate": "1e-3:1e-2:3"}, "it shares one axis with others (optimizer, learning_rate"),
        (PARENT, {"learning_rate": "1e-3:1e-2"}, "learning_rate=LOW:HIGH:COUNT, two numbers and a count, got '1e-3:1"),
        (PARENT, {"learning_rate": "low:1e-2:3"}, "two numbers and a count, got 'low:1e-2:3'"),
        (PARENT, {"learning_rate": "1e-3:1e-2:3.5"}, "two numbers and a count, got '1e-3:1e-2:3.5'"),
        (PARENT, {"learning_rate": ""}, "two numbers and a count, got ''"),
        (PARENT, {"learning_rate": "1e-2:1e-3:3"}, "must have LOW below HIGH, both finite, got 0.01:0.001"),
        (PARENT, {"learning_rate": "1e-3:1e-3:3"}, "must have LOW below HIGH, both finite"),
        (PARENT, {"learning_rate": "1e-3:inf:3"}, "must have LOW below HIGH, both finite, got 0.001:inf"),
        (PARENT, {"learning_rate": "nan:1:3"}, "must have LOW below HIGH, both finite, got nan:1"),
        (PARENT, {"learning_rate": "1e-3:1e-2:1"}, "--zoom learning_rate takes 2 to 10000 values, got 1"),
        (PARENT, {"learning_rate": "1e-3:1e-2:1000000000000"}, "takes 2 to 10000 values, got 1000000000000"),
        (PARENT, {"learning_rate": "0:1e-2:3"}, "must begin above 0, as its values are spaced by ratios, got 0"),
        (PARENT, {"width": "4.1:4.4:3"}, "--zoom width needs two whole numbers between its ends, got 4.1:4.4:3"),
        (PARENT, {"width": "0:4:5"}, "--zoom width must begin above 0"),
        (tiny(axes=grid(depth=(1, 2, 3))), {"depth": "-1:3:5"}, "depth must be at least 0, got -1"),
        (tiny(optimizer=SGD, axes=grid(momentum=(0.0, 0.5))), {"momentum": "0.5:1.5:3"}, "momentum must be less"),
    ],
)  # fmt: skip
def test_an_invalid_range_is_refused_in_one_line(parent, wanted, message) -> None:
    with pytest.raises(SweepError) as refused:
        zoom_into(parent, wanted)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


# ---------------------------------------------------------------------------------------------------------
# The command.

PAGE = """
from sweep import MLP, Experiment, Figure, Optimizer, Record, SumOfSines, grid
from sweep.specs import linear_spaced
experiment = Experiment(
    question="What lies between?", task=SumOfSines(frequencies=(1, 2), points=16), model=MLP(depth=1, width=4),
    axes=grid(seed=(0, 1), learning_rate=(1e-4, 1e-3, 1e-2)), epochs=4,
    record=Record(metrics=("loss",), at=linear_spaced(4), snapshots=2), figures=(Figure("learning_rate_epoch"),),
)
"""
ZOOM = "learning_rate=1e-4:1e-2:5"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "page.py").write_text(PAGE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_zoom_has_its_own_store_which_names_its_parent(folder: Path) -> None:
    page, what = Path("page.py"), resolve(Options(Path("page.py"), zoom=ZOOM), [])
    assert what.store == Path("results/page@zoom-learning_rate-0.0001-0.01-5")
    parent = json.loads(what.attributes["parent"])
    assert parent == {
        "path": "../page", "fingerprint": fingerprint(load(page)), "zoom": {"learning_rate": "1e-4:1e-2:5"},
    }  # fmt: skip
    assert json.loads(what.attributes["arguments"]) == ["--zoom", ZOOM]
    elsewhere = resolve(Options(page, zoom=ZOOM, out=Path("a/b")), [])
    assert elsewhere.store == Path("a/b")
    assert json.loads(elsewhere.attributes["parent"])["path"] == "../../results/page"


def test_the_parent_may_be_a_smoke_test_or_have_overrides(folder: Path) -> None:
    page = Path("page.py")
    toy = resolve(Options(page, zoom=ZOOM, smoke=True), [])
    assert toy.experiment.axes.values("learning_rate") == pytest.approx(np.geomspace(1e-4, 1e-2, 5), rel=1e-14)
    assert toy.experiment.name.startswith("page@smoke@zoom-")
    assert json.loads(toy.attributes["parent"])["path"] == "../page@smoke"
    assert json.loads(toy.attributes["arguments"]) == ["--smoke", "--zoom", ZOOM]
    rest = ["--epochs", "6", "--axes.learning-rate", "1e-3", "1e-1"]
    changed, plain = resolve(Options(page, zoom=ZOOM), rest), resolve(Options(page), rest)
    assert changed.experiment.epochs == 6
    assert json.loads(changed.attributes["parent"]) == {
        "path": f"../{plain.store.name}", "fingerprint": fingerprint(plain.experiment),
        "zoom": {"learning_rate": "1e-4:1e-2:5"},
    }  # fmt: skip
    again = json.loads(changed.attributes["arguments"])
    assert resolve(Options(page, zoom=again[1]), again[2:]).experiment == changed.experiment


def test_run_trains_a_zoom_with_the_same_bits_says_how_to_see_both_and_replays_a_lane(folder: Path, capsys) -> None:
    assert run_guarded(main, ["page.py", "--zoom", ZOOM]) == 0
    (child,) = (folder / "results").iterdir()
    alone = capsys.readouterr().out
    assert "the experiment that this is a part of is not stored in results/page" in alone
    run_sweep(load("page.py"), out="results/page")
    assert run_guarded(main, ["page.py", "--zoom", ZOOM]) == 0
    both = capsys.readouterr().out
    assert "is complete: nothing to train" in both
    assert f"-m sweep.report results/page results/{child.name}" in both
    assert stores.check(child)["parent"] == parent_attribute(
        load("page.py"), {"learning_rate": "1e-4:1e-2:5"}, "../page"
    )
    found, whole = open_results(child), open_results("results/page")
    assert found.sizes["learning_rate"] == 5
    shared = found.sel(learning_rate=whole.learning_rate)
    assert len({shared.loss.values[i].tobytes() for i in range(2)}) == 2
    for name in whole.data_vars:
        assert shared[name].values.tobytes() == whole[name].values.tobytes(), name
    between = f"seed=1,learning_rate={float(found.learning_rate[1])!r}"
    assert run_guarded(main, ["page.py", "--zoom", ZOOM, "--lane", between]) == 0
    assert "distance 0" in capsys.readouterr().out
    assert run_guarded(main, ["page.py", "--lane", between]) == 2
    assert "nearest are 0.0001, 0.001" in capsys.readouterr().err


def test_another_experiment_in_the_parent_s_place_is_not_used_as_the_parent(folder: Path, capsys) -> None:
    what = resolve(Options(Path("page.py"), zoom=ZOOM), [])
    ds = run_sweep(what.experiment, out=what.store, attributes=what.attributes)
    create(plan_sweep(replace(load("page.py"), epochs=3)), Path("results/page"))
    show_parent(Terminal(), ds, what.store, "report")
    assert "is not stored in results/page" in capsys.readouterr().out


def test_the_plan_of_a_zoom_is_shown_without_a_store_and_an_error_has_exit_code_2(folder: Path, capsys) -> None:
    assert run_guarded(main, ["page.py", "--zoom", ZOOM, "--plan"]) == 0
    assert "10 lanes (seed 2 x learning_rate 5)" in capsys.readouterr().out
    assert run_guarded(main, ["page.py", "--zoom", "learning_rate=1:2"]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert not (folder / "results").exists()
