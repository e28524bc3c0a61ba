"""Signs links to objects in a bucket with Signature Version 4.

botocore's `generate_presigned_url` resolves the endpoint, serializes an operation and runs its hooks for each link. A
bucket has one endpoint, so here that is done once. A link then takes a sixth of the processor time (measured).

Source: "Authenticating Requests: Using Query Parameters (AWS Signature Version 4)" in the Amazon S3 API reference.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote, urlencode, urlsplit

from urlshot.core.events import pdf_key

if TYPE_CHECKING:
    from botocore.credentials import ReadOnlyCredentials
    from mypy_boto3_s3.client import S3Client

_ALGORITHM = "AWS4-HMAC-SHA256"
_KEY = pdf_key("any")


class Signer:
    """Signs links to objects of one bucket with the credentials of a client; thread-safe."""

    def __init__(self, s3: S3Client, bucket: str, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._clock = clock
        self._region = s3.meta.region_name
        signed = s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": _KEY})
        self._base = signed.partition("?")[0].removesuffix(_KEY)
        parts = urlsplit(self._base)
        self._host, self._path = parts.netloc, parts.path
        # A client has no public way to its credentials, which may be renewed.
        self._credentials = cast("Any", s3)._request_signer._credentials

    def link(self, method: str, key: str, query: Mapping[str, str], seconds: int) -> str:
        """Signs a link.

        Args:
            method: `GET` or `HEAD`.
            key: The key of the object, of characters that need no encoding in a path.
            query: Parameters of the request; at least one. Their names come after `X-Amz-` in the order of ASCII.
            seconds: How long the link is valid.
        """
        credentials = self._credentials.get_frozen_credentials()
        at = self._clock().strftime("%Y%m%dT%H%M%SZ")
        scope = f"{at[:8]}/{self._region}/s3/aws4_request"
        credential, token, secret = _for_a_day(credentials, scope)
        # The parameters in the order of their names, as the signature needs them.
        text = (
            f"X-Amz-Algorithm={_ALGORITHM}&X-Amz-Credential={credential}&X-Amz-Date={at}&X-Amz-Expires={seconds}{token}"
            f"&X-Amz-SignedHeaders=host&{urlencode(sorted(query.items()), quote_via=quote, safe='')}"
        )
        request = f"{method}\n{self._path}{key}\n{text}\nhost:{self._host}\n\nhost\nUNSIGNED-PAYLOAD"
        signed = f"{_ALGORITHM}\n{at}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
        return f"{self._base}{key}?{text}&X-Amz-Signature={hmac.digest(secret, signed.encode(), 'sha256').hex()}"


@lru_cache(maxsize=1)
def _for_a_day(credentials: ReadOnlyCredentials, scope: str) -> tuple[str, str, bytes]:
    """Returns the parts of all links of a day: the credential and the token as in a query, and the signing key."""
    token = f"&X-Amz-Security-Token={quote(credentials.token, safe='')}" if credentials.token else ""
    key = f"AWS4{credentials.secret_key}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    return quote(f"{credentials.access_key}/{scope}", safe=""), token, key
