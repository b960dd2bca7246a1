"""The errors of a store, each in one line that says what to do."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from sweep.base.errors import REMEDIES, SweepError, convert_errors
from sweep.files.places import ROOT
from sweep.results.digests.damage import Damage
from sweep.results.digests.folder import has_digests


def unwritable_error(path: Path, error: OSError) -> SweepError:
    """Build the error for a path that can't be written."""
    return SweepError(f"can't write {path}: {error.strerror or error}; name another place with --out")


def not_a_store_error(path: Path) -> SweepError:
    """Build the error for a path that is not that of a store."""
    return SweepError(f"{path} is not a store of sweep: it has no {ROOT}; name another place")


@contextmanager
def refuse_unstorable() -> Iterator[None]:
    """Refuse what could not be opened again, such as a name of a thousand letters, within a `with` block.

    Raises:
        SweepError: in place of a ValueError that the checks raise in the block.
    """
    try:
        yield
    except ValueError as error:
        raise SweepError(f"the page can't be stored: {error}; docs/store.md has the limits") from error


def refuse_damages(path: Path, damages: Sequence[Damage]) -> None:
    """Refuse a damaged store.

    Args:
        path: the store.
        damages: what is damaged; the error names the first.

    Raises:
        SweepError: if there are any.
    """
    if damages:
        more = f" (and {len(damages) - 1} more)" if len(damages) > 1 else ""
        raise _damage_error(path, f"{damages[0].file} {damages[0].what}{more}")


def blame_store(path: Path) -> AbstractContextManager[None]:
    """Blame a store for any exception raised while it is read, within a `with` block.

    It may be damaged, or another program may have made it, with digests that fit.

    Args:
        path: the store.

    Raises:
        SweepError: in place of any other exception.
    """
    return convert_errors(lambda error: _store_error(path, error))


def _store_error(path: Path, error: Exception) -> SweepError:
    if not isinstance(error, OSError):
        return _damage_error(path, str(error).partition("\n")[0] or type(error).__name__)
    if error.errno in REMEDIES:
        return unwritable_error(path, error)
    return _damage_error(path, f"{error.filename or ''} {error.strerror or error}".strip())


def _damage_error(path: Path, what: str) -> SweepError:
    """Build the error for a damaged store; it says how the store can be repaired."""
    if not has_digests(path):
        return SweepError(f"{path} is truncated or damaged: {what}; run the page again with --fresh")
    return SweepError(
        f"{path} is damaged: {what}; `python -m sweep.check {path}` lists all damage, and repairs it with --repair"
    )
