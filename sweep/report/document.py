"""The report of some stores: their sections, put together into one HTML file."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import xarray as xr

from sweep.claims.verdicts import Verdict
from sweep.page.identity import has_fingerprint


def report(stores: Mapping[Path, xr.Dataset], verdicts: Sequence[Verdict] = (), *, reload: float = 0.0) -> str:
    """Write the report of some stores.

    Args:
        stores: results by their paths; a zoom of another store is shown beside it.
        verdicts: verdicts on claims; those of other pages are ignored.
        reload: seconds after which the report reloads itself; 0 for never.

    Returns:
        HTML that loads nothing from elsewhere.
    """
    from sweep.report import bokeh_models, html, section
    from sweep.report.cells import CAPACITY

    families = _families(stores, {store: section.parent(ds) for store, ds in stores.items()})
    order = [store for family in families for store in family]
    keys = {store: str(number) for number, store in enumerate(order)}
    sections = {
        store: section.make_section(
            stores[store], keys[store], store=store, capacity=CAPACITY // len(stores), verdicts=verdicts
        )
        for store in order
    }
    shared = {
        "palettes": bokeh_models.palettes(),
        "looks": bokeh_models.hatch_colours(),
        "reload": reload,
        "parents": {keys[child]: keys[first] for first, *children in families for child in children},
    }
    first = sections[order[0]]
    title = first["question"] if len(order) == 1 else f"{len(order)} sweeps"
    return html.render(title, [[sections[store] for store in family] for family in families], shared)


def _families(stores: Mapping[Path, xr.Dataset], parents: Mapping[Path, Mapping[str, str]]) -> list[list[Path]]:
    """Group stores: each with its zooms behind it."""
    found: dict[Path, list[Path]] = {}
    parent_of = {store: _find_parent(store, parents[store], stores) for store in stores}
    for store in stores:
        if parent_of[store] is None:
            found[store] = [store]
    for store, parent in parent_of.items():
        if parent is not None:
            found.setdefault(parent, [parent]).append(store)
    return list(found.values())


def _find_parent(store: Path, parent: Mapping[str, str], stores: Mapping[Path, xr.Dataset]) -> Path | None:
    """Find the store that another one is a zoom of: the one at the stored path, or one of the same experiment."""
    if "path" not in parent:
        return None
    path = (store / parent["path"]).resolve()
    by_path = [each for each in stores if each.resolve() == path]
    by_fingerprint = [each for each, ds in stores.items() if has_fingerprint(ds.attrs, parent.get("fingerprint", ""))]
    return next((each for each in (*by_path, *by_fingerprint) if each != store), None)
