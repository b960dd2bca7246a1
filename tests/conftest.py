"""JAX as the tests want it: three CPU devices, and every annotated shape checked while they run.

Both must happen before anything imports `sweep` or asks JAX for a device.
"""

import gc
import os
from pathlib import Path

import jax
import pytest
from hypothesis import settings
from jaxtyping import install_import_hook

# Commands that tests start in folders of their own run the code of this checkout, whatever is installed.
os.environ["PYTHONPATH"] = str(Path(__file__).parent.parent)
jax.config.update("jax_num_cpu_devices", 3)
jax.devices()  # fixes the number now, before `sweep.runs.devices` asks for one device to each core

# The modules whose annotations state shapes. Elsewhere beartype would only get in the way: it takes `1` for
# no `float`, and it would refuse wrong values before the specs can refuse them in their own words.
OF_REGRESSION = ("tasks", "networks", "losses", "optimizers", "metrics", "training")
SHAPED = ("keys", "program", *(f"regression.{name}" for name in OF_REGRESSION))
install_import_hook([f"sweep.engine.{name}" for name in SHAPED], "beartype.beartype")

# Examples are drawn from a fixed seed, so that a failure can be had again, and take as long as they take on
# a busy machine.
settings.register_profile("sweep", deadline=None, derandomize=True, max_examples=60)
settings.load_profile("sweep")

# Each file is run by one worker; the longest come first, so that no worker is left alone with one of them at the end.
LONGEST = (
    "resume", "environment", "signals", "runner", "compare", "digests", "report", "replay", "gallery", "plots",
    "compile", "executors", "derivatives", "notebook", "plan", "heatmap", "names", "intervals", "dataset", "run",
)  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.path.stem.removeprefix("test_") not in LONGEST)


def pytest_collection_finish() -> None:
    """Leave what lasts as long as the tests out of every garbage collection: it took a tenth of their time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
