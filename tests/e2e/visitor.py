"""A visitor uses the page at / in a real browser and collects the browser's errors and warnings."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, Request, expect, sync_playwright

from playwright_aws_lambda import Layer
from tests.e2e.conftest import PROJECT

PATIENCE = 30_000
"""Milliseconds to wait for a thing that appears within moments; generous, because machines stall."""

WATCH = """
addEventListener("securitypolicyviolation", (event) => console.error(event.violatedDirective, event.blockedURI));
"""


@contextmanager
def open_browser() -> Iterator[Browser]:
    """Starts the layer's headless shell, which has no PDF viewer."""
    layer = Layer.at(Path(os.environ.get("URLSHOT_CHROMIUM_LAYER", PROJECT / ".urlshot" / "layers" / "ChromiumLayer")))
    environment = {
        "LD_LIBRARY_PATH": str(layer.libraries),
        "FONTCONFIG_PATH": str(layer.files),
        "HOME": str(layer.workspace() / "home"),
    }
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=layer.inflate(), env={**environment})
        yield browser
        browser.close()


@dataclass
class Visitor:
    """A visitor of the page, with the errors of the browser, the origins of its requests and the API keys it sent."""

    page: Page
    complaints: list[str] = field(default_factory=list)
    origins: set[str] = field(default_factory=set)
    keys: set[tuple[str, str]] = field(default_factory=set)
    """The origin and the value of every x-api-key that the browser sent."""

    def __post_init__(self) -> None:
        self.page.on("console", self._on_console)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.complaints.append(dialog.message), dialog.dismiss()))
        self.page.on("request", self._on_request)

    @classmethod
    def of(cls, browser: Browser, script: str = "", **context: Any) -> Visitor:
        """Returns a visitor with a fresh browser context; `script` runs before the page's scripts."""
        page = browser.new_context(**context).new_page()
        page.set_default_timeout(PATIENCE)
        page.add_init_script(WATCH + script)
        return cls(page)

    def leave(self, *origins: str) -> None:
        """Closes the context, and checks for errors, other origins than these, and keys sent to any but the first."""
        self.page.context.close()
        assert self.complaints == []
        assert self.origins <= set(origins)
        assert {origin for origin, _ in self.keys} <= {origins[0]}

    def _on_console(self, message: ConsoleMessage) -> None:
        # Chromium logs an error for every answer that is not a success, and problems are such answers.
        if message.type in ("error", "warning") and not message.text.startswith("Failed to load resource"):
            self.complaints.append(message.text)

    def _on_request(self, request: Request) -> None:
        parts = urlsplit(request.url)
        self.origins.add(f"{parts.scheme}://{parts.netloc}")
        if key := request.headers.get("x-api-key"):
            self.keys.add((f"{parts.scheme}://{parts.netloc}", key))

    def ask(self, *urls: str) -> None:
        """Submits the form, and returns when the page has dealt with the answer."""
        self.page.get_by_label("Address of the page").fill("\n".join(urls))
        send = self.page.get_by_role("button", name="Make")
        send.click()
        expect(send).not_to_have_attribute("aria-disabled", "true")  # set from the click to the end of the answer

    def job(self, name: str) -> Locator:
        """Returns the card of the job with this title or address."""
        return self.page.get_by_role("article", name=name)

    def focused(self) -> str:
        return str(self.page.evaluate("document.activeElement.ariaLabel || document.activeElement.textContent.trim()"))
