"""One page: from its URL to its PDF, and what each of Playwright's errors means to the caller."""

from __future__ import annotations

import asyncio
import contextlib
import re
from dataclasses import dataclass

import ada_url
from playwright.async_api import Error, Page, Request, Response, Route
from playwright.async_api import TimeoutError as PlaywrightTimeout

from urlshot.errors import Rejected, Transient, UrlshotError, failure
from urlshot.jobs import RenderJob
from urlshot.options import Options

from .budget import Budget
from .ledger import Endpoint, Ledger

SETTLE_SECONDS = 5.0
"""Longest wait, after the page's own event, for fonts and for images that load lazily."""
_REDIRECTS = 3
"""Times that a page may send itself elsewhere by script before it is taken as it is."""

_SETTLE = """async milliseconds => {
  const images = [...document.images];
  for (const image of images) image.loading = "eager";
  const loaded = images.filter(image => !image.complete).map(image => image.decode().catch(() => null));
  const late = new Promise(resolve => setTimeout(resolve, milliseconds));
  await Promise.race([Promise.all([document.fonts.ready, ...loaded]), late]);
}"""

_NET_ERROR = re.compile(r"net::(ERR_[A-Z0-9_]+)")
_NET_CODES = {
    "ERR_NAME_NOT_RESOLVED": "name_not_found",
    "ERR_CONNECTION_REFUSED": "connection_refused",
    "ERR_TOO_MANY_REDIRECTS": "too_many_redirects",
    "ERR_UNSAFE_REDIRECT": "unsupported_scheme",
    "ERR_UNKNOWN_URL_SCHEME": "unsupported_scheme",
    "ERR_DISALLOWED_URL_SCHEME": "unsupported_scheme",
    "ERR_UNSAFE_PORT": "blocked_target",
    "ERR_ABORTED": "unsupported_content",
    "ERR_INVALID_AUTH_CREDENTIALS": "page_status",
    "ERR_TIMED_OUT": "timeout",
}
_DEFAULT_PORTS = {"http:": 80, "https:": 443}


@dataclass(frozen=True)
class Printed:
    """A page's PDF and what was seen on the way."""

    pdf: bytes
    final_url: str
    status: int
    title: str


class Visit:
    """A job's page, in its own fresh context."""

    def __init__(self, page: Page, job: RenderJob, ledger: Ledger, budget: Budget) -> None:
        self._page = page
        self._job = job
        self._ledger = ledger
        self._budget = budget
        self._response: Response | None = None
        self._asked = job.url
        self._failed = ""
        self.crashed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done when the page's process has crashed: Playwright's calls would then wait for ever."""
        page.on("request", self._on_request)
        page.on("requestfailed", self._on_failure)
        page.on("response", self._on_response)
        page.on("crash", self._on_crash)

    async def print(self) -> Printed:
        """Opens, settles and prints the page.

        Raises:
            UrlshotError: with the code that fits what happened.
        """
        try:
            with self._budget.phase("navigate"):
                await self._open()
            with self._budget.phase("settle"):
                await self._settle()
                self._check()
                title = await self._page.title()
            with self._budget.phase("print"):
                pdf = await self._print(self._job.options)
                self._check()  # a page may have gone elsewhere at the last moment
        except PlaywrightTimeout as error:
            raise failure("timeout", "The page was not ready in time.", internal=_first_line(error.message)) from error
        except Error as error:
            raise self._meaning(error) from error
        status = self._response.status if self._response is not None else 0
        return Printed(pdf, _shown(self._page.url), status, title[:500])

    async def _open(self) -> None:
        if self._job.html is not None:
            # In place of the page at the URL, so that relative links in it mean what they would mean there.
            # The first request is the document's, so whatever comes first is answered.
            await self._page.route(lambda _: True, self._fulfil, times=1)
        await self._page.goto(
            self._job.url, wait_until=self._job.options.wait_until, timeout=self._budget.for_page() * 1000
        )

    async def _fulfil(self, route: Route) -> None:
        await route.fulfill(status=200, content_type="text/html; charset=utf-8", body=self._job.html or "")

    async def _settle(self) -> None:
        """Waits for fonts and images; a page that goes elsewhere by script meanwhile is followed."""
        for _ in range(_REDIRECTS):
            try:
                async with asyncio.timeout(min(SETTLE_SECONDS + 1, self._budget.for_page())):
                    await self._page.evaluate(_SETTLE, SETTLE_SECONDS * 1000)
            except TimeoutError:
                return  # the page is busy; whether too busy to print will show
            except Error as error:
                if "navigat" not in error.message and "context was destroyed" not in error.message:
                    raise
                await self._page.wait_for_load_state(
                    self._job.options.wait_until, timeout=self._budget.for_page() * 1000
                )
            else:
                return

    def _check(self) -> None:
        """That what stands there is the page's, and that it is no error page, the browser's or the server's."""
        if self._page.url.startswith("chrome-error:"):  # where a script led, for `goto` reports its own failure
            raise self._network_error(self._failed)
        response = self._response
        if response is None or response.status < 400:
            return
        # A refusal of our proxy's own, on plain http, where it can only say so by a response.
        if response.headers.get("proxy-status", "").startswith("urlshot"):
            self._raise_network_failure(response.url)
        code = "page_unavailable" if response.status >= 500 or response.status == 429 else "page_status"
        raise failure(code, f"The page answered with status {response.status}.")

    async def _print(self, options: Options) -> bytes:
        try:
            return await self._page.pdf(
                format=options.format,
                landscape=options.landscape,
                margin=options.margin.model_dump(),  # type: ignore[arg-type] # a TypedDict of the same keys
                print_background=options.background,
                scale=options.scale,
                page_ranges=options.page_ranges,
                prefer_css_page_size=False,
            )
        except Error as error:
            if "age range" in error.message:
                raise Rejected(
                    "invalid_option", f"page_ranges {options.page_ranges!r} names pages that the PDF does not have."
                ) from error
            if "content area" in error.message or "print parameters" in error.message:
                raise Rejected("invalid_option", "margin and scale leave no room on the paper.") from error
            raise

    def _on_crash(self, _: Page) -> None:
        if not self.crashed.done():
            self.crashed.set_result(None)

    def _on_request(self, request: Request) -> None:
        if self._is_document(request):
            self._asked = request.url

    def _on_failure(self, request: Request) -> None:
        if self._is_document(request):
            self._failed = request.failure or ""

    def _on_response(self, response: Response) -> None:
        if self._is_document(response.request):
            self._response = response

    def _is_document(self, request: Request) -> bool:
        with contextlib.suppress(Error):  # a request without a frame is none of the page's
            return request.is_navigation_request() and request.frame == self._page.main_frame
        return False

    def _raise_network_failure(self, url: str) -> None:
        found = self._ledger.failures.get(endpoint(url))
        if found is not None:
            raise failure(found.code, found.reason)

    def _meaning(self, error: Error) -> UrlshotError:
        """What an error of Playwright's means."""
        if _NET_ERROR.search(error.message):
            return self._network_error(error.message)
        if "Download is starting" in error.message:
            return Rejected("unsupported_content", "The URL leads to a download.", internal=_first_line(error.message))
        return Transient("crash", internal=_first_line(error.message))

    def _network_error(self, message: str) -> UrlshotError:
        """What one of Chromium's net:: errors means, for the document that was asked for last."""
        try:
            self._raise_network_failure(self._asked)
        except UrlshotError as found:
            return found
        match = _NET_ERROR.search(message)
        name = match[1] if match else "ERR_FAILED"
        internal = _first_line(message)
        if name.startswith(("ERR_CERT_", "ERR_SSL_", "ERR_BAD_SSL")):
            return failure("tls_error", f"The browser says {name}.", internal=internal)
        code = _NET_CODES.get(name, "connection_failed")
        detail = "The URL leads to a download, or to nothing." if name == "ERR_ABORTED" else f"The browser says {name}."
        return failure(code, detail, internal=internal)


def endpoint(url: str) -> Endpoint:
    """Host and port of an http or https URL, as the proxy is asked for them; an empty host for anything else."""
    try:
        parsed = ada_url.URL(url)
    except ValueError:
        return "", 0
    host = parsed.hostname.removeprefix("[").removesuffix("]")
    return host, int(parsed.port) if parsed.port else _DEFAULT_PORTS.get(parsed.protocol, 0)


def _shown(url: str) -> str:
    """A URL for the report: without the credentials that a redirect may have put into it, and of bounded length."""
    try:
        parsed = ada_url.URL(url)
    except ValueError:
        return ""
    if parsed.username or parsed.password:  # a URL without a host has neither, and cannot be given any
        parsed.username = parsed.password = ""
    return parsed.href[:2048]


def _first_line(message: str) -> str:
    """An error's first line without the query of a URL in it, for our log."""
    return re.sub(r"\?\S*", "", message.partition("\n")[0])[:300]
