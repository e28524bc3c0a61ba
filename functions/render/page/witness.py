"""Observes a page from outside: its documents, its requests and their failures, and its console.

All lists have limits, so that a report stays small whatever the page does.
"""

from __future__ import annotations

import re
import time
from weakref import WeakSet

import ada_url

from functions.render.devtools.frames import Frame
from functions.render.devtools.network import Request, Response
from functions.render.devtools.page import Page
from functions.render.network.ledger import Endpoint, Ledger
from urlshot.core.render_contract import MOST, Hop, Trouble

CONSOLE_CHARACTERS = 300
LONG_POLL_SECONDS = 4.0
"""A request that is under way for longer counts as a long poll, and the page may be at rest without its end."""

_ENDLESS = {"eventsource", "websocket", "ping", "beacon", "media", "manifest", "texttrack", "cspviolationreport"}
"""Types of requests that may never end or do not change the print."""
_BY_SCRIPT = {"fetch", "xhr", "script"}
_XSLT = re.compile("xml|xsl")
_PARTS = {"document", "stylesheet", "script"}
"""Types of requests whose responses a page needs. ask.js asks the page about its images and fonts."""
_BROKE_OFF = re.compile(
    "ERR_(CONTENT_LENGTH_MISMATCH|INCOMPLETE_CHUNKED_ENCODING|CONTENT_DECODING_(INIT_)?FAILED|CONNECTION_(RESET|CLOSED)"
    "|HTTP2_(PROTOCOL_ERROR|SERVER_REFUSED_STREAM)|INVALID_CHUNKED_ENCODING|SSL_PROTOCOL_ERROR)"
)
"""Errors that break a response off (Chromium's net_error_list.h)."""
_PAGE_TYPES = ("text/", "image/", "application/xhtml", "application/xml", "multipart/", "application/json")
_NOT_THE_PAGES = ("Failed to load resource", "Blocked script execution in ")
"""Chromium's own messages: a resource failed, or the renderer ran a script in a frame without scripts."""
_PLAIN = 5000
"""Most requests over plain http that are remembered."""
_BAD_FONT = "Failed to decode downloaded font: "
"""Chromium's message about a font that breaks off or is not a font."""
_DEFAULT_PORTS = {"http:": 80, "https:": 443}


class Witness:
    """Listens to the events of one page, from before it is opened."""

    def __init__(self, page: Page, url: str, ledger: Ledger) -> None:
        self._page = page
        self._ledger = ledger
        self._in_flight: dict[Request, float] = {}
        self.asked = url
        """URL of the document that was requested last; `failure` is Chromium's reason if that failed."""
        self.failure = ""
        self.response: Response | None = None
        """The response of the page's document."""
        self.framed: list[Response] = []
        """Responses of the documents in the page's frames."""
        self.hops: list[Hop] = []
        self.failed: list[Trouble] = []
        self.blocked: list[Trouble] = []
        self.console: list[str] = []
        self.cut: set[str] = set()
        """URLs of documents and style sheets that broke off; the browser shows the part that arrived."""
        self.documents: set[str] = set()
        """URLs that answered a frame with something that is not a page."""
        self.counts = {"failed": 0, "blocked": 0, "console": 0}
        """The full numbers; the lists hold the first few."""
        self.passing = False
        """Whether a resource failed in a way that may pass, so that a retry may succeed."""
        self.begun = 0
        """Number of requests so far that a page at rest would not make."""
        self._answered: WeakSet[Request] = WeakSet()
        """Requests for documents and style sheets whose response has begun."""
        self._responded: WeakSet[Request] = WeakSet()
        """Requests of any kind whose response has begun."""
        self._plain: dict[str, Request] = {}
        """Requests over plain http whose response has begun, by URL. The proxy sees whether their bodies break off."""
        self._arriving: Response | None = None
        """The response of a navigation that the browser has not committed yet."""
        self._before: tuple[Response | None, list[Response]] = (None, [])
        """The response of the document that the navigation would replace, and the responses of its frames."""
        self._hops = 0
        """The number of hops before that navigation."""
        self._last_by_script = self._last = float("-inf")
        page.observe(self)

    def busy(self) -> int:
        """Returns the number of requests under way for which the renderer waits."""
        now = time.monotonic()
        return sum(now - began < LONG_POLL_SECONDS for began in self._in_flight.values())

    def waiting(self, *, of_scripts: bool) -> tuple[str, ...]:
        """Returns which kinds of responses have not begun after a wait: `parts` of the page, and `answers` to scripts.

        Answers count only with `of_scripts`, because many pages poll for news after their content is there.
        """
        now = time.monotonic()
        late = [
            request
            for request, began in self._in_flight.items()
            if now - began >= LONG_POLL_SECONDS and request not in self._responded
        ]
        parts = any(request.kind in _PARTS for request in late)
        answers = of_scripts and any(request.kind in {"fetch", "xhr"} for request in late)
        return ("parts",) * parts + ("answers",) * answers

    def silence(self) -> float:
        """Returns the seconds since the last end of a script, or of a script's request; infinite before the first."""
        return time.monotonic() - self._last_by_script

    def since_last(self) -> float:
        """Returns the seconds since the last end of any request; infinite before the first."""
        return time.monotonic() - self._last

    def loading_ended(self) -> None:
        """Drops the page's document requests under way: the browser has given them up, because loading has ended."""
        for request in [request for request in self._in_flight if self._is_document(request)]:
            self.on_end(request)

    def broken_off(self) -> None:
        """Adds the bodies that the proxy saw break off. Call it when the page's requests have ended."""
        for url in sorted(self._ledger.cut):
            request = self._plain.pop(url, None)
            if request is None or request.kind in _ENDLESS:
                continue
            if request in self._answered:
                self.cut.add(bare(url))
            else:
                self.passing = True
                self._note("failed", self.failed, request, "the compressed body breaks off")

    def on_commit(self, frame: Frame) -> None:
        """Forgets the failures of the document before: the paper will not show that document."""
        if frame is not self._page.main_frame or self._arriving is None:
            return
        if frame.url.partition("#")[0] != self._arriving.url.partition("#")[0]:
            return
        self._plain = {url: request for url, request in self._plain.items() if request is self._arriving.request}
        self._arriving = None
        self.cut.clear()
        for troubles in (self.failed, self.blocked, self.console):
            troubles.clear()
        self.counts = dict.fromkeys(self.counts, 0)
        self.passing = False

    def on_request(self, request: Request) -> None:
        """Notes a request under way, unless it may never end."""
        if self._is_document(request):
            self.asked = request.url
        if request.kind not in _ENDLESS and request.url.startswith("http"):
            self.begun += 1
            self._in_flight[request] = time.monotonic()

    def on_end(self, request: Request) -> None:
        """Notes the end of a request."""
        began = self._in_flight.pop(request, None)
        if began is None:
            return
        self._last = time.monotonic()
        if request.kind in _BY_SCRIPT:
            self._last_by_script = self._last

    def on_failure(self, request: Request) -> None:
        """Notes a failed request, and that a document or style sheet has broken off."""
        self.on_end(request)
        reason = request.failure
        if _BROKE_OFF.search(reason) and request in self._answered and len(self.cut) < MOST:
            self.cut.add(bare(request.url))
        if self._is_document(request):
            self.failure = reason
            if self._arriving is not None and self._arriving.request is request:
                self._arriving = None
                if "ERR_ABORTED" in reason:  # a download, or another navigation: the document before stays
                    self.response, self.framed = self._before
                    self.hops = self.hops[: self._hops]
            return
        # A request that the page aborted, or that the caller's block list stopped, is not a failure.
        if "ERR_ABORTED" in reason or "ERR_BLOCKED_BY_CLIENT" in reason or not request.url.startswith("http"):
            return
        found = self._ledger.failures.get(endpoint(request.url))
        if found is not None and found.code == "blocked_target":
            self._note("blocked", self.blocked, request, found.reason)
        else:
            self.passing = True
            self._note("failed", self.failed, request, found.reason if found else reason or "failed")

    def on_response(self, response: Response) -> None:
        """Notes the responses of documents, and statuses that mean a failure."""
        request = response.request
        self._responded.add(request)
        kind = response.headers.get("content-type", "text/html").strip().lower()
        # A fetch ends only when a script has read its body, which may never happen; watch.js notes such reads. The
        # browser reports no end of an XSLT style sheet, which it has read before the page appears.
        if request.kind == "fetch" or (request.kind == "stylesheet" and _XSLT.search(kind)):
            self.on_end(request)
        if request.kind in {"document", "stylesheet"}:
            self._answered.add(request)
        if response.url.startswith("http:") and len(self._plain) < _PLAIN:
            self._plain[response.url.partition("#")[0]] = request
        if request.navigates and not kind.startswith(_PAGE_TYPES) and len(self.documents) < MOST:
            self.documents.add(request.url)
        if request.navigates and len(self.framed) < MOST:
            self.framed.append(response)
        if self._is_document(request):
            if self._arriving is None:
                self._before, self._hops = (self.response, self.framed), len(self.hops)
            self.response, self.framed = response, []
            self._arriving = response
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
            troubles.append(Trouble(url=bare(request.url), reason=reason[:200], kind=request.kind[:20]))

    def on_console(self, level: str, text: str) -> None:
        """Notes errors, and the browser's message about a font that cannot be decoded."""
        if level == "warning" and text.startswith(_BAD_FONT):
            self._damaged(text.removeprefix(_BAD_FONT).strip())
        if level == "error" and not text.startswith(_NOT_THE_PAGES):
            self._complain(text)

    def _damaged(self, url: str) -> None:
        """Notes a font that cannot be decoded, unless its request is noted as failed already."""
        if not any(trouble.url == bare(url) for trouble in self.failed):
            self.counts["failed"] += 1
            if len(self.failed) < MOST:
                self.failed.append(Trouble(url=bare(url), reason="the font cannot be decoded", kind="font"))

    def on_exception(self, text: str) -> None:
        """Notes an exception that no script has caught."""
        self._complain(f"Uncaught {text}")

    def _complain(self, text: str) -> None:
        self.counts["console"] += 1
        if len(self.console) < MOST:
            self.console.append(re.sub(r"\s+", " ", text[:CONSOLE_CHARACTERS]))

    def _is_document(self, request: Request) -> bool:
        return request.navigates and request.frame is self._page.main_frame


def may_pass(status: int) -> bool:
    """Returns whether an HTTP status means a temporary problem, so that a retry may succeed (RFC 9110, section 15)."""
    return status in {408, 425, 429} or (status >= 500 and status not in {501, 505, 508, 510, 511})


def endpoint(url: str) -> Endpoint:
    """Returns host and port of an http or https URL, as the proxy receives them; an empty host for an invalid URL."""
    try:
        parsed = ada_url.URL(url)
    except ValueError:
        return "", 0
    host = parsed.hostname.removeprefix("[").removesuffix("]")
    return host, int(parsed.port) if parsed.port else _DEFAULT_PORTS.get(parsed.protocol, 0)


def origin(url: str) -> tuple[str, Endpoint]:
    """Returns the scheme and the endpoint of a URL."""
    return url.partition(":")[0].lower(), endpoint(url)


def shown(url: str) -> str:
    """Returns a URL for the report: at most 2,048 characters, without credentials that a redirect may have added."""
    try:
        parsed = ada_url.URL(url)
    except ValueError:
        return ""
    if parsed.username or parsed.password:  # a URL without a host has none and takes none
        parsed.username = parsed.password = ""
    return parsed.href[:2048]


def bare(url: str) -> str:
    """Returns a resource's URL for the report, without credentials, query and fragment, which may be private."""
    return re.split(r"[?#]", shown(url), maxsplit=1)[0][:500]
