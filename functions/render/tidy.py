"""What a caller wants gone from a page before it is printed, and what they want added to it."""

from __future__ import annotations

from playwright.async_api import Page

from urlshot.errors import Rejected
from urlshot.options import Options

# A constructed style sheet, because a page's Content-Security-Policy would forbid a <style> element, and because it
# comes after all sheets of the page. Elements that are there already get an inline style besides: nothing of the
# page's can win over that. Done once per document, however often it is asked for; the mark is lost with the document.
_DRESS = """([css, hide]) => {
  for (const selector of hide) {
    try { document.createDocumentFragment().querySelector(selector); } catch { return selector; }
  }
  const mark = Symbol.for("urlshot.dressed");
  if (!document[mark]) {
    Object.defineProperty(document, mark, { value: true });
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(css);
    for (const selector of hide) {
      // Not as text: `a[b` is a whole selector by itself, and would swallow the rest of the rule.
      const at = sheet.insertRule("x { display: none !important }", sheet.cssRules.length);
      sheet.cssRules[at].selectorText = selector;
    }
    document.adoptedStyleSheets = [...document.adoptedStyleSheets, sheet];
  }
  for (const selector of hide) {
    for (const found of document.querySelectorAll(selector)) found.style?.setProperty("display", "none", "important");
  }
  return null;
}"""


class Tidy:
    """The tidying of one page. Costs nothing where no option asks for it."""

    def __init__(self, page: Page, options: Options) -> None:
        self._page = page
        self._options = options

    async def dress(self) -> None:
        """Adds the CSS and hides the selectors: when the document stands, and again when it is about to be printed,
        because it may have become another one, or have grown.

        Raises:
            Rejected: `invalid_option`, with the selector that is none.
            Error: Playwright's, when the page goes elsewhere meanwhile.
        """
        if not (self._options.css or self._options.hide):
            return
        wrong = await self._page.evaluate(_DRESS, [self._options.css, list(self._options.hide)])
        if wrong is not None:
            raise Rejected("invalid_option", f"hide has {wrong!r}, which is not a CSS selector.", field="options.hide")
