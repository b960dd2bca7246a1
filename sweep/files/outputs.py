"""What a command writes to `--out`: it replaces its own older output, and anything else only with `--force`."""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sweep.base.errors import SweepError
from sweep.files import atomic_files
from sweep.files.places import ROOT, make_folder


def check(out: Path, is_ours: Callable[[Path], bool], *, force: bool) -> None:
    """Refuse an output that would replace something other than an older output of this command, or a store.

    Args:
        out: the file or folder that the command will write.
        is_ours: tells whether this command wrote what is there now.
        force: allow anything but a store to be replaced.

    Raises:
        SweepError: if something else is there, or the path can't exist.
    """
    if _is_there(out / ROOT):
        raise SweepError(f"{out} is a Zarr store, which only `sweep.run` replaces: name another --out")
    if force or not _is_there(out):
        return
    try:
        known = is_ours(out)
    except (OSError, ValueError):  # it can't be read as an output of this command
        known = False
    if not known:
        raise SweepError(f"{out} holds something that this command did not write: name another --out, or add --force")


def _is_there(path: Path) -> bool:
    """Tell whether anything is at a path; one that no file can have is refused."""
    try:
        return path.exists() or path.is_symlink()
    except OSError as error:
        raise _write_error(path, error) from error


def _write_error(out: Path, error: OSError) -> SweepError:
    return SweepError(f"can't write {out}: {error.strerror or error}; name another place with --out")


def check_apart(out: Path, stores: Iterable[Path]) -> None:
    """Refuse an output that would replace a store that the command reads, or lie in it, even with `--force`.

    Args:
        out: the file or folder that the command will write.
        stores: the stores that it reads.

    Raises:
        SweepError: if the output is a store, contains one or lies in one.
    """
    there = out.resolve()
    for store in stores:
        held = store.resolve()
        if there in (held, *held.parents) or held in there.parents:
            raise SweepError(f"{out} is, contains or lies in the store {store}: name another --out")


@contextmanager
def replace_output(out: Path) -> Iterator[Path]:
    """Replace an output atomically: the body writes to a temporary path, which is then moved to the output's place.

    Args:
        out: the file or folder to write; what is there is replaced.

    Yields:
        A path of the same name in a new folder, at which the body makes a file or a folder.

    Raises:
        SweepError: if it can't be written. Then the older output is unchanged.
    """
    try:
        with make_folder(out.parent), atomic_files.make_folder_beside(out.parent) as beside:
            yield beside / out.name
            atomic_files.sync(beside / out.name)
            _move_to_place(beside, out)
    except OSError as error:
        raise _write_error(out, error) from error


def _move_to_place(beside: Path, out: Path) -> None:
    """Move the new output to its place; an older folder can't be replaced by one rename, so it is moved away first."""
    if out.is_dir() and not out.is_symlink():
        os.replace(out, beside / "old")
    os.replace(beside / out.name, out)
