// Puts everything on one sheet: no page breaks, no named pages, and our size and margins in place of the page's @page
// rules. It uses a constructed style sheet, because a Content-Security-Policy does not forbid those.
([width, height, margin]) => {
  const mark = Symbol.for('urlshot.sheet');
  if (!document[mark]) {
    Object.defineProperty(document, mark, { value: new CSSStyleSheet() });
    document.adoptedStyleSheets = [...document.adoptedStyleSheets, document[mark]];
  }
  const page = `size: ${width}mm ${height}mm !important; margin: ${margin} !important`;
  document[mark].replaceSync(`
    @page { ${page} } @page :first { ${page} } @page :left { ${page} } @page :right { ${page} }
    * { page: auto !important; break-before: auto !important; break-after: auto !important;
        break-inside: auto !important }`);
}
