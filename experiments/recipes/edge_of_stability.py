"""The edge of stability (Cohen et al., 2021): sharpness rises to 2 / learning rate and stays there."""

from sweep import MLP, Experiment, Figure, FromFunction, Optimizer, Record, grid, linear_spaced


def chebyshev(x):
    return 8 * x**4 - 8 * x**2 + 1  # of degree 4


def sharpness_against_edge(axes, ds):
    ratio = (ds.sharpness * ds.learning_rate / 2).median("seed")
    for rate in ds.learning_rate.values:
        axes.plot(ds.epoch, ratio.sel(learning_rate=rate), label=f"learning rate {rate:g}")
    axes.axhline(1, color="black", linestyle="dashed")
    axes.set(xlabel="step", ylabel="sharpness x learning rate / 2", ylim=(0, 2))
    axes.legend()
    return f"Sharpness ends at {ratio.isel(epoch=-1).median().item():.3f} times 2 / learning rate, the dashed line"


experiment = Experiment(
    question="Where does the sharpness end that gradient descent raises?",
    task=FromFunction(function=chebyshev, low=-1.0, high=1.0, points=20, placement="grid_with_end"),
    model=MLP(width=50, depth=2),
    optimizer=Optimizer("sgd"),
    axes=grid(learning_rate=(0.03, 0.05, 0.07), seed=range(4)),
    epochs=10000,
    record=Record(metrics=("loss", "sharpness"), at=linear_spaced(200)),
    figures=(Figure(sharpness_against_edge), Figure("loss_curves")),
)
