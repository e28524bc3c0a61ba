"""Hostile pages: some change what the renderer asks, and some work without end or fill what they can."""

from __future__ import annotations

import struct
import zlib


def _ten(text: str) -> str:
    return text * 10


HEAD = "<!doctype html><title>t</title><h1>hostile text</h1>"

REDEFINED = {
    "JSON": "JSON = {stringify: () => '[' , parse: () => { throw 1 }}",
    "Promise": "Promise = class { then() { throw 1 } }; window.Promise = Promise",
    "Promise.prototype": "Promise.prototype.then = () => { throw new Error('no') }",
    "Array.prototype": "for (const n of ['map','filter','flatMap','push','slice','some','includes','forEach'])"
    " Array.prototype[n] = () => { throw new Error('no') }",
    "array iterator": "Array.prototype[Symbol.iterator] = function* () { for (;;) yield this }",
    "endless iterator": "Set.prototype[Symbol.iterator] = function* () { for (;;) yield document }",
    "querySelectorAll": "Document.prototype.querySelectorAll = Element.prototype.querySelectorAll = () => { throw 1 }",
    "endless querySelectorAll": "const item = document.createElement('img');"
    "Document.prototype.querySelectorAll = () => ({*[Symbol.iterator]() { for (;;) yield item }})",
    "performance": "Object.defineProperty(window, 'performance', {get() { throw 1 }})",
    "performance.now": "Performance.prototype.now = () => Infinity",
    "requestAnimationFrame": "window.requestAnimationFrame = () => { throw 1 }",
    "MutationObserver": "window.MutationObserver = class { observe() { throw 1 } }",
    "scrollingElement": "Object.defineProperty(document, 'scrollingElement',"
    " {get: () => ({scrollWidth: Infinity, scrollHeight: -Infinity, clientWidth: NaN})})",
    "scrollingElement of texts": "Object.defineProperty(document, 'scrollingElement',"
    " {get: () => ({scrollWidth: 'x', scrollHeight: {a: 1}, clientWidth: []})})",
    "scrollHeight": "Object.defineProperty(Element.prototype, 'scrollHeight', {get: () => Infinity})",
    "scrollWidth": "Object.defineProperty(Element.prototype, 'scrollWidth', {get: () => 1e308})",
    "getBoundingClientRect": "Element.prototype.getBoundingClientRect = () => ({width: Infinity, height: Infinity,"
    " top: NaN, left: NaN, right: NaN, bottom: NaN})",
    "innerHeight": "Object.defineProperty(window, 'innerHeight', {get: () => 1 / 0})",
    "title": "Object.defineProperty(document, 'title', {get: () => ({toString() { throw 1 }})})",
    "huge title": "Object.defineProperty(document, 'title', {get: () => 'x'.repeat(1 << 28)})",
    "title of NULs": "document.title = '\\u0000\\ud800<script>\\u202e'.repeat(1000)",
    "the renderer's own object": "Object.defineProperty(window, Symbol.for('urlshot'), {get() { throw 1 }})",
    "the renderer's own numbers": "const mine = window[Symbol.for('urlshot')]; if (mine) Object.assign(mine,"
    " {clock: () => NaN, observers: Infinity, timers: {a: {}}, tasks: {next: 1e12}, sockets: {next: 1e12}})",
    "the renderer's own boxes": "const mine = window[Symbol.for('urlshot')]; Object.defineProperty(mine, 'boxes',"
    " {get: () => 7, set() {}})",
    "getComputedStyle": "window.getComputedStyle = () => { for (;;); }",
    "createTreeWalker": "Document.prototype.createTreeWalker = () => ({nextNode: () => document.body})",
    "fonts": "Object.defineProperty(document, 'fonts', {get: () => ({status: 'loading'})})",
    "getAnimations": "Document.prototype.getAnimations = () => ({*[Symbol.iterator]() { for (;;) yield {} }})",
    "Object": "Object.keys = Object.entries = Object.defineProperty = Object.assign = () => { throw 1 }",
    "Symbol.for": "Symbol.for = () => Symbol()",
    "Symbol": "window.Symbol = undefined",
    "Map and Set": "window.Map = window.Set = window.WeakMap = window.WeakSet = undefined",
    "Number and Math": "Math.max = Math.min = Math.floor = () => NaN; Number.isFinite = () => { throw 1 }",
    "toJSON": "Object.prototype.toJSON = () => ({a: 1}); Array.prototype.toJSON = () => 'x'",
    "getters of Object": "for (const n of ['value','fonts','images','type','length','next','get','set'])"
    " Object.defineProperty(Object.prototype, n, {get() { return Infinity }, set() {}, configurable: true})",
    "document.body": "Object.defineProperty(document, 'body', {get() { throw 1 }})",
    "document.images": "document.documentElement.remove()",
    "window.top": "window.frames = window.parent = null",
    "everything": "for (const name of Object.getOwnPropertyNames(window)) if (name !== 'location')"
    " { try { window[name] = null } catch {} }",
}

"""Scripts that change the objects of their own page."""

QUICK = {"JSON", "Promise.prototype", "performance", "scrollingElement", "scrollHeight", "title of NULs"}
"""The pages of `REDEFINED` for a short run."""

SCRIPTS = {
    "endless loop": "for (;;);",
    "endless loop before print": "onbeforeprint = () => { for (;;); }",
    "endless microtasks": "const f = () => Promise.resolve().then(f); setTimeout(f, 200)",
    "timers without end": "const f = () => { setTimeout(f); setTimeout(f, 1); document.title += 'x' }; f()",
    "intervals": "for (let i = 0; i < 20000; i++) setInterval(() => document.body.append('x'), 1)",
    "storm of popups": "setInterval(() => { for (let i = 0; i < 20; i++) open('/popup' + Math.random()) }, 1)",
    "popups without a URL": "for (let i = 0; i < 300; i++) open('about:blank', 'n' + i)",
    "storm of dialogs": "setTimeout(() => { for (;;) { alert('x'); confirm('y'); prompt('z') } }, 10)",
    "dialog at its end": "onbeforeunload = e => e.preventDefault(); setInterval(() => location.reload(), 5)",
    "prints itself": "setInterval(() => print(), 5)",
    "reloads itself": "setTimeout(() => location.reload(), 0)",
    "storm of fragments": "let n = 0; setInterval(() => { for (let i = 0; i < 100; i++) location.hash = n++ }, 1)",
    "storm of history": "let n = 0; setInterval(() => { for (let i = 0; i < 500; i++)"
    " history.pushState({a: 'x'.repeat(10000)}, '', '/p' + n++) }, 1)",
    "storm of console lines": "setInterval(() => { for (let i = 0; i < 2000; i++) console.error('x'.repeat(999)) }, 1)",
    "huge console line": "console.error('x'.repeat(1 << 26)); console.error('\\ud800'); throw '\\udfff'",
    "storm of exceptions": "setInterval(() => { for (let i = 0; i < 200; i++)"
    " setTimeout(() => { throw new Error('x'.repeat(1e5)) }) }, 1)",
    "storm of requests": "setInterval(() => { for (let i = 0; i < 50; i++)"
    " fetch('/x' + Math.random()).catch(() => 0) }, 1)",
    "storm of WebSockets": "setInterval(() => { for (let i = 0; i < 50; i++)"
    " new WebSocket('ws://' + location.host) }, 1)",
    "requests without an answer": "for (let i = 0; i < 3000; i++) fetch('/hold?' + i).catch(() => 0)",
    "full localStorage": "try { for (let i = 0;; i++) localStorage['k' + i] = 'x'.repeat(1e5) } catch { }",
    "full IndexedDB": "const r = indexedDB.open('x', 1); r.onupgradeneeded = () => r.result.createObjectStore('s');"
    "r.onsuccess = () => { const put = i => { const t = r.result.transaction('s', 'readwrite');"
    " t.objectStore('s').put(new Uint8Array(2e7).fill(i), i); t.oncomplete = () => put(i + 1) }; put(0) }",
    "full cache": "(async () => { const c = await caches.open('x');"
    " for (let i = 0;; i++) await c.put('/c' + i, new Response(new Uint8Array(2e7))) })()",
    "full file system": "(async () => { const d = await navigator.storage.getDirectory();"
    " const f = await d.getFileHandle('x', {create: true}); const w = await f.createWritable();"
    " for (;;) await w.write(new Uint8Array(2e7)) })()",
    "blobs without end": "const kept = []; setInterval(() =>"
    " kept.push(URL.createObjectURL(new Blob([new Uint8Array(3e7).fill(kept.length)]))), 5)",
    "text that doubles": "let s = 'x'; for (;;) { s += s; document.title = s }",
    "huge canvases": "for (let i = 0; i < 50; i++) { const c = document.createElement('canvas');"
    " c.width = c.height = 16000; c.getContext('2d').fillRect(0, 0, 16000, 16000); document.body.append(c) }",
    "canvas beyond all sizes": "const c = document.createElement('canvas'); c.width = c.height = 2147483647;"
    " document.body.append(c); c.getContext('2d')?.fillRect(0, 0, 9, 9)",
    "workers without end": "const b = URL.createObjectURL(new Blob(['for (;;);']));"
    " setInterval(() => new Worker(b), 1)",
    "shared workers": "for (let i = 0; i < 300; i++)"
    " new SharedWorker(URL.createObjectURL(new Blob(['for (;;);'])), 'w' + i)",
    "frames without end": "setInterval(() => { const f = document.createElement('iframe'); f.srcdoc = 'x';"
    " document.body.append(f) }, 0)",
    "elements without end": "const f = () => { for (let i = 0; i < 5000; i++)"
    " document.body.append(document.createElement('p')); setTimeout(f) }; f()",
    "deep tree": "let e = document.body;"
    " for (let i = 0; i < 1e5; i++) e = e.appendChild(document.createElement('div'))",
    "long text": "document.body.append('word '.repeat(2e7))",
    "tall page": "document.body.style.height = '1e9px'",
    "wide page": "document.body.style.width = '33554400px'; document.body.append('x'.repeat(1e6))",
    "grows when it scrolls": "document.body.style.height = '5000px'; addEventListener('scroll', () =>"
    " { document.body.style.height = document.body.scrollHeight * 2 + 'px' })",
    "scrolls back": "document.body.style.height = '50000px'; addEventListener('scroll', () => scrollTo(0, 0))",
    "slow expression": "setTimeout(() => /^(a+)+$/.test('a'.repeat(40) + 'b'), 100)",
    "writes itself": "setInterval(() => document.write('<p>x'), 0)",
    "closes itself": "window.close(); open('', '_self').close()",
    "downloads without end": "setInterval(() => { const a = document.createElement('a'); a.download = 'x';"
    " a.href = URL.createObjectURL(new Blob(['x'.repeat(1e6)])); a.click() }, 5)",
    "crashes the tab": "location = 'chrome://crash'",
    "debugger": "setInterval('debugger', 1)",
}
"""Scripts that work without end, or fill storage, memory or the paper."""

MARKUP = {
    "itself in frames": "<iframe src='/hostile?1'></iframe><iframe src='/hostile?2'></iframe>",
    "deep markup": "<div>" * 100_000,
    "tall boxes": "<div style='height:33000000px;break-after:page'>x</div>" * 20,
    "references in references": "<svg><defs><g id=a0><rect width=9 height=9 /></g>"
    + "".join(f"<g id=a{at}>{_ten(f'<use href=#a{at - 1} />')}</g>" for at in range(1, 10))
    + "</defs><use href='#a9'/></svg>",
    "variables in variables": "<style>:root{--a0:xxxxxxxxxx;"
    + "".join(f"--a{at}:{_ten(f'var(--a{at - 1})')};" for at in range(1, 12))
    + "}h1::after{content:var(--a11)}</style>",
    "wide cells": f"<table>{'<tr><td rowspan=65534 colspan=1000>x' * 300}</table>",
    "slow filter": "<svg width=9000 height=9000><filter id=f><feTurbulence numOctaves=255 baseFrequency=9 />"
    "<feGaussianBlur stdDeviation=500 /></filter><rect width=9000 height=9000 filter='url(#f)'/></svg>",
    "tiny sheets": f"<style>@page{{size:1px 1px;margin:0}}</style>{'word ' * 20000}",
    "picture bomb": "<img src=/bomb.png>",
}
"""Markup without scripts."""


def picture_bomb(side: int = 30_000) -> bytes:
    """Returns a PNG of few bytes with many pixels (PNG specification, third edition)."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = zlib.compress((b"\0" * (1 + side // 8)) * side, 9)
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def entities() -> bytes:
    """Returns an XML document whose entities name each other."""
    inner = "".join(f"<!ENTITY a{at} '{_ten(f'&a{at - 1};')}'>" for at in range(1, 10))
    return f"<?xml version='1.0'?><!DOCTYPE l [<!ENTITY a0 'hahaha'>{inner}]><l>&a9;</l>".encode()


def packed() -> bytes:
    """Returns gzip data of 0.3 MB that become 300 MB of HTML."""
    packer = zlib.compressobj(9, wbits=31)
    data = packer.compress(HEAD.encode()) + b"".join(packer.compress(b"<p>x</p>" * 131_072) for _ in range(300))
    return data + packer.flush()
