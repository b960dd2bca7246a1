"""Where results come from, as attributes of their store."""

import json
import platform as machine
import re
import subprocess
import time
from collections.abc import Mapping
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from math import prod
from pathlib import Path
from typing import Any, Final

from sweep.base.errors import SweepError
from sweep.base.masks import read_mask, write_mask
from sweep.engine.compiler_options import list_options
from sweep.engine.numerics import consequential
from sweep.engine.plan import Devices, Fixed, Plan
from sweep.page.identity import fingerprint, page_attributes
from sweep.results.networks import kept

# Increased whenever a change of sweep's code changes the bits of results.
ENGINE: Final = 6
_DEVICE: Final = re.compile(r"(?P<kind>.*) \((?P<platform>\w+), .*\)")  # as `arithmetic` writes it
PACKAGES: Final = ("sweep-lanes", "jax", "jaxlib", "flax", "optax", "numpy", "xarray", "zarr")


def provenance(plan: Plan) -> dict[str, Any]:
    """Return attributes that say where results come from: page, its hash, versions, device, plan and commit."""
    experiment, devices = plan.experiment, plan.devices
    blocks = [
        {
            "tile": block.tile,
            "padded": block.training.padded,
            "lanes": len(members),
            "layers": block.training.description(),
        }
        for block, members in plan.blocks()
    ]
    versions = {name: _version(name) for name in PACKAGES}
    return {
        **page_attributes(experiment),
        "fingerprint": fingerprint(experiment),
        "versions": json.dumps(versions | {"python": machine.python_version()}),
        "device": f"{devices.count} x {devices.kind} ({devices.platform}), {machine.machine()}",
        "arithmetic": json.dumps(arithmetic(plan)),
        "plan": json.dumps(_fixes(plan) | {"programs": len(plan.programs), "blocks": blocks}),
        "commit": _commit(),
        "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def origin(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Say where results come from that another store takes over: what of their store's provenance it would lose."""
    return {name: attributes.get(name) for name in ("created", "commit", "device", "fingerprint")}


def _fixes(plan: Plan) -> dict[str, Any]:
    """Return what a store fixes of its plan, beside what it keeps, which its arrays say."""
    fixes: dict[str, Any] = {"wave_lanes": plan.wave_lanes, "chunk_lanes": plan.chunk_lanes}
    if plan.held is not None and not plan.held.all():  # otherwise lanes are in the order of a sweep that has none
        fixes["held"] = write_mask(plan.held)
    if plan.earlier_epochs:
        fixes["earlier_epochs"] = list(plan.earlier_epochs)
    return fixes


def fixed_by(attributes: Mapping[str, Any]) -> Fixed:
    """Read what a store has fixed of its plan.

    Args:
        attributes: those of the store, which has been checked.
    """
    found = json.loads(attributes["plan"])
    lanes = prod(size for _, size, _ in json.loads(attributes["dimensions"]))
    held = read_mask(found["held"], lanes) if "held" in found else None
    earlier = tuple(found.get("earlier_epochs", ()))
    device = _DEVICE.fullmatch(str(json.loads(attributes["arithmetic"]).get("device")))
    kind = device and (device["platform"], device["kind"])
    return Fixed(found["wave_lanes"], found["chunk_lanes"], kept(attributes), held, earlier, kind)


def arithmetic(plan: Plan) -> dict[str, Any]:
    """Return everything except the page that the bits of results depend on.

    These are the engine's number, tile sizes, the kind of device, versions, the options of the compiler, and settings
    of JAX and XLA. Options and settings are None if all have their defaults, as in older stores, which hold neither.
    """
    tiles = [block.tile for block, _ in plan.blocks()]
    kind = f"{plan.devices.kind} ({plan.devices.platform}, {machine.machine()})"
    chosen = {"options": list_options(plan.devices.platform), "settings": consequential()}
    return {"engine": ENGINE, "tiles": tiles, "device": kind, **bit_versions(), **chosen, "shared": shared_blocks(plan)}


def bit_versions() -> dict[str, str]:
    """Return the versions of the packages that the bits of results depend on."""
    return {name: _version(name) for name in ("jax", "jaxlib", "flax", "optax")}


def common_versions() -> dict[str, str]:
    """Return what all processes that fill one store must have in common: those versions, and the kind of processor."""
    return {**bit_versions(), "processor": machine.machine()}


def devices_of(attributes: Mapping[str, Any]) -> Devices:
    """Describe the devices on which a store was computed, of which there may be none here, as one of their kind.

    Raises:
        SweepError: if the store does not say.
    """
    found = _DEVICE.fullmatch(str(json.loads(attributes["arithmetic"]).get("device")))
    if found is None:
        raise SweepError("a store does not say on which kind of device it was computed: run its page again")
    return Devices(found["platform"], found["kind"], 1)


def shared_blocks(plan: Plan) -> str | None:
    """Return a hash of the trainings of all blocks if structures share any: then it is estimates that chose which."""
    trainings = [block.training for block, _ in plan.blocks()]
    if len(trainings) == len(plan.resolved.variants):
        return None
    described = json.dumps([[training.padded, training.description()] for training in trainings])
    return sha256(described.encode()).hexdigest()[:16]


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _commit() -> str:
    """Name the commit of the running code, with "-dirty" appended if files differ from it; "" outside a checkout."""
    home = Path(__file__).parents[2]
    if not (home / ".git").exists():
        return ""
    command = ["git", "-C", str(home), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""
