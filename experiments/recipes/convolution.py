"""A small convolutional network on scikit-learn's 8 x 8 digits: `pip install "sweep-lanes[recipes]"`."""

from sklearn.datasets import load_digits

from sweep import Data, Experiment, Figure, FromModule, Optimizer, Record, grid, linear_spaced

PIXELS, DIGITS = load_digits(return_X_y=True)


def convolution(width, kernel):
    from flax import linen as nn

    to_image, to_row = lambda x: x.reshape(-1, 8, 8, 1), lambda x: x.reshape(len(x), -1)
    return nn.Sequential([to_image, nn.Conv(width, (kernel, kernel), strides=2), nn.relu, to_row, nn.Dense(10)])


experiment = Experiment(
    question="How well do kernels of 1, 3 x 3 and 5 x 5 pixels read digits?",
    task=Data(PIXELS / 16, DIGITS, validation=0.8),
    model=FromModule(convolution, width=16, kernel=3),
    optimizer=Optimizer("adam"),
    axes=grid(kernel=(1, 3, 5), seed=range(8)),
    loss="cross_entropy",
    batch_size=64,
    epochs=50,
    record=Record(metrics=("validation_loss", "validation_accuracy"), at=linear_spaced(25)),
    figures=(Figure("metric_curves", {"metric": "validation_accuracy", "lines": "kernel"}), Figure("predicted")),
)
