"""S3 with short waits, conditional writes and our own errors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from urlshot.aws import client
from urlshot.errors import Broken, Transient

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

# Conditional writes answer 409 while another write of the same key is under way (S3 API reference, PutObject).
_TRIES_ON_409 = 5


class Conflict(Exception):
    """A condition does not hold: there is another object, or there is one where none may be.

    `found` is a job's record and its ETag, where they were read. `retried` says that the SDK sent the request more than
    once, so that an earlier attempt of it may have made the object that is there.
    """

    def __init__(self, found: Any = None, *, retried: bool = False) -> None:
        super().__init__()
        self.found = found
        self.retried = retried


class Gone(Exception):
    """The object was deleted since it was read."""


def s3_client(pool: int = 10) -> S3Client:
    """An S3 client whose waits are short and whose links a browser can follow.

    Presigning would default to SigV2 and the global endpoint in the oldest regions.
    """
    s3: S3Client = client(
        "s3",
        signature_version="s3v4",
        s3={"addressing_style": "virtual", "us_east_1_regional_endpoint": "regional"},
        max_pool_connections=pool,
    )
    return s3


def put_if(s3: S3Client, bucket: str, key: str, body: bytes, etag: str | None) -> str:
    """Writes a small JSON object in place of the one with `etag`, or where there is none if `etag` is None.

    Returns its new ETag.

    Raises:
        Conflict: there is another object. Gone: there is none to replace. Transient, Broken: as `s3_errors`.
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
    raise Transient("storage_unavailable", internal=f"write of {key}: 409 again and again")


def delete_if(s3: S3Client, bucket: str, key: str, etag: str) -> None:
    """Deletes the object with `etag`; an object that is gone already is fine (S3 user guide, "Conditional deletes").

    Raises:
        Conflict: there is another object. Transient, Broken: as `s3_errors`.
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
    raise Transient("storage_unavailable", internal=f"delete of {key}: 409 again and again")


@contextmanager
def s3_errors(doing: str) -> Iterator[None]:
    """Translates botocore's errors; `doing` names the call in them.

    Raises:
        Transient: `storage_unavailable`: S3 does not answer. Broken: S3 refuses.
    """
    try:
        yield
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if status_of(error) in (400, 401, 403) and code not in ("RequestTimeout", "SlowDown"):
            raise Broken(f"S3 {doing}: {code}") from error
        raise Transient("storage_unavailable", internal=f"S3 {doing}: {code}") from error
    except BotoCoreError as error:
        raise Transient("storage_unavailable", internal=f"S3 {doing}: {error}") from error


def status_of(error: ClientError) -> int:
    """The HTTP status of S3's answer."""
    return error.response["ResponseMetadata"]["HTTPStatusCode"]
