// Returns the pixels from the top of the page to the end of its content.
() => {
  const root = document.documentElement, body = document.body;
  // In quirks mode the root and the body are at least as high as the window, so only the content counts.
  const all = document.createRange();
  all.selectNodeContents(body || root);
  const boxes = document.compatMode === 'BackCompat' ? [all] : [all, root];
  const bottoms = boxes.map(box => box.getBoundingClientRect().bottom + scrollY);
  return Math.max(8, ...bottoms, root.scrollHeight > innerHeight ? root.scrollHeight : 0);
}
