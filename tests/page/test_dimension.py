"""Dimensions that a page's metrics have of their own: what is accepted and refused, and what hashes depend on."""

from collections.abc import Callable

import numpy as np
import pytest
from helpers import tiny

from sweep.axes import grid
from sweep.base.errors import SweepError
from sweep.page.identity import describe, fingerprint
from sweep.specs import Dimension, FromFunction, Metric, Record


def own(*dims: object, name: str = "m") -> Metric:
    return Metric(name, abs, dims=dims[0] if len(dims) == 1 else dims)  # type: ignore[arg-type]


def test_dimensions_are_given_by_size_by_values_and_mixed_with_those_of_the_page() -> None:
    metric = own({"layer": None, "mode": 3, "share": np.linspace(0, 1, 3)})
    assert metric.quantity().dims == ("layer", "mode", "share")
    mode, share = metric.own_dimensions()
    assert mode == Dimension("mode", 3)
    assert (mode.coordinate().tolist(), mode.coordinate().dtype) == ([0, 1, 2], np.int64)
    assert (share.coordinate().tolist(), share.coordinate().dtype) == ([0, 0.5, 1], np.float64)
    assert own("frequency", Dimension("mode", range(1, 4))).own_dimensions()[0].coordinate().tolist() == [1, 2, 3]
    assert own(("x",)).own_dimensions() == ()
    assert hash(metric) == hash(own({"layer": None, "mode": 3, "share": [0.0, 0.5, 1.0]}))
    assert own({"mode": 3}).own_dimensions()[0].same_as(own({"mode": range(3)}).own_dimensions()[0])


def recorded(*metrics: Metric, **changes: object) -> Callable[[], object]:
    return lambda: tiny(record=Record(metrics=("loss", "sharpness"), own=metrics), **changes)


REFUSALS: dict[str, Callable[[], object]] = {
    "unknown dimension of metric 'm' 'mode': known: frequency, layer, output, sample, x, x1, x2; one of its own has a "
    "size: dims={'mode': 10}": lambda: own(("mode",)),
    "dimension 'layer' of metric 'm' is the page's, which gives its size: write None": lambda: own({"layer": 3}),
    "dims of metric 'm' must be names, Dimensions or a dict of sizes, got 3": lambda: own(3),
    "a dimension of a metric can't be named 'epoch': choose another identifier": lambda: own({"epoch": 3}),
    "a dimension of a metric can't be named 'loss': choose another identifier": lambda: own({"loss": 3}),
    "a dimension of a metric can't be named 'a b': choose another identifier": lambda: own({"a b": 3}),
    "the name of a dimension must be text, got 3": lambda: own({3: 3}),
    "dimension 'mode' needs a number of entries or their values, got None": lambda: own({"mode": None}),
    "dimension 'mode' needs a number of entries or their values, got 'ab'": lambda: own({"mode": "ab"}),
    "dimension 'mode' must have from 1 to 100,000 entries, got 0": lambda: own({"mode": ()}),
    "dimension 'mode' must have from 1 to 100,000 entries, got 100,001": lambda: own({"mode": 100_001}),
    "a value of dimension 'mode' must be a finite number, got nan": lambda: own({"mode": (1.0, float("nan"))}),
    "a value of dimension 'mode' must be a finite number, got 'low'": lambda: own({"mode": ("low", "high")}),
    "dimension 'mode' has a value twice: give distinct values": lambda: own({"mode": (1, 2, 1.0)}),
    "units of dimension 'mode' must be text, got 1": lambda: Dimension("mode", 3, units=1),  # type: ignore[arg-type]
    "metric 'm' has at most 3 different dimensions, got x, x": lambda: own("x", "x"),
    "metric 'm' has at most 3 different dimensions, got a, b, c, d": lambda: own(dict.fromkeys("abcd", 2)),
    "metrics 'm' and 'n' have different dimensions named 'mode': give both the same values and labels, or different "
    "names": recorded(own({"mode": 3}), own({"mode": 4}, name="n")),
    "dimension 'width' of metric 'm' has the name of a knob: rename it": recorded(own({"width": 3})),
    "dimension 'height' of metric 'm' has the name of a knob: rename it": recorded(
        own({"height": 3}), task=FromFunction(function=abs, parameters={"height": 1.0})
    ),
    "dimension 'm' of metric 'm' has the name of a metric: rename it": recorded(own({"m": 3})),
    "dimension 'sharpness' of metric 'm' has the name of a metric: rename it": recorded(own({"sharpness": 3})),
    "dimension 'point_2' of metric 'm' has the name of a dimension of the axes: rename it": recorded(
        own({"point_2": 3}),
        axes=(grid(width=(3,), depth=(1,)) + grid(width=(4,), depth=(2,)))
        * (grid(learning_rate=(0.1,), noise=(0.0,)) + grid(learning_rate=(0.2,), noise=(0.1,))),
    ),
    "metric 'sharpness' can't be recorded, as a knob of this page has its name: rename the knob": recorded(
        task=FromFunction(function=abs, parameters={"sharpness": 1.0})
    ),
    "record.metrics must be distinct, got loss, sharpness, sharpness": recorded(own((), name="sharpness")),
}


@pytest.mark.parametrize("told", REFUSALS)
def test_what_can_not_be_a_dimension_is_refused_in_one_line(told: str) -> None:
    with pytest.raises(SweepError) as refused:
        REFUSALS[told]()
    assert str(refused.value) == told


def test_a_name_that_is_recorded_only_on_request_is_free_otherwise() -> None:
    page = tiny(record=Record(own=(Metric("sharpness", abs, dims={"mode": 2}),)))
    assert "sharpness" not in page.metrics()
    assert page.dimensions() >= {"mode", "layer"}


def test_the_hash_depends_on_the_dimensions_and_is_as_before_without_any() -> None:
    def code(*dims: object) -> str:
        return fingerprint(tiny(record=Record(own=(own(*dims),))))

    assert describe(own(("x", "layer")))["dims"] == ["x", "layer"]
    assert len({code(()), code({"mode": 3}), code({"mode": 4}), code({"mode": (1, 2, 3)}), code({"other": 3})}) == 5
    assert code({"mode": 3}) == code(Dimension("mode", 3, units="1")) == code([Dimension("mode", 3)])
