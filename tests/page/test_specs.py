"""Specs accept sequences of any type, and keep their defaults."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from helpers import tiny

from sweep.base.errors import SweepError
from sweep.page.resolve import shape_of, with_values
from sweep.page.specs.knobs import Spec, number
from sweep.specs import MLP, Figure, FromFunction, Linear, Metric, Record, SumOfSines, Window


@pytest.mark.parametrize("made", [list, tuple, np.array])
def test_any_sequence_is_converted_to_a_tuple(made) -> None:
    task = SumOfSines(frequencies=made([1, 2]), amplitudes=made([1.0, 2.0]), phases=made([0.0, 0.5]), points=16)
    assert task == SumOfSines(frequencies=(1, 2), amplitudes=(1.0, 2.0), phases=(0.0, 0.5), points=16)
    own = Metric("own", abs, dims=["frequency"])  # type: ignore[arg-type]
    experiment = tiny(
        task=task,
        model=MLP(hidden=made([8, 8]), initializer=["zeros", "normal", "normal"]),
        record=Record(metrics=["loss"], own=[own]),  # type: ignore[arg-type]
        figures=[Figure("loss_curves")],
    )
    hash(shape_of(experiment))
    assert experiment.model.layers() == (8, 8)
    assert experiment.figures == (Figure("loss_curves"),)
    assert all(isinstance(width, int) for width in experiment.model.layers())


def test_ranges_and_numpy_numbers_become_tuples_and_python_numbers() -> None:
    assert SumOfSines(frequencies=range(1, 4)).frequencies == (1.0, 2.0, 3.0)  # type: ignore[arg-type]
    width = MLP(width=np.int64(8)).width
    assert width == 8
    assert type(width) is int
    assert Linear(slopes=[1, 2], placement="random").count_features() == 2  # type: ignore[arg-type]
    hash(FromFunction(function=abs, frequencies=[1.0]))  # type: ignore[arg-type]


def test_variants_share_the_x_of_their_page() -> None:
    page = tiny(task=SumOfSines(points=16))
    assert shape_of(page).shown == page.task.window()
    variant = with_values(page, {"points": 32})
    assert shape_of(variant).shown == page.task.window()
    assert shape_of(with_values(variant, {"points": 64})).shown == page.task.window()
    assert shape_of(replace(page, task=SumOfSines(points=32))).shown.points == 32


@pytest.mark.parametrize("value", [None, 1, "no", 0.0])
def test_a_flag_that_is_not_a_bool_is_refused(value) -> None:
    with pytest.raises(SweepError, match="bias of MLP must be True or False, got"):
        MLP(bias=value)
    with pytest.raises(SweepError, match="end of Window must be True or False, got"):
        Window(0.0, 1.0, end=value)


@dataclass(frozen=True)
class Bounded(Spec):
    open_: float = number(0.5, name="open", above=0.0, below=1.0)
    closed: float = number(0.5, at_least=0.0, at_most=1.0)


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("open_", 0.0, "open must be greater than 0, got 0.0"),
        ("open_", 1.0, "open must be less than 1, got 1.0"),
        ("closed", -1e-9, "closed must be at least 0, got -1e-09"),
        ("closed", 1.5, "closed must be at most 1, got 1.5"),
    ],
)
def test_a_number_beyond_its_bounds_is_refused(field: str, value: float, words: str) -> None:
    assert Bounded(closed=0.0) != Bounded(closed=1.0)
    with pytest.raises(SweepError) as told:
        Bounded(**{field: value})
    assert str(told.value) == words
