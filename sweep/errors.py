"""The one exception and the one warning that a user sees, and the suggestion that goes with an unknown name."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches


class SweepError(Exception):
    """Bad input, refused: the message is one line that names the thing, the value got and the fix.

    The doors print it without a traceback and leave with exit code 2.
    """


class SweepWarning(UserWarning):
    """Something that whoever runs sweep should know; commands show it as one line, "note: ..."."""


def unknown(kind: str, name: object, known: Iterable[str]) -> SweepError:
    """Build the error for a name nobody knows, with the nearest known names.

    Args:
        kind: what the name was meant to be, such as "activation".
        name: the name got.
        known: the names that would have been right.

    Returns:
        A `SweepError` to raise, for example "unknown activation 'tanhh': did you mean 'tanh'?".
    """
    names = sorted(known)
    near = get_close_matches(str(name), names, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(names) or 'none'}"
    return SweepError(f"unknown {kind} {name!r}: {hint}")


@contextmanager
def blaming(culprit: str) -> Iterator[None]:
    """Turn whatever a function of the page's own raises into one line that names it.

    Args:
        culprit: what is called, such as "metric 'overshoot'".

    Raises:
        SweepError: in place of any other exception.
    """
    try:
        yield
    except SweepError:
        raise
    except Exception as error:
        told = next(iter(str(error).splitlines()), "")
        raise SweepError(f"{culprit} raised {type(error).__name__}: {told}") from error


def called(function: object) -> str:
    """Give the name by which a page knows a function: its own, or that of its kind where it has none."""
    return getattr(function, "__name__", None) or type(function).__name__
