"""Regression: a network learns a task's targets by an optimiser, full batch or by minibatches."""

from collections.abc import Callable, Collection, Hashable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import lru_cache, partial
from typing import Any, Final, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key

from sweep.base.errors import SweepError
from sweep.base.labels import RECORDED, Quantity
from sweep.engine.keys import Keys, stream
from sweep.engine.regression import metrics
from sweep.engine.regression.losses import compute_loss
from sweep.engine.regression.moment import Landscape
from sweep.engine.regression.networks import BATCH_STATISTICS, UNIFORM, Functions, Train, Varying, network
from sweep.engine.regression.rules import Rule, average_of, measured, rule_of, with_measured
from sweep.engine.regression.tasks import NO_DATA, Data, Scales, draw
from sweep.engine.regression.tasks.inputs import compute_inputs
from sweep.engine.regression.tasks.rows import check_split, in_units, rows_of, standardise_inputs
from sweep.engine.training import Cost, Numbers, ShapeTraining
from sweep.page.identity import describe
from sweep.page.shape import Shape
from sweep.page.specs.model import FromModule
from sweep.page.specs.optimizer import Optimizer
from sweep.page.specs.record import own_dimensions
from sweep.page.specs.update_rule import FromOptax
from sweep.page.specs.window import Window

Apply = Callable[[Any, Array], Array]
RANKED_POINTS: Final = 128  # up to so many points are shuffled by counting, which takes half the time for a hundred


class State(NamedTuple):
    """What a step changes.

    Args:
        parameters: of the network.
        optimizer_state: as optax makes it.
        order: the present epoch's order of the points; None for full batch.
        collections: what else a module of the page keeps, such as batch statistics.
    """

    parameters: Any
    optimizer_state: Any
    order: Int[Array, " points"] | None
    collections: Any = ()


@dataclass(frozen=True)
class Regression(ShapeTraining):
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
    def whole_numbers(self) -> tuple[str, ...]:
        """The neurons of a layer, and what lanes have in common."""
        return "width", *self.common

    @property
    def renewed_every(self) -> int | None:
        """Each epoch begins with a new order of the points."""
        return None if self.shape.batch_size is None else self.steps_per_epoch

    @property
    def stays_not_finite(self) -> bool:
        """True of every optimiser, whatever it makes of a gradient: signs, clips, searches a line, or drops it.

        A loss that is not finite is noted at its step. And a step adds something to the parameters: infinity plus any
        number is infinity or NaN, and NaN plus any number NaN. What else a state holds need not be finite. Tested for
        all of them (tests/engine/test_rules.py).
        """
        return True

    def check_numbers(self, numbers: Mapping[str, np.ndarray]) -> None:
        """Refuse a `data_seed` with which no row of a class is trained on."""
        if self.shape.has_classes():
            check_split(self.shape, np.unique(numbers["data_seed"]))

    @property
    def runs_code_of_page(self) -> bool:
        """True for a module, an optimiser or a loss of the page."""
        shape = self.shape
        return isinstance(shape.model, FromModule) or isinstance(shape.optimizer, FromOptax) or shape.loss.entry is None

    @property
    def divides_arrays(self) -> bool:
        """True also for an optimiser that corrects the moments of each array."""
        optimizer = self.shape.optimizer
        return self.runs_code_of_page or (isinstance(optimizer, Optimizer) and optimizer.method.by_array)

    def quantities(self) -> tuple[Quantity, ...]:
        """List the metrics of the page, and the prediction."""
        return self.shape.quantities()

    def dimensions(self) -> Mapping[str, np.ndarray]:
        """Return the layers, what the task has of x, frequencies, outputs and rows, and what the metrics have."""
        found: dict[str, np.ndarray] = {"layer": np.arange(self.shape.model.count_layers())}
        if outputs := self.shape.outputs():
            found["output"] = np.array(outputs)
        if (samples := self.shape.task.samples()) is not None:
            found["sample"] = samples
            found["feature"] = np.array(self.shape.task.feature_names())
        if self.shape.shown:
            found |= self.shape.shown.coordinates()
        if self.shape.task.reported_frequencies():
            found["frequency"] = np.array(self.shape.task.reported_frequencies(), float)
        return found | {name: dim.coordinate() for name, dim in own_dimensions(self.shape.own).items()}

    def cost(self) -> Cost:
        """Estimate the cost of a lane from the sizes of its layers."""
        shape = self.shape
        layers = shape.model.layer_sizes(shape.task.input_size(), max(1, len(shape.outputs())))
        points, size = shape.batch_size or shape.task.points, np.dtype(shape.precision).itemsize
        outputs = points * sum(outputs for _, outputs in layers) * 3  # value, its gradient, a temporary
        parameters = sum((inputs + 1) * outputs for inputs, outputs in layers) * shape.optimizer.arrays()
        gradients = shape.optimizer.gradients()
        return Cost(
            flops=6 * points * sum(inputs * outputs for inputs, outputs in layers) * gradients,
            activations=points * sum(outputs for _, outputs in layers[:-1]) * gradients,
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
        return f"{largest}{''.join(others)}, {shape.optimizer.words()}, {shape.task.points} points"

    def description(self) -> Any:
        """Give the network's spec, the largest one where lanes vary, and in what they do."""
        varying = {name: value for name, value in asdict(self.varying).items() if value}
        return describe(self.shape)["model"] | ({"varying": varying} if self.varying.common() else {})

    def begin(self, keys: Keys, numbers: Numbers, shared: Any) -> tuple[State, Data | None]:
        """Draw data and initial parameters."""
        shape = self.shape
        data = None if shape.common_data else self._draw(keys, numbers, shared)
        complete = self._complete(data, shared)
        parameters, collections = self._network().init(keys.weights, _network_inputs(complete), numbers)
        if BATCH_STATISTICS in collections and shape.task.points % (shape.batch_size or 1):
            raise SweepError(
                f"batch_size {shape.batch_size} does not divide the {shape.task.points} points, and a short last batch "
                f"would have other statistics than its points: take a divisor"
            )
        state = self.rule(numbers).init(parameters)
        order = None if shape.batch_size is None else jnp.zeros(shape.task.points, jnp.int32)
        begun = State(parameters, state, order, collections)
        if self._uses_initial(begun, complete, numbers):
            data = (NO_DATA if data is None else data)._replace(initial=parameters)
        return begun, data

    def _complete(self, data: Data | None, shared: Any) -> Data:
        """Give a lane's data, also where it has all or most of them in common with others."""
        if not self.shape.common_data:
            assert data is not None
            return data
        return shared if data is None else shared._replace(initial=data.initial)

    def _uses_initial(self, state: State, data: Data, numbers: Numbers) -> bool:
        """Tell whether a metric of the page uses the initial parameters: its code is traced to see."""
        if not self.shape.own:
            return False
        leaves, structure = jax.tree.flatten((state, data, numbers))
        return _uses_initial(self, structure, tuple(jax.ShapeDtypeStruct(jnp.shape(x), x.dtype) for x in leaves))

    def arrays(self) -> Any:
        """Give the rows of a task with data."""
        return rows_of(self.shape) if self.shape.task.samples() is not None else ()

    @property
    def shared_by(self) -> Hashable:
        """What the arrays of a task with data depend on, and the data themselves if lanes have them in common."""
        shape = self.shape
        if shape.task.samples() is None:
            return None
        classes = shape.has_classes(), shape.loss.of == "two classes"
        return shape.task, shape.shown, classes, shape.precision, bool(shape.batch_size), shape.common_data

    def share(self, arrays: Any, keys: Keys, numbers: Numbers) -> Any:
        """Draw the data, if lanes have them in common."""
        return self._draw(keys, numbers, arrays) if self.shape.common_data else arrays

    def _draw(self, keys: Keys, numbers: Numbers, arrays: Any) -> Data:
        """Draw a lane's own data."""
        shape = self.shape
        if shape.task.samples() is not None:
            return shape.task.target_builder.load()(shape, keys.data, numbers, arrays)
        return draw(shape.task, keys.data, numbers, np.dtype(self.precision), shape.shown)

    def _network(self) -> Functions:
        return network(self.shape.model, self.varying, len(self.shape.outputs()) or None)

    def rule(self, numbers: Numbers) -> Rule:
        """Build the rule by which a lane's parameters are changed."""
        shape, functions = self.shape, self._network()

        def scale(updates: Any) -> Any:
            return functions.scale_updates(updates, numbers, shape.optimizer.degree())

        return rule_of(shape.optimizer, shape.steps, numbers, np.dtype(self.precision), functions.by_layer, scale)

    def step(
        self, state: State, data: Data | None, shared: Any, numbers: Numbers, step: Int[Array, ""]
    ) -> tuple[State, Bool[Array, ""]]:
        """Take one optimiser step, and tell whether the loss before the step was finite."""
        inputs, target, weights = self._batch(self._complete(data, shared), state.order, step)

        key = jax.random.fold_in(stream(numbers["seed"], "network"), step)

        def objective(train: Train, parameters: Any) -> tuple[Float[Array, ""], Any]:
            outputs, collections = train(parameters, state.collections, inputs, numbers, key)
            return compute_loss(self.shape.loss, outputs, target, weights, numbers), collections

        functions = self._network()
        of_gradient = partial(objective, functions.train_for_gradient)
        (loss, collections), gradient = jax.value_and_grad(of_gradient, has_aux=True)(state.parameters)
        gradient = _without(gradient, self.shape.model.frozen_layers())
        train = functions.train if self.shape.optimizer.takes_any_derivative() else functions.train_for_gradient
        updates, optimizer_state = self.rule(numbers).update(
            gradient, state.optimizer_state, state.parameters, loss, lambda at: objective(train, at)[0]
        )
        updates = _without(updates, self.shape.model.frozen_layers())  # decays need no gradient
        parameters = jax.tree.map(jnp.add, state.parameters, updates)
        return State(parameters, optimizer_state, state.order, collections), jnp.isfinite(loss)

    def _batch(
        self, data: Data, order: Int[Array, " points"] | None, step: Int[Array, ""]
    ) -> tuple[Array, Array, Array]:
        """Choose inputs, targets and weights of one step; points of weight 0 fill a shorter last batch."""
        if order is None or self.shape.batch_size is None:
            return _network_inputs(data), data.target, self._ones(data.target)
        size, points = self.shape.batch_size, self.shape.task.points
        place = (step % self.steps_per_epoch) * size + jnp.arange(size)
        chosen = order[jnp.minimum(place, points - 1)]
        inputs = _network_inputs(data)[:, chosen] if data.rows is None else data.rows[chosen].T
        return inputs, data.target[chosen], (place < points).astype(self.precision)

    def _ones(self, target: Array) -> Array:
        """Give the weights of points that all count."""
        return jnp.ones(target.shape[:1], self.precision)

    def renew(self, state: State, data: Data | None, shared: Any, numbers: Numbers, step: Int[Array, ""]) -> State:
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
        """Return the variables with which a lane is measured."""
        return self._network().join(measured(state.optimizer_state, state.parameters), state.collections)

    def with_parameters(self, state: State, parameters: Any) -> State:
        """Return a state with other variables."""
        own, collections = self._network().split(parameters)
        optimizer_state = with_measured(state.optimizer_state, own)
        return state._replace(parameters=own, optimizer_state=optimizer_state, collections=collections)

    def own(self, parameters: Any, numbers: Mapping[str, Any]) -> Any:
        """Cut a lane's own network out of padded parameters."""
        return self._network().own(parameters, numbers)

    def features(self) -> int:
        """Count the numbers of one point."""
        return self.shape.task.count_features()

    def predict(
        self, parameters: Any, x: Float[Array, "features n"], data: Data | None, shared: Any, numbers: Numbers
    ) -> Float[Array, "n *outputs"]:
        """Compute the network's outputs, in the units of the targets; inputs are computed from x as for training."""
        complete = self._complete(data, shared)
        if self.shape.task.samples() is not None:
            inputs = standardise_inputs(complete.scales, x.T).T
            return in_units(complete.scales, self._outputs(parameters, inputs, numbers))
        assert complete.points is not None
        return self._outputs(parameters, compute_inputs(self.shape.task, x, complete.points), numbers)

    def _outputs(self, variables: Any, inputs: Array, numbers: Numbers) -> Array:
        functions = self._network()
        return functions.apply_for_gradient(*functions.split(variables), inputs, numbers)

    def with_constants(self, data: Data | None, shared: Any, constants: Mapping[str, Array]) -> tuple[Any, Any]:
        """Replace the scales of standardised rows by stored ones."""
        if not self.shape.task.standardises():
            return data, shared
        scales = Scales(*(constants[name] for name in Scales._fields))
        if self.shape.common_data:
            return data, shared._replace(scales=scales)
        assert data is not None
        return data._replace(scales=scales), shared

    def measure(
        self, state: State, data: Data | None, shared: Any, numbers: Numbers, step: Int[Array, ""]
    ) -> tuple[dict[str, Array], Bool[Array, ""]]:
        """Measure the metrics over all points; a lane whose loss is not finite is lost."""
        complete = self._complete(data, shared)
        moment = self.moment(state, complete, numbers, step, lambda: complete.initial)
        return metrics.measure(moment), jnp.isfinite(moment.loss)

    def moment(
        self, state: State, data: Data, numbers: Numbers, step: Int[Array, ""], start: Callable[[], Any]
    ) -> metrics.Moment:
        """Collect what metrics are functions of; `start` gives the initial parameters to those that use them."""
        shape, functions, collections = self.shape, self._network(), state.collections

        def apply(parameters: Any, inputs: Array) -> Array:
            return functions.apply(parameters, collections, inputs, numbers)

        def apply_for_gradient(parameters: Any, inputs: Array) -> Array:
            return functions.apply_for_gradient(parameters, collections, inputs, numbers)

        data = _with_inputs(data)
        state = state._replace(parameters=measured(state.optimizer_state, state.parameters))
        (loss, prediction), gradient = jax.value_and_grad(
            lambda parameters: self._loss(apply_for_gradient, parameters, data, numbers), has_aux=True
        )(state.parameters)
        x = x_clean = x_prediction = None
        if shape.shown:
            x = jnp.asarray(_place(shape.shown), self.precision)
            x_clean, x_prediction = data.clean, prediction
            if data.x_inputs is not None:
                x_clean, x_prediction = data.x_clean, apply_for_gradient(state.parameters, data.x_inputs)
            x_clean, x_prediction = (_over_window(shape.shown, each) for each in (x_clean, x_prediction))
        validation = sample_prediction = None
        if data.validation_inputs is not None:
            validation = apply_for_gradient(state.parameters, data.validation_inputs)
        if data.sample_inputs is not None:
            sample_prediction = apply_for_gradient(state.parameters, data.sample_inputs)
        landscape = Landscape(
            lambda parameters: self._loss(apply, parameters, data, numbers)[0],
            start,
            lambda key: functions.direction(key, state.parameters, numbers),
        )
        return metrics.Moment(
            shape, step, numbers, data, state.parameters, gradient, functions.by_layer(gradient),
            loss, prediction, x, x_clean, x_prediction, validation, sample_prediction,
            average_of(state.optimizer_state), apply, landscape,
        )  # fmt: skip

    def _loss(self, apply: Apply, parameters: Any, data: Data, numbers: Numbers) -> tuple[Float[Array, ""], Array]:
        """Compute the training loss over all points, and the prediction."""
        prediction = apply(parameters, _network_inputs(data))
        return compute_loss(self.shape.loss, prediction, data.target, self._ones(data.target), numbers), prediction

    def constants(self) -> tuple[Quantity, ...]:
        """List the noiseless target over x, if the task has one; which samples are not trained on; the scales."""
        output = ("output",) if self.shape.outputs() else ()
        if self.shape.task.samples() is None:
            shown = self.shape.shown
            return (replace(RECORDED["target"], dims=(*shown.dims(), *output)),) if shown else ()
        if not self.shape.task.standardises():
            return (RECORDED["is_validation"],)
        of_targets = ("output",) if self.shape.task.output_names() else ()
        scales = [RECORDED[name] for name in Scales._fields]
        each = (replace(scale, dims=of_targets) if scale.name.startswith("target") else scale for scale in scales)
        return RECORDED["is_validation"], *each

    def constant_values(self, data: Any, shared: Any, numbers: Numbers) -> dict[str, Array]:
        """Give the target, or what is known of samples."""
        if self.shape.task.samples() is None:
            if self.shape.shown is None:
                return {}
            target, lanes = data.clean if data.x_clean is None else data.x_clean, numbers["seed"].ndim
            sizes = (*target.shape[:lanes], *self.shape.shown.sizes(), *target.shape[lanes + 1 :])
            return {"target": target.reshape(sizes)}
        own = shared if self.shape.common_data else data
        found = {"is_validation": own.is_validation, **(own.scales._asdict() if own.scales else {})}
        if not self.shape.common_data:
            return found
        lanes = numbers["seed"].shape
        return {name: jnp.broadcast_to(value, (*lanes, *value.shape)) for name, value in found.items()}


def _place(window: Window) -> np.ndarray:
    """Give the positions of a window as metrics see them: x, or the positions of two features along the last axis."""
    if window.count_features() == 1:
        return window.positions()[0]
    return window.positions().T.reshape(*window.sizes(), window.count_features())


def _over_window(window: Window, values: Array | None) -> Array | None:
    """Give values at the points of a window the axes of its dimensions."""
    if values is None or window.count_features() == 1:
        return values
    return values.reshape(*window.sizes(), *values.shape[1:])


def _without(tree: Any, layers: Collection[str]) -> Any:
    """Set the entries of some layers to 0."""
    if not layers:
        return tree
    return {name: jax.tree.map(jnp.zeros_like, each) if name in layers else each for name, each in tree.items()}


def _network_inputs(data: Data) -> Array:
    """Give the network's inputs at all points, of shape (inputs, points)."""
    if data.inputs is not None:
        return data.inputs
    assert data.rows is not None
    return data.rows.T


def _with_inputs(data: Data) -> Data:
    """Give data as metrics see them, with inputs and positions."""
    inputs = _network_inputs(data)
    return data._replace(inputs=inputs, points=inputs if data.points is None else data.points)


@lru_cache(maxsize=256)
def _uses_initial(training: Regression, structure: Any, leaves: tuple[jax.ShapeDtypeStruct, ...]) -> bool:
    """Tell whether the metrics of a training use the initial parameters, by tracing them with these shapes."""
    asked = []

    def measure(state: State, data: Data, numbers: Numbers, step: Int[Array, ""]) -> dict[str, Array]:
        def start() -> Any:
            asked.append(True)
            return state.parameters

        return metrics.measure(training.moment(state, data, numbers, step, start))

    jax.eval_shape(measure, *structure.unflatten(leaves), jax.ShapeDtypeStruct((), np.int32))
    return bool(asked)


def can_vary(shape: Shape) -> frozenset[str]:
    """Name the structural knobs in which lanes of one program may differ.

    A metric of the page may depend on a network's layers and activation, and an optimiser on the sizes of arrays.
    """
    allowed = shape.model.can_vary() & {"width"} if shape.own else shape.model.can_vary()
    return allowed if shape.optimizer.can_be_padded() else allowed & {"activation"}


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
