"""Serves the web page and the OpenAPI document from files of this package, which are read once per process.

The Content-Security-Policy of the page lets it load, call and frame only this origin and that of the presigned links.
It allows no inline scripts and no inline styles.
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
from urlshot.core.errors import Rejected

FOLDER = Path(__file__).parent / "page"
CONTRACT = Path(__file__).parent / "openapi.json"

_TYPES = {".css": "text/css", ".html": "text/html", ".js": "text/javascript", ".svg": "image/svg+xml"}
_IMPORT = re.compile(r'(?<= from "\./)([a-z]+\.js)(?=";)')

_FOREVER = "public, max-age=31536000, immutable"
_REVALIDATE = "no-cache"
_PERMISSIONS = ", ".join(f"{name}=()" for name in ("camera", "geolocation", "microphone", "payment", "usb"))


@dataclass(frozen=True)
class Files:
    """Holds the texts by file name, and a version that changes with any of them."""

    texts: Mapping[str, str]
    version: str


@cache
def files() -> Files:
    """Reads the files of the page, and adds the version to the addresses in the modules' imports.

    The addresses in index.html get the version too. So a browser may cache a file forever and never mixes two versions.
    """
    texts = {path.name: path.read_text("utf-8") for path in sorted(FOLDER.iterdir()) if path.suffix in _TYPES}
    version = hashlib.sha256(repr(texts).encode()).hexdigest()[:12]
    return Files({name: _IMPORT.sub(rf"\1?v={version}", text) for name, text in texts.items()}, version)


def index(call: Call, *, requires_key: bool, pdf_origin: str) -> Answer:
    """Answers with the page.

    Args:
        call: the request.
        requires_key: whether the endpoint requires API keys.
        pdf_origin: the origin of the presigned links, which the page may frame besides its own.
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
        "form-action": f"'self' {pdf_origin}",  # browsers check the redirects of the form without scripts too
        "base-uri": "'self'",
        "frame-ancestors": "'none'",
    }
    headers = {
        "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
        "Permissions-Policy": _PERMISSIONS,
        "Referrer-Policy": "no-referrer",
        "Cache-Control": _REVALIDATE,
    }
    return _answer(call, "text/html", text, headers)


def file(call: Call, name: str) -> Answer:
    """Answers with a file of the page; a browser may cache it forever if the request names this version (`?v=`).

    Raises:
        Rejected: `not_found`: the page has no such file.
    """
    found = files()
    text = found.texts.get(name)
    if text is None or name == "index.html":
        raise Rejected("not_found", "The page has no such file.")
    caching = _FOREVER if call.query.get("v") == found.version else _REVALIDATE
    return _answer(call, _TYPES[Path(name).suffix], text, {"Cache-Control": caching})


def contract(call: Call) -> Answer:
    """Answers with the OpenAPI document of this endpoint."""
    return _answer(call, "application/json", _contract(), {"Cache-Control": _REVALIDATE})


@cache
def _contract() -> str:
    return CONTRACT.read_text("utf-8")


def _answer(call: Call, media: str, text: str, headers: Mapping[str, str]) -> Answer:
    """Answers with the text, or with 304 if the caller has it already."""
    etag = f'"{hashlib.sha256(text.encode()).hexdigest()[:32]}"'
    sent = {**headers, "ETag": etag}
    if call.has(etag):
        return Answer(304, "", sent)
    kind = media if media == "application/json" else f"{media}; charset=utf-8"
    return Answer(200, text, {**sent, "Content-Type": kind})
