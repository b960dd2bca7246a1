"""Draw a store's figures again, without JAX: `python -m sweep.plot STORE`."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Literal

import tyro

from sweep.cli import streams
from sweep.cli.command import parse, run_command, say
from sweep.cli.optional import OptionalPath
from sweep.files import outputs

PROG = "python -m sweep.plot"


@dataclass(frozen=True)
class Options:
    """Draw the figures of a store: those that its page names, or else all that fit.

    Args:
        store: a store that `python -m sweep.run` wrote.
        out: the folder for PNG and SVG files; by default figures/ and the page's name for the store of an unmodified
            page, otherwise the store's folder.
        only: names of the figures to draw.
        form: screen, or print: PDF and SVG with a width of one column, 3.3 inches.
        force: replace existing files, even if they are not figures of this command.
        debug: show the traceback of an error.
    """

    store: tyro.conf.Positional[Path]
    out: OptionalPath = None
    only: tuple[str, ...] = ()
    form: Literal["screen", "print"] = "screen"
    force: bool = False
    debug: bool = False


def main(args: Sequence[str]) -> None:
    """Draw the figures that the command line asks for, and print the paths of the files."""
    options = parse(Options, args, PROG)
    from sweep.plots.gallery import (  # slow to import, like the next
        choose_figures,
        default_directory,
        draw_figures,
        figure_paths,
        is_our_figure,
    )
    from sweep.results.dataset import open_results

    ds = open_results(options.store)
    directory = options.out or default_directory(
        options.store, str(ds.attrs.get("name", "")), bool(ds.attrs.get("complete"))
    )
    figures = choose_figures(ds, options.only)
    for path in chain.from_iterable(figure_paths(figures, directory, form=options.form)):
        outputs.check(path, is_our_figure, force=options.force)
    streams.ignore_output_failures()
    for path in draw_figures(ds, figures, directory, form=options.form):
        say(path)


if __name__ == "__main__":
    run_command(main)
