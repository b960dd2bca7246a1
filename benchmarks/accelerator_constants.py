"""What the constants of `sweep.engine.cost` for accelerators should be by a run of `benchmarks.accelerator`."""

from math import exp, log
from typing import Any, Final

import numpy as np
from scipy.optimize import nnls

_ENOUGH: Final = 0.95  # of the best rate
_LARGEST: Final = 2**17  # lanes of a tile


def wanted_constants(parts: dict[str, Any]) -> dict[str, Any]:
    """Derive constants from the rates of tiles and cells; those that this run does not determine are left out."""
    tiles = [tile for tile in parts.get("tiles", {}).get("items", {}).values() if rate_of(tile)]
    cells = parts.get("cells", {}).get("items", {})
    return _tile_constants(tiles) | _speeds(tiles) | _wave_bytes(cells)


def rate_of(found: dict[str, Any]) -> float | None:
    """Return the median of the measured rates; None without any, or if what was computed is wrong."""
    rates = found.get("lane_steps_per_second")
    return float(np.median(rates)) if rates and "failed" not in found else None


def best_tiles(tiles: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Find the fastest tile of each network, and the share of its rate that the plan's choice reaches."""
    found: dict[str, dict[str, Any]] = {}
    for name, tile in tiles.items():
        rate, network = rate_of(tile), name.split("/")[0]
        if rate is None:
            continue
        own = found.setdefault(network, {"rates": {}, "chosen": tile["chosen"], "bytes": tile["cost"]["bytes"]})
        own["rates"][tile["tile"]] = rate
    for own in found.values():
        own["best"] = max(own["rates"], key=own["rates"].__getitem__)
        own["share_of_best"] = own["rates"][_nearest(own["rates"], own["chosen"])] / own["rates"][own["best"]]
    return found


def _nearest(rates: dict[int, float], tile: int) -> int:
    """Return the measured tile that is nearest to another one, by their ratio."""
    return min(rates, key=lambda measured: (abs(log(measured / tile)), measured))


def _tile_constants(tiles: list[dict[str, Any]]) -> dict[str, int]:
    """Choose the bytes and the largest number of lanes of a tile that give the best mean rate over all networks.

    The rule is that of `cost.tile_size`. The mean is of ratios to each network's best rate; of equal ones, to within a
    hundredth, the smaller tiles are taken, which need less memory.
    """
    named = {f"{tile['cost']['bytes']:.6g}/{tile['tile']}": tile for tile in tiles}
    networks = list(best_tiles(named).values())
    if not networks:
        return {}
    best: tuple[float, int, int] | None = None
    for power in range(18, 37):
        for largest in (2**at for at in range(3, _LARGEST.bit_length())):
            score = exp(float(np.mean([log(_share(own, 2**power, largest)) for own in networks])))
            if best is None or score > best[0] + 0.01:
                best = (score, 2**power, largest)
    assert best is not None
    return {"TILE_BYTES_ACCELERATOR": best[1], "TILE_LARGEST_ACCELERATOR": best[2]}


def _share(own: dict[str, Any], tile_bytes: int, largest: int) -> float:
    wanted = min(largest, 2 ** max(0, int(np.log2(max(1.0, tile_bytes / own["bytes"])))))
    return own["rates"][_nearest(own["rates"], wanted)] / own["rates"][own["best"]]


def _speeds(tiles: list[dict[str, Any]]) -> dict[str, float]:
    """Fit the seconds of a lane-step at each network's best tile by its products and activations."""
    best: dict[float, dict[str, Any]] = {}
    for tile in tiles:
        key = tile["cost"]["flops"]
        if key not in best or (rate_of(tile) or 0) > (rate_of(best[key]) or 0):
            best[key] = tile
    if len(best) < 2:
        return {}
    counts = np.array([[tile["cost"]["flops"], tile["cost"]["activations"]] for tile in best.values()])
    seconds = np.array([1 / (rate_of(tile) or np.nan) for tile in best.values()])
    weights = 1 / seconds  # so that relative errors count, and small networks as much as large ones
    each, _ = nnls(counts * weights[:, None], seconds * weights)
    names = ("FLOPS_ACCELERATOR", "ACTIVATIONS_ACCELERATOR")
    return {name: float(f"{1 / own:.2g}") for name, own in zip(names, each, strict=True) if own > 0}


def _wave_bytes(cells: dict[str, Any]) -> dict[str, int]:
    """Find the smallest waves with which every network is nearly as fast as it gets, as a power of two of bytes."""
    needed = []
    networks = {name.split("/")[0] for name in cells}
    for network in sorted(networks):
        own = [
            cell["sides"]["sweep"] for name, cell in cells.items() if name.startswith(f"{network}/") and "sides" in cell
        ]
        rates = [(side["wave_bytes"], rate) for side in own if (rate := rate_of(side))]
        if len(rates) > 1:
            enough = _ENOUGH * max(rate for _, rate in rates)
            needed.append(min(size for size, rate in rates if rate >= enough))
    return {"WAVE_BYTES_ACCELERATOR": 2 ** (max(needed) - 1).bit_length()} if needed else {}
