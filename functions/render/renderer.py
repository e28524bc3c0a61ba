"""The handler's side of the renderer: a thread with one event loop for the browser and the proxy.

The loop also runs between events, so that the next page is prepared before a job needs it. Lambda may freeze the
process at any point; the loop then continues when the next event arrives.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, MutableMapping
from concurrent.futures import Future
from datetime import UTC, datetime

from aws_lambda_powertools import Logger

from functions.render.browser.browser import Browser
from functions.render.browser.seal import seal
from functions.render.budget import ANSWER_SECONDS, Budget
from functions.render.job import Jobs
from functions.render.page.scripts import script
from functions.render.page.tidy_lists import TidyLists
from functions.render.settings import RenderSettings
from playwright_aws_lambda import Layer
from urlshot.core.errors import Broken, Transient
from urlshot.core.render_contract import RenderAnswer, RenderJob
from urlshot.network.dial import Resolver, resolve

START_SECONDS = 60.0

MIN_LEASE_SECONDS = 10.0
"""A job whose claim ends sooner is not started: another claim would render it at the same time."""

EXIT_STATUS = 70  # EX_SOFTWARE of sysexits.h


def end_process() -> None:
    """Ends this process immediately, so that no damage by a page survives; Lambda starts a new process."""
    os._exit(EXIT_STATUS)


class Renderer:
    """Renders jobs, one at a time."""

    def __init__(
        self,
        settings: RenderSettings,
        logger: Logger,
        layer: Layer,
        *,
        resolver: Resolver = resolve,
        die: Callable[[], None] = end_process,
    ) -> None:
        self._logger = logger
        self._die = die
        self._loop = asyncio.new_event_loop()
        self.browser = Browser(settings.egress, layer, self._on_death, resolver, watch=script("watch"))
        lists = TidyLists(layer.files / "tidy")
        self._jobs = Jobs(self.browser, lists, settings.egress, logger, settings.aws_lambda_function_memory_size)
        self._thread = threading.Thread(target=self._loop.run_forever, name="renderer", daemon=True)

    @classmethod
    def of(cls, environ: MutableMapping[str, str], logger: Logger) -> Renderer:
        """Reads the settings, seals the process, and returns a started renderer."""
        settings = RenderSettings.read(environ)
        seal(environ)
        renderer = cls(settings, logger, Layer.here())
        renderer.start()
        return renderer

    def start(self) -> None:
        """Starts the loop and the browser.

        Raises:
            Broken: The browser does not start.
        """
        self._thread.start()
        try:
            asyncio.run_coroutine_threadsafe(self.browser.start(), self._loop).result(START_SECONDS)
        except TimeoutError as error:
            raise Broken("the browser did not start in time") from error

    def render(self, job: RenderJob, remaining: float | None) -> RenderAnswer:
        """Renders one job.

        Args:
            job: The job.
            remaining: Seconds until Lambda ends the function; None if there is no such limit.

        Raises:
            Broken: The fault is urlshot's own.
        """
        if job.lease_until is not None:
            lease = (job.lease_until - datetime.now(UTC)).total_seconds()
            if lease < MIN_LEASE_SECONDS:
                late = Transient("throttled", internal=f"the lease ends in {lease:.1f} s")
                self._logger.warning("not rendered", extra={"code": late.code.name, "internal": late.internal})
                return RenderAnswer(id=job.id, generation=job.generation, error=late.public())
            remaining = lease if remaining is None else min(lease, remaining)
        budget = Budget(job.limits.seconds, remaining, upload=job.upload is not None)
        budget.phases.update(job.phases)
        if job.handed_over_at is not None:
            waited = (datetime.now(UTC) - job.handed_over_at).total_seconds()
            budget.phases["hand_over"] = round(max(0.0, waited) * 1000, 1)
        future: Future[RenderAnswer] = asyncio.run_coroutine_threadsafe(self._jobs.run(job, budget), self._loop)
        try:
            return future.result(max(budget.total, 0) + ANSWER_SECONDS - 0.5)
        except TimeoutError:
            # Every wait in the loop has a limit, so the loop itself is stuck, and no state of it can be trusted.
            self._logger.critical("the event loop is stuck")
            self._die()
            raise Broken("the event loop is stuck") from None

    def close(self) -> None:
        """Ends the browser and the loop. Only tests call this: Lambda does not announce the end of a process."""
        asyncio.run_coroutine_threadsafe(self.browser.close(), self._loop).result(20)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    def _on_death(self) -> None:
        self._logger.critical("the browser died; the process ends too")
        self._die()
