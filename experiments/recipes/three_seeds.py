"""Three seeds for each setting, and the mean of the three with its spread: may the best setting be luck?"""

from sweep import MLP, Experiment, Figure, Optimizer, Record, SumOfSines, grid, linear_spaced, zipped


def means(axes, ds):
    last = ds.loss.isel(epoch=-1)
    for seed in range(last.sizes["seed"]):
        axes.plot(ds.activation, last.isel(seed=seed), "o", color="grey")
    axes.plot(ds.activation, last.mean("seed"), "_", color="black", markersize=40)
    axes.set(yscale="log", xlabel="activation (lines: means)", ylabel="final mean squared error", xmargin=0.15)
    best = last.mean("seed").idxmin("activation").item()
    return f"The lowest mean is that of {best}"


experiment = Experiment(
    question="Which activation fits a sum of sines best, on the mean of three seeds?",
    task=SumOfSines(frequencies=(1, 2, 4), phases="random", points=64),
    model=MLP(width=32, depth=2),
    optimizer=Optimizer("adam", learning_rate=3e-3),
    axes=zipped(seed=range(3), data_seed=range(3)) * grid(activation=("relu", "tanh", "gelu", "silu", "sine")),
    epochs=1000,
    record=Record(metrics=("loss",), at=linear_spaced(20)),
    figures=(Figure(means), Figure("metric_curves", {"lines": "activation"})),
)
