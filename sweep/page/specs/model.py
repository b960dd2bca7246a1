"""The network to train."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, fields, replace
from itertools import pairwise
from typing import Any, ClassVar, Final

from sweep.base.errors import SweepError, unknown_name
from sweep.base.registry import Entry
from sweep.page.specs.activation import ACTIVATIONS
from sweep.page.specs.initializer import INITIALIZERS
from sweep.page.specs.knobs import Spec, choice, count, number

_BIAS_INITIALIZERS: Final = tuple(name for name, each in INITIALIZERS.items() if each.biases)
_PERIODIC: Final = " or ".join(repr(name) for name, each in ACTIVATIONS.items() if each.periodic)
_UNKNOWN_WIDTH: Final = 64  # assumed for a module without a width


@dataclass(frozen=True, kw_only=True)
class Model(Spec):
    """Base class of all networks: an input for each number that the network sees of a point, an output for each target.

    Its methods tell the engine what it must know; here they assume a module of the page, of which nothing is known.
    """

    functions: ClassVar[Entry]  # maps (model, in what lanes vary) to its pure functions

    def layer_sizes(self, inputs: int, outputs: int = 1) -> tuple[tuple[int, int], ...]:
        """Give inputs and outputs of each layer, to estimate costs; for a module three layers of its width."""
        width = getattr(self, "width", _UNKNOWN_WIDTH)
        return tuple(pairwise((inputs, width, width, width, outputs)))

    def count_layers(self) -> int:
        """Count the layers whose gradients are recorded separately; a module counts as one."""
        return 1

    def can_vary(self) -> frozenset[str]:
        """Name the structural knobs in which networks may differ that one program trains."""
        return frozenset()

    def without(self, knobs: Collection[str]) -> "Model":
        """Give this network with the defaults of these knobs, so that networks that differ only in them are equal."""
        return replace(self, **{each.name: each.default for each in fields(self) if each.name in knobs})

    def words(self) -> str:
        """Describe the network in words."""
        return f"module of width {getattr(self, 'width', '?')}"


@dataclass(frozen=True, kw_only=True)
class MLP(Model):
    """A fully connected network, h_{l+1} = s(W_l^T h_l + b_l).

    Args:
        hidden: neurons of each hidden layer, as in (32, 128, 32); None means `depth` layers of `width`.
        width: neurons of each hidden layer if `hidden` is None.
        depth: number of hidden layers if `hidden` is None; 0 is a linear model.
        activation: s in the hidden layers, one of `ACTIVATIONS`.
        output_activation: s at the output.
        bias: whether layers have biases.
        output_bias: whether the output layer has a bias, if layers have biases.
        initializer: how weights are drawn, one of `INITIALIZERS`, or one name for each layer.
        bias_initializer: how biases are drawn, one of those `INITIALIZERS` that biases may have.
        initial_scale: factor on all initial weights (not on biases).
        bias_scale: factor on all initial biases.
        omega0: factor in the first hidden layer, s(omega0 (W x + b)), if s is a sine or a cosine: the scale of its
            initial frequencies, as in SIREN.

    Raises:
        SweepError: for an unknown name, a width below 1 or a wrong number of initialisers.
    """

    functions: ClassVar[Entry] = Entry("sweep.engine.regression.networks:perceptron")

    hidden: tuple[int, ...] | None = None
    width: int = count(64, units="neurons")
    depth: int = count(3, at_least=0, units="hidden layers")
    activation: str = choice("tanh", ACTIVATIONS, kind="activation")
    output_activation: str = choice("identity", ACTIVATIONS, kind="activation")
    bias: bool = True
    output_bias: bool = True
    initializer: str | tuple[str, ...] = "lecun_normal"
    bias_initializer: str = choice("zeros", _BIAS_INITIALIZERS, kind="bias initializer")
    initial_scale: float = number(1.0, at_least=0.0)
    bias_scale: float = number(1.0, at_least=0.0)
    omega0: float = number(1.0, above=0.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        for width in self.hidden or ():
            if isinstance(width, bool) or not isinstance(width, int) or width < 1:
                raise SweepError(f"model.hidden must hold whole numbers of at least 1, got {width!r}")
        for name in ("bias_scale", "omega0"):
            if getattr(self, name) != 1 and name not in self.applicable():
                needs = {"bias_scale": "biases", "omega0": f"activation {_PERIODIC}"}[name]
                raise SweepError(f"model.{name} needs {needs}, got {getattr(self, name)!r} without: leave it out")
        if not isinstance(self.initializer, str | tuple | list):
            raise SweepError(f"model.initializer must be a name, or a name for each layer, got {self.initializer!r}")
        names = (self.initializer,) if isinstance(self.initializer, str) else self.initializer
        for name in names:
            if name not in tuple(INITIALIZERS):  # a tuple, since the name may not be hashable
                raise unknown_name("initializer", name, INITIALIZERS)
        layers = len(self.layers()) + 1
        if not isinstance(self.initializer, str) and len(names) != layers:
            raise SweepError(f"model.initializer must name {layers} layers, output included, got {len(names)}")

    def layers(self) -> tuple[int, ...]:
        """Give the neurons of each hidden layer."""
        return (self.width,) * self.depth if self.hidden is None else self.hidden

    def layer_sizes(self, inputs: int, outputs: int = 1) -> tuple[tuple[int, int], ...]:
        """Give inputs and outputs of each layer."""
        return tuple(pairwise((inputs, *self.layers(), outputs)))

    def count_layers(self) -> int:
        """Count the layers, output included."""
        return len(self.layers()) + 1

    def can_vary(self) -> frozenset[str]:
        """Name `width`, as a narrow network is the corner of a wide one, and what hidden layers of one width allow."""
        if self.hidden is not None:
            return frozenset()
        if not self.depth:
            return frozenset({"width"})
        return frozenset({"width", "activation"} | ({"depth"} if isinstance(self.initializer, str) else set()))

    def words(self) -> str:
        """Describe the network in words: "64-64-64 tanh"."""
        return f"{'-'.join(map(str, self.layers()))} {self.activation}" if self.layers() else "linear"

    def biases(self) -> tuple[bool, ...]:
        """Tell which layers have biases, output included."""
        return (self.bias,) * len(self.layers()) + (self.bias and self.output_bias,)

    def initializers(self) -> tuple[str, ...]:
        """Give the initialiser of each layer, output included."""
        if isinstance(self.initializer, str):
            return (self.initializer,) * (len(self.layers()) + 1)
        return self.initializer

    def unused(self) -> frozenset[str]:
        """Name the fields that have no effect if `hidden` is given."""
        return frozenset() if self.hidden is None else frozenset({"width", "depth"})

    def applicable(self) -> frozenset[str]:
        """Name the knobs; `width` and `depth` have no effect if `hidden` is given, nor has `width` at depth 0."""
        unused = set(self.unused())
        if not self.layers():
            unused |= {"width", "activation"}
        if not self.layers() or not ACTIVATIONS[self.activation].periodic:
            unused.add("omega0")
        if not self.bias:
            unused |= {"bias_scale", "bias_initializer"}
        return super().applicable() - unused


@dataclass(frozen=True, kw_only=True)
class FromModule(Model):
    """A Flax linen module that the page defines.

    Args:
        build: `build(width)` returns a `flax.linen.Module` that maps (points, features) to (points, outputs).
            Import flax inside it, so that the page loads without JAX.
        width: passed to `build`; each width is a separate block, never padded.
        initial_scale: factor on all initial parameters.
    """

    functions: ClassVar[Entry] = Entry("sweep.engine.regression.networks:from_module")

    build: Callable[[int], Any]
    width: int = count(64, units="neurons")
    initial_scale: float = number(1.0, at_least=0.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not callable(self.build):
            raise SweepError(f"build of FromModule must be a function of the width, got {self.build!r}")
