"""Linear models of data against certified numbers of NIST and against SciPy: no code of ours decides what is right."""

from typing import Any

import numpy as np
import pytest
from helpers import lives, make_plan, tiny
from scipy.optimize import minimize
from scipy.special import expit, log_softmax

from sweep import Data, Optimizer
from sweep.specs import MLP, Loss, Record, every

# https://www.itl.nist.gov/div898/strd/lls/data/LINKS/DATA/Longley.dat
LONGLEY = np.array([
    [60323, 83.0, 234289, 2356, 1590, 107608, 1947], [61122, 88.5, 259426, 2325, 1456, 108632, 1948],
    [60171, 88.2, 258054, 3682, 1616, 109773, 1949], [61187, 89.5, 284599, 3351, 1650, 110929, 1950],
    [63221, 96.2, 328975, 2099, 3099, 112075, 1951], [63639, 98.1, 346999, 1932, 3594, 113270, 1952],
    [64989, 99.0, 365385, 1870, 3547, 115094, 1953], [63761, 100.0, 363112, 3578, 3350, 116219, 1954],
    [66019, 101.2, 397469, 2904, 3048, 117388, 1955], [67857, 104.6, 419180, 2822, 2857, 118734, 1956],
    [68169, 108.4, 442769, 2936, 2798, 120445, 1957], [66513, 110.8, 444546, 4681, 2637, 121950, 1958],
    [68655, 112.6, 482704, 3813, 2552, 123366, 1959], [69564, 114.2, 502601, 3931, 2514, 125368, 1960],
    [69331, 115.7, 518173, 4806, 2572, 127852, 1961], [70551, 116.9, 554894, 4007, 2827, 130081, 1962],
])  # fmt: skip
CERTIFIED = [15.0618722713733, -0.0358191792925910, -2.02022980381683, -1.03322686717359, -0.0511041056535807,
             1829.15146461355]  # fmt: skip
INTERCEPT = -3482258.63459582


def fitted(task: Data, steps: int, **changes: Any) -> tuple[np.ndarray, np.ndarray, float]:
    """Fit a linear model by L-BFGS in float64: its weights, its bias and the final loss."""
    page = tiny(
        task=task, model=MLP(depth=0), optimizer=Optimizer("lbfgs"), epochs=steps, precision="float64",
        record=Record(metrics=("loss",), at=every(steps), snapshots=0), **changes,
    )  # fmt: skip
    (life,) = lives(make_plan(page))
    layer = life.states[-1].parameters["layer_0"]
    return np.asarray(layer["kernel"]), np.asarray(layer["bias"]), float(life.curves["loss"][-1])


def test_longley_s_regression_has_nist_s_certified_coefficients() -> None:
    x, y = LONGLEY[:, 1:], LONGLEY[:, 0]
    weights, bias, _ = fitted(Data(x, y, standardise="both"), 150)
    slopes = weights[:, 0] * y.std() / x.std(axis=0)
    np.testing.assert_allclose(slopes, CERTIFIED, rtol=1e-6)
    assert y.mean() + bias[0] * y.std() - slopes @ x.mean(axis=0) == pytest.approx(INTERCEPT, rel=1e-6)


RNG = np.random.default_rng(5)
CENTRES = np.array([[0.0, 0.0], [1.5, 0.5], [0.0, 2.0]])
OF = np.repeat([0, 1, 2], 30)
POINTS = CENTRES[OF] + RNG.normal(size=(90, 2))


@pytest.mark.slow  # the softmax below has the same optimum of more classes
def test_two_classes_are_logistic_regression_as_scipy_solves_it() -> None:
    x, y = POINTS[:60], OF[:60]

    def loss(theta: np.ndarray) -> float:
        p = expit(x @ theta[:2] + theta[2])
        return float(-np.mean(y * np.log(p) + (1 - y) * np.log1p(-p)))

    expected = minimize(loss, np.zeros(3), tol=1e-14)
    weights, bias, value = fitted(Data(x, y), 40, loss="binary_cross_entropy_with_logits")
    assert value == pytest.approx(expected.fun, abs=1e-10)
    np.testing.assert_allclose([*weights[:, 0], bias[0]], expected.x, atol=2e-5)


def test_the_softmax_of_three_gaussians_reaches_its_optimum() -> None:
    def loss(theta: np.ndarray) -> float:
        logits = POINTS @ theta[:6].reshape(2, 3) + theta[6:]
        return float(-log_softmax(logits, axis=1)[np.arange(90), OF].mean())

    best = minimize(loss, np.zeros(9), tol=1e-14).fun
    words = np.array(["a", "b", "c"])[OF]
    assert fitted(Data(POINTS, words), 60, loss="cross_entropy")[2] == pytest.approx(best, abs=1e-9)


@pytest.mark.slow  # test_losses.py compares huber's formula, and its number, with optax
def test_an_outlier_pulls_huber_s_slope_as_little_as_scipy_says() -> None:
    x = np.linspace(-1, 1, 21)
    y = 2 * x + 0.05 * RNG.normal(size=21)
    y[-1] = 40.0

    def loss(theta: np.ndarray) -> float:
        size = np.abs(theta[0] * x + theta[1] - y)
        inside = np.minimum(size, 0.1)
        return float(np.mean(inside**2 / 2 + 0.1 * (size - inside)))

    expected = minimize(loss, np.array([2.0, 0.0]), method="Nelder-Mead", options={"xatol": 1e-11, "fatol": 1e-16})
    weights, bias, _ = fitted(Data(x, y), 60, loss=Loss("huber", delta=0.1))
    np.testing.assert_allclose([weights[0, 0], bias[0]], expected.x, atol=1e-6)
    assert abs(weights[0, 0] - 2) < 0.2 < abs(np.polyfit(x, y, 1)[0] - 2)
