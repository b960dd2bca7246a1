"""What differs between the pages, versions and devices of results."""

import json

import xarray as xr

from sweep.compare.page_differences import compare_pages

PAGE = {
    "kind": "Experiment",
    "question": "Which?",
    "task": {"kind": "Sine", "noise": 0.0, "frequencies": [1.0, 2.0]},
    "optimizer": {"kind": "Optimizer", "name": "adam", "learning_rate": 0.001, "momentum": None},
    "axes": {"kind": "Axes", "factors": []},
    "figures": [],
    "epochs": 500,
}


def stored(changes=None, **attributes) -> xr.Dataset:
    """Results with the attributes that say where they come from."""
    default = {
        "experiment": json.dumps(PAGE | (changes or {})),
        "name": "page",
        "versions": json.dumps({"jax": "0.10.1", "numpy": "2.4.6"}),
        "arithmetic": json.dumps({"engine": 3, "tiles": [16, 8]}),
        "device": "2 x cpu",
        "commit": "abc",
        "created": "today",
        "training_seconds": 1.0,
    }
    return xr.Dataset(attrs=default | attributes)


def test_the_same_page_run_again_differs_in_nothing():
    assert compare_pages([stored(), stored(created="yesterday", training_seconds=9.0)]) == {}


def test_figures_claims_and_axes_are_not_compared():
    other = stored({"figures": [{"name": "fits"}], "claims": [{"id": "C1"}], "axes": {"kind": "Axes", "factors": [1]}})
    assert compare_pages([stored(), other]) == {}


def test_fields_are_named_by_their_path_with_each_value():
    other = stored({"task": {"kind": "Sine", "noise": 0.1, "frequencies": [1.0, 3.0]}, "epochs": 1000})
    assert compare_pages([stored(), other, stored()]) == {
        "task.noise": ("0", "0.1", "0"),
        "task.frequencies": ("(1, 2)", "(1, 3)", "(1, 2)"),
        "epochs": ("500", "1000", "500"),
    }


def test_versions_device_and_arithmetic_are_compared():
    other = stored(
        versions=json.dumps({"jax": "0.11.0", "numpy": "2.4.6"}),
        arithmetic=json.dumps({"engine": 4, "tiles": [16, 8]}),
        device="1 x gpu",
    )
    assert compare_pages([stored(), other]) == {
        "versions.jax": ("0.10.1", "0.11.0"),
        "arithmetic.engine": ("3", "4"),
        "device": ("2 x cpu", "1 x gpu"),
    }


def test_a_field_that_only_one_has_is_a_dash_and_none_is_a_word():
    """A missing field of a class of the page has no known default; one of a class of `sweep` has its default."""
    one, other = stored({"task": {"kind": "Own", "depth": None}}), stored({"task": {"kind": "Own"}})
    assert compare_pages([one, other]) == {"task.depth": ("none", "-")}


def test_of_source_code_only_the_lines_that_differ_are_shown_and_shortened():
    sources = [f"def target(x):\n    y = 2 * x\n    return {end}" for end in ("y", "y + 1")]
    one, other = (stored({"task": {"kind": "FromFunction", "function": source}}) for source in sources)
    assert compare_pages([one, other]) == {"task.function": ("return y", "return y + 1")}
    (_, long), *_ = compare_pages([stored(), stored({"question": "why " * 100})]).values()
    assert len(long) == 60
    assert long.endswith(" ...")


def test_a_stop_that_one_page_lacks_is_written_as_in_a_page():
    one, other = stored({"stop": None}), stored({"stop": {"kind": "Target", "threshold": 0.01}})
    assert compare_pages([one, other])["stop"] == ("none", "Target")


def test_a_field_that_an_older_store_lacks_has_its_default():
    one, other = (
        stored({"stop": {"kind": "Target", "value": 0.1, "metric": "loss"}}),
        stored({"stop": {"kind": "Target", "value": 0.1, "metric": "loss", "at_least": None, "at_most": None}}),
    )
    assert compare_pages([one, other]) == {}
    other = stored({"stop": {"kind": "Target", "at_most": 0.1}})
    assert compare_pages([one, other]) == {"stop.value": ("0.1", "none"), "stop.at_most": ("none", "0.1")}
    metrics = ({"kind": "Metric", "name": "own"}, {"kind": "Metric", "name": "own", "better": None})
    one, other = (stored({"record": {"kind": "Record", "own": [metric]}}) for metric in metrics)
    assert compare_pages([one, other]) == {}
