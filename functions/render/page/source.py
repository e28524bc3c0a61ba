"""Reads from a document's source what the browser does not report: that it breaks off, or has closed shadow roots."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from typing import Any

from functions.render.devtools.network import BODY_BYTES, Response
from functions.render.devtools.page import Page
from playwright_aws_lambda import DevToolsError, Session

MOST = BODY_BYTES
"""Largest source that is examined, in bytes."""

SECONDS = 2.0
"""Longest wait for a document's source."""
_SHORT = 10_000
"""Largest source, in bytes, whose tags are followed on the event loop."""
_LONG_SOURCE = 500_000
"""Largest source that is searched on the event loop."""
_ROOTS = 1000
_REMEMBER = """function () {
  const watch = window[Symbol.for("urlshot")], roots = watch?.roots;
  if (!roots || this.host.ownerDocument !== document) return;
  for (let at = 0; at < roots.next; at++) if (roots[at]?.deref() === this) return;
  roots[roots.next++] = new WeakRef(this);
  roots.size++;
  watch.walked = 0;
}"""
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
_ENDED = re.compile(rb"</(?:body|html)[\s>]", re.IGNORECASE)
_CLOSED = re.compile(rb"<template\s[^>]{0,300}shadowrootmode\s*=\s*[\"']?closed", re.IGNORECASE)
_TAG = re.compile(rb"<(?:!--|(/?)([A-Za-z][^\s/>]*)|[!?])")
_REST = re.compile(rb"(?:[^>\"']+|\"[^\"]*\"|'[^']*')*+>")
"""The part of a tag after its name."""
_LONG = 1000
"""Bytes of a tag in which quotes count. A longer tag ends at its first `>`, which bounds the work."""
_RAW = {b"script", b"style", b"textarea", b"title", b"xmp", b"iframe", b"noembed", b"noframes", b"noscript"}
"""Elements whose content is not markup (HTML, section 13.2.5)."""
_BLOCKS = {
    b"article", b"aside", b"center", b"details", b"div", b"fieldset", b"figure", b"footer", b"form", b"header", b"main",
    b"nav", b"section", b"table", b"ul", b"ol",
}  # fmt: skip
"""Elements whose end tags are required."""
_DEEP = 100
"""Depth of nested blocks up to which blocks are followed."""
_TAGS = 50_000
"""Tags after which the examination of a document stops."""
_OPEN = 2
"""Blocks that are open at the end of a document that breaks off; a careless author may leave one open."""


@dataclass(frozen=True)
class Source:
    """The source of a document, empty if it is unknown, and the facts that it shows.

    `may_be_pdf` is False only if the source holds no PDF header.
    """

    text: bytes = b""
    closed_roots: bool = False
    may_be_pdf: bool = True

    async def breaks_off(self) -> bool:
        """Returns whether the document breaks off; see `breaks_off`. This takes 2 milliseconds for 1,000 tags."""
        # Off the event loop, because the page decides how long the source is.
        if len(self.text) > _SHORT:
            return await asyncio.to_thread(breaks_off, self.text)
        return breaks_off(self.text)


async def read(response: Response | None) -> Source:
    """Examines the source of a document; returns `Source()` if it is missing, too long, late, or not HTML."""
    if response is None or "html" not in response.headers.get("content-type", "text/html").lower():
        return Source()
    if len(response.headers.get("content-length", "")) > len(str(MOST)):
        return Source()
    try:
        async with asyncio.timeout(SECONDS):
            source = await response.body()
    except (DevToolsError, TimeoutError):
        return Source()
    return await asyncio.to_thread(_examine, source) if len(source) > _LONG_SOURCE else _examine(source)


def _examine(source: bytes) -> Source:
    if len(source) > MOST:
        return Source()
    may_be_pdf = b"%PDF-" in source or source.startswith(_UTF_16)
    return Source(source, closed_roots=holds_closed_roots(source), may_be_pdf=may_be_pdf)


async def reach_closed_roots(page: Page) -> None:
    """Gives the watch script (watch.js) of every document the closed shadow roots that the document declares."""
    await _reach(page.session)


async def _reach(session: Session) -> None:
    nodes = [(await session.call("DOM.getDocument", {"depth": -1, "pierce": True}))["root"]]
    found: list[dict[str, Any]] = []
    while nodes and len(found) < _ROOTS:
        node = nodes.pop()
        roots = node.get("shadowRoots", [])
        found += [root for root in roots if root.get("shadowRootType") == "closed"]
        nodes += [*node.get("children", []), *roots, *([node["contentDocument"]] if "contentDocument" in node else [])]
    for root in found:
        held = await session.call("DOM.resolveNode", {"backendNodeId": root["backendNodeId"]})
        call = {"objectId": held["object"]["objectId"], "functionDeclaration": _REMEMBER}
        await session.call("Runtime.callFunctionOn", call)
    await session.call("DOM.disable")


def holds_closed_roots(source: bytes) -> bool:
    """Returns whether a document declares closed shadow roots, which scripts cannot reach."""
    return _CLOSED.search(source) is not None


def breaks_off(source: bytes) -> bool:
    """Returns whether an HTML document breaks off: within a tag, comment, script or style, or within several blocks.

    A document with an end tag of `body` or `html` is complete. HTML allows to omit these tags, so a document without
    them is complete if its blocks are closed. A document that breaks off between two paragraphs looks the same and is
    not noticed.
    """
    if source.startswith(_UTF_16) or _ENDED.search(source):
        return False
    blocks: list[bytes] = []
    at = 0
    for _ in range(_TAGS):
        found = _TAG.search(source, at)
        if found is None:
            return len(blocks) >= _OPEN
        name = (found[2] or b"").lower()
        if found[0] == b"<!--":
            end = source.find(b"-->", found.end() - 2)
            if end < 0:
                return True
            at = end + 3
            continue
        rest = _REST.match(source, found.end(), found.end() + _LONG)
        at = rest.end() if rest is not None else source.find(b">", found.end()) + 1
        if not at:
            return bool(name)
        if not found[1] and name in _RAW:
            ended = re.compile(rb"</" + name + rb"[\s/>]", re.IGNORECASE).search(source, at)
            if ended is None:
                return name in {b"script", b"style"}  # authors sometimes omit the other end tags
            at = ended.start()
        elif name in _BLOCKS:
            if not found[1] and len(blocks) < _DEEP:
                blocks.append(name)
            elif name in blocks:
                del blocks[len(blocks) - 1 - blocks[::-1].index(name) :]
    return False
