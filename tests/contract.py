"""Checks real requests and answers against the contract of the endpoint, functions/api/openapi.json."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from jsonschema import Draft202012Validator, FormatChecker
from referencing import Registry
from referencing.jsonschema import DRAFT202012

FILE = Path(__file__).resolve().parents[1] / "functions" / "api" / "openapi.json"
_BASE = "urn:urlshot:openapi"

FORMATS = FormatChecker(["date-time"])


@FORMATS.checks("uri")
def _is_uri(value: object) -> bool:
    return not isinstance(value, str) or bool(urlsplit(value).scheme and urlsplit(value).netloc)


@dataclass(frozen=True)
class Request:
    """A request. `target` is the path below the endpoint, with the query."""

    method: str
    target: str
    body: bytes | None = None


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes


class Contract:
    """The contract without unknown fields: clients must accept new fields, but our answers have only described ones."""

    def __init__(self) -> None:
        self.closed: dict[str, Any] = json.loads(FILE.read_text("utf-8"))
        for schema in self.closed["components"]["schemas"].values():
            if "properties" in schema:
                schema.setdefault("additionalProperties", False)
        # With absolute references, any part of the document is a schema that can be used alone.
        self.document: dict[str, Any] = json.loads(json.dumps(self.closed).replace('"#/', f'"{_BASE}#/'))
        self._registry: Registry[Any] = Registry().with_resource(_BASE, DRAFT202012.create_resource(self.document))
        self._paths = {
            re.compile("/?".join(["", re.sub(r"\{\w+\}", "[^/]+", path).strip("/"), ""])): path
            for path in sorted(self.document["paths"], key=lambda path: path.count("{"))
        }

    def faults(self, request: Request, answer: Answer) -> list[str]:
        """Returns what the contract forbids in an answer and, if the request was accepted, in the request."""
        path = next((path for found, path in self._paths.items() if found.fullmatch(urlsplit(request.target).path)), "")
        item = self.document["paths"].get(path, {})
        operation = item.get(request.method.lower())
        if operation is None:
            return self._unknown(request, answer, known=bool(item))
        status = str(answer.status)
        responses = operation["responses"]
        described = responses.get(status) or (responses.get("4XX") if status.startswith("4") else None)
        if described is None:
            return [f"{status} is not among the statuses of {request.method} {path}: {', '.join(responses)}"]
        found = self._headers(self._resolved(described), answer)
        found += self._content(self._resolved(described).get("content", {}), answer)
        if answer.status < 400:
            found += self._granted(operation, request)
        return found

    def value_faults(self, schema: Mapping[str, Any], value: object) -> list[str]:
        """Returns how a JSON value violates a schema of this document."""
        validator = Draft202012Validator(schema, registry=self._registry, format_checker=FORMATS)
        return [f"{error.json_path}: {error.message[:500]}" for error in validator.iter_errors(value)]

    def _unknown(self, request: Request, answer: Answer, *, known: bool) -> list[str]:
        """Checks the answer to a path or method that the contract does not have; all of these have the same answers."""
        if request.method == "OPTIONS" and known:
            return [] if answer.status == 204 and answer.headers.get("Allow") else ["OPTIONS names no methods"]
        expected, code = (405, "method_not_allowed") if known else (404, "not_found")
        if answer.status != expected:
            return [f"{answer.status} to an unknown call, expected {expected}"]
        schema = {"allOf": [{"$ref": f"{_BASE}#/components/schemas/Problem"}], "properties": {"code": {"const": code}}}
        found = self._headers({"headers": {"X-Request-Id": {"required": True, "schema": {}}}}, answer)
        if known and not answer.headers.get("Allow"):
            found.append("Allow is missing")
        content = {} if request.method == "HEAD" else {"application/problem+json": {"schema": schema}}
        return found + self._content(content, answer)

    def _headers(self, described: Mapping[str, Any], answer: Answer) -> list[str]:
        found = []
        for name, reference in described.get("headers", {}).items():
            header = self._resolved(reference)
            text = answer.headers.get(name)
            if text is None:
                found += [f"{name} is missing"] if header.get("required") else []
            else:
                found += [f"{name}: {fault}" for fault in self._text_faults(header["schema"], text)]
        return found

    def _content(self, content: Mapping[str, Any], answer: Answer) -> list[str]:
        if not content:
            return ["there is a body, and none is described"] if answer.body else []
        media = (answer.headers.get("Content-Type") or "").partition(";")[0]
        if media not in content:
            return [f"the content is {media or 'of no type'}, not {' or '.join(content)}"]
        schema = content[media]["schema"]
        value = json.loads(answer.body) if media.endswith("json") else answer.body.decode()
        return self.value_faults(schema, value)

    def _granted(self, operation: Mapping[str, Any], request: Request) -> list[str]:
        found = []
        if "requestBody" in operation:
            schema = operation["requestBody"]["content"]["application/json"]["schema"]
            if operation["operationId"] != "askForManyPdfs":  # a batch is accepted even if requests in it are refused
                asked = json.loads(request.body or b"null")
                found += [f"request: {fault}" for fault in self.value_faults(schema, asked)]
        known = {one["name"]: one for one in map(self._resolved, operation.get("parameters", []))}
        for name, text in parse_qsl(urlsplit(request.target).query, keep_blank_values=True):
            if name not in known:
                found.append(f"request: {name} is not described")
            else:
                faults = self._text_faults(known[name]["schema"], text, listed="explode" in known[name])
                found += [f"request: {name}: {fault}" for fault in faults]
        return found

    def _text_faults(self, schema: Mapping[str, Any], text: str, *, listed: bool = False) -> list[str]:
        """Returns how a value in a header or a query, which is text, violates a schema."""
        value: Any = text
        match schema.get("type"):
            case "integer" | "number" | "boolean":
                try:
                    value = json.loads(text)
                except ValueError:
                    return [f"{text!r} is not of type {schema['type']}"]
            case "array" if listed:
                value = [part.strip() for part in text.split(",") if part.strip()]
        return self.value_faults(schema, value)

    def _resolved(self, value: Mapping[str, Any]) -> Mapping[str, Any]:
        """Returns a part of the document, with a reference replaced by its target."""
        if "$ref" not in value:
            return value
        found: Any = self.document
        for part in value["$ref"].removeprefix(f"{_BASE}#/").split("/"):
            found = found[part]
        return found  # type: ignore[no-any-return]
