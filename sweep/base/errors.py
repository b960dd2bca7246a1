"""The one exception and the one warning that a user sees, and the suggestion that goes with an unknown name."""

import errno
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from difflib import get_close_matches
from typing import Final

# What an OSError says of a place that takes no more, which is no fault of a command, and what its user can do.
UNWRITABLE: Final = {
    errno.ENOSPC: "make room there",
    errno.EDQUOT: "make room there",
    errno.EROFS: "have it made writable, or work in a folder that is",
}
_TYPO: Final = 0.75  # likeness of two names (`difflib`), below which the one is no slip of the other


class SweepError(Exception):
    """Bad input, refused: the message is one line that names the thing, the value got and the fix.

    The commands print it without a traceback and leave with exit code 2.
    """


class SweepWarning(UserWarning):
    """Something that whoever runs sweep should know; commands show it as one line, "note: ..."."""


def unknown(kind: str, name: object, known: Iterable[str]) -> SweepError:
    """Build the error for a name nobody knows, with the one that was mistyped, or all there are.

    A name is only suggested where the one got is a slip of it, with few other letters or the same in another order:
    "muon" is no "lion".

    Args:
        kind: what the name was meant to be, such as "activation".
        name: the name got.
        known: the names that would have been right.

    Returns:
        A `SweepError` to raise, for example "unknown activation 'tahn': did you mean 'tanh'?".
    """
    names, got = sorted(known), str(name)
    near = get_close_matches(got, names, n=1, cutoff=_TYPO) or [each for each in names if sorted(each) == sorted(got)]
    hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(names) or 'none'}"
    return SweepError(f"unknown {kind} {name!r}: {hint}")


def article(noun: str) -> str:
    """Give a noun with its article: "an Optimizer"."""
    return f"{'an' if noun[:1] in 'AEIOUaeiou' or noun[:3] == 'MLP' else 'a'} {noun}"


@contextmanager
def convert_errors(convert: Callable[[Exception], SweepError]) -> Iterator[None]:
    """Replace an exception that is raised within by the line that a user sees.

    Args:
        convert: builds that error from the exception. A `SweepError` passes as it is and is not given to it.

    Raises:
        SweepError: in place of any other exception.
    """
    try:
        yield
    except SweepError:
        raise
    except Exception as error:
        raise convert(error) from error


def blaming(culprit: str) -> AbstractContextManager[None]:
    """Turn whatever a function of the page's own raises into one line that names it.

    Args:
        culprit: what is called, such as "metric 'overshoot'".

    Raises:
        SweepError: in place of any other exception.
    """

    def convert(error: Exception) -> SweepError:
        message = next(iter(str(error).splitlines()), "")
        return SweepError(f"{culprit} raised {type(error).__name__}: {message}")

    return convert_errors(convert)


def name_of(function: object) -> str:
    """Give the name by which a page knows a function: its own, or that of its kind where it has none."""
    return getattr(function, "__name__", None) or type(function).__name__
