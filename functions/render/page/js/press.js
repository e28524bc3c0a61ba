// Sends `beforeprint`, and computes the style so that the document requests what its print style sheets load. Listeners
// to media queries and <picture> elements with media react in the next frame, so the script waits for that frame.
async () => {
  const mine = window[Symbol.for('urlshot')];
  if (mine) {
    mine.holding = true;
    mine.printing = true;
    window.dispatchEvent(new Event('beforeprint'));
  }
  const roots = [...(mine?.all || [document])];
  // Paper does not scroll, so scroll animations are cancelled: elements look as in browsers without such animations.
  for (const root of roots) {
    for (const animation of root.getAnimations()) {
      if (animation.timeline && animation.timeline !== document.timeline) animation.cancel();
    }
  }
  void document.documentElement?.getBoundingClientRect();
  if (!mine?.used && !document.scripts.length && !roots.some(root => root.querySelector('source[media],img[srcset]'))) return;
  const frame = mine?.frame || window.requestAnimationFrame, later = mine?.later || window.setTimeout;
  if (typeof frame === 'function' && typeof later === 'function') {
    await new Promise(done => { frame(() => later(done, 0)); later(done, 100); });
  }
}
