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
        prediction: network output at the training points.
        x: positions over which errors are shown, None for a task without x.
        x_clean: noiseless target at x.
        x_prediction: network output at x.
        apply: the network, as a function of parameters and inputs (features, points); any derivative of it can be
            taken, including `jax.hessian`. None only in a moment that was made without a network.
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
    prediction: Float[Array, " points"]
    x: Float[Array, " x"] | None
    x_clean: Float[Array, " x"] | None
    x_prediction: Float[Array, " x"] | None
    apply: Callable[[Any, Array], Float[Array, " points"]] | None = None
    average: Any = None
