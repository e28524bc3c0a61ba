"""The bucket: PDFs and job records in S3.

Every write of a record is conditional, so that of any number of writers exactly one wins. A write whose answer was lost
is sent again by the SDK and then refused because of itself; the generation in the record tells that case from a real
conflict.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from botocore.exceptions import ClientError
from pydantic import ValidationError

from urlshot.errors import Broken
from urlshot.events import pdf_key
from urlshot.records import Record
from urlshot.s3 import Conflict, Gone, delete_if, put_if, s3_errors, status_of

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client


@dataclass(frozen=True)
class Pdf:
    """A published PDF: its size in bytes, when it was stored, the generation and claim that made it, and the ETag that
    it had as an upload."""

    bytes: int
    modified: datetime
    generation: str
    claim: str = ""
    etag: str = ""
    upload: str = ""


def job_key(job_id: str) -> str:
    return f"job/{job_id}.json"


def upload_key(job_id: str, claim: str) -> str:
    """The key to which `render` uploads and from which `settle` publishes; a lifecycle rule clears what is left."""
    return f"upload/{job_id}/{claim}.pdf"


class Store:
    """Records and PDFs of one bucket; safe to share between threads.

    Raises `Transient` (`storage_unavailable`) when S3 does not answer, from every method.
    """

    def __init__(self, bucket: str, s3: S3Client) -> None:
        self.bucket = bucket
        self._s3 = s3

    # ---- records ----------------------------------------------------------------------------------------------------

    def read(self, job_id: str) -> tuple[Record, str] | None:
        """Reads a job's record; returns it with the ETag to change it by, or None if there is none."""
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
        """Writes a record where there is none, and returns its ETag.

        Raises:
            Conflict: there is one.
        """
        return self._put(record, None)

    def change(self, record: Record, etag: str) -> str:
        """Writes a record in place of the one with `etag`, and returns its new ETag.

        Raises:
            Conflict: there is another by now. Gone: it was deleted.
        """
        return self._put(record, etag)

    def _put(self, record: Record, etag: str | None) -> str:
        body = record.model_dump_json(exclude_none=True).encode()
        try:
            return put_if(self._s3, self.bucket, job_key(record.id), body, etag)
        except Conflict:
            # If this very record is there, an earlier attempt of this write had already succeeded.
            found = self.read(record.id)
            if found is not None and found[0] == record:
                return found[1]
            raise Conflict(found) from None

    def delete(self, job_id: str, etag: str) -> None:
        """Deletes the record with `etag`; a record that is gone already is fine.

        Raises:
            Conflict: there is another by now.
        """
        delete_if(self._s3, self.bucket, job_key(job_id), etag)

    # ---- PDFs -------------------------------------------------------------------------------------------------------

    def head_pdf(self, job_id: str) -> Pdf | None:
        """Looks at the published PDF; returns None if there is none."""
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
        """Signs a POST (`url`, `fields`) for the upload key of the record's claim alone; it ends after `lifetime`."""
        fields = {"Content-Type": "application/pdf"}
        return self._s3.generate_presigned_post(
            Bucket=self.bucket,
            Key=upload_key(record.id, record.claim),
            Fields=dict(fields),
            Conditions=[fields, ["content-length-range", 1, max_bytes]],
            ExpiresIn=int(lifetime.total_seconds()),
        )

    def publish_pdf(self, record: Record, etag: str, over: Pdf | None) -> None:
        """Copies what the record's claim uploaded to the job's published key, on S3's side.

        `etag` is that of the uploaded object: a second run of the same claim may have replaced it since. `over` is the
        published PDF that the copy may replace; None if there may be none (S3 API reference, CopyObject, If-Match).

        Raises:
            Conflict: the uploaded object is another, or the published one. Gone: nothing is uploaded, or there is
                nothing to replace.
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
        """Returns the ETag of what the record's claim uploaded last; None if it uploaded nothing."""
        with s3_errors("head"):
            try:
                return self._s3.head_object(Bucket=self.bucket, Key=upload_key(record.id, record.claim))["ETag"]
            except ClientError as error:
                if status_of(error) == 404:
                    return None
                raise

    def withdraw_pdf(self, job_id: str, *, generation: str, claim: str | None = None) -> bool:
        """Deletes the published PDF if it is of `generation` (and `claim`); returns whether it did."""
        pdf = self.head_pdf(job_id)
        if pdf is None or pdf.generation != generation or claim not in (None, pdf.claim):
            return False
        return self.delete_pdf(job_id, pdf.etag)

    def delete_pdf(self, job_id: str, etag: str) -> bool:
        """Deletes the published PDF with `etag`; returns False if another was published since."""
        try:
            delete_if(self._s3, self.bucket, pdf_key(job_id), etag)
        except Conflict:
            return False
        return True

    def link(self, job_id: str, seconds: int, file_name: str, *, head: bool = False, save: bool = False) -> str:
        """Signs a link that shows the PDF, or with `save` saves it, under `file_name`; it ends after `seconds`.

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
        """Returns the scheme, host and port of every such link."""
        parts = urlsplit(self.link("any", 60, "any"))
        return f"{parts.scheme}://{parts.netloc}"
