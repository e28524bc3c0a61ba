"""Generates the OpenAPI 3.1 document from the calls, the models and the codes."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from functions.api import contract
from infra.openapi.calls import CALLS, Call, Success
from infra.openapi.examples import BLOCKED, COMPLETED, FAILED_RECENTLY, shown
from infra.openapi.parameters import HEADERS, OPTIONS, PARAMETERS, WEBHOOK_HEADERS
from infra.openapi.schemas import schemas
from urlshot.core.errors import CODES

PROJECT = Path(__file__).resolve().parents[2]
FILE = PROJECT / "functions" / "api" / "openapi.json"
PROBLEM_MEDIA = "application/problem+json"

_DESCRIPTION = """\
Any URL in, a PDF out. Request a PDF with `POST /pdf` and poll the job, or download it with `GET /pdf?url=…`.

Errors are answered as problems (RFC 9457). The `code` is stable and names the problem, `remedy` says what to do,
`retryable` says whether the same request may succeed later, and `field` names the invalid part of the request. An
unknown path is answered with 404 `not_found`, an unknown method with 405 `method_not_allowed` and the header `Allow`.
Every answer has an `X-Request-Id`. Later versions may add fields to answers: ignore fields that you do not know.

Most endpoints require an API key in `x-api-key` for the calls that list that scheme; others require none. An endpoint
that allows pages of other origins answers their preflight requests (`OPTIONS`, not listed here).
"""

_TAGS = {
    "PDFs": "Request PDFs.",
    "Jobs": "Poll a job, and get its PDF and report.",
    "Callbacks": "The requests to a `callback_url`, and the keys that verify them.",
    "Endpoint": "Information about this endpoint.",
}

_SAYS = {
    400: "The body cannot be read",
    403: "Not allowed",
    404: "Not found",
    413: "Too large",
    415: "Not a page",
    422: "The request is invalid",
    429: "Too many requests",
    500: "An internal error",
    502: "The page could not be printed",
    503: "Temporarily unavailable",
    504: "Not ready in time",
    None: "Refused by API Gateway, with another status",
}
"""The meaning of each problem status."""


def document() -> dict[str, Any]:
    """Returns the whole document, as JSON values."""
    version = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["version"]
    paths: dict[str, Any] = {}
    for call in CALLS:
        paths.setdefault(call.path, {})[call.method] = _operation(call)
        if call.head:
            paths[call.path]["head"] = _head(call)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "urlshot",
            "version": version,
            "summary": "Any URL in, a PDF out.",
            "description": _DESCRIPTION,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        # Relative to the document's own address (OpenAPI 3.1, "Server Object"), so it is also correct under a stage.
        "servers": [{"url": ".", "description": "The endpoint that served this document."}],
        "tags": [{"name": name, "description": text} for name, text in _TAGS.items()],
        "paths": paths,
        "webhooks": {"jobEnded": {"post": _webhook()}},
        "components": {
            "schemas": _components(),
            "parameters": PARAMETERS,
            "responses": _shared(paths),
            "headers": HEADERS,
            "securitySchemes": {
                "api_key": {
                    "type": "apiKey",
                    "name": "x-api-key",
                    "in": "header",
                    "description": "The operator of the endpoint issues keys.",
                }
            },
        },
    }


def _shared(paths: dict[str, Any]) -> dict[str, Any]:
    """Moves problem answers that several calls share out of the calls, and replaces them by references.

    Returns:
        The shared answers by name. A name consists of the status and the codes.

    Raises:
        ValueError: Two different answers would have the same name.
    """
    seen: dict[str, list[dict[str, Any]]] = {}
    for operations in paths.values():
        for operation in operations.values():
            for status, answer in operation["responses"].items():
                if list(answer.get("content", {})) == [PROBLEM_MEDIA]:
                    codes = answer["content"][PROBLEM_MEDIA]["schema"]["properties"]["code"]["enum"]
                    name = ".".join([status, *codes] if len(codes) < 4 else [status, codes[0], f"and{len(codes) - 1}"])
                    seen.setdefault(name, []).append(answer)
    found = {}
    for name, answers in seen.items():
        if len(answers) > 1:
            found[name] = dict(answers[0])
            for answer in answers:
                if answer != found[name]:
                    raise ValueError(f"two answers have the name {name}")
                answer.clear()
                answer["$ref"] = f"#/components/responses/{name}"
    return dict(sorted(found.items()))


def text() -> str:
    """Returns the document as the text of its file."""
    return json.dumps(document(), indent=1, ensure_ascii=False) + "\n"


def _components() -> dict[str, Any]:
    """Returns the schemas of requests and answers. Options have the same schema in both."""
    asked = schemas([contract.BatchRequest], "validation")
    answered = schemas(contract.ANSWERS, "serialization")
    found = {**answered, **asked}
    found["Problem"]["examples"] = [shown(one) for one in (BLOCKED, FAILED_RECENTLY)]
    first = ["PdfRequest", "Options", "Private", "BatchRequest", "Job", "PdfThere", "Report", "Problem"]
    return {name: found[name] for name in (*first, *(name for name in found if name not in first))}


def _operation(call: Call) -> dict[str, Any]:
    found: dict[str, Any] = {
        "operationId": call.name,
        "tags": [call.tag],
        "summary": call.summary,
        "description": call.text,
        # Alternatives: each endpoint decides whether it requires a key.
        "security": [{"api_key": []}, {}] if call.key else [],
    }
    if call.parameters:
        names = [one for name in call.parameters for one in (OPTIONS if name == "options" else [name])]
        found["parameters"] = [{"$ref": f"#/components/parameters/{name}"} for name in names]
    if call.body is not None:
        found["requestBody"] = {
            "required": True,
            "content": {
                "application/json": {
                    "schema": _ref(call.body),
                    "examples": {name: {"value": value} for name, value in call.bodies.items()},
                }
            },
        }
    answers = {status: _success(success) for status, success in call.answers.items()}
    answers |= {status: _problems(status, codes) for status, codes in _by_status(call.codes)}
    found["responses"] = {str(status): answers[status] for status in sorted(answers)}
    found["responses"]["4XX"] = _problems(None, ["refused"])
    return found


def _webhook() -> dict[str, Any]:
    """Returns the description of the request to a callback URL."""
    return {
        "operationId": "jobEnded",
        "tags": ["Callbacks"],
        "summary": "A job has ended",
        "description": "Posted to the `callback_url` of a request, with a signature as in Standard Webhooks. After an "
        "answer other than 2xx, or no answer within 15 s, the request is repeated: up to eight attempts within 18 "
        "hours.",
        "security": [],
        "parameters": WEBHOOK_HEADERS,
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": _ref("Completion"),
                    "examples": {"done": {"value": shown(COMPLETED)}},
                }
            },
        },
        "responses": {
            "2XX": {"description": "Received."},
            "410": {"description": "Received; send no further callbacks for this request."},
            "default": {"description": "Not received; try again later."},
        },
    }


def _head(call: Call) -> dict[str, Any]:
    """Returns the HEAD operation of a call: the same answers without bodies."""
    found = _operation(call)
    found["operationId"] = f"{call.name}Head"
    found["summary"] = f"{call.summary}: headers only"
    found["description"] = f"The same as {call.method.upper()}, without a body."
    for answer in found["responses"].values():
        answer.pop("content", None)
    return found


def _success(success: Success) -> dict[str, Any]:
    found: dict[str, Any] = {"description": success.says, "headers": _headers(success.headers)}
    if success.schema is not None:
        content: dict[str, Any] = {"schema": _schema(success.schema)}
        if success.examples:
            content["examples"] = {name: {"value": value} for name, value in success.examples.items()}
        found["content"] = dict.fromkeys(success.media.split("|"), content)
    return found


def _schema(name: str) -> dict[str, Any]:
    if name in ("object", "string"):
        return {"type": name}
    names = name.split("|")
    return _ref(name) if len(names) == 1 else {"anyOf": [_ref(one) for one in names]}


def _by_status(codes: Iterable[str]) -> list[tuple[int, list[str]]]:
    """Groups codes by status. Each code occurs once; codes are in the order of `CODES`."""
    wanted = set(codes)
    found: dict[int, list[str]] = {}
    for name, code in CODES.items():
        if name in wanted:
            found.setdefault(code.status, []).append(name)
    return sorted(found.items())


def _problems(status: int | None, codes: list[str]) -> dict[str, Any]:
    """Returns the description of an answer with one of these codes; `None` is for statuses that are not listed."""
    names = ", ".join(f"`{code}`" for code in codes)
    schema = {"allOf": [_ref("Problem")], "properties": {"code": {"enum": codes}}}
    return {
        "description": f"{_SAYS[status]}: {names}.",
        "headers": _headers(["Retry-After" if status in (429, 503, 504) else "Retry-After?"]),
        "content": {PROBLEM_MEDIA: {"schema": schema}},
    }


def _headers(names: Iterable[str]) -> dict[str, Any]:
    """Returns references to headers. A name that ends in `?` is an optional header."""
    found: dict[str, Any] = {"X-Request-Id": {"$ref": "#/components/headers/X-Request-Id"}}
    for name in names:
        found[name.removesuffix("?")] = {"$ref": f"#/components/headers/{name.replace('?', '.maybe')}"}
    return found


def _ref(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}
