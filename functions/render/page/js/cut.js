// Finds content that is laid out but not on the paper: beyond the edge of the sheet, or beyond the edge of a box that
// scrolls or hides it. Content that is hidden on the screen too is hidden by design. The first call (`sheet` 0) notes
// this content. The second call, in a window as wide as the sheet, returns the number of places that cut content off
// that the screen shows or a reader can scroll to.
sheet => {
  const key = Symbol.for('urlshot.cut');
  if (!window[key]) Object.defineProperty(window, key, { value: new WeakSet() });
  if (window !== top && (innerWidth < 5 || innerHeight < 5)) return 0; // an invisible frame
  const known = window[key];
  const root = document.documentElement, body = document.body;
  if (!root || !body) return 0;
  const roots = [...(window[Symbol.for('urlshot')]?.all || [document])];
  const style = element => getComputedStyle(element);
  const parent = element => element.parentElement || element.getRootNode().host || null;
  const frame = window !== top;
  let left = 40000; // most pieces that are measured

  const pieces = function* (within) {
    const walker = document.createTreeWalker(within, NodeFilter.SHOW_TEXT | NodeFilter.SHOW_ELEMENT);
    for (let node = walker.nextNode(); node && left > 0; node = walker.nextNode()) {
      const text = node.nodeType === Node.TEXT_NODE;
      if (text ? !/\S/.test(node.data) : !/^(img|canvas|svg|video)$/i.test(node.localName)) continue;
      const holder = text ? node.parentElement : node;
      if (!holder) continue;
      left--;
      let box;
      if (text) {
        const range = document.createRange();
        range.selectNodeContents(node);
        box = range.getBoundingClientRect();
      } else {
        box = node.getBoundingClientRect();
      }
      if (box.width < 1 || box.height < 1) continue;
      const css = style(holder);
      if (css.visibility !== 'visible' || css.opacity === '0') continue;
      if (/^rect\(|inset\(50%/.test(css.clip + css.clipPath)) continue; // for screen readers only
      yield [node, holder, box, text];
    }
  };
  const isFixed = element => {
    for (let at = element; at; at = parent(at)) if (style(at).position === 'fixed') return true;
    return false;
  };
  // Whether a box clips a piece; a box does not clip elements that are positioned against an ancestor of the box.
  const clips = (box, holder) => {
    let escapes = false;
    for (let at = holder; at && at !== box; at = parent(at)) {
      const { position } = style(at);
      if (position === 'fixed') return false;
      if (position === 'absolute') escapes = true;
      else if (escapes && position !== 'static') escapes = false;
    }
    return !escapes || style(box).position !== 'static' || style(box).transform !== 'none';
  };

  let places = 0;
  const hides = [], runsOn = [];
  for (const one of roots) {
    for (const box of one.querySelectorAll('*')) {
      const over = [box.scrollWidth > box.clientWidth + 2, box.scrollHeight > box.clientHeight + 2];
      if (!over[0] && !over[1] || box === root || box.clientWidth < 16 || box.clientHeight < 8) continue;
      const css = style(box);
      if (box.localName === 'input') {
        if (sheet && over[0] && box.value && /^(text|search|url|email|tel|number)$/.test(box.type) && isShown(box, css)) places++;
        continue;
      }
      if (css.display === 'inline' || css.overflowX === 'visible' && css.overflowY === 'visible') continue;
      if (box === body && style(root).overflowX === 'visible' && style(root).overflowY === 'visible') continue; // the window clips, not the body
      if (!isShown(box, css)) continue;
      if (/^(textarea|select)$/.test(box.localName)) {
        if (sheet && (over[1] || over[0] && box.value)) places++;
        continue;
      }
      if (css.textOverflow === 'ellipsis' || css.webkitLineClamp !== 'none') { // dots tell the reader
        if (sheet && css.webkitLineClamp !== 'none' && over[1] && isFolded(box)) places++;
        continue;
      }
      const scrolls = [/auto|scroll/.test(css.overflowX) && over[0], /auto|scroll/.test(css.overflowY) && over[1]];
      const edge = box.getBoundingClientRect();
      const edges = [edge.left + box.clientLeft, edge.top + box.clientTop];
      const far = [edges[0] + box.clientWidth, edges[1] + box.clientHeight];
      let cut = false;
      const run = [];
      for (const [node, holder, place, text] of pieces(box)) {
        const slack = text ? [3, Math.min(6, place.height / 2)] : [place.width * 0.3, place.height * 0.3];
        const beyond = [place.right > far[0] + slack[0] && over[0], place.bottom > far[1] + slack[1] && over[1]];
        if (!beyond[0] && !beyond[1] || !clips(box, holder)) continue;
        const reachable = beyond[0] && scrolls[0] || beyond[1] && scrolls[1];
        if (!sheet) {
          if (reachable || text && isAcross(holder, box, far)) continue;
          const within = place.left < far[0] && place.right > edges[0];
          if (text && beyond[1] && within && isInFlow(holder, box)) run.push([node, place, far[1]]);
          else hides.push(node);
        }
        else if (reachable || !known.has(node) && !isMoved(holder, box)) { cut = true; break; }
      }
      if (cut) places++;
      if (run.length) runsOn.push([box, run]);
    }
  }
  if (runsOn.length) {
    const below = new Set(runsOn.flatMap(([, run]) => run.map(([node]) => node)));
    const shown = new Set();
    for (const one of roots) for (const [node, , , text] of pieces(one)) if (text && !below.has(node)) shown.add(plain(node.data));
    for (const [box, run] of runsOn) {
      let characters = 0;
      for (const [node, place, edge] of run) {
        const part = Math.min(1, (place.bottom - edge) / place.height);
        if (!shown.has(plain(node.data))) characters += plain(node.data).length * part;
      }
      const lines = box.clientHeight / lineHeight(box);
      const least = hasMore(box) ? [2, 40] : [3, 80];
      if (lines < least[0] || characters < least[1] || box.closest('[aria-hidden=true]')) hides.push(...run.map(([node]) => node));
    }
  }

  // Content beyond the window: the edge of the sheet, or of a frame, which shows only the content that fits.
  const locked = [/hidden|clip/.test(style(root).overflowX + style(body).overflowX),
    /hidden|clip/.test(style(root).overflowY + style(body).overflowY) || window.frameElement?.scrolling === 'no'];
  const width = sheet && !frame ? Math.max(innerWidth, sheet) : innerWidth;
  if (sheet ? root.scrollWidth > width + 2 || frame && root.scrollHeight > innerHeight + 2 : locked[0]) {
    let beyondEdge = false;
    for (const one of roots) {
      for (const [node, holder, place, text] of pieces(one)) {
        const slack = text ? 3 : place.width * 0.3;
        const right = place.right > width + slack && place.right > 0;
        const below = frame && place.bottom > innerHeight + 6 && !locked[1];
        if (!right && !below) continue;
        if (!sheet) { hides.push(node); continue; }
        if (known.has(node) || isFixed(holder)) continue;
        if (right && frame && locked[0]) continue;
        if (isClipped(holder, place)) continue; // counted above, with the box
        beyondEdge = true;
        break;
      }
      if (beyondEdge) break;
    }
    if (beyondEdge) places++;
  }
  // Texts that the page removed while it was scrolled through, and did not restore.
  const lost = [...(window[Symbol.for('urlshot')]?.lost || [])].filter(text => /\p{L}{2}/u.test(text));
  if (sheet && lost.length >= 8) {
    const whole = roots.map(one => (one === document ? body : one).textContent).join('\n');
    if (lost.filter(text => !whole.includes(text)).length >= 8) places++;
  }
  for (const node of hides) known.add(node);
  return places;

  function isShown(box, css) {
    return box.getClientRects().length > 0 && css.visibility === 'visible';
  }

  function plain(text) {
    return text.replace(/\s+/g, ' ').trim();
  }

  function lineHeight(box) {
    const css = style(box);
    return parseFloat(css.lineHeight) || parseFloat(css.fontSize) * 1.2 || 16;
  }

  // Whether something is on a track that moves within a box, such as a carousel, and is hidden by design.
  function isMoved(holder, box) {
    for (let at = holder; at && at !== box; at = parent(at)) {
      const css = style(at);
      if (css.transform !== 'none' || css.translate !== 'none' || css.rotate !== 'none' || css.animationName !== 'none') return true;
    }
    return false;
  }

  // Whether text continues below a box in the normal flow, like a folded article. Positioned or moved content, and
  // slides as high as the box, are hidden by design.
  function isInFlow(holder, box) {
    if (isMoved(holder, box)) return false;
    for (let at = holder; at && at !== box; at = parent(at)) {
      const css = style(at);
      if (/^(absolute|fixed)$/.test(css.position)) return false;
      const isSlide = element => Math.abs(element.offsetHeight - box.clientHeight) <= 4;
      if (isSlide(at) && [...(at.parentElement?.children || [])].filter(isSlide).length > 1) return false;
    }
    return true;
  }

  // Whether a button in a box or beside it shows the rest.
  function hasMore(box) {
    const words = /more|expand|unfold|full text|mehr|weiterlesen|plus|suite|más|mais|meer|altro|więcej|ещё|дальше|더|もっと|続き|更多|展开|全文/i;
    const places = [box, box.nextElementSibling, box.nextElementSibling?.nextElementSibling, box.previousElementSibling];
    for (const place of places) {
      if (!place) continue;
      const buttons = 'button,summary,label,[role=button],a[href^="#"],a:not([href])';
      for (const button of [place, ...place.querySelectorAll(buttons)]) {
        if (!button.matches(buttons) || !button.getClientRects().length) continue;
        if (button.getAttribute('aria-expanded') === 'false' || words.test(button.textContent.slice(0, 60))) return true;
      }
    }
    return false;
  }

  // Whether lines that end in dots begin a text that a button unfolds and that stands nowhere else on the page.
  function isFolded(box) {
    const text = plain(box.textContent);
    if (text.length * (1 - box.clientHeight / box.scrollHeight) < 40 || !hasMore(box)) return false;
    return plain(body.textContent).split(text).length <= 2;
  }

  // Whether an absolutely positioned block begins within a box and ends outside it: the box is then too small. A block
  // that lies outside as a whole is hidden by design, and a rotated block is an ornament.
  function isAcross(holder, box, far) {
    for (let at = holder; at && at !== box; at = parent(at)) {
      const css = style(at);
      if (css.transform !== 'none' || css.rotate !== 'none') return false;
      if (css.position !== 'absolute') continue;
      const edge = at.getBoundingClientRect();
      return edge.top < far[1] - 8 && edge.bottom > far[1] + 6 && edge.left < far[0] || edge.left < far[0] - 8 && edge.right > far[0] + 6;
    }
    return false;
  }

  function isClipped(holder, place) {
    for (let at = holder; at && at !== body && at !== root; at = parent(at)) {
      const css = style(at);
      if (css.overflowX === 'visible' && css.overflowY === 'visible') continue;
      const edge = at.getBoundingClientRect();
      if (place.right > edge.right + 2 || place.bottom > edge.bottom + 2) return true;
    }
    return false;
  }
}
