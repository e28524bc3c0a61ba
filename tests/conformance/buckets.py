"""The two buckets that the tests of S3 compare: the simulated one, and moto's behind the rules of the local stack."""

from __future__ import annotations

import hashlib
import uuid
from typing import Any

import boto3
from botocore.exceptions import ClientError

from functions.render.upload import _post
from tests.conformance.calls import Caller, Client
from tests.simulation.s3 import SimulatedS3
from urlshot.adapters.aws import client
from urlshot.core.render_contract import Upload

Answer = dict[str, Any]
Refusal = tuple[str, str, int]
"""The operation, the code of the error and the HTTP status, as botocore reports them."""


def etag(body: bytes) -> str:
    """Returns the ETag of an object that was written in one piece (S3 API reference, "Object")."""
    return f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"'


class Bucket:
    """A bucket, or the part of one below `prefix`, which the keys of the tests do not have."""

    def __init__(self, client: Any, name: str, prefix: str = "") -> None:
        self.client = client
        self.name = name
        self.prefix = prefix

    def ask(self, operation: str, key: str, **arguments: Any) -> Answer | Refusal:
        """Calls an operation on a key, and returns what the caller learns."""
        if "CopySource" in arguments:
            arguments["CopySource"] = {"Bucket": self.name, "Key": self.prefix + arguments["CopySource"]}
        try:
            answer = getattr(self.client, operation)(Bucket=self.name, Key=self.prefix + key, **arguments)
        except ClientError as error:
            about = error.response
            return error.operation_name, about["Error"]["Code"], about["ResponseMetadata"]["HTTPStatusCode"]
        return learned(answer)

    def put(self, key: str, body: bytes, **condition: str) -> Answer | Refusal:
        return self.ask("put_object", key, Body=body, ContentType="application/json", **condition)

    def delete(self, key: str, **condition: str) -> Answer | Refusal:
        return self.ask("delete_object", key, **condition)

    def copy(self, source: str, key: str, source_etag: str, metadata: Any, **condition: str) -> Answer | Refusal:
        return self.ask(
            "copy_object",
            key,
            CopySource=source,
            CopySourceIfMatch=source_etag,
            MetadataDirective="REPLACE",
            ContentType="application/pdf",
            Metadata=metadata,
            **condition,
        )

    def get(self, key: str) -> Answer | Refusal:
        return self.ask("get_object", key)

    def head(self, key: str) -> Answer | Refusal:
        return self.ask("head_object", key)

    def list(self, prefix: str = "") -> list[Answer]:
        """Returns what a list says of each object."""
        answer = self.client.list_objects_v2(Bucket=self.name, Prefix=self.prefix + prefix)
        assert "Contents" not in answer or answer["Contents"], "S3 leaves an empty list out"
        found = [learned(one) for one in answer.get("Contents", [])]
        return [{**one, "Key": one["Key"].removeprefix(self.prefix)} for one in found]

    def delete_many(self, *keys: str) -> list[Answer]:
        """Deletes objects with one call, as `SubscriptionStore` does, and returns the errors.

        In quiet mode S3 names the errors only (S3 API reference, DeleteObjects). moto also names the deleted keys,
        which is wrong, and which the product does not read.
        """
        objects = [{"Key": self.prefix + key} for key in keys]
        answer = self.client.delete_objects(Bucket=self.name, Delete={"Objects": objects, "Quiet": True})
        return list(answer.get("Errors", []))

    def pages(self, prefix: str, size: int) -> list[list[str]]:
        """Returns the keys of each page of a list; a page without keys is empty."""
        listed = self._pages(Bucket=self.name, Prefix=self.prefix + prefix, PaginationConfig={"PageSize": size})
        return [[one["Key"].removeprefix(self.prefix) for one in page.get("Contents", [])] for page in listed]

    def _pages(self, **arguments: Any) -> list[Answer]:
        return list(self.client.get_paginator("list_objects_v2").paginate(**arguments))

    def form(self, key: str, largest: int, seconds: int) -> Upload:
        """Signs a POST as `Store.upload_form` does."""
        fields = {"Content-Type": "application/pdf"}
        form = self.client.generate_presigned_post(
            Bucket=self.name,
            Key=self.prefix + key,
            Fields=dict(fields),
            Conditions=[fields, ["content-length-range", 1, largest]],
            ExpiresIn=seconds,
        )
        return Upload(**form)

    def post(self, form: Upload, body: bytes) -> tuple[int, str, str]:
        """Posts a form, and returns the status, the ETag and the code of the error, as `render` reads them."""
        status, tag, answer = _post(form, body, 30)
        return status, tag, answer.partition(b"<Code>")[2].partition(b"</Code>")[0].decode()


class SimulatedBucket(Bucket):
    def __init__(self) -> None:
        self._caller = Caller()
        self._s3 = SimulatedS3(self._caller.kernel, lambda *_: None)
        super().__init__(Client(self._caller, self._s3), "bucket")
        self.client.generate_presigned_post = self._s3.generate_presigned_post

    def _pages(self, **arguments: Any) -> list[Answer]:
        return list(self._caller.call(lambda: list(self._s3.get_paginator("list_objects_v2").paginate(**arguments))))

    def post(self, form: Upload, body: bytes) -> tuple[int, str, str]:
        return self._s3.post(form.fields, body)


def moto_bucket() -> Bucket:
    """Makes a bucket in moto."""
    name = f"conformance-{uuid.uuid4().hex}"
    boto3.client("s3").create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    return Bucket(patient_client(), name)


def patient_client() -> Any:
    """Makes the product's S3 client with longer waits: on a busy machine it would repeat calls by itself."""
    return client("s3", signature_version="s3v4", connect_timeout=60, read_timeout=60)


OFFERED = ("ETag", "ContentLength", "Metadata", "Key")
"""The values of an answer that the simulation offers, besides the body, the time and the result of a copy."""


def learned(answer: Answer) -> Answer:
    """Returns the values of an answer that the product reads. A time is replaced by its resolution and zone."""
    found = {name: answer[name] for name in OFFERED if name in answer}
    if "Body" in answer:
        found["Body"] = answer["Body"].read()
    if "LastModified" in answer:
        found["LastModified"] = (answer["LastModified"].microsecond, answer["LastModified"].utcoffset())
    if "CopyObjectResult" in answer:
        found["CopyObjectResult"] = {"ETag": answer["CopyObjectResult"]["ETag"]}
    return found
