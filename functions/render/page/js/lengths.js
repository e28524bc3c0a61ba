// Fixes lengths that depend on the window's height. The first call notes the computed lengths. The second call, in a
// window of another height, sets the lengths that differ to the noted values.
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
  // Generated boxes have no computed style map, so their heights are read from the computed style.
  const boxes = ['::before', '::after'];
  const heights = element => boxes.map(box => {
    const style = getComputedStyle(element, box);
    return style.content === 'none' || style.content === 'normal' ? '' : `${style.height} ${style.minHeight}`;
  });
  const elements = [...(mine?.all || [document])].flatMap(root => [...root.querySelectorAll('*')])
    .filter(element => element instanceof HTMLElement || element instanceof SVGSVGElement).slice(0, 20000);
  if (first) {
    const noted = new Map(elements.map(element => [element, [lengths(element), heights(element)]]));
    Object.defineProperty(window, key, { value: { noted, height: innerHeight }, configurable: true });
    return 0;
  }
  const { noted, height } = window[key];
  const wanted = [];
  const rules = [];
  for (const [element, [before, tall]] of noted) {
    const after = lengths(element), now = heights(element);
    names.forEach((name, at) => { if (before[at] !== after[at]) wanted.push([element, name, before[at]]); });
    boxes.forEach((box, at) => {
      if (tall[at] === now[at]) return;
      const [fixed, least] = tall[at].split(' ');
      element.setAttribute('data-urlshot-box', rules.length);
      rules.push(`[data-urlshot-box="${rules.length}"]${box} { height: ${fixed} !important; min-height: ${least} !important }`);
    });
  }
  if (rules.length) {
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(rules.join(' '));
    document.adoptedStyleSheets = [...document.adoptedStyleSheets, sheet];
  }
  // Percentages of the window stay percentages in computed values, so they are converted here.
  const percent = (element, ...of) => {
    for (const name of of) {
      const value = element.computedStyleMap().get(name);
      if (value?.unit === 'percent') wanted.push([element, name, `${height * value.value / 100}px`]);
    }
  };
  for (const element of [document.documentElement, document.body].filter(Boolean)) percent(element, 'height', 'min-height');
  for (const element of noted.keys()) {
    if (getComputedStyle(element).position !== 'absolute') continue;
    const outer = element.offsetParent;
    if (outer && (outer !== document.body || getComputedStyle(outer).position !== 'static')) continue;
    percent(element, 'top', 'height', 'min-height', 'max-height');
  }
  for (const [element, name, value] of wanted) element.style.setProperty(name, value, 'important');
  return wanted.length;
}
