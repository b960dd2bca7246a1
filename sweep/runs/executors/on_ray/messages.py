"""What is sent to a worker and back: small plain values. Imports no JAX."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from sweep.base.errors import SweepError
from sweep.runs.events import Event

if TYPE_CHECKING:
    from sweep.page.experiment import Experiment

MOST_WORKERS: Final = 100_000
# All of the environment that is sent: what the results of JAX and XLA depend on, and which kind of device is wanted.
_SENT: Final = ("JAX_", "XLA_", "NVIDIA_TF32_OVERRIDE")
_OWN: Final = (  # each machine's own affair
    "JAX_COMPILATION_CACHE_DIR", "JAX_ENABLE_COMPILATION_CACHE", "JAX_NUM_CPU_DEVICES", "JAX_CUDA_VISIBLE_DEVICES",
)  # fmt: skip


@dataclass(frozen=True)
class Settings:
    """How the process of a worker is set up before it loads JAX.

    Args:
        directory: the working directory, to which the paths of the page and of its files are relative.
        environment: variables of the environment.
        compile_cache: where compiled programs are kept, see `runs.compile_cache`; "" is the user's own folder.
    """

    directory: str
    environment: Mapping[str, str]
    compile_cache: str = ""


def sent_environment(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the part of an environment that is sent to workers."""
    return {name: value for name, value in environment.items() if name.startswith(_SENT) and name not in _OWN}


class Source(Protocol):
    """Where a worker gets the experiment from; it is pickled."""

    def load(self) -> "Experiment":
        """Load the experiment, on the worker.

        Raises:
            SweepError: if it can't be loaded there.
        """
        ...


@dataclass(frozen=True)
class Given:
    """An experiment that comes from no page: it is sent as it is."""

    experiment: "Experiment"

    def load(self) -> "Experiment":
        """Return it."""
        return self.experiment


@dataclass(frozen=True)
class Ray:
    """Where to run a sweep on Ray.

    Args:
        address: of a cluster, such as "auto" or "ray://host:10001"; None starts Ray on this machine alone.
        workers: how many processes train; None is as many as have a place: one for each GPU, or without
            GPUs each with as many cores as the smallest machine has.
        source: where workers get the experiment from; None sends the experiment itself.
        compile_cache: the folder, on each machine, in which compiled programs are kept, or "off"; "" is the user's own.

    Raises:
        SweepError: for anything but a whole number of workers from 1 on.
    """

    address: str | None = None
    workers: int | None = None
    source: Source | None = None
    compile_cache: str = ""

    def __post_init__(self) -> None:
        if self.workers is not None and (type(self.workers) is not int or not 1 <= self.workers <= MOST_WORKERS):
            raise SweepError(
                f"workers must be a whole number from 1 to {MOST_WORKERS:,}, got {self.workers!r}: leave it out for as "
                f"many as have a place"
            )


@dataclass(frozen=True)
class Description:
    """A worker's process and devices.

    Args:
        node: the name of its machine in Ray.
        host: the machine's name for users.
        pid: its process number.
        platform: "cpu", "gpu" or "tpu".
        kind: what JAX calls the kind of its devices.
        count: how many devices it has.
        memory: bytes that are free on its devices, all workers of its machine together if these are its cores.
        versions: what it must have in common with others, see `provenance.common_versions`.
    """

    node: str
    host: str
    pid: int
    platform: str
    kind: str
    count: int
    memory: int
    versions: Mapping[str, str]

    def words(self) -> str:
        """Return its devices in words."""
        return f"{self.count} x {self.kind} ({self.platform})"


@dataclass(frozen=True)
class Task:
    """What a worker works for.

    Args:
        source: gives the experiment.
        fingerprint: what the experiment's fingerprint must be.
        store: the store's folder.
        holder: the token of the lock under which the store is held.
        lease: the name of the worker's lease, see `results.store.leases`.
        wave_lanes: number of lanes in a wave of the plan.
        memory: the plan's budget in bytes.
        devices: number of its devices that it uses.
    """

    source: Source
    fingerprint: str
    store: str
    holder: str
    lease: str
    wave_lanes: int
    memory: int
    devices: int


@dataclass(frozen=True)
class Refused:
    """A worker can't work for a task.

    Args:
        reason: why, in one line.
    """

    reason: str


@dataclass(frozen=True)
class Failed:
    """A wave has ended with an error.

    Args:
        wave: its number in the plan; -1 while compiling.
        error: in one line.
        number: of an error of the operating system, such as that of a full disk; 0 for others.
        out_of_memory: whether it did not fit into memory.
    """

    wave: int
    error: str
    number: int = 0
    out_of_memory: bool = False


@dataclass(frozen=True)
class Stopped:
    """A worker has saved what it was training, as it was asked to, and trains nothing now."""


News = Event | Refused | Failed | Stopped
