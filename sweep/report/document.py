"""The report: what of stores is embedded in one HTML file, and how that file is put together."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import xarray as xr

from sweep.claims.verdicts import Verdict
from sweep.page.identity import has_fingerprint


def report(stores: Mapping[Path, xr.Dataset], verdicts: Sequence[Verdict] = (), *, reload: float = 0.0) -> str:
    """Write the page of some stores.

    Args:
        stores: results by where they lie; one that was zoomed into from another is shown beside that one.
        verdicts: of claims, of these pages or of others.
        reload: seconds after which the page loads itself again; 0 for never.

    Returns:
        HTML that needs nothing from elsewhere.
    """
    from sweep.report import bokeh_models, html, section
    from sweep.report.cells import ROOM

    families = _families(stores, {store: section.parent(ds) for store, ds in stores.items()})
    order = [store for family in families for store in family]
    keys = {store: str(number) for number, store in enumerate(order)}
    made = {
        store: section.make(stores[store], keys[store], store=store, room=ROOM // len(stores), verdicts=verdicts)
        for store in order
    }
    shared = {
        "palettes": bokeh_models.palettes(),
        "looks": bokeh_models.looks(),
        "reload": reload,
        "parents": {keys[child]: keys[first] for first, *children in families for child in children},
    }
    first = made[order[0]]
    title = first["question"] if len(order) == 1 else f"{len(order)} sweeps"
    return html.render(title, [[made[store] for store in family] for family in families], shared)


def _families(stores: Mapping[Path, xr.Dataset], parents: Mapping[Path, Mapping[str, str]]) -> list[list[Path]]:
    """Put each store that was zoomed into from another one directly behind that one."""
    found: dict[Path, list[Path]] = {}
    homes = {store: _home(store, parents[store], stores) for store in stores}
    for store in stores:
        if homes[store] is None:
            found[store] = [store]
    for store, home in homes.items():
        if home is not None:
            found.setdefault(home, [home]).append(store)
    return list(found.values())


def _home(store: Path, parent: Mapping[str, str], stores: Mapping[Path, xr.Dataset]) -> Path | None:
    """Find the store that another one was zoomed into from: where it should lie, or one of the same experiment."""
    if "path" not in parent:
        return None
    lies = (store / parent["path"]).resolve()
    there = [each for each in stores if each.resolve() == lies]
    alike = [each for each, ds in stores.items() if has_fingerprint(ds.attrs, parent.get("fingerprint", ""))]
    return next((each for each in (*there, *alike) if each != store), None)
