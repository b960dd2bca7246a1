"""Objects of a bucket, with patience: a service that does not answer is asked again, with growing pauses.

Conditions of a request are what locks consist of: an object is created only if there is none, and replaced only in the
version that was read.
"""

import threading
import time
import warnings
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

from sweep.base.errors import SweepError, SweepWarning
from sweep.files.addresses import Address
from sweep.files.bucket_client import CREDENTIALS, Reason, open_client

PATIENCE: Final = 600.0  # seconds without any answer after which it is given up
FIRST_PAUSE: Final = 0.5  # seconds between two tries
MOST_PAUSE: Final = 15.0
AT_ONCE: Final = 16  # requests
_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


class Version(NamedTuple):
    """One version of an object, by which it is replaced only if nobody else has replaced it.

    Args:
        tag: S3's name of it.
        generation: Google's.
    """

    tag: str | None
    generation: str | None

    def condition(self) -> dict[str, str]:
        """Return it as a condition of a request."""
        known = {"e_tag": self.tag, "version": self.generation}
        return {name: value for name, value in known.items() if value is not None}


class Found(NamedTuple):
    """An object that was read.

    Args:
        content: its bytes.
        version: its version.
        written: when it was written, by the service's clock.
    """

    content: bytes
    version: Version
    written: datetime


class Bucket:
    """The objects below an address, by names relative to it.

    Args:
        address: the address.
        patient: whether it waits for a service that does not answer.

    Raises:
        SweepError: if `obstore` is not installed, or if the environment has settings that it can't read.
    """

    def __init__(self, address: Address, *, patient: bool = True) -> None:
        self.address, self._patience = address, PATIENCE if patient else 0.0
        self._client = open_client(address)
        self._failing_since: float | None = None
        self._interrupted, self._saying = threading.Event(), threading.Lock()

    def versions(self) -> dict[str, Version]:
        """List the objects: versions by name. Objects with an empty name, which stand for folders, are left out."""
        entries = self._ask(lambda: self._client.list(f"{self.address.prefix}/").collect())
        found = {str(each["path"])[len(self.address.prefix) + 1 :]: _version(each) for each in entries}
        return {name: version for name, version in found.items() if name}

    def read(self, name: str, most: int) -> Found | None:
        """Read a small object.

        Args:
            name: its name.
            most: bytes that it may have; of a larger one the content counts as empty.

        Returns:
            What was read, None if there is no such object.
        """

        def ask() -> Found:
            got = self._client.get(self._key(name))
            content = bytes(got.bytes()) if got.meta["size"] <= most else b""
            return Found(content, _version(got.meta), got.meta["last_modified"])

        try:
            return self._ask(ask)
        except FileNotFoundError:
            return None

    def has(self, key: str) -> bool:
        """Tell whether there is an object; by its key in the bucket."""
        try:
            self._ask(lambda: self._client.head(key))
        except FileNotFoundError:
            return False
        return True

    def fetch(self, name: str, place: Path) -> Version | None:
        """Write an object to a file.

        Args:
            name: its name.
            place: the file, in a folder that exists.

        Returns:
            Its version, None if there is no such object; then there is no file either.
        """

        def ask() -> Version:
            got = self._client.get(self._key(name))
            with place.open("wb") as file:
                for part in got.stream():
                    file.write(part)
            return _version(got.meta)

        try:
            return self._ask(ask)
        except FileNotFoundError:
            place.unlink(missing_ok=True)
            return None

    def put(self, name: str, content: Path | bytes) -> Version:
        """Write an object, in one step; what is there is replaced."""
        return self._put(name, content)

    def create(self, name: str, content: bytes) -> Version | None:
        """Write an object if there is none; None if there is one."""
        return self._put_if(name, content, "create")

    def replace(self, name: str, content: bytes, version: Version) -> Version | None:
        """Write an object if it still has some version; None if it has another one, or is gone."""
        return self._put_if(name, content, version.condition())

    def _put(self, name: str, content: Path | bytes, mode: Any = "overwrite") -> Version:
        return _version(self._ask(lambda: self._client.put(self._key(name), content, mode=mode)))

    def _put_if(self, name: str, content: bytes, mode: Any) -> Version | None:
        """Write under a condition. An earlier try may have succeeded without an answer: then it is our content."""
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        try:
            return self._put(name, content, mode)
        except (AlreadyExistsError, PreconditionError, FileNotFoundError):
            found = self.read(name, len(content))
            return found.version if found is not None and found.content == content else None

    def remove(self, name: str) -> None:
        """Remove an object, if there is one."""
        with suppress(FileNotFoundError):
            self._ask(lambda: self._client.delete(self._key(name)))

    def in_parallel(self, work: Callable[[_Item], _Result], items: Iterable[_Item]) -> list[_Result]:
        """Do something for several objects at once, in any order; if it fails, nothing goes on in the background."""
        pool = ThreadPoolExecutor(AT_ONCE)
        try:
            return list(pool.map(work, items))
        except BaseException:
            self._interrupted.set()
            raise
        finally:
            pool.shutdown(cancel_futures=True)
            self._interrupted.clear()

    def _key(self, name: str) -> str:
        return f"{self.address.prefix}/{name}"

    def _ask(self, request: Callable[[], _Result]) -> _Result:
        """Make a request, again and again while the service does not answer.

        Raises:
            FileNotFoundError: if there is no such object.
            obstore.exceptions.AlreadyExistsError, PreconditionError: if a condition does not hold.
            SweepError: for a bucket that can't be used, and after `PATIENCE` seconds without an answer.
        """
        from obstore.exceptions import AlreadyExistsError, BaseError, InvalidPathError, PreconditionError

        pause = FIRST_PAUSE
        while True:
            try:
                result = request()
            except (AlreadyExistsError, PreconditionError):
                raise
            except InvalidPathError:  # other people's objects
                raise SweepError(f"{self.address} is refused: it has objects whose names no file can have") from None
            except (FileNotFoundError, BaseError) as error:
                reason = Reason.of(error)
                if isinstance(error, FileNotFoundError) and not reason.is_about_bucket:
                    raise
                if not reason.is_transient:
                    raise self._refusal(reason) from None
                self._wait(pause, reason)
                pause = min(2 * pause, MOST_PAUSE)
            else:
                self._failing_since = None
                return result

    def _wait(self, pause: float, reason: Reason) -> None:
        """Wait before the next try, and say so once.

        Raises:
            SweepError: if the service has not answered for too long.
        """
        with self._saying:
            first, self._failing_since = self._failing_since is None, self._failing_since or time.monotonic()
            silent = time.monotonic() - self._failing_since
            if silent < self._patience and first:
                warnings.warn(
                    f"waiting, as {self.address} does not answer ({reason.words})", SweepWarning, stacklevel=2
                )
        if silent >= self._patience or self._interrupted.wait(pause):
            raise SweepError(
                f"{self.address} has not answered for {silent:.0f} s ({reason.words}): what is stored there is intact; "
                f"try again when it answers, a run with --resume"
            )

    def _refusal(self, reason: Reason) -> SweepError:
        if reason.lacks_credentials:
            return SweepError(
                f"there are no credentials for {self.address}: set {CREDENTIALS[self.address.scheme]}; "
                f"docs/cluster.md has all variables"
            )
        return SweepError(
            f"{self.address} can't be used ({reason.words}): check the bucket's name, your rights, and "
            f"{CREDENTIALS[self.address.scheme]}"
        )


def _version(meta: Mapping[str, Any]) -> Version:
    return Version(meta["e_tag"], meta["version"])
