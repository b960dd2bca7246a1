"""All commands by one name: `sweep COMMAND ...` does what `python -m sweep.COMMAND ...` does."""

import runpy
import sys
from collections.abc import Sequence
from typing import Final

from sweep.base.errors import unknown_name
from sweep.cli.command import command, say

COMMANDS: Final = {
    "run": "train the sweep of a page and draw its figures",
    "plot": "draw the figures of a store again",
    "compare": "compare stores, or the slices of one",
    "report": "write stores as one interactive HTML file",
    "claims": "judge the claims of a store's page",
    "export": "write a store in the format of another tool",
    "check": "verify a store, and mend it",
}


def main() -> None:
    """Be the command that the command line names."""
    name, *rest = sys.argv[1:] or ["--help"]
    if name in COMMANDS:
        sys.argv[1:] = rest
        runpy.run_module(f"sweep.{name}", run_name="__main__", alter_sys=True)
    else:
        command(_help)


def _help(args: Sequence[str]) -> None:
    """List the commands, as asked for or for want of one.

    Raises:
        SweepError: for a command that is none.
    """
    asked = args[0] if args else "--help"
    if asked not in ("--help", "-h"):
        raise unknown_name("command", asked, COMMANDS)
    width = max(map(len, COMMANDS))
    say("usage: sweep COMMAND ...\n")
    say("Thousands of small trainings in one program, and the heatmaps of how they converge.\n")
    for name, does in COMMANDS.items():
        say(f"  {name:{width}}  {does}")
    say("\n`sweep COMMAND --help` tells the options of one; `python -m sweep.COMMAND` is the same.")


if __name__ == "__main__":
    main()
