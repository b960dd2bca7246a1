"""Values of axes that are neither numbers nor names: written as texts in one place, and read back."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from helpers import tiny

from sweep import FromFunction, FromModule, Optimizer, SumOfSines, choices, grid, sampled, table, when, zipped
from sweep.base.errors import SweepError
from sweep.cli.command import parse_pairs
from sweep.cli.overrides import list_changes, override
from sweep.page.identity import describe, fingerprint
from sweep.page.load import describe_changes
from sweep.page.resolve import resolve
from sweep.page.restore import restore
from sweep.page.specs.knobs import knobs_of
from sweep.page.specs.written import COUNTS, NUMBERS
from sweep.specs import MLP

SINES = SumOfSines(frequencies=(1, 3), points=16)


@pytest.mark.parametrize(
    ("knob", "given", "texts", "values"),
    [
        ("hidden", ((32, 32), [64, 16], np.array([7])), ("32-32", "64-16", "7"), ((32, 32), (64, 16), (7,))),
        ("hidden", ((), (2,)), ("none", "2"), ((), (2,))),
        ("hidden", ("032-32", "5"), ("32-32", "5"), ((32, 32), (5,))),
        ("bias", (True, np.bool_(False)), ("True", "False"), (True, False)),
        ("amplitudes", ((1, 0.5), (1e-9, -2.25)), ("1, 0.5", "1e-09, -2.25"), ((1.0, 0.5), (1e-9, -2.25))),
        ("amplitudes", (0.1 + 0.2, "1,2"), ("0.30000000000000004", "1, 2"), (0.1 + 0.2, (1.0, 2.0))),
    ],
)
def test_an_axis_holds_texts_and_a_lane_the_values(knob: str, given: Any, texts: Any, values: Any) -> None:
    page = tiny(task=SINES, axes=grid(**{knob: given}, seed=(0, 1)))
    assert page.axes.values(knob) == texts
    resolved = resolve(page)
    assert resolved.columns[knob].tolist() == [text for text in texts for _ in range(2)]
    own = [getattr(v.page.task if knob == "amplitudes" else v.page.model, knob) for v in resolved.variants]
    assert own == list(values)
    assert [type(each) for each in own] == [type(each) for each in values]
    again = restore(describe(page))
    assert (again.axes, fingerprint(again)) == (page.axes, fingerprint(page))
    assert tiny(task=SINES, axes=grid(**{knob: texts}, seed=(0, 1))).axes == page.axes


def test_where_no_axis_sweeps_them_columns_have_the_page_s_values() -> None:
    page = tiny(
        task=SumOfSines(frequencies=(1, 3), points=16, amplitudes=(1, 2)), model=MLP(hidden=(3, 4)),
        axes=grid(amplitudes=((2, 1),), bias=(False,)) + grid(hidden=((5,),)),
    )  # fmt: skip
    columns = {name: column.tolist() for name, column in resolve(page).columns.items()}
    assert columns == {"amplitudes": ["2, 1", "1, 2"], "bias": ["False", "True"], "hidden": ["3-4", "5"]}
    union = tiny(axes=grid(hidden=((5,), (4, 4))) + grid(width=(3,), depth=(1, 2)))
    assert resolve(union).columns["hidden"].tolist() == ["5", "4-4", "", ""]


def test_zipped_tables_and_samples_take_them() -> None:
    assert tiny(axes=zipped(hidden=((3, 3), (4,)), bias=(True, False))).axes.dimensions() == ("hidden",)
    rows = table(pd.DataFrame({"hidden": [(3, 3), None], "width": [np.nan, 4]}))
    assert tiny(axes=rows).axes.values("hidden") == ("3-3", None)
    drawn = sampled(
        3, hidden=choices((3, 3), (4,)), bias=when(choices(True, False), hidden=((3, 3),))
    )  # fmt: skip
    page = tiny(axes=drawn)
    assert {*page.axes.factors[0].rows} == {("3-3", "True"), ("3-3", "False"), ("4", None)}


def test_command_lines_take_texts() -> None:
    page = tiny(task=SINES, axes=grid(hidden=((8, 8), (4,))))
    other = override(page, ["--axes.hidden", "32-32", "64", "--axes.amplitudes", "1, 0.5", "2,1"], "run")
    assert other.axes.values("hidden") == ("32-32", "64")
    assert other.axes.values("amplitudes") == ("1, 0.5", "2, 1")
    assert list_changes(page, other)["axes.hidden"] == ("32-32", "64")
    assert parse_pairs("--lane", "hidden=8-8,amplitudes=1,-0.5 , 2e-3,seed=1") == {
        "hidden": "8-8", "amplitudes": "1, -0.5, 2e-3", "seed": "1"
    }  # fmt: skip
    names = [describe_changes({"axes.hidden": each}, "") for each in (("32-32", "64"), ("32", "32-64"), ("32-32-64",))]
    assert len({*names}) == 3


def test_numbers_of_a_page_may_have_their_names() -> None:
    ours = tiny(task=FromFunction(function=sine, parameters={"bias": 0.5}), axes=grid(bias=(0.1, 0.2)))
    assert ours.axes.values("bias") == (0.1, 0.2)
    assert [v.page.model.bias for v in resolve(ours).variants] == [True]  # type: ignore[attr-defined]
    module = tiny(model=FromModule(build, hidden=3), axes=grid(hidden=(3, 4)))
    assert [v.page.model.knob_value("hidden") for v in resolve(module).variants] == [3, 4]


def sine(x: Any, bias: float) -> Any:
    return x + bias


def build(width: int, hidden: int) -> Any:
    raise AssertionError((width, hidden))


REFUSALS = {
    "model.hidden must hold whole numbers of at least 1, got (8, 0)": lambda: tiny(axes=grid(hidden=((8,), (8, 0)))),
    "model.hidden must hold whole numbers of at least 1, got (8.5,)": lambda: tiny(axes=grid(hidden=((8.5,), (8,)))),
    "model.hidden must be a tuple of whole numbers, as in (32, 16), got 32": lambda: tiny(axes=grid(hidden=(32, 64))),
    "model.hidden must be a tuple of whole numbers, as in (32, 16), got 5": lambda: MLP(hidden=5),  # type: ignore[arg-type]
    "model.hidden must be at most 16777216, got 16777217": lambda: MLP(hidden=(2**24 + 1,)),
    "hidden is written as '32-32', got '32x32'": lambda: tiny(axes=grid(hidden=("32x32",))),
    "axis 'hidden' has '8-8' twice: give each value once": lambda: tiny(axes=grid(hidden=((8, 8), "8-8"))),
    "bias is written as 'True', got 'yes'": lambda: tiny(axes=grid(bias=("yes",))),
    "bias must be True or False, got 1": lambda: tiny(axes=grid(bias=(1, 0))),
    "task.amplitudes must have one value for each of 2 frequencies, got 3": lambda: tiny(
        task=SINES, axes=grid(amplitudes=((1, 2), (1, 2, 3)))
    ),
    "task.amplitudes must be a finite number, got nan": lambda: tiny(axes=grid(amplitudes=("1, nan",))),
    "axis 'width' does not apply to optimizer 'adam' with MLP and SumOfSines as set up here: sweep it in separate "
    "axes, joined with +, or draw it with when(...)": lambda: tiny(axes=grid(hidden=((8,), (9,)), width=(3, 4))),
    "layer_rates must have one number for each of 3 layers, output included, got (1, 1)": lambda: tiny(
        optimizer=Optimizer(layer_rates=(1, 1)), axes=grid(hidden=((8,), (8, 8)))
    ),
    "hidden as a text must have at most 500 characters, got 539: '64-64-64-64-64-64-64-64-64-64-64-64-64-6'...": (
        lambda: tiny(axes=grid(hidden=((64,) * 180,)))
    ),
}


@pytest.mark.parametrize("line", REFUSALS)
def test_what_no_lane_can_have_is_refused_in_one_line(line: str) -> None:
    with pytest.raises(SweepError) as refused:
        REFUSALS[line]()
    assert str(refused.value) == line


def test_rates_of_layers_have_to_fit_the_layers_of_lanes_and_not_those_of_the_page() -> None:
    page = tiny(optimizer=Optimizer(layer_rates=(1, 1)), axes=grid(hidden=((8,), (9,))))
    assert page.model.count_layers() == 3
    assert {v.page.model.count_layers() for v in resolve(page).variants} == {2}


def test_texts_of_different_values_differ() -> None:
    tuples = [(), (1,), (1, 1), (11,), (1, 11), (11, 1)]
    numbers = [1.0, (1.0,), (1.0, 1.0), 11.0, (1.1, 1.0), (1.0, 0.1)]
    for form, values in ((COUNTS, tuples), (NUMBERS, numbers)):
        texts = [form.write("values", value) for value in values]
        assert len({*texts}) == len(values)
        assert [form.read("values", text) for text in texts] == values


def test_texts_are_written_only_of_factors_that_need_them() -> None:
    factor = grid(seed=range(3)).factors[0]
    assert factor.written({"bias": knobs_of(MLP)["bias"]}) is factor
