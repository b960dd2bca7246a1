"""Choosing the figures of a store and saving them, for the commands. `figures` and `drawing` draw them."""

import json
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from io import BytesIO
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from sweep.base.errors import SweepError, SweepWarning, unknown_name
from sweep.base.labels import DIMENSIONS, METRICS
from sweep.base.signals import shorten_patience
from sweep.files import atomic_files
from sweep.files.places import make_folder, try_writing
from sweep.page.load import default_store, is_unmodified, older_default_store
from sweep.page.specs.figure import KINDS, Figure, check, fitting_figures

if TYPE_CHECKING:  # these take a second to import; `--help` and wrong options need not wait for that
    import xarray as xr
    from matplotlib.figure import Figure as MatplotlibFigure

    from sweep.plots.drawing.film import Film

# The pixels in an SVG are cells and faint lines, for which 100 per inch are enough; no date, so that the same
# figure gives the same file.
_SAVING: Final[dict[str, dict[str, Any]]] = {
    ".png": {"dpi": 150},
    ".svg": {"dpi": 100, "metadata": {"Date": None}},
    ".pdf": {"dpi": 300, "metadata": {"CreationDate": None}},
}
# How such a file begins, and a text that it contains: matplotlib signs what it saves, and we sign films.
_SIGNATURES: Final = {
    ".png": (b"\x89PNG", b"Matplotlib"),
    ".svg": (b"<?xml", b"Matplotlib"),
    ".pdf": (b"%PDF", b"Matplotlib"),
    ".gif": (b"GIF8", b"sweep"),
}
_RECOGNISED: Final = "validation_accuracy"  # what one asks of classes first
_MOST_DRAWN: Final = 2  # dimensions of a metric besides epochs: one upwards, one with panels
FORMS: Final = {"screen": (".png", ".svg"), "print": (".pdf", ".svg")}  # a film is a GIF in both


def choose_figures(
    ds: "xr.Dataset", only: Sequence[str] = (), page_figures: Iterable[Figure] = ()
) -> tuple[Figure, ...]:
    """Choose the figures to draw: those that the page names, or else all that fit; with `only` just the named ones.

    Args:
        ds: results; their attribute `figures` is a JSON list of names and options.
        only: names; a figure that the page does not name is drawn with its defaults.
        page_figures: figures of the page, if the page is loaded: a store has only the names of figures that the page
            itself draws.

    Returns:
        Figures that the results have all variables and dimensions for. If the page names none, these include
        one of each metric of the page.

    Raises:
        SweepError: for an unknown name, and for a figure that does not fit.
    """
    of_page = json.loads(ds.attrs.get("figures", "[]"))
    own_names = {each["name"] for each in of_page if each.get("own")}
    for name in only:
        if name in own_names:
            raise SweepError(_page_figure_message(name))
        if name not in KINDS:
            raise unknown_name("figure", name, KINDS)
    stated = list(_select_page_figures(of_page, page_figures))
    if only:
        named = {figure.name for figure in stated}
        stated = [figure for figure in stated if figure.name in only]
        stated += [Figure(name) for name in dict.fromkeys(only) if name not in named]
    for figure in stated:
        check(figure, _available(ds))
    return tuple(stated) if stated or of_page else (*fitting_figures(_available(ds)), *_figures_of_metrics(ds))


def _figures_of_metrics(ds: "xr.Dataset") -> Iterator[Figure]:
    """Give a figure of each metric of the page, and of each that is recorded only where a page names it.

    Curves of one with a number for each record; of one with dimensions of its own, up to two, a heatmap over epochs,
    where a second dimension has panels.
    """
    from sweep.results import schema

    for name in sorted(schema.metrics(ds)):
        dims = [dim for dim in schema.own_dims(ds, name) if dim != "epoch"]
        own = [dim for dim in dims if dim not in DIMENSIONS]
        if not dims and (name not in METRICS or METRICS[name].on_request or name == _RECOGNISED):
            yield Figure("metric_curves", {"metric": name})
        if own and len(dims) <= _MOST_DRAWN:
            others = [dim for dim in dims if dim != own[0]]
            yield Figure("heatmap", {"metric": name, "y": own[0], **dict(zip(["facet"], others, strict=False))})


def _select_page_figures(of_page: Iterable[dict[str, Any]], page_figures: Iterable[Figure]) -> Iterator[Figure]:
    """Give the figures that the page names; of those that it draws itself only the ones with a loaded function."""
    functions = [figure for figure in page_figures if figure.function]
    for each in of_page:
        if not each.get("own"):
            yield Figure(each["name"], each.get("options", {}))
        elif functions:
            yield functions.pop(0)
        else:
            warnings.warn(_page_figure_message(each["name"]), SweepWarning, stacklevel=3)


def _page_figure_message(name: str) -> str:
    return f"figure {name!r} is drawn by a function of its page: `python -m sweep.run` draws it"


def draw_figures(
    ds: "xr.Dataset", figures: Iterable[Figure], directory: Path, *, form: Literal["screen", "print"] = "screen"
) -> list[Path]:
    """Draw figures and save each as PNG and SVG, or as PDF and SVG for one column of a printed page; films as GIF.

    Args:
        ds: results.
        figures: the figures, with their options.
        directory: the folder to save to; made if it does not exist.
        form: "screen", or "print": readable in a column 3.3 inches wide.

    Returns:
        The files written. If two figures have the same name, a number is appended to the second's.

    Raises:
        SweepError: for a figure that does not fit the results, before any is saved, and if the folder can't be written.
    """
    from sweep.plots.drawing.style import use_print_settings

    figures = tuple(figures)
    files = figure_paths(figures, directory, form=form)
    with shorten_patience(), use_print_settings() if form == "print" else nullcontext():
        drawn = [_draw(ds, figure) for figure in figures]
        with _convert_write_errors(directory), make_folder(directory):
            for each, paths in zip(drawn, files, strict=True):
                save(each, paths)
    return list(chain.from_iterable(files))


def _draw(ds: "xr.Dataset", figure: Figure) -> "MatplotlibFigure | Film":
    from sweep.plots.figures.page_figure import draw_page_figure

    if figure.function is not None:
        return draw_page_figure(ds, figure)
    return KINDS[figure.name].load()(ds, **figure.options)


def figure_paths(
    figures: Iterable[Figure], directory: Path, *, form: Literal["screen", "print"] = "screen"
) -> list[list[Path]]:
    """List the files of each figure, as `draw_figures` saves them."""
    taken: set[str] = set()
    found = []
    for figure in figures:
        stem, number = figure.name, 2
        while stem in taken:
            stem, number = f"{figure.name}_{number}", number + 1
        taken.add(stem)
        is_film = figure.function is None and KINDS[figure.name].is_film
        found.append([directory / f"{stem}{suffix}" for suffix in ((".gif",) if is_film else FORMS[form])])
    return found


def is_our_figure(path: Path) -> bool:
    """Tell whether a file is a figure that this module may have saved, and so may replace."""
    begins, signature = _SIGNATURES[path.suffix]
    content = path.read_bytes() if path.is_file() else b""
    return content.startswith(begins) and signature in content


@contextmanager
def _convert_write_errors(directory: Path) -> Iterator[None]:
    """Turn a failure to write into an error of one line, within a `with` block."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        raise SweepError(f"cannot write figures to {directory}: {reason}; choose another folder") from error


def check_directory(directory: Path, page_figures: Iterable[Figure] = ()) -> None:
    """Make sure, before hours of training, that figures can be written to a folder that the user named.

    Args:
        directory: the folder.
        page_figures: the page's figures, some of which the page itself may draw.

    Raises:
        SweepError: if they can't, or if a file that is not ours has the name of a figure.
    """
    with _convert_write_errors(directory):
        try_writing(directory)
        names = {*KINDS, *(figure.name for figure in page_figures)}
        for path in directory.iterdir() if directory.is_dir() else ():
            if path.stem in names and path.suffix in _SIGNATURES and not is_our_figure(path):
                raise SweepError(f"{path} was not drawn by sweep: name another --figures-dir")


def default_directory(store: Path, page: str, complete: bool) -> Path:
    """Give the folder for a store's figures.

    Args:
        store: the store.
        page: the page's name.
        complete: whether it holds all results.

    Returns:
        `figures/<page>` for the complete store `results/<page>` of an unmodified page, and `figures/<page>@full` for
        the store `results/<page>@full` of its full version; for any other store a folder inside it, so that smoke runs,
        overrides and interrupted runs never touch committed figures. For a store in object storage a folder in the
        working directory, where a user finds them.
    """
    from sweep.results.store import find_copy  # slow to import

    if find_copy(store):
        return Path(f"{store.name}-figures")
    page_stores = [place.resolve() for place in (default_store(page), older_default_store(page))]
    if complete and is_unmodified(page) and store.resolve() in page_stores:
        return Path("figures", page)
    return store / "figures"


def _available(ds: "xr.Dataset") -> frozenset[str]:
    from sweep.plots.drawing.style import available

    return available(ds)


def save(drawn: "MatplotlibFigure | Film", paths: Sequence[Path]) -> None:
    """Save a figure to each path, in the format of its suffix; the same figure gives the same file.

    Args:
        drawn: the figure; saving the first file fixes its layout.
        paths: with suffix .png, .svg or .pdf, or for a film .gif.

    Raises:
        OSError: if a file can't be written.
    """
    import matplotlib

    from sweep.plots.drawing.film import Film
    from sweep.plots.drawing.style import settings

    with matplotlib.rc_context(settings()):
        for path in paths:
            content = BytesIO()  # so that on a full disk our own code fails, and not a library
            if isinstance(drawn, Film):
                drawn.save(content)
            else:
                drawn.savefig(content, format=path.suffix.removeprefix("."), **_SAVING[path.suffix])
                _fix_layout(drawn)
            atomic_files.write_files({path: content.getvalue()})


def _fix_layout(drawn: "MatplotlibFigure") -> None:
    """Keep the layout computed for the first file, which saves half the time, rounded to be the same on every machine.

    An SVG names its clipped areas by all digits of their positions, and the last digits differ from run to run.
    """
    from matplotlib.transforms import Bbox

    if drawn.get_layout_engine() is not None:
        drawn.set_layout_engine(None)  # with another one, even "none", a file is drawn twice, first without output
        for axes in drawn.axes:
            axes.set_position(Bbox(axes.get_position(original=True).get_points().round(12)))
