// Scrolls through the window (box null) or one of the boxes of boxes.js. It holds every position for two frames, because
// observers are called after the callbacks of an animation frame. If the page listens to scrolling, it also waits for
// the timers that the page has set at this position.
async ([box, from, to, milliseconds, listens]) => {
  const mine = window[Symbol.for('urlshot')] || {};
  mine.holding = true;
  const frame = mine.frame || requestAnimationFrame, later = mine.later || setTimeout;
  const end = performance.now() + milliseconds;
  // Virtual lists remove items that go out of view. The removed texts are kept; cut.js checks whether they came back.
  if (!mine.loses) {
    const lost = new Set();
    mine.lost = lost;
    mine.loses = new MutationObserver(records => {
      for (const record of records) {
        for (const node of record.removedNodes) {
          const text = node.nodeType === Node.ELEMENT_NODE ? node.textContent.trim().slice(0, 200) : '';
          if (text && lost.size < 200) lost.add(text);
        }
      }
    });
    for (const root of mine.all || [document]) mine.loses.observe(root, { childList: true, subtree: true });
  }
  const area = box === null ? document.scrollingElement || document.documentElement : mine.boxes[box];
  const screen = (box === null ? innerHeight : area.clientHeight) || 600;
  const pause = time => new Promise(done => later(done, time));
  const frames = () => new Promise(done => {
    frame(() => frame(() => later(done, 0)));
    later(done, 150);
  });
  const hold = async began => {
    await frames();
    if (!listens) return;
    let last = 0;
    for (const id in mine.timers) {
      const timer = mine.timers[id];
      if (!timer.period && timer.since >= began && timer.due > last) last = timer.due;
    }
    const left = Math.min(250, last - performance.now());
    if (left > 0) {
      await pause(left);
      await frames();
    }
  };
  let y = from;
  for (;;) {
    const began = performance.now();
    area.scrollTo({ top: y, behavior: 'instant' });
    await hold(began);
    const bottom = Math.min(area.scrollHeight, to);
    if (y + screen >= bottom) return bottom;
    if (performance.now() >= end) return y;
    y += screen * 0.8; // screens overlap, so that an element across an edge is fully in view once
  }
}
