"""The address of a file that lasts, and the token in it that opens this one file to whoever has no key.

The token is HMAC-SHA256 over the job's id, under a label of its own, so that the same secret may sign other things
without one passing for the other. It is cut to 128 bits, half of the hash, which RFC 2104 (section 5) gives as the
least to be kept: guessing one takes 2^127 requests on average, and a link is 22 characters longer instead of 43. It
does not end by itself, as the file's address is the one to keep; deleting the job ends it, and a new secret ends all.
"""

from __future__ import annotations

import base64
import hmac
import time
from collections.abc import Callable

from urlshot.kept import KEPT_SECONDS, Kept

_LABEL = b"urlshot file v1\n"
_BYTES = 16

DOUBT_SECONDS = 30.0
"""How old the key may be that refuses a token: a wrong token makes us ask for the secret anew, this often at most."""


class FileLinks:
    """Makes and checks the addresses of files.

    `key` gives the secret key, and is asked when it is first needed and again when the answer may be old; None is an
    endpoint without keys, where every file is open and no address has a token.
    """

    def __init__(self, key: Callable[[], bytes] | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._key = None if key is None else Kept(key, clock)

    def path(self, job_id: str) -> str:
        """The address of a job's file, below that of the API.

        Raises:
            Transient, Broken: the key cannot be had.
        """
        token = "" if self._key is None else f"?token={_token(self._key.get(), job_id)}"
        return f"/pdf/{job_id}/file{token}"

    def opens(self, job_id: str, token: str | None) -> bool:
        """Whether a request with this token, or none, may have the file.

        Raises:
            Transient, Broken: the key cannot be had.
        """
        if self._key is None:
            return True
        if not token:
            return False
        given = token.encode(errors="replace")
        return any(
            hmac.compare_digest(_token(self._key.get(max_age), job_id).encode(), given)
            for max_age in (KEPT_SECONDS, DOUBT_SECONDS)
        )


def _token(key: bytes, job_id: str) -> str:
    digest = hmac.digest(key, _LABEL + job_id.encode(), "sha256")[:_BYTES]
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
