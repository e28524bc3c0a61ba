"""The document: OpenAPI 3.1, with everything that the calls, the models and the codes say."""

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
Any URL in, a PDF out. Ask with `POST /pdf` and follow the job, or download with `GET /pdf?url=…`.

What goes wrong is answered as a problem (RFC 9457): its `code` is stable and says what it is, `remedy` what to do about
it, `retryable` whether the same request may work later, and `field` which part of the request is at fault. A path that
there is not is answered with 404 `not_found`, a method with 405 `method_not_allowed` and the header `Allow`. Every
answer has an `X-Request-Id`. Fields may be added to answers one day: ignore those that you do not know.

Most endpoints ask for an API key in `x-api-key`, in the calls that name that scheme; some ask for none. An endpoint
that is open to pages of other origins answers their preflights (`OPTIONS`, not listed here).
"""

_TAGS = {
    "PDFs": "Ask for PDFs.",
    "Jobs": "Follow a job, and get what it made.",
    "Callbacks": "What is posted to a `callback_url`, and how to verify it.",
    "Endpoint": "About this endpoint.",
}

_SAYS = {
    400: "The body cannot be read",
    403: "Not allowed",
    404: "Not there",
    413: "Too large",
    415: "Not a page",
    422: "Something in the request is wrong",
    429: "Too many requests",
    500: "Broken on our side",
    502: "The page could not be printed",
    503: "Not now",
    504: "Not in time",
    None: "Refused by API Gateway, with another status",
}
"""What the statuses of problems mean here."""


def document() -> dict[str, Any]:
    """The whole document, as JSON values."""
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
        # Relative to where the document was fetched (OpenAPI 3.1, "Server Object"), so right under a stage's prefix.
        "servers": [{"url": ".", "description": "The endpoint that gave this document."}],
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
                    "description": "Handed out by whoever runs the endpoint.",
                }
            },
        },
    }


def _shared(paths: dict[str, Any]) -> dict[str, Any]:
    """Takes problem answers that several calls give out of them, to stand once; named by status and codes."""
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
    """The document as the file holds it."""
    return json.dumps(document(), indent=1, ensure_ascii=False) + "\n"


def _components() -> dict[str, Any]:
    """What is asked and what is answered; options have the same form in both."""
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
        # Either of them will do: whether a key is asked for is the endpoint's choice.
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
    """What is posted to callback URLs."""
    return {
        "operationId": "jobEnded",
        "tags": ["Callbacks"],
        "summary": "A job has ended",
        "description": "Posted to the `callback_url` of a request, signed as Standard Webhooks has it. An answer that "
        "is not 2xx, or none within 15 s, makes it come again, up to eight times within 18 hours.",
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
            "2XX": {"description": "Understood."},
            "410": {"description": "Nothing more is to be posted for this request."},
            "default": {"description": "To be tried again."},
        },
    }


def _head(call: Call) -> dict[str, Any]:
    """The same without bodies."""
    found = _operation(call)
    found["operationId"] = f"{call.name}Head"
    found["summary"] = f"{call.summary}: headers only"
    found["description"] = f"As {call.method.upper()}, without a body."
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
    """The codes by their statuses, each once and in the order of `CODES`."""
    wanted = set(codes)
    found: dict[int, list[str]] = {}
    for name, code in CODES.items():
        if name in wanted:
            found.setdefault(code.status, []).append(name)
    return sorted(found.items())


def _problems(status: int | None, codes: list[str]) -> dict[str, Any]:
    """The answer that carries one of these codes; without a status it stands for those that nobody foresaw."""
    names = ", ".join(f"`{code}`" for code in codes)
    schema = {"allOf": [_ref("Problem")], "properties": {"code": {"enum": codes}}}
    return {
        "description": f"{_SAYS[status]}: {names}.",
        "headers": _headers(["Retry-After" if status in (429, 503, 504) else "Retry-After?"]),
        "content": {PROBLEM_MEDIA: {"schema": schema}},
    }


def _headers(names: Iterable[str]) -> dict[str, Any]:
    """Headers by reference; one whose name ends in `?` need not be there."""
    found: dict[str, Any] = {"X-Request-Id": {"$ref": "#/components/headers/X-Request-Id"}}
    for name in names:
        found[name.removesuffix("?")] = {"$ref": f"#/components/headers/{name.replace('?', '.maybe')}"}
    return found


def _ref(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}
