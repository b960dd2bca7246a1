"""Depths and widths side by side: each cell is the best learning rate's error, the median over eight seeds."""

from sweep import MLP, Experiment, Figure, Optimizer, Record, SumOfSines, grid, linear_spaced, zipped

experiment = Experiment(
    question="Is it depth or width that fits a sum of eight sines?",
    task=SumOfSines(frequencies=tuple(range(1, 9)), phases="random", points=128),
    model=MLP(activation="tanh"),
    optimizer=Optimizer("adam"),
    axes=zipped(seed=range(8), data_seed=range(8))
    * grid(depth=(1, 2, 3, 4), width=(8, 16, 32, 64), learning_rate=(1e-3, 3e-3, 1e-2)),
    epochs=1000,
    record=Record(metrics=("loss",), at=linear_spaced(20)),
    figures=(Figure("outcome", {"rows": "depth", "columns": "width"}),),
)
