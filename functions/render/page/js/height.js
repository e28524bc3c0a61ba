// Pixels from the top of the page to the end of its content.
() => {
  const root = document.documentElement, body = document.body;
  // In quirks mode both are as high as the window, whatever is in them.
  const all = document.createRange();
  all.selectNodeContents(body || root);
  const boxes = document.compatMode === 'BackCompat' ? [all] : [all, root];
  const bottoms = boxes.map(box => box.getBoundingClientRect().bottom + scrollY);
  return Math.max(8, ...bottoms, root.scrollHeight > innerHeight ? root.scrollHeight : 0);
}
