"""The client for buckets, `obstore`, and what its errors mean.

It reads S3's or Google's usual environment variables. Credentials are neither stored nor printed: of what a service
answers only the code and the message are shown.
"""

import os
import re
from typing import TYPE_CHECKING, Final, NamedTuple

from sweep.base.errors import SweepError
from sweep.files.addresses import Address

if TYPE_CHECKING:
    from obstore.store import GCSStore, S3Store

_ENDPOINTS: Final = ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT")
_TIMEOUTS: Final = {"connect_timeout": "5s", "read_timeout": "60s", "timeout": "10m"}
_STATUS: Final = re.compile(r"non-2xx status code: ([0-9]{3})")
_CODE: Final = re.compile(r"<Code>([^<]{1,80})</Code>")
_MESSAGE: Final = re.compile(r"<Message>([^<]{1,200})</Message>")
_HOST: Final = re.compile(r"Error performing [A-Z]+ https?://([A-Za-z0-9.:-]+)/")
_INSTANCE: Final = "169.254.169.254"  # asked for credentials where the environment has none
_TRANSIENT: Final = ("408", "409", "429")  # besides 5xx: too slow, in conflict with another request, too many
CREDENTIALS: Final = {
    "s3": "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION and AWS_ENDPOINT_URL",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS",
}


class Reason(NamedTuple):
    """Why a request failed.

    Args:
        status: the status of the service's answer, "" if there was none.
        words: for users.
        is_about_bucket: there is no such bucket.
        lacks_credentials: nobody has given any.
    """

    status: str
    words: str
    is_about_bucket: bool
    lacks_credentials: bool

    @classmethod
    def of(cls, error: Exception) -> "Reason":
        """Read the message of an error; of the service's answer only its code and message, never the rest."""
        text = str(error).partition("\n\nDebug source")[0]
        status, code, message = (_first(pattern, text) for pattern in (_STATUS, _CODE, _MESSAGE))
        if not status and "redirect" in text:
            return cls("301", "the bucket is in another region", False, False)
        answer = f"status {status}" if status else f"no connection to {_first(_HOST, text)}"
        words = ": ".join(filter(None, (code, message))) or answer
        return cls(status, words, code == "NoSuchBucket", _INSTANCE in text)

    @property
    def is_transient(self) -> bool:
        """Whether the same request may succeed later."""
        no_answer = not self.status or self.status in _TRANSIENT or self.status.startswith("5")
        return no_answer and not self.lacks_credentials


def _first(pattern: re.Pattern[str], text: str) -> str:
    found = pattern.search(text)
    return found[1] if found else ""


def open_client(address: Address) -> "S3Store | GCSStore":
    """Open the client of an address's bucket; nothing is sent yet.

    Raises:
        SweepError: if it is not installed, or if the environment has settings that it can't read.
    """
    try:
        from obstore.exceptions import BaseError
        from obstore.store import GCSStore, S3Store
    except ModuleNotFoundError:
        raise SweepError(f"{address} needs obstore, which is not installed: pip install 'sweep-lanes[cloud]'") from None
    client = S3Store if address.scheme == "s3" else GCSStore
    # Without encryption only where the user says so.
    plain = any(os.environ.get(name, "").startswith("http://") for name in _ENDPOINTS)
    try:
        return client(
            address.bucket,
            client_options={**_TIMEOUTS, "allow_http": plain},  # pyright: ignore[reportArgumentType]
            retry_config={"max_retries": 0},
        )
    except (BaseError, ValueError) as error:
        reason = next(iter(str(error).splitlines()), "")[:200]
        raise SweepError(f"the settings for {address} in the environment can't be read: {reason}") from None
