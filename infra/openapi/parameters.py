"""Parameters and headers of the calls."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from functions.api import site
from functions.api.contract import PdfRequest
from functions.api.requests import MAX_HOPS
from functions.api.waiting import WAIT_SECONDS
from infra.openapi import examples
from infra.openapi.schemas import schemas
from urlshot.core.identity import MAX_URL
from urlshot.core.options import Options

_ID = {"type": "string", "pattern": "^([0-9a-f]{40}|[0-9a-f]{32})$"}


def _query(name: str, text: str, schema: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"name": name, "in": "query", "description": text, "schema": schema, **more}


PARAMETERS: dict[str, dict[str, Any]] = {
    "id": {
        "name": "id",
        "in": "path",
        "required": True,
        "description": "Of the job: 40 hex digits, or 32 of a private one.",
        "schema": _ID,
        "example": examples.ID,
    },
    "name": {
        "name": "name",
        "in": "path",
        "required": True,
        "description": "Of the file.",
        "schema": {"type": "string", "enum": sorted(set(site.files().texts) - {"index.html"})},
    },
    "v": _query("v", "Of the page: its files of one version do not change.", {"type": "string"}),
    "url": _query(
        "url",
        "The page to print: an absolute http or https URL, percent-encoded.",
        {"type": "string", "format": "uri", "minLength": 1, "maxLength": MAX_URL},
        required=True,
        example=examples.URL,
    ),
    "max_age": _query(
        "max_age",
        "How old, in seconds, a PDF that is there may be; 0 asks for a new one. The endpoint has a default.",
        schemas([PdfRequest], "validation")["PdfRequest"]["properties"]["max_age"]["anyOf"][0],
    ),
    "hops": _query(
        "hops",
        "How often the call has redirected to itself; it is for the call's own use.",
        {"type": "integer", "minimum": 0, "maximum": MAX_HOPS, "default": 0},
    ),
    "wait": _query(
        "wait",
        "Seconds to wait for the job's end.",
        {"type": "number", "minimum": 0, "maximum": WAIT_SECONDS, "default": 0},
    ),
    "token": _query("token", "What `links.file` carries where the endpoint asks for API keys.", {"type": "string"}),
    "download": _query(
        "download", "1 for a link that saves the PDF rather than shows it.", {"type": "string", "examples": ["1"]}
    ),
    "If-None-Match": {
        "name": "If-None-Match",
        "in": "header",
        "description": "`ETag` of what the caller has: answered with 304 where nothing has changed.",
        "schema": {"type": "string"},
    },
}

WEBHOOK_HEADERS = [
    {
        "name": name,
        "in": "header",
        "required": True,
        "description": text,
        "schema": {"type": "string"},
    }
    for name, text in {
        "webhook-id": "The same for every attempt: what to tell repetitions by.",
        "webhook-timestamp": "Of this attempt, in seconds since 1970.",
        "webhook-signature": "`v1a,` and an Ed25519 signature of id, timestamp and body, by a key of `/webhook-keys`.",
    }.items()
]

HEADERS: dict[str, dict[str, Any]] = {
    "X-Request-Id": {
        "description": "Names this request in the endpoint's logs.",
        "required": True,
        "schema": {"type": "string", "minLength": 1},
    },
    "Cache-Control": {"description": "As RFC 9111 has it.", "required": True, "schema": {"type": "string"}},
    "Location": {
        "description": "Where to go on.",
        "required": True,
        "schema": {"type": "string", "format": "uri"},
    },
    "Retry-After": {
        "description": "Seconds to wait before asking again.",
        "required": True,
        "schema": {"type": "integer", "minimum": 1},
    },
    "Retry-After.maybe": {
        "description": "Seconds to wait before asking again, where that helps.",
        "schema": {"type": "integer", "minimum": 1},
    },
    "ETag": {"description": "Names this state of what is answered.", "required": True, "schema": {"type": "string"}},
    "ETag.maybe": {
        "description": "Names this state of what is answered; absent where only the PDF is known.",
        "schema": {"type": "string"},
    },
}


def _options() -> dict[str, dict[str, Any]]:
    """The options as parameters of a query, which knows no objects: lists with commas between their items."""
    properties = schemas([Options], "validation")["Options"]["properties"]
    found = {}
    for name, schema in properties.items():
        if isinstance(Options.model_fields[name].default, BaseModel) and name != "margin":
            continue
        if name == "margin":  # a length for all four sides, which stands beside the object
            schema = {**schema["anyOf"][1], "description": schema["description"], "default": "10mm"}
        text = schema["description"]
        schema = {key: value for key, value in schema.items() if key != "description"}
        style = {"style": "form", "explode": False} if schema["type"] == "array" else {}
        found[name] = _query(name, text, schema, **style)
    return found


OPTIONS = _options()
PARAMETERS |= OPTIONS
