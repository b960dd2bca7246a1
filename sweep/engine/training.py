"""The joint between the engine and what it trains: three pure functions of one lane, and what a plan must know of them.

Tiles, freezing, seats, waves and checkpoints know nothing else of a training. `regression` is the one there is.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jaxtyping import Array, Bool, Int

from sweep.base.labels import Quantity
from sweep.engine.keys import Keys

Numbers = dict[str, Array]  # a lane's traced numbers by the names of their knobs, scalars
State = Any  # a pytree of arrays: what a step changes
Data = Any  # ... and what it only reads, of this lane
Shared = Any  # ... and of all lanes


@dataclass(frozen=True)
class Cost:
    """What one lane takes, roughly: it decides the size of tiles, and with them bits, and all estimates.

    Args:
        flops: of the matrix products of a step, and of their derivatives.
        activations: nonlinear functions that a step evaluates, each with its derivative.
        bytes: that a step touches.
        layers: in which it is compiled.
        points: that a step looks at ...
        of_points: ... of those that a record looks at.
    """

    flops: float
    activations: float
    bytes: float
    layers: int
    points: int = 1
    of_points: int = 1


class Training(ABC):
    """A training of one lane. Hashable: two that are equal are compiled once.

    The functions are pure and traced. They see one lane: scalars in `numbers`, arrays without an axis for lanes.
    """

    @property
    @abstractmethod
    def precision(self) -> str:
        """float32 or float64: the type in which numbers enter and values leave."""

    @property
    @abstractmethod
    def steps(self) -> int:
        """How many steps the whole training takes."""

    @property
    @abstractmethod
    def steps_per_epoch(self) -> int:
        """How many of them are an epoch."""

    @property
    def renewed_every(self) -> int | None:
        """After how many steps `renew` is called, from step 0 on; None for never."""
        return None

    @property
    def stays_not_finite(self) -> bool:
        """Whether what is not finite once is so in every later step. Only then whole segments are tried (`program`).

        The sign of infinity, clipping and integers are finite again; so by default every step is looked at.
        """
        return False

    @property
    def padded(self) -> bool:
        """Whether arrays may have places that a lane does not use, as those of a narrower network."""
        return False

    @abstractmethod
    def quantities(self) -> tuple[Quantity, ...]:
        """List what `measure` gives, in order."""

    @abstractmethod
    def dimensions(self) -> Mapping[str, Any]:
        """Give the coordinates of every dimension that quantities have here."""

    @abstractmethod
    def cost(self) -> Cost:
        """Say what a lane takes."""

    @abstractmethod
    def words(self) -> str:
        """Say in words what is the same for all lanes that are trained so."""

    @abstractmethod
    def described(self) -> Any:
        """Give JSON-able data by which a store tells its blocks apart."""

    @abstractmethod
    def begin(self, keys: Keys, numbers: Numbers, shared: Shared) -> tuple[State, Data]:
        """Draw what the lane begins with.

        Args:
            keys: of the streams of its `seed` and `data_seed`.
            numbers: its traced numbers.
            shared: what lanes have in common.
        """

    @abstractmethod
    def step(
        self, state: State, data: Data, shared: Shared, numbers: Numbers, step: Int[Array, ""]
    ) -> tuple[State, Bool[Array, ""]]:
        """Take a step, wherever it leads.

        Args:
            state: after `step` steps.
            data: as `begin` gave it.
            shared: what lanes have in common.
            numbers: the lane's traced numbers.
            step: the same for all lanes of a tile.

        Returns:
            The state after it; and whether all was finite that the step computed of the state before it,
            such as a loss.
        """

    def renew(self, state: State, data: Data, shared: Shared, numbers: Numbers, step: Int[Array, ""]) -> State:
        """Change what stays for `renewed_every` steps, such as an order of points.

        Not in `step`, since XLA copies at each step what a loop over steps only reads in part.
        """
        raise NotImplementedError(f"{type(self).__name__} states renewed_every and has no renew")

    @abstractmethod
    def must_be_finite(self, state: State) -> Any:
        """Give the part of a state that must be finite, or else the lane is lost, and keeps the one before."""

    @abstractmethod
    def measure(
        self, state: State, data: Data, shared: Shared, numbers: Numbers, step: Int[Array, ""]
    ) -> tuple[dict[str, Array], Bool[Array, ""]]:
        """Measure the lane at a record.

        Returns:
            Its quantities by name; and whether the lane is sound: if not it is lost from this record on.
        """

    def constants(self) -> tuple[Quantity, ...]:
        """List what is stored once for each lane, such as the target that it learns."""
        return ()

    def constant_values(self, data: Data) -> dict[str, Array]:
        """Give its values.

        Args:
            data: of any number of lanes, which are the first axes of each array.
        """
        return {}
