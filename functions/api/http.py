"""API Gateway's REST proxy events and answers, as values.

API Gateway has found the route by the time the function is called: the event names it (`resource`), so there is no
second router here, and none to import at a cold start.

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
    """One request.

    `route` is the path as the API's definition has it, such as `/pdf/{id}`; `base` the address under which the request
    reached us, stage prefix or base path included, without a slash at its end; `key_id` the id of the caller's API key,
    where the route asks for one. Header names are in lower case; of a repeated parameter the last counts.
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
        context = event["requestContext"]
        headers = {name.lower(): value for name, value in (event.get("headers") or {}).items()}
        scheme = headers.get("x-forwarded-proto", "https").split(",")[0].strip()
        # With a stage or a custom domain's base path, the context's path is longer than the route's.
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
        """Host and port of this very endpoint."""
        parts = urlsplit(self.base)
        return parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)

    def job(self, job_id: str) -> str:
        return f"{self.base}/pdf/{job_id}"

    def again(self, hops: int) -> str:
        """The address of this same request, for a client that is sent on to itself."""
        return f"{self.base}/pdf?{urlencode({**self.query, 'hops': hops})}"

    def has(self, etag: str) -> bool:
        """Whether the caller has this representation already (RFC 9110, section 13.1.2: compared weakly)."""
        named = [tag.strip().removeprefix("W/") for tag in self.headers.get("if-none-match", "").split(",")]
        return "*" in named or etag.removeprefix("W/") in named


@dataclass(frozen=True)
class Answer:
    """One answer. `outcomes` counts what became of the requests for PDFs that it answers, for the metrics."""

    status: int
    body: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    outcomes: Mapping[str, int] = field(default_factory=dict)

    @property
    def value(self) -> Any:
        return json.loads(self.body)

    def with_headers(self, headers: Mapping[str, str]) -> Answer:
        return replace(self, headers={**self.headers, **headers})

    def proxied(self, *, head: bool = False) -> dict[str, Any]:
        """What Lambda gives to API Gateway; without the body for HEAD."""
        return {
            "statusCode": self.status,
            "headers": dict(self.headers),
            "body": "" if head else self.body,
            "isBase64Encoded": False,
        }


def json_answer(
    status: int, body: object, headers: Mapping[str, str], content_type: str = "application/json"
) -> Answer:
    return Answer(status, json.dumps(body), {"Content-Type": content_type, **headers})
