"""JAX as the tests need it: three CPU devices, and every annotated shape checked at run time.

Both must happen before anything imports `sweep` or uses a device of JAX.
"""

import atexit
import gc
import os
import shutil
import tempfile
from pathlib import Path

import jax
import pytest
from hypothesis import settings
from jaxtyping import install_import_hook

# Commands that tests start in folders of their own run the code of this checkout, whatever is installed.
os.environ["PYTHONPATH"] = str(Path(__file__).parent.parent)
os.environ["JAX_ENABLE_COMPILATION_CACHE"] = "false"  # they leave the user's cache of compiled programs alone
# One cache folder for all processes of these tests, which is not the user's.
if "PYTEST_XDIST_WORKER" not in os.environ:
    os.environ["XDG_CACHE_HOME"] = tempfile.mkdtemp(prefix="sweep-tests-")
    atexit.register(shutil.rmtree, os.environ["XDG_CACHE_HOME"], ignore_errors=True)
jax.config.update("jax_num_cpu_devices", 3)
jax.devices()  # fixes the number now, before `sweep.runs.devices` sets one device per core

# The modules whose annotations state shapes. In others beartype would do harm: it accepts no `1` as a `float`,
# and it would refuse wrong values before the specs can do so with their own messages.
OF_REGRESSION = ("tasks", "networks", "losses", "optimizers", "metrics", "curvature", "training")
SHAPED = ("keys", "program", *(f"regression.{name}" for name in OF_REGRESSION))
install_import_hook([f"sweep.engine.{name}" for name in SHAPED], "beartype.beartype")

# Examples are drawn from a fixed seed, so that a failure can be repeated, and have no deadline, since the machine may
# be busy.
settings.register_profile("sweep", deadline=None, derandomize=True, max_examples=60)
settings.load_profile("sweep")

# Each file is run by one worker; the longest come first, so that none of them runs alone at the end.
LONGEST = (
    "train", "resume", "digests", "trained", "faults", "extensions", "modules", "runner", "pages", "plots", "stopping",
    "parametrisation", "rules", "recipes", "replay", "environment", "data_runs", "signals", "metrics", "quotients",
    "derivatives", "networks", "tasks", "compile", "accelerator", "checks", "readme", "on_ray", "worker", "dataset",
    "page_training_runs", "run", "data_training", "heatmap", "plan", "given_axes", "compile_cache", "names", "report",
    "object_storage", "export", "gallery", "notebook", "compare",
)  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    place = {name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(item.path.stem.removeprefix("test_"), len(LONGEST)))


def pytest_collection_finish() -> None:
    """Exclude objects that live as long as the tests from garbage collection, which took a tenth of the time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
