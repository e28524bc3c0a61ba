// Returns whether an element that matches the selector is visible, in the document or in an open shadow root.
selector => {
  const roots = [document];
  for (let at = 0; at < roots.length && at < 1000; at++) {
    for (const found of roots[at].querySelectorAll(selector)) {
      const { width, height } = found.getBoundingClientRect();
      if (width > 0 && height > 0 && getComputedStyle(found).visibility === 'visible') return true;
    }
    for (const each of roots[at].querySelectorAll('*')) if (each.shadowRoot) roots.push(each.shadowRoot);
  }
  return false;
}
