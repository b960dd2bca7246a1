"""Working copies: folders in which stores of object storage are read and written, with the code for stores in folders.

What a bucket has is fetched into a folder for temporary files, and removed there at the end. What a run writes is
published in the order in which it is written: chunks, their digests, checkpoints, attributes. So at every moment the
bucket holds what a killed run would have left in a folder, and the run can be continued from any machine.

A new store is marked as unfinished until all of its files are published; a run that is killed before leaves that mark,
and the next one begins again.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Final

from sweep.base.errors import SweepError
from sweep.base.text import name_places, shown_as
from sweep.files import atomic_files, bucket_locks, locks
from sweep.files.addresses import Address, is_address, parse_address
from sweep.files.bucket_locks import BucketLock, is_of_lock, lock_bucket
from sweep.files.buckets import Bucket, Version
from sweep.files.places import LONGEST, ROOT
from sweep.files.safe_files import MOST_FILES, MOST_NESTED, list_files
from sweep.results.digests.folder import FOLDER, LAYOUT
from sweep.results.store.refusals import not_a_store_error

UNFINISHED: Final = "unfinished"
FRESH: Final = 1.0  # seconds for which it need not be asked again who holds a store: far below `locks.SILENT`
_ROUNDS: Final = 5  # of fetching what a run replaces meanwhile
_NEVER: Final = (float("-inf"), float("-inf"))
_COPIES: Final[dict[Path, "WorkingCopy"]] = {}


class WorkingCopy:
    """A folder and the bucket with which it is to agree.

    Args:
        folder: the folder, which need not exist.
        bucket: the objects of the store.
    """

    def __init__(self, folder: Path, bucket: Bucket) -> None:
        self.folder, self.bucket = folder, bucket
        self._known: dict[str, Version] = {}  # what the bucket has, as far as the folder had the same
        self._noted: dict[str, None] = {}  # files that are to be published with the next ones, in order
        self._fences: list[Callable[[], None]] = []
        self._published, self._checked = time.monotonic(), _NEVER

    def refresh(self) -> None:
        """Fetch what others have changed, until nothing has changed meanwhile, or a run goes on changing it.

        Raises:
            SweepError: if the bucket has something else there, or can't be used.
        """
        for _ in range(_ROUNDS):
            listed = self._list()
            changed = [name for name, version in listed.items() if self._known.get(name) != version]
            gone = self._known.keys() - listed.keys()
            if not changed and not gone:
                return
            self.fetch([*changed, *gone])

    def _list(self) -> dict[str, Version]:
        """List what the bucket has of the store; nothing if it is not complete yet."""
        listed = {name: version for name, version in self.bucket.versions().items() if not is_of_lock(name)}
        if ROOT not in listed and UNFINISHED in listed:
            return {}
        listed.pop(UNFINISHED, None)
        if listed and ROOT not in listed and f"{FOLDER}/{LAYOUT}" not in listed:
            raise not_a_store_error(self.folder)
        folders = {str(parent) for name in listed for parent in PurePosixPath(name).parents}
        if len(listed) > MOST_FILES or not all(map(_is_plain, listed)) or folders & listed.keys():
            raise SweepError(f"{self.folder} is refused: it has too many objects, or names that no file can have")
        return listed

    def fetch(self, names: Iterable[str]) -> None:
        """Fetch single files; those that the bucket does not have are removed from the folder."""
        names = list(names)
        for folder in {(self.folder / name).parent for name in names}:
            folder.mkdir(parents=True, exist_ok=True)
        versions = self.bucket.in_parallel(lambda name: self.bucket.fetch(name, self.folder / name), names)
        for name, version in zip(names, versions, strict=True):
            self._know(name, version)

    def _know(self, name: str, version: Version | None) -> None:
        if version is None:
            self._known.pop(name, None)
        else:
            self._known[name] = version

    def note(self, names: Iterable[str]) -> None:
        """Note files that were written or removed, and that are published before the next ones, or soon."""
        self._noted |= dict.fromkeys(names)
        if time.monotonic() - self._published > locks.BEAT:
            self.publish()

    def publish(self, *names: str) -> None:
        """Let the bucket agree with the folder: first in the files that were noted, in any order, then in these.

        Args:
            names: files that were written or removed, in this order.

        Raises:
            SweepError: if another process has taken over the store, or the bucket has not answered for long.
        """
        if first := [name for name in self._noted if name not in names]:
            self._check_fences()
            self.bucket.in_parallel(self._send, first)
        if names:
            self._check_fences()
        for name in names:
            self._send(name)
        self._noted, self._published = {}, time.monotonic()

    def _check_fences(self) -> None:
        """Make sure that this process may write, by two clocks: one of them stands still while a machine sleeps."""
        now = time.monotonic(), time.time()
        if all(abs(one - other) < FRESH for one, other in zip(now, self._checked, strict=True)):
            return
        for fence in self._fences:
            fence()
        self._checked = now

    def _send(self, name: str) -> None:
        place = self.folder / name
        if place.is_file():
            self._know(name, self.bucket.put(name, place))
        elif name in self._known:
            self.bucket.remove(name)
            self._know(name, None)

    @contextmanager
    def fenced(self, fence: Callable[[], None]) -> Iterator[None]:
        """Within a `with` block, call a function before anything is published; it raises if it must not be."""
        self._fences.append(fence)
        self._checked = _NEVER
        try:
            yield
            if self._noted:
                self.publish()
        finally:
            self._fences.remove(fence)
            self._noted = {}

    @contextmanager
    def hold(self) -> Iterator[BucketLock]:
        """Hold the store, and bring the folder up to date."""
        with lock_bucket(self.bucket) as lock, self.fenced(lock.check):
            self.refresh()
            self._remove_leftovers()
            yield lock

    def _remove_leftovers(self) -> None:
        """Remove what killed holders have left beside the store."""
        for name in self.bucket.versions():
            if name == UNFINISHED or (is_of_lock(name) and name != bucket_locks.NAME):
                self.bucket.remove(name)

    def create(self) -> None:
        """Publish a new store, which the folder has.

        Raises:
            InUseError: if another process makes a store there, or has just made one.
            SweepError: if it would lie in another store.
        """
        self._refuse_inside()
        files = [name for name in list_files(self.folder) if name != ROOT]
        with lock_bucket(self.bucket) as lock, self.fenced(lock.check):
            if self._list():
                raise locks.describe_use(self.bucket.address, None, float)
            self.bucket.put(UNFINISHED, b"")
            for name in self.bucket.versions():
                if name != UNFINISHED and not is_of_lock(name):
                    self.bucket.remove(name)
            self.note(files)
            self.publish(ROOT)
            self.bucket.remove(UNFINISHED)

    def _refuse_inside(self) -> None:
        address = self.bucket.address
        *parents, _ = address.prefix.split("/")
        for depth in range(1, len(parents) + 1):
            parent = "/".join(parents[:depth])
            if self.bucket.has(f"{parent}/{ROOT}"):
                outer = Address(address.scheme, address.bucket, parent)
                raise SweepError(f"{address} lies in {outer}, which is a store: name another place with --out")


def _is_plain(name: str) -> bool:
    """Tell whether an object's name is that of a file inside a folder; it may come from other people."""
    parts = name.split("/")
    fits = len(parts) <= MOST_NESTED and all(len(part.encode()) <= LONGEST for part in parts)
    return fits and not {"", ".", ".."} & {*parts} and "\0" not in name


def find_copy(path: Path) -> WorkingCopy | None:
    """Find the working copy that a folder is; None for any other folder."""
    return _COPIES.get(path)


def publish(path: Path, *names: str) -> None:
    """Publish files of a folder if it is a working copy: see `WorkingCopy.publish`."""
    if copy := find_copy(path):
        copy.publish(*names)


@contextmanager
def copied(address: Address) -> Iterator[WorkingCopy]:
    """Have an empty working copy of a store within a `with` block; it is removed afterwards.

    Raises:
        SweepError: if the bucket can't be used; in errors the folder has the name of the address.
    """
    bucket = Bucket(address)
    with atomic_files.make_temporary_folder() as outer:
        copy = WorkingCopy(outer.resolve() / address.name, bucket)
        _COPIES[copy.folder] = copy
        try:
            with shown_as(str(copy.folder), str(address)), _naming():
                yield copy
        finally:
            del _COPIES[copy.folder]


@contextmanager
def _naming() -> Iterator[None]:
    """Name the address in errors."""
    try:
        yield
    except SweepError as error:
        error.args = (name_places(str(error)),)
        raise


@contextmanager
def in_folder(place: str | Path, spare: int = 0) -> Iterator[Path]:
    """Have the folder of a store within a `with` block: its own, or of one in object storage an up-to-date copy.

    Args:
        place: a path, an address, or the folder of a working copy.
        spare: bytes that the last name of an address must leave free.

    Raises:
        SweepError: for a place that can't exist; for a bucket that can't be used; and any that the body raises, in
            which the folder has the name of the address.
    """
    if is_address(place):
        with copied(parse_address(place, spare)) as copy:
            copy.refresh()
            yield copy.folder
        return
    if copy := find_copy(Path(place)):
        copy.refresh()
    yield Path(place)
