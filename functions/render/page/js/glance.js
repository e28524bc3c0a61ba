// Asks a document that has just loaded for everything that a print needs to know. Returns its state, the facts of look.js,
// and whether it is simple, as most documents are: no box can cut content off or hide it, and no script works later.
//
// A caller who `rests` asks for a simple document that is at rest and that paper shows as a screen does; for another one
// the facts are null. Other callers get the facts of every document whose fonts are loaded. If a box of it can cut off
// content, its application shell is opened, and content that is cut off on the screen is noted, as `look()` does it.
async ([ask, plain, look, open, cut], question, given, rests) => {
  let state = ask(question);
  if (!state || !state.fonts) return [state, null, false];
  const atRest = () => state.fonts && state.inert
    && !(state.images || state.playing || state.pending || state.silent || state.observers);
  if (rests && !atRest()) return [state, null, false];
  const kind = plain();
  if (rests && !kind.steady) return [state, null, false];
  if (rests && state.scripts) { // the next frame shows whether anything still moves
    const mine = window[Symbol.for('urlshot')];
    await new Promise(done => { mine.frame(() => mine.later(done, 0)); mine.later(done, 100); });
    state = ask(question);
    if (!state || !atRest() || state.still < 1e9) return [state, null, false];
  }
  if (!kind.plain) {
    try { open(); } catch { /* the page stays as it is */ }
    cut(0);
  }
  return [state, look([...given, !kind.filters]), kind.plain && state.inert];
}
