// Finds boxes with `position: fixed` that hide text on the paper. The browser prints such a box on every sheet, at the
// same place, and no text scrolls out from under it. `ratio` is the height of a sheet's content divided by its width; the
// window is as wide as that content. Returns the number of boxes that hide a line or more. With `once`, it makes those at
// the top of the window stay on the first sheet, as at the beginning of the page on a screen, and returns their number.
([ratio, once]) => {
  const root = document.scrollingElement || document.documentElement;
  if (!root || !document.body) return 0;
  const style = element => getComputedStyle(element);
  const parent = element => element.parentElement || element.getRootNode().host || null;
  const roots = [...(window[Symbol.for('urlshot')]?.all || [document])];
  const sheet = innerWidth * ratio, end = scrollY + Math.max(root.scrollHeight, document.body.scrollHeight);
  const isSolid = css => {
    const alpha = /^rgba\(.*,\s*([\d.]+)\)$|\/\s*([\d.]+)\)$/.exec(css.backgroundColor);
    return css.opacity >= 0.9 && (!alpha || Number(alpha[1] ?? alpha[2]) >= 0.9);
  };
  const lasts = element => { // against the window, and not within a transformed block
    for (let at = parent(element); at; at = parent(at)) {
      const css = style(at);
      if (css.transform !== 'none' || css.filter !== 'none' || css.perspective !== 'none') return false;
      if (css.opacity < 0.9 || /paint|layout|strict|content/.test(css.contain)) return false;
    }
    return true;
  };
  const isWithin = (element, box) => {
    for (let at = element; at; at = parent(at)) if (at === box) return true;
    return false;
  };

  const boxes = [];
  for (const one of roots) {
    for (const box of one.querySelectorAll('*')) {
      const css = style(box);
      if (css.position !== 'fixed' || css.visibility !== 'visible' || css.opacity < 0.9) continue;
      const edge = box.getBoundingClientRect();
      if (edge.width < 40 || edge.height < 8 || edge.right < 8 || edge.left > innerWidth - 8) continue;
      if (edge.bottom < 8 || edge.top > innerHeight - 8 || !lasts(box)) continue;
      const fills = child => child.offsetWidth >= edge.width * 0.9 && child.offsetHeight >= edge.height * 0.9;
      if (!isSolid(css) && ![...box.children].some(child => fills(child) && isSolid(style(child)))) continue;
      const middle = (edge.top + edge.bottom) / 2 / innerHeight;
      const whole = edge.height >= innerHeight * 0.9;
      const move = middle < 0.35 ? 0 : middle > 0.65 ? sheet - innerHeight : (sheet - innerHeight) / 2;
      const places = { top: whole ? 0 : edge.top + move, bottom: whole ? sheet : edge.bottom + move };
      boxes.push({ box, edge, ...places, isHeader: !whole && middle < 0.35, tries: 0 });
      if (boxes.length >= 50) break;
    }
  }
  if (!boxes.length) return 0;

  // Finds the lines that lie under a box on their sheet, and asks the browser whether the box is above or behind them.
  const found = new Set();
  const from = [scrollX, scrollY];
  let left = 40000;
  for (const one of roots) {
    const walker = document.createTreeWalker(one === document ? document.body : one, NodeFilter.SHOW_TEXT);
    for (let node = walker.nextNode(); node && left-- > 0 && found.size < boxes.length; node = walker.nextNode()) {
      const holder = node.parentElement;
      if (!holder || !/\S/.test(node.data)) continue;
      const css = style(holder);
      if (css.visibility !== 'visible' || css.opacity === '0') continue;
      const range = document.createRange();
      range.selectNodeContents(node);
      for (const line of range.getClientRects()) {
        if (line.width < 4 || line.height < 4) continue;
        const centre = line.top + line.height / 2 + scrollY;
        if (centre < 0 || centre > end) continue;
        const place = centre % sheet;
        for (const entry of boxes) {
          const { box, edge, top, bottom } = entry;
          if (found.has(box) || entry.tries > 20 || place < top + 2 || place > bottom - 2) continue;
          const sides = [Math.max(line.left, edge.left, 0), Math.min(line.right, edge.right, innerWidth)];
          if (sides[1] - sides[0] < Math.max(4, line.width * 0.25) || isFixed(holder)) continue;
          entry.tries++;
          if (isAbove(box, edge, (sides[0] + sides[1]) / 2, centre)) found.add(box);
        }
      }
    }
  }
  scrollTo({ left: from[0], top: from[1], behavior: 'instant' });
  if (!once) return found.size;
  const headers = boxes.filter(({ box, isHeader }) => isHeader && found.has(box));
  for (const { box } of headers) box.style.setProperty('position', 'absolute', 'important');
  return headers.length;

  function isFixed(element) {
    for (let at = element; at; at = parent(at)) if (style(at).position === 'fixed') return true;
    return false;
  }

  // Returns whether a box is above the line at height `centre` of the page. It scrolls the line under the box.
  function isAbove(box, edge, across, centre) {
    const before = scrollY;
    scrollTo({ left: 0, top: centre - Math.min(Math.max((edge.top + edge.bottom) / 2, 0), innerHeight - 1), behavior: 'instant' });
    const down = centre - scrollY;
    let hit = down > edge.top && down < edge.bottom ? document.elementFromPoint(across, down) : null;
    while (hit?.shadowRoot) {
      const inner = hit.shadowRoot.elementFromPoint(across, down);
      if (!inner || inner === hit) break;
      hit = inner;
    }
    scrollTo({ left: from[0], top: before, behavior: 'instant' });
    return hit !== null && isWithin(hit, box);
  }
}
