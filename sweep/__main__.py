"""All commands under one name: `sweep COMMAND ...` does what `python -m sweep.COMMAND ...` does."""

import runpy
import sys
from collections.abc import Sequence
from typing import Final

from sweep.base.errors import unknown_name
from sweep.cli.command import run_command, say

COMMANDS: Final = {
    "run": "train the sweep of a page and draw its figures",
    "plot": "draw the figures of a store again",
    "compare": "compare stores, or slices of one store",
    "report": "write stores as one interactive HTML file",
    "claims": "decide the claims of a store's page",
    "merge": "make one store of several",
    "export": "write a store in the format of another tool",
    "check": "verify a store, and repair it",
}


def main() -> None:
    """Run the command that the command line names."""
    name, *rest = sys.argv[1:] or ["--help"]
    if name in COMMANDS:
        sys.argv[1:] = rest
        runpy.run_module(f"sweep.{name}", run_name="__main__", alter_sys=True)
    else:
        run_command(_help)


def _help(args: Sequence[str]) -> None:
    """List the commands.

    Raises:
        SweepError: for an unknown command.
    """
    name = args[0] if args else "--help"
    if name not in ("--help", "-h"):
        raise unknown_name("command", name, COMMANDS)
    width = max(map(len, COMMANDS))
    say("usage: sweep COMMAND ...\n")
    say("Thousands of small trainings in one program, and heatmaps of how they converge.\n")
    for name, summary in COMMANDS.items():
        say(f"  {name:{width}}  {summary}")
    say("\n`sweep COMMAND --help` lists the options of a command; `python -m sweep.COMMAND` is the same.")


if __name__ == "__main__":
    main()
