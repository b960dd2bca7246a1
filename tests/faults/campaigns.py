"""Campaigns by name, and running a random sample of one."""

import contextlib
import faulthandler
import gc
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from random import Random

from .trials import FAULTS, OUTCOMES, Campaign, Trial, chosen, run_case, say

CAMPAIGNS = {  # name: its module, and its name there
    "damage": ("damage", "CAMPAIGN"),
    "generated": ("generated", "CAMPAIGN"),
    "crashes": ("crashes", "CAMPAIGN"),
    "kills": ("crashes", "KILLS"),
    "hostile": ("hostile", "CAMPAIGN"),
    "full": ("full_disk", "CAMPAIGN"),
    "small": ("full_disk", "SMALL"),
    "traced": ("traced", "CAMPAIGN"),
    "repeated": ("repeated", "CAMPAIGN"),
    "devices": ("several_devices", "CAMPAIGN"),
    "signals": ("interruptions", "CAMPAIGN"),
    "grow": ("growth", "CAMPAIGN"),
    "parts": ("parts", "CAMPAIGN"),
    "parts_killed": ("parts", "KILLS"),
    "ray": ("ray_workers", "CAMPAIGN"),
    "ray_hangs": ("ray_workers", "HANGS"),
    "ray_nodes": ("ray_workers", "NODES_KILLED"),
    "ray_drivers": ("ray_workers", "DRIVERS"),
}
STUCK = 900.0  # seconds after which the harness itself is assumed to hang, and prints where


def campaign(name: str) -> Campaign:
    """Find a campaign by its name."""
    module, variable = CAMPAIGNS[name]
    return getattr(import_module(f"{__package__}.{module}"), variable)


def run(what: Campaign, seed: int, count: int | float | None, *, tell: bool = True) -> list[Trial]:
    """Run a random sample of a campaign: a number of cases, a share of them below 1, or all (None)."""
    with tempfile.TemporaryDirectory(prefix="sweep-faults-", ignore_cleanup_errors=True) as made:
        folder = Path(made)
        cases = what.cases(folder / "shared", Random(seed))
        number = max(1, round(count * len(cases))) if isinstance(count, float) else count
        trials = []
        gc.collect()
        gc.freeze()  # trials then collect only their own garbage, which is faster
        for at, case in enumerate(chosen(cases, number, Random(seed))):
            faulthandler.dump_traceback_later(STUCK, exit=True)
            trial = run_case(case, folder / str(at))
            faulthandler.cancel_dump_traceback_later()
            shutil.rmtree(folder / str(at), ignore_errors=True)
            trials.append(trial)
            if tell and trial.outcome in FAULTS:
                say(f"  {trial.outcome}: {trial.name}: {trial.detail}")
    return trials


@contextlib.contextmanager
def compiled_once() -> Iterator[None]:
    """Cache compiled programs, so that the same small program is not compiled in every campaign and every trial."""
    import jax
    from jax.experimental.compilation_cache import compilation_cache

    names = {
        "jax_compilation_cache_dir": tempfile.mkdtemp(prefix="sweep-compiled-"),
        "jax_persistent_cache_min_compile_time_secs": 0.0,
        "jax_persistent_cache_min_entry_size_bytes": 0,
    }
    before = {name: getattr(jax.config, name) for name in names}
    for name, value in names.items():
        jax.config.update(name, value)
    compilation_cache.reset_cache()
    try:
        yield
    finally:
        for name, value in before.items():
            jax.config.update(name, value)
        compilation_cache.reset_cache()  # JAX opens the folder once and would otherwise write to it later
        shutil.rmtree(names["jax_compilation_cache_dir"], ignore_errors=True)


def counts(trials: list[Trial]) -> dict[str, int]:
    """Count trials by outcome."""
    found = Counter(trial.outcome for trial in trials)
    return {"trials": len(trials), **{outcome: found[outcome] for outcome in OUTCOMES}}
