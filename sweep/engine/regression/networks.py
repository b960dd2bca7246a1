"""Networks as pure functions, and in what those of one block may differ."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from jaxtyping import Array, Key

from sweep.page.specs.model import Model

Parameters = Any  # a pytree of arrays, as Flax makes it
Collections = Any  # the same, of what is kept beside: batch statistics, fixed Fourier frequencies; often nothing
BATCH_STATISTICS: Final = "batch_stats"  # the collection of what is computed from a step's points, as linen names it
Numbers = dict[str, Array]
Train = Callable[[Parameters, Collections, Array, Numbers, Key[Array, ""]], tuple[Array, Collections]]


@dataclass(frozen=True)
class Varying:
    """The structural knobs in which lanes differ although one program trains them all.

    Its network has the largest width and depth, and each lane numbers of the same names.

    Args:
        width: whether a lane's number `width`, its neurons in each hidden layer, may be smaller than the network's.
        depth: whether a lane's number `depth`, its hidden layers (1 or more), may be smaller than the network's.
        activations: names, among which a lane's number `activation` is the place of its own; without names all lanes
            have the network's.
    """

    width: bool = False
    depth: bool = False
    activations: tuple[str, ...] = ()

    def common(self) -> tuple[str, ...]:
        """Name the numbers that decide which code runs, so that they must be the same for all lanes of a tile."""
        return ("depth",) * self.depth + ("activation",) * bool(self.activations)


UNIFORM: Final = Varying()


class Functions(NamedTuple):
    """A network as pure functions.

    Beside its parameters a network may have collections, of which a step needs no gradient: batch statistics, which it
    changes, or fixed frequencies of Fourier features. `apply` and `train` give different outputs with dropout, and for
    modules of the page.

    Args:
        init: maps (key, inputs, numbers) to parameters and collections.
        apply: maps (parameters, collections, inputs of shape (features, points), numbers) to outputs of shape
            (points,), or (points, outputs) if there are several, as in a record; any derivative of it can be taken, in
            forward and reverse mode and combined.
        apply_for_gradient: gives the same outputs, with gradients that are faster on CPU; no other derivative can be
            taken.
        train: maps (parameters, collections, inputs, numbers, a step's key) to outputs as in that step, and the new
            collections; any derivative can be taken.
        train_for_gradient: gives the same, with gradients that are faster on CPU.
        by_layer: splits a pytree like the parameters into one subtree for each layer.
        direction: maps (key, parameters, numbers) to a pytree like the parameters, of standard normal numbers; entries
            of dead neurons are 0, and those of others do not depend on how many are dead.
        own: maps (variables as NumPy arrays, the lane's `width` and `depth` where they vary) to those of its own
            network, without dead entries and layers: what `init` of a network that is alone gives.
        join: makes what is kept of a trained network, its variables, from parameters and collections.
        split: gives parameters and collections of variables.
        scale_updates: maps (updates, numbers, the optimiser's `degree`) to updates by the network's own learning rates.
    """

    init: Callable[[Key[Array, ""], Array, Numbers], tuple[Parameters, Collections]]
    apply: Callable[[Parameters, Collections, Array, Numbers], Array]
    apply_for_gradient: Callable[[Parameters, Collections, Array, Numbers], Array]
    train: Train
    train_for_gradient: Train
    by_layer: Callable[[Parameters], list[Any]]
    direction: Callable[[Key[Array, ""], Parameters, Numbers], Parameters]
    own: Callable[[Any, Mapping[str, Any]], Any]
    join: Callable[[Parameters, Collections], Any]
    split: Callable[[Any], tuple[Parameters, Collections]]
    scale_updates: Callable[[Parameters, Numbers, int | None], Parameters] = lambda updates, _, __: updates


def network(model: Model, varying: Varying = UNIFORM, outputs: int | None = None) -> Functions:
    """Build the functions of a network.

    Args:
        model: its structure; where lanes vary, the largest.
        varying: in what lanes differ.
        outputs: number of outputs; None for a single one, of which arrays have no axis.
    """
    return model.functions.load()(model, varying, outputs)


def only_parameters(parameters: Parameters, _: Collections) -> Parameters:
    """Give the variables of a network that has no collections."""
    return parameters


def without_collections(variables: Any) -> tuple[Parameters, Collections]:
    """Give the parameters and no collections of such variables."""
    return variables, ()
