"""The page for people, and the contract for programs: files of this artefact, each read once a process, when it is
first asked for.

The page runs under a Content-Security-Policy that lets it load, call and frame nothing but this origin and the one of
the presigned links, and that knows no inline script and no inline style.
"""

from __future__ import annotations

import hashlib
import html
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from string import Template

from functions.api.http import Answer, Call
from urlshot.errors import Rejected

FOLDER = Path(__file__).parent / "page"
CONTRACT = Path(__file__).parent / "openapi.json"

_TYPES = {".css": "text/css", ".html": "text/html", ".js": "text/javascript", ".svg": "image/svg+xml"}
_IMPORT = re.compile(r'(?<= from "\./)([a-z]+\.js)(?=";)')

_FOR_EVER = "public, max-age=31536000, immutable"
_ASK_AGAIN = "no-cache"
_PERMISSIONS = ", ".join(f"{name}=()" for name in ("camera", "geolocation", "microphone", "payment", "usb"))


@dataclass(frozen=True)
class Files:
    """Texts by file name, and a version that changes with any of them."""

    texts: Mapping[str, str]
    version: str


@cache
def files() -> Files:
    """Reads the folder. A module's imports get the version into their addresses, as index.html's own addresses do:
    so that a browser may keep a file for ever, and never mixes two versions.
    """
    texts = {path.name: path.read_text("utf-8") for path in sorted(FOLDER.iterdir()) if path.suffix in _TYPES}
    version = hashlib.sha256(repr(texts).encode()).hexdigest()[:12]
    return Files({name: _IMPORT.sub(rf"\1?v={version}", text) for name, text in texts.items()}, version)


def index(call: Call, *, requires_key: bool, pdf_origin: str) -> Answer:
    """The page at the request's own address.

    `pdf_origin` is the origin of the presigned links, the only one whose documents it may frame.
    """
    found = files()
    text = Template(found.texts["index.html"]).substitute(
        base=html.escape(f"{call.base}/"), requires_key=str(requires_key).lower(), version=found.version
    )
    policy = {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "connect-src": "'self'",
        "img-src": "'self' data:",
        "frame-src": f"'self' {pdf_origin}",
        "form-action": f"'self' {pdf_origin}",  # the form without scripts: browsers hold its redirects against this
        "base-uri": "'self'",
        "frame-ancestors": "'none'",
    }
    headers = {
        "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
        "Permissions-Policy": _PERMISSIONS,
        "Referrer-Policy": "no-referrer",
        "Cache-Control": _ASK_AGAIN,
    }
    return _answer(call, "text/html", text, headers)


def file(call: Call, name: str) -> Answer:
    """A file that the page refers to; one of this version (`?v=`) may be kept for ever.

    Raises:
        Rejected: `not_found`.
    """
    found = files()
    text = found.texts.get(name)
    if text is None or name == "index.html":
        raise Rejected("not_found", "The page has no such file.")
    kept = _FOR_EVER if call.query.get("v") == found.version else _ASK_AGAIN
    return _answer(call, _TYPES[Path(name).suffix], text, {"Cache-Control": kept})


def contract(call: Call) -> Answer:
    """The description of this endpoint, as OpenAPI has it."""
    return _answer(call, "application/json", _contract(), {"Cache-Control": _ASK_AGAIN})


@cache
def _contract() -> str:
    return CONTRACT.read_text("utf-8")


def _answer(call: Call, media: str, text: str, headers: Mapping[str, str]) -> Answer:
    """The text, or 304 for who has it."""
    etag = f'"{hashlib.sha256(text.encode()).hexdigest()[:32]}"'
    sent = {**headers, "ETag": etag}
    if call.has(etag):
        return Answer(304, "", sent)
    kind = media if media == "application/json" else f"{media}; charset=utf-8"
    return Answer(200, text, {**sent, "Content-Type": kind})
