"""One page: from its URL to its PDF."""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from playwright.async_api import CDPSession, Error, Page, Route
from playwright.async_api import TimeoutError as PlaywrightTimeout

from urlshot.egress import Egress
from urlshot.errors import UrlshotError, failure
from urlshot.jobs import Hop, RenderJob, Tidied, Wait
from urlshot.options import Options

from .budget import Budget
from .context import cookies_of
from .cut import count_covered, count_cut, open_shell
from .document import NotPdf
from .gate import Gate
from .ledger import Ledger
from .loading import Loading
from .look import Look, look
from .meaning import first_line, meaning, network_error, proxy_failure
from .paper import fitted, print_page, ratio_of, window_of
from .rest import POLL_SECONDS
from .scripts import gone, script
from .settle import Settle
from .tidy import Tidy
from .verdict import Seen
from .witness import Witness, may_pass, shown

_SHEET_SECONDS = 5.0
"""Longest wait for what the browser asks for as it prints."""
_CUT_SECONDS = 3.0
"""Longest look for content that is cut off."""
_LITTLE_TEXT = 200
"""Characters of a page that has not got its content yet."""


@dataclass(frozen=True)
class Printed:
    """A page's PDF and what was seen on the way; `look` is None for a PDF that the URL served."""

    pdf: bytes
    final_url: str
    status: int
    seen: Seen
    hops: tuple[Hop, ...]
    look: Look | None = None
    waited: tuple[Wait, ...] = ()
    tidied: Tidied | None = None


class Visit:
    """A job's page, in its own fresh context."""

    def __init__(self, page: Page, job: RenderJob, ledger: Ledger, budget: Budget, tidy: Tidy, egress: Egress) -> None:
        self._egress = egress
        self._page = page
        self._job = job
        self._ledger = ledger
        self._budget = budget
        self._tidy = tidy
        self.witness = Witness(page, job.url, ledger)
        self._gate = Gate(page, job.url, job.private, job.limits.pdf_bytes)
        self.ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        """Done when the page's process has crashed or the page is closed: Playwright's calls could wait for ever."""
        page.on("crash", lambda _: self._end("The browser's tab crashed on this page."))
        page.on("close", lambda _: self._end("The page closed itself."))

    async def print(self) -> Printed:
        """Opens, settles and prints the page, or takes the PDF that is there in place of a page.

        Raises:
            UrlshotError: with the code that fits what happened.
        """
        try:
            with self._budget.phase("navigate"):
                session = await self._open()
            if self._gate.pdf is not None:
                return self._as_it_is(self._gate.pdf)
            with self._budget.phase("settle"):
                settled = await self._settle(session)
                if await self._served() or await self._is_pdf_as_text():  # a script may have led to a PDF
                    return self._as_it_is(self._gate.pdf or b"")
                self._check()
                await self._tidy.dress()
                found = await look(
                    self._page, session, self._job.url, self._tidy.kept_away(), sorted(self.witness.documents)
                )
                self.witness.broken_off()
                self._check_parts()
            with self._budget.phase("print"):
                options = await fitted(self._page, self._job.options)
                pdf = await self._print_page(options, found.title)
                self._check()  # a page may have gone elsewhere at the last moment
                printed = self._printed(pdf, settled, found)
                cut, covered = await self._count_cut(options)
        except NotPdf as error:
            raise failure("crash", internal=f"the PDF {error}") from error
        except (PlaywrightTimeout, TimeoutError) as error:
            raise failure("timeout", "The page was not ready in time.", internal=first_line(str(error))) from error
        except Error as error:
            raise meaning(error, self.witness, self._ledger) from error
        finally:
            self._gate.close()
        return replace(printed, seen=replace(printed.seen, cut=cut, covered=covered))

    async def _open(self) -> CDPSession:
        session = await self._gate.open()
        self._loading = Loading(session, self._gate.frame, self.witness.loading_ended)
        await self._loading.start()
        await self._tidy.prepare()
        if self._job.private.cookies:
            await self._page.context.add_cookies(cookies_of(self._job))  # type: ignore[arg-type] # a TypedDict of these keys
        if self._job.options.javascript:
            await self._page.add_init_script(script("watch"))
        if self._job.html is not None:
            # In place of the page at the URL, so that relative links in it mean what they would mean there.
            # The first request is the document's, so whatever comes first is answered.
            await self._page.route(lambda _: True, self._fulfil, times=1)
        try:
            await self._page.goto(self._job.url, wait_until="commit", timeout=self._budget.for_page() * 1000)
        except Error:
            if not await self._served() and not await self._is_pdf_as_text():
                raise
        self._check()
        return session

    async def _served(self) -> bool:
        """Whether a PDF came in place of a page; raises what was wrong with it."""
        async with asyncio.timeout(self._budget.for_page()):
            await self._gate.finish()
        if self._gate.error is not None:
            raise self._gate.error
        return self._gate.pdf is not None

    async def _is_pdf_as_text(self) -> bool:
        """Opens the URL again where what it served is a PDF that came as text; whether it is one."""
        if self._gate.has_passed_text and await self._gate.looks_again():
            with contextlib.suppress(Error):  # the gate takes it, so the browser opens nothing
                await self._page.goto(self.witness.asked, wait_until="commit", timeout=self._budget.for_page() * 1000)
            return await self._served()
        return False

    async def _fulfil(self, route: Route) -> None:
        await route.fulfill(status=200, content_type="text/html; charset=utf-8", body=self._job.html or "")

    async def _settle(self, session: CDPSession) -> Settle:
        options = self._job.options
        deadline = time.monotonic() + self._budget.for_settling()
        settle = Settle(self._page, self.witness, session, self._loading, deadline, scripts=options.javascript)
        work = asyncio.create_task(self._come_to_rest(settle))
        try:
            # Where a script led to a PDF, the page that it came from may wait for it for ever.
            await asyncio.wait({work, self._gate.served}, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                work.result()
        finally:
            work.cancel()
        return settle

    async def _come_to_rest(self, settle: Settle) -> None:
        options = self._job.options
        if self._tidy.asked:  # before the wait, for what the CSS may bring and a banner's end may move
            await settle.event("load" if options.wait_until == "settled" else options.wait_until)
            async with settle.wait("tidying"):
                try:
                    await self._tidy.dress()
                except Error as error:
                    if not gone(error):
                        raise
        if options.wait_until == "settled":
            await settle.rest()
        else:
            await settle.event(options.wait_until)
            await settle.look_into_source()
            if options.wait_until != "domcontentloaded":
                await settle.fonts()
        if options.wait_for:
            await settle.selector(options.wait_for)
        if options.wait_expression:
            await settle.expression(options.wait_expression)
        if options.delay:
            await settle.delay(options.delay)
        if options.wait_until == "settled":
            await settle.press(
                options.media, window_of(options) if options.single_page or options.fit == "width" else None
            )
        else:
            await open_shell(self._page)

    async def _print_page(self, options: Options, title: str) -> bytes:
        """Prints; once more where the browser has asked for something as it printed.

        It lays the page out for the sheet only then, so a style sheet may bring in pictures and fonts for that width.
        """
        begun = self.witness.begun
        pdf = await print_page(self._page, options, title)
        if self.witness.begun == begun or options.wait_until != "settled":
            return pdf
        until = time.monotonic() + min(_SHEET_SECONDS, self._budget.for_page() / 2)
        while True:
            await asyncio.sleep(POLL_SECONDS)
            if not self.witness.busy() or time.monotonic() >= until:
                break
        with contextlib.suppress(Error):  # what was printed first is good, if the page has gone meanwhile
            pdf = await print_page(self._page, options, title)
        return pdf

    async def _count_cut(self, options: Options) -> tuple[int, int]:
        """Places where content is cut off, and fixed boxes that hide text."""
        cut = covered = 0
        # The page has been printed: what it does to itself from here on is no reason to fail.
        with contextlib.suppress(Error, TimeoutError):
            async with asyncio.timeout(min(_CUT_SECONDS, self._budget.for_page() / 2)):
                if options.media == "print" and options.wait_until != "settled":
                    await self._page.emulate_media(media="print")
                cut = await count_cut(self._page, None if options.css_page_size else window_of(options))
                # A sheet of the page's own size is of unknown height; a box without its background hides nothing.
                if options.background and not options.css_page_size and not options.single_page:
                    covered = await count_covered(self._page, ratio_of(options))
        return cut, covered

    def _check(self) -> None:
        """That what stands there is the page's, and that it is no error page, the browser's or the server's."""
        if self._page.url.startswith("chrome-error:"):  # where a script led, for `goto` reports its own failure
            raise network_error(self.witness.failure, self.witness, self._ledger)
        self._check_host(self._page.url)
        response = self.witness.response
        if response is None or response.status < 400:
            return
        # A refusal of our proxy's own, on plain http, where it can only say so by a response.
        if response.headers.get("proxy-status", "").startswith("urlshot"):
            refused = proxy_failure(response.url, self._ledger)
            if refused is not None:
                raise refused
        if "status" not in self._job.options.fail_on:
            return
        code = "page_unavailable" if may_pass(response.status) else "page_status"
        raise failure(code, f"The page answered with status {response.status}.")

    def _check_host(self, url: str) -> None:
        """That where redirects and scripts have led is a host whose pages may be printed."""
        host = urlsplit(url).hostname
        decision = self._egress.for_target(host) if host else None
        if decision is not None and not decision.allowed:
            raise failure("host_not_allowed", f"The URL leads to another host: {decision.reason}.")

    def _check_parts(self) -> None:
        """Fails the job where it asked to fail rather than to be warned."""
        counts, fail_on = self.witness.counts, self._job.options.fail_on
        missing = counts["failed"] + counts["blocked"]
        if "resources" in fail_on and missing:
            first = (*self.witness.failed, *self.witness.blocked)[0]
            code = "resources_failed" if self.witness.passing else "resources_missing"
            raise failure(code, f"{missing} resources did not load, such as {first.url}: {first.reason}")
        if "console" in fail_on and counts["console"]:
            raise failure("console_errors", f"The page's scripts reported {counts['console']} errors.")

    def _printed(self, pdf: bytes, settled: Settle, found: Look) -> Printed:
        witness = self.witness
        witness.broken_off()  # of what the browser has asked for as it printed
        status = witness.response.status if witness.response is not None else 0
        # A page with next to nothing on it, whose connection has not said anything yet, waits for its content.
        cut = len(witness.cut)
        if not cut:
            own = self._loading.cut or (settled.breaks_off and self._job.html is None)
            cut = int(own) + settled.frames_break_off + found.torn
        silent = ("messages",) if settled.silent and found.text < _LITTLE_TEXT else ()
        waiting = witness.waiting(of_scripts=found.text < _LITTLE_TEXT)
        seen = Seen(
            status=status,
            unsettled=settled.unsettled() + silent + waiting,
            scroll_limit=settled.scroll_limit,
            failed=witness.counts["failed"],
            blocked=witness.counts["blocked"],
            images_missing=found.broken_images,
            cut_documents=cut,
            flat=found.flat,
            plugins=found.plugins,
            films=found.films,
            console=witness.counts["console"],
            challenge=found.challenge,
            login=found.login,
        )
        url = shown(self._page.url)
        hops, waited = tuple(witness.hops[:-1]), tuple(settled.waited)
        return Printed(pdf, url, status, seen, hops, found, waited, self._tidy.tidied())

    def _as_it_is(self, pdf: bytes) -> Printed:
        self._check_host(self.witness.asked)
        hops = tuple(self.witness.hops)
        return Printed(pdf, shown(self.witness.asked), self._gate.status, Seen(status=self._gate.status), hops)

    def _end(self, why: str) -> None:
        if not self.ended.done():
            self.ended.set_result(why)


def ended(visit: Visit) -> UrlshotError:
    """The error of a page that has gone."""
    return failure("crash", visit.ended.result())
