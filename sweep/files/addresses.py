"""Addresses of stores in object storage, "s3://bucket/name" and "gs://bucket/name".

Code that reads and writes stores knows folders only. Of a store in a bucket it gets a *working copy*, a folder in the
system's folder for temporary files (`results.store.working_copies`). Messages name the address, as the folder says
nothing to users: `base.text.shown_as` holds which folder is called what.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sweep.base.errors import SweepError
from sweep.base.text import check_characters

MOST_BYTES: Final = 700  # of a name in a bucket; keys have at most 1,024, and names of files are appended
_SCHEME: Final = re.compile(r"(s3|gs):/+")  # one "/" where pathlib has removed the other
_BUCKET: Final = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]")
_KNOWN: Final = {"s3": "S3", "gs": "Google Cloud Storage"}


@dataclass(frozen=True)
class Address:
    """The place of a store in a bucket.

    Args:
        scheme: "s3" or "gs".
        bucket: name of the bucket.
        prefix: what the keys of its files begin with, without "/" at the end.
    """

    scheme: str
    bucket: str
    prefix: str

    def __str__(self) -> str:
        return f"{self.scheme}://{self.bucket}/{self.prefix}"

    @property
    def name(self) -> str:
        """The last name of the address."""
        return self.prefix.rpartition("/")[2]

    @property
    def service(self) -> str:
        """What users call the service."""
        return _KNOWN[self.scheme]


def is_address(place: object) -> bool:
    """Tell whether a text or a path is meant as an address."""
    return isinstance(place, str | Path) and _SCHEME.match(str(place)) is not None


def parse_address(place: str | Path, spare: int = 0) -> Address:
    """Parse the address of a store.

    Args:
        place: the address.
        spare: bytes that the last name must leave free, for what is appended to it.

    Raises:
        SweepError: for an address that no store can have.
    """
    text = str(place)
    check_characters("an address", text)
    found = _SCHEME.match(text)
    assert found is not None, "only addresses are parsed"
    bucket, _, prefix = text[found.end() :].partition("/")
    address = Address(found[1], bucket, prefix.rstrip("/"))
    if not _BUCKET.fullmatch(bucket):
        raise SweepError(f"{address} names no bucket of {address.service}: give {found[1]}://BUCKET/NAME")
    if not address.prefix:
        raise SweepError(f"{address} names a bucket and no store in it: give {address}NAME")
    if {"", ".", ".."} & {*address.prefix.split("/")}:
        raise SweepError(f"{address} has an empty name, . or .. in it: give {found[1]}://BUCKET/NAME without these")
    if len(address.prefix.encode()) > MOST_BYTES or len(address.name.encode()) > 255 - spare:
        raise SweepError(f"the name in {address} is too long: take one of at most 240 bytes")
    return address
