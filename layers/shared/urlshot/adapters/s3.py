"""Gives access to S3: short waits, conditional writes, and errors of `urlshot.core.errors`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from urlshot.adapters.aws import client
from urlshot.core.errors import Broken, Transient

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

# S3 answers 409 to a conditional write during another write of the same key (S3 API reference, PutObject).
_TRIES_ON_409 = 5


class Conflict(Exception):
    """The condition of a write failed: the object is another one, or there is one where none may be.

    Attributes:
        found: The job's record and its ETag, if they were read.
        retried: Whether the SDK sent the request more than once. Then an earlier attempt may have written the object.
    """

    def __init__(self, found: Any = None, *, retried: bool = False) -> None:
        super().__init__()
        self.found = found
        self.retried = retried


class Gone(Exception):
    """The object does not exist any more."""


def s3_client(pool: int = 10) -> S3Client:
    """Makes an S3 client with short waits, whose presigned links work in every region.

    By default, botocore presigns with SigV2 and the global endpoint in the oldest regions. It also adds a CRC32 to each
    body and asks for one; here the signature covers the SHA-256 of a body that is sent, and TLS protects the rest.

    Args:
        pool: Most connections that the client keeps open.
    """
    s3: S3Client = client(
        "s3",
        signature_version="s3v4",
        s3={"addressing_style": "virtual", "us_east_1_regional_endpoint": "regional"},
        max_pool_connections=pool,
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    return s3


def put_if(s3: S3Client, bucket: str, key: str, body: bytes, etag: str | None) -> str:
    """Writes a small JSON object under a condition.

    Args:
        s3: The client.
        bucket: The bucket.
        key: The key.
        body: The JSON.
        etag: The ETag of the object to replace; None if there may be no object.

    Returns:
        The new ETag.

    Raises:
        Conflict: There is another object.
        Gone: There is no object to replace.
        Transient, Broken: As in `s3_errors`.
    """
    condition: dict[str, Any] = {"IfMatch": etag} if etag else {"IfNoneMatch": "*"}
    for _ in range(_TRIES_ON_409):
        with s3_errors("write"):
            try:
                return s3.put_object(Bucket=bucket, Key=key, Body=body, ContentType="application/json", **condition)[
                    "ETag"
                ]
            except ClientError as error:
                match status_of(error):
                    case 409:
                        continue
                    case 412:
                        retried = error.response["ResponseMetadata"].get("RetryAttempts", 0) > 0
                        raise Conflict(retried=retried) from None
                    case 404:
                        raise Gone from None
                    case _:
                        raise
    raise Transient("storage_unavailable", internal=f"S3 write of {key}: 409 {_TRIES_ON_409} times")


def delete_if(s3: S3Client, bucket: str, key: str, etag: str) -> None:
    """Deletes the object with `etag`, if it still exists (S3 user guide, "Conditional deletes").

    Raises:
        Conflict: There is another object.
        Transient, Broken: As in `s3_errors`.
    """
    for _ in range(_TRIES_ON_409):
        with s3_errors("delete"):
            try:
                s3.delete_object(Bucket=bucket, Key=key, IfMatch=etag)
            except ClientError as error:
                match status_of(error):
                    case 409:
                        continue
                    case 404:
                        return
                    case 412:
                        raise Conflict from None
                    case _:
                        raise
            return
    raise Transient("storage_unavailable", internal=f"S3 delete of {key}: 409 {_TRIES_ON_409} times")


class s3_errors:  # noqa: N801 - used like a function, in `with`; a class is faster than a generator
    """Translates botocore's errors; `doing` names the call in their internal text.

    Raises:
        Transient: `storage_unavailable`: S3 does not answer.
        Broken: S3 refuses the call.
    """

    __slots__ = ("_doing",)

    def __init__(self, doing: str) -> None:
        self._doing = doing

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, ClientError):
            code = error.response["Error"]["Code"]
            if status_of(error) in (400, 401, 403) and code not in ("RequestTimeout", "SlowDown"):
                raise Broken(f"S3 {self._doing}: {code}") from error
            raise Transient("storage_unavailable", internal=f"S3 {self._doing}: {code}") from error
        if isinstance(error, BotoCoreError):
            raise Transient("storage_unavailable", internal=f"S3 {self._doing}: {error}") from error


def status_of(error: ClientError) -> int:
    """Returns the HTTP status of S3's answer."""
    return error.response["ResponseMetadata"]["HTTPStatusCode"]
