"""The self-test of the compiler, run once for each combination of releases, device and settings.

What has passed is kept in the user's cache folder, one file for each combination. There is nothing else in these files,
so whoever could write there could only make a test be left out.
"""

import json
from contextlib import suppress
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Final

import jax
from jaxlib import version

from sweep.engine.compiler_options import list_options
from sweep.engine.numerics import consequential
from sweep.engine.self_test import NUMBER, Precision, self_test
from sweep.files.atomic_files import write_file
from sweep.files.safe_files import read_regular
from sweep.files.user_cache import kind_of_processor, user_cache_folder

_MOST_BYTES: Final = 2**16  # of a file that says what has passed


def check_compiler(precision: Precision) -> None:
    """Run the self-test, unless it has passed here before.

    Args:
        precision: "float32" or "float64".

    Raises:
        SweepError: if the compiler of this process computes something wrongly.
    """
    _check(_describe(precision), precision)


@cache
def _check(described: bytes, precision: Precision) -> None:
    folder = user_cache_folder()
    path = folder / f"self-test-{sha256(described).hexdigest()[:16]}.json" if folder else None
    if path and _has_passed(path, described):
        return
    self_test(precision)
    if path:
        with suppress(OSError), write_file(path) as file:  # if it can't be kept, it is run again next time
            file.write(described)


def _has_passed(path: Path, described: bytes) -> bool:
    try:
        return read_regular(path, _MOST_BYTES) == described
    except OSError:
        return False


def _describe(precision: Precision) -> bytes:
    """Describe all that the answer depends on."""
    device = jax.devices()[0]
    return json.dumps(
        {
            "self_test": NUMBER,
            "precision": precision,
            "jax": jax.__version__,
            "jaxlib": version.__version__,
            "device": device.device_kind,
            "platform": f"{device.platform} {device.client.platform_version}",
            "processor": kind_of_processor(),
            "options": list_options(device.platform),
            "settings": consequential(),
        },
        indent=1,
    ).encode()
