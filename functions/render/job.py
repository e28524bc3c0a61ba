"""Runs one job: opens the page, prints it, uploads the PDF, and makes the report."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import replace
from typing import Any

import pybase64
from aws_lambda_powertools import Logger

from functions.render.browser.browser import Browser
from functions.render.browser.context import settings_of
from functions.render.budget import Budget
from functions.render.devtools.page import Page
from functions.render.network.ledger import Ledger
from functions.render.page.tidy import Tidy
from functions.render.page.tidy_lists import TidyLists
from functions.render.page.witness import Witness
from functions.render.pdf.document import NotPdf, page_count, page_count_of_any
from functions.render.pdf.ink import as_picture
from functions.render.upload import upload
from functions.render.verdict import Seen, judge
from functions.render.visit import Printed, Visit, ended
from urlshot.core.egress import Egress
from urlshot.core.errors import Broken, Rejected, Transient, UrlshotError, failure
from urlshot.core.identity import target
from urlshot.core.options import Options
from urlshot.core.render_contract import MOST, RenderAnswer, RenderJob, Report

INLINE_BYTES = 4_500_000
"""Largest PDF that fits as base64 into a Lambda response, which may have 6 MB."""

MEMORY_KEPT = 150_000_000
"""Bytes of the function's memory that are kept for this process and the system, and for growth between two looks."""
MEMORY_SECONDS = 0.2
"""Time between two looks at the browser's memory. The largest growth was 0.4 GB a second, for the layout of a print."""


class Jobs:
    """Runs jobs one after another with one browser."""

    def __init__(self, browser: Browser, lists: TidyLists, egress: Egress, logger: Logger, megabytes: int) -> None:
        """Takes the browser and the rules for all jobs.

        Args:
            browser: A started browser.
            lists: The block lists and consent rules.
            egress: The rules for hosts.
            logger: The function's logger.
            megabytes: The function's memory; 0 if it has no limit.
        """
        self._megabytes = megabytes
        self._browser = browser
        self._lists = lists
        self._egress = egress
        self._logger = logger
        self._cold = True

    async def run(self, job: RenderJob, budget: Budget) -> RenderAnswer:
        """Renders one job.

        Raises:
            Broken: The fault is urlshot's own. Every other error becomes the answer's `error`.
        """
        cold, self._cold = self._cold, False
        try:
            job = job.model_copy(update={"url": target(job.url, self._egress).url})
            report, pdf, etag = await self._render(job, budget, cold=cold)
        except Broken:
            raise
        except UrlshotError as error:
            fields = {"code": error.code.name, "internal": error.internal, "phases": budget.phases}
            self._logger.warning("not rendered", extra=fields)
            return RenderAnswer(id=job.id, generation=job.generation, error=error.public())
        shown = report.model_dump(
            include={"status", "pages", "bytes", "phases", "network", "chromium", "cold", "source"}
        )
        shown |= {"verdict": report.verdict, "warnings": [warning.code for warning in report.warnings]}
        self._logger.info("rendered", extra=shown)
        more = {"waited": report.waited, "failed": len(report.failed), "blocked": len(report.blocked)}
        self._logger.debug("page: at rest", extra={**more, "gb_seconds": report.gb_seconds})
        inline = pybase64.b64encode_as_string(pdf) if job.upload is None else None
        return RenderAnswer(id=job.id, generation=job.generation, report=report, etag=etag, pdf=inline)

    async def _render(self, job: RenderJob, budget: Budget, *, cold: bool) -> tuple[Report, bytes, str | None]:
        """Returns the report, the PDF, and the ETag of the upload (None without an upload)."""
        ledger = Ledger(job.limits)
        printed, witness = await self._visit(job, budget, ledger)
        with budget.phase("check"):
            pages = self._check(job, printed)
            seen = _complete(printed, job.options, pages)
            verdict, warnings = judge(seen)
            sha256 = hashlib.sha256(printed.pdf).hexdigest()
        etag = None
        if job.upload is not None:
            with budget.phase("upload"):
                left = budget.left()
                etag = await asyncio.wait_for(asyncio.to_thread(upload, job.upload, printed.pdf, left), left + 1)
        report = Report(
            source="page" if printed.look is not None else "pdf",
            verdict=verdict,
            warnings=warnings,
            final_url=printed.final_url,
            status=printed.status,
            title=printed.look.title if printed.look is not None else "",
            pages=pages,
            bytes=len(printed.pdf),
            sha256=sha256,
            redirects=printed.hops,
            waited=printed.waited,
            failed=tuple(witness.failed),
            blocked=tuple(witness.blocked),
            console=tuple(witness.console),
            images_missing=printed.look.images_missing if printed.look is not None else (),
            glyphs_missing=tuple(sorted(seen.glyphs_missing)[:MOST]),
            phases=budget.phases,
            network=ledger.summary(),
            chromium=self._browser.chromium.version,
            cold=cold,
            tidied=printed.tidied,
            gb_seconds=round(budget.elapsed() * self._megabytes / 1024, 3),
        )
        return report.bounded(), printed.pdf, etag

    async def _visit(self, job: RenderJob, budget: Budget, ledger: Ledger) -> tuple[Printed, Witness]:
        """Opens and prints the page; afterwards the browser begins to close it, whatever happened."""
        page: Page | None = None
        healthy = False
        budget.for_page()  # raises if no time is left
        try:
            with budget.phase("start"):
                try:
                    taking = self._browser.take(ledger, settings_of(job.options))
                    page = await asyncio.wait_for(taking, budget.for_page())
                except TimeoutError:
                    raise Transient("timeout", "The browser was not ready in time.") from None
            visit = Visit(page, job, ledger, budget, Tidy(page, job.options, self._lists), self._egress)
            try:
                printed = await self._first(visit, ledger, budget)
            except Rejected as error:
                healthy = error.code.name != "too_much_memory"
                raise
            except UrlshotError as error:
                healthy = error.code.name not in {"timeout", "crash"}
                raise
            healthy = True
            return printed, visit.witness
        finally:
            await self._browser.give_back(page, healthy=healthy)
            self._log_failures(ledger)

    async def _first(self, visit: Visit, ledger: Ledger, budget: Budget) -> Printed:
        """Returns the PDF, or raises if a crash, a limit or the end of the time comes first."""
        work = asyncio.create_task(visit.print())
        guard = asyncio.create_task(self._guard_memory(ledger))
        try:
            ends: set[asyncio.Future[Any]] = {work, visit.ended, ledger.exceeded}
            await asyncio.wait(ends, timeout=budget.for_page(), return_when=asyncio.FIRST_COMPLETED)
            if ledger.exceeded.done():
                found = ledger.exceeded.result()
                raise failure(found.code, found.reason)
            if work.done() and work.exception() is None:
                return work.result()
            if visit.ended.done():
                raise ended(visit)
            if work.done():
                return work.result()
            raise failure("timeout", f"The page was not ready within {budget.total:.0f} s.")
        finally:
            guard.cancel()
            work.cancel()
            await asyncio.wait({work}, timeout=1)

    async def _guard_memory(self, ledger: Ledger) -> None:
        """Ends the job before the browser needs more memory than the function has.

        Otherwise Lambda ends the function, and every attempt of the job fails without a reason. Only memory that is
        private to a process counts: the browser's shared memory is in files of /tmp, which the kernel can write back.
        No event tells that the memory is nearly used up, so this looks from time to time.
        """
        most = self._megabytes * 2**20 - MEMORY_KEPT
        while self._megabytes:
            await asyncio.sleep(MEMORY_SECONDS)
            if self._browser.chromium.memory() > most:
                ledger.outgrew(self._megabytes)
                return

    def _check(self, job: RenderJob, printed: Printed) -> int:
        """Returns the number of pages; 0 if the URL served a PDF whose page count cannot be read.

        Raises:
            Transient: `crash`: The browser did not print a valid PDF.
            Rejected: `too_large`, `too_many_pages`.
        """
        pdf, limits = printed.pdf, job.limits
        if len(pdf) > limits.pdf_bytes:
            raise failure("too_large", f"The PDF has {len(pdf):,} bytes; {limits.pdf_bytes:,} are allowed.")
        if job.upload is None and len(pdf) > INLINE_BYTES:
            raise failure("too_large", f"The PDF has {len(pdf):,} bytes; an answer can hold {INLINE_BYTES:,}.")
        if printed.look is None:
            return page_count_of_any(pdf)
        try:
            pages = page_count(pdf)
        except NotPdf as error:
            raise Transient("crash", internal=f"the PDF {error}") from error
        if pages > limits.pages:
            raise failure("too_many_pages", f"The PDF has {pages:,} pages; {limits.pages:,} are allowed.")
        return pages

    def _log_failures(self, ledger: Ledger) -> None:
        for (host, port), found in list(ledger.failures.items())[:20]:
            self._logger.info("not reached", extra={"host": host, "port": port, "code": found.code})


def _complete(printed: Printed, options: Options, pages: int) -> Seen:
    """Returns the facts for the verdict: those of the visit, and those that the marks on the paper show."""
    look, paper = printed.look, printed.paper
    if look is None or paper is None:
        return printed.seen
    # The marks on the paper decide, not the page's own account. A header or footer is not content of the page.
    nothing = look.text == 0 and not look.media and options.has_templates
    # The numbers of marks are counted only where they decide.
    drawn = paper.nearly_none and look.drawing and paper.marks.shapes > 0
    return replace(
        printed.seen,
        as_picture=as_picture(look, paper),
        near_blank=(paper.nearly_none and not drawn)
        or (nothing and paper.marks.images == 0 and paper.marks.shapes <= 2),
        glyphs_missing=paper.missing,
        split=pages if options.single_page and pages > 1 else 0,
    )
