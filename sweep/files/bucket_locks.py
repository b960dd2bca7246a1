"""The lock of a store in a bucket: an object that names its holder, written only under conditions.

It is created only if there is none (S3: `If-None-Match: *`), and replaced only in the version that was read
(`If-Match`). So of two processes that take it at once, one has it. The holder replaces it every `locks.BEAT` seconds as
a sign of life. It is taken over after `locks.SILENT` seconds without one, by the clock of the bucket, or at once if the
holder was a process on this kernel that has ended. Its content is that of the lock's file in a folder (`locks`).
"""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Final

from sweep.base.errors import SweepError
from sweep.files import locks
from sweep.files.bounded_json import parse
from sweep.files.buckets import Bucket, Found, Version
from sweep.files.locks import Holder, Lock
from sweep.files.owners import new_token

NAME: Final = f"{locks.LOCK}.json"
MOST_BYTES: Final = 4096
_TRIES: Final = 5
_PAUSE: Final = 0.05


class BucketLock(Lock):
    """A lock that this process holds.

    Args:
        bucket: the bucket.
        holder: this process.
        version: the version of the object that says so.
    """

    def __init__(self, bucket: Bucket, holder: Holder, version: Version) -> None:
        super().__init__(Path(bucket.address.prefix), locks.LOCK, holder)
        self._bucket, self._version, self._beats = bucket, version, 0
        self._hasty = Bucket(bucket.address, patient=False)

    def check(self) -> None:
        """Make sure that this process still holds the lock, before it writes.

        Raises:
            SweepError: if another process has taken over the lock, because this one was suspended.
        """
        check_token(self._bucket, self.token)

    def touch(self) -> None:
        """Give a sign of life, if the bucket answers and this process still holds the lock."""
        with suppress(SweepError):
            self._renew()

    def release(self) -> None:
        """Remove the object, if it is still that of this process.

        A sign of life comes first: nobody else takes the lock between the two requests. If the bucket does not answer,
        the object stays, and the next holder takes it over.
        """
        with suppress(SweepError):
            if self._renew():
                self._hasty.remove(NAME)

    def _renew(self) -> bool:
        """Replace the object, and tell whether that succeeded: once more if an earlier answer was lost."""
        for _ in range(2):
            self._beats += 1
            if written := self._hasty.replace(NAME, _content(self._holder, self._beats), self._version):
                self._version = written
                return True
            found = self._hasty.read(NAME, MOST_BYTES)
            holder = _holder_in(found)
            if found is None or holder is None or holder.token != self.token:
                return False
            self._version = found.version
        return False


@contextmanager
def lock_bucket(bucket: Bucket) -> Iterator[BucketLock]:
    """Hold the lock of a store in a bucket during the body.

    Args:
        bucket: the bucket, below the store's address.

    Raises:
        InUseError: if another process holds it; the message names that process.
        SweepError: if the bucket can't be used, or has not answered for long.
    """
    lock = _take(bucket)
    try:
        with locks.send_heartbeats(lock.touch):
            yield lock
    finally:
        lock.release()


def check_token(bucket: Bucket, token: str) -> None:
    """Make sure that a store is held under a token.

    Raises:
        SweepError: if it is not.
    """
    holder = _holder_in(bucket.read(NAME, MOST_BYTES))
    if holder is None or holder.token != token:
        raise locks.taken_over_error(bucket.address, holder)


def is_of_lock(name: str) -> bool:
    """Tell whether an object belongs to the lock, and not to the store."""
    return name == NAME or (name.startswith(NAME) and locks.is_leftover(name))


def _take(bucket: Bucket) -> BucketLock:
    """Take the lock, with several tries, as others may take or release it at the same moment."""
    mine, found = locks.new_holder(flocked=False), None
    for _ in range(_TRIES):
        if version := bucket.create(NAME, _content(mine, 0)):
            _refuse_unconditional(bucket, mine)
            return BucketLock(bucket, mine, version)
        found = bucket.read(NAME, MOST_BYTES)
        if found is None:  # it was released at this moment
            continue
        if not _has_ended(bucket, found):
            break
        if version := bucket.replace(NAME, _content(mine, 0), found.version):
            return BucketLock(bucket, mine, version)
        time.sleep(_PAUSE)
    raise locks.describe_use(bucket.address, _holder_in(found), lambda: _age(bucket, found))


def _refuse_unconditional(bucket: Bucket, mine: Holder) -> None:
    """Refuse a service that ignores conditions, as some that are like S3 do: then everybody would have the lock."""
    if bucket.create(NAME, _content(mine, 1)):
        bucket.remove(NAME)
        raise SweepError(
            f"{bucket.address} can't hold a store that is written: its service ignores conditional writes "
            f"(If-None-Match), which keep two runs apart; use another service, or a folder"
        )


def _has_ended(bucket: Bucket, found: Found) -> bool:
    holder = _holder_in(found)
    gone = None if holder is None else holder.owner.is_gone()
    return _age(bucket, found) > locks.SILENT if gone is None else gone


def _holder_in(found: Found | None) -> Holder | None:
    try:
        return None if found is None else locks.parse_holder(parse(found.content.decode()))
    except (ValueError, TypeError, KeyError):
        return None


def _content(holder: Holder, beats: int) -> bytes:
    """Write a holder; the number of its signs of life makes each version another one, as S3 names them by content."""
    return json.dumps({**asdict(holder), "beats": beats}).encode()


def _age(bucket: Bucket, found: Found | None) -> float:
    """Return the seconds since an object was written, by the clock of the bucket: those of hosts differ."""
    probe = f"{NAME}.{new_token()}"
    bucket.put(probe, b"")
    now = bucket.read(probe, 0)
    bucket.remove(probe)
    return 0.0 if now is None or found is None else max(0.0, (now.written - found.written).total_seconds())
