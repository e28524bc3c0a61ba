"""Holds API Gateway's REST proxy events and answers as values.

API Gateway finds the route before it calls the function, and the event names it (`resource`). So there is no second
router here, and none to import at a cold start.

Source: "Lambda proxy integrations in API Gateway" in the API Gateway developer guide.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlencode, urlsplit


@dataclass(frozen=True)
class Call:
    """Holds one request.

    `route` is the path as the API definition writes it, such as `/pdf/{id}`. `base` is the address of this endpoint as
    the client used it, with a stage prefix or base path and without a slash at the end. `key_id` is the id of the
    caller's API key, if the route requires one. Header names are in lower case. If a parameter is repeated, the last
    value counts.
    """

    method: str
    route: str
    base: str
    request_id: str
    parameters: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = field(default="", repr=False)
    is_base64: bool = False
    key_id: str | None = None

    @classmethod
    def of(cls, event: Mapping[str, Any]) -> Call:
        """Reads a request from an API Gateway event."""
        context = event["requestContext"]
        headers = {name.lower(): value for name, value in (event.get("headers") or {}).items()}
        forwarded = headers.get("x-forwarded-proto", "").split(",")[0].strip().lower()
        scheme = "http" if forwarded == "http" else "https"  # links and redirects must not take any text from a header
        # With a stage, or with a custom domain's base path, the path of the context is longer than that of the event.
        prefix = context["path"].rstrip("/").removesuffix(event["path"].rstrip("/"))
        return cls(
            method=event["httpMethod"],
            route=event["resource"],
            base=f"{scheme}://{context['domainName']}{prefix}",
            request_id=context["requestId"],
            parameters=event.get("pathParameters") or {},
            query=event.get("queryStringParameters") or {},
            headers=headers,
            body=event.get("body") or "",
            is_base64=bool(event.get("isBase64Encoded")),
            key_id=(context.get("identity") or {}).get("apiKeyId"),
        )

    @property
    def own(self) -> tuple[str, int]:
        """Returns host and port of this endpoint."""
        parts = urlsplit(self.base)
        return parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)

    def job(self, job_id: str) -> str:
        """Returns the address of a job."""
        return f"{self.base}/pdf/{job_id}"

    def again(self, hops: int) -> str:
        """Returns the address of this GET /pdf with another `hops`, to redirect the client to the same request."""
        return f"{self.base}/pdf?{urlencode({**self.query, 'hops': hops})}"

    def has(self, etag: str) -> bool:
        """Returns whether the caller has `etag` already, by weak comparison (RFC 9110, section 13.1.2)."""
        named = [tag.strip().removeprefix("W/") for tag in self.headers.get("if-none-match", "").split(",")]
        return "*" in named or etag.removeprefix("W/") in named


@dataclass(frozen=True)
class Answer:
    """Holds one answer; `outcomes` counts the outcomes of the requests for PDFs that it answers, for the metrics."""

    status: int
    body: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    outcomes: Mapping[str, int] = field(default_factory=dict)

    @property
    def value(self) -> Any:
        """Returns the value of a JSON body."""
        return json.loads(self.body)

    def with_headers(self, headers: Mapping[str, str]) -> Answer:
        """Returns the answer with more headers."""
        return replace(self, headers={**self.headers, **headers})

    def proxied(self, *, head: bool = False) -> dict[str, Any]:
        """Returns the answer in API Gateway's form; without the body for HEAD."""
        return {
            "statusCode": self.status,
            "headers": dict(self.headers),
            "body": "" if head else self.body,
            "isBase64Encoded": False,
        }


def json_answer(
    status: int, body: object, headers: Mapping[str, str], content_type: str = "application/json"
) -> Answer:
    """Returns an answer with a JSON body."""
    return Answer(status, json.dumps(body), {"Content-Type": content_type, **headers})
