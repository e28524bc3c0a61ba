"""The bucket: PDFs and job records in S3.

Every write of a record is conditional, so that of any number of writers exactly one wins. A write whose answer was lost
is sent again by the SDK and then refused because of itself; the generation in the record tells that case from a real
conflict.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from botocore.exceptions import BotoCoreError, ClientError
from pydantic import ValidationError

from urlshot import records
from urlshot.aws import client
from urlshot.errors import Broken, Transient
from urlshot.events import pdf_key
from urlshot.records import Record

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

# Conditional writes answer 409 while another write of the same key is under way (S3 API reference, PutObject).
_TRIES_ON_409 = 5


class Conflict(Exception):
    """The record is not what it was when it was read, or is there already.

    `found` is the record that there is with its ETag, where it was looked up.
    """

    def __init__(self, found: tuple[Record, str] | None = None) -> None:
        super().__init__()
        self.found = found


class Gone(Exception):
    """The record was deleted after it was read."""


@dataclass(frozen=True)
class Pdf:
    """A PDF that is there: its size in bytes, when it was stored, and the generation that made it."""

    bytes: int
    modified: datetime
    generation: str


def job_key(job_id: str) -> str:
    return f"job/{job_id}.json"


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


class Store:
    """Records and PDFs of one bucket; safe to share between threads.

    Raises `Transient` (`storage_unavailable`) when S3 does not answer, from every method.
    """

    def __init__(self, bucket: str, s3: S3Client) -> None:
        self.bucket = bucket
        self._s3 = s3

    def head_pdf(self, job_id: str) -> Pdf | None:
        """What PDF is there."""
        with s3_errors("head"):
            try:
                head = self._s3.head_object(Bucket=self.bucket, Key=pdf_key(job_id))
            except ClientError as error:
                if status_of(error) == 404:
                    return None
                raise
        return Pdf(head["ContentLength"], head["LastModified"], head["Metadata"].get("generation", ""))

    def read(self, job_id: str) -> tuple[Record, str] | None:
        """A job's record and the ETag to change it by; None if there is none."""
        with s3_errors("read"):
            try:
                answer = self._s3.get_object(Bucket=self.bucket, Key=job_key(job_id))
                body = answer["Body"].read()
            except ClientError as error:
                if status_of(error) == 404:
                    return None
                raise
        try:
            return Record.model_validate_json(body), answer["ETag"]
        except ValidationError as error:
            raise Broken(f"record {job_key(job_id)} is not of a version that is known here: {error}") from error

    def create(self, record: Record) -> str:
        """Writes a record where none may be, and returns its ETag.

        Raises:
            Conflict: there is one.
        """
        return self._put(record, {"IfNoneMatch": "*"})

    def change(self, record: Record, etag: str) -> str:
        """Writes a record in place of the one with `etag`, and returns its new ETag.

        Raises:
            Conflict: it is another by now. Gone: it was deleted.
        """
        return self._put(record, {"IfMatch": etag})

    def _put(self, record: Record, condition: dict[str, Any]) -> str:
        try:
            return self._put_object(job_key(record.id), record.model_dump_json(exclude_none=True).encode(), condition)
        except Conflict:
            # If the record is what was to be written, a retry of this very write had already won.
            found = self.read(record.id)
            if found is not None and found[0] == record:
                return found[1]
            raise Conflict(found) from None

    def _put_object(self, key: str, body: bytes, condition: dict[str, Any]) -> str:
        """Writes a small JSON object under a condition, and returns its ETag. Raises: Conflict, Gone."""
        for _ in range(_TRIES_ON_409):
            with s3_errors("write"):
                try:
                    return self._s3.put_object(
                        Bucket=self.bucket, Key=key, Body=body, ContentType="application/json", **condition
                    )["ETag"]
                except ClientError as error:
                    match status_of(error):
                        case 409:
                            continue
                        case 412:
                            raise Conflict from None
                        case 404:
                            raise Gone from None
                        case _:
                            raise
        raise Transient("storage_unavailable", internal=f"write of {key}: 409 again and again")

    def _delete(self, key: str, etag: str) -> None:
        """Deletes an object if it is the one with `etag` (S3 user guide, "Conditional deletes"). Raises: Conflict."""
        with s3_errors("delete"):
            try:
                self._s3.delete_object(Bucket=self.bucket, Key=key, IfMatch=etag)
            except ClientError as error:
                match status_of(error):
                    case 404:
                        return
                    case 409 | 412:
                        raise Conflict from None
                    case _:
                        raise

    def delete_pdf(self, job_id: str) -> None:
        with s3_errors("delete"):
            self._s3.delete_object(Bucket=self.bucket, Key=pdf_key(job_id))

    def delete(self, job_id: str, etag: str) -> None:
        """Deletes the record with `etag`; a record that is gone already is as good.

        Raises:
            Conflict: it is another by now.
        """
        self._delete(job_key(job_id), etag)

    def turns(self) -> dict[str, tuple[str, datetime]]:
        """The turns to wait that somebody has: the ETag of each, and since when, by name."""
        with s3_errors("list"):
            listed = self._s3.list_objects_v2(Bucket=self.bucket, Prefix="wait/", MaxKeys=1000).get("Contents", [])
        return {one["Key"].removeprefix("wait/"): (one["ETag"], one["LastModified"]) for one in listed}

    def take_turn(self, name: str, etag: str | None = None) -> str | None:
        """Takes the object `wait/<name>`, which one holder at a time has: where it is free, or still has `etag`.

        Returns its ETag; None where another was quicker.
        """
        # With something of its own in it, so that no two holders' objects have the same ETag.
        holder = json.dumps({"holder": records.new_generation()}).encode()
        try:
            return self._put_object(f"wait/{name}", holder, {"IfMatch": etag} if etag else {"IfNoneMatch": "*"})
        except (Conflict, Gone):
            return None

    def give_turn_back(self, name: str, etag: str) -> None:
        """Gives back what `take_turn` took; where another has it by now, that one keeps it."""
        with suppress(Conflict):
            self._delete(f"wait/{name}", etag)

    def link(self, job_id: str, seconds: int, file_name: str, *, head: bool = False, save: bool = False) -> str:
        """A presigned link that shows the PDF, or with `save` saves it, under `file_name`, for `seconds`.

        The method is part of what is signed: with `head` it is HEAD in place of GET.
        """
        return self._s3.generate_presigned_url(
            "head_object" if head else "get_object",
            Params={
                "Bucket": self.bucket,
                "Key": pdf_key(job_id),
                "ResponseContentDisposition": f'{"attachment" if save else "inline"}; filename="{file_name}"',
                "ResponseContentType": "application/pdf",
            },
            ExpiresIn=seconds,
        )

    def link_origin(self) -> str:
        """Scheme, host and port of every such link."""
        parts = urlsplit(self.link("any", 60, "any"))
        return f"{parts.scheme}://{parts.netloc}"

    def upload_form(self, record: Record, max_bytes: int, lifetime: timedelta) -> dict[str, Any]:
        """A presigned POST (`url`, `fields`) for exactly this record's PDF, that ends after `lifetime`."""
        fields = {"Content-Type": "application/pdf", "x-amz-meta-generation": record.generation}
        conditions: list[Any] = [{name: value} for name, value in fields.items()]
        return self._s3.generate_presigned_post(
            Bucket=self.bucket,
            Key=pdf_key(record.id),
            Fields=dict(fields),
            Conditions=[*conditions, ["content-length-range", 1, max_bytes]],
            ExpiresIn=int(lifetime.total_seconds()),
        )


@contextmanager
def s3_errors(doing: str) -> Iterator[None]:
    """Translates what botocore raises; what the caller's code handles itself does not get here."""
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
    return error.response["ResponseMetadata"]["HTTPStatusCode"]
