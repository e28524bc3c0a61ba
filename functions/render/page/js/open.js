// Opens an application shell for print. A page that is locked to the window and scrolls in boxes would print its first
// screen only. The script makes such boxes and their ancestors as high as their content, and returns their number. It
// changes neither pages that scroll as a whole nor boxes that hold more than `most` pixels, which may be endless lists.
most => {
  const root = document.documentElement, body = document.body;
  if (!body || window !== top) return 0;
  const roots = [...(window[Symbol.for('urlshot')]?.all || [document])];
  const style = element => getComputedStyle(element);
  const locks = /hidden|clip|auto|scroll/;
  const area = document.scrollingElement || root;
  const isLocked = element => /hidden|clip/.test(style(element).overflowY);
  const locked = isLocked(root) || isLocked(body);
  const fixed = style(body).position === 'fixed';
  if (area.scrollHeight > innerHeight * 1.1 && !fixed) return 0;
  const found = [];
  for (const one of roots) {
    for (const box of one.querySelectorAll('*')) {
      if (box === root || box.localName === 'textarea' || box.scrollHeight <= box.clientHeight + 8) continue;
      if (box.scrollHeight > most || box.clientHeight < innerHeight * 0.4 || box.clientWidth < 120) continue;
      const css = style(box);
      const cuts = /auto|scroll/.test(css.overflowY) || /hidden|clip/.test(css.overflowY) && box.clientHeight >= innerHeight * 0.8;
      if (cuts && box !== body) found.push(box);
    }
  }
  if ((fixed || locked) && body.scrollHeight > innerHeight + 8 && body.scrollHeight <= most) found.push(body);
  const set = (element, values) => {
    for (const [name, value] of Object.entries(values)) element.style?.setProperty(name, value, 'important');
  };
  const opened = new Set();
  const open = element => {
    for (let at = element; at; at = at.parentElement || at.getRootNode().host) {
      if (opened.has(at)) continue;
      opened.add(at);
      const css = style(at);
      const values = { height: 'auto', 'max-height': 'none' };
      if (locks.test(css.overflowY) || locks.test(css.overflowX)) values.overflow = 'visible';
      if (css.contain !== 'none') values.contain = 'none';
      if (/^(fixed|absolute)$/.test(css.position)) Object.assign(values, { position: 'relative', inset: 'auto' });
      if (css.display.includes('grid') && /px/.test(css.gridTemplateRows)) values['grid-template-rows'] = 'auto';
      set(at, values);
    }
  };
  found.forEach(open);
  return found.length;
}
