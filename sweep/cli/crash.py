"""The file with the traceback of an internal error, which a user can send with a report."""

import os
import platform
import shlex
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Final

PACKAGES: Final = ("sweep-lanes", "jax", "jaxlib", "numpy", "pandas", "xarray", "zarr", "matplotlib", "rich", "tyro")


def write_report(error: BaseException, args: Sequence[str]) -> Path | None:
    """Write an error with its traceback to a file in the system's folder for temporary files.

    Args:
        error: the error.
        args: the command line without the program.

    Returns:
        The file, readable only by its owner; None if it can't be written.
    """
    command = shlex.join([Path(sys.argv[0]).stem, *args])
    text = "".join(
        [f"{time.strftime('%Y-%m-%d %H:%M:%S')} {command}\n", _versions(), *traceback.format_exception(error)]
    )
    try:
        path = Path(tempfile.gettempdir(), f"sweep-error-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.txt")
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with open(descriptor, "wb") as file:
            file.write(text.encode(errors="backslashreplace"))
    except OSError:
        return None
    return path


def _versions() -> str:
    from importlib.metadata import PackageNotFoundError, version  # takes a while, and few runs end in an error

    found = [f"python {platform.python_version()}", platform.platform()]
    for name in PACKAGES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return ", ".join(found) + "\n\n"
