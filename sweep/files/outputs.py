"""What a command makes with `--out`: its own older output gives way, anything else only with `--force`."""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sweep.base.errors import SweepError
from sweep.files import whole_files
from sweep.files.places import ROOT, made


def check(out: Path, ours: Callable[[Path], bool], *, force: bool) -> None:
    """Refuse a place that holds something else than this command's own older output, and a store in any case.

    Args:
        out: the file or folder that the command will make.
        ours: tells of what is there whether this command made it.
        force: replace it, whatever it is, unless it is a store.

    Raises:
        SweepError: where there is something else, or can't be anything.
    """
    if _is_there(out / ROOT):
        raise SweepError(f"{out} is a Zarr store, which only `sweep.run` replaces: name another --out")
    if force or not _is_there(out):
        return
    try:
        known = ours(out)
    except (OSError, ValueError):  # not even readable as what it would have to be
        known = False
    if not known:
        raise SweepError(f"{out} holds something that this command did not make: name another --out, or add --force")


def _is_there(path: Path) -> bool:
    """Tell whether there is anything at a place, which may be one that no file can have."""
    try:
        return path.exists() or path.is_symlink()
    except OSError as error:
        raise _unwritable(path, error) from error


def _unwritable(out: Path, error: OSError) -> SweepError:
    return SweepError(f"can't write {out}: {error.strerror or error}; name another place with --out")


def check_apart(out: Path, stores: Iterable[Path]) -> None:
    """Refuse an output that would replace a store, or lie in it, even with `--force`.

    Args:
        out: the file or folder that the command will make.
        stores: what it reads.

    Raises:
        SweepError: where one is, holds or lies in the other.
    """
    there = out.resolve()
    for store in stores:
        held = store.resolve()
        if there in (held, *held.parents) or held in there.parents:
            raise SweepError(f"{out} is, holds or lies in the store {store}: name another --out")


@contextmanager
def replacing(out: Path) -> Iterator[Path]:
    """Give a place beside the output to write to; it takes the output's place once it is whole.

    Args:
        out: the file or folder to make; what is there is replaced.

    Yields:
        A path of the same name in a new folder, at which the body makes a file or a folder.

    Raises:
        SweepError: where that can't be written. Then what was there is still there.
    """
    try:
        with made(out.parent), whole_files.beside(out.parent) as beside:
            yield beside / out.name
            whole_files.sync(beside / out.name)
            _take_place(beside, out)
    except OSError as error:
        raise _unwritable(out, error) from error


def _take_place(beside: Path, out: Path) -> None:
    """Move the new output to its place; a folder that is there can't be replaced in one move, so it steps aside."""
    if out.is_dir() and not out.is_symlink():
        os.replace(out, beside / "old")
    os.replace(beside / out.name, out)
