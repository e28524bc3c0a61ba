"""What is seen of a page from outside it: its documents, its requests, what of them failed, what it complained of.

Everything a page can make many of is bounded here, so that a report stays small whatever the page does.
"""

from __future__ import annotations

import contextlib
import re
import time
from weakref import WeakSet

import ada_url
from playwright.async_api import ConsoleMessage, Error, Frame, Page, Request, Response

from urlshot.jobs import MOST, Hop, Trouble

from .ledger import Endpoint, Ledger

CONSOLE_CHARACTERS = 300
LONG_POLL_SECONDS = 4.0
"""A request that has been under way for so long is taken for one that waits for news, and holds nothing up."""

_ENDLESS = {"eventsource", "websocket", "ping", "beacon", "media", "manifest", "texttrack", "cspviolationreport"}
"""Kinds of request (Playwright's names) that may take for ever, or that nobody waits for."""
_BY_SCRIPT = {"fetch", "xhr", "script"}
_XSLT = re.compile("xml|xsl")
_PARTS = {"document", "stylesheet", "script"}
"""Kinds of request whose responses a page needs; what an image or a font lacks is asked of the page (ask.js)."""
_BROKE_OFF = re.compile(
    "ERR_(CONTENT_LENGTH_MISMATCH|INCOMPLETE_CHUNKED_ENCODING|CONTENT_DECODING_(INIT_)?FAILED|CONNECTION_(RESET|CLOSED)"
    "|HTTP2_(PROTOCOL_ERROR|SERVER_REFUSED_STREAM)|INVALID_CHUNKED_ENCODING|SSL_PROTOCOL_ERROR)"
)
"""Errors with which a response ends before its end (Chromium's net_error_list.h)."""
_PAGE_TYPES = ("text/", "image/", "application/xhtml", "application/xml", "multipart/", "application/json")
_NOT_THE_PAGES = ("Failed to load resource", "Blocked script execution in ")
"""What Chromium says itself: each failed resource again, and that a frame without scripts was asked something."""
_PLAIN = 5000
"""Requests over plain http that are remembered."""
_BAD_FONT = "Failed to decode downloaded font: "
"""What Chromium says of a font that breaks off or is none."""
_DEFAULT_PORTS = {"http:": 80, "https:": 443}


class Witness:
    """Listens to one page from before it is opened."""

    def __init__(self, page: Page, url: str, ledger: Ledger) -> None:
        self._page = page
        self._ledger = ledger
        self._in_flight: dict[Request, float] = {}
        self.asked = url
        """The document that was asked for last, and why that failed, if it did."""
        self.failure = ""
        self.response: Response | None = None
        """The response that the page came with."""
        self.framed: list[Response] = []
        """Responses that came with the frames of the page."""
        self.hops: list[Hop] = []
        self.failed: list[Trouble] = []
        self.blocked: list[Trouble] = []
        self.console: list[str] = []
        self.cut: set[str] = set()
        """URLs of documents and style sheets that broke off: what came of them is shown."""
        self.documents: set[str] = set()
        """URLs that answered a frame with something that is no page."""
        self.counts = {"failed": 0, "blocked": 0, "console": 0}
        """How many there were; the lists hold the first few."""
        self.passing = False
        """Whether a part failed in a way that may be another one the next time."""
        self.begun = 0
        """Requests that a page at rest would not have."""
        self._answered: WeakSet[Request] = WeakSet()
        """Documents and style sheets whose response has begun."""
        self._responded: WeakSet[Request] = WeakSet()
        """Requests whose response has begun, of any kind."""
        self._plain: dict[str, Request] = {}
        """Requests over plain http whose response has begun, by URL: the proxy sees whether their bodies break off."""
        self._arriving: Response | None = None
        """The response of a document that the page goes to, and has not gone to yet."""
        self._last_by_script = self._last = float("-inf")
        page.on("request", self._on_request)
        page.on("requestfinished", self._on_end)
        page.on("requestfailed", self._on_failure)
        page.on("response", self._on_response)
        page.on("framenavigated", self._on_commit)
        page.on("console", self._on_console)
        page.on("pageerror", self._on_exception)

    def busy(self) -> int:
        """Requests under way that a page at rest would not have."""
        now = time.monotonic()
        return sum(now - began < LONG_POLL_SECONDS for began in self._in_flight.values())

    def waiting(self, *, of_scripts: bool) -> tuple[str, ...]:
        """What has been asked for and has not come, although it was waited for: parts, and answers to scripts.

        An answer to a script counts only where `of_scripts` says so: many a page with its content there polls for news.
        """
        now = time.monotonic()
        late = [
            request
            for request, began in self._in_flight.items()
            if now - began >= LONG_POLL_SECONDS and request not in self._responded
        ]
        parts = any(request.resource_type in _PARTS for request in late)
        answers = of_scripts and any(request.resource_type in {"fetch", "xhr"} for request in late)
        return ("parts",) * parts + ("answers",) * answers

    def silence(self) -> float:
        """Seconds since a request of a script's last ended, or a script's own; infinite before there was one."""
        return time.monotonic() - self._last_by_script

    def since_last(self) -> float:
        """Seconds since any request last ended; infinite before there was one."""
        return time.monotonic() - self._last

    def loading_ended(self) -> None:
        """The page's loading has ended: a document of its own that is still noted as under way has been given up."""
        for request in [request for request in self._in_flight if self._is_document(request)]:
            self._on_end(request)

    def broken_off(self) -> None:
        """Adds what the proxy has seen of bodies that break off: call when the page's requests have ended."""
        for url in sorted(self._ledger.cut):
            request = self._plain.pop(url, None)
            if request is None or request.resource_type in _ENDLESS:
                continue
            if request in self._answered:
                self.cut.add(bare(url))
            else:
                self.passing = True
                self._note("failed", self.failed, request, "the compressed body breaks off")

    def _on_commit(self, frame: Frame) -> None:
        """Another document has taken the page's place: what the one before lacked is not missing on the paper."""
        if frame != self._page.main_frame or self._arriving is None:
            return
        if frame.url.partition("#")[0] != self._arriving.url.partition("#")[0]:
            return
        self._plain = {url: request for url, request in self._plain.items() if request == self._arriving.request}
        self._arriving = None
        self.cut.clear()
        for troubles in (self.failed, self.blocked, self.console):
            troubles.clear()
        self.counts = dict.fromkeys(self.counts, 0)
        self.passing = False

    def _on_request(self, request: Request) -> None:
        if self._is_document(request):
            self.asked = request.url
        if request.resource_type not in _ENDLESS and request.url.startswith("http"):
            self.begun += 1
            self._in_flight[request] = time.monotonic()

    def _on_end(self, request: Request) -> None:
        began = self._in_flight.pop(request, None)
        if began is None:
            return
        self._last = time.monotonic()
        if request.resource_type in _BY_SCRIPT:
            self._last_by_script = self._last

    def _on_failure(self, request: Request) -> None:
        self._on_end(request)
        reason = request.failure or ""
        if _BROKE_OFF.search(reason) and request in self._answered and len(self.cut) < MOST:
            self.cut.add(bare(request.url))
        if self._is_document(request):
            self.failure = reason
            if self._arriving is not None and self._arriving.request == request:
                self._arriving = None
            return
        # What a page gives up itself, and what a block list keeps away because it was asked to, is no failure.
        if "ERR_ABORTED" in reason or "ERR_BLOCKED_BY_CLIENT" in reason or not request.url.startswith("http"):
            return
        found = self._ledger.failures.get(endpoint(request.url))
        if found is not None and found.code == "blocked_target":
            self._note("blocked", self.blocked, request, found.reason)
        else:
            self.passing = True
            self._note("failed", self.failed, request, found.reason if found else reason or "failed")

    def _on_response(self, response: Response) -> None:
        request = response.request
        self._responded.add(request)
        kind = response.headers.get("content-type", "text/html").strip().lower()
        # A fetch ends when a script has read its body, which may be never; what scripts do read, watch.js notes. The
        # browser reports no end of an XSLT style sheet, which it has read before there is a page to look at.
        if request.resource_type == "fetch" or (request.resource_type == "stylesheet" and _XSLT.search(kind)):
            self._on_end(request)
        if request.resource_type in {"document", "stylesheet"}:
            self._answered.add(request)
        if response.url.startswith("http:") and len(self._plain) < _PLAIN:
            self._plain[response.url.partition("#")[0]] = request
        if request.is_navigation_request() and not kind.startswith(_PAGE_TYPES) and len(self.documents) < MOST:
            self.documents.add(request.url)
        if request.is_navigation_request() and len(self.framed) < MOST:
            self.framed.append(response)
        if self._is_document(request):
            self.framed.clear()
            self.response = self._arriving = response
            if len(self.hops) < MOST:
                self.hops.append(Hop(url=shown(response.url), status=response.status))
        elif response.status >= 400:
            refused = response.headers.get("proxy-status", "").startswith("urlshot")
            found = self._ledger.failures.get(endpoint(response.url)) if refused else None
            if found is not None and found.code == "blocked_target":
                self._note("blocked", self.blocked, response.request, found.reason)
            else:
                reason = found.reason if found else f"status {response.status}"
                self.passing = self.passing or found is not None or may_pass(response.status)
                self._note("failed", self.failed, response.request, reason)

    def _note(self, kind: str, troubles: list[Trouble], request: Request, reason: str) -> None:
        self.counts[kind] += 1
        if len(troubles) < MOST:
            troubles.append(Trouble(url=bare(request.url), reason=reason[:200], kind=request.resource_type[:20]))

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type == "warning" and message.text.startswith(_BAD_FONT):
            self._damaged(message.text.removeprefix(_BAD_FONT).strip())
        if message.type == "error" and not message.text.startswith(_NOT_THE_PAGES):
            self._complain(message.text)

    def _damaged(self, url: str) -> None:
        """Notes a font that came and is none; one that broke off has been noted already."""
        if not any(trouble.url == bare(url) for trouble in self.failed):
            self.counts["failed"] += 1
            if len(self.failed) < MOST:
                self.failed.append(Trouble(url=bare(url), reason="no font that can be read", kind="font"))

    def _on_exception(self, error: Error) -> None:
        self._complain(f"Uncaught {error.message}")

    def _complain(self, text: str) -> None:
        self.counts["console"] += 1
        if len(self.console) < MOST:
            self.console.append(re.sub(r"\s+", " ", text[:CONSOLE_CHARACTERS]))

    def _is_document(self, request: Request) -> bool:
        with contextlib.suppress(Error):  # a request without a frame is none of the page's
            return request.is_navigation_request() and request.frame == self._page.main_frame
        return False


def may_pass(status: int) -> bool:
    """Whether an HTTP status tells of passing trouble: the next one may differ (RFC 9110, section 15)."""
    return status in {408, 425, 429} or (status >= 500 and status not in {501, 505, 508, 510, 511})


def endpoint(url: str) -> Endpoint:
    """Host and port of an http or https URL, as the proxy is asked for them; an empty host for anything else."""
    try:
        parsed = ada_url.URL(url)
    except ValueError:
        return "", 0
    host = parsed.hostname.removeprefix("[").removesuffix("]")
    return host, int(parsed.port) if parsed.port else _DEFAULT_PORTS.get(parsed.protocol, 0)


def origin(url: str) -> tuple[str, Endpoint]:
    """Scheme and endpoint of a URL."""
    return url.partition(":")[0].lower(), endpoint(url)


def shown(url: str) -> str:
    """A URL for the report: without the credentials that a redirect may have put into it, and of bounded length."""
    try:
        parsed = ada_url.URL(url)
    except ValueError:
        return ""
    if parsed.username or parsed.password:  # a URL without a host has neither, and cannot be given any
        parsed.username = parsed.password = ""
    return parsed.href[:2048]


def bare(url: str) -> str:
    """A sub-resource's URL for the report: without credentials, query and fragment, which are others' business."""
    return re.split(r"[?#]", shown(url), maxsplit=1)[0][:500]
