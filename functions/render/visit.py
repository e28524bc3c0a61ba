"""Takes one page from its URL to its PDF."""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from functions.render.browser.context import cookies_of
from functions.render.budget import Budget
from functions.render.devtools.page import Page
from functions.render.network.ledger import Ledger
from functions.render.page.cut import print_headers_once
from functions.render.page.errors import first_line, meaning, network_error, proxy_failure
from functions.render.page.gate import Gate
from functions.render.page.loading import Loading
from functions.render.page.look import Look, look
from functions.render.page.readiness import Readiness
from functions.render.page.scripts import gone
from functions.render.page.tidy import Tidy
from functions.render.page.witness import Witness, may_pass, shown
from functions.render.pdf.document import NotPdf
from functions.render.pdf.ink import Ink
from functions.render.pdf.losses import losses
from functions.render.pdf.paper import fitted, ratio_of, window_of
from functions.render.pdf.printing import Print, print_whole
from functions.render.verdict import Seen
from playwright_aws_lambda import DevToolsError
from urlshot.core.egress import Egress
from urlshot.core.errors import UrlshotError, failure
from urlshot.core.options import Options
from urlshot.core.render_contract import Hop, RenderJob, Tidied, Wait

_CUT_SECONDS = 3.0
"""Longest search for content that is cut off."""
_LITTLE_TEXT = 200
"""A page with fewer characters may still lack its content."""


@dataclass(frozen=True)
class Printed:
    """The PDF of a page and the facts for its report; `look` and `paper` are None if the URL served a PDF."""

    pdf: bytes
    final_url: str
    status: int
    seen: Seen
    hops: tuple[Hop, ...]
    look: Look | None = None
    paper: Ink | None = None
    waited: tuple[Wait, ...] = ()
    tidied: Tidied | None = None


class Visit:
    """The page of one job, in a fresh context of its own."""

    def __init__(self, page: Page, job: RenderJob, ledger: Ledger, budget: Budget, tidy: Tidy, egress: Egress) -> None:
        self._egress = egress
        self._page = page
        self._job = job
        self._ledger = ledger
        self._budget = budget
        self._tidy = tidy
        self.witness = Witness(page, job.url, ledger)
        self._gate = Gate(page, job, tidy.blocker)
        self._loading = Loading(page.session, page.main_frame.id, self.witness.loading_ended)
        self.ended = page.ended
        """Done when the page has crashed or closed."""

    async def print(self) -> Printed:
        """Opens the page, waits until it settles, and prints it; takes the PDF instead if the URL serves one.

        Raises:
            UrlshotError: The page could not be printed; the code says why.
        """
        try:
            with self._budget.phase("navigate"):
                await self._open()
            if self._gate.pdf is not None:
                return self._as_it_is(self._gate.pdf)
            with self._budget.phase("settle"):
                settled = await self._settle()
                # A script may have navigated to a PDF.
                if await self._served() or (settled.may_be_pdf and await self._is_pdf_as_text()):
                    return self._as_it_is(self._gate.pdf or b"")
                self._check()
                await self._tidy.dress()
                found = await self._look(settled)
                self.witness.broken_off()
                self._check_parts()
            with self._budget.phase("print"):
                options = await fitted(self._page, self._job.options)
                plain = settled.glance is not None and settled.glance.simple
                first = await self._print_page(options, found.title, plain=plain)
                self._check()  # the page may have navigated at the last moment
            with self._budget.phase("check"):
                printed, covered = await self._checked(first, settled, found, options)
            if covered:
                with self._budget.phase("print"):
                    again = await self._print_headers_once(options, found.title)
                if again:
                    with self._budget.phase("check"):
                        printed, _ = await self._checked(again, settled, found, options)
        except NotPdf as error:
            raise failure("crash", internal=f"the PDF {error}") from error
        except TimeoutError as error:
            raise failure("timeout", "The page was not ready in time.", internal=first_line(str(error))) from error
        except DevToolsError as error:
            raise meaning(error, self.witness, self._ledger) from error
        finally:
            self._gate.close()
        return printed

    async def _open(self) -> None:
        self._gate.open()
        await self._tidy.prepare()
        if self._job.private.cookies:
            await self._page.set_cookies(cookies_of(self._job))
        try:
            await self._page.goto(self._job.url, self._budget.for_page())
        except DevToolsError:
            if not await self._served() and not await self._is_pdf_as_text():
                raise
        self._check()

    async def _served(self) -> bool:
        """Returns whether the URL served a PDF; raises the error if it served a download or a damaged PDF."""
        async with asyncio.timeout(self._budget.for_page()):
            await self._gate.finish()
        if self._gate.error is not None:
            raise self._gate.error
        return self._gate.pdf is not None

    async def _is_pdf_as_text(self) -> bool:
        """Opens the URL again if it served a PDF as text; returns whether the PDF was taken."""
        if self._gate.has_passed_text and await self._gate.looks_again():
            with contextlib.suppress(DevToolsError):  # the gate takes the response, so the navigation fails
                await self._page.goto(self.witness.asked, self._budget.for_page())
            return await self._served()
        return False

    async def _settle(self) -> Readiness:
        options = self._job.options
        deadline = time.monotonic() + self._budget.for_settling()
        wakes = options.wait_until == "settled" or options.waits  # else nothing waits for what would load then
        readiness = Readiness(
            self._page, self.witness, self._loading, deadline, scripts=options.javascript, wakes=wakes
        )
        work = asyncio.create_task(self._come_to_rest(readiness))
        try:
            # If a script navigates to a PDF, the page that it leaves may never come to rest.
            await asyncio.wait({work, self._gate.served}, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                work.result()
        finally:
            work.cancel()
        return readiness

    async def _come_to_rest(self, readiness: Readiness) -> None:
        options = self._job.options
        if self._tidy.asked:  # before the wait: the CSS may load resources, and a closed banner may move content
            await readiness.event("load" if options.wait_until == "settled" else options.wait_until)
            async with readiness.wait("tidying"):
                try:
                    await self._tidy.dress()
                except DevToolsError as error:
                    if not gone(error):
                        raise
        glances = not (self._tidy.asked or options.waits or options.single_page) and options.fit != "width"
        if options.wait_until == "settled":
            await readiness.rest(self._job.url if glances and options.media == "print" else "")
            if readiness.glance is not None:
                return
        else:
            await readiness.event(options.wait_until)
            await asyncio.gather(readiness.look_into_source(), self._after_event(readiness, glances=glances))
        if options.wait_for:
            await readiness.selector(options.wait_for)
        if options.wait_expression:
            await readiness.expression(options.wait_expression)
        if options.delay:
            await readiness.delay(options.delay)
        if options.wait_until == "settled":
            await readiness.press(
                options.media, window_of(options) if options.single_page or options.fit == "width" else None
            )

    async def _after_event(self, readiness: Readiness, *, glances: bool) -> None:
        if self._job.options.wait_until == "domcontentloaded":
            return
        state = await readiness.look_once(self._job.url, rests=False) if glances else None
        if state is None or not state.fonts:
            await readiness.fonts()

    async def _look(self, settled: Readiness) -> Look:
        """Inspects the page before the print, unless a glance has told everything."""
        options = self._job.options
        by_event = options.wait_until != "settled"
        glance = settled.glance
        if glance is not None and glance.look is not None:
            found, state = glance.look, glance.state
        else:
            looking = look(
                self._page,
                self._job.url,
                self._tidy.kept_away(),
                sorted(self.witness.documents),
                opens=by_event,  # else `press` has opened it
            )
            if not by_event:
                return await looking
            found, state = await asyncio.gather(looking, settled.state())
        if by_event:
            settled.note_missing(state, content=found.text < _LITTLE_TEXT and not options.waits)
        return found

    async def _print_page(self, options: Options, title: str, *, plain: bool = False) -> Print:
        return await print_whole(self._page, self.witness, self._budget, options, title, plain=plain)

    async def _checked(self, sheets: Print, settled: Readiness, found: Look, options: Options) -> tuple[Printed, int]:
        """Returns the PDF with its facts, and the number of fixed boxes that hide text."""
        seconds = min(_CUT_SECONDS, self._budget.for_page() / 2)
        paper, cut, covered = await losses(self._page, sheets.pdf, options, seconds, sheets.plain)
        printed = self._printed(sheets.pdf, settled, found, await settled.broken_off())
        return replace(printed, seen=replace(printed.seen, cut=cut, covered=covered), paper=paper), covered

    async def _print_headers_once(self, options: Options, title: str) -> Print | None:
        """Prints again, with fixed headers on the first sheet only; None if no header hid text, or the page fails."""
        with contextlib.suppress(DevToolsError, TimeoutError):
            if await print_headers_once(self._page, ratio_of(options)):
                return await self._print_page(options, title)
        return None

    def _check(self) -> None:
        """Raises if the page shows an error of the browser or the server, or belongs to a forbidden host."""
        if self._page.url.startswith("chrome-error:"):  # after a script navigated; `goto` raises its own failures
            raise network_error(self.witness.failure, self.witness, self._ledger)
        self._check_host(self._page.url)
        response = self.witness.response
        if response is None or response.status < 400:
            return
        # On plain http our proxy can refuse a request only by a response.
        if response.headers.get("proxy-status", "").startswith("urlshot"):
            refused = proxy_failure(response.url, self._ledger)
            if refused is not None:
                raise refused
        if "status" not in self._job.options.fail_on:
            return
        code = "page_unavailable" if may_pass(response.status) else "page_status"
        raise failure(code, f"The page answered with status {response.status}.")

    def _check_host(self, url: str) -> None:
        """Raises if redirects or scripts have led to a host whose pages may not be printed."""
        host = urlsplit(url).hostname
        decision = self._egress.for_target(host) if host else None
        if decision is not None and not decision.allowed:
            raise failure("host_not_allowed", f"The URL leads to another host: {decision.reason}.")

    def _check_parts(self) -> None:
        """Raises if a part of the page failed and the option `fail_on` names such failures."""
        counts, fail_on = self.witness.counts, self._job.options.fail_on
        missing = counts["failed"] + counts["blocked"]
        if "resources" in fail_on and missing:
            first = (*self.witness.failed, *self.witness.blocked)[0]
            code = "resources_failed" if self.witness.passing else "resources_missing"
            raise failure(code, f"{missing} resources did not load, such as {first.url}: {first.reason}")
        if "console" in fail_on and counts["console"]:
            raise failure("console_errors", f"The page's scripts reported {counts['console']} errors.")

    def _printed(self, pdf: bytes, settled: Readiness, found: Look, broken: tuple[int, int]) -> Printed:
        """Returns the PDF with its facts; `broken` has the numbers of documents and frames that break off."""
        witness = self.witness
        witness.broken_off()  # again, for resources that were requested while the page was printed
        status = witness.response.status if witness.response is not None else 0
        # A page with little text and an open connection without a message probably waits for its content.
        cut = len(witness.cut)
        if not cut:
            own = self._loading.cut or (broken[0] and self._job.html is None)
            cut = int(bool(own)) + broken[1] + found.torn
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
            no_webgl=found.no_webgl,
            plugins=found.plugins,
            videos=found.videos,
            console=witness.counts["console"],
            challenge=found.challenge,
            login=found.login,
        )
        url = shown(self._page.url)
        hops, waited = tuple(witness.hops[:-1]), tuple(settled.waited)
        return Printed(pdf, url, status, seen, hops, found, None, waited, self._tidy.tidied())

    def _as_it_is(self, pdf: bytes) -> Printed:
        self._check_host(self.witness.asked)
        hops = tuple(self.witness.hops)
        return Printed(pdf, shown(self.witness.asked), self._gate.status, Seen(status=self._gate.status), hops)


def ended(visit: Visit) -> UrlshotError:
    """Returns the error for a page that crashed or closed."""
    return failure("crash", visit.ended.result())
