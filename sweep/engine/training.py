"""The interface between the engine and what it trains: three pure functions of one lane, and what a plan must know.

Tiles, freezing, seats, waves and checkpoints know nothing else of a training. It is implemented by `regression` and by
`page_training`.
"""

from abc import ABC, abstractmethod
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Array, Bool, Int

from sweep.base.labels import Quantity
from sweep.engine.keys import Keys
from sweep.page.shape import Shape

Numbers = dict[str, Array]  # a lane's traced numbers by the names of their knobs, scalars
State = Any  # a pytree of arrays that a step changes
Data = Any  # a pytree of arrays of this lane that a step only reads
Shared = Any  # the same, of all lanes


@dataclass(frozen=True)
class Cost:
    """Rough cost of one lane. The size of tiles, and so the bits of results, and all estimates follow from it.

    Args:
        flops: floating-point operations of a step's matrix products and their derivatives.
        activations: evaluations of nonlinear functions in a step, each with its derivative.
        bytes: memory that a step reads and writes.
        layers: number of layers, for the time of compiling.
        points: training points used in a step.
        of_points: training points used in a record.
    """

    flops: float
    activations: float
    bytes: float
    layers: int
    points: int = 1
    of_points: int = 1


class Training(ABC):
    """The training of one lane. Hashable: equal ones share a compiled program.

    The functions are pure and traced. They see one lane: scalars in `numbers`, arrays without an axis for lanes.
    """

    @property
    @abstractmethod
    def precision(self) -> str:
        """Type of the traced numbers and of recorded values, float32 or float64."""

    @property
    @abstractmethod
    def steps(self) -> int:
        """Number of steps in the whole training."""

    @property
    @abstractmethod
    def steps_per_epoch(self) -> int:
        """Number of steps in an epoch."""

    @property
    def renewed_every(self) -> int | None:
        """Number of steps between calls of `renew`, the first at step 0; None for no calls."""
        return None

    @property
    def stays_not_finite(self) -> bool:
        """Whether a value that is not finite can never become finite again. If so, `program` checks whole segments.

        It is not so with a sign, clipping or integers; hence the default is False, and every step is checked.
        """
        return False

    def check_numbers(  # noqa: B027  (most trainings take any number)
        self, numbers: Mapping[str, np.ndarray]
    ) -> None:
        """Refuse numbers of lanes with which they can't be trained.

        Args:
            numbers: the traced numbers by name, each of shape (lanes,).

        Raises:
            SweepError: with the number, and the fix.
        """

    @property
    def runs_code_of_page(self) -> bool:
        """Whether a step runs code that the page brings, so that it must be tried before anything is stored."""
        return True

    @property
    def divides_arrays(self) -> bool:
        """Whether a step may divide arrays by one number, which XLA does in another way for several CPU devices."""
        return self.runs_code_of_page

    @property
    def padded(self) -> bool:
        """Whether arrays may be padded: a narrower network does not use all of their entries."""
        return False

    @property
    def common(self) -> tuple[str, ...]:
        """Names of traced numbers that all lanes of a tile have in common, because they decide which code runs."""
        return ()

    @property
    def whole_numbers(self) -> tuple[str, ...]:
        """Names of traced numbers that are whole, seeds aside."""
        return self.common

    @abstractmethod
    def quantities(self) -> tuple[Quantity, ...]:
        """List the quantities that `measure` returns, in order."""

    @abstractmethod
    def dimensions(self) -> Mapping[str, Any]:
        """Return the coordinates of every dimension of these quantities."""

    @abstractmethod
    def cost(self) -> Cost:
        """Return the cost of a lane."""

    @abstractmethod
    def words(self) -> str:
        """Describe in a few words what all lanes of this training have in common."""

    @abstractmethod
    def description(self) -> Any:
        """Return a description for JSON, by which a store distinguishes its blocks."""

    @property
    def shared_by(self) -> Hashable:
        """What `share` depends on: trainings for which this is equal, and not None, have its result in common."""
        return None

    def arrays(self) -> Any:
        """Return arrays of the host from which `share` makes what lanes have in common, a pytree."""
        return ()

    def share(self, arrays: Any, keys: Keys, numbers: Numbers) -> Shared:
        """Make what lanes have in common, once for all of them.

        Args:
            arrays: those of `arrays`, on the device.
            keys: of the random streams of any lane.
            numbers: the traced numbers of that lane.
        """
        return arrays

    @abstractmethod
    def begin(self, keys: Keys, numbers: Numbers, shared: Shared) -> tuple[State, Data]:
        """Draw the lane's initial state and its data.

        Args:
            keys: of the random streams of its `seed` and `data_seed`.
            numbers: its traced numbers.
            shared: what lanes have in common.
        """

    @abstractmethod
    def step(
        self, state: State, data: Data, shared: Shared, numbers: Numbers, step: Int[Array, ""]
    ) -> tuple[State, Bool[Array, ""]]:
        """Take one step, also where its result is not finite.

        Args:
            state: the state after `step` steps.
            data: as `begin` gave it.
            shared: what lanes have in common.
            numbers: the lane's traced numbers.
            step: the same for all lanes of a tile.

        Returns:
            The new state, and whether everything that was computed from the old one, such as a loss, was finite.
        """

    def renew(self, state: State, data: Data, shared: Shared, numbers: Numbers, step: Int[Array, ""]) -> State:
        """Change the part of the state that stays the same for `renewed_every` steps, such as an order of points.

        This is not done in `step`, because XLA would copy that part at every step.
        """
        raise NotImplementedError(f"{type(self).__name__} has renewed_every but no renew")

    @abstractmethod
    def must_be_finite(self, state: State) -> Any:
        """Return the part of a state that must be finite; otherwise the lane is lost and keeps the previous state."""

    @property
    def sizing(self) -> tuple[str, ...]:
        """Names of the traced numbers on which the sizes of a lane's own arrays depend, where arrays are padded."""
        return ()

    def parameters(self, state: State) -> Any:
        """Return the parameters of the network in a state, a pytree of arrays of the training's precision."""
        return self.must_be_finite(state)

    def with_parameters(self, state: State, parameters: Any) -> State:
        """Return a state with other parameters, of the same shapes."""
        raise NotImplementedError(f"{type(self).__name__} has no with_parameters")

    def own(self, parameters: Any, numbers: Mapping[str, Any]) -> Any:
        """Cut the parameters of a lane's own network out of padded ones, as a network that is alone would have them.

        Args:
            parameters: a pytree of NumPy arrays, possibly padded.
            numbers: the lane's values of `sizing`.
        """
        return parameters

    def predict(self, parameters: Any, x: Array, data: Data, shared: Shared, numbers: Numbers) -> Array:
        """Compute the network's outputs at any points.

        Args:
            parameters: as `parameters` gives them.
            x: the points in the units of the data, one row for each feature.
            data: as `begin` gave it.
            shared: what lanes have in common.
            numbers: the lane's traced numbers.

        Returns:
            One output, or one row of outputs, for each point.
        """
        raise NotImplementedError(f"{type(self).__name__} has no predict")

    def with_constants(self, data: Data, shared: Shared, constants: Mapping[str, Array]) -> tuple[Data, Shared]:
        """Replace what predictions need of data by stored constants, for where data can't be drawn again.

        Args:
            data: of one lane.
            shared: what lanes have in common.
            constants: the lane's values of `constants`.
        """
        return data, shared

    def features(self) -> int:
        """Count the numbers of one point, as `predict` takes them."""
        return 1

    @abstractmethod
    def measure(
        self, state: State, data: Data, shared: Shared, numbers: Numbers, step: Int[Array, ""]
    ) -> tuple[dict[str, Array], Bool[Array, ""]]:
        """Measure the lane at a record.

        Returns:
            The quantities by name, and whether the lane is sound; if not, it is lost from this record on.
        """

    def constants(self) -> tuple[Quantity, ...]:
        """List the quantities that are stored once for each lane, such as its target."""
        return ()

    def constant_values(self, data: Data, shared: Shared, numbers: Numbers) -> dict[str, Array]:
        """Return the values of `constants`.

        Args:
            data: of several lanes; these are the leading axes of each array.
            shared: what lanes have in common.
            numbers: the traced numbers of these lanes.
        """
        return {}


class ShapeTraining(Training):
    """The training of the lanes of one Shape, which says how long and how exact it is."""

    shape: Shape

    @property
    def precision(self) -> str:
        """Precision of all floats."""
        return self.shape.precision

    @property
    def steps(self) -> int:
        """Number of steps in the whole training."""
        return self.shape.steps

    def with_steps(self, steps: int) -> "ShapeTraining":
        """Return the same training with another length."""
        return replace(self, shape=replace(self.shape, steps=steps))  # type: ignore[type-var]

    @property
    def steps_per_epoch(self) -> int:
        """Number of batches in a pass over the points, of which the last may be shorter; 1 where there are none."""
        return self.shape.steps_per_epoch()
