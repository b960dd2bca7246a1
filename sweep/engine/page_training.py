"""A training that the page defines: its functions, checked and called with the numbers and keys of a lane."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int

from sweep.base.errors import SweepError, name_of
from sweep.base.labels import METRICS, SEEDS, Quantity
from sweep.engine.keys import Keys, stream
from sweep.engine.numerics import standard_settings
from sweep.engine.operations import operations_of
from sweep.engine.page_code import explain, in_precision, numbers_for, same_form
from sweep.engine.training import Cost, Numbers, ShapeTraining
from sweep.page.identity import describe
from sweep.page.shape import Shape
from sweep.page.specs.training import LOSS, FromTraining

_PASSES: Final = 2  # over the state in a step: read and written


@dataclass(frozen=True)
class PageTraining(ShapeTraining):
    """The training of the lanes of one Shape whose page has a training of its own.

    Args:
        shape: what decides their code.
    """

    shape: Shape

    @property
    def spec(self) -> FromTraining:
        """The functions, and the numbers that decide their code."""
        assert self.shape.training is not None
        return self.shape.training

    def quantities(self) -> tuple[Quantity, ...]:
        """List the loss and the metrics of the page."""
        return METRICS[LOSS], *(metric.quantity() for metric in self.spec.metrics)

    def dimensions(self) -> Mapping[str, Any]:
        """Return the dimensions of the metrics."""
        return {name: dim.coordinate() for name, dim in self.spec.dimensions().items()}

    def cost(self) -> Cost:
        """Count the operations of a step, by tracing it."""
        return _cost(self)

    def words(self) -> str:
        """Name the function that takes a step."""
        return self.spec.words()

    def description(self) -> Any:
        """Give the numbers that decide the code."""
        return {"kind": "FromTraining", "numbers": describe(self.spec.numbers)}

    def begin(self, keys: Keys, numbers: Numbers, shared: Any) -> tuple[Any, tuple[()]]:
        """Make the initial state."""
        made = self._call("begin", (), numbers, key=keys.weights, data_key=keys.data)
        return _as_state("begin", made, self.precision), ()

    def step(
        self, state: Any, data: Any, shared: Any, numbers: Numbers, step: Int[Array, ""]
    ) -> tuple[Any, Bool[Array, ""]]:
        """Take one step; whether what it computed was finite, its state tells."""
        key = jax.random.fold_in(stream(numbers["seed"], "network"), step)
        made = _as_state("step", self._call("step", (state,), numbers, key=key, step=step), self.precision)
        return same_form("step of FromTraining changes the state", state, made), jnp.bool_(True)

    def must_be_finite(self, state: Any) -> Any:
        """Return the floats."""
        return [leaf for leaf in jax.tree.leaves(state) if jnp.issubdtype(leaf.dtype, jnp.floating)]

    def parameters(self, state: Any) -> Any:
        """Return the state."""
        return state

    def with_parameters(self, state: Any, parameters: Any) -> Any:
        """Return another state."""
        return parameters

    def measure(
        self, state: Any, data: Any, shared: Any, numbers: Numbers, step: Int[Array, ""]
    ) -> tuple[dict[str, Array], Bool[Array, ""]]:
        """Measure the loss and the metrics; a lane whose loss is not finite is lost."""
        found = self._call("measure", (state,), numbers, step=step)
        wanted = [each.name for each in self.quantities()]
        if not isinstance(found, Mapping) or {*found} != {*wanted}:
            got = ", ".join(map(repr, found)) if isinstance(found, Mapping) else type(found).__name__
            raise SweepError(f"measure of FromTraining must return a dict of {', '.join(map(repr, wanted))}, got {got}")
        values = {name: _as_number(name, found[name], self.precision) for name in wanted}
        must = [values[LOSS], *self.must_be_finite(state)]  # a state that begins so, no step has looked at
        return values, jnp.stack([jnp.isfinite(leaf).all() for leaf in must]).all()

    def _call(self, name: str, first: tuple[Any, ...], numbers: Numbers, **given: Any) -> Any:
        """Call a function of the page with what it has arguments for."""
        spec, function, traced = self.spec, getattr(self.spec, name), self.spec.traced()
        own = numbers_for(spec.numbers, numbers, traced, self.precision)
        taken = spec.arguments(name)
        handed = {key: value for key, value in (given | own).items() if taken is None or key in taken}
        concerned = [key for key in traced if key in handed] + ["the state"] * bool(first)
        with explain(f"{name_of(function)!r}, the {name} of FromTraining,", "FromTraining", concerned):
            return function(*first, **handed)


@lru_cache(maxsize=256)
def _cost(training: PageTraining) -> Cost:
    names = [*SEEDS, *training.spec.traced()]
    with standard_settings(training.precision):
        whole, real = jnp.uint32, np.dtype(training.precision)
        numbers = {n: jax.ShapeDtypeStruct((), whole if n in SEEDS else real) for n in names}
        state = jax.eval_shape(lambda numbers: training.begin(Keys.of(numbers), numbers, ())[0], numbers)
        found = operations_of(
            lambda state, numbers, step: training.step(state, (), (), numbers, step)[0],
            state, numbers, jax.ShapeDtypeStruct((), jnp.int32),
        )  # fmt: skip
    size = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(state))
    return Cost(found.products, max(1.0, found.functions), max(1.0, _PASSES * size + found.bytes), layers=1)


def _as_state(name: str, made: Any, precision: str) -> Any:
    """Give a state of arrays, floats in the precision of the run.

    Args:
        name: of the function of the page that made it.
        made: what it returned.
        precision: of the run.

    Raises:
        SweepError: for a leaf that is no array of numbers.
    """
    leaves, structure = jax.tree_util.tree_flatten_with_path(made)
    if not leaves:
        raise SweepError(f"{name} of FromTraining must return the state, a pytree of arrays, got {made!r}")
    return structure.unflatten([_as_leaf(jax.tree_util.keystr(path), leaf, precision) for path, leaf in leaves])


def _as_leaf(name: str, leaf: Any, precision: str) -> Array:
    where = f"the state of FromTraining{' at ' + name if name else ''}"
    if hasattr(leaf, "dtype") and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        raise SweepError(f"{where} is a random key, which no store keeps: take the argument key, new at each step")
    array = _as_array(where, leaf)
    if jnp.iscomplexobj(array):
        raise SweepError(f"{where} must be real, got complex numbers: keep two arrays")
    if not array.size:
        raise SweepError(f"{where} is an empty array: leave it out")
    return in_precision(array, precision)


def _as_array(what: str, given: Any) -> Array:
    """Give an array of numbers.

    Raises:
        SweepError: for anything else, and for a whole number that its type does not hold.
    """
    try:
        array = jnp.asarray(given)
    except (TypeError, ValueError, OverflowError) as error:
        raise SweepError(f"{what} must be an array of numbers, got {type(given).__name__}: {error}") from error
    if np.dtype(array.dtype).kind not in "fiubc" and not jnp.issubdtype(array.dtype, jnp.floating):
        raise SweepError(f"{what} must be an array of numbers, got one of {array.dtype}")
    if (
        isinstance(given, np.ndarray | np.generic)
        and array.dtype.kind in "iu"
        and (np.asarray(given).astype(array.dtype) != given).any()
    ):
        raise SweepError(f"{what} has a whole number that {array.dtype} does not hold: take precision='float64'")
    return array


def _as_number(name: str, value: Any, precision: str) -> Array:
    """Give a measured value in the precision of the run."""
    array = _as_array(f"{name!r} that measure returns", value)
    if jnp.iscomplexobj(array):
        raise SweepError(f"{name!r} that measure returns must be real numbers, got complex ones: take jnp.abs")
    return array.astype(precision)
