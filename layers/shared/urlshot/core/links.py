"""Makes and checks the lasting link of a file, whose token gives access to this one file without an API key.

The token is an HMAC-SHA256 of the job's id. A label before the id separates tokens from other signatures with the same
secret. The HMAC is cut to 128 bits: half of the hash, the least that RFC 2104 (section 5) recommends. To guess a token
takes 2^127 requests on average, and the token has 22 characters instead of 43. A token has no expiry, because the link
is meant to be kept. Deleting the job ends its link, and a new secret ends all links.
"""

from __future__ import annotations

import base64
import hmac
import time
from collections.abc import Callable

from urlshot.core.cached import CACHE_SECONDS, Cached

_LABEL = b"urlshot file v1\n"
_BYTES = 16

DOUBT_SECONDS = 30.0
"""Age of the key up to which it may refuse a token; an older key is read again first, so at most this often."""


class FileLinks:
    """Makes and checks the links of files."""

    def __init__(self, key: Callable[[], bytes] | None, clock: Callable[[], float] = time.monotonic) -> None:
        """Prepares the links.

        Args:
            key: Reads the secret key. None is for an endpoint without API keys: every file is open, and links have no
                token.
            clock: Returns the time in seconds.
        """
        self._key = None if key is None else Cached(key, clock)

    def path(self, job_id: str) -> str:
        """Returns the path of a job's file, relative to the API's URL.

        Raises:
            Transient, Broken: The key cannot be read.
        """
        token = "" if self._key is None else f"?token={_token(self._key.get(), job_id)}"
        return f"/pdf/{job_id}/file{token}"

    def opens(self, job_id: str, token: str | None) -> bool:
        """Returns whether a request with this token, or with none, may read the file.

        Raises:
            Transient, Broken: The key cannot be read.
        """
        if self._key is None:
            return True
        if not token:
            return False
        given = token.encode(errors="replace")
        return any(
            hmac.compare_digest(_token(self._key.get(max_age), job_id).encode(), given)
            for max_age in (CACHE_SECONDS, DOUBT_SECONDS)
        )


def _token(key: bytes, job_id: str) -> str:
    digest = hmac.digest(key, _LABEL + job_id.encode(), "sha256")[:_BYTES]
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
