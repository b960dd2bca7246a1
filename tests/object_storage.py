"""A local S3 server over HTTP, of another project (`moto`), and a way to it that can be cut."""

import os
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPConnection

LOCAL = "127.0.0.1"


class Way:
    """A port of this machine that leads to another one, until it is cut."""

    def __init__(self, port: int) -> None:
        self._target = (LOCAL, port)
        self._open, self._ended = threading.Event(), threading.Event()
        self._listener = socket.create_server((LOCAL, 0))
        self.port = self._listener.getsockname()[1]
        self.mend()
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Close every connection, and each new one at once."""
        self._open.clear()

    def mend(self) -> None:
        self._open.set()

    def close(self) -> None:
        self._ended.set()
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while not self._ended.is_set():
                threading.Thread(target=self._relay, args=(self._listener.accept()[0],), daemon=True).start()

    def _relay(self, near: socket.socket) -> None:
        with suppress(OSError), near, socket.create_connection(self._target) as far:
            other = {near: far, far: near}
            while self._open.is_set():
                for end in select.select([near, far], [], [], 0.05)[0]:
                    if not (data := end.recv(65536)):
                        return
                    other[end].sendall(data)


@contextmanager
def serve() -> Iterator[int]:
    """Run the server in a process of its own within a `with` block; yield its port."""
    with socket.create_server((LOCAL, 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-H", LOCAL, "-p", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ})
    try:
        for _ in range(600):
            with suppress(OSError), socket.create_connection((LOCAL, port)):
                break
            assert process.poll() is None, "the server did not start"
            time.sleep(0.05)
        yield port
    finally:
        process.kill()
        process.wait()


def request(port: int, method: str, path: str, body: bytes = b"") -> int:
    """Send a request as it is, without a client that might correct it; return the status."""
    connection = HTTPConnection(LOCAL, port)
    connection.putrequest(method, path)
    connection.putheader("Content-Length", str(len(body)))
    connection.endheaders(body)
    return connection.getresponse().status
