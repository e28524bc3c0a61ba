// The print event, and what print style sheets load: that is asked for when the style is worked out. Listeners to media
// queries and pictures with media of their own are told in the next frame.
async () => {
  const mine = window[Symbol.for('urlshot')];
  if (mine) {
    mine.holding = true;
    mine.printing = true;
    window.dispatchEvent(new Event('beforeprint'));
  }
  void document.documentElement?.getBoundingClientRect();
  const roots = [...(mine?.all || [document])];
  if (!mine?.used && !document.scripts.length && !roots.some(root => root.querySelector('source[media],img[srcset]'))) return;
  const frame = mine?.frame || window.requestAnimationFrame, later = mine?.later || window.setTimeout;
  if (typeof frame === 'function' && typeof later === 'function') {
    await new Promise(done => { frame(() => later(done, 0)); later(done, 100); });
  }
}
