"""Data of one's own on the devices: which rows are trained on, standardised by these."""

from typing import Any, Final, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from sweep.base.errors import SweepError
from sweep.engine.keys import matrices, normal, stream, uniforms
from sweep.engine.regression.tasks import Data, Numbers, Scales
from sweep.engine.regression.tasks.streams import NOISE, SPLIT
from sweep.page.shape import Shape
from sweep.page.specs.data import Data as Spec

_UNLIKELY: Final = 1e-9  # a chance that is not looked into


class Rows(NamedTuple):
    """All rows as they are given, those of a validation of its own last.

    Args:
        inputs: row by row.
        targets: numbers, or the numbers of classes.
    """

    inputs: Any  # arrays of NumPy on the host, of JAX on a device
    targets: Any


def rows_of(shape: Shape) -> Rows:
    """Give the rows of a task with data, on the host, in the precision of the run.

    Raises:
        SweepError: for a class that only validation has.
    """
    spec, dtype = _spec(shape), np.dtype(shape.precision)
    targets = spec.targets_as(shape.has_classes() or shape.loss.of == "two classes")
    return Rows(spec.rows().T.astype(dtype), targets if shape.has_classes() else targets.astype(dtype))


def _spec(shape: Shape) -> Spec:
    assert isinstance(shape.task, Spec)
    return shape.task


def draw_rows(shape: Shape, key: Key[Array, ""], numbers: Numbers, given: Rows) -> Data:
    """Choose the rows for training and validation, standardise them, and add noise to targets.

    Args:
        shape: with a task of data.
        key: key of the stream `data` of the lane's `data_seed`.
        numbers: the lane's traced numbers.
        given: all rows.
    """
    spec, dtype, all_rows = _spec(shape), np.dtype(shape.precision), len(given.inputs)
    order = _order(spec, key, all_rows, dtype)
    train, rest = order[: spec.points], order[spec.points :]
    inputs, targets = given.inputs[train], given.targets[train]
    scales = _scales(spec, inputs, targets)
    standard_inputs, standard_targets = _standardise(scales, inputs, targets)
    target = standard_targets
    if not shape.has_classes():
        target = target + numbers["noise"].astype(dtype) * _draw_noise(key, target, dtype)
    shown = jnp.asarray(spec.samples())
    window = shape.shown.positions().T if shape.shown else None
    validation = _standardise(scales, given.inputs[rest], given.targets[rest]) if rest.size else (None, None)
    return Data(
        points=None,
        inputs=None if shape.batch_size else standard_inputs.T,
        rows=standard_inputs if shape.batch_size else None,
        target=target,
        clean=standard_targets,
        x_inputs=None if window is None else standardise_inputs(scales, jnp.asarray(window, dtype)).T,
        x_clean=None,
        validation_inputs=None if validation[0] is None else validation[0].T,
        validation_target=validation[1],
        sample_inputs=standardise_inputs(scales, given.inputs[shown]).T,
        is_validation=jnp.isin(shown, rest).astype(dtype),
        scales=scales,
    )


def check_split(shape: Shape, seeds: np.ndarray) -> None:
    """Refuse seeds that leave all rows of a class to validation.

    Args:
        shape: with a task of data, of classes.
        seeds: values of `data_seed`.

    Raises:
        SweepError: with the first such seed, and the class.
    """
    spec, dtype = _spec(shape), np.dtype(shape.precision)
    targets, names = spec.targets_as(True), spec.class_names()
    counts = np.bincount(targets, minlength=len(names))
    share = spec.validation_rows() / len(targets)
    if not spec.draws_validation() or len(seeds) * np.sum(share ** counts[counts > 0]) < _UNLIKELY:
        return
    trained = jax.jit(lambda seed: _order(spec, stream(seed, "data"), len(targets), dtype)[: spec.points])
    for seed in seeds.astype(np.uint32):
        found = np.bincount(targets[np.asarray(trained(seed))], minlength=len(names))
        for at in np.flatnonzero((found == 0) & (counts > 0)):
            raise SweepError(
                f"data_seed={seed} leaves all rows of class {names[at]!r} to validation ({counts[at]} of "
                f"{len(targets)}): add rows of it, leave it out, or take other seeds"
            )


def _order(spec: Spec, key: Key[Array, ""], rows: int, dtype: np.dtype) -> Int[Array, " rows"]:
    """Give the numbers of all rows, those to train on first."""
    if not spec.draws_validation():
        return jnp.arange(rows)
    return jnp.argsort(uniforms(key, {SPLIT: (1, rows)}, dtype))


def _draw_noise(key: Key[Array, ""], target: Array, dtype: np.dtype) -> Array:
    shapes = {NOISE: (int(np.prod(target.shape[1:])), target.shape[0])}
    return normal(matrices(uniforms(key, shapes, dtype), shapes)[NOISE]).T.reshape(target.shape)


def _scales(spec: Spec, inputs: Float[Array, "points features"], targets: Array) -> Scales | None:
    """Compute means and deviations over the training rows; 0 and 1 for what is not standardised, or never differs."""
    if spec.standardise == "nothing":
        return None

    def of(values: Array, wanted: bool) -> tuple[Array, Array]:
        if not wanted:
            return jnp.zeros(values.shape[1:], inputs.dtype), jnp.ones(values.shape[1:], inputs.dtype)
        differs = values.max(axis=0) > values.min(axis=0)  # the deviation of equal numbers may be rounding
        return values.mean(axis=0), jnp.where(differs, values.std(axis=0), 1)

    both = spec.standardise == "both"
    return Scales(
        *of(inputs, both or spec.standardise == "inputs"), *of(targets, both or spec.standardise == "targets")
    )


def standardise_inputs(scales: Scales | None, inputs: Float[Array, "n features"]) -> Float[Array, "n features"]:
    """Give the network's inputs for rows."""
    return inputs if scales is None else _divide(inputs - scales.input_mean, scales.input_deviation)


def _divide(values: Array, deviation: Array) -> Array:
    """Divide numbers by their deviation, that of each column if there are several.

    XLA may multiply columns by a reciprocal, and did so on one device and not on two. So this always does, and a lane
    that is trained again on one device has the same bits.
    """
    return values * (1 / deviation) if deviation.ndim else values / deviation


def in_units(scales: Scales | None, outputs: Float[Array, "n *outputs"]) -> Float[Array, "n *outputs"]:
    """Give outputs in the units of the targets."""
    return outputs if scales is None else outputs * scales.target_deviation + scales.target_mean


def _standardise(scales: Scales | None, inputs: Array, targets: Array) -> tuple[Array, Array]:
    """Standardise rows; classes remain as they are."""
    if scales is None:
        return inputs, targets
    if not jnp.issubdtype(targets.dtype, jnp.floating):
        return standardise_inputs(scales, inputs), targets
    return standardise_inputs(scales, inputs), _divide(targets - scales.target_mean, scales.target_deviation)
