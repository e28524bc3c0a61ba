"""Stores PDFs and job records in the bucket.

Every write of a record is conditional, so only one of several simultaneous writers succeeds. If the answer to a write
is lost, the SDK sends the write again, and S3 refuses it because of the first one. The store recognizes this case by
comparing the stored record with the one that it wrote.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from botocore.exceptions import ClientError
from pydantic import ValidationError

from urlshot.adapters.presign import Signer
from urlshot.adapters.s3 import Conflict, Gone, delete_if, put_if, s3_errors, status_of
from urlshot.core.errors import Broken
from urlshot.core.events import pdf_key
from urlshot.core.records import Record

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client


@dataclass(frozen=True)
class Pdf:
    """A published PDF."""

    bytes: int
    modified: datetime
    """When the PDF was published."""
    generation: str
    """The generation that made the PDF."""
    claim: str = ""
    """The claim that made the PDF."""
    etag: str = ""
    upload: str = ""
    """The ETag of the upload from which the PDF was copied."""


def job_key(job_id: str) -> str:
    return f"job/{job_id}.json"


def upload_key(job_id: str, claim: str) -> str:
    """Returns the key to which `render` uploads and from which `settle` publishes; a lifecycle rule clears it."""
    return f"upload/{job_id}/{claim}.pdf"


class Store:
    """The records and PDFs of one bucket; thread-safe.

    Every method that calls S3 raises `Transient` (`storage_unavailable`) if S3 does not answer, and `Broken` if S3
    refuses.
    """

    def __init__(self, bucket: str, s3: S3Client) -> None:
        self.bucket = bucket
        self._s3 = s3

    # ---- records ----------------------------------------------------------------------------------------------------

    def read(self, job_id: str) -> tuple[Record, str] | None:
        """Reads a job's record.

        Returns:
            The record and its ETag, or None if there is no record.

        Raises:
            Broken: The record has an unknown version.
        """
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
            raise Broken(f"record {job_key(job_id)} has an unknown version or form: {error}") from error

    def create(self, record: Record) -> str:
        """Writes the first record of a job, and returns its ETag.

        Raises:
            Conflict: The job has a record already.
        """
        return self._put(record, None)

    def change(self, record: Record, etag: str) -> str:
        """Writes a record over the one with `etag`, and returns its new ETag.

        Raises:
            Conflict: The stored record has another ETag.
            Gone: The record was deleted.
        """
        return self._put(record, etag)

    def _put(self, record: Record, etag: str | None) -> str:
        body = record.model_dump_json(exclude_none=True).encode()
        try:
            return put_if(self._s3, self.bucket, job_key(record.id), body, etag)
        except Conflict:
            # If the same record is stored, an earlier attempt of this write succeeded.
            found = self.read(record.id)
            if found is not None and found[0] == record:
                return found[1]
            raise Conflict(found) from None

    def delete(self, job_id: str, etag: str) -> None:
        """Deletes the record with `etag`, if it still exists.

        Raises:
            Conflict: The stored record has another ETag.
        """
        delete_if(self._s3, self.bucket, job_key(job_id), etag)

    # ---- PDFs -------------------------------------------------------------------------------------------------------

    def head_pdf(self, job_id: str) -> Pdf | None:
        """Returns the facts about the published PDF; None if there is none."""
        with s3_errors("head"):
            try:
                head = self._s3.head_object(Bucket=self.bucket, Key=pdf_key(job_id))
            except ClientError as error:
                if status_of(error) == 404:
                    return None
                raise
        about = head["Metadata"]
        return Pdf(
            head["ContentLength"],
            head["LastModified"],
            generation=about.get("generation", ""),
            claim=about.get("claim", ""),
            etag=head["ETag"],
            upload=about.get("upload", ""),
        )

    def upload_form(self, record: Record, max_bytes: int, lifetime: timedelta) -> dict[str, Any]:
        """Signs a POST to the upload key of the record's claim.

        Args:
            record: The job's record.
            max_bytes: Most bytes of the PDF.
            lifetime: How long the signature is valid.

        Returns:
            The `url` and the `fields` of the POST.
        """
        fields = {"Content-Type": "application/pdf"}
        return self._s3.generate_presigned_post(
            Bucket=self.bucket,
            Key=upload_key(record.id, record.claim),
            Fields=dict(fields),
            Conditions=[fields, ["content-length-range", 1, max_bytes]],
            ExpiresIn=int(lifetime.total_seconds()),
        )

    def publish_pdf(self, record: Record, etag: str, over: Pdf | None) -> None:
        """Copies the upload of the record's claim to the job's published key, inside S3.

        Args:
            record: The job's record.
            etag: The ETag of the upload, because a second run of the same claim may have replaced the upload.
            over: The published PDF to replace; None if there may be none (S3 API reference, CopyObject, If-Match).

        Raises:
            Conflict: The upload or the published PDF is another one.
            Gone: There is no upload, or no published PDF to replace.
        """
        condition: dict[str, Any] = {"IfMatch": over.etag} if over is not None else {"IfNoneMatch": "*"}
        with s3_errors("copy"):
            try:
                self._s3.copy_object(
                    Bucket=self.bucket,
                    Key=pdf_key(record.id),
                    CopySource={"Bucket": self.bucket, "Key": upload_key(record.id, record.claim)},
                    CopySourceIfMatch=etag,
                    MetadataDirective="REPLACE",
                    ContentType="application/pdf",
                    Metadata={"generation": record.generation, "claim": record.claim, "upload": etag.strip('"')},
                    **condition,
                )
            except ClientError as error:
                match status_of(error):
                    case 404:
                        raise Gone from None
                    case 409 | 412:
                        raise Conflict from None
                    case _:
                        raise

    def upload_etag(self, record: Record) -> str | None:
        """Returns the ETag of the last upload of the record's claim; None if there is none."""
        with s3_errors("head"):
            try:
                return self._s3.head_object(Bucket=self.bucket, Key=upload_key(record.id, record.claim))["ETag"]
            except ClientError as error:
                if status_of(error) == 404:
                    return None
                raise

    def delete_pdf(self, job_id: str, etag: str) -> None:
        """Deletes the published PDF, unless it has another ETag. `lifecycle.withdraw` says what to check afterwards."""
        with suppress(Conflict):
            delete_if(self._s3, self.bucket, pdf_key(job_id), etag)

    def link(self, job_id: str, seconds: int, file_name: str, *, head: bool = False, save: bool = False) -> str:
        """Signs a link to the PDF.

        Args:
            job_id: The id of the job.
            seconds: How long the link is valid.
            file_name: The name under which a browser saves the PDF.
            head: Whether the link is for HEAD instead of GET; the signature includes the method.
            save: Whether a browser saves the PDF instead of showing it.
        """
        query = {
            "response-content-disposition": f'{"attachment" if save else "inline"}; filename="{file_name}"',
            "response-content-type": "application/pdf",
        }
        return self._signer.link("HEAD" if head else "GET", pdf_key(job_id), query, seconds)

    @cached_property
    def _signer(self) -> Signer:
        """The signer, made at the first link: most functions sign none."""
        return Signer(self._s3, self.bucket)

    def link_origin(self) -> str:
        """Returns the origin of all signed links: scheme, host and port."""
        parts = urlsplit(self.link("any", 60, "any"))
        return f"{parts.scheme}://{parts.netloc}"
