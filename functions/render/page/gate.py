"""Intercepts a page's requests: takes PDFs, blocks requests, and sends a private job's headers to one origin only.

The gate works inside the browser's network stack (DevTools' Fetch domain). It reads a PDF from the response that the
browser received, with the browser's cookies and through the egress proxy.

With that domain every request of the page passes through the browser's process, which takes 0.55 ms each. So the gate
leaves it after the response of the page's document, unless the job needs it for all requests. If a script then leads to
a PDF, the browser drops the response as a download, and the gate repeats the navigation.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import re
from collections.abc import Coroutine
from typing import Any

from functions.render.devtools.page import Page
from functions.render.page.blocking import Blocker
from functions.render.page.served import NotServed, read_served
from functions.render.page.witness import origin
from playwright_aws_lambda import DevToolsError, Session
from urlshot.core.errors import UrlshotError, failure
from urlshot.core.render_contract import RenderJob

_SHOWN = ("text/", "image/", "audio/", "video/", "multipart/")
"""Media types, by prefix, that Chromium shows or plays. It downloads all others except those of `_SHOWN_TOO`."""
_SHOWN_TOO = re.compile(r"|application/(?:.*[+])?(?:xml|json|(?:java|ecma)script)", re.IGNORECASE)
_IS_PDF_AS_TEXT = """() => {
  const first = document.body?.firstChild;
  const shown = document.contentType === "text/plain" || (first?.nodeType === Node.TEXT_NODE && !document.doctype);
  return shown && Boolean(first?.textContent.trimStart().startsWith("%PDF-"));
}"""


class Gate:
    """Inspects the response of each document, and each request if the job asks for that."""

    def __init__(self, page: Page, job: RenderJob, blocker: Blocker | None) -> None:
        """Takes the page before it is opened.

        Args:
            page: The page.
            job: The job. Only the origin of its URL receives its private headers and password.
            blocker: Decides which requests are blocked; None to block none.
        """
        self._page = page
        self._blocker = blocker
        self._html = job.html
        self._origin = origin(job.url)
        self._headers = {name: value.get_secret_value() for name, value in job.private.headers.items()}
        self._auth = job.private.basic_auth
        self._asked: set[str] = set()
        self._most = job.limits.pdf_bytes
        self._tasks: set[asyncio.Task[None]] = set()
        self.pdf: bytes | None = None
        """The PDF that the URL served; `status` is the HTTP status of its response."""
        self.status = 0
        self.error: UrlshotError | None = None
        self.has_passed_text = False
        """Whether the document came as text or without a type; it may be a PDF all the same."""
        self._takes_all = False
        self._on_the_way = False
        """Whether responses of documents are paused."""
        self._only_documents = False
        self._navigation: dict[str, Any] = {}
        """The first request of the last navigation, as in the event `Network.requestWillBeSent`."""
        self._reached = ""
        """The URL to which that navigation has come by redirects."""
        self._repeated: dict[str, Any] | None = None
        """The request that is being repeated."""
        self._refused = False
        """Whether it cannot be repeated, or its response was no success."""
        self.served: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done when the URL, or a script of its page, led to a PDF or a download."""

    def open(self) -> None:
        """Begins to intercept; requests only if the job has HTML, private headers or a password, or blocks requests."""
        asks = self._auth is not None
        requests = bool(self._headers) or self._html is not None or self._blocker is not None
        self._page.intercept(self._paused, requests=requests, asks=asks)
        self._on_the_way, self._only_documents = True, not (requests or asks)
        if self._only_documents:
            self._page.session.on("Network.requestWillBeSent", self._sent)
            self._page.session.on("Network.responseReceived", self._responded)
            self._page.session.on("Page.downloadWillBegin", self._downloads)

    async def looks_again(self) -> bool:
        """Returns whether the page may be a PDF that came as text or without a type; if so, inspects the next document.

        Chromium shows such a PDF as text, or downloads it.
        """
        self._takes_all = self.has_passed_text and (
            self._page.url == "about:blank" or bool(await self._page.evaluate(_IS_PDF_AS_TEXT))
        )
        if self._takes_all:
            self._pause(True)
        return self._takes_all

    async def finish(self) -> None:
        """Waits until the PDF that is being read has arrived or failed."""
        while self._tasks:
            await asyncio.wait(set(self._tasks))

    def close(self) -> None:
        """Cancels all interceptions under way, because the page is about to close."""
        for task in self._tasks:
            task.cancel()

    def _paused(self, session: Session, event: dict[str, Any]) -> None:
        if "authChallenge" in event:
            self._start(self._answer(session, event))
        elif "responseStatusCode" not in event and "responseErrorReason" not in event:
            self._request(session, event)
        elif event.get("frameId") != self._page.main_frame.id:
            _continue(session, "Fetch.continueResponse", event)
        else:
            self._document(session, event)

    def _document(self, session: Session, event: dict[str, Any]) -> None:
        """Takes the response of the page's document, or lets it go on."""
        status = event.get("responseStatusCode", 0)
        if self._is_taken(status, {one["name"].lower(): one["value"] for one in event.get("responseHeaders", [])}):
            self._start(self._take(session, event))
        elif self._repeated is not None and not 300 <= status < 400:
            self._refused = True
            _continue(session, "Fetch.failRequest", event, errorReason="Aborted")  # the page stays
        else:
            _continue(session, "Fetch.continueResponse", event)
            if 200 <= status < 300 and self._only_documents:
                self._pause(False)

    def _pause(self, pauses: bool, *, requests: bool = False) -> None:
        if self._only_documents:
            self._on_the_way = pauses
            self._page.pause_documents(pauses=pauses, requests=requests)

    def _sent(self, event: dict[str, Any]) -> None:
        if self._is_navigation(event):
            self._reached = event["request"]["url"]
            if "redirectResponse" not in event:
                self._navigation = event

    def _responded(self, event: dict[str, Any]) -> None:
        """Repeats a navigation that leads to a PDF or a download while its response is not paused."""
        if self._on_the_way or not self._is_navigation(event):
            return
        response = event["response"]
        headers = {name.lower(): value for name, value in response["headers"].items()}
        is_pdf = response["mimeType"] == "application/pdf"
        if is_pdf:  # the browser looks at the first bytes if the response names no type
            headers.setdefault("content-type", "application/pdf")
        if self._is_taken(response["status"], headers) and self._navigation.get("requestId") == event["requestId"]:
            self._start(self._repeat(self._navigation["request"], is_pdf=is_pdf))

    def _downloads(self, event: dict[str, Any]) -> None:
        """Requests what a script of the page downloads by a link with the attribute `download`."""
        url = event["url"]
        if self._on_the_way or event["frameId"] != self._page.main_frame.id or url == self._reached:
            return
        if url.startswith("http"):
            request = {"url": url, "method": "GET", "headers": {"Referer": self._page.url}}
            self._start(self._repeat(request, is_pdf=False))

    def _is_navigation(self, event: dict[str, Any]) -> bool:
        return event.get("frameId") == self._page.main_frame.id and event["requestId"] == event["loaderId"]

    async def _repeat(self, request: dict[str, Any], *, is_pdf: bool) -> None:
        """Sends a request for a document again, and takes its response if it is a PDF; else the page stays.

        Sets `error` if the first response was a PDF and the server does not send it again.
        """
        self._refused = request.get("hasPostData", False) and "postData" not in request  # Chromium withholds long forms
        if not self._refused:
            self._repeated, self._takes_all = request, True
            self._pause(True, requests=request["method"] != "GET")
            referrer = request["headers"].get("Referer", "")
            try:
                await self._page.session.call("Page.navigate", {"url": request["url"], "referrer": referrer})
            finally:
                self._repeated, self._takes_all = None, False
        if is_pdf and self._refused and not self.served.done():
            self.error = failure("unsupported_content", "The page led to a PDF that its server does not send again.")
            self.served.set_result(None)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        async def attempt() -> None:
            with contextlib.suppress(DevToolsError):  # the page may have gone, and its requests with it
                await work

        task = asyncio.create_task(attempt())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, session: Session, event: dict[str, Any]) -> None:
        """Gives the user name and the password to the origin of the job's URL, once per request."""
        challenge, request = event["authChallenge"], event["requestId"]
        answer: dict[str, str] = {"response": "CancelAuth"}
        ours = challenge.get("source") == "Server" and origin(challenge["origin"]) == self._origin
        if self._auth is not None and ours and request not in self._asked:
            self._asked.add(request)
            password = self._auth.password.get_secret_value()
            answer = {"response": "ProvideCredentials", "username": self._auth.username, "password": password}
        _continue(session, "Fetch.continueWithAuth", event, authChallengeResponse=answer)

    def _request(self, session: Session, event: dict[str, Any]) -> None:
        """Answers with the job's HTML, blocks the request, or lets it go on, with private headers if it may have them.

        The HTML replaces the document at the URL, so that relative links resolve against that URL. It is the answer to
        the first request, which is the one for the document.
        """
        request, kind = event["request"], event["resourceType"].lower()
        is_page = kind == "document" and event.get("frameId") == self._page.main_frame.id
        if self._repeated is not None:
            self._go_on(session, event, first=is_page and request["url"] == self._repeated["url"])
            return
        if self._html is not None and is_page:
            html, self._html = self._html, None
            body = base64.b64encode(html.encode()).decode()
            headers = [{"name": "content-type", "value": "text/html; charset=utf-8"}]
            _continue(session, "Fetch.fulfillRequest", event, responseCode=200, responseHeaders=headers, body=body)
            return
        if self._blocker is not None and not is_page and self._blocker.blocks(request["url"], kind):
            _continue(session, "Fetch.failRequest", event, errorReason="BlockedByClient")
            return
        if not self._headers or session is not self._page.session:
            _continue(session, "Fetch.continueRequest", event)
            return
        # After a redirect to another origin the headers are removed.
        before: dict[str, str] = request["headers"]
        if origin(request["url"]) == self._origin:
            after = {name: value for name, value in before.items() if name.lower() not in self._headers} | self._headers
        else:
            after = {name: value for name, value in before.items() if self._headers.get(name.lower()) != value}
        if after != before:
            headers = [{"name": name, "value": value} for name, value in after.items()]
            _continue(session, "Fetch.continueRequest", event, headers=headers)
            return
        _continue(session, "Fetch.continueRequest", event)

    def _go_on(self, session: Session, event: dict[str, Any], *, first: bool) -> None:
        """Lets the request for a document go on; the first request of a repeated form with its method and body."""
        form = self._repeated if first else None
        if form is None or form["method"] == "GET":
            _continue(session, "Fetch.continueRequest", event)
            return
        headers = [{"name": name, "value": value} for name, value in form["headers"].items()]
        body = base64.b64encode(form.get("postData", "").encode()).decode()
        _continue(session, "Fetch.continueRequest", event, method=form["method"], postData=body, headers=headers)

    def _is_taken(self, status: int, headers: dict[str, str]) -> bool:
        """Returns whether to read a response that may be a PDF; its first bytes then decide, not its type."""
        if not 200 <= status < 300:
            return False
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if self._takes_all or _is_download(headers, kind):
            return True
        self.has_passed_text = kind in {"", "text/plain", "text/html"}
        return False

    async def _take(self, session: Session, event: dict[str, Any]) -> None:
        """Reads the response and ends its request, because the browser shows neither PDFs nor downloads.

        Sets `pdf`, or `error` if the URL leads to a download that is not a PDF.
        """
        try:
            self.pdf = await read_served(session, event["requestId"], self._most)
            self.status = event["responseStatusCode"]
        except NotServed:
            if self._page.url == "about:blank":
                self.error = failure("unsupported_content", "The URL leads to a download that is not a PDF.")
        except UrlshotError as error:
            self.error = error
        # A page that starts a download of another kind stays and is printed.
        if (self.pdf is not None or self.error is not None) and not self.served.done():
            self.served.set_result(None)
        _continue(session, "Fetch.failRequest", event, errorReason="Aborted")


def _continue(session: Session, command: str, event: dict[str, Any], **extra: Any) -> None:
    """Continues or ends a paused request, which may have gone meanwhile with its page."""
    session.post(command, {"requestId": event["requestId"], **extra})


def _is_download(headers: dict[str, str], kind: str) -> bool:
    """Returns whether Chromium downloads such a response instead of showing it."""
    disposition = headers.get("content-disposition", "").partition(";")[0].strip().lower()
    return disposition == "attachment" or not (kind.startswith(_SHOWN) or _SHOWN_TOO.fullmatch(kind))
