"""Simulates S3: conditional writes, lists, server-side copies, and lost answers.

Sources: S3 API reference (PutObject, DeleteObject, CopyObject), S3 user guide ("Conditional requests"). Errors are
those of botocore. `LastModified` has whole seconds, as S3 gives it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from io import BytesIO
from types import SimpleNamespace
from typing import Any

from botocore.exceptions import ClientError, ConnectionClosedError
from pydantic_core import from_json, to_json

from tests.simulation.decisions import STEP
from tests.simulation.kernel import Kernel

READ_FAULTS = ("dies", "unavailable", "slow", "dies after")
WRITE_FAULTS = ("dies", "dies after", "unavailable", "answer lost", "sent again", "slow")
CONDITIONAL_FAULTS = (*WRITE_FAULTS, "conflict")
"""`answer lost`: the call takes effect, and the caller gets no answer. `sent again`: the call takes effect, its answer
is lost, and the SDK's second attempt sees the effect of the first. `conflict`: 409, another write is in progress."""

Observer = Callable[[str, "Object | None", "Object | None"], None]


@dataclass(frozen=True)
class Object:
    body: bytes
    etag: str
    modified: datetime
    metadata: dict[str, str]

    def head(self) -> dict[str, Any]:
        """Returns the answer to HEAD."""
        return {
            "ETag": self.etag,
            "LastModified": self.modified,
            "ContentLength": len(self.body),
            "Metadata": self.metadata,
        }


def refusal(operation: str, code: str, status: int, *, retries: int = 0) -> ClientError:
    about: Any = {
        "Error": {"Code": code, "Message": code},
        "ResponseMetadata": {"HTTPStatusCode": status, "RetryAttempts": retries},
    }
    return ClientError(about, operation)


class SimulatedS3:
    """One bucket, with the client methods that the product calls. `observer` is called at every change."""

    def __init__(self, kernel: Kernel, observer: Observer) -> None:
        self.objects: dict[str, Object] = {}
        self._kernel = kernel
        self._observer = observer

    # ---- the client's methods ---------------------------------------------------------------------------------------

    def get_object(self, *, Bucket: str, Key: str) -> dict[str, Any]:  # noqa: N803 - botocore's parameter names
        return self._call("GetObject", Key, READ_FAULTS, lambda _: self._get(Key))

    def head_object(self, *, Bucket: str, Key: str) -> dict[str, Any]:  # noqa: N803
        return self._call("HeadObject", Key, READ_FAULTS, lambda _: self._head(Key))

    def list_objects_v2(self, *, Bucket: str, Prefix: str) -> dict[str, Any]:  # noqa: N803
        return self._call("ListObjectsV2", Prefix, READ_FAULTS, lambda _: self._list(Prefix))

    def get_paginator(self, _: str) -> SimpleNamespace:
        """Returns the paginator of `list_objects_v2`; all objects are on one page."""

        def paginate(*, Bucket: str, Prefix: str, PaginationConfig: dict[str, int]) -> Iterator[dict[str, Any]]:  # noqa: N803
            yield self.list_objects_v2(Bucket=Bucket, Prefix=Prefix)

        return SimpleNamespace(paginate=paginate)

    def put_object(
        self,
        *,
        Bucket: str,  # noqa: N803
        Key: str,  # noqa: N803
        Body: bytes,  # noqa: N803
        ContentType: str,  # noqa: N803
        IfMatch: str | None = None,  # noqa: N803
        IfNoneMatch: str | None = None,  # noqa: N803
    ) -> dict[str, Any]:
        def effect(retries: int) -> dict[str, Any]:
            old = self.objects.get(Key)
            if IfNoneMatch and old is not None:
                raise refusal("PutObject", "PreconditionFailed", 412, retries=retries)
            self._check("PutObject", old, IfMatch, retries)
            return {"ETag": self.write(Key, Body, {}).etag}

        faults = CONDITIONAL_FAULTS if IfMatch or IfNoneMatch else WRITE_FAULTS
        return self._call("PutObject", Key, faults, effect)

    def delete_object(self, *, Bucket: str, Key: str, IfMatch: str | None = None) -> dict[str, Any]:  # noqa: N803
        def effect(retries: int) -> dict[str, Any]:
            old = self.objects.get(Key)
            if IfMatch is not None:
                self._check("DeleteObject", old, IfMatch, retries)
            if old is not None:
                del self.objects[Key]
                self._observer(Key, old, None)
            return {}

        return self._call("DeleteObject", Key, CONDITIONAL_FAULTS if IfMatch else WRITE_FAULTS, effect)

    def delete_objects(self, *, Bucket: str, Delete: dict[str, Any]) -> dict[str, Any]:  # noqa: N803
        keys = [one["Key"] for one in Delete["Objects"]]

        def effect(_: int) -> dict[str, Any]:
            for key in keys:
                if (old := self.objects.pop(key, None)) is not None:
                    self._observer(key, old, None)
            return {}

        return self._call("DeleteObjects", " ".join(keys), WRITE_FAULTS, effect)

    def copy_object(
        self,
        *,
        Bucket: str,  # noqa: N803
        Key: str,  # noqa: N803
        CopySource: dict[str, str],  # noqa: N803
        CopySourceIfMatch: str,  # noqa: N803
        MetadataDirective: str,  # noqa: N803
        ContentType: str,  # noqa: N803
        Metadata: dict[str, str],  # noqa: N803
        IfMatch: str | None = None,  # noqa: N803
        IfNoneMatch: str | None = None,  # noqa: N803
    ) -> dict[str, Any]:
        def effect(retries: int) -> dict[str, Any]:
            source = self.objects.get(CopySource["Key"])
            self._check("CopyObject", source, CopySourceIfMatch, retries)
            assert source is not None
            there = self.objects.get(Key)
            if IfNoneMatch and there is not None:
                raise refusal("CopyObject", "PreconditionFailed", 412, retries=retries)
            self._check("CopyObject", there, IfMatch, retries)
            return {"CopyObjectResult": {"ETag": self.write(Key, source.body, Metadata).etag}}

        faults = CONDITIONAL_FAULTS if IfMatch or IfNoneMatch else WRITE_FAULTS
        return self._call("CopyObject", Key, faults, effect)

    def generate_presigned_post(
        self,
        *,
        Bucket: str,  # noqa: N803
        Key: str,  # noqa: N803
        Fields: dict[str, str],  # noqa: N803
        Conditions: list[Any],  # noqa: N803
        ExpiresIn: int,  # noqa: N803
    ) -> dict[str, Any]:
        """Returns a form with a policy that `post` checks. Nothing here changes a policy, so it has no signature."""
        policy = {"until": self._kernel.now + ExpiresIn, "conditions": [*Conditions, {"key": Key}]}
        return {"url": "https://bucket.example/", "fields": {**Fields, "key": Key, "policy": to_json(policy).decode()}}

    # ---- for `render` -----------------------------------------------------------------------------------------------

    def post(self, fields: dict[str, str], body: bytes, metadata: dict[str, str] | None = None) -> tuple[int, str, str]:
        """Posts a form, and returns the status, the ETag, and the code of the error.

        Args:
            fields: The fields of the form.
            body: The file.
            metadata: The metadata of the object; only a mistake of the product needs it (tests/simulation/mutants.py).
        """
        policy = from_json(fields["policy"])
        if self._kernel.now >= policy["until"]:
            return 403, "", "AccessDenied"
        wanted: dict[str, str] = {}
        for condition in policy["conditions"]:
            if isinstance(condition, dict):
                wanted |= condition
            elif len(body) > condition[2]:
                return 400, "", "EntityTooLarge"
            elif len(body) < condition[1]:
                return 400, "", "EntityTooSmall"
        if wanted != {name: value for name, value in fields.items() if name != "policy"}:
            return 403, "", "AccessDenied"
        return 204, self.write(fields["key"], body, metadata or {}).etag, ""

    # ---- the bucket -------------------------------------------------------------------------------------------------

    def write(self, key: str, body: bytes, metadata: dict[str, str]) -> Object:
        old = self.objects.get(key)
        etag = f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"'
        made = Object(body, etag, self._kernel.clock().replace(microsecond=0), metadata)
        self.objects[key] = made
        self._observer(key, old, made)
        return made

    def _call(self, operation: str, key: str, faults: tuple[str, ...], effect: Callable[[int], Any]) -> Any:
        _, fault = self._kernel.enter(operation, faults, key)
        if fault == "unavailable":
            raise refusal(operation, "ServiceUnavailable", 503, retries=2)
        if fault == "conflict":
            raise refusal(operation, "ConditionalRequestConflict", 409)
        try:
            result = effect(0)
            if fault == "sent again":
                self._kernel.sleep(STEP)
                result = effect(1)
        except ClientError as error:
            if self._kernel.trace is not None:
                self._kernel.say(self._kernel.current().process.name, f"  answer {error.response['Error']['Code']}")
            raise
        if fault == "answer lost":
            raise ConnectionClosedError(endpoint_url="https://bucket.example/")
        self._kernel.leave(fault)
        return result

    def _check(self, operation: str, found: Object | None, etag: str | None, retries: int) -> None:
        if etag is None:
            return
        if found is None:
            raise refusal(operation, "NoSuchKey", 404, retries=retries)
        if found.etag != etag:
            raise refusal(operation, "PreconditionFailed", 412, retries=retries)

    def _get(self, key: str) -> dict[str, Any]:
        found = self.objects.get(key)
        if found is None:
            raise refusal("GetObject", "NoSuchKey", 404)
        return {**found.head(), "Body": BytesIO(found.body)}

    def _head(self, key: str) -> dict[str, Any]:
        found = self.objects.get(key)
        if found is None:
            raise refusal("HeadObject", "404", 404)  # the answer has no body, so botocore takes the status for the code
        return found.head()

    def _list(self, prefix: str) -> dict[str, Any]:
        found = [
            {"Key": key, "ETag": one.etag, "LastModified": one.modified}
            for key, one in sorted((key, one) for key, one in self.objects.items() if key.startswith(prefix))
        ]
        return {"Contents": found} if found else {}
