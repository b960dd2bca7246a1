"""What a metric is a function of. Pages may name it in annotations, so it is defined without loading JAX."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from sweep.page.shape import Shape

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxtyping import Array, Float, Int, Key

    from sweep.engine.regression.tasks import Data


class Landscape(NamedTuple):
    """A lane's training loss as a function of its parameters, and places in it.

    Args:
        loss: maps parameters to the training loss over all points; any derivative of it can be taken.
        start: gives the initial parameters.
        direction: maps a key to random parameters, see `Moment.direction`.
    """

    loss: Callable[[Any], Float[Array, ""]]
    start: Callable[[], Any]
    direction: Callable[[Key[Array, ""]], Any]


class Moment(NamedTuple):
    """One lane at one record.

    A metric may also evaluate the network and the training loss at other parameters (`predict`, `loss_at`), start from
    the lane's `initial` parameters, and draw a random `direction`.

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
        validation_prediction: network output at the points for validation, None without any.
        sample_prediction: network output at the rows of which predictions are stored, None for a task without rows.
        average: the moving average of the parameters, None for an optimiser that keeps none.
        apply: the function `predict`. None only in a moment that was made without a network.
        landscape: what `loss_at`, `initial` and `direction` are computed from. None only in such a moment.
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
    validation_prediction: Float[Array, "validation *outputs"] | None = None
    sample_prediction: Float[Array, "sample *outputs"] | None = None
    average: Any = None
    apply: Callable[[Any, Array], Float[Array, "points *outputs"]] | None = None
    landscape: Landscape | None = None

    def predict(self, parameters: Any, inputs: Float[Array, "features points"]) -> Float[Array, "points *outputs"]:
        """Evaluate the network at other parameters or inputs.

        Any derivative of it can be taken, in forward and reverse mode and combined, including `jax.hessian`.

        Args:
            parameters: a pytree like `self.parameters`.
            inputs: as the network gets them, like `self.data.inputs`.
        """
        assert self.apply is not None
        return self.apply(parameters, inputs)

    def loss_at(self, parameters: Any) -> Float[Array, ""]:
        """Evaluate the training loss over all points at other parameters.

        Any derivative of it can be taken: `jax.hessian(moment.loss_at)(moment.parameters)`, and the product of the
        Hessian with a direction, `jax.jvp(jax.grad(moment.loss_at), (moment.parameters,), (direction,))[1]`.

        Args:
            parameters: a pytree like `self.parameters`. At these themselves it gives `self.loss`, up to rounding.
        """
        assert self.landscape is not None
        return self.landscape.loss(parameters)

    @property
    def initial(self) -> Any:
        """The parameters that the lane began with, to the last bit: a pytree like `parameters`.

        They are kept in memory beside the present ones only if a metric of the page uses them.
        """
        assert self.landscape is not None
        return self.landscape.start()

    def direction(self, key: Key[Array, ""]) -> Any:
        """Draw a random direction in the space of the parameters: independent standard normal numbers.

        Where networks are padded, entries that the lane's own network does not have are 0, and the others do not depend
        on the padding.

        Args:
            key: the same key gives the same direction at every record and, for networks of one size, in every lane.

        Returns:
            A pytree like `parameters`, to be scaled as needed.
        """
        assert self.landscape is not None
        return self.landscape.direction(key)
