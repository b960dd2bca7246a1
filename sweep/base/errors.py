"""The one exception and the one warning that a user sees, and the suggestion that goes with an unknown name."""

import errno
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from difflib import get_close_matches
from typing import Any, Final

# What the user can do where a place can't be written, by the number of the OSError.
REMEDIES: Final = {
    errno.ENOSPC: "free space there",
    errno.EDQUOT: "free space there",
    errno.EROFS: "make it writable, or work in a folder that is",
}
_TYPO: Final = 0.75  # similarity of two names (`difflib`); below it one is no misspelling of the other


class SweepError(Exception):
    """Bad input: the message is one line that names the thing, the value received and the fix.

    The commands print it without a traceback and end with exit code 2.
    """

    code = 2


class SweepWarning(UserWarning):
    """Something that the user should know; commands show it as one line, "note: ..."."""


def unknown_name(kind: str, name: object, known: Iterable[str]) -> SweepError:
    """Build the error for an unknown name; it suggests the name that was probably meant, or lists all known names.

    A name is only suggested where the unknown one looks like a misspelling of it: a few letters differ, or the same
    letters stand in another order. "muon" is not taken for "lion".

    Args:
        kind: what the name should be, such as "activation".
        name: the unknown name.
        known: the names that are allowed.

    Returns:
        A `SweepError` to raise, for example "unknown activation 'tahn': did you mean 'tanh'?".
    """
    names, text = sorted(known), str(name)
    similar = get_close_matches(text, names, n=1, cutoff=_TYPO) or [
        candidate for candidate in names if sorted(candidate) == sorted(text)
    ]
    hint = f"did you mean {similar[0]!r}?" if similar else f"known: {', '.join(names) or 'none'}"
    return SweepError(f"unknown {kind} {name!r}: {hint}")


def with_article(noun: str) -> str:
    """Return a noun with its article: "an Optimizer"."""
    return f"{'an' if noun[:1] in 'AEIOUaeiou' or noun[:3] == 'MLP' else 'a'} {noun}"


@contextmanager
def convert_errors(
    convert: Callable[[Any], SweepError], kinds: tuple[type[BaseException], ...] = (Exception,)
) -> Iterator[None]:
    """Replace an exception that is raised within by the line that a user sees.

    Args:
        convert: builds that error from the exception. A `SweepError` passes unchanged and is not given to it.
        kinds: the exceptions that are replaced.

    Raises:
        SweepError: in place of any other exception.
    """
    try:
        yield
    except SweepError:
        raise
    except kinds as error:
        raise convert(error) from error


def blame(culprit: str) -> AbstractContextManager[None]:
    """Turn an exception of a function that the page defines into one line that names the function.

    Args:
        culprit: the words for the function, such as "metric 'overshoot'".

    Raises:
        SweepError: in place of any other exception.
    """

    def convert(error: BaseException) -> SweepError:
        first_line = next(iter(str(error).splitlines()), "")
        return SweepError(f"{culprit} raised {type(error).__name__}: {first_line}")

    return convert_errors(convert, (Exception, SystemExit))  # SystemExit would end the command without a word


def name_of(function: object) -> str:
    """Return the name of a function; of a callable object without a name, that of its class."""
    return getattr(function, "__name__", None) or type(function).__name__
