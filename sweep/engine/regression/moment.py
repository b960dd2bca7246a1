"""What a metric is a function of. Pages may name it in annotations, so it is defined without loading JAX."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from sweep.page.shape import Shape

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxtyping import Array, Float, Int

    from sweep.engine.regression.tasks import Data


class Moment(NamedTuple):
    """One lane at one record.

    Args:
        shape: the lane's Shape.
        step: optimiser steps taken so far.
        numbers: the lane's traced numbers by knob name.
        data: points, inputs and targets.
        parameters: the network's parameters.
        gradient: gradient of the training loss over all points, a pytree like the parameters.
        gradient_by_layer: the same, one subtree for each layer.
        loss: training loss over all points.
        prediction: network output at the training points; of several outputs, and of one for each class, the last axis
            has one entry for each. So have targets of several outputs; classes are whole numbers.
        x: positions over which errors are shown, None for a task without x; of two features an array of shape
            (x1, x2, 2), and those below have the axes x1 and x2.
        x_clean: noiseless target at x.
        x_prediction: network output at x.
        apply: the network, as a function of parameters and inputs (features, points); any derivative of it can be
            taken, including `jax.hessian`. None only in a moment that was made without a network.
        validation_prediction: network output at the points for validation, None without any.
        sample_prediction: network output at the rows of which predictions are stored, None for a task without rows.
        average: the moving average of the parameters, None for an optimiser that keeps none.
    """

    shape: Shape
    step: Int[Array, ""]
    numbers: dict[str, Array]
    data: Data
    parameters: Any
    gradient: Any
    gradient_by_layer: list[Any]
    loss: Float[Array, ""]
    prediction: Float[Array, "points *outputs"]
    x: Float[Array, "*x"] | None
    x_clean: Float[Array, "*x"] | None
    x_prediction: Float[Array, "*x"] | None
    apply: Callable[[Any, Array], Float[Array, "points *outputs"]] | None = None
    validation_prediction: Float[Array, "validation *outputs"] | None = None
    sample_prediction: Float[Array, "sample *outputs"] | None = None
    average: Any = None
