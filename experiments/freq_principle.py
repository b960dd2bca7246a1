"""Do small networks learn the low frequencies of a signal first, at every width?

The target has eight sines of equal amplitude, so that no frequency is easier because of its amplitude; each seed has
other phases. The seeds were fixed before the first run.
"""

import numpy as np

from sweep import MLP, Experiment, Figure, Optimizer, Record, SumOfSines, grid, log_spaced, zipped

experiment = Experiment(
    question="Do networks of every width learn low frequencies first?",
    task=SumOfSines(frequencies=tuple(range(1, 9)), amplitudes=1.0, phases="random", points=128),
    model=MLP(depth=3, activation="tanh"),
    optimizer=Optimizer("adam"),
    axes=zipped(seed=range(8), data_seed=range(8))
    * grid(learning_rate=np.geomspace(1e-4, 1e-1, 8).round(6), width=(16, 32, 64, 128)),
    epochs=2000,
    record=Record(at=log_spaced(100), snapshots=5),
    figures=(
        Figure("frequency_epoch"),
        Figure("learning_rate_epoch"),
        Figure("heatmap_film", {"x": "width", "y": "learning_rate"}),
        Figure("epochs_to_converge", {"threshold": 0.2}),  # 5% of the target's variance, 8 * 1/2
        Figure("curves"),
        Figure("fits"),
        Figure("space_epoch"),
    ),
)
