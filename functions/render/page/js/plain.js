// Tells which simple kinds of page a document is, by its style sheets and elements; it lays nothing out.
//
// `plain`: no box can cut off or hide content. No element has a size of its own for content that it clips, and no
// element keeps its place on every sheet.
// `steady`: it is plain, and paper shows the same content as a screen. No rule and no element depends on the medium or
// on the window's width, and the browser loads nothing more to print the page.
// `filters`: CSS filters may apply to elements.
//
// A document whose style sheets cannot be read is none of these.
() => {
  const clips = /overflow|fixed|contain|content-visibility|clamp|ellipsis|@import|popover/i;
  const depends = /@media|@container|@page[^]*url\(|if\(|timeline|scroll\(/i;
  const no = { plain: false, steady: false, filters: true };
  const watch = window[Symbol.for('urlshot')];
  if ((watch?.lost?.size ?? watch?.lost?.length ?? 0) > 0 || (watch?.all && [...watch.all].length > 1)) return no;
  const clipping = 'iframe, frame, object, embed, textarea, select, input, marquee, dialog, details, [popover], foreignObject';
  const styled = ['overflow', 'fixed', 'contain', 'content-visibility', 'clamp', 'ellipsis'];
  if (document.querySelector([clipping, ...styled.map(word => `[style*="${word}" i]`)].join())) return no;
  let rules = 0, steady = true, filters = false;
  try {
    for (const sheet of [...document.styleSheets, ...document.adoptedStyleSheets]) {
      for (const rule of sheet.cssRules) {
        const text = rule.cssText;
        if (++rules > 2000 || clips.test(text)) return no;
        steady &&= !depends.test(text);
        filters ||= /filter/i.test(text);
      }
    }
  } catch {
    return no; // a sheet of another origin
  }
  const elements = document.getElementsByTagName('*');
  if (elements.length >= 20000) return no;
  for (const element of elements) if (element.shadowRoot) return no;
  const animations = document.getAnimations();
  steady &&= animations.every(animation => animation.timeline === document.timeline);
  filters ||= animations.length > 0 || document.querySelector('[style*=filter i], [filter]') !== null;
  steady &&= !document.querySelector('[media], [srcset], [sizes], video, audio, animate, set');
  return { plain: true, steady, filters };
}
