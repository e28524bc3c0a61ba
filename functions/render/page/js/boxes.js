// Returns the content heights of the page's scrolling boxes, largest box first. Keeps the boxes for scroll.js.
most => {
  const mine = window[Symbol.for('urlshot')];
  if (!mine) return [];
  const found = [];
  for (const root of mine.all || [document]) {
    for (const box of root.querySelectorAll('*')) {
      if (box.scrollHeight <= box.clientHeight + 8 || box.clientHeight < 40 || box.clientWidth < 40) continue;
      if (box === document.documentElement || box === document.body) continue;
      if (/auto|scroll/.test(getComputedStyle(box).overflowY)) found.push(box);
    }
  }
  found.sort((one, other) => other.clientHeight * other.clientWidth - one.clientHeight * one.clientWidth);
  mine.boxes = found.slice(0, most);
  return mine.boxes.map(box => box.scrollHeight);
}
