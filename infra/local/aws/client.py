"""Calls the AWS stand-in for the stack itself, over aiohttp.

boto3 would need a thread for each long poll and half a second to import. moto reads the service from the Authorization
header and does not check signatures, so the header here only names the service.
"""

import json
from typing import Any

import aiohttp

from infra.local.template.addresses import REGION

_JSON_VERSIONS = {"sqs": "1.0", "secretsmanager": "1.1", "events": "1.1"}
_PREFIXES = {"sqs": "AmazonSQS", "secretsmanager": "secretsmanager", "events": "AWSEvents"}


class AwsError(Exception):
    """Reports a failed call; the text has the call, the status and the answer."""


class AwsClient:
    """Calls SQS, Secrets Manager and EventBridge by their JSON protocols, and S3 and SES v2 by REST."""

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=30)  # a long poll waits up to 20 s
        self._session = aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(limit=0))

    async def close(self) -> None:
        await self._session.close()

    async def call(self, service: str, action: str, **arguments: Any) -> dict[str, Any]:
        """Calls an action of a service, such as "CreateQueue" of "sqs", and returns its answer.

        Raises:
            AwsError: The answer is an error.
            aiohttp.ClientError: The connection failed.
            TimeoutError: There is no answer in time.
        """
        headers = {
            "X-Amz-Target": f"{_PREFIXES[service]}.{action}",
            "Content-Type": f"application/x-amz-json-{_JSON_VERSIONS[service]}",
        }
        return await self._send(service, "POST", "/", json.dumps(arguments).encode(), headers)

    async def create_bucket(self, name: str) -> None:
        await self._send("s3", "PUT", f"/{name}", b"", {})

    async def verify_sender(self, address: str) -> None:
        body = json.dumps({"EmailIdentity": address}).encode()
        await self._send("ses", "POST", "/v2/email/identities", body, {"Content-Type": "application/json"})

    async def _send(self, service: str, method: str, path: str, body: bytes, headers: dict[str, str]) -> dict[str, Any]:
        credential = f"AKIALOCALLOCALLOCALL/20260101/{REGION}/{service}/aws4_request"
        headers["Authorization"] = f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders=host, Signature=local"
        async with self._session.request(method, self._endpoint + path, data=body, headers=headers) as answer:
            text = await answer.text()
            if answer.status >= 300:
                what = headers.get("X-Amz-Target", f"{service} {method} {path}")
                raise AwsError(f"{what}: {answer.status} {text[:500]}")
        return json.loads(text) if text.startswith("{") else {}
