"""Tidies a page for print as the caller asks: blocks requests, closes cookie banners, adds CSS, hides elements."""

from __future__ import annotations

from functions.render.devtools.page import Page
from functions.render.page.blocking import Blocker
from functions.render.page.consent import Consent
from functions.render.page.tidy_lists import TidyLists
from urlshot.core.errors import Rejected
from urlshot.core.options import Options
from urlshot.core.render_contract import Tidied

# A constructed style sheet, because a page's Content-Security-Policy may forbid a <style> element, and because it comes
# after all sheets of the page. Existing elements also get an inline style, over which no rule of the page can win.
# The mark limits the sheet to one per document; a new document has no mark.
_DRESS = """([css, hide, gaps]) => {
  for (const selector of hide) {
    try { document.createDocumentFragment().querySelector(selector); } catch { return selector; }
  }
  const mark = Symbol.for("urlshot.dressed");
  if (!document[mark]) {
    Object.defineProperty(document, mark, { value: true });
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(css);
    for (const selector of hide) {
      // Not as text: `a[b` is a valid selector by itself, but in a text it would swallow the rest of the rule.
      const at = sheet.insertRule("x { display: none !important }", sheet.cssRules.length);
      sheet.cssRules[at].selectorText = selector;
    }
    document.adoptedStyleSheets = [...document.adoptedStyleSheets, sheet];
  }
  for (const selector of hide) {
    for (const found of document.querySelectorAll(selector)) found.style?.setProperty("display", "none", "important");
  }
  const empty = new Set(gaps);
  for (const found of gaps.length ? document.querySelectorAll("iframe, img, object, embed, video") : []) {
    if (empty.has(found.currentSrc || found.src || found.data)) found.style.setProperty("display", "none", "important");
  }
  return null;
}"""


class Tidy:
    """Tidies one page; does nothing if no option asks for it."""

    def __init__(self, page: Page, options: Options, lists: TidyLists) -> None:
        self._page = page
        self._options = options
        self.blocker = Blocker(page, options.block, lists.hosts) if options.block else None
        self.consent = Consent(page, lists) if options.consent == "reject" else None

    def tidied(self) -> Tidied | None:
        """Returns the report's field `tidied`; None if no option asked to block requests or close banners."""
        if self.blocker is None and self.consent is None:
            return None
        blocked = self.blocker.blocked if self.blocker is not None else []
        return Tidied(
            blocked=dict(self.blocker.counts) if self.blocker is not None else {},
            urls=tuple(item.url.partition("?")[0][:500] for item in blocked[:20]),
            consent=self.consent.outcome if self.consent is not None else None,
            banner=self.consent.banner if self.consent is not None else "",
        )

    @property
    def asked(self) -> bool:
        """Whether there is anything to do after the page has loaded."""
        return bool(self._options.css or self._options.hide or self.blocker or self.consent)

    def kept_away(self) -> list[str]:
        """Returns the URLs that the option `block` kept away."""
        return self.blocker.urls() if self.blocker is not None else []

    async def prepare(self) -> None:
        """Starts to watch for banners; call it before the page is opened."""
        if self.consent is not None:
            await self.consent.start()

    async def dress(self) -> None:
        """Waits until the cookie banner is closed, adds the CSS, hides elements, and closes the gaps of blocked ads.

        Call it when the document has loaded, and again before the print, because the page may have navigated or grown.
        Both calls together wait `consent.REJECT_SECONDS` at most.

        Raises:
            Rejected: `invalid_option`: A value of `hide` is not a CSS selector.
            DevToolsError: The page navigates, or has gone.
        """
        if self.consent is not None:
            await self.consent.wait()
        gaps = self.blocker.gaps() if self.blocker is not None else []
        if not (self._options.css or self._options.hide or gaps):
            return
        wrong = await self._page.evaluate(_DRESS, [self._options.css, list(self._options.hide), gaps])
        if wrong in list(self._options.hide):  # a page that has changed its own objects may answer anything
            raise Rejected("invalid_option", f"hide has {wrong!r}, which is not a CSS selector.", field="options.hide")
