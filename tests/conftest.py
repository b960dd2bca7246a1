"""JAX as the tests need it: three CPU devices, and every annotated shape checked at run time.

Both must happen before anything imports `sweep` or uses a device of JAX.
"""

import gc

import jax
import pytest
from hypothesis import settings
from jaxtyping import install_import_hook

jax.config.update("jax_num_cpu_devices", 3)
jax.devices()  # fixes the number now, before `sweep.runs.devices` sets one device per core

# The modules whose annotations state shapes. In others beartype would do harm: it accepts no `1` as a `float`,
# and it would refuse wrong values before the specs can do so with their own messages.
SHAPED = ("keys", "tasks", "networks", "optimizers", "metrics", "regression", "program")
install_import_hook([f"sweep.engine.{name}" for name in SHAPED], "beartype.beartype")

# Examples are drawn from a fixed seed, so that a failure can be repeated, and have no deadline, since the machine may
# be busy.
settings.register_profile("sweep", deadline=None, derandomize=True, max_examples=60)
settings.load_profile("sweep")

# Each file is run by one worker; the longest come first, so that none of them runs alone at the end.
LONGEST = ("runner", "train", "resume", "run", "stopping", "digests", "pages", "networks", "plots", "faults", "tasks")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.path.stem.removeprefix("test_") not in LONGEST)


def pytest_collection_finish() -> None:
    """Exclude objects that live as long as the tests from garbage collection, which took a tenth of the time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
