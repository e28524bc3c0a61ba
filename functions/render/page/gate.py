"""Intercepts a page's documents: takes PDFs as they are, and sends a private job's headers to one origin only.

The gate works inside the browser's network stack (DevTools' Fetch domain). It reads a PDF from the response that the
browser received, with the browser's cookies and through the egress proxy, and needs no second request.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import re
from collections.abc import Coroutine
from typing import Any

from playwright.async_api import CDPSession, Error, Page

from functions.render.page.witness import origin
from urlshot.core.errors import UrlshotError, failure
from urlshot.core.private import Private

_CHUNK = 1 << 20
_MAGIC_WITHIN = 1024
"""Bytes within which readers look for a PDF's header (ISO 32000-1, annex H.3.4.1)."""
_TAIL = 4096
"""Bytes at the end of a whole PDF that contain `startxref`; some files have other bytes after it."""
_SHOWN = ("text/", "image/", "audio/", "video/", "multipart/")
"""Media types, by prefix, that Chromium shows or plays. It downloads all others except those of `_SHOWN_TOO`."""
_SHOWN_TOO = re.compile(r"|application/(?:.*[+])?(?:xml|json|(?:java|ecma)script)", re.IGNORECASE)
_DOCUMENTS = {"urlPattern": "*", "resourceType": "Document", "requestStage": "Response"}
"""The pattern that pauses the response of every document."""
_IS_PDF_AS_TEXT = """() => {
  const first = document.body?.firstChild;
  const shown = document.contentType === "text/plain" || (first?.nodeType === Node.TEXT_NODE && !document.doctype);
  return shown && Boolean(first?.textContent.trimStart().startsWith("%PDF-"));
}"""


class Gate:
    """Inspects the response of each document, and each request if the job has private headers or a password."""

    def __init__(self, page: Page, session: CDPSession, frame: str, url: str, private: Private, pdf_bytes: int) -> None:
        """Takes the page before it is opened.

        Args:
            page: The page.
            session: A DevTools session of the page, which pauses the responses of documents.
            frame: Id of the main frame.
            url: The job's URL; only its origin receives the headers and the password of `private`.
            private: Headers and password of the job.
            pdf_bytes: Largest size of a PDF that is taken, in bytes.
        """
        self._page = page
        self._origin = origin(url)
        self._headers = {name: value.get_secret_value() for name, value in private.headers.items()}
        self._auth = private.basic_auth
        self._asked: set[str] = set()
        self._most = pdf_bytes
        self._session = session
        self._frame = frame
        self._tasks: set[asyncio.Task[None]] = set()
        self.pdf: bytes | None = None
        """The PDF that the URL served; `status` is the HTTP status of its response."""
        self.status = 0
        self.error: UrlshotError | None = None
        self.has_passed_text = False
        """Whether the document came as text or without a type; it may be a PDF all the same."""
        self._takes_all = False
        self.served: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done when the URL, or a script of its page, led to a PDF or a download."""

        session.on("Fetch.requestPaused", self._paused)
        session.on("Fetch.authRequired", self._asked_for_password)

    async def open(self) -> None:
        """Starts to intercept requests too, if the job has private headers or a password."""
        if self._headers or self._auth is not None:
            patterns = [_DOCUMENTS, {"urlPattern": "*", "requestStage": "Request"}]
            values = {"patterns": patterns, "handleAuthRequests": self._auth is not None}
            await self._session.send("Fetch.enable", values)

    async def looks_again(self) -> bool:
        """Returns whether the page may be a PDF that came as text or without a type; if so, inspects the next document.

        Chromium shows such a PDF as text, or downloads it.
        """
        self._takes_all = self.has_passed_text and (
            self._page.url == "about:blank" or bool(await self._page.evaluate(_IS_PDF_AS_TEXT))
        )
        return self._takes_all

    async def finish(self) -> None:
        """Waits until the PDF that is being read has arrived or failed."""
        while self._tasks:
            await asyncio.wait(set(self._tasks))

    def close(self) -> None:
        """Cancels all interceptions under way, because the page is about to close."""
        for task in self._tasks:
            task.cancel()

    def _paused(self, event: dict[str, Any]) -> None:
        self._start(self._handle(event))

    def _asked_for_password(self, event: dict[str, Any]) -> None:
        self._start(self._answer(event))

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _handle(self, event: dict[str, Any]) -> None:
        with contextlib.suppress(Error):  # the page may have gone, and its requests with it
            if "responseStatusCode" not in event and "responseErrorReason" not in event:
                await self._request(event)
            elif event.get("frameId") == self._frame and self._is_taken(event):
                await self._take(event)
            else:
                await self._send("Fetch.continueResponse", event)

    async def _answer(self, event: dict[str, Any]) -> None:
        """Gives the user name and the password to the origin of the job's URL, once per request."""
        challenge, request = event["authChallenge"], event["requestId"]
        answer: dict[str, str] = {"response": "CancelAuth"}
        ours = challenge.get("source") == "Server" and origin(challenge["origin"]) == self._origin
        if self._auth is not None and ours and request not in self._asked:
            self._asked.add(request)
            password = self._auth.password.get_secret_value()
            answer = {"response": "ProvideCredentials", "username": self._auth.username, "password": password}
        with contextlib.suppress(Error):
            await self._send("Fetch.continueWithAuth", event, authChallengeResponse=answer)

    async def _request(self, event: dict[str, Any]) -> None:
        """Adds the private headers, or removes them after a redirect to another origin."""
        request = event["request"]
        before: dict[str, str] = request["headers"]
        if origin(request["url"]) == self._origin:
            after = {name: value for name, value in before.items() if name.lower() not in self._headers} | self._headers
        else:
            after = {name: value for name, value in before.items() if self._headers.get(name.lower()) != value}
        if after != before:
            headers = [{"name": name, "value": value} for name, value in after.items()]
            await self._send("Fetch.continueRequest", event, headers=headers)
            return
        await self._send("Fetch.continueRequest", event)

    def _is_taken(self, event: dict[str, Any]) -> bool:
        """Returns whether to read a response that may be a PDF; its first bytes then decide, not its type."""
        if not 200 <= event.get("responseStatusCode", 0) < 300:
            return False
        headers = {header["name"].lower(): header["value"] for header in event.get("responseHeaders", [])}
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if self._takes_all or _is_download(headers, kind):
            return True
        self.has_passed_text = kind in {"", "text/plain", "text/html"}
        return False

    async def _take(self, event: dict[str, Any]) -> None:
        """Reads the response and ends its request, because the browser shows neither PDFs nor downloads.

        Sets `pdf`, or `error` if the URL leads to a download that is not a PDF.
        """
        stream = (await self._send("Fetch.takeResponseBodyAsStream", event))["stream"]
        data = bytearray()
        while True:
            part = await self._sent("IO.read", {"handle": stream, "size": _CHUNK})
            data += base64.b64decode(part["data"]) if part.get("base64Encoded") else part["data"].encode("latin-1")
            if len(data) >= _MAGIC_WITHIN or part["eof"]:
                if b"%PDF-" not in data[:_MAGIC_WITHIN]:
                    if self._page.url != "about:blank":  # a page that starts a download stays and is printed
                        await self._send("Fetch.failRequest", event, errorReason="Aborted")
                        return
                    self.error = failure("unsupported_content", "The URL leads to a download that is not a PDF.")
                elif len(data) > self._most:
                    self.error = failure("too_large", f"The PDF has more than {self._most:,} bytes.")
            if self.error is not None or part["eof"]:
                break
        if self.error is None and b"startxref" not in data[-_TAIL:]:
            self.error = failure("unsupported_content", "The PDF at the URL is incomplete.")
        if self.error is None:
            self.pdf, self.status = bytes(data), event["responseStatusCode"]
        if not self.served.done():
            self.served.set_result(None)
        await self._send("Fetch.failRequest", event, errorReason="Aborted")

    async def _send(self, method: str, event: dict[str, Any], **extra: Any) -> dict[str, Any]:
        return await self._sent(method, {"requestId": event["requestId"], **extra})

    async def _sent(self, method: str, values: dict[str, Any]) -> dict[str, Any]:
        return await self._session.send(method, values) or {}


def _is_download(headers: dict[str, str], kind: str) -> bool:
    """Returns whether Chromium downloads such a response instead of showing it."""
    disposition = headers.get("content-disposition", "").partition(";")[0].strip().lower()
    return disposition == "attachment" or not (kind.startswith(_SHOWN) or _SHOWN_TOO.fullmatch(kind))
