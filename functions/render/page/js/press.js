// The print event, and what print style sheets load: that is asked for when the style is worked out. Listeners to media
// queries and pictures with media of their own are told in the next frame.
async () => {
  const mine = window[Symbol.for('urlshot')];
  if (mine) {
    mine.holding = true;
    mine.printing = true;
    window.dispatchEvent(new Event('beforeprint'));
  }
  const roots = [...(mine?.all || [document])];
  // An animation along the scroll has no place on paper: without it an element looks as it does where browsers lack them.
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
