// Polls one document for its state (State in rest.py). It needs none of the page's timers or promises.
// `silence` is the time in milliseconds since the last request of a script ended; `limits` is LIMITS in rest.py. If
// `wakes`, images and frames that load when they come into view load now.
([silence, limits, wakes]) => {
  const root = document.scrollingElement || document.documentElement;
  if (!root) return null;
  if (window !== top && (innerWidth < 5 || innerHeight < 5)) return null; // an invisible frame
  const mine = window[Symbol.for('urlshot')] || { __proto__: null };
  const clock = mine.clock || performance.now.bind(performance);
  const now = clock();
  const items = list => {
    const found = [];
    for (let at = 0; list && at < list.next; at++) if (list[at]) found.push(list[at]);
    return found;
  };

  // The document and its shadow roots: watch.js notes the roots that scripts attach; the walk finds declarative ones.
  const changed = Math.max(mine.changed || 0, mine.effect || 0);
  if (!mine.walked || changed >= mine.walked) {
    const found = new Set([document]);
    for (const reference of items(mine.roots)) {
      const shadow = reference.deref();
      if (shadow && shadow.host.isConnected) found.add(shadow);
    }
    let left = 200000;
    for (const one of found) { // the set grows during the loop
      const walker = document.createTreeWalker(one, NodeFilter.SHOW_ELEMENT);
      for (let node = walker.nextNode(); node && left-- > 0; node = walker.nextNode()) {
        if (node.shadowRoot) found.add(node.shadowRoot);
      }
    }
    mine.all = found;
    mine.walked = now;
  }
  const roots = mine.all;
  const all = selector => [...roots].flatMap(one => [...one.querySelectorAll(selector)]);

  let images = 0;
  for (const image of all('img')) {
    if (wakes && image.loading === 'lazy') image.loading = 'eager';
    if (!image.complete) images++;
  }
  for (const frame of wakes ? all('iframe[loading=lazy]') : []) frame.loading = 'eager';

  let playing = 0;
  for (const one of roots) {
    for (const animation of one.getAnimations()) {
      if (animation.playState !== 'running' || animation.timeline !== document.timeline) continue;
      const end = animation.effect && animation.effect.getComputedTiming().endTime;
      if (end > 20000 || !Number.isFinite(end)) continue;
      try { animation.finish(); playing++; } catch { }
    }
  }

  // getAnimations() does not return SVG's own animations. This puts those that keep their last state at their end.
  mine.wound ||= new WeakSet();
  for (const moving of all('animate[fill=freeze],animateTransform[fill=freeze],animateMotion[fill=freeze],set')) {
    let svg = moving.ownerSVGElement;
    while (svg?.ownerSVGElement) svg = svg.ownerSVGElement;
    if (!svg || mine.wound.has(svg)) continue;
    mine.wound.add(svg);
    svg.setCurrentTime(Math.max(svg.getCurrentTime(), 20));
  }

  // Scripts that have called nothing that works later have done everything by the end of the load event. watch.js does
  // not see promises of the language, imports and handlers of elements, so such words in a script count as well.
  const handlers = ['load', 'pageshow', 'beforeprint', 'afterprint', 'message', 'resize', 'scroll', 'wheel'];
  const later = /\b(?:import|await|async|then|Promise)\b|\.\s*on[a-z]+\s*=(?!=)/;
  const inert = mine.inert === true && silence >= 1e9
    && !handlers.some(name => window[`on${name}`] || document[`on${name}`])
    && ![...document.scripts].some(script => later.test(script.text));
  const scripts = document.scripts.length > 0 || Boolean(mine.used);
  if (scripts && document.documentElement) {
    mine.watch ||= new MutationObserver(() => { mine.changed = clock(); });
    mine.watched ||= new WeakSet();
    for (const one of roots) {
      if (mine.watched.has(one)) continue;
      mine.watched.add(one);
      mine.watch.observe(one, { childList: true, subtree: true, attributes: true, characterData: true });
    }
  }

  // No event tells of drawing on a canvas. A small copy of each canvas, all on one sheet, shows changes.
  const canvases = scripts ? all('canvas').filter(canvas => canvas.width && canvas.height).slice(0, 1000) : [];
  if (canvases.length) {
    mine.tainted ||= new WeakSet();
    const hash = group => {
      const side = 24, row = Math.min(32, group.length);
      const sheet = new OffscreenCanvas(side * row, side * Math.ceil(group.length / row));
      const paper = sheet.getContext('2d', { willReadFrequently: true });
      group.forEach((canvas, at) => {
        try { paper.drawImage(canvas, side * (at % row), side * Math.floor(at / row), side, side); } catch { }
      });
      const data = new Int32Array(paper.getImageData(0, 0, sheet.width, sheet.height).data.buffer);
      let sum = 0;
      for (let at = 0; at < data.length; at++) sum = (sum * 31 + data[at]) | 0;
      return sum;
    };
    const readable = canvases.filter(canvas => !mine.tainted.has(canvas));
    let sum = 0;
    try {
      sum = readable.length ? hash(readable) : 0;
    } catch { // an image of another origin makes a canvas unreadable
      for (const canvas of readable) try { hash([canvas]); } catch { mine.tainted.add(canvas); }
    }
    if (mine.drawn !== sum + canvases.length) {
      if (!inert || mine.drawn !== undefined) mine.drawnAt = now;
      mine.drawn = sum + canvases.length;
    }
  }

  // Work that the page's scripts have started and that ends soon. "Soon" is measured from the last effect, so that an
  // endless timer without effects is not waited for.
  const effect = Math.max(mine.effect || 0, mine.changed || 0, mine.drawnAt || 0, now - silence);
  let pending = 0;
  for (const id in mine.timers) {
    const timer = mine.timers[id];
    if (now > timer.due + 5 && timer.late) {
      if (!timer.period) {
        delete mine.timers[id];
        mine.count--;
        continue;
      }
      const rounds = Math.max(1, Math.ceil((now - timer.due) / timer.period));
      timer.due += timer.period * rounds;
      timer.round += rounds;
    }
    timer.late = now > timer.due + 5; // it may be about to run, so it is pending until the next poll
    const loop = timer.period > 0 || timer.round > 3;
    if (timer.due <= effect + (loop ? limits.loop : timer.round > 1 ? limits.again : limits.timer)) pending++;
  }
  const recently = now <= effect + limits.loop;
  if (recently && now - (mine.framed ?? -1e9) < 60) pending++;
  if (recently && now - (mine.posted ?? -1e9) < 30) pending++;
  if (mine.idle > 0 && now <= effect + limits.again) pending++;
  for (const task of items(mine.tasks)) if (now - task.since < limits.task) pending++;
  let silent = 0;
  for (const socket of items(mine.sockets)) {
    if (!socket.waits) continue;
    if (now - socket.since < (socket.kind === 'worker' ? limits.worker : limits.socket)) pending++;
    else if (!socket.heard && socket.open && socket.kind !== 'worker') silent++;
  }

  const last = Math.max(mine.changed || 0, mine.drawnAt || 0);
  return {
    fonts: !document.fonts || document.fonts.status === 'loaded', images, playing, scripts, pending, silent, inert,
    still: last ? now - last : 1e9,
    observers: mine.observers || 0,
    height: root.scrollHeight, window: innerHeight || 1,
  };
}
