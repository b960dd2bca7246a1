"""Run campaigns: `python -m tests.faults [--campaign NAME] [--seed 0] [--share 0.1 | --sample | --all] [--json FILE]`."""

import argparse
import faulthandler
import json
import shutil
import sys
import tempfile
import time
from collections import Counter
from importlib import import_module
from pathlib import Path
from random import Random

from .trials import FAULTS, OUTCOMES, Campaign, Trial, chosen, run_case, say

CAMPAIGNS = {  # name: the module that has it, under which name
    "damage": ("damage", "CAMPAIGN"),
    "generated": ("generated", "CAMPAIGN"),
    "crashes": ("crashes", "CAMPAIGN"),
    "kills": ("crashes", "KILLS"),
}
STUCK = 900.0  # seconds after which even the harness is taken to hang, and says where


def campaign(name: str) -> Campaign:
    """Find a campaign by its name."""
    module, variable = CAMPAIGNS[name]
    return getattr(import_module(f"{__package__}.{module}"), variable)


def run(what: Campaign, seed: int, count: int | float | None, *, tell: bool = True) -> list[Trial]:
    """Run a campaign's seeded share: a number of cases, a share of them below 1, or all (None)."""
    with tempfile.TemporaryDirectory(prefix="sweep-faults-", ignore_cleanup_errors=True) as made:
        folder = Path(made)
        cases = what.cases(folder / "shared", Random(seed))
        number = max(1, round(count * len(cases))) if isinstance(count, float) else count
        trials = []
        for at, case in enumerate(chosen(cases, number, Random(seed))):
            faulthandler.dump_traceback_later(STUCK, exit=True)
            trial = run_case(case, folder / str(at))
            faulthandler.cancel_dump_traceback_later()
            shutil.rmtree(folder / str(at), ignore_errors=True)
            trials.append(trial)
            if tell and trial.outcome in FAULTS:
                say(f"  {trial.outcome}: {trial.name}: {trial.detail}")
    return trials


def counts(trials: list[Trial]) -> dict[str, int]:
    """Count trials by outcome."""
    found = Counter(trial.outcome for trial in trials)
    return {"trials": len(trials), **{outcome: found[outcome] for outcome in OUTCOMES}}


def main() -> int:
    """Run what is asked for; exit code 1 if there was a fault."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--campaign", action="append", choices=CAMPAIGNS, help="one of them; by default all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--share", type=float, help="of all cases, such as 0.1")
    parser.add_argument("--all", action="store_true", help="all cases; by default the sample of `make test-faults`")
    parser.add_argument("--json", type=Path, help="keep counts and faults here, beside those of other campaigns")
    options = parser.parse_args()
    faults = 0
    for name in options.campaign or CAMPAIGNS:
        what = campaign(name)
        if reason := what.missing():
            say(f"{name}: not run: {reason}")
            continue
        begun = time.monotonic()
        trials = run(what, options.seed, None if options.all else options.share or what.sample)
        found = counts(trials)
        seconds = round(time.monotonic() - begun)
        faults += sum(found[outcome] for outcome in FAULTS)
        say(f"{name}: {', '.join(f'{key} {value}' for key, value in found.items())}; {seconds} s")
        if options.json:
            _keep(options.json, name, {"about": what.about, **found, "seconds": seconds}, trials)
    return int(faults > 0)


def _keep(file: Path, name: str, about: dict[str, object], trials: list[Trial]) -> None:
    kept = json.loads(file.read_text()) if file.exists() else {}
    faults = [[trial.outcome, trial.name, trial.detail] for trial in trials if trial.outcome in FAULTS]
    file.write_text(json.dumps(kept | {name: {**about, "faults": faults}}, indent=1) + "\n")


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    import os

    os._exit(code)  # threads that hang for good must not hold the process back
