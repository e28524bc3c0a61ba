"""Reads secrets from Secrets Manager: the broker's credentials, and the keys of links and callbacks."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from urlshot.adapters.aws import client
from urlshot.core.errors import Broken, Transient

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager.client import SecretsManagerClient


@dataclass(frozen=True)
class Credentials:
    """The credentials of a user of the broker; `repr` does not show the password."""

    username: str
    password: str = field(repr=False)


@cache
def secrets_client() -> SecretsManagerClient:
    """Makes the client once per process."""
    made: SecretsManagerClient = client("secretsmanager")
    return made


def read_text(arn: str, unavailable: str = "storage_unavailable") -> str:
    """Reads the text of a secret.

    Args:
        arn: The ARN of the secret.
        unavailable: The code of a `Transient` error.

    Raises:
        Transient: Secrets Manager does not answer.
        Broken: The secret does not exist, or the function may not read it.
    """
    try:
        return secrets_client().get_secret_value(SecretId=arn)["SecretString"]
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if error.response["ResponseMetadata"]["HTTPStatusCode"] >= 500 or "Throttl" in code:
            raise Transient(unavailable, internal=f"secret {arn}: {code}") from error
        raise Broken(f"secret {arn}: {code}") from error
    except BotoCoreError as error:
        raise Transient(unavailable, internal=f"secret {arn}: {error}") from error


def read_credentials(arn: str) -> Credentials:
    """Reads a secret of the form `{"username": …, "password": …}`.

    Raises:
        Transient: Secrets Manager does not answer.
        Broken: The secret does not exist, has another form, or may not be read by the function.
    """
    try:
        value = json.loads(read_text(arn, "queue_unavailable"))
        return Credentials(value["username"], value["password"])
    except (ValueError, KeyError, TypeError) as error:
        raise Broken(f"secret {arn} does not have the form {{username, password}}") from error


def link_key(arn: str) -> Callable[[], bytes] | None:
    """Returns what `FileLinks` needs to read its key; None if the endpoint has no API keys and so no secret."""
    return (lambda: read_text(arn).encode()) if arn else None
