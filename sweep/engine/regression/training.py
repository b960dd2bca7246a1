"""Regression: a network learns a task's targets by an optimiser, full batch or by minibatches."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key

from sweep.base.labels import RECORDED, Quantity
from sweep.engine.keys import Keys, stream
from sweep.engine.regression import metrics
from sweep.engine.regression.networks import UNIFORM, Functions, Varying, network
from sweep.engine.regression.optimizers import optimizer
from sweep.engine.regression.tasks import Data, draw
from sweep.engine.regression.tasks.inputs import compute_inputs
from sweep.engine.training import Cost, Numbers, Training
from sweep.page.identity import describe
from sweep.page.shape import Shape
from sweep.page.specs.loss import LOSSES

RANKED_POINTS: Final = 128  # up to so many points are shuffled by counting, which takes half the time for a hundred


class State(NamedTuple):
    """What a step changes.

    Args:
        parameters: of the network.
        optimizer_state: as optax makes it.
        order: the present epoch's order of the points; None for full batch.
    """

    parameters: Any
    optimizer_state: Any
    order: Int[Array, " points"] | None


@dataclass(frozen=True)
class Regression(Training):
    """The training of the lanes of one Shape.

    Args:
        shape: what decides their code; where lanes vary, with the largest network.
        varying: in what lanes differ beyond their numbers.
    """

    shape: Shape
    varying: Varying = UNIFORM

    @property
    def padded(self) -> bool:
        """Whether lanes may have fewer neurons or layers than their Shape."""
        return self.varying.width or self.varying.depth

    @property
    def common(self) -> tuple[str, ...]:
        """The numbers `depth` and `activation`, if lanes differ in them."""
        return self.varying.common()

    @property
    def precision(self) -> str:
        """Precision of all arrays except seeds, widths and orders."""
        return self.shape.precision

    @property
    def steps(self) -> int:
        """Number of optimiser steps in the whole training."""
        return self.shape.steps

    @property
    def steps_per_epoch(self) -> int:
        """Number of batches in a pass over the points; the last one may be shorter."""
        return self.shape.steps_per_epoch()

    @property
    def renewed_every(self) -> int | None:
        """Each epoch begins with a new order of the points."""
        return None if self.shape.batch_size is None else self.steps_per_epoch

    @property
    def stays_not_finite(self) -> bool:
        """True: a loss that is not finite is noted, and parameters that are not finite stay so (tests/engine)."""
        return True

    def quantities(self) -> tuple[Quantity, ...]:
        """List the metrics of the page, and the prediction."""
        return self.shape.quantities()

    def dimensions(self) -> Mapping[str, np.ndarray]:
        """Return the layers, and x and the frequencies if the task has them."""
        found: dict[str, np.ndarray] = {"layer": np.arange(self.shape.model.count_layers())}
        if self.shape.shown:
            found["x"] = self.shape.shown.values()
        if self.shape.task.reported_frequencies():
            found["frequency"] = np.array(self.shape.task.reported_frequencies(), float)
        return found

    def cost(self) -> Cost:
        """Estimate the cost of a lane from the sizes of its layers."""
        shape = self.shape
        layers = shape.model.layer_sizes(shape.task.input_size())
        points, size = shape.batch_size or shape.task.points, np.dtype(shape.precision).itemsize
        outputs = points * sum(outputs for _, outputs in layers) * 3  # value, its gradient, a temporary
        parameters = sum((inputs + 1) * outputs for inputs, outputs in layers) * 4  # and gradient, two moments
        return Cost(
            flops=6 * points * sum(inputs * outputs for inputs, outputs in layers),
            activations=points * sum(outputs for _, outputs in layers[:-1]),
            bytes=(outputs + parameters) * size,
            layers=len(layers),
            points=points,
            of_points=shape.task.points,
        )

    def words(self) -> str:
        """Name network, optimiser and points."""
        shape = self.shape
        largest = f"{'up to ' if self.padded else ''}{shape.model.words()}"
        others = [f"/{name}" for name in self.varying.activations if name not in largest.split()]
        return f"{largest}{''.join(others)}, {shape.optimizer.name}, {shape.task.points} points"

    def description(self) -> Any:
        """Give the network's spec, the largest one where lanes vary, and in what they do."""
        varying = {name: value for name, value in asdict(self.varying).items() if value}
        return describe(self.shape)["model"] | ({"varying": varying} if self.varying.common() else {})

    def begin(self, keys: Keys, numbers: Numbers, shared: Any) -> tuple[State, Data]:
        """Draw data and initial parameters."""
        shape, dtype = self.shape, np.dtype(self.precision)
        data = draw(shape.task, keys.data, numbers, dtype, shape.shown)
        parameters = self._network().init(keys.weights, data.inputs, numbers)
        state = optimizer(shape.optimizer, shape.steps, numbers, dtype).init(parameters)
        order = None if shape.batch_size is None else jnp.zeros(shape.task.points, jnp.int32)
        return State(parameters, state, order), data

    def _network(self) -> Functions:
        return network(self.shape.model, self.varying)

    def step(
        self, state: State, data: Data, shared: Any, numbers: Numbers, step: Int[Array, ""]
    ) -> tuple[State, Bool[Array, ""]]:
        """Take one optimiser step, and tell whether the loss before the step was finite."""
        inputs, target, weights = self._batch(data, state.order, step)

        def objective(parameters: Any) -> Float[Array, ""]:
            prediction = self._network().apply_for_gradient(parameters, inputs, numbers)
            return LOSSES[self.shape.loss].load()(prediction, target, weights)

        loss, gradient = jax.value_and_grad(objective)(state.parameters)
        rule = optimizer(self.shape.optimizer, self.shape.steps, numbers, np.dtype(self.precision))
        updates, optimizer_state = rule.update(gradient, state.optimizer_state, state.parameters)
        parameters = jax.tree.map(jnp.add, state.parameters, updates)
        return state._replace(parameters=parameters, optimizer_state=optimizer_state), jnp.isfinite(loss)

    def _batch(
        self, data: Data, order: Int[Array, " points"] | None, step: Int[Array, ""]
    ) -> tuple[Array, Array, Array]:
        """Choose inputs, targets and weights of one step; points of weight 0 fill a shorter last batch."""
        if order is None or self.shape.batch_size is None:
            return data.inputs, data.target, jnp.ones_like(data.target)
        size, points = self.shape.batch_size, self.shape.task.points
        place = (step % self.steps_per_epoch) * size + jnp.arange(size)
        chosen = order[jnp.minimum(place, points - 1)]
        return data.inputs[:, chosen], data.target[chosen], (place < points).astype(data.target.dtype)

    def renew(self, state: State, data: Data, shared: Any, numbers: Numbers, step: Int[Array, ""]) -> State:
        """Draw a new order of the points for an epoch."""
        key = jax.random.fold_in(stream(numbers["seed"], "batches"), step // self.steps_per_epoch)
        return state._replace(order=permutation(key, self.shape.task.points).astype(jnp.int32))

    def must_be_finite(self, state: State) -> Any:
        """Return the parameters."""
        return state.parameters

    @property
    def sizing(self) -> tuple[str, ...]:
        """The numbers `width` and `depth`, if lanes differ in them."""
        return ("width",) * self.varying.width + ("depth",) * self.varying.depth

    def parameters(self, state: State) -> Any:
        """Return the parameters."""
        return state.parameters

    def with_parameters(self, state: State, parameters: Any) -> State:
        """Return a state with other parameters."""
        return state._replace(parameters=parameters)

    def own(self, parameters: Any, numbers: Mapping[str, Any]) -> Any:
        """Cut a lane's own network out of padded parameters."""
        return self._network().own(parameters, numbers)

    def features(self) -> int:
        """Count the numbers of one point."""
        return self.shape.task.features()

    def predict(
        self, parameters: Any, x: Float[Array, "features n"], data: Data, shared: Any, numbers: Numbers
    ) -> Float[Array, " n"]:
        """Compute the network's outputs; inputs are computed from x as for training."""
        inputs = compute_inputs(self.shape.task, x, data.points)
        return self._network().apply_for_gradient(parameters, inputs, numbers)

    def measure(
        self, state: State, data: Data, shared: Any, numbers: Numbers, step: Int[Array, ""]
    ) -> tuple[dict[str, Array], Bool[Array, ""]]:
        """Measure the metrics over all points; a lane whose loss is not finite is lost."""
        shape, functions = self.shape, self._network()

        def predict(parameters: Any) -> tuple[Array, Array]:
            prediction = functions.apply_for_gradient(parameters, data.inputs, numbers)
            weights = jnp.ones_like(data.target)
            return LOSSES[shape.loss].load()(prediction, data.target, weights), prediction

        (loss, prediction), gradient = jax.value_and_grad(predict, has_aux=True)(state.parameters)
        x = x_clean = x_prediction = None
        if shape.shown:
            x = jnp.asarray(shape.shown.values(), data.points.dtype)
            x_clean, x_prediction = data.clean, prediction
            if data.x_inputs is not None:
                x_clean, x_prediction = (
                    data.x_clean,
                    functions.apply_for_gradient(state.parameters, data.x_inputs, numbers),
                )
        moment = metrics.Moment(
            shape, step, numbers, data, state.parameters, gradient, functions.by_layer(gradient),
            loss, prediction, x, x_clean, x_prediction,
            lambda parameters, inputs: functions.apply(parameters, inputs, numbers),
        )  # fmt: skip
        return metrics.measure(moment), jnp.isfinite(loss)

    def constants(self) -> tuple[Quantity, ...]:
        """List the noiseless target over x, if the task has an x."""
        return (RECORDED["target"],) if self.shape.shown else ()

    def constant_values(self, data: Data) -> dict[str, Array]:
        """Give the target."""
        if self.shape.shown is None:
            return {}
        return {"target": data.clean if data.x_clean is None else data.x_clean}


def can_vary(shape: Shape) -> frozenset[str]:
    """Name the structural knobs in which lanes of one program may differ.

    A metric of the page may depend on a network's layers and activation.
    """
    return shape.model.can_vary() & {"width"} if shape.own else shape.model.can_vary()


def training_of(shape: Shape, varying: Varying = UNIFORM) -> Training:
    """Return the training of the lanes of a Shape.

    Args:
        shape: what decides their code; where lanes vary, with the largest network.
        varying: in what lanes differ beyond their numbers.
    """
    return Regression(shape, varying)


def permutation(key: Key[Array, ""], size: int) -> Int[Array, " size"]:
    """Draw a permutation of 0 ... size - 1: the ranks, or the order, of random numbers; equal ones keep their order.

    Up to `RANKED_POINTS` numbers are ranked by size^2 comparisons, which are vectorised, while a sort is not. With 32
    bits so few numbers are equal that one sort is enough, where `jax.random.permutation` takes two.
    """
    drawn, place = jax.random.bits(key, (size,), jnp.uint32), jnp.arange(size)
    if size > RANKED_POINTS:
        return jnp.argsort(drawn)
    before = (drawn[None] < drawn[:, None]) | ((drawn[None] == drawn[:, None]) & (place[None] < place[:, None]))
    return jnp.sum(before, axis=1)
