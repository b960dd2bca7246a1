"""The section of one store in a report: question, numbers, figures, claims, plan and origin."""

import base64
import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import xarray as xr

from sweep.base import labels
from sweep.base.errors import SweepError
from sweep.claims.verdicts import Verdict
from sweep.files import atomic_files
from sweep.files.bounded_json import parse
from sweep.page.load import FULL, VARIATION, default_store, older_default_store
from sweep.plots.drawing import style
from sweep.report import bokeh_models
from sweep.report.cells import embed
from sweep.results import schema

_TYPES: Final = {".png": "image/png", ".svg": "image/svg+xml", ".gif": "image/gif"}
_ORIGIN: Final = (
    "name", "fingerprint", "created", "commit", "device", "versions", "lane_steps", "lane_steps_executed",
    "training_seconds", "compile_seconds", "complete", "schema",
)  # fmt: skip


def make_section(
    ds: xr.Dataset, key: str, *, store: Path, capacity: int, verdicts: Sequence[Verdict] = ()
) -> dict[str, Any]:
    """Collect what the template and the scripts need of one store.

    Args:
        ds: results.
        key: the section's key, which no other section has.
        store: the path of the results.
        capacity: bytes for numbers, see `cells.embed`.
        verdicts: verdicts on claims; those of other pages are ignored.
    """
    about, held = embed(ds, capacity)
    complete = bool(ds.attrs.get("complete"))
    return {
        "key": key,
        "name": _name_of(ds, store),
        "question": str(ds.attrs.get("question", "")) or str(ds.attrs.get("name", store.name)),
        "summary": _summary(ds, about),
        "notes": held.notes,
        "figures": figures(ds) if complete else [],
        "complete": complete,
        "claims": _claims(ds, verdicts),
        "origin": _origin(ds, store),
        "texts": held.texts,
        "data": {
            "key": key,
            "command": _command(ds, store),
            "zoomed": zoom_ranges(ds),
            **about,
            "plots": bokeh_models.plots_as_json(),
        },
    }


def _name_of(ds: xr.Dataset, store: Path) -> str:
    """Name results by their page and its options, which are easier to distinguish than hashes."""
    return " ".join([str(ds.attrs.get("name", store.name)), *json.loads(ds.attrs.get("arguments", "[]"))])


def _summary(ds: xr.Dataset, about: dict[str, Any]) -> str:
    """Summarise the numbers of lanes in one line."""
    status = ds["status"].values
    lanes = style.format_count(f"{status.size:,}", "lane")
    ended = [
        f"{int((status == code).sum()):,} {style.words(word)}"
        for code, word in enumerate(labels.STATUS)
        if (status == code).any()
    ]
    seeds = style.format_count(len(about["seeds"]), "seed")
    sizes = " × ".join([seeds, *(f"{ds.sizes[dim]} {style.words(dim)}" for dim in about["swept"])])
    outcome = "all finished" if bool((status == labels.FINISHED).all()) else style.join_words(ended)
    return f"{lanes} ({sizes}); {outcome}"


def _origin(ds: xr.Dataset, store: Path) -> list[tuple[str, str]]:
    """List what is known about the origin of results, the plan and the page last."""
    rows = [("store", str(store))]
    rows += [(style.words(name), _format_attribute(ds.attrs[name])) for name in _ORIGIN if name in ds.attrs]
    return rows + [(name, _format_attribute(ds.attrs[name])) for name in ("plan", "experiment") if name in ds.attrs]


def _format_attribute(value: Any) -> str:
    """Format an attribute for readers: a JSON object as one line for each field."""
    if not (isinstance(value, str) and value.startswith("{")):
        return str(value)
    try:
        parsed = parse(value)
    except ValueError:
        return value
    return "\n".join(f"{name}: {json.dumps(each, ensure_ascii=False)}" for name, each in parsed.items())


def _claims(ds: xr.Dataset, verdicts: Sequence[Verdict]) -> list[list[str]]:
    """Give the verdicts on this page's claims, as rows of a table."""
    from sweep.claims.verdict_tables import verdict_words

    experiment = json.loads(ds.attrs.get("experiment", "{}"))
    known = {(claim["id"], claim["source"]) for claim in experiment.get("claims") or ()}
    return [verdict_words(verdict) for verdict in verdicts if (verdict.id, verdict.source) in known]


def figures(ds: xr.Dataset) -> list[dict[str, str]]:
    """Draw a store's figures as images to embed: PNG or SVG, whichever is smaller."""
    from sweep.plots.gallery import choose_figures, draw_figures

    with atomic_files.make_temporary_folder() as folder:
        try:
            paths = draw_figures(ds, choose_figures(ds), folder)
        except SweepError as error:
            return [{"name": "figures", "source": "", "note": str(error)}]
        smallest: dict[str, Path] = {}
        for path in sorted(paths, key=lambda path: path.stat().st_size, reverse=True):
            smallest[path.stem] = path
        stems = dict.fromkeys(path.stem for path in paths)
        return [{"name": style.words(stem), "source": _embed(smallest[stem]), "note": ""} for stem in stems]


def _embed(path: Path) -> str:
    return f"data:{_TYPES[path.suffix]};base64,{base64.b64encode(path.read_bytes()).decode()}"


def _command(ds: xr.Dataset, store: Path) -> dict[str, str]:
    """Give the command that trains a lane again, up to the lane itself, and what a reader has to add to it."""
    name = str(ds.attrs.get("name", "PAGE"))
    page, *varied = name.split(VARIATION)
    known, options = _options(ds, varied)
    words = ["python", "-m", "sweep.run", str(ds.attrs.get("page", f"experiments/{page}.py")), *options]
    default = default_store(name)
    found = older_default_store(name) if not default.exists() else default  # as `sweep.run` finds it
    if store.resolve() not in (default.resolve(), found.resolve()):
        words += ["--out", str(store)]
    note = "" if known else "add the overrides that this store was run with"
    return {"start": f"{shlex.join(words)} --lane", "note": note}


def _options(ds: xr.Dataset, varied: Sequence[str]) -> tuple[bool, list[str]]:
    """Tell whether the options of a store's run are all known, and give them; older stores have only their name."""
    if "arguments" in ds.attrs:
        return True, json.loads(ds.attrs["arguments"])
    named = [each for each in varied if each in (FULL, "smoke")]
    return named == [*varied], [f"--{each}" for each in named]


def parent(ds: xr.Dataset) -> dict[str, Any]:
    """Give what a zoom's store says about its parent; nothing for any other store."""
    text = ds.attrs.get("parent")
    return json.loads(text) if isinstance(text, str) and text.startswith("{") else {}


def zoom_ranges(ds: xr.Dataset) -> dict[str, list[float]]:
    """Give the ranges of numeric swept dimensions, which outline a zoom in its parent's heatmap."""
    swept = [dim for dim in schema.swept_dims(ds) if ds[dim].dtype.kind in "iuf"]
    return {dim: [float(ds[dim].min()), float(ds[dim].max())] for dim in swept if ds.sizes[dim] > 1}
