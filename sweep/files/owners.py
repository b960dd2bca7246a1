"""Whose a file is that a running process left on disk: which process made it, and whether that is still there."""

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
    """A process, as it can be known again from the same machine and from others.

    Args:
        host: the machine's name, for people.
        machine: what tells the machine from others.
        boot: what tells since when its kernel runs; "" where that can't be read.
        space: which processes see its number: those of one container.
        pid: its number.
        started: when it started, in the kernel's own count; "" where that can't be read.
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
        """Tell whether the process has ended; None where that can't be told from here."""
        here = this_process()
        if not self.shares_kernel(here) or self.space != here.space:
            return None
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except (PermissionError, OverflowError):  # another user's; no number of a process
            pass
        return bool(self.started) and self.started != _start_of(self.pid)  # its number may be another's by now


def this_process() -> Owner:
    """Give this process."""
    pid = os.getpid()
    return Owner(**_here(), pid=pid, started=_start_of(pid))


def token() -> str:
    """Make a name that no two owners have alike."""
    return secrets.token_hex(8)


@cache
def _here() -> dict[str, str]:
    host = socket.gethostname()
    space = ""
    with suppress(OSError):
        space = os.readlink("/proc/self/ns/pid")
    return {
        "host": host,
        "machine": _short(host + _text("/etc/machine-id")),
        "boot": _short(_text("/proc/sys/kernel/random/boot_id")),
        "space": _short(space),
    }


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8] if text else ""


def _text(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except (OSError, ValueError):
        return ""


def _start_of(pid: int) -> str:
    """Give the moment at which a process started, "" where the system does not tell."""
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[19].decode()
    except (OSError, IndexError, ValueError):
        return ""
