// Runs in every document before the page's own scripts, and notes what they start: timers, animation frames, idle
// callbacks, storage, workers, sockets, observers, shadow roots. ask.js reads the notes; this script never waits.
//
// The page sees unchanged functions: a Proxy keeps name, length, `this`, errors and the text of a native function. The
// notes are in objects without a prototype, so that changes of Map or Array by the page do not affect them. An error in
// a note never reaches the page.
(() => {
  const key = Symbol.for('urlshot');
  if (window[key]) return;
  const { apply, construct, defineProperty, getOwnPropertyDescriptor } = Reflect;
  const clock = performance.now.bind(performance);
  const listen = EventTarget.prototype.addEventListener;
  const then = Promise.prototype.then;
  const MOST = 2000;
  const LATEST = 2000; // milliseconds; timers with a longer delay are not noted
  const table = () => ({ __proto__: null, size: 0, next: 0 });
  const mine = {
    __proto__: null,
    used: false, inert: true, observers: 0, holding: false, printing: false,
    effect: 0, changed: 0, framed: -1e9, posted: -1e9, idle: 0,
    timers: { __proto__: null }, count: 0, tasks: table(), sockets: table(), roots: table(), noWebgl: table(),
  };
  // The original functions, for the renderer's own calls, which must not be noted as the page's.
  mine.clock = clock;
  mine.frame = requestAnimationFrame.bind(window);
  mine.later = setTimeout.bind(window);
  for (const name of ['timers', 'tasks', 'sockets', 'roots', 'noWebgl', 'clock', 'frame', 'later']) {
    defineProperty(mine, name, { writable: false, configurable: false });
  }
  defineProperty(window, key, { value: mine });

  const add = (list, item) => {
    if (list.size >= MOST) return -1;
    list.size++;
    list[list.next] = item;
    return list.next++;
  };
  const drop = (list, at) => { if (at >= 0 && list[at]) { delete list[at]; list.size--; } };
  const note = work => { try { work(); } catch { /* the page comes first */ } };
  const replace = (owner, name, handler) => note(() => {
    const found = owner && getOwnPropertyDescriptor(owner, name);
    if (!found || typeof found.value !== 'function') return;
    const proxy = new Proxy(found.value, handler(found.value));
    const prototype = getOwnPropertyDescriptor(found.value, 'prototype')?.value;
    defineProperty(owner, name, { ...found, value: proxy });
    if (handler.constructs && prototype) {
      defineProperty(prototype, 'constructor', { ...getOwnPropertyDescriptor(prototype, 'constructor'), value: proxy });
    }
  });
  // `later` says whether the function may work or call back after it has returned.
  const calls = (owner, name, after, later = true) => replace(owner, name, () => ({
    apply(target, self, args) {
      const result = apply(target, self, args);
      note(() => { mine.used = true; mine.inert &&= !later; after(result, args, self); });
      return result;
    },
  }));
  const makes = (name, after) => {
    const handler = () => ({
      construct(target, args, made) {
        const result = construct(target, args, made);
        note(() => { mine.used = true; mine.inert = false; after(result); });
        return result;
      },
    });
    handler.constructs = true;
    replace(window, name, handler);
  };

  // A long task keeps the page from everything else, so its end counts as an effect.
  note(() => {
    new PerformanceObserver(list => {
      for (const { startTime, duration } of list.getEntries()) mine.effect = Math.max(mine.effect, startTime + duration);
    }).observe({ type: 'longtask' });
  });
  apply(listen, window, ['load', () => { mine.effect = clock(); }]);

  // Timers. The callback is not wrapped; ask.js knows from the clock that a timer has ended.
  const rounds = new WeakMap();
  const rate = WeakMap.prototype.get, set = WeakMap.prototype.set;
  const delayOf = value => (typeof value === 'number' || typeof value === 'string' ? Math.max(0, +value || 0) : 0);
  const timer = (id, callback, delay, period) => {
    if (typeof id !== 'number' || delay > LATEST || mine.count > MOST) return;
    let round = 0;
    if (typeof callback === 'function') {
      round = (apply(rate, rounds, [callback]) || 0) + 1;
      apply(set, rounds, [callback, round]);
    }
    mine.count++;
    mine.timers[id] = { __proto__: null, since: clock(), due: clock() + delay, period, round, late: false };
  };
  const stopped = (_, args) => { if (mine.timers[args[0]]) { delete mine.timers[args[0]]; mine.count--; } };
  calls(window, 'setTimeout', (id, args) => timer(id, args[0], delayOf(args[1]), 0));
  calls(window, 'setInterval', (id, args) => timer(id, args[0], delayOf(args[1]), Math.max(4, delayOf(args[1]))));
  calls(window, 'clearTimeout', stopped);
  calls(window, 'clearInterval', stopped);
  calls(window, 'requestAnimationFrame', () => { mine.framed = clock(); });
  calls(MessagePort.prototype, 'postMessage', () => { mine.posted = clock(); });

  // Idle callbacks run in order, so a callback of ours that is requested next runs after the page's.
  const idle = window.requestIdleCallback;
  calls(window, 'requestIdleCallback', (_, args) => {
    mine.idle++;
    apply(idle, window, [() => { mine.idle--; mine.effect = clock(); }, ...(args[1] ? [args[1]] : [])]);
  });

  // Functions that return a promise and need no network, and the bodies of responses.
  const begin = () => add(mine.tasks, { __proto__: null, since: clock() });
  const end = at => { drop(mine.tasks, at); mine.effect = clock(); };
  const promises = (owner, ...names) => {
    for (const name of names) {
      calls(owner, name, result => {
        if (!(result instanceof Promise)) return;
        const at = begin();
        apply(then, result, [() => end(at), () => end(at)]);
      });
    }
  };
  const of = name => window[name] && window[name].prototype;
  promises(of('Response'), 'text', 'json', 'arrayBuffer', 'blob', 'formData', 'bytes');
  promises(of('ReadableStreamDefaultReader'), 'read');
  promises(of('ReadableStreamBYOBReader'), 'read');
  promises(of('ReadableStream'), 'pipeTo');
  promises(of('Blob'), 'text', 'arrayBuffer', 'bytes');
  promises(of('Cache'), 'match', 'matchAll', 'add', 'addAll', 'put', 'delete', 'keys');
  promises(of('CacheStorage'), 'match', 'open', 'has', 'keys', 'delete');
  promises(of('SubtleCrypto'), 'encrypt', 'decrypt', 'sign', 'verify', 'digest', 'deriveKey', 'deriveBits', 'importKey');
  promises(of('StorageManager'), 'estimate', 'getDirectory', 'persisted');
  promises(of('FileSystemDirectoryHandle'), 'getFileHandle', 'getDirectoryHandle', 'removeEntry');
  promises(of('FileSystemFileHandle'), 'getFile', 'createWritable');
  promises(of('CookieStore'), 'get', 'getAll', 'set', 'delete');
  promises(of('Permissions'), 'query');
  promises(of('Scheduler'), 'postTask', 'yield');
  promises(of('HTMLImageElement'), 'decode');
  promises(of('BaseAudioContext'), 'decodeAudioData');
  promises(of('OfflineAudioContext'), 'startRendering');
  promises(of('FontFace'), 'load');
  promises(window, 'createImageBitmap');
  promises(window.WebAssembly, 'compile', 'instantiate', 'compileStreaming', 'instantiateStreaming');
  const until = (target, ...names) => {
    const at = begin();
    for (const name of names) apply(listen, target, [name, () => end(at)]);
  };
  calls(of('IDBFactory'), 'open', request => until(request, 'success', 'error', 'blocked'));
  calls(of('IDBFactory'), 'deleteDatabase', request => until(request, 'success', 'error', 'blocked'));
  calls(of('IDBDatabase'), 'transaction', transaction => until(transaction, 'complete', 'abort'));
  for (const name of ['readAsText', 'readAsDataURL', 'readAsArrayBuffer']) {
    calls(of('FileReader'), name, (_, __, reader) => until(reader, 'loadend'));
  }

  // Downloads that a script begins by a link. The browser reports one only when its server has answered.
  const closest = Element.prototype.closest;
  const download = self => {
    const link = self instanceof Element && apply(closest, self, ['a[download],area[download]']);
    if (!link || !link.protocol.startsWith('http')) return;
    mine.inert = false;
    begin();
  };
  calls(of('HTMLElement'), 'click', (_, __, self) => download(self), false);
  calls(EventTarget.prototype, 'dispatchEvent', (_, args, self) => {
    if (args[0].type === 'click') download(self);
  }, false);

  // Functions that call back later. A page that uses one is not inert (ask.js); its changes show when it is at rest.
  calls(of('HTMLCanvasElement'), 'toBlob', () => {});
  calls(of('Geolocation'), 'getCurrentPosition', () => {});
  calls(of('Navigator'), 'getBattery', () => {});
  calls(of('LockManager'), 'request', () => {});
  calls(of('HTMLMediaElement'), 'play', () => {});
  makes('BroadcastChannel', () => {});
  makes('ResizeObserver', () => {});
  makes('ReportingObserver', () => {});
  makes('RTCPeerConnection', () => {});
  makes('SpeechSynthesisUtterance', () => {});

  // Sockets, event streams and workers: the first message, and the next one after the page has sent something.
  const sockets = new WeakMap();
  const socket = (kind, ear = made => made) => made => {
    const entry = { __proto__: null, kind, since: clock(), waits: true, open: kind === 'worker', heard: false };
    if (add(mine.sockets, entry) < 0) return;
    apply(set, sockets, [made, entry]);
    const quiet = () => { entry.waits = false; mine.effect = clock(); };
    apply(listen, made, ['open', () => { entry.open = true; }]);
    apply(listen, ear(made), ['message', () => { entry.heard = true; quiet(); }]);
    apply(listen, made, ['error', quiet]);
    apply(listen, made, ['close', quiet]);
  };
  const sent = (_, __, self) => {
    const entry = apply(rate, sockets, [self]);
    if (entry) { entry.waits = true; entry.since = clock(); }
  };
  makes('WebSocket', socket('socket'));
  makes('EventSource', socket('stream'));
  makes('Worker', socket('worker'));
  makes('SharedWorker', socket('worker', made => made.port));
  calls(of('WebSocket'), 'send', sent);
  calls(of('Worker'), 'postMessage', sent);
  // An event stream with named events sends no `message`.
  calls(EventTarget.prototype, 'addEventListener', (_, args, self) => {
    const entry = self && args[0] !== 'message' && args[0] !== 'open' && args[0] !== 'error' && apply(rate, sockets, [self]);
    if (entry && entry.kind === 'stream') {
      apply(listen, self, [args[0], () => { entry.heard = true; entry.waits = false; mine.effect = clock(); }]);
    }
  });

  // Observers may load content when it comes into view. Content that has appeared must stay: after scrolling begins, no
  // observer learns that an element has gone out of view.
  const seen = handler => {
    handler.constructs = true;
    replace(window, 'IntersectionObserver', handler);
  };
  seen(() => ({
    construct(target, args, made) {
      mine.used = true;
      mine.inert = false;
      mine.observers++;
      const [callback, ...rest] = args;
      if (typeof callback !== 'function') return construct(target, args, made);
      const held = function (entries, observer) {
        if (mine.holding) {
          const inSight = [];
          for (let at = 0; at < entries.length; at++) if (entries[at].isIntersecting) inSight[inSight.length] = entries[at];
          if (!inSight.length) return;
          entries = inSight;
        }
        return apply(callback, this, [entries, observer]);
      };
      return construct(target, [held, ...rest], made);
    },
  }));

  // Every shadow root, closed ones too.
  calls(Element.prototype, 'attachShadow', root => {
    add(mine.roots, new WeakRef(root));
    mine.effect = clock();
  }, false);

  // Canvases that asked for WebGL or WebGPU and did not get it.
  calls(of('HTMLCanvasElement'), 'getContext', (context, args, canvas) => {
    if (context === null && /^(experimental-)?web(gl|gpu)/.test(args[0])) add(mine.noWebgl, new WeakRef(canvas));
  }, false);

  // The page's handlers received `beforeprint` before the last wait (press.py) and must not receive it twice. They must
  // not receive `afterprint` either, because a second print of the page needs the effects of the first event.
  for (const name of ['beforeprint', 'afterprint']) {
    apply(listen, window, [name, event => {
      if (mine.printing && event.isTrusted) event.stopImmediatePropagation();
    }, true]);
  }
})();
