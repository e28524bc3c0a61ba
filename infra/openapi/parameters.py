"""Describes the parameters and headers of the calls."""

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
        "description": "Id of the job: 40 hex digits, or 32 for a private job.",
        "schema": _ID,
        "example": examples.ID,
    },
    "name": {
        "name": "name",
        "in": "path",
        "required": True,
        "description": "Name of the file.",
        "schema": {"type": "string", "enum": sorted(set(site.files().texts) - {"index.html"})},
    },
    "v": _query("v", "Version of the page. The files of one version never change.", {"type": "string"}),
    "url": _query(
        "url",
        "The page to print: an absolute http or https URL, percent-encoded.",
        {"type": "string", "format": "uri", "minLength": 1, "maxLength": MAX_URL},
        required=True,
        example=examples.URL,
    ),
    "max_age": _query(
        "max_age",
        "Maximum age of an existing PDF, in seconds; 0 requests a new PDF. The endpoint has a default.",
        schemas([PdfRequest], "validation")["PdfRequest"]["properties"]["max_age"]["anyOf"][0],
    ),
    "hops": _query(
        "hops",
        "Number of times that the call has redirected to itself. The call sets it; clients do not.",
        {"type": "integer", "minimum": 0, "maximum": MAX_HOPS, "default": 0},
    ),
    "wait": _query(
        "wait",
        "Seconds to wait for the end of the job.",
        {"type": "number", "minimum": 0, "maximum": WAIT_SECONDS, "default": 0},
    ),
    "token": _query("token", "Token from `links.file`, if the endpoint requires API keys.", {"type": "string"}),
    "download": _query(
        "download", "1 makes browsers save the PDF instead of showing it.", {"type": "string", "examples": ["1"]}
    ),
    "If-None-Match": {
        "name": "If-None-Match",
        "in": "header",
        "description": "`ETag` of the caller's copy. If it is current, the answer is 304.",
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
        "webhook-id": "Id of the callback, the same in every attempt. Use it to recognise repetitions.",
        "webhook-timestamp": "Time of this attempt, in seconds since 1970.",
        "webhook-signature": "`v1a,` and an Ed25519 signature of id, timestamp and body, by a key of `/webhook-keys`.",
    }.items()
]

HEADERS: dict[str, dict[str, Any]] = {
    "X-Request-Id": {
        "description": "Id of this request in the logs of the endpoint.",
        "required": True,
        "schema": {"type": "string", "minLength": 1},
    },
    "Cache-Control": {"description": "See RFC 9111.", "required": True, "schema": {"type": "string"}},
    "Location": {
        "description": "Address of the PDF, of the job, or of the next call.",
        "required": True,
        "schema": {"type": "string", "format": "uri"},
    },
    "Retry-After": {
        "description": "Seconds to wait before the next request.",
        "required": True,
        "schema": {"type": "integer", "minimum": 1},
    },
    "Retry-After.maybe": {
        "description": "Seconds to wait before the next request; absent if waiting does not help.",
        "schema": {"type": "integer", "minimum": 1},
    },
    "ETag": {"description": "Identifies this version of the answer.", "required": True, "schema": {"type": "string"}},
    "ETag.maybe": {
        "description": "Identifies this version of the answer; absent if the record of the job has expired.",
        "schema": {"type": "string"},
    },
}


def _options() -> dict[str, dict[str, Any]]:
    """Returns the options as query parameters. Options that are objects are left out; lists use commas."""
    properties = schemas([Options], "validation")["Options"]["properties"]
    found = {}
    for name, schema in properties.items():
        if isinstance(Options.model_fields[name].default, BaseModel) and name != "margin":
            continue
        if name == "margin":  # its schema also allows one length for all four sides
            schema = {**schema["anyOf"][1], "description": schema["description"], "default": "10mm"}
        text = schema["description"]
        schema = {key: value for key, value in schema.items() if key != "description"}
        style = {"style": "form", "explode": False} if schema["type"] == "array" else {}
        found[name] = _query(name, text, schema, **style)
    return found


OPTIONS = _options()
PARAMETERS |= OPTIONS
