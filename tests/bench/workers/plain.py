"""Plain Playwright for Python, as its documentation shows it, with the layer's browser."""

from __future__ import annotations

from tests.bench.workers.protocol import Conversation

talk = Conversation()

from typing import Any  # noqa: E402

from playwright.sync_api import BrowserContext, sync_playwright  # noqa: E402

from playwright_aws_lambda import Layer, chromium_args  # noqa: E402


class Plain:
    """Makes a context for each job, opens a page in it, and prints the page."""

    def __init__(self) -> None:
        layer = Layer.here()
        binary = layer.inflate()
        environment = {
            "LD_LIBRARY_PATH": str(layer.libraries), "FONTCONFIG_PATH": str(layer.files),
            "HOME": str(layer.workspace()), "TMPDIR": str(layer.scratch),
        }  # fmt: skip
        self._playwright = sync_playwright().start()
        self._browser = self._playwright.chromium.launch(executable_path=binary, args=chromium_args(), env=environment)
        self._context: BrowserContext | None = None
        self.versions = {"chromium": self._browser.version}

    def print(self, url: str, wait: str) -> tuple[bytes, dict[str, Any]]:
        """Prints a page at its load event, whatever `wait` says."""
        self._context = self._browser.new_context()
        page = self._context.new_page()
        page.goto(url)
        return page.pdf(format="A4", print_background=True), {}

    def tidy(self) -> None:
        """Closes the context."""
        if self._context is not None:
            self._context.close()
            self._context = None


talk.mark("imported")
plain = Plain()
talk.mark("started")
talk.serve(plain)
