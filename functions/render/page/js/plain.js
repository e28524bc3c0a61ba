// Returns whether no box of the page can cut off or hide content: no element has a size of its own for content that it
// clips, and no element keeps its place on every sheet. It reads the style sheets and lays nothing out. A page whose
// style sheets cannot be read is not plain.
() => {
  const words = /overflow|fixed|contain|content-visibility|clamp|ellipsis|@import|popover/i;
  const watch = window[Symbol.for('urlshot')];
  if ((watch?.lost?.size ?? watch?.lost?.length ?? 0) > 0 || (watch?.all && [...watch.all].length > 1)) return false;
  const clipping = 'iframe, frame, object, embed, textarea, select, input, marquee, dialog, details, [popover], foreignObject';
  const styled = ['overflow', 'fixed', 'contain', 'content-visibility', 'clamp', 'ellipsis'];
  if (document.querySelector([clipping, ...styled.map(word => `[style*="${word}" i]`)].join())) return false;
  let rules = 0;
  try {
    for (const sheet of [...document.styleSheets, ...document.adoptedStyleSheets]) {
      for (const rule of sheet.cssRules) if (++rules > 2000 || words.test(rule.cssText)) return false;
    }
  } catch {
    return false; // a sheet of another origin
  }
  return document.querySelectorAll('*').length < 20000 && !hasRoots();

  function hasRoots() {
    for (const element of document.querySelectorAll('*')) if (element.shadowRoot) return true;
    return false;
  }
}
