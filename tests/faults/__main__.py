"""Run campaigns: `python -m tests.faults [--campaign NAME] [--seed 0] [--share 0.1 | --all] [--json FILE]`."""

import argparse
import json
import os
import sys
import time
from pathlib import Path

from .campaigns import CAMPAIGNS, campaign, compiled_once, counts, run
from .stores import remove_made
from .trials import FAULTS, Trial, say


def main() -> int:
    """Run the campaigns of the command line; exit code 1 if there was a fault."""
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
        with compiled_once():
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
    remove_made()
    os._exit(code)  # without waiting for threads that hang
