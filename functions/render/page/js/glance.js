// Asks a document that has just loaded for everything that a print needs to know: its state, and the facts of look.js.
// The facts are null if the document is not as simple as most are: it must be brought to rest, opened, or searched for
// cut content. A caller who `rests` asks for a document that is at rest, and that paper shows as a screen does.
async ([ask, plain, look], question, given, rests) => {
  let state = ask(question);
  const atRest = () => !(state.images || state.playing || state.pending || state.silent || state.observers);
  const simple = () => state && state.fonts && state.inert && (!rests || atRest());
  if (!simple()) return [state, null];
  const kind = plain();
  if (!kind.plain || rests && !kind.steady) return [state, null];
  if (rests && state.scripts) { // the next frame shows whether anything still moves
    const mine = window[Symbol.for('urlshot')];
    await new Promise(done => { mine.frame(() => mine.later(done, 0)); mine.later(done, 100); });
    state = ask(question);
    if (!simple() || state.still < 1e9) return [state, null];
  }
  return [state, look([...given, !kind.filters])];
}
