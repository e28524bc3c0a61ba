// Inspects one document before it is printed: how much content it has, and which content the paper will lack.
// `unfiltered` says that no element has a CSS filter.
([traces, unwanted, documents, unfiltered]) => {
  const mine = window[Symbol.for('urlshot')] || {};
  if (window !== top && (innerWidth < 5 || innerHeight < 5)) return null; // an invisible frame
  const roots = [...(mine.all || [document])];
  const all = selector => roots.flatMap(root => [...root.querySelectorAll(selector)]);
  const seen = (element, least = 4) => {
    const box = element.getBoundingClientRect();
    return box.width > least && box.height > least && getComputedStyle(element).visibility !== 'hidden';
  };
  const body = document.body;
  const unseen = /^(STYLE|SCRIPT|TEMPLATE|NOSCRIPT|HEAD|TITLE)$/i;
  const length = element => (unseen.test(element.tagName) ? 0 : (element.innerText ?? element.textContent ?? '').trim().length);
  let text = 0;
  for (const root of roots) {
    if (root !== document) for (const child of root.children) text += length(child);
    else if (body) text += length(body) || (body.innerText === undefined ? (body.textContent || '').trim().length : 0);
    else text += (document.documentElement?.textContent || '').trim().length;
  }

  const missing = [], blocked = new Set(unwanted);
  let broken = 0;
  for (const image of all('img')) {
    const url = image.currentSrc || image.getAttribute('src') && image.src;
    if (!image.complete || image.naturalWidth || !url) continue;
    if (/\.svgz?$/i.test(new URL(url, location).pathname)) continue;
    if (blocked.has(url)) continue;
    broken++;
    if (missing.length < 20) missing.push(url.slice(0, 2048));
  }

  // Content that the paper will lack: canvases without WebGL, documents that need a plugin, videos without a picture.
  const noWebgl = [];
  for (let at = 0; mine.noWebgl && at < mine.noWebgl.next; at++) {
    const canvas = mine.noWebgl[at]?.deref();
    if (canvas && canvas.isConnected && !noWebgl.includes(canvas) && seen(canvas)) noWebgl.push(canvas);
  }
  const foreign = new Set(documents);
  const plugin = /^application\/(pdf|x-pdf|x-shockwave-flash|x-java|x-silverlight|vnd\.)/i;
  const file = /\.(pdf|swf|docx?|xlsx?|pptx?)$/i;
  const path = url => { try { return new URL(url, location).pathname; } catch { return ''; } };
  const plugins = all('embed,object,iframe').filter(element => {
    const url = element.src || element.data || '';
    if (!seen(element, 40)) return false;
    if (foreign.has(url)) return true;
    if (element.localName === 'iframe') return false;
    if (!plugin.test(element.type) && !file.test(path(url))) return false;
    return ![...element.children].some(child => child.getClientRects().length); // it shows its fallback content
  });
  const videos = all('video').filter(video => seen(video, 40) && !video.poster && video.readyState < 2);

  // Chromium prints text under a CSS filter as a picture.
  let filtered = 0;
  const under = [];
  for (const root of unfiltered ? [] : roots) {
    for (const element of root.querySelectorAll('*')) {
      if (under.some(outer => outer.contains(element))) continue;
      const style = getComputedStyle(element);
      if (!style.filter || style.filter === 'none' || !element.getClientRects().length) continue;
      under.push(element);
      filtered += length(element);
    }
  }

  const media = all('img,svg,canvas,video,iframe,object,embed');
  return {
    text, filtered,
    media: media.slice(0, 200).some(element => seen(element)),
    drawing: all('svg').slice(0, 200).some(element => seen(element)),
    title: document.title.slice(0, 500),
    traces: traces.filter(selector => roots.some(root => root.querySelector(selector))),
    password: all('input[type=password]').slice(0, 20).some(element => seen(element)),
    torn: Number(document.contentType !== 'text/html' && document.getElementsByTagName('parsererror').length > 0),
    missing, broken, no_webgl: noWebgl.length, plugins: plugins.length, videos: videos.length,
  };
}
