"""The best learning rate for each of many networks: twelve rates for every depth and width, all in one run."""

from sweep import MLP, Experiment, Figure, Optimizer, Record, SumOfSines, grid, linear_spaced, stats


def best_rates(axes, ds):
    best = stats.best_learning_rate(ds)
    for depth, line in zip(ds.depth.values, ("o-", "s-", "^--"), strict=False):
        axes.plot(ds.width, best.sel(depth=depth), line, label=f"depth {depth}")
    axes.set(xscale="log", yscale="log", xlabel="width (neurons)", ylabel="best learning rate")
    axes.legend()
    return "The rate with the lowest median final loss, for each network"


experiment = Experiment(
    question="Which learning rate is best for which network?",
    task=SumOfSines(frequencies=(1, 2, 3), points=64),
    model=MLP(activation="tanh"),
    optimizer=Optimizer("adam"),
    axes=grid(
        depth=(1, 2, 3), width=(4, 8, 16, 32, 64, 128), learning_rate=[1e-4 * 2**n for n in range(12)], seed=range(8)
    ),
    epochs=500,
    record=Record(metrics=("loss",), at=linear_spaced(20), snapshots=0),
    figures=(Figure(best_rates), Figure("outcome", {"rows": "learning_rate", "columns": "width"})),
)
