"""The optimisers that have a name, their options, and the schedules of their learning rate."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar, Final, Self

from sweep.base.errors import SweepError
from sweep.base.registry import Entry
from sweep.page.specs.knobs import Bounds, Knob, check_number, choice, count, knobs_of, number
from sweep.page.specs.update_rule import UpdateRule

# Options of optimisers, each off unless given.
OPTIONS: Final = frozenset({"accumulate", "average", "clip_norm", "coupled_decay", "decoupled_decay", "layer_rates"})


@dataclass(frozen=True, kw_only=True)
class Numbered(Entry):
    """A form of schedule, or an optimiser, with its numbers.

    Args:
        numbers: the numbers that it takes besides the learning rate, with their defaults: those of optax if it has any.
    """

    numbers: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class Method(Numbered):
    """An optimiser: a function of (learning rate or schedule, numbers, the fields of `structure`).

    Args:
        structure: fields of `Optimizer` that decide its code.
        options: which of `OPTIONS` it takes.
        scheduled: whether it has a learning rate.
        by_array: whether its steps depend on which array of the parameters an entry is in. All others see the
            parameters as one vector, on which a step is a few operations.
        can_be_padded: whether an entry whose gradients are all 0 stays 0, and steps do not depend on arrays' sizes.
        arrays: how many arrays of the parameters' size a step uses, the parameters and their gradient included.
        gradients: how many gradients a step computes, roughly.
        degree: d, if c times all gradients make each entry's steps c^d times as large, from the first step on: 1 in
            proportion, 0 whatever their size (where it is well above epsilon). None if that holds of no d, if an
            entry's steps depend on other entries, or if nothing may multiply them. The rates of parametrisation "mup"
            depend on it.
    """

    structure: tuple[str, ...] = ()
    options: frozenset[str] = OPTIONS
    scheduled: bool = True
    by_array: bool = False
    can_be_padded: bool = True
    arrays: int = 4
    gradients: int = 1
    degree: int | None = None


_HERE: Final = "sweep.engine.regression"
_ADAM: Final = {"beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8}
_DECAYED: Final = ("decay_biases",)
MEMORY_SIZE: Final = 10
OPTIMIZERS: Final[dict[str, Method]] = {
    "sgd": Method(
        f"{_HERE}.optimizers:sgd", numbers={"momentum": 0.0, "weight_decay": 0.0}, structure=_DECAYED, degree=1
    ),
    "adam": Method(f"{_HERE}.optimizers:adam", numbers=_ADAM, degree=0),
    "adamw": Method(
        f"{_HERE}.optimizers:adamw", numbers={**_ADAM, "weight_decay": 1e-4}, structure=_DECAYED, degree=0
    ),
    "nadam": Method(f"{_HERE}.optimizers:nadam", numbers=_ADAM, degree=0),
    "rmsprop": Method(f"{_HERE}.optimizers:rmsprop", numbers={"decay": 0.9, "epsilon": 1e-8}, degree=0),
    # Of no degree: optax's begins at a mean square of 0.1, beside which small gradients do not count.
    "adagrad": Method(f"{_HERE}.optimizers:adagrad", numbers={"epsilon": 1e-7}),
    "lion": Method(
        f"{_HERE}.optimizers:lion", numbers={"beta1": 0.9, "beta2": 0.99, "weight_decay": 1e-3}, structure=_DECAYED,
        degree=0,
    ),
    "nesterov": Method(
        f"{_HERE}.optimizers:nesterov", numbers={"momentum": 0.9, "weight_decay": 0.0}, structure=_DECAYED,
        degree=1,
    ),
    "adamax": Method(f"{_HERE}.optimizers:adamax", numbers=_ADAM, degree=0),
    # Of no degree: its first steps are in proportion to gradients, later ones are not.
    "radam": Method(f"{_HERE}.optimizers:radam", numbers=_ADAM),
    "amsgrad": Method(f"{_HERE}.optimizers:amsgrad", numbers=_ADAM, arrays=5, degree=0),
    "adadelta": Method(f"{_HERE}.optimizers:adadelta", numbers={"decay": 0.9, "epsilon": 1e-6}, degree=0),
    "yogi": Method(  # optax begins its moments at 1e-6, which moves entries without gradients
        f"{_HERE}.optimizers:yogi", numbers={**_ADAM, "epsilon": 1e-3}, can_be_padded=False
    ),
    "lamb": Method(
        f"{_HERE}.optimizers:lamb", numbers={**_ADAM, "epsilon": 1e-6, "weight_decay": 0.0}, structure=_DECAYED,
        by_array=True,
    ),
    "muon": Method(
        f"{_HERE}.optimizers:muon", numbers={**_ADAM, "momentum": 0.95, "weight_decay": 0.0}, structure=_DECAYED,
        by_array=True, can_be_padded=False,
    ),
    "schedule_free_adamw": Method(
        f"{_HERE}.optimizers:schedule_free_adamw", numbers={**_ADAM, "weight_decay": 0.0}, structure=_DECAYED,
        options=frozenset({"accumulate", "clip_norm", "coupled_decay"}),
    ),
    "sam": Method(
        f"{_HERE}.optimizers:sam", numbers={"momentum": 0.0, "rho": 0.05, "weight_decay": 0.0}, structure=_DECAYED,
        gradients=2,
    ),
    "lbfgs": Method(
        f"{_HERE}.optimizers:lbfgs", numbers={}, structure=("memory_size",), options=frozenset({"average"}),
        scheduled=False, arrays=6, gradients=3,
    ),
}  # fmt: skip
# Each maps (numbers, steps of the training) to a learning rate, or to a function from the steps taken to it.
SCHEDULES: Final[dict[str, Numbered]] = {
    "constant": Numbered(f"{_HERE}.schedules:constant", numbers={}),
    "linear": Numbered(f"{_HERE}.schedules:linear", numbers={"final_fraction": 0.0}),
    "cosine": Numbered(f"{_HERE}.schedules:cosine", numbers={"final_fraction": 0.0}),
    "exponential": Numbered(f"{_HERE}.schedules:exponential", numbers={"final_fraction": 0.01}),
    "warmup_cosine": Numbered(f"{_HERE}.schedules:warmup_cosine", numbers={"final_fraction": 0.0}),
    "piecewise": Numbered(f"{_HERE}.schedules:piecewise", numbers={"boundary_factor": 0.1}),
    "one_cycle": Numbered(
        f"{_HERE}.schedules:one_cycle", numbers={"warmup": 0.3, "initial_fraction": 0.04, "final_fraction": 4e-6}
    ),
}
BOUNDARIES: Final = (0.5, 0.75)
# Fields that hold several numbers, each of which is a knob: `layer_rates_0`.
_SEVERAL: Final[dict[str, Bounds]] = {"layer_rates": {"at_least": 0.0}, "boundaries": {"above": 0.0, "below": 1.0}}
DECAYS: Final = ("weight_decay", "coupled_decay", "decoupled_decay")
_ON: Final = 1.0  # an option in a Shape, whatever its number


@dataclass(frozen=True)
class Optimizer(UpdateRule):
    """An optax optimiser and its numbers; a number that is None has the optimiser's default.

    A gradient g of the loss at parameters p becomes a step in this order: g is averaged over `accumulate` steps, scaled
    to `clip_norm`, increased by `coupled_decay` p, and given to the optimiser; its step is increased by -rate
    `decoupled_decay` p and multiplied by the layer's factor of `layer_rates`. So the optimiser's own `weight_decay`
    is what optax defines: with "sgd", "nesterov" and "sam" coupled, otherwise decoupled; the two other decays are what
    they are called with any optimiser. "adam" with `coupled_decay` is PyTorch's Adam with weight_decay.

    Args:
        name: one of `OPTIMIZERS`. Sources: "nesterov" is PyTorch's form, b <- momentum b + g, p <- p - rate (g +
            momentum b); "adamax", "radam", "amsgrad", "adadelta", "yogi", "lamb" and "muon" are optax's, the last for
            matrices, with Adam for biases; "schedule_free_adamw" (Defazio et al. 2024) trains one point and is
            measured at another, x; "sam" (Foret et al. 2021) is gradient descent by the gradient at p + rho g / |g|;
            "lbfgs" is optax's with its zoom line search, and has no learning rate.
        learning_rate: step size, or its peak if a schedule changes it.
        momentum: heavy-ball momentum of "sgd" and "sam", Nesterov's of "nesterov", decay rate of the gradient in
            "muon".
        weight_decay: coupled L2 decay (added to the gradient, as PyTorch does) for "sgd", "nesterov" and "sam",
            decoupled otherwise.
        beta1, beta2: decay rates of the moment estimates; in "muon" of those for biases.
        epsilon: added to the denominator.
        decay: decay rate of the squared gradient in "rmsprop" and "adadelta".
        schedule: form of the learning rate over the training, one of `SCHEDULES`.
        final_fraction: the final learning rate divided by the peak.
        rho: distance at which "sam" takes its gradient.
        memory_size: number of steps of which "lbfgs" keeps the differences.
        initial_fraction: the first learning rate divided by the peak, in "one_cycle".
        boundaries: shares of the training after which "piecewise" multiplies the learning rate, by default 0.5 and
            0.75; their knobs are `boundaries_0`, ...
        boundary_factor: by how much it does.
        warmup: share of the training in which the learning rate first rises from 0, in a straight line; the schedule
            takes the rest. In "one_cycle" the share of its rise.
        clip_norm: Euclidean norm of the whole gradient above which it is scaled down to it.
        coupled_decay: times the parameters, added to the gradient.
        decoupled_decay: times the learning rate and the parameters, subtracted from the parameters.
        decay_biases: whether decays of weights are those of biases, too: of arrays of one dimension.
        layer_rates: factor on the learning rate for each layer, input first; its knobs are `layer_rates_0`, ...
        accumulate: number of steps of which gradients are averaged before the parameters change, once.
        average: d of the moving average e <- d e + (1 - d) p of the parameters, which begins at the initial ones; its
            loss is recorded as `average_loss`.

    Raises:
        SweepError: for an unknown name, a number out of range, or a number that this optimiser does not take.
    """

    rule: ClassVar[Entry] = Entry(f"{_HERE}.rules:built_in")

    name: str = choice("adam", OPTIMIZERS, kind="optimizer", name="optimizer")
    learning_rate: float = number(1e-3, above=0.0)
    momentum: float | None = number(None, at_least=0.0, below=1.0)
    weight_decay: float | None = number(None, at_least=0.0)
    beta1: float | None = number(None, at_least=0.0, below=1.0)
    beta2: float | None = number(None, at_least=0.0, below=1.0)
    epsilon: float | None = number(None, above=0.0)
    decay: float | None = number(None, at_least=0.0, below=1.0)
    schedule: str = choice("constant", SCHEDULES, kind="schedule")
    final_fraction: float | None = number(None, at_least=0.0)
    rho: float | None = number(None, at_least=0.0)
    memory_size: int | None = count(None, units="steps")
    initial_fraction: float | None = number(None, at_least=0.0)
    boundaries: tuple[float, ...] | None = None
    boundary_factor: float | None = number(None, above=0.0)
    warmup: float | None = number(None, option=True, at_least=0.0, below=1.0)
    clip_norm: float | None = number(None, option=True, above=0.0)
    coupled_decay: float | None = number(None, option=True, at_least=0.0)
    decoupled_decay: float | None = number(None, option=True, at_least=0.0)
    decay_biases: bool = True
    layer_rates: tuple[float, ...] | None = None
    accumulate: int = count(1, units="steps")
    average: float | None = number(None, at_least=0.0, below=1.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, bounds in _SEVERAL.items():
            _check_several(name, getattr(self, name), bounds)
        if self.schedule == "exponential" and self.final_fraction == 0:
            raise SweepError("final_fraction must be greater than 0 with schedule 'exponential', which never reaches 0")
        if self.name == "schedule_free_adamw" and self.beta1 == 0:
            raise SweepError("beta1 must be greater than 0 with optimizer 'schedule_free_adamw', which divides by it")
        knobs = {name: knob.attribute for name, knob in knobs_of(type(self)).items()}
        fields = knobs | {name: name for name in _SEVERAL}
        for name in sorted(set(fields) - self.applicable() - self._several()):
            value = getattr(self, fields[name])
            if value != getattr(type(self), fields[name]):
                raise SweepError(self._refusal(name, value))

    def _refusal(self, name: str, value: Any) -> str:
        numbers = ", ".join(sorted(self._defaults().keys() | self._structure())) or "only learning_rate"
        options = ", ".join(sorted(self._options()))
        return (
            f"optimizer {self.name!r} with schedule {self.schedule!r} takes no {name}, got {value!r}: it takes "
            f"{numbers}, and the option{'s' if ',' in options else ''} {options}"
        )

    @property
    def method(self) -> Method:
        """The declaration of the optimiser."""
        return OPTIMIZERS[self.name]

    def words(self) -> str:
        """Name the optimiser."""
        return self.name

    def averages(self) -> bool:
        """Tell whether a moving average is kept."""
        return self.average is not None

    def can_be_padded(self) -> bool:
        """Tell whether dead entries stay 0, and steps of the others are those of the smaller arrays."""
        return self.method.can_be_padded

    def arrays(self) -> int:
        """Count the arrays of the parameters' size that a step uses, the parameters and their gradient included."""
        memory = 2 * self.knob_value("memory_size") if "memory_size" in self._structure() else 0
        return self.method.arrays + memory + self.averages() + (self.accumulate > 1)

    def gradients(self) -> int:
        """Count the gradients that a step computes, roughly."""
        return self.method.gradients

    def degree(self) -> int | None:
        """Give the power of the gradient's size with which steps grow, None where steps have no such law."""
        return self.method.degree

    def takes_any_derivative(self) -> bool:
        """Return False: all of them take only gradients."""
        return False

    def applicable(self) -> frozenset[str]:
        """Name the knobs that this optimiser and schedule take, of the options those that are on."""
        on = {name for name in self._options() & knobs_of(type(self)).keys() if getattr(self, name) is not None}
        entries = {f"{name}_{at}" for name in self._several() for at in range(len(self.several(name)))}
        rate = {"learning_rate", "schedule"} if self.method.scheduled else set()
        return frozenset({"optimizer"} | rate | self._defaults().keys() | self._structure() | on | entries)

    def structure(self) -> dict[str, Any]:
        """Give the fields that decide the optimiser's code."""
        knobs = self.own_knobs()
        return {name: self.knob_value(name) if name in knobs else getattr(self, name) for name in self.method.structure}

    def default(self, name: str) -> float | None:
        """Give the default of a number, None if it does not apply."""
        return MEMORY_SIZE if name in self._structure() else self._defaults().get(name)

    def several(self, name: str) -> tuple[float, ...]:
        """Give the numbers of `layer_rates` or `boundaries`."""
        return getattr(self, name) or (BOUNDARIES if name == "boundaries" else ())

    def own_knobs(self) -> dict[str, Knob]:
        """List the knobs of the class, and one for each entry of `layer_rates` and `boundaries`."""
        found = knobs_of(type(self))
        for several, bounds in _SEVERAL.items():
            for at in range(len(self.several(several))):
                name = f"{several}_{at}"
                found[name] = Knob(name, name, True, "1", partial(check_number, bounds, name))
        return found

    def knob_value(self, name: str) -> Any:
        """Give the value of a knob where no axis sweeps it; that of a number which is None is its default."""
        several, _, at = name.rpartition("_")
        if several in _SEVERAL:
            return self.several(several)[int(at)]
        value = super().knob_value(name)
        return self.default(name) if value is None else value

    def with_knobs(self, values: Mapping[str, Any]) -> Self:
        """Return it with other values for some knobs."""
        entries = {name: value for name, value in values.items() if name.rpartition("_")[0] in _SEVERAL}
        changed = super().with_knobs({name: value for name, value in values.items() if name not in entries})
        for name, value in entries.items():
            several, _, at = name.rpartition("_")
            numbers = list(changed.several(several))
            numbers[int(at)] = value
            changed = replace(changed, **{several: tuple(numbers)})
        return changed

    def unused(self) -> frozenset[str]:
        """Name `decay_biases` if nothing decays."""
        return frozenset() if {*DECAYS} & self.applicable() else frozenset({"decay_biases"})

    def blanks(self) -> dict[str, Any]:
        """Give the fields that do not decide the code; of an option that is on it counts that it is."""
        on = {name for name in self.applicable() - self._defaults().keys() if name in self._options()}
        several = {name: (_ON,) * len(self.several(name)) if name in self._several() else None for name in _SEVERAL}
        counts = {name: self.knob_value(name) for name in self._structure()}
        return super().blanks() | several | counts | dict.fromkeys(on - {"accumulate"}, _ON)

    def _defaults(self) -> dict[str, float]:
        return {**self.method.numbers, **(SCHEDULES[self.schedule].numbers if self.method.scheduled else {})}

    def _structure(self) -> set[str]:
        """Name the counts of the optimiser."""
        return {"memory_size"} & set(self.method.structure)

    def _options(self) -> set[str]:
        """Name the options that the optimiser and the schedule take, on or off."""
        warms = self.method.scheduled and "warmup" not in SCHEDULES[self.schedule].numbers
        return set(self.method.options) | ({"warmup"} if warms else set())

    def _several(self) -> set[str]:
        """Name the fields of several numbers that have an effect."""
        layers = {"layer_rates"} if "layer_rates" in self._options() and self.layer_rates is not None else set()
        return layers | ({"boundaries"} if self.method.scheduled and self.schedule == "piecewise" else set())


def _check_several(name: str, values: Any, bounds: Bounds) -> None:
    if values is None:
        return
    if not isinstance(values, tuple) or not values:
        raise SweepError(f"{name} must hold a number or more, as in (1, 0.5), got {values!r}")
    for at, value in enumerate(values):
        check_number(bounds, f"{name}[{at}]", value)
