// One sheet for everything: no breaks, no named pages, and the paper's size and margins whatever the page's own @page
// says. A constructed style sheet, which a Content-Security-Policy does not forbid.
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
