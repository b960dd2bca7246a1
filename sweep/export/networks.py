"""Trained networks as safetensors files, one for each lane, which other frameworks load without code of the sweep.

A file for each lane and not one for all: what loads such a file expects the tensors of one network, by their names.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from sweep.base.errors import SweepError
from sweep.base.labels import STATUS
from sweep.base.trees import split
from sweep.export.folder import write_manifest
from sweep.results.dataset import LANE
from sweep.results.lane_choice import configuration, list_ended
from sweep.results.networks import kept, read_parameters
from sweep.results.store import check

MOST_FILES: Final = 1_000


def write_safetensors(store: Path, out: Path, say: Callable[[str], object], most: int | None) -> None:
    """Write the network of every lane that has ended as `lane-<number>.safetensors`.

    Tensors have the names of their paths, such as `layer_0.kernel` of shape (inputs, outputs) and `layer_0.bias`, and
    the page's precision. The metadata of a file, all text, are the lane's swept knobs, its `status`, its final `loss`,
    the `page`, its `fingerprint` and the `lane`.

    Args:
        store: the store.
        out: the folder to write.
        say: called with a line on what is written.
        most: how many files may be written; None for any number.

    Raises:
        SweepError: if the store does not keep networks, or if there are more lanes than files may be written.
    """
    from safetensors.numpy import save

    attributes = check(store)
    if kept(attributes) == "nothing":
        raise SweepError(
            f"{store} does not keep the trained networks: run its page with Record(keep='parameters') and --fresh"
        )
    ended = list_ended(store)
    count, lanes = ended.sizes[LANE], ended[LANE].values.tolist()
    if most is not None and count > most:
        raise SweepError(
            f"{count:,} lanes would give as many files, more than {most:,}: --force writes them all the same"
        )
    knobs = ended.drop_vars(["status", "loss"])
    out.mkdir()
    for lane, status, loss in zip(lanes, ended["status"].values.tolist(), ended["loss"].values.tolist(), strict=True):
        leaves, row = read_parameters(store, attributes, lane)
        tensors = {leaf.name(): values for leaf, values in zip(leaves, split(leaves, row), strict=True)}
        known = {"lane": str(lane), "status": STATUS[status], "loss": repr(loss)}
        # Written by us, since a library that writes to a full disk may leave half a file.
        content = save(tensors, configuration(knobs, lane) | known | _origin(attributes))
        (out / f"lane-{lane:0{len(str(max(lanes)))}d}.safetensors").write_bytes(content)
    say(f"{count:,} files, one for each lane that has ended")
    write_manifest(out, ended, "safetensors")


def _origin(attributes: Mapping[str, Any]) -> dict[str, str]:
    return {"page": str(attributes.get("name", "")), "fingerprint": str(attributes.get("fingerprint", ""))}
