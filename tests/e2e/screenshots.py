"""`python -m tests.e2e.screenshots FOLDER` takes pictures of the states of the page at / from a local stack.

It uses Debian's chromium, because the layer's headless shell has no PDF viewer. It uses the layer's fonts, so that the
pictures are equal on every machine.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Browser, Page, expect, sync_playwright

from .conftest import PROJECT, Pages, start, stop

PORT = 8000
"""The port of the printed pages. It is fixed because the pictures show it."""
FONTS = PROJECT / ".urlshot" / "layers" / "ChromiumLayer" / "chromium"
DEMO = PROJECT / "infra" / "local" / "demo"
VIEWER_SECONDS = 60
WIDE = {"viewport": {"width": 1280, "height": 880}}

REPORT = """<!doctype html><title>Quarterly report</title><style>
body { font: 16px/1.5 sans-serif } img { width: 100%; height: 160px } h1 { margin: 0 }
table { width: 100%; border-collapse: collapse }
td, th { border-top: 1px solid #bbb; padding: .3em 0; text-align: left }
</style><h1>Quarterly report</h1><p>Orders rose in all regions.</p>
<table><tr><th>Region<th>Orders<th>Change<tr><td>North<td>1,204<td>+4 %<tr><td>East<td>986<td>+11 %
<tr><td>South<td>1,577<td>+2 %<tr><td>West<td>1,310<td>+7 %</table>
<p><img src="/status/404?chart" alt="Orders by month"></p><p><img src="/status/404?map" alt="Orders by region"></p>"""


def main(folder: Path) -> int:
    chromium = shutil.which("chromium")
    if chromium is None:
        print("There is no chromium here. On Debian: apt-get install chromium")
        return 1
    folder.mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as scratch,
        _stack(Path(scratch)) as (endpoint, pages),
        sync_playwright() as driver,
    ):
        browser = driver.chromium.launch(
            executable_path=chromium,
            headless=False,  # Playwright's headless mode has no PDF viewer
            args=["--headless=new", "--no-sandbox", "--hide-scrollbars"],
            env={"PATH": "/usr/bin:/bin", "HOME": scratch, "FONTCONFIG_PATH": str(FONTS)},
        )
        _Studio(browser, endpoint, pages, folder).take()
        browser.close()
    return 0


@contextmanager
def _stack(scratch: Path) -> Iterator[tuple[str, Pages]]:
    pages = Pages(PORT)
    story = (
        (DEMO / "index.html").read_text().replace('<img src="way.svg"', (DEMO / "way.svg").read_text() + "<img hidden")
    )
    pages.documents |= {"/story.html": story, "/report.html": REPORT}
    try:
        stack = start(pages, scratch / "ready.json")
        try:
            yield stack.endpoint, pages
        finally:
            stop(stack)
    finally:
        pages.close()


class _Studio:
    def __init__(self, browser: Browser, endpoint: str, pages: Pages, folder: Path) -> None:
        self._browser, self._endpoint, self._pages, self._folder = browser, endpoint, pages, folder

    def take(self) -> None:
        page = self._visit(**WIDE)
        self._save(page, "page-empty")
        self._ask(page, "/story.html")
        self._wait_for_the_viewer(page)
        self._save(page, "page-done")

        page.get_by_role("button", name="Hide").click()
        self._ask(page, "/report.html")
        page.get_by_role("button", name="Hide").click()
        self._ask(page, "/status/404")
        arrived, go = self._pages.hold("/slow.html")
        self._ask(page, "/slow.html", "Printing")
        assert arrived.is_set()
        page.get_by_label("Address of the page").fill("")
        self._save(page, "page-list")
        go.set()

        page = self._visit(**WIDE, color_scheme="dark")
        self._ask(page, "/report.html")
        self._wait_for_the_viewer(page)
        self._save(page, "page-dark")

        page = self._visit(viewport={"width": 360, "height": 740}, device_scale_factor=2, has_touch=True)
        page.add_init_script("Object.defineProperty(Navigator.prototype, 'pdfViewerEnabled', { get: () => false })")
        page.reload()
        self._ask(page, "/report.html")
        expect(page.get_by_role("link", name="Open the PDF")).to_be_visible()
        self._save(page, "page-phone", scroll="document.querySelector('.jobs').scrollIntoView()")

    def _visit(self, **context: Any) -> Page:
        page = self._browser.new_context(**{"device_scale_factor": 1.5, **context}).new_page()
        page.goto(self._endpoint)
        return page

    def _ask(self, page: Page, path: str, until: str = "") -> None:
        page.get_by_label("Address of the page").fill(self._pages.url(path))
        page.get_by_role("button", name="Make PDF").click()
        page.mouse.move(0, 0)
        newest = page.get_by_role("article").first
        seen = newest.get_by_text(until) if until else newest.get_by_role("button", name="Print again")
        expect(seen).to_be_visible(timeout=60_000)

    def _wait_for_the_viewer(self, page: Page) -> None:
        """Waits until two successive pictures of the viewer are equal, because its frames report no progress."""
        frame = page.locator("iframe")
        expect(frame).to_be_visible()
        before = b""
        for _ in range(VIEWER_SECONDS):
            page.wait_for_timeout(1000)
            now = frame.screenshot()
            if now == before:
                return
            before = now
        raise TimeoutError("the PDF viewer does not come to rest")

    def _save(self, page: Page, name: str, scroll: str = "scrollTo(0, 0)") -> None:
        page.evaluate(f"document.activeElement.blur(); {scroll}")
        place = self._folder / f"{name}.png"
        page.screenshot(path=place)
        with Image.open(place) as picture:
            colours = picture.convert("RGB").quantize(256, kmeans=1, dither=Image.Dither.NONE)
            colours.save(place, optimize=True)
        print(f"{place}: {place.stat().st_size:,} bytes")


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
