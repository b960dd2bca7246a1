"""Which process a file on disk belongs to, and whether that process still runs."""

import hashlib
import os
import secrets
import socket
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path


@dataclass(frozen=True)
class Owner:
    """A process, identified so that this machine and others can recognise it.

    Args:
        host: the machine's name, for users.
        machine: a hash that identifies the machine.
        boot: a hash that identifies the start of its kernel; "" where that can't be read.
        space: a hash of its process namespace, which the processes of one container share.
        pid: its process number.
        started: when it started, in clock ticks of the kernel; "" where that can't be read.
    """

    host: str
    machine: str
    boot: str
    space: str
    pid: int
    started: str

    def shares_kernel(self, other: "Owner") -> bool:
        """Tell whether two processes run on one kernel, so that each sees the other's `flock`."""
        return self.boot == other.boot if self.boot or other.boot else self.machine == other.machine

    def is_gone(self) -> bool | None:
        """Tell whether the process has ended; None where that can't be known from here."""
        here = this_process()
        if not self.shares_kernel(here) or self.space != here.space:
            return None
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except (PermissionError, OverflowError):  # a process of another user; no possible process number
            pass
        return bool(self.started) and self.started != _start_of(self.pid)  # the number may belong to a new process


def this_process() -> Owner:
    """Return the owner that stands for this process."""
    pid = os.getpid()
    return Owner(**_identity_of_host(), pid=pid, started=_start_of(pid))


def new_token() -> str:
    """Make a random name that is used once."""
    return secrets.token_hex(8)


@cache
def _identity_of_host() -> dict[str, str]:
    host = socket.gethostname()
    space = ""
    with suppress(OSError):
        space = os.readlink("/proc/self/ns/pid")
    return {
        "host": host,
        "machine": _short_hash(host + _read_text("/etc/machine-id")),
        "boot": _short_hash(_read_text("/proc/sys/kernel/random/boot_id")),
        "space": _short_hash(space),
    }


def _short_hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8] if text else ""


def _read_text(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except (OSError, ValueError):
        return ""


def _start_of(pid: int) -> str:
    """Return when a process started, "" where the system does not say it."""
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[19].decode()
    except (OSError, IndexError, ValueError):
        return ""
