// Computed lengths that may depend on the window's height. The first call notes them; the second, in a window of another
// height, gives those that differ the values of the first, and so makes an end of the dependence.
first => {
  const names = [
    'height', 'min-height', 'max-height', 'width', 'min-width', 'max-width', 'font-size', 'line-height', 'flex-basis',
    'padding-top', 'padding-bottom', 'margin-top', 'margin-bottom', 'top', 'bottom', 'row-gap',
  ];
  const key = Symbol.for('urlshot.lengths');
  const mine = window[Symbol.for('urlshot')];
  const lengths = element => {
    const map = element.computedStyleMap();
    return names.map(name => String(map.get(name)));
  };
  const elements = [...(mine?.all || [document])].flatMap(root => [...root.querySelectorAll('*')])
    .filter(element => element instanceof HTMLElement || element instanceof SVGSVGElement).slice(0, 20000);
  if (first) {
    const noted = new Map(elements.map(element => [element, lengths(element)]));
    Object.defineProperty(window, key, { value: { noted, height: innerHeight }, configurable: true });
    return 0;
  }
  const { noted, height } = window[key];
  const wanted = [];
  for (const [element, before] of noted) {
    const after = lengths(element);
    names.forEach((name, at) => { if (before[at] !== after[at]) wanted.push([element, name, before[at]]); });
  }
  // Percentages of the window itself stay percentages as they are computed.
  for (const element of [document.documentElement, document.body].filter(Boolean)) {
    for (const name of ['height', 'min-height']) {
      const value = element.computedStyleMap().get(name);
      if (value?.unit === 'percent') wanted.push([element, name, `${height * value.value / 100}px`]);
    }
  }
  for (const [element, name, value] of wanted) element.style.setProperty(name, value, 'important');
  return wanted.length;
}
