"""The techniques with which a page can reach a target: each is HTML in which URL stands for the target's URL.

HTTPS, WS and WSS stand for the URL with another scheme, HOSTPORT, HOST and PORT for its parts, QUOTED and TARGET for
the URL itself, percent-encoded and as it is.
"""

from __future__ import annotations

REDIRECTS = {
    f"{code} of {name}": html.replace("HERE", f"/redirect/{code}?to=QUOTED")
    for code in (301, 302, 303, 307, 308)
    for name, html in {
        "a frame": "<iframe src='HERE'></iframe>",
        "an image": "<img src='HERE'>",
        "a script": "<script src='HERE'></script>",
        "fetch": "<script>fetch('HERE', {mode: 'no-cors', method: 'POST', body: 'x'}).catch(() => 0)</script>",
    }.items()
}

FRAMES = {
    "iframe": "<iframe src='URL'></iframe>",
    "iframe, https": "<iframe src='HTTPS'></iframe>",
    "sandboxed iframe": "<iframe sandbox src='URL'></iframe>",
    "srcdoc": "<iframe srcdoc=\"<img src='URL'>\"></iframe>",
    "data: frame": "<iframe src=\"data:text/html,<img src='URL'>\"></iframe>",
    "meta refresh": "<iframe srcdoc=\"<meta http-equiv=refresh content='0;url=URL'>\"></iframe>",
    "location": "<iframe srcdoc=\"<script>location='URL'</script>\"></iframe>",
    "location.replace": "<iframe srcdoc=\"<script>location.replace('URL')</script>\"></iframe>",
    "form": "<iframe name=fPORT></iframe><form id=gPORT method=post action='URL' target=fPORT><input name=a></form>"
    "<script>gPORT.submit()</script>",
    "object": "<object data='URL' type='text/html'></object>",
    "embed": "<embed src='URL' type='text/html'>",
    "blob: frame": "<script>{const f = document.createElement('iframe'); document.body.append(f);"
    "f.src = URL.createObjectURL(new Blob([\"<img src='TARGET'>\"], {type: 'text/html'}))}</script>",
}

TAGS = {
    "img": "<img src='URL'>",
    "img, https": "<img src='HTTPS'>",
    "img srcset": "<img srcset='URL 1x, URL 2x'>",
    "picture": "<picture><source srcset='URL'><img></picture>",
    "script": "<script src='URL.js'></script>",
    "script, https": "<script src='HTTPS'></script>",
    "module": "<script type=module src='URL.js'></script>",
    "import()": "<script>import('URL.js').catch(() => 0)</script>",
    "stylesheet": "<link rel=stylesheet href='URL.css'>",
    "@import": "<style>@import 'URL.css';</style>",
    "css background": "<div style=\"background:url('URL');height:9px\">b</div>",
    "css list image": "<ul style=\"list-style-image:url('URL')\"><li>x</ul>",
    "css content": "<style>#cPORT::before{content:url('URL')}</style><p id=cPORT>",
    "css border-image": "<div style=\"border:1px solid;border-image:url('URL') 1\">b</div>",
    "css mask": "<div style=\"mask-image:url('URL');height:9px\">m</div>",
    "font": "<style>@font-face{font-family:fPORT;src:url('URL')}</style><p style='font-family:fPORT'>f</p>",
    "FontFace": "<script>new FontFace('x', 'url(URL)').load().catch(() => 0)</script>",
    "video": "<video src='URL' preload=auto></video>",
    "video poster": "<video poster='URL'></video>",
    "audio": "<audio src='URL' preload=auto></audio>",
    "source": "<audio preload=auto><source src='URL'></audio>",
    "track": "<video crossorigin src='/hold'><track default kind=captions src='URL'></video>",
    "object image": "<object data='URL' type='image/png'></object>",
    "input image": "<input type=image src='URL'>",
    "table background": "<table background='URL'><tr><td>x</table>",
    "svg image": "<svg><image href='URL' width=9 height=9 /></svg>",
    "svg feImage": "<svg><filter id=fPORT><feImage href='URL'/></filter><rect filter='url(#fPORT)' width=9 height=9 />",
    "svg in css": "<p style=\"filter:url('URL.svg#x')\">f</p>",
    "Image()": "<script>new Image().src = 'URL'</script>",
    "manifest": "<link rel=manifest href='URL'>",
    "preload image": "<link rel=preload as=image href='URL'>",
    "preload script": "<link rel=preload as=script href='URL'>",
    "preload font": "<link rel=preload as=font crossorigin href='URL'>",
    "preload fetch": "<link rel=preload as=fetch crossorigin href='URL'>",
    "modulepreload": "<link rel=modulepreload href='URL'>",
    "prefetch": "<link rel=prefetch href='URL'>",
    "preconnect": "<link rel=preconnect href='URL'>",
    "preconnect, https": "<link rel=preconnect href='HTTPS'>",
    "speculation prefetch": '<script type=speculationrules>{"prefetch":[{"source":"list","urls":["URL"],'
    '"eagerness":"immediate"}]}</script>',
    "speculation prerender": '<script type=speculationrules>{"prerender":[{"source":"list","urls":["URL"],'
    '"eagerness":"immediate"}]}</script>',
}

SCRIPTS = {
    name: f"<script>try {{ {script} }} catch {{ }}</script>"
    for name, script in {
        "fetch": "fetch('URL').catch(() => 0)",
        "fetch no-cors": "fetch('URL', {mode: 'no-cors'}).catch(() => 0)",
        "fetch POST": "fetch('URL', {mode: 'no-cors', method: 'POST', body: 'x'}).catch(() => 0)",
        "fetch with preflight": "fetch('URL', {method: 'PUT', headers: {'X-A': 'b'}}).catch(() => 0)",
        "fetch keepalive": "fetch('URL', {mode: 'no-cors', keepalive: true}).catch(() => 0)",
        "fetch, https": "fetch('HTTPS', {mode: 'no-cors'}).catch(() => 0)",
        "XHR": "const x = new XMLHttpRequest(); x.open('GET', 'URL'); x.send()",
        "XHR POST": "const x = new XMLHttpRequest(); x.open('POST', 'URL'); x.send('x')",
        "synchronous XHR": "const x = new XMLHttpRequest(); x.open('GET', 'URL', false); x.send()",
        "WebSocket": "new WebSocket('WS')",
        "WebSocket, TLS": "new WebSocket('WSS')",
        "EventSource": "new EventSource('URL')",
        "sendBeacon": "navigator.sendBeacon('URL', 'x')",
        "popup": "open('URL')",
        "document.write": "document.write('<img src=\"URL\">')",
        "DOMParser and adoption": "document.body.append(new DOMParser().parseFromString("
        "'<img src=\"URL\">', 'text/html').body.firstChild)",
        "worker": "new Worker(blob(\"fetch('TARGET', {mode: 'no-cors'})\"))",
        "worker's XHR": "new Worker(blob(\"const x = new XMLHttpRequest(); x.open('GET', 'TARGET'); x.send()\"))",
        "worker's importScripts": "new Worker(blob(\"importScripts('TARGET.js')\"))",
        "worker's WebSocket": "new Worker(blob(\"new WebSocket('WS')\"))",
        "worker's worker": 'new Worker(blob("new Worker(URL.createObjectURL(new Blob(['
        "`fetch('TARGET', {mode: 'no-cors'})`])))\"))",
        "module worker": "new Worker(blob(\"import 'TARGET.js'\"), {type: 'module'})",
        "shared worker": "new SharedWorker(blob(\"fetch('TARGET', {mode: 'no-cors'})\"))",
        "worklet": "CSS.paintWorklet.addModule('URL.js').catch(() => 0)",
        "audio worklet": "new OfflineAudioContext(1, 1, 44100).audioWorklet.addModule('URL.js').catch(() => 0)",
    }.items()
}

PUBLISHED = {
    "scheme in capitals": "<img src='HtTp://HOSTPORT/PORT'>",
    "scheme with a tab and a line break": "<img src='ht\ttp\n://HOSTPORT/PORT'>",
    "no scheme": "<img src='//HOSTPORT/PORT'>",
    "backslashes": r"<img src='\\HOSTPORT\PORT'>",
    "slash and backslash": r"<img src='/\HOSTPORT/PORT'>",
    "scheme and one backslash": r"<img src='https:\HOSTPORT/PORT'>",
    "base": "<iframe srcdoc=\"<base href='http://HOSTPORT/'><img src='PORT'>\"></iframe>",
    "Refresh header": "<iframe src='/redirect/refresh?to=QUOTED'></iframe>",
    "report of a policy": "<iframe src='/redirect/policy?to=QUOTED'></iframe>",
    "ping": "<a id=pPORT ping='URL' href='#pPORT'>p</a><script>pPORT.click()</script>",
    "svg script": "<svg><script href='URL'></script></svg>",
    "svg use": "<svg><use href='URL#x'/></svg>",
    "svg foreignObject": "<svg><foreignObject width=9 height=9><img src='URL'></foreignObject></svg>",
    "svg in a frame": "<iframe src=\"data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg'><image href='URL'/>"
    '</svg>"></iframe>',
    "svg in an image": "<img src=\"data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg'><image href='URL'/>"
    '</svg>">',
    "xml style sheet": "<iframe src=\"data:text/xml,<?xml-stylesheet type='text/css' href='URL'?><a/>\"></iframe>",
    "xslt style sheet": "<iframe src=\"data:text/xml,<?xml-stylesheet type='text/xsl' href='URL'?><a/>\"></iframe>",
    "xml entity": "<iframe src=\"data:text/xml,<!DOCTYPE a [<!ENTITY e SYSTEM 'URL'>]><a>%26e;</a>\"></iframe>",
    "xslt document()": "<script>try { const read = text => new DOMParser().parseFromString(text, 'text/xml');"
    "const sheet = new XSLTProcessor(); sheet.importStylesheet(read(`<x:stylesheet version='1.0'"
    " xmlns:x='http://www.w3.org/1999/XSL/Transform'><x:template match='/'><x:copy-of select=\"document('URL')\"/>"
    "</x:template></x:stylesheet>`)); sheet.transformToDocument(read('<a/>')) } catch { }</script>",
    "frame that fetches": "<iframe src=\"data:text/html,<script>fetch('URL', {mode: 'no-cors'})</script>\"></iframe>",
    "frame with a WebSocket": "<iframe srcdoc=\"<script>new WebSocket('WS')</script>\"></iframe>",
}
"""Published ways around the filters of services that print HTML, beside those of the other tables."""

DATAGRAMS = {
    name: f"<script>try {{ {script} }} catch {{ }}</script>"
    for name, script in {
        "STUN": "peer({urls: 'stun:HOSTPORT'})",
        "TURN over UDP": "peer({urls: 'turn:HOSTPORT?transport=udp', username: 'u', credential: 'p'})",
        "TURN over TCP": "peer({urls: 'turn:HOSTPORT?transport=tcp', username: 'u', credential: 'p'})",
        "TURN over TLS": "peer({urls: 'turns:HOSTPORT?transport=tcp', username: 'u', credential: 'p'})",
        "ICE candidate over UDP": "connect('candidate:1 1 udp 2122260223 HOST PORT typ host')",
        "ICE candidate over TCP": "connect('candidate:1 1 tcp 1518280447 HOST PORT typ host tcptype passive')",
        "WebTransport over QUIC": "new WebTransport('HTTPS').ready.catch(() => 0)",
    }.items()
}

PRELUDE = """<script>
const blob = code => URL.createObjectURL(new Blob([code], {type: 'text/javascript'}));
async function peer(server) {
  const peer = new RTCPeerConnection({iceServers: [server]});
  peer.createDataChannel('x'); await peer.setLocalDescription(await peer.createOffer());
  (window.peers ||= []).push(peer);
}
async function connect(candidate) {
  const one = new RTCPeerConnection(), two = new RTCPeerConnection();
  (window.peers ||= []).push(one, two);
  one.createDataChannel('x'); await one.setLocalDescription(await one.createOffer());
  await two.setRemoteDescription(one.localDescription); await two.setLocalDescription(await two.createAnswer());
  await one.setRemoteDescription(two.localDescription);
  await one.addIceCandidate({candidate, sdpMid: '0', sdpMLineIndex: 0});
}
</script>"""
