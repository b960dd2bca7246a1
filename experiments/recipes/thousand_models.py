"""A thousand tiny networks at once, which differ only in their seed: how much do initial weights decide?"""

import numpy as np

from sweep import MLP, Experiment, Figure, Optimizer, Record, Sine, grid, linear_spaced


def final_errors(axes, ds):
    last = ds.loss.isel(epoch=-1).values
    axes.hist(last, np.geomspace(last.min(), last.max(), 60))
    axes.set(xscale="log", xlabel="final mean squared error", ylabel="networks")
    low, high = np.quantile(last, (0.05, 0.95))
    return f"Of the middle 90% the worst ends {high / low:.0f} times as high as the best"


experiment = Experiment(
    question="How much do initial weights alone decide how well a tiny network learns?",
    task=Sine(target_frequency=1.0, points=32),
    model=MLP(width=4, depth=1),
    optimizer=Optimizer("adam", learning_rate=0.01),
    axes=grid(seed=range(1000)),
    epochs=2000,
    record=Record(metrics=("loss",), at=linear_spaced(20)),
    figures=(Figure(final_errors), Figure("fits")),
)
