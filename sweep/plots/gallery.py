"""Which figures a store calls for, and saving them; for the commands. What draws lies in `figures` and `drawing`."""

import json
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from io import BytesIO
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from sweep.base.errors import SweepError, SweepWarning, unknown_name
from sweep.base.signals import shorten_patience
from sweep.files import atomic_files
from sweep.files.places import make_folder, try_writing
from sweep.page.load import default_store, is_unmodified, older_default_store
from sweep.page.specs.figure import KINDS, Figure, check, fitting_figures

if TYPE_CHECKING:  # these take a second to import, which `--help` and a wrong option need not wait for
    import xarray as xr
    from matplotlib.figure import Figure as MatplotlibFigure

    from sweep.plots.drawing.film import Film

# The pixels in an SVG are cells and faint lines, for which 100 an inch are enough; no date, so that the same
# figure is the same file.
_SAVING: Final[dict[str, dict[str, Any]]] = {
    ".png": {"dpi": 150},
    ".svg": {"dpi": 100, "metadata": {"Date": None}},
    ".pdf": {"dpi": 300, "metadata": {"CreationDate": None}},
}
# How such a file begins, and what stands in it: matplotlib signs what it saves, and we sign films.
_SIGNED: Final = {
    ".png": (b"\x89PNG", b"Matplotlib"),
    ".svg": (b"<?xml", b"Matplotlib"),
    ".pdf": (b"%PDF", b"Matplotlib"),
    ".gif": (b"GIF8", b"sweep"),
}
FORMS: Final = {"screen": (".png", ".svg"), "print": (".pdf", ".svg")}  # a film is a GIF in both


def choose_figures(ds: "xr.Dataset", only: Sequence[str] = (), own: Iterable[Figure] = ()) -> tuple[Figure, ...]:
    """Choose the figures to draw: those that the page names, else all that fit; of these only some if asked.

    Args:
        ds: results; `figures` among their attributes is a JSON list of names and options.
        only: names; one that the page does not name is drawn with its defaults.
        own: figures of the page, where it is at hand: of those that it draws itself a store has the names alone.

    Returns:
        Figures, none of which needs anything that the results lack.

    Raises:
        SweepError: for a name that does not exist, and for a figure that does not fit.
    """
    of_page = json.loads(ds.attrs.get("figures", "[]"))
    own_names = {each["name"] for each in of_page if each.get("own")}
    for name in only:
        if name in own_names:
            raise SweepError(_drawn_by_its_page(name))
        if name not in KINDS:
            raise unknown_name("figure", name, KINDS)
    stated = list(_page_figures(of_page, own))
    if only:
        named = {figure.name for figure in stated}
        stated = [figure for figure in stated if figure.name in only]
        stated += [Figure(name) for name in dict.fromkeys(only) if name not in named]
    for figure in stated:
        check(figure, _available(ds))
    return tuple(stated) if stated or of_page else fitting_figures(_available(ds))


def _page_figures(of_page: Iterable[dict[str, Any]], own: Iterable[Figure]) -> Iterator[Figure]:
    """Give the figures that the page names; of those that it draws itself the ones whose functions are at hand."""
    functions = [figure for figure in own if figure.function]
    for each in of_page:
        if not each.get("own"):
            yield Figure(each["name"], each.get("options", {}))
        elif functions:
            yield functions.pop(0)
        else:
            warnings.warn(_drawn_by_its_page(each["name"]), SweepWarning, stacklevel=3)


def _drawn_by_its_page(name: str) -> str:
    return f"figure {name!r} is drawn by a function of its page: `python -m sweep.run` draws it"


def draw_figures(
    ds: "xr.Dataset", figures: Iterable[Figure], directory: Path, *, form: Literal["screen", "print"] = "screen"
) -> list[Path]:
    """Draw figures and save each as PNG and SVG, or as PDF and SVG for one column of a page; and a film as GIF.

    Args:
        ds: results.
        figures: which, with their options.
        directory: where to; made if it is not there.
        form: for what: the screen, or print, where the letters of a column 3.3 inches wide can be read.

    Returns:
        The files written. Two figures of one name get a number behind the second's.

    Raises:
        SweepError: for a figure that does not fit the results, before any is saved, and where nothing can be written.
    """
    from sweep.plots.drawing.style import printed

    figures = tuple(figures)
    files = places(figures, directory, form=form)
    with shorten_patience(), printed() if form == "print" else nullcontext():
        drawn = [_draw(ds, figure) for figure in figures]
        with _in_one_line(directory), make_folder(directory):
            for each, paths in zip(drawn, files, strict=True):
                save(each, paths)
    return list(chain.from_iterable(files))


def _draw(ds: "xr.Dataset", figure: Figure) -> "MatplotlibFigure | Film":
    from sweep.plots.figures.own import draw_own
    from sweep.plots.registry import function_of

    if figure.function is not None:
        return draw_own(ds, figure)
    return function_of(figure.name)(ds, **figure.options)


def places(
    figures: Iterable[Figure], directory: Path, *, form: Literal["screen", "print"] = "screen"
) -> list[list[Path]]:
    """Give the files of each figure, as `draw_figures` saves them."""
    taken: set[str] = set()
    found = []
    for figure in figures:
        stem, number = figure.name, 2
        while stem in taken:
            stem, number = f"{figure.name}_{number}", number + 1
        taken.add(stem)
        moves = figure.function is None and KINDS[figure.name].moves
        found.append([directory / f"{stem}{suffix}" for suffix in ((".gif",) if moves else FORMS[form])])
    return found


def is_drawn(path: Path) -> bool:
    """Tell whether a file is a figure that this module may have saved."""
    begins, signature = _SIGNED[path.suffix]
    content = path.read_bytes() if path.is_file() else b""
    return content.startswith(begins) and signature in content


@contextmanager
def _in_one_line(directory: Path) -> Iterator[None]:
    """Turn a failure to write into one line."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        raise SweepError(f"cannot write figures to {directory}: {reason}; choose another folder") from error


def check_directory(directory: Path, own: Iterable[Figure] = ()) -> None:
    """Make sure, before hours of training, that figures can be written to a folder that was asked for.

    Args:
        directory: the folder.
        own: the page's figures, some of which may have names of their own.

    Raises:
        SweepError: where they can't, or where something else has the name of a figure.
    """
    with _in_one_line(directory):
        try_writing(directory)
        names = {*KINDS, *(figure.name for figure in own)}
        for path in directory.iterdir() if directory.is_dir() else ():
            if path.stem in names and path.suffix in _SIGNED and not is_drawn(path):
                raise SweepError(f"{path} is no figure that sweep drew: name another --figures-dir")


def default_directory(store: Path, page: str, complete: bool) -> Path:
    """Give the folder for a store's figures.

    Args:
        store: the store.
        page: the page's name.
        complete: whether it holds all results.

    Returns:
        `figures/<page>` for the complete store of a page as it is, `results/<page>`, and `figures/<page>@full` for
        that of the question as it was asked, `results/<page>@full`; a folder inside the store for any other, so that
        smoke runs, overrides and interrupted runs never touch committed figures.
    """
    own = [place.resolve() for place in (default_store(page), older_default_store(page))]
    if complete and is_unmodified(page) and store.resolve() in own:
        return Path("figures", page)
    return store / "figures"


def _available(ds: "xr.Dataset") -> frozenset[str]:
    from sweep.plots.drawing.style import available

    return available(ds)


def save(drawn: "MatplotlibFigure | Film", paths: Sequence[Path]) -> None:
    """Save a figure once for each path, by its suffix; the same figure is the same file.

    Args:
        drawn: the figure; its layout is settled with the first file.
        paths: of suffix .png, .svg or .pdf, or of a film .gif.

    Raises:
        OSError: where nothing can be written.
    """
    import matplotlib

    from sweep.plots.drawing.film import Film
    from sweep.plots.drawing.style import settings

    with matplotlib.rc_context(settings()):
        for path in paths:
            content = BytesIO()  # so that a full disk is met by us, and not within a library
            if isinstance(drawn, Film):
                drawn.save(content)
            else:
                drawn.savefig(content, format=path.suffix.removeprefix("."), **_SAVING[path.suffix])
                _settle(drawn)
            atomic_files.write_files({path: content.getvalue()})


def _settle(drawn: "MatplotlibFigure") -> None:
    """Keep the layout that the first file has found, which takes half the time, as the same numbers on every machine.

    An SVG names its clipped areas by all digits of their places, and the last ones are not the same in every run.
    """
    from matplotlib.transforms import Bbox

    if drawn.get_layout_engine() is not None:
        drawn.set_layout_engine("none")
        for axes in drawn.axes:
            axes.set_position(Bbox(axes.get_position(original=True).get_points().round(12)))
