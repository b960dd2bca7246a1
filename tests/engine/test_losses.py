"""Losses against formulas in NumPy and against optax, and losses of the page."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import tiny

from sweep import SweepError, grid
from sweep.engine.regression.losses import compute_loss
from sweep.page.resolve import resolve
from sweep.page.specs.loss import LOSSES
from sweep.runs.planning import plan_sweep
from sweep.specs import Data, FromFunction, Loss

H, Y = np.array([1.0, 2.0, -3.0, 7.0]), np.array([0.0, 1.0, 1.0, -9.0])
WEIGHTS = np.array([1.0, 1.0, 1.0, 0.0])  # the last point is padding
CLASSES = np.array([[2.0, -1.0, 0.5], [0.0, 3.0, -2.0], [1.0, 1.0, 1.0], [9.0, -9.0, 9.0]])


def value(
    loss: str | Loss, h: Any, y: Any, weights: Any = WEIGHTS, precision: str = "float64", **numbers: float
) -> float:
    """Compute a loss with the engine's function."""
    spec = loss if isinstance(loss, Loss) else Loss(loss)
    with jax.enable_x64(precision == "float64"):
        traced = {name: jnp.asarray(each, precision) for name, each in {**spec.values(), **numbers}.items()}
        h, weights = (jnp.asarray(each, precision) for each in (h, weights))
        y = jnp.asarray(y) if np.asarray(y).dtype.kind == "i" else jnp.asarray(y, precision)
        return float(compute_loss(spec, h, y, weights, traced))


def cross_entropy(p: Any, y: Any) -> Any:
    return -y * np.log(p) - (1 - y) * np.log(1 - p)


def sigmoid(h: Any) -> Any:
    return 1 / (1 + np.exp(-h))


R = (H - Y)[:3]
EXPECTED = {
    "mean_squared": np.mean(R**2),
    "summed_squared": np.sum(R**2),
    "half_summed_squared": np.sum(R**2) / 2,
    "mean_absolute": np.mean(np.abs(R)),
    "huber": np.mean(np.where(np.abs(R) <= 1, R**2 / 2, np.abs(R) - 0.5)),
    "log_cosh": np.mean(np.log(np.cosh(R))),
    "binary_cross_entropy": np.mean(cross_entropy(np.clip(H[:3], 1e-7, 1 - 1e-7), Y[:3])),
    "binary_cross_entropy_with_logits": np.mean(cross_entropy(sigmoid(H[:3]), Y[:3])),
    "hinge": np.mean(np.maximum(0, 1 - (2 * Y[:3] - 1) * H[:3])),
}


@pytest.mark.parametrize("name", LOSSES)
def test_losses_are_their_formulas_and_leave_padding_out(name: str) -> None:
    if name == "cross_entropy":
        y, logs = np.array([0, 1, 2, 1]), CLASSES - np.log(np.exp(CLASSES).sum(axis=1, keepdims=True))
        assert value(name, CLASSES, y) == pytest.approx(-np.mean(logs[np.arange(3), y[:3]]), rel=1e-12)
    else:
        assert value(name, H, Y) == pytest.approx(EXPECTED[name], rel=1e-8)


def test_numbers_of_losses_have_the_meaning_that_optax_and_pytorch_give_them() -> None:
    with jax.enable_x64(True):
        huber = float(optax.huber_loss(jnp.asarray(R), delta=0.3).mean())
        smooth = optax.smooth_labels(jax.nn.one_hot(jnp.array([0, 1, 2]), 3, dtype=jnp.float64), 0.2)
        softmax = float(optax.softmax_cross_entropy(jnp.asarray(CLASSES[:3]), smooth).mean())
        extreme = value("log_cosh", [1e4], [0.0], [1.0])
    assert value("huber", H, Y, delta=0.3) == pytest.approx(huber, rel=1e-12)
    assert value("cross_entropy", CLASSES, np.array([0, 1, 2, 0]), label_smoothing=0.2) == pytest.approx(softmax)
    assert extreme == pytest.approx(1e4 - np.log(2))


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_cross_entropies_are_those_of_bernoulli_s_law_and_never_infinite(precision: str) -> None:
    p, y = np.array([0.0, 1e-9, 0.2, 0.5, 0.9, 1.0] * 2), np.repeat([0.0, 1.0], 6)
    got = [value("binary_cross_entropy", [h], [t], [1.0], precision) for h, t in zip(p, y, strict=True)]
    wild = [
        value("binary_cross_entropy_with_logits", [h], [t], [1.0], precision) for h in (-1e4, 1e4) for t in (0.0, 1.0)
    ]
    clipped = np.clip(p.astype(precision), np.array(1e-7, precision), np.array(1 - 1e-7, precision)).astype(float)
    np.testing.assert_allclose(got, cross_entropy(clipped, y), rtol=1e-5 if precision == "float32" else 1e-8)
    assert wild == [0, 1e4, 1e4, 0]


def test_several_outputs_are_averaged_or_summed() -> None:
    h, y = np.arange(6.0).reshape(3, 2), np.array([[1.0, 1.0], [0.0, 5.0], [2.0, 2.0]])
    ones = np.ones(3)
    assert value("mean_squared", h, y, ones) == pytest.approx(np.mean((h - y) ** 2))
    assert value("summed_squared", h, y, ones) == pytest.approx(np.sum((h - y) ** 2))
    assert value("huber", h, y, ones) == pytest.approx(
        np.mean(np.where(abs(h - y) <= 1, (h - y) ** 2 / 2, abs(h - y) - 0.5))
    )


def pinball(h: Any, y: Any, level: Any) -> Any:
    gap = y - h
    return gap * (level - (gap < 0))


def test_a_loss_of_the_page_is_the_mean_over_points_and_its_numbers_are_knobs() -> None:
    loss = Loss(pinball, level=0.25)
    gap = (Y - H)[:3]
    assert value(loss, H, Y) == pytest.approx(np.mean(gap * (0.25 - (gap < 0))))
    page = tiny(loss=loss, axes=grid(level=(0.1, 0.9)))
    assert resolve(page).columns["level"].tolist() == [0.1, 0.9]
    huber = tiny(loss="huber", axes=grid(delta=(0.1, 1.0)))
    assert resolve(huber).columns["delta"].tolist() == [0.1, 1.0]


REFUSED = {
    "unknown loss 'hubr': did you mean 'huber'?": lambda: Loss("hubr"),
    "loss 'huber' takes no level, got 1: it takes delta": lambda: Loss("huber", level=1),
    "delta must be greater than 0, got 0": lambda: Loss("huber", delta=0),
    "a Loss must be given a name or a function, got 3": lambda: Loss(3),  # type: ignore[arg-type]
    "a number of the loss can't be named 'x', a name that results use: rename it": lambda: Loss(pinball, x=1.0),
    "number 'width' of the loss has the name of a knob: rename it": lambda: tiny(loss=Loss(pinball, width=1.0)),
    "loss 'cross_entropy' needs targets that are classes: give them as Data": lambda: tiny(
        task=FromFunction(function=abs), loss="cross_entropy"
    ),
    "targets that are classes can't have loss 'mean_squared': take loss='cross_entropy'": lambda: tiny(
        task=Data(np.arange(4.0), ["a", "b", "a", "b"])
    ),
    "loss 'hinge' is of two classes, got 3: take loss='cross_entropy'": lambda: tiny(
        task=Data(np.arange(3.0), ["a", "b", "c"]), loss="hinge"
    ),
    "classes can't be standardised, got standardise='both': take 'inputs'": lambda: tiny(
        task=Data(np.arange(4.0), ["a", "b", "a", "b"], standardise="both"), loss="cross_entropy"
    ),
    "classes can't be standardised, got standardise='targets': take 'inputs'": lambda: tiny(
        task=Data(np.arange(4.0), ["a", "b", "a", "b"], standardise="targets"), loss=Loss(pinball, level=0.5)
    ),
}


@pytest.mark.parametrize("message", REFUSED)
def test_bad_losses_are_refused_in_one_line(message: str) -> None:
    with pytest.raises(SweepError) as refused:
        REFUSED[message]()
    assert str(refused.value) == message


def test_a_loss_that_fails_or_returns_another_shape_is_refused_before_training() -> None:
    wrong = {"returns an array of shape \\(\\)": lambda h, y: ((h - y) ** 2).mean(), "takes 1 positional": lambda h: h}
    for reason, function in wrong.items():
        with pytest.raises(SweepError, match=f"the loss .*{reason}") as refused:
            plan_sweep(tiny(loss=Loss(function)))
        assert "\n" not in str(refused.value)
