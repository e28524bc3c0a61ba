"""Keeps mails and callbacks from being sent twice: a store on S3 for powertools' idempotency utility.

A consumer claims the key of an event, sends, and marks the key as done. If the consumer dies in between, another one
sends again when the claim has expired, because nobody can know whether the first one had sent: SES, for example, takes
no idempotency token.
"""

from __future__ import annotations

import datetime
import json
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.utilities.idempotency.exceptions import (
    IdempotencyItemAlreadyExistsError,
    IdempotencyItemNotFoundError,
)
from aws_lambda_powertools.utilities.idempotency.persistence.base import BasePersistenceLayer
from aws_lambda_powertools.utilities.idempotency.persistence.datarecord import STATUS_CONSTANTS, DataRecord
from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client


class S3PersistenceLayer(BasePersistenceLayer):
    """Keeps idempotency records as objects `claim/<key>.json`, written conditionally.

    Attributes:
        ambiguous: How many claims were taken over from a holder that never finished.
    """

    def __init__(self, bucket: str, client: S3Client) -> None:
        super().__init__()
        self._bucket = bucket
        self._s3 = client
        self.ambiguous = 0

    @staticmethod
    def _key(idempotency_key: str) -> str:
        return f"claim/{idempotency_key.replace('#', '/')}.json"

    def _get_record(self, idempotency_key: str) -> DataRecord:
        found = self._read(idempotency_key)
        if found is None:
            raise IdempotencyItemNotFoundError
        return found[0]

    def _put_record(self, data_record: DataRecord) -> None:
        try:
            self._write(data_record, IfNoneMatch="*")
        except _Taken:
            pass
        else:
            return
        found = self._read(data_record.idempotency_key)
        if found is None or not _stale(found[0]):
            raise IdempotencyItemAlreadyExistsError
        try:
            self._write(data_record, IfMatch=found[1])
        except _Taken as error:  # another took it over first
            raise IdempotencyItemAlreadyExistsError from error
        if found[0].in_progress_expiry_timestamp is not None:  # claimed, and never marked as done
            self.ambiguous += 1

    def _update_record(self, data_record: DataRecord) -> None:
        self._write(data_record)

    def _delete_record(self, data_record: DataRecord) -> None:
        self._s3.delete_object(Bucket=self._bucket, Key=self._key(data_record.idempotency_key))

    def _read(self, idempotency_key: str) -> tuple[DataRecord, str] | None:
        try:
            answer = self._s3.get_object(Bucket=self._bucket, Key=self._key(idempotency_key))
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
                return None
            raise
        value = json.loads(answer["Body"].read())
        return DataRecord(idempotency_key=idempotency_key, **value), answer["ETag"]

    def _write(self, record: DataRecord, **condition: Any) -> None:
        value = {
            "status": record.status,
            "expiry_timestamp": record.expiry_timestamp,
            "in_progress_expiry_timestamp": record.in_progress_expiry_timestamp,
            "response_data": record.response_data,
        }
        try:
            self._s3.put_object(
                Bucket=self._bucket,
                Key=self._key(record.idempotency_key),
                Body=json.dumps(value).encode(),
                ContentType="application/json",
                **condition,
            )
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] in (404, 409, 412):
                raise _Taken from error
            raise


class _Taken(Exception):
    """The condition of a write failed, because another consumer wrote first."""


def _stale(record: DataRecord) -> bool:
    """Returns whether a claim may be taken over: it was marked long ago, or its holder had to finish before now."""
    now = datetime.datetime.now(datetime.UTC).timestamp()
    if record.status == STATUS_CONSTANTS["INPROGRESS"]:
        until = record.in_progress_expiry_timestamp
        return until is not None and until < now * 1000
    return record.is_expired
