"""Converts HTTP requests to API Gateway's proxy events (payload format 1.0), and proxy answers to HTTP responses.

Source: "Lambda proxy integrations in API Gateway" in the API Gateway developer guide.
"""

import base64
import json
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from infra.local.functions.instance import Answer
from infra.local.template.addresses import ACCOUNT


class MalformedAnswer(Exception):
    """Reports that a function's answer is not a proxy answer, for which API Gateway answers 502."""


@dataclass(frozen=True)
class HttpRequest:
    """Holds a request. `path` is decoded, and does not contain the stage."""

    method: str
    path: str
    query: str
    headers: Sequence[tuple[str, str]]
    body: bytes
    source_ip: str
    host: str
    protocol: str = "HTTP/1.1"


@dataclass(frozen=True)
class ApiKey:
    """Holds an API key, and the id of the key in proxy events."""

    id: str
    value: str = field(repr=False)


@dataclass(frozen=True)
class HttpAnswer:
    """Holds an HTTP response."""

    status: int
    headers: Sequence[tuple[str, str]]
    body: bytes


def proxy_event(
    request: HttpRequest,
    *,
    resource: str,
    parameters: Mapping[str, str],
    stage: str,
    stage_in_path: bool,
    binary_types: Sequence[str],
    request_id: str | None = None,
    api_key: ApiKey | None = None,
    now: float | None = None,
) -> dict[str, Any]:
    """Returns the proxy event of a request.

    Args:
        request: The request.
        resource: The path of the matching route, such as "/pdf/{id}".
        parameters: The path parameters.
        stage: The stage of the API.
        stage_in_path: Whether the address contains the stage as its first part.
        binary_types: The binary media types of the API.
        request_id: The id of the request; None creates one.
        api_key: The API key of the request, if the route requires one.
        now: Seconds since the epoch; None is the current time.
    """
    moment = time.time() if now is None else now
    headers = grouped(request.headers)
    query = grouped(parse_qsl(request.query, keep_blank_values=True))
    context_path = f"/{stage}{request.path}" if stage_in_path else request.path
    binary = _matches(_last(headers, "content-type") or "application/json", binary_types)
    body: str | None = None
    if request.body:
        body = base64.b64encode(request.body).decode() if binary else request.body.decode("utf-8", "replace")
    return {
        "resource": resource,
        "path": request.path,
        "httpMethod": request.method,
        "headers": {name: values[-1] for name, values in headers.items()} or None,
        "multiValueHeaders": headers or None,
        "queryStringParameters": {name: values[-1] for name, values in query.items()} or None,
        "multiValueQueryStringParameters": query or None,
        "pathParameters": dict(parameters) or None,
        "stageVariables": None,
        "requestContext": {
            "accountId": ACCOUNT,
            "apiId": "local",
            "domainName": request.host,
            "domainPrefix": request.host.partition(".")[0],
            "extendedRequestId": "local=",
            "httpMethod": request.method,
            "identity": {
                "accessKey": None,
                "accountId": None,
                **({"apiKey": api_key.value, "apiKeyId": api_key.id} if api_key is not None else {}),
                "caller": None,
                "cognitoAuthenticationProvider": None,
                "cognitoAuthenticationType": None,
                "cognitoIdentityId": None,
                "cognitoIdentityPoolId": None,
                "principalOrgId": None,
                "sourceIp": request.source_ip,
                "user": None,
                "userAgent": _last(headers, "user-agent"),
                "userArn": None,
            },
            "path": context_path,
            "protocol": request.protocol,
            "requestId": request_id or str(uuid.uuid4()),
            "requestTime": time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(moment)),
            "requestTimeEpoch": int(moment * 1000),
            "resourceId": "local",
            "resourcePath": resource,
            "stage": stage,
        },
        "body": body,
        "isBase64Encoded": bool(request.body) and binary,
    }


def proxy_answer(given: Answer, *, accept: str, binary_types: Sequence[str]) -> HttpAnswer:
    """Returns the HTTP response of a function's answer.

    Args:
        given: The answer of the function.
        accept: The header Accept of the request.
        binary_types: The binary media types of the API.

    Raises:
        MalformedAnswer: The answer is not a proxy answer, or the function failed.
    """
    if given.error is not None:
        raise MalformedAnswer(given.payload.decode("utf-8", "replace")[:500])
    try:
        answer = json.loads(given.payload)
    except ValueError as error:
        raise MalformedAnswer("not JSON") from error
    known = {"statusCode", "headers", "multiValueHeaders", "body", "isBase64Encoded"}
    if not isinstance(answer, dict) or "statusCode" not in answer or set(answer) - known - {"cookies"}:
        raise MalformedAnswer("not an object with statusCode, headers, multiValueHeaders, body, isBase64Encoded")
    try:
        status = int(answer["statusCode"])
    except (TypeError, ValueError) as error:
        raise MalformedAnswer(f"statusCode {answer['statusCode']!r}") from error
    body = answer.get("body")
    if body is not None and not isinstance(body, str):
        raise MalformedAnswer("the body is not a string")
    headers: dict[str, list[str]] = {}
    for name, value in (answer.get("headers") or {}).items():
        headers[name] = [_header_text(value)]
    for name, values in (answer.get("multiValueHeaders") or {}).items():
        present = headers.get(name, [])
        headers[name] = [*[item for item in present if item not in values], *map(_header_text, values)]
    if not any(name.lower() == "content-type" for name in headers):
        headers["Content-Type"] = ["application/json"]
    raw = (body or "").encode()
    # API Gateway decodes base64 only if Accept starts with one of the API's binary media types.
    if answer.get("isBase64Encoded") and _matches(accept or "*/*", binary_types):
        try:
            raw = base64.b64decode(body or "", validate=True)
        except ValueError as error:
            raise MalformedAnswer("the body is not base64") from error
    return HttpAnswer(status, [(name, value) for name, values in headers.items() for value in values], raw)


def grouped(pairs: Sequence[tuple[str, str]]) -> dict[str, list[str]]:
    """Groups values by name, and keeps the order of both."""
    found: dict[str, list[str]] = {}
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    return found


def _last(headers: Mapping[str, Sequence[str]], wanted: str) -> str | None:
    return next((values[-1] for name, values in headers.items() if name.lower() == wanted), None)


def _matches(header: str, types: Sequence[str]) -> bool:
    """Says whether the first media type in a Content-Type or Accept header is one of `types`."""
    media = header.partition(",")[0].partition(";")[0].strip().lower()
    return "*/*" in types or media in types


def _header_text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, str | int | float):
        raise MalformedAnswer(f"a header's value is {value!r}")
    return str(value)
