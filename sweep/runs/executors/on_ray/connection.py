"""Connecting to Ray: a cluster with an address, or one of this machine alone that is started and ended here.

Ray that is started here listens on the loopback interface only, has no dashboard, and answers only who knows a random
token.
"""

import logging
import os
import secrets
import signal
import socket
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import ModuleType
from typing import Any, Final

from sweep.base.cores import count_cores
from sweep.base.errors import SweepError

ANSWERING: Final = 10.0  # seconds in which a cluster must answer
_LOCAL: Final = {
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # Ray's word, on any system, for: use the loopback interface
    "RAY_AUTH_MODE": "token",
}
_QUIET: Final = {
    "RAY_USAGE_STATS_ENABLED": "0",  # nothing is sent to anybody
    "RAY_gcs_rpc_server_reconnect_timeout_s": "86400",  # a lost head must not end this process without a word
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # a worker without a GPU sees the environment as it is
}


@contextmanager
def connected(address: str | None) -> Iterator[ModuleType]:
    """Be connected to Ray within a `with` block. A connection that there is already is used, and stays.

    Args:
        address: of a cluster, such as "auto" or "ray://host:10001"; None starts one of this machine alone.

    Yields:
        The package `ray`.

    Raises:
        SweepError: if Ray is not installed, or if no cluster answers at the address.
    """
    os.environ.update(_QUIET)
    ray = _import_ray(address)
    if ray.is_initialized():
        if address not in (None, "auto"):
            raise SweepError(
                f"this process is connected to Ray already, so it can't go to {address}: leave the address out, or "
                f"call ray.shutdown() first"
            )
        yield ray
        return
    with _keep_signal_handlers(), warnings.catch_warnings():
        # Ray starts its processes in a way that warns of the threads of JAX; but they run another program at once.
        warnings.filterwarnings("ignore", message=".*fork", category=RuntimeWarning)
        warnings.filterwarnings("ignore", message=".*fork", category=DeprecationWarning)
        _connect(ray, address)
    try:
        yield ray
    finally:
        with _keep_signal_handlers(), suppress(Exception):  # a cluster that has ended
            ray.shutdown()


def _import_ray(address: str | None) -> ModuleType:
    """Import Ray, which reads from the environment, once and for all, to which interface it belongs."""
    if address is None and "ray" not in sys.modules:
        for name, value in {**_LOCAL, "RAY_AUTH_TOKEN": secrets.token_hex(32)}.items():
            os.environ.setdefault(name, value)
    try:
        import ray
    except ImportError as error:
        raise SweepError(
            f"--on ray needs Ray, which is not installed here ({error}): pip install 'sweep-lanes[ray]'"
        ) from error
    return ray


def _connect(ray: ModuleType, address: str | None) -> None:
    quiet: dict[str, Any] = {"logging_level": logging.CRITICAL, "log_to_driver": False}
    try:
        if address is not None:
            _knock(_find(ray, address))
        if address is None:
            with suppress(AttributeError):  # if it was imported before, with another setting of the environment
                ray._private.ray_constants.ENABLE_RAY_CLUSTER = False
            ray.init(address="local", num_cpus=count_cores(), include_dashboard=False, **quiet)
        else:
            ray.init(address=address, **quiet)
    except Exception as error:  # of many kinds: of connections, versions, authentication
        line = next(iter(str(error).strip().splitlines()), type(error).__name__)
        where = "on this machine" if address is None else f"at {address}"
        raise SweepError(
            f"no Ray {where} ({line[:200]}): start one with `ray start --head`, correct --address, or leave it out for "
            f"this machine alone"
        ) from error
    _silence(ray)


def _find(ray: ModuleType, address: str) -> str:
    """Return the host and port of a cluster; Ray knows where on this machine one was started last."""
    if address != "auto":
        return address.removeprefix("ray://")
    with suppress(AttributeError):  # in a version where that is elsewhere
        return ray._private.services.canonicalize_bootstrap_address_or_die(address)
    return ""


def _knock(place: str) -> None:
    """Make sure that somebody listens there, since Ray would wait for minutes.

    Raises:
        OSError: if nobody does within `ANSWERING` seconds.
    """
    host, _, port = place.rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host.strip("[]"), int(port)), ANSWERING).close()


def _silence(ray: ModuleType) -> None:
    """Keep Ray from printing a paragraph about each lost worker, of which we print a line."""
    with suppress(AttributeError):
        ray._private.worker.print_to_stdstream = lambda *_, **__: None


@contextmanager
def _keep_signal_handlers() -> Iterator[None]:
    """Set the handlers of signals back that Ray replaces: signals are ours to obey."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            with suppress(ValueError):  # outside the main thread there are no handlers
                signal.signal(number, handler)
