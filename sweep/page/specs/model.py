"""The network to train."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from itertools import pairwise
from typing import Any, ClassVar, Final

from sweep.base.errors import SweepError, name_of, unknown_name
from sweep.base.registry import Entry
from sweep.page.specs.activation import ACTIVATIONS
from sweep.page.specs.initializer import INITIALIZERS
from sweep.page.specs.knobs import (
    LARGEST_COUNT,
    Spec,
    check_count,
    check_truth,
    choice,
    count,
    number,
    written,
)
from sweep.page.specs.own_numbers import OwnNumbers, check_own, check_static, merge, parameters_of
from sweep.page.specs.written import COUNTS, TRUTH

_BIAS_INITIALIZERS: Final = tuple(name for name, each in INITIALIZERS.items() if each.biases)
_PERIODIC: Final = " or ".join(repr(name) for name, each in ACTIVATIONS.items() if each.periodic)
# Numbers of an MLP that need something, and what.
_NEEDS: Final = {
    "bias_scale": "biases",
    "omega0": f"activation {_PERIODIC}",
    "dropout": "hidden layers",
    "fourier_scale": "fourier_features",
    "hidden_omega": f"activation {_PERIODIC}, and two hidden layers or initializer 'siren'",
}
_OPTIONS: Final = ("dropout", "hidden_omega")  # numbers of an MLP without which its code is another
_MOST_NORMALISED: Final = 1023  # hidden layers whose normalisations have numbers of their own in `weights`
_ON: Final = 0.5  # an option in a Shape, whatever its number
_UNKNOWN_WIDTH: Final = 64  # assumed for a module without a width
PARAMETRISATIONS: Final = ("standard", "ntk", "mup")
DRAWN: Final = ("key", "rngs")  # arguments of `build` by which a module of Equinox or NNX draws
# Arguments of a linen module's `__call__` that say whether a step calls it, with their values in a step.
MODES: Final = {"train": True, "training": True, "deterministic": False, "use_running_average": False}


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

    def frozen_layers(self) -> frozenset[str]:
        """Name the entries of the parameters that no step changes."""
        return frozenset()

    def words(self) -> str:
        """Describe the network in words."""
        return f"module of width {getattr(self, 'width', '?')}"


def _check_hidden(label: str, value: Any) -> None:
    """Refuse anything but a tuple of whole numbers of at least 1."""
    if not isinstance(value, tuple):
        raise SweepError(f"model.{label} must be a tuple of whole numbers, as in (32, 16), got {value!r}")
    for width in value:
        if isinstance(width, bool) or not isinstance(width, int) or width < 1:
            raise SweepError(f"model.{label} must hold whole numbers of at least 1, got {value!r}")
        check_count(f"model.{label}", width, LARGEST_COUNT)


@dataclass(frozen=True, kw_only=True)
class MLP(Model):
    """A fully connected network, h_{l+1} = s(W_l^T h_l + b_l).

    Args:
        hidden: neurons of each hidden layer, as in (32, 128, 32); None means `depth` layers of `width`. In results and
            on command lines it is written "32-128-32".
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
        parametrisation: how initial weights, products and learning rates depend on the sizes of layers (the table is in
            docs/networks.md). "standard": as above. "ntk" (Jacot et al. 2018): weights have deviation 1, whatever the
            variance of their initialiser, and h_{l+1} = s(W_l^T h_l / sqrt(fan-in) + b_l); parameters, gradients and
            learning rates are in these units. "mup" (Yang et al. 2022, table 3): the best learning rate is the same
            for all large widths. It needs a hidden layer, and an optimiser for which its rates are known.
        base_width: the neurons of hidden layers at which "mup" is "standard"; only "mup" has it.
        omega0: factor in the first hidden layer, s(omega0 (W x + b)), if s is a sine or a cosine: the scale of its
            initial frequencies, as in SIREN.
        frozen: layers that no step changes, as in ("layer_0",); the last one is the output. Optimisers see a gradient
            of 0 there; records have the gradient of the loss.
        layer_norm: whether each hidden layer normalises z = W^T h + b over its neurons, before the factor and s: scale
            (z - mean) / sqrt(variance + 1e-6) + shift (Ba et al. 2016), with `scale`, at first 1, and `shift`, at first
            0, among the layer's parameters. With one input and biases that begin at 0 the first layer begins as a
            step: take bias_initializer="pytorch_uniform".
        residual: whether each hidden layer after the first adds its input, h + s(W^T h + b) (He et al. 2016); it needs
            two hidden layers or more, of one width.
        dropout: probability with which each output of a hidden layer is 0 in a step; the others are divided by 1 minus
            it (Srivastava et al. 2014). Each step draws anew; records have none. None: no
            dropout; 0 gives the same up to rounding.
        fourier_features: number m of random frequencies b, by which inputs x become the 2 m numbers cos(2 pi b x),
            sin(2 pi b x) (Tancik et al. 2020). They are drawn with the weights and never trained.
        fourier_scale: deviation of these frequencies, which are normal.
        hidden_omega: factor in the hidden layers after the first, s(hidden_omega (W h + b)), if s is a sine or a
            cosine; None is 1. The initialiser "siren" divides by it in all layers after the first (Sitzmann et al.
            2020).
        pairs: whether the network consists of two copies that begin the same and are both trained, with the output
            (f(x; t1) - f(x; t2)) / sqrt(2), so that it begins at exactly 0 (Chizat et al. 2019, Zhang et al. 2020).

    Raises:
        SweepError: for an unknown name, a width below 1, a wrong number of initialisers, or what would have no effect.
    """

    functions: ClassVar[Entry] = Entry("sweep.engine.regression.perceptron:perceptron")

    hidden: tuple[int, ...] | None = written(None, COUNTS, check=_check_hidden, units="neurons")
    width: int = count(64, units="neurons")
    depth: int = count(3, at_least=0, units="hidden layers")
    activation: str = choice("tanh", ACTIVATIONS, kind="activation")
    output_activation: str = choice("identity", ACTIVATIONS, kind="activation")
    bias: bool = written(True, TRUTH, check=check_truth)
    output_bias: bool = True
    initializer: str | tuple[str, ...] = choice("lecun_normal", INITIALIZERS, kind="initializer", or_a=tuple)
    bias_initializer: str = choice("zeros", _BIAS_INITIALIZERS, kind="bias initializer")
    initial_scale: float = number(1.0, at_least=0.0)
    bias_scale: float = number(1.0, at_least=0.0)
    omega0: float = number(1.0, above=0.0)
    frozen: tuple[str, ...] = ()
    parametrisation: str = choice("standard", PARAMETRISATIONS, kind="parametrisation")
    base_width: int = count(64, units="neurons")

    layer_norm: bool = False
    residual: bool = False
    dropout: float | None = number(None, at_least=0.0, below=1.0, option=True)
    fourier_features: int | None = count(None, units="frequencies")
    fourier_scale: float = number(1.0, above=0.0)
    hidden_omega: float | None = number(None, above=0.0, option=True)
    pairs: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        names = (self.initializer,) if isinstance(self.initializer, str) else self.initializer
        for name in names:
            if name not in tuple(INITIALIZERS):  # a tuple, since the name may not be hashable
                raise unknown_name("initializer", name, INITIALIZERS)
        layers = len(self.layers()) + 1
        if not isinstance(self.initializer, str) and len(names) != layers:
            raise SweepError(f"model.initializer must name {layers} layers, output included, got {len(names)}")
        if not isinstance(self.frozen, tuple) or not all(isinstance(name, str) for name in self.frozen):
            raise SweepError(f"model.frozen must be a tuple of layers, as ('layer_0',), got {self.frozen!r}")
        for name in self.frozen:
            if name not in self.layer_names():
                raise unknown_name("layer in model.frozen", name, self.layer_names())
        if {*self.frozen} == {*self.layer_names()}:
            raise SweepError("model.frozen names all layers, so that nothing would be trained: leave one out")
        self._refuse_what_has_no_effect()

    def _refuse_what_has_no_effect(self) -> None:
        if self.parametrisation == "mup" and not self.layers():
            raise SweepError(
                "parametrisation 'mup' needs a hidden layer, got none: leave it out, or take a depth above 0"
            )
        if self.parametrisation != "standard" and "siren" in self.initializers():
            raise SweepError(
                f"initializer 'siren' has bounds of its own in each layer, got parametrisation "
                f"{self.parametrisation!r}: leave one of them out"
            )
        for name, needs in _NEEDS.items():
            if getattr(self, name) != getattr(type(self), name) and name not in self.applicable():
                raise SweepError(f"model.{name} needs {needs}, got {getattr(self, name)!r} without: leave it out")
        if self.layer_norm and not 1 <= len(self.layers()) <= _MOST_NORMALISED:
            raise SweepError(
                f"model.layer_norm needs 1 to {_MOST_NORMALISED} hidden layers, got {len(self.layers())}: leave it out"
            )
        if self.residual and (len(self.layers()) < 2 or len({*self.layers()}) > 1):
            raise SweepError(
                f"model.residual needs two hidden layers or more, all of one width, got {self.layers()}: leave it out"
            )

    def layers(self) -> tuple[int, ...]:
        """Give the neurons of each hidden layer."""
        return (self.width,) * self.depth if self.hidden is None else self.hidden

    def layer_names(self) -> tuple[str, ...]:
        """Name the layers, output included."""
        return tuple(f"layer_{at}" for at in range(len(self.layers()) + 1))

    def frozen_layers(self) -> frozenset[str]:
        """Name the layers that no step changes."""
        return frozenset(self.frozen)

    def layer_sizes(self, inputs: int, outputs: int = 1) -> tuple[tuple[int, int], ...]:
        """Give inputs and outputs of each layer, of the Fourier features too, and of both copies of `pairs`."""
        before = ((inputs, 2 * self.fourier_features),) if self.fourier_features else ()
        layers = tuple(pairwise((before[0][1] if before else inputs, *self.layers(), outputs)))
        return before + layers * (2 if self.pairs else 1)

    def count_layers(self) -> int:
        """Count the layers, output included."""
        return len(self.layers()) + 1

    def can_vary(self) -> frozenset[str]:
        """Name `width`, as a narrow network is the corner of a wide one, and what hidden layers of one width allow.

        Networks with a mean over neurons, dropout, features or copies are not padded.
        """
        if self.hidden is not None:
            return frozenset()
        alone = self.layer_norm or self.dropout is not None or self.fourier_features or self.pairs
        sizes = set() if alone else {"width"}
        if not self.depth:
            return frozenset(sizes)
        by_name = isinstance(self.initializer, tuple) or self.frozen  # so that the last layer must keep its place
        depths = set() if by_name or alone else {"depth"}
        return frozenset(sizes | depths | ({"activation"} if self.hidden_omega is None else set()))

    def words(self) -> str:
        """Describe the network in words: "64-64-64 tanh with residual"."""
        words = f"{'-'.join(map(str, self.layers()))} {self.activation}" if self.layers() else "linear"
        extensions = {
            "layer_norm": self.layer_norm,
            "residual": self.residual,
            "dropout": self.dropout is not None,
            f"{self.fourier_features} fourier_features": self.fourier_features is not None,
            "pairs": self.pairs,
            "hidden_omega": self.hidden_omega is not None,
            self.parametrisation: self.parametrisation != "standard",
        }
        used = [name for name, is_used in extensions.items() if is_used]
        return f"{words} with {', '.join(used)}" if used else words

    def biases(self) -> tuple[bool, ...]:
        """Tell which layers have biases, output included."""
        return (self.bias,) * len(self.layers()) + (self.bias and self.output_bias,)

    def initializers(self) -> tuple[str, ...]:
        """Give the initialiser of each layer, output included."""
        if isinstance(self.initializer, str):
            return (self.initializer,) * (len(self.layers()) + 1)
        return self.initializer

    def unused(self) -> frozenset[str]:
        """Name the fields without effect: two if `hidden` is given, and the base of "mup" in other parametrisations."""
        sizes = set() if self.hidden is None else {"width", "depth"}
        return frozenset(sizes | (set() if self.parametrisation == "mup" else {"base_width"}))

    def applicable(self) -> frozenset[str]:
        """Name the knobs; `width` and `depth` have no effect if `hidden` is given, nor has `width` at depth 0."""
        unused = {*self.unused(), *(["hidden"] if self.hidden is None else [])}
        if not self.layers():
            unused |= {"width", "activation"}
        if not self.layers() or not ACTIVATIONS[self.activation].periodic:
            unused.add("omega0")
        if self.hidden_omega is None or not self._takes_hidden_omega():
            unused.add("hidden_omega")
        if self.dropout is None or not self.layers():
            unused.add("dropout")
        if self.fourier_features is None:
            unused |= {"fourier_features", "fourier_scale"}
        if not self.bias:
            unused |= {"bias_scale", "bias_initializer"}
        return super().applicable() - unused

    def _takes_hidden_omega(self) -> bool:
        """Tell whether waves follow waves, or begin with weights that are divided by `hidden_omega`."""
        later = self.initializers()[1:]
        scaled = any(INITIALIZERS[name].by_hidden_omega for name in later)
        return bool(later) and ACTIVATIONS[self.activation].periodic and (len(self.layers()) > 1 or scaled)

    def blanks(self) -> dict[str, Any]:
        """Give the fields that do not decide the code; of an option it counts whether it is on."""
        return super().blanks() | {name: _ON for name in _OPTIONS if getattr(self, name) is not None}


@dataclass(frozen=True, init=False)
class FromModule(OwnNumbers, Model):
    """A network that the page defines, with numbers of its own.

    `FromModule(build, width=64, features=16, slope=0.1)` calls `build(64, features=16, slope=0.1)` inside the program.
    It returns a module of Flax linen, Flax NNX or Equinox (or a module and its state, as `equinox.nn.make_with_state`
    gives them), or two functions, `init(key, x)` and `apply(parameters, x)`, which maps (points, features) to (points,
    outputs); Equinox's modules map one point.

    What a step changes without a gradient, such as batch statistics, is part of a lane's state. Random numbers of a
    step, such as dropout, are new at each step; a record draws none. So a linen module whose `__call__` takes one of
    `MODES` is told by it whether a step calls it; NNX and Equinox have modes of their own; and `apply(parameters, x,
    key)` gets None for the key in a record.

    Args:
        build: returns the network. Import its framework inside it, so that the page loads without JAX. If it takes
            `rngs` (NNX) or `key` (Equinox), it gets them, to draw from.
        width: the first argument of `build`, if it takes one that is not in `numbers`; each width is a separate block,
            never padded.
        initial_scale: factor on all initial parameters.
        numbers: the same as `**more`, as a mapping.
        static: names of numbers that decide which code runs, so that they arrive as they are.
        **more: what else `build` is called with; each is a knob. A number with a decimal point arrives as a traced
            array of the page's precision: use it in arithmetic, not in an `if`. A whole number, a text and what
            `static` names arrive as they are, and each value is a block.

    Raises:
        SweepError: for something that is no function, numbers that `build` does not take, a name that is already used,
            or another kind of value.
    """

    functions: ClassVar[Entry] = Entry("sweep.engine.regression.modules:from_module")

    build: Callable[..., Any]
    width: int = count(64, units="neurons")
    initial_scale: float = number(1.0, at_least=0.0)
    numbers: Mapping[str, float | int | str] = field(default_factory=dict, hash=False)
    static: tuple[str, ...] = ()

    def __init__(
        self,
        build: Callable[..., Any],
        *,
        width: int = 64,
        initial_scale: float = 1.0,
        numbers: Mapping[str, Any] | None = None,
        static: Sequence[str] = (),
        **more: Any,
    ) -> None:
        given = merge("FromModule", numbers, more)
        values = {"build": build, "width": width, "initial_scale": initial_scale, "numbers": given, "static": static}
        for name, value in values.items():
            object.__setattr__(self, name, value)
        self.__post_init__()

    def __post_init__(self) -> None:
        super().__post_init__()
        if not callable(self.build):
            raise SweepError(f"build of FromModule must be a function of the width, got {self.build!r}")
        if is_of(self.build, "flax", "equinox"):
            raise SweepError(
                f"build of FromModule must be a function that returns a module, got the module "
                f"{type(self.build).__name__} itself: give a function that makes it"
            )
        check_own("FromModule", self.numbers, [*DRAWN, *(each.name for each in fields(self))])
        check_static("FromModule", self.static, self.numbers)
        self._check_call()

    def _check_call(self) -> None:
        """Refuse numbers that `build` does not take."""
        taken = parameters_of(self.build)
        if taken is None:
            return
        for name in self.numbers:
            if name not in taken:
                raise unknown_name(f"argument of {name_of(self.build)}", name, taken)
        needed = {name for name, each in taken.items() if each.default is each.empty} - {*DRAWN}
        if missing := sorted(needed - {*self.numbers, *list(taken)[: self.takes_width()]}):
            raise SweepError(f"{name_of(self.build)!r}, which builds the module, needs {', '.join(missing)}: give it")

    def takes_width(self) -> bool:
        """Tell whether `width` is the first argument of `build`: if it has that name, or has no other value."""
        taken = parameters_of(self.build)
        if taken is None:
            return True
        first = next((each for name, each in taken.items() if name not in DRAWN), None)
        return first is not None and (
            first.name == "width" or (first.name not in self.numbers and first.default is first.empty)
        )

    def drawn_by(self) -> frozenset[str]:
        """Name the sources of random numbers that `build` takes."""
        return frozenset(parameters_of(self.build) or ()) & {*DRAWN}

    def words(self) -> str:
        """Describe the network in words."""
        return f"module of width {self.width}" if self.takes_width() else f"module {name_of(self.build)}"

    def applicable(self) -> frozenset[str]:
        """Name its knobs; `width` only if `build` takes it."""
        return super().applicable().difference(() if self.takes_width() else ("width",))


def is_of(thing: Any, *packages: str) -> bool:
    """Tell whether the class of something, or one that it extends, is of a package, without importing it."""
    return any(base.__module__.partition(".")[0] in packages for base in type(thing).__mro__)
