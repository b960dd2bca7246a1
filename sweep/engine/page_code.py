"""Code of a page inside a program: its errors in one line, its numbers as it takes them, what it must not change."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from sweep.base.errors import SweepError, blame

_KINDS: Final = {"f": "floats", "i": "whole numbers", "u": "whole numbers", "b": "booleans"}


@contextmanager
def explain(culprit: str, spec: str, traced: list[str]) -> Iterator[None]:
    """Turn what the page's code raises into one line.

    Args:
        culprit: the words for it, as "the module of 'net'".
        spec: the class that has its numbers, which can be static there.
        traced: the names of its traced numbers.

    Raises:
        SweepError: in place of any other exception.
    """
    try:
        with blame(culprit):
            yield
    except SweepError as error:
        if isinstance(error.__cause__, jax.errors.ConcretizationTypeError) and traced:
            raise SweepError(
                f"{culprit} decides by something that is traced, as {' and '.join(traced)} may be: use it in "
                f"arithmetic, jnp.where or jax.lax.cond, or name a number in {spec}(static=...)"
            ) from error
        raise


def numbers_for(
    values: Mapping[str, Any], numbers: Mapping[str, Array], traced: list[str], dtype: Any
) -> dict[str, Any]:
    """Give the numbers of a page's own as its code takes them: traced ones as arrays, the others as they are.

    Args:
        values: as the spec has them.
        numbers: the lane's traced numbers.
        traced: the names of those of the page.
        dtype: precision of the traced ones.
    """
    return {name: numbers[name].astype(dtype) if name in traced else value for name, value in values.items()}


def in_precision(given: Any, dtype: Any) -> Array:
    """Convert a float to the precision of the run; of anything else make an array."""
    leaf = jnp.asarray(given)
    return leaf.astype(dtype) if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf


def same_form(what: str, before: Any, after: Any) -> Any:
    """Give a new pytree the types of the one before.

    Args:
        what: the words for what changes it, as "step of FromTraining changes the state".
        before: a pytree of arrays.
        after: what must be the same, with other numbers.

    Raises:
        SweepError: for another structure, shape or kind of number.
    """
    after = jax.tree.map(jnp.asarray, after)
    was, now = _forms(before), _forms(after)
    for name in [*was, *now]:
        if was.get(name) != now.get(name):
            forms = [each.get(name, "nothing") for each in (was, now)]
            raise SweepError(
                f"{what}{' at ' + name if name else ''} from {forms[0]} to {forms[1]}: keep structure, shapes and "
                f"kinds of numbers"
            )
    for name, old, new in zip(was, jax.tree.leaves(before), jax.tree.leaves(after), strict=True):
        if old.dtype.kind in "iu" and not np.can_cast(new.dtype, old.dtype):
            raise SweepError(
                f"{what}{' at ' + name if name else ''} from {old.dtype} to {new.dtype}, which it may not hold: "
                f"convert it"
            )
    leaves = zip(jax.tree.leaves(before), jax.tree.leaves(after), strict=True)
    return jax.tree.unflatten(jax.tree.structure(before), [new.astype(old.dtype) for old, new in leaves])


def _forms(tree: Any) -> dict[str, str]:
    """Describe each array by its path."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {
        jax.tree_util.keystr(path): f"{_KINDS.get(np.dtype(leaf.dtype).kind, leaf.dtype)} of shape {jnp.shape(leaf)}"
        for path, leaf in leaves
    }
