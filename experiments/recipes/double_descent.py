"""Double descent (Belkin et al., 2019): the test error peaks where random features are as many as the noisy points."""

import numpy as np

from sweep import MLP, Data, Experiment, Figure, Optimizer, Record, grid, linear_spaced

RNG = np.random.default_rng(0)
X = RNG.normal(size=(50 + 1000, 10))  # 50 for training, 1000 as a test
Y = X @ RNG.normal(size=10) / 10**0.5 + 0.5 * RNG.normal(size=len(X))


def test_error(axes, ds):
    axes.plot(ds.width, ds.validation_loss.isel(epoch=-1).median("seed"), "o-", label="test")
    axes.plot(ds.width, ds.loss.isel(epoch=-1).median("seed").clip(1e-3), "o-", label="training (at least 0.001)")
    axes.axvline(50, color="black", linestyle="dashed", label="as many features as points")
    axes.set(xscale="log", yscale="log", xlabel="random features", ylabel="mean squared error")
    axes.legend()
    return f"The test error is highest at {ds.validation_loss.isel(epoch=-1).median('seed').idxmax().item():g} features"


experiment = Experiment(
    question="Is a network with more random features than points worse at test points?",
    task=Data(X[:50], Y[:50], validation=(X[50:], Y[50:])),
    model=MLP(depth=1, activation="relu", frozen=("layer_0",), bias=False, initializer=("lecun_normal", "zeros")),
    optimizer=Optimizer("adam", learning_rate=0.01, schedule="cosine"),
    axes=grid(seed=range(16), width=(5, 10, 20, 30, 40, 45, 50, 55, 60, 75, 100, 200, 400)),
    epochs=10000,
    record=Record(metrics=("validation_loss",), at=linear_spaced(20), snapshots=0),
    figures=(Figure(test_error),),
)
