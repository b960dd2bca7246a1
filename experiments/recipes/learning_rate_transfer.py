"""The best learning rate at one width is the best at all of them under muP (Yang et al., 2022)."""

from sweep import MLP, Experiment, Figure, Optimizer, Record, SumOfSines, grid, log_spaced

experiment = Experiment(
    question="Does the best learning rate of a narrow network stay the best of a wide one?",
    task=SumOfSines(frequencies=(1, 2, 4), points=64),
    model=MLP(depth=3, activation="relu", base_width=32),
    optimizer=Optimizer("adam"),
    axes=grid(parametrisation=("standard", "mup"), width=(32, 128, 512))
    * grid(learning_rate=tuple(10 ** (-4 + k / 3) for k in range(10)), seed=range(4)),
    epochs=200,
    record=Record(metrics=("loss",), at=log_spaced(10)),
    figures=(Figure("outcome", {"rows": "width", "columns": "learning_rate"}),),
)
